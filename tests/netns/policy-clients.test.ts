/** Clients through real tunnels: profile by family, services of their own, each other, forged sources, isolation. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { clientConfig } from "../../agent/core/wg-text.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import type { InventoryInput } from "../../schemas/inventory.ts";
import { clientOf, desiredOf, grantOf, inputOf, rosterOf, smallIntent } from "../core/compile-sites.ts";
import { answers, type TestHost, testHost, udpPacket } from "./policy-host.ts";
import { addDevice, applyDesired, counted, loadTable, wgKey } from "./policy-world.ts";
import { type Space, World } from "./world.ts";

setDefaultTimeout(30_000);

const INTERNET = "203.0.113.9";
const INTERNET6 = "2001:db8:9::9";
const LAN = "10.1.0.5";
const LAN6 = "fd00:1::5";
const LAB = "10.3.0.5";
const DNS = "10.100.0.1";

const keys = { home: wgKey(), lab: wgKey(), rescue: wgKey() };
/** Clients of the test; 2 to 4 are on home, 5 is on the experimental network. */
const clientKeys = new Map([2, 3, 4, 5].map((n) => [n, wgKey()]));

const small = smallIntent();
const intent: IntentInput = {
  ...small,
  routers: [
    { ...small.routers[0]!, addresses: [...small.routers[0]!.addresses!, { interface: "lab0", cidr: "10.3.0.1/24" }] },
  ],
  zones: [
    ...small.zones!,
    { id: "bench", router: "r1", kind: "experimental", interfaces: ["lab0"], subnets: ["10.3.0.0/24"] },
  ],
  networks: [
    ...small.networks!,
    {
      id: "lab",
      router: "r1",
      port: 51821,
      endpoint: "192.0.2.2:51821",
      subnets: ["10.101.0.0/24"],
      class: "experimental",
    },
  ],
  services: [
    ...small.services!,
    { id: "game", addresses: [LAN], ports: [{ protocol: "udp", from: 7001 }, { protocol: "icmp" }] },
  ],
  profiles: [
    ...small.profiles!,
    // What no law lets through: the compiler keeps production shut all the same.
    { id: "bold", reach: [{ zone: "lan" }, { zone: "bench" }], internet: { v4: true } },
  ],
  masquerade: [...small.masquerade!, { from: "lab", to: "wan" }],
};
const key = (n: number) => [{ generation: 1, public_key: clientKeys.get(n)!.publicKey }];
const inventory: InventoryInput = {
  version: 1,
  clients: [
    clientOf(2, { grants: [grantOf(2, { keys: key(2), profile: "full" })] }),
    clientOf(3, { grants: [grantOf(3, { keys: key(3) })] }),
    clientOf(4, { grants: [grantOf(4, { keys: key(4), profile: "none" })], services: ["game"] }),
    clientOf(5, { grants: [{ network: "lab", profile: "bold", addresses: ["10.101.0.5"], keys: key(5) }] }),
  ],
};
const input = inputOf(intent, inventory, { roster: rosterOf([]) });
const report = {
  ...input.keys,
  keys: Object.entries(keys).map(([network, pair]) => ({ network, public_key: pair.publicKey })),
};
const compileIt = (list: InventoryInput = inventory) => desiredOf(intent, list, { roster: rosterOf([]), keys: report });
const desired = compileIt();

