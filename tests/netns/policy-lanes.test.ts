/** Lanes against real packets: what arrives was admitted by the rules in force, and large packets find their way. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { operatorRescueAddress, rescuePorts, routerRescueAddress } from "../../agent/core/compile/rescue.ts";
import type { Desired } from "../../schemas/desired.ts";
import {
  clientOf,
  desiredOf,
  grantOf,
  intentOf,
  NETWORK_ID,
  operatorOf,
  reportOf,
  rosterOf,
  smallIntent,
} from "../core/compile-sites.ts";
import { type TestHost, testHost } from "./policy-host.ts";
import { withoutRules } from "./policy-mutants.ts";
import { addDevice, applyDesired, counted, loadTable, wgKey } from "./policy-world.ts";
import { type Space, World } from "./world.ts";

setDefaultTimeout(30_000);

const FAR = "203.0.113.9";
const FAR6 = "2001:db8:9::9";
const WAN = "192.0.2.2";
const WAN6 = "2001:db8::2";
const RESCUE = routerRescueAddress(NETWORK_ID, "r1");

/** The API on the uplink's addresses, from outside. */
const intent = (() => {
  const small = smallIntent();
  const router = { ...small.routers[0]!, management: { addresses: [WAN, WAN6], zones: ["wan"] } };
  return { ...small, routers: [router] };
})();

const keys = { home: wgKey(), rescue: wgKey(), client: wgKey(), operator: wgKey() };

function generation(): Desired {
  const grant = grantOf(2, { keys: [{ generation: 1, public_key: keys.client.publicKey }] });
  const report = reportOf(intentOf(intent), "r1");
  return desiredOf(
    intent,
    { version: 1, clients: [clientOf(2, { grants: [grant] })] },
    {
      roster: rosterOf([operatorOf("ann", { lane_key: keys.operator.publicKey })]),
      keys: {
        ...report,
        keys: [
          { network: "home", public_key: keys.home.publicKey },
          { network: "rescue", public_key: keys.rescue.publicKey },
        ],
      },
    },
  );
}

