/** Two uplinks whose providers drop foreign sources: everything is answered through the one it came in by. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { operatorRescueAddress, routerRescueAddress } from "../../agent/core/compile/rescue.ts";
import { desiredOf, intentOf, NETWORK_ID, operatorOf, reportOf, rosterOf, smallIntent } from "../core/compile-sites.ts";
import { answers, type TestHost, testHost } from "./policy-host.ts";
import { addDevice, applyDesired, counted, loadTable, wgKey } from "./policy-world.ts";
import { type Space, World } from "./world.ts";

setDefaultTimeout(30_000);

const FAR = "203.0.113.9";
const FAR6 = "2001:db8:9::9";
const LAN = "10.1.0.5";
/** By uplink: addresses of the router, and of the provider's end. */
const UPLINKS = [
  { interface: "wan0", own: "192.0.2.2", own6: "2001:db8::2", gateway: "192.0.2.1", gateway6: "2001:db8::1" },
  { interface: "wan1", own: "198.51.100.2", own6: "2001:db8:1::2", gateway: "198.51.100.1", gateway6: "2001:db8:1::1" },
] as const;

const intent = (() => {
  const small = smallIntent();
  const uplinks = UPLINKS.map((one) => ({
    interface: one.interface,
    addresses: [`${one.own}/24`, `${one.own6}/64`],
    gateways: [one.gateway, one.gateway6],
  }));
  const addresses = UPLINKS.flatMap((one) => [one.own, one.own6]);
  return {
    ...small,
    routers: [{ ...small.routers[0]!, uplinks, management: { addresses, zones: ["wan"] } }],
    zones: [{ ...small.zones![0]!, interfaces: ["wan0", "wan1"] }, small.zones![1]!],
    services: [{ id: "time", ports: [{ protocol: "udp" as const, from: 7777 }] }],
    policies: [...small.policies!, { id: "time", from: "wan", to: "router", services: ["time"] }],
    port_forwards: UPLINKS.map((one, i) => ({
      id: `game${i}`,
      zone: "wan",
      address: one.own,
      protocol: "udp" as const,
      port: 27015 + i,
      to_address: LAN,
      to_port: 27015 + i,
    })),
  };
})();

const keys = { home: wgKey(), rescue: wgKey(), operator: wgKey() };
const desired = desiredOf(
  intent,
  { version: 1, clients: [] },
  {
    roster: rosterOf([operatorOf("ann", { lane_key: keys.operator.publicKey })]),
    keys: {
      ...reportOf(intentOf(intent), "r1"),
      keys: [
        { network: "home", public_key: keys.home.publicKey },
        { network: "rescue", public_key: keys.rescue.publicKey },
      ],
    },
  },
);

/** What a provider does: packets of its customer carry an address of the provider, or go no further. */
const PROVIDER = `table inet provider {
counter foreign { }
chain in { type filter hook prerouting priority -300;
iifname "up0" ip saddr != 192.0.2.0/24 counter name foreign drop
iifname "up1" ip saddr != 198.51.100.0/24 counter name foreign drop
iifname "up0" ip6 saddr != { fe80::/10, 2001:db8::/64 } counter name foreign drop
iifname "up1" ip6 saddr != { fe80::/10, 2001:db8:1::/64 } counter name foreign drop
}
}
`;

describe("two uplinks", () => {
  let world: World;
  let r: Space;
  let net: Space;
  let router: TestHost;
  let far: TestHost;
  let lan: TestHost;

  beforeAll(async () => {
    world = await World.create({ name: "policyup" });
    const [rs, n, l] = (await Promise.all(["r", "net", "lan"].map((name) => world.space(name)))) as [
      Space,
      Space,
      Space,
    ];
    [r, net] = [rs, n];
    for (const [i, one] of UPLINKS.entries()) {
      await world.link(r, one.interface, n, `up${i}`);
      await world.address(n, `up${i}`, `${one.gateway}/24`, `${one.gateway6}/64`);
    }
    await world.link(r, "lan0", l, "eth0");
    await world.address(n, "lo", `${FAR}/32`, `${FAR6}/128`);
    await world.must(n, ["nft", "-f", "-"], { stdin: PROVIDER });
    await world.address(l, "eth0", `${LAN}/24`);
    // Strict reverse path checks are what a distribution may bring along.
    await world.must(r, ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"]);
    await applyDesired(world, r, desired, { keys: [keys.home, keys.rescue] });
    await world.route(l, "default", "10.1.0.1");
    [router, far, lan] = await Promise.all([testHost(world, r), testHost(world, n), testHost(world, l)]);
  }, 1_800_000);
  afterAll(() => world.destroy());

  for (const [i, one] of UPLINKS.entries()) {
    describe(one.interface, () => {
      for (const [family, own, source] of [
        ["IPv4", one.own, FAR],
        ["IPv6", one.own6, FAR6],
      ] as const) {
        test(`a service of the router answers, ${family}`, async () => {
          await router.udp(own, 7777, true);
          expect(await answers(await far.udp(source), own, 7777)).toBe(true);
        });

        test(`the API lane answers, ${family}`, async () => {
          await router.listen(own, 8022);
          const connection = await far.connect(own, 8022);
          await connection.write("hello");
          expect(await connection.bytes(5)).toBe(5);
        });
      }

      test("a port-forward is answered from behind the router", async () => {
        const game = await lan.udp(LAN, 27015 + i, true);
        const player = await far.udp(FAR, 28_000 + i);
        expect(await answers(player, one.own, 27015 + i)).toBe(true);
        // And again under a new epoch, when the server speaks first.
        await game.take(1, 0);
        await loadTable(world, r, desired.nft, 2 + i);
        await game.send(FAR, 28_000 + i, "push");
        expect((await player.take()).map((mail) => [mail.text, mail.from])).toEqual([["push", one.own]]);
      });

      test("the rescue lane comes up, and its answers leave there", async () => {
        const name = `wg${i}`;
        await addDevice(world, net, { name, key: keys.operator, mtu: 1280 });
        const own = operatorRescueAddress(NETWORK_ID, keys.operator.publicKey);
        const target = routerRescueAddress(NETWORK_ID, "r1");
        await world.address(net, name, `${own}/128`);
        await world.must(net, ["ip", "-6", "route", "replace", `${target}/128`, "dev", name]);
        const endpoint = ["endpoint", `${one.own}:51819`, "allowed-ips", `${target}/128`];
        await world.must(net, ["wg", "set", name, "peer", keys.rescue.publicKey, ...endpoint]);
        const before = await counted(world, r, "c_lane_rescue");
        expect(await world.pings(net, target, 3)).toBe(true);
        expect(await counted(world, r, "c_lane_rescue")).toBeGreaterThan(before);
        await world.must(net, ["ip", "link", "del", name]);
      });
    });
  }

  test("no packet left with the other uplink's address", async () => {
    const text = await world.must(net, ["nft", "list", "counter", "inet", "provider", "foreign"]);
    expect(/packets (\d+)/.exec(text)?.[1]).toBe("0");
  });
});