describe("clients through real tunnels", () => {
  let world: World;
  let r: Space;
  let net: TestHost;
  let lan: TestHost;
  const spaces = new Map<number, Space>();
  const hosts = new Map<number, TestHost>();
  const count = (name: string): Promise<number> => counted(world, r, name);
  const host = (n: number): TestHost => hosts.get(n)!;

  /** Brings a client up with the configuration that it would be given. */
  async function raise(n: number, network: string): Promise<void> {
    const text = clientConfig({
      intent: input.intent,
      inventory: input.inventory,
      keys: report,
      client: `c${n}`,
      network,
      privateKey: null,
      psk: null,
    });
    if (!text.ok) throw new Error(JSON.stringify(text.problems));
    const value = (name: string): string => new RegExp(`^${name} = (.*)$`, "m").exec(text.value)?.[1] ?? "";
    const space = spaces.get(n)!;
    await addDevice(world, space, { name: "wg0", key: clientKeys.get(n)!, mtu: Number(value("MTU")) });
    await world.address(space, "wg0", ...value("Address").split(", "));
    const endpoint = value("Endpoint").replace("vpn.example.net", "192.0.2.2");
    const allowed = value("AllowedIPs").split(", ");
    const words = ["endpoint", endpoint, "allowed-ips", allowed.join(",")];
    await world.must(space, ["wg", "set", "wg0", "peer", value("PublicKey"), ...words]);
    await world.must(space, ["ip", "route", "add", "192.0.2.2", "via", `198.51.100.${n}1`]);
    for (const prefix of allowed) {
      const half = prefix === "0.0.0.0/0" ? ["0.0.0.0/1", "128.0.0.0/1"] : [prefix];
      for (const one of half) await world.must(space, ["ip", "route", "replace", one, "dev", "wg0"]);
    }
    expect(await world.pings(space, network === "home" ? DNS : "10.101.0.1", 3)).toBe(network === "home");
  }

  beforeAll(async () => {
    world = await World.create({ name: "policywg" });
    const [rs, n, l, b] = (await Promise.all(["r", "net", "lan", "bench"].map((name) => world.space(name)))) as [
      Space,
      Space,
      Space,
      Space,
    ];
    r = rs;
    await world.link(r, "wan0", n, "eth0");
    await world.link(r, "lan0", l, "eth0");
    await world.link(r, "lab0", b, "eth0");
    await world.address(n, "eth0", "192.0.2.1/24", "2001:db8::1/64");
    await world.address(n, "lo", `${INTERNET}/32`, `${INTERNET6}/128`);
    await world.forward(n);
    await world.address(l, "eth0", `${LAN}/24`, `${LAN6}/64`);
    await world.address(b, "eth0", `${LAB}/24`);
    for (const client of clientKeys.keys()) {
      const space = await world.space(`c${client}`);
      spaces.set(client, space);
      await world.link(space, "eth0", n, `c${client}`);
      await world.address(space, "eth0", `198.51.100.${client}0/31`);
      await world.address(n, `c${client}`, `198.51.100.${client}1/31`);
    }
    await applyDesired(world, r, desired, { keys: Object.values(keys) });
    for (const via of ["10.1.0.1", "fd00:1::1"]) await world.route(l, "default", via);
    await world.route(b, "default", "10.3.0.1");
    for (const client of clientKeys.keys()) {
      await raise(client, client === 5 ? "lab" : "home");
      hosts.set(client, await testHost(world, spaces.get(client)!));
    }
    [net, lan] = await Promise.all([testHost(world, n), testHost(world, l)]);
    for (const [where, address] of [
      [net, INTERNET],
      [net, INTERNET6],
      [lan, LAN],
      [lan, LAN6],
      [await testHost(world, b), LAB],
    ] as const) {
      await where.udp(address, 7000, true);
    }
    await lan.udp(LAN, 7001, true);
    const router = await testHost(world, r);
    await router.udp(DNS, 53, true);
  }, 1_800_000);
  afterAll(() => world.destroy());

  const asks = async (n: number, target: string, port = 7000): Promise<boolean> => {
    const own = n === 5 ? "10.101.0.5" : target.includes(":") ? `fd00:100::${n}` : `10.100.0.${n}`;
    return answers(await host(n).udp(own), target, port);
  };

  const matrix: readonly (readonly [string, number, string, number, boolean])[] = [
    ["full reaches the LAN", 2, LAN, 7000, true],
    ["full reaches the LAN, IPv6", 2, LAN6, 7000, true],
    ["full reaches the internet", 2, INTERNET, 7000, true],
    ["full reaches the internet, IPv6 by NAT66", 2, INTERNET6, 7000, true],
    ["full asks the DNS", 2, DNS, 53, true],
    ["split reaches the LAN", 3, LAN, 7000, true],
    ["split reaches the LAN, IPv6", 3, LAN6, 7000, true],
    ["split asks the DNS", 3, DNS, 53, true],
    ["none reaches its own service", 4, LAN, 7001, true],
    ["none has no DNS", 4, DNS, 53, false],
    ["experimental reaches its bench", 5, LAB, 7000, true],
    ["experimental reaches the internet", 5, INTERNET, 7000, true],
  ];
  for (const [name, n, target, port, reached] of matrix) {
    test(`${name}: ${reached ? "yes" : "no"}`, async () => expect(await asks(n, target, port)).toBe(reached));
  }

  test("a ping goes where a service says so, and to the router", async () => {
    expect(await world.pings(spaces.get(4)!, LAN)).toBe(true);
    expect(await world.pings(spaces.get(4)!, DNS)).toBe(true);
  });

  describe("what a client's own configuration does not stop, the router stops and counts", () => {
    beforeAll(async () => {
      for (const [n, device] of [
        [3, keys.home],
        [4, keys.home],
        [5, keys.lab],
      ] as const) {
        const allowed = ["allowed-ips", "0.0.0.0/0,::/0"];
        await world.must(spaces.get(n)!, ["wg", "set", "wg0", "peer", device.publicKey, ...allowed]);
        for (const to of [`${INTERNET}/32`, "10.1.0.0/24", "10.3.0.0/24", "10.100.0.0/16", "10.101.0.0/24"]) {
          await world.must(spaces.get(n)!, ["ip", "route", "replace", to, "dev", "wg0"]);
        }
        await world.must(spaces.get(n)!, ["ip", "route", "replace", `${INTERNET6}/128`, "dev", "wg0"]);
      }
    });
    const denied: readonly (readonly [string, number, string, string])[] = [
      ["split to the internet", 3, INTERNET, "c_drop_forward"],
      ["split to the internet, IPv6", 3, INTERNET6, "c_drop_forward"],
      ["none to a port of the LAN that is not its service", 4, LAN, "c_drop_forward"],
      ["one client to another", 3, "10.100.0.2", "c_client"],
      ["one network to another", 3, "10.101.0.5", "c_client"],
      ["experimental to the LAN, in spite of its profile", 5, LAN, "c_isolated"],
      ["experimental to a client of production", 5, "10.100.0.2", "c_isolated"],
    ];
    for (const [name, n, target, counter] of denied) {
      test(name, async () => {
        const before = await count(counter);
        expect(await asks(n, target)).toBe(false);
        expect(await count(counter)).toBe(before + 1);
      });
    }

    test("a client in another's name: WireGuard drops it, and the ruleset would too", async () => {
      const server = await net.udp(INTERNET, 7050);
      const forged = udpPacket("10.100.0.2", 5000, INTERNET, 7050);
      const before = await count("c_spoof");
      await host(3).raw(forged);
      expect(await server.take(1, 300)).toEqual([]);
      expect(await count("c_spoof")).toBe(before);
      // An address that no client has, let in by a peer that was widened by hand.
      const peer = ["wg", "set", "hf-home", "peer", clientKeys.get(3)!.publicKey, "allowed-ips"];
      await world.must(r, [...peer, "10.100.0.3/32,fd00:100::3/128,10.100.0.99/32"]);
      await host(3).raw(udpPacket("10.100.0.99", 5000, INTERNET, 7050));
      expect(await server.take(1, 300)).toEqual([]);
      expect(await count("c_spoof")).toBe(before + 1);
      await world.must(r, [...peer, "10.100.0.3/32,fd00:100::3/128"]);
    });
  });

  test("large segments fit the tunnel, whichever side opens the connection", async () => {
    await lan.listen(LAN, 7090);
    await host(2).listen("10.100.0.2", 7091);
    const out = await host(2).connect(LAN, 7090);
    await out.write("x".repeat(10_000), 20);
    expect(await out.bytes(200_000)).toBe(200_000);
  });

  test("a client that is suspended is cut with the next epoch, although its peer is still there", async () => {
    const socket = await host(3).udp("10.100.0.3");
    expect(await answers(socket, LAN, 7000)).toBe(true);
    const list = structuredClone(inventory);
    list.clients![1]!.state = "suspended";
    await loadTable(world, r, compileIt(list).nft, 2);
    const before = await count("c_spoof");
    expect(await answers(socket, LAN, 7000)).toBe(false);
    expect(await count("c_spoof")).toBe(before + 1);
    expect(await asks(2, LAN)).toBe(true);
    await loadTable(world, r, desired.nft, 3);
  });
});