describe("lanes", () => {
  let world: World;
  let r: Space;
  let far: Space;
  let router: TestHost;
  let operator: TestHost;
  let epoch = 1;
  const good = generation();
  const load = async (desired: Desired): Promise<void> => {
    epoch += 1;
    await loadTable(world, r, desired.nft, epoch);
  };
  const count = (name: string): Promise<number> => counted(world, r, name);

  // The far host sits behind a hop that only its neighbour sees: both ends have 1,500, the middle 1,300.
  beforeAll(async () => {
    world = await World.create({ name: "policylane" });
    const spaces = await Promise.all(["r", "near", "mid", "far", "side"].map((name) => world.space(name)));
    const [rs, near, mid, f, side] = spaces as [Space, Space, Space, Space, Space];
    [r, far] = [rs, f];
    await world.link(r, "wan0", near, "eth0");
    await world.link(near, "eth1", mid, "eth0");
    await world.link(mid, "eth1", far, "eth0");
    await world.link(r, "lan0", near, "lan0");
    await world.link(r, "eth9", side, "eth0");
    await world.address(near, "eth0", "192.0.2.1/24", "2001:db8::1/64");
    await world.address(near, "eth1", "198.18.0.1/24", "2001:db8:18::1/64");
    await world.address(mid, "eth0", "198.18.0.2/24", "2001:db8:18::2/64");
    await world.address(mid, "eth1", "203.0.113.1/24", "2001:db8:9::1/64");
    await world.address(far, "eth0", `${FAR}/24`, `${FAR6}/64`);
    await world.must(near, ["ip", "link", "set", "eth1", "mtu", "1300"]);
    await world.must(mid, ["ip", "link", "set", "eth0", "mtu", "1300"]);
    await Promise.all([near, mid].map((space) => world.forward(space)));
    for (const [space, to, via] of [
      [near, "203.0.113.0/24", "198.18.0.2"],
      [near, "2001:db8:9::/64", "2001:db8:18::2"],
      [mid, "192.0.2.0/24", "198.18.0.1"],
      [mid, "2001:db8::/64", "2001:db8:18::1"],
      [far, "default", "203.0.113.1"],
      [far, "default", "2001:db8:9::1"],
    ] as const) {
      await world.route(space, to, via);
    }
    await world.address(r, "eth9", "198.51.100.1/24");
    await world.address(side, "eth0", "198.51.100.2/24");
    await applyDesired(world, r, good, { keys: [keys.home, keys.rescue] });
    [router, operator] = await Promise.all([testHost(world, r), testHost(world, far)]);
    await router.listen(WAN, 8022);
    await router.listen(WAN6, 8022);
  }, 1_800_000);
  afterAll(() => world.destroy());

  describe("a TCP lane over a hop of 1,300 octets", () => {
    const MEGABYTE = 1_000_000;
    const transfer = async (host: string, ms: number): Promise<number> => {
      const connection = await operator.connect(host, 8022);
      expect(connection.up).toBe(true);
      await connection.write("x".repeat(10_000), MEGABYTE / 10_000);
      return connection.bytes(MEGABYTE, ms);
    };

    // First without the rule: the kernel remembers a path MTU once it has learnt it.
    for (const [host, errors] of [
      [WAN, /^fib daddr type local icmp /],
      [WAN6, /^fib daddr type local icmpv6 /],
    ] as const) {
      test(`${host}: without errors about lanes the answer dies`, async () => {
        await load(withoutRules(good, [errors]));
        expect(await transfer(host, 1500)).toBeLessThan(100_000);
        await load(good);
      });

      test(`${host}: carries one megabyte each way`, async () => {
        const name = host === WAN ? "c_lane_api_192_0_2_2" : "c_lane_api_2001_db8__2";
        const before = await count(name);
        expect(await transfer(host, 10_000)).toBe(MEGABYTE);
        expect(await count(name)).toBeGreaterThan(before + 20);
      });
    }
  });

  describe("a WireGuard lane", () => {
    const peer = ["peer", keys.home.publicKey, "endpoint", `${WAN}:51820`];
    const allowed = ["allowed-ips", "10.100.0.1/32"];
    const handshake = async (): Promise<number> => {
      const text = await world.must(far, ["wg", "show", "wg0", "latest-handshakes"]);
      return Number(text.trim().split("\t")[1] ?? 0);
    };
    /** Forgets the session, so that the next packet begins with a handshake. */
    const fresh = async (port: number): Promise<void> => {
      await world.must(far, ["wg", "set", "wg0", "peer", keys.home.publicKey, "remove"]);
      await world.must(far, ["wg", "set", "wg0", "listen-port", String(port), ...peer, ...allowed]);
    };

    beforeAll(async () => {
      await addDevice(world, far, { name: "wg0", key: keys.client, port: 40_001 });
      await world.address(far, "wg0", "10.100.0.2/32");
      await world.must(far, ["ip", "route", "add", "10.100.0.1/32", "dev", "wg0"]);
      await world.must(far, ["wg", "set", "wg0", ...peer, ...allowed, "persistent-keepalive", "1"]);
    });

    const closed = withoutRules(good, [/^udp dport 51820 /]);

    test("carries its tunnel, and its counter sees it", async () => {
      const before = await count("c_lane_wg_home");
      expect(await world.pings(far, "10.100.0.1", 3)).toBe(true);
      expect(await handshake()).toBeGreaterThan(0);
      expect(await count("c_lane_wg_home")).toBeGreaterThan(before + 2);
    });

    test("A6: with its rule gone nothing arrives any more, whatever flows and keepalives there were", async () => {
      const keepalive = ["wg", "set", "hf-home", "peer", keys.client.publicKey, "persistent-keepalive", "1"];
      await world.must(r, keepalive);
      expect(await world.pings(far, "10.100.0.1")).toBe(true);
      await load(closed);
      const before = [await count("c_lane_wg_home"), await count("c_lane_denied")] as const;
      expect(await world.pings(far, "10.100.0.1", 3)).toBe(false);
      expect(await count("c_lane_wg_home")).toBe(before[0]);
      expect(await count("c_lane_denied")).toBeGreaterThan(before[1] + 2);
    });

    test("A7: nor does a fresh handshake, from the same source port or from a new one", async () => {
      const before = await count("c_lane_wg_home");
      for (const port of [40_001, 40_002]) {
        await fresh(port);
        expect(await world.pings(far, "10.100.0.1", 2)).toBe(false);
        expect(await handshake()).toBe(0);
      }
      expect(await count("c_lane_wg_home")).toBe(before);
    });

    test("A8: with the rule a fresh handshake comes about at once, and is counted by the lane", async () => {
      await load(good);
      const before = await count("c_lane_wg_home");
      await fresh(40_003);
      expect(await world.pings(far, "10.100.0.1", 3)).toBe(true);
      expect(await handshake()).toBeGreaterThan(0);
      expect(await count("c_lane_wg_home")).toBeGreaterThan(before);
    });

    test("leaves no flow in conntrack", async () => {
      expect(await world.must(r, ["conntrack", "-L", "-p", "udp"])).not.toMatch(/port=5182\d|port=51819/);
    });
  });

  describe("the rescue lane", () => {
    let side: Space;
    beforeAll(async () => {
      side = world.spaces.get("side")!;
      await addDevice(world, side, { name: "wg0", key: keys.operator, mtu: 1280 });
      await world.address(side, "wg0", `${operatorRescueAddress(NETWORK_ID, keys.operator.publicKey)}/128`);
      await world.must(side, ["ip", "-6", "route", "add", `${RESCUE}/128`, "dev", "wg0"]);
      const words = ["peer", keys.rescue.publicKey, "endpoint", "198.51.100.1:51819", "allowed-ips", `${RESCUE}/128`];
      await world.must(side, ["wg", "set", "wg0", ...words]);
    });

    test("is open on an interface that no zone knows, up to the API", async () => {
      await router.listen(RESCUE, 8022);
      const host = await testHost(world, side);
      const before = await count("c_lane_rescue");
      expect(await world.pings(side, RESCUE, 3)).toBe(true);
      expect(await count("c_lane_rescue")).toBeGreaterThan(before);
      const connection = await host.connect(RESCUE, 8022);
      await connection.write("hello");
      expect(await connection.bytes(5)).toBe(5);
      expect(await count("c_lane_rescue_api")).toBeGreaterThan(0);
    });

    test("so is its second port, while other lanes and everything else are closed there", async () => {
      const host = await testHost(world, side);
      const probe = await host.udp("0.0.0.0");
      const before = [await count("c_lane_rescue"), await count("c_lane_denied"), await count("c_drop_input")] as const;
      await probe.send("198.51.100.1", rescuePorts(NETWORK_ID)[1]);
      await probe.send("198.51.100.1", 51820);
      await probe.send("198.51.100.1", 53);
      expect(await count("c_lane_rescue")).toBe(before[0] + 1);
      expect(await count("c_lane_denied")).toBe(before[1] + 1);
      expect(await count("c_drop_input")).toBe(before[2] + 1);
    });

    test("leads to the router and no further", async () => {
      const host = await testHost(world, side);
      await world.must(side, ["wg", "set", "wg0", "peer", keys.rescue.publicKey, "allowed-ips", "::/0"]);
      await world.must(side, ["ip", "-6", "route", "add", "fd00:1::/64", "dev", "wg0"]);
      const before = await count("c_drop_forward");
      await (await host.udp(operatorRescueAddress(NETWORK_ID, keys.operator.publicKey))).send("fd00:1::5", 80);
      expect(await count("c_drop_forward")).toBe(before + 1);
    });
  });
});
