/** Parts of the compiler on their own: boxes, the rescue lane's numbers, routing, fingerprints of lanes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Box, disjointBoxes, mergeRanges, rangeText } from "../../agent/core/compile/boxes.ts";
import { portsWithoutLanes } from "../../agent/core/compile/lanes.ts";
import {
  operatorRescueAddress,
  rescuePorts,
  rescuePrefix,
  routerRescueAddress,
} from "../../agent/core/compile/rescue.ts";
import { laneChanges } from "../../agent/core/plan.ts";
import { sha256 } from "../../schemas/digest.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import { contains, formatPrefix, isUla, parseIp } from "../../schemas/ip.ts";
import { clients, desiredOf, keyOf, NETWORK_ID, operatorOf, rosterOf, smallIntent } from "./compile-sites.ts";
import { randomNumbers } from "./nft-tables.ts";

// Pure work, but the processor may be shared.
setDefaultTimeout(240_000);

describe("boxes", () => {
  const random = (k: number): readonly Box[] => {
    const next = randomNumbers("boxes", 1, k);
    return Array.from({ length: 1 + next(6) }, (): Box => {
      const [from, port] = [next(12), next(12)];
      return {
        from: BigInt(from),
        to: BigInt(from + next(6)),
        protocol: next(3) === 0 ? "udp" : "tcp",
        ports: [port, port + next(5)],
      };
    });
  };
  const inside = (box: Box, address: number, protocol: string, port: number): boolean =>
    box.protocol === protocol &&
    box.from <= BigInt(address) &&
    BigInt(address) <= box.to &&
    box.ports[0] <= port &&
    port <= box.ports[1];

  test("cut boxes hold every point of the old ones exactly once, whatever their order", () => {
    for (let k = 0; k < 200; k += 1) {
      const boxes = random(k);
      const cut = disjointBoxes(boxes);
      for (let address = 0; address < 20; address += 1) {
        for (let port = 0; port < 20; port += 1) {
          for (const protocol of ["tcp", "udp"]) {
            const before = boxes.some((box) => inside(box, address, protocol, port));
            const after = cut.filter((box) => inside(box, address, protocol, port)).length;
            if (after !== (before ? 1 : 0)) throw new Error(`case ${k}: ${address} ${protocol} ${port}`);
          }
        }
      }
      expect(disjointBoxes([...boxes].reverse())).toEqual(cut);
    }
  });

  test("ranges that touch become one", () => {
    const range = (from: number, to: number) => ({ from: BigInt(from), to: BigInt(to) });
    expect(mergeRanges([range(5, 9), range(0, 4), range(7, 8), range(11, 11)])).toEqual([range(0, 9), range(11, 11)]);
  });

  test("a range is written as host, prefix or range", () => {
    const at = (text: string): bigint => parseIp(text)!.value;
    expect(rangeText(4, { from: at("10.0.0.5"), to: at("10.0.0.5") })).toBe("10.0.0.5");
    expect(rangeText(4, { from: at("10.0.0.0"), to: at("10.0.0.255") })).toBe("10.0.0.0/24");
    expect(rangeText(4, { from: at("10.0.0.1"), to: at("10.0.0.2") })).toBe("10.0.0.1-10.0.0.2");
    expect(rangeText(4, { from: 0n, to: at("255.255.255.255") })).toBe("0.0.0.0/0");
    expect(rangeText(6, { from: at("fd00::"), to: at("fd00::ffff") })).toBe("fd00::/112");
    expect(rangeText(6, { from: 0n, to: (1n << 128n) - 1n })).toBe("::/0");
  });
});

describe("the rescue lane's numbers", () => {
  test("derive from the network id and stay clear of what others use", () => {
    const seen = new Set<number>();
    for (let k = 0; k < 500; k += 1) {
      const id = sha256(`id ${k}`).slice(0, 16);
      const [first, second] = rescuePorts(id);
      expect(first).toBe(51819);
      expect(second).toBeGreaterThanOrEqual(20_000);
      expect(second).toBeLessThan(50_000);
      seen.add(second);
      const prefix = rescuePrefix(id);
      expect(isUla(prefix) && prefix.length === 64 && formatPrefix(prefix).startsWith("fd")).toBe(true);
    }
    expect(seen.size).toBeGreaterThan(480);
  });

  test("lane keys and routers have their own addresses in the prefix", () => {
    const names = [keyOf("ann"), keyOf("bob"), "r1", "r2"];
    const all = names.flatMap((name) => [
      operatorRescueAddress(NETWORK_ID, name),
      routerRescueAddress(NETWORK_ID, name),
    ]);
    expect(new Set(all).size).toBe(all.length);
    for (const text of all) expect(contains(rescuePrefix(NETWORK_ID), parseIp(text)!)).toBe(true);
    expect(operatorRescueAddress(sha256("other").slice(0, 16), "ann")).not.toBe(
      operatorRescueAddress(NETWORK_ID, "ann"),
    );
  });

  test("are the same for ever: changing them would lock people out", () => {
    expect(rescuePorts(NETWORK_ID)).toEqual([51819, 23989]);
    expect(formatPrefix(rescuePrefix(NETWORK_ID))).toBe("fd10:d50c:80b0:8080::/64");
    const laneKey = "y2Qxr4ILC14H2sZqRXgwGkwA1lpZkJSCcKpurbdoByk=";
    expect(operatorRescueAddress(NETWORK_ID, laneKey)).toBe("fd10:d50c:80b0:8080:e6cf:c41f:747b:5a55");
    expect(routerRescueAddress(NETWORK_ID, "r1")).toBe("fd10:d50c:80b0:8080:9040:a3c6:d51a:46c5");
  });
});

describe("ports for NAT", () => {
  test("the widest gap without a lane", () => {
    expect(portsWithoutLanes([])).toEqual([1024, 65535]);
    expect(portsWithoutLanes([8022])).toEqual([8023, 65535]);
    expect(portsWithoutLanes([51819, 51820, 23989])).toEqual([23990, 51818]);
    expect(portsWithoutLanes([443, 51819])).toEqual([1024, 51818]);
  });

  test("never holds a lane port", () => {
    for (let k = 0; k < 200; k += 1) {
      const random = randomNumbers("gaps", 1, k);
      const ports = Array.from({ length: random(20) }, () => 1 + random(65535));
      const [from, to] = portsWithoutLanes(ports);
      expect(from).toBeLessThan(to);
      expect(ports.some((port) => port >= from && port <= to)).toBe(false);
    }
  });
});

/** The small intent with a second uplink. */
function twoUplinks(more: Partial<IntentInput["routers"][number]> = {}): IntentInput {
  const small = smallIntent();
  const router = small.routers[0]!;
  const second = { interface: "wan1", addresses: ["198.51.100.2/24"], gateways: ["198.51.100.1"] };
  return {
    ...small,
    routers: [{ ...router, uplinks: [...router.uplinks!, second], ...more }],
    zones: [{ ...small.zones![0]!, interfaces: ["wan0", "wan1"] }, small.zones![1]!],
  };
}

describe("routing", () => {
  const one = desiredOf(smallIntent(), clients(1));
  const two = desiredOf(twoUplinks(), clients(1));
  const tableOf = (desired: typeof one, address: string): number | undefined =>
    desired.rules.find((rule) => rule.from === `${address}/32`)?.table;

  test("each uplink address leads to its uplink's table, which has the default route and the inside", () => {
    const table = tableOf(two, "198.51.100.2")!;
    const routes = two.routes.filter((route) => route.table === table).map((route) => `${route.to} ${route.interface}`);
    expect(routes).toEqual([
      "0.0.0.0/0 wan1",
      "10.1.0.0/24 lan0",
      "10.100.0.0/16 hf-home",
      "192.0.2.0/24 wan0",
      "198.51.100.0/24 wan1",
    ]);
  });

  test("another uplink does not move the first one's table", () => {
    expect(tableOf(two, "192.0.2.2")).toBe(tableOf(one, "192.0.2.2")!);
  });

  test("default routes never replace one that has no metric", () => {
    const main = two.routes.filter((route) => route.table === 254 && route.to.endsWith("/0"));
    expect(main.map((route) => [route.family, route.via, route.metric])).toEqual([
      [4, "192.0.2.1", 100],
      [4, "198.51.100.1", 200],
      [6, "2001:db8::1", 100],
    ]);
  });

  test("the way back by source comes before the lane's own table", () => {
    const order = two.rules.filter((rule) => rule.family === 4).map((rule) => rule.priority);
    expect(order).toEqual([1000, 1000, 1050, 1050, 1100]);
    expect(one.rules.filter((rule) => rule.family === 4).map((rule) => rule.priority)).toEqual([1000, 1100]);
  });

  test("a dynamic uplink has no address, table or rule of ours, and stays deaf to nothing", () => {
    const small = smallIntent();
    const router = { ...small.routers[0]!, uplinks: [{ interface: "eth0.7", dynamic: true }] };
    const desired = desiredOf({ ...small, routers: [router] }, clients(1));
    expect(desired.rules).toEqual([]);
    expect(desired.routes).toEqual([]);
    expect(desired.addresses.map((address) => address.interface)).not.toContain("eth0.7");
    expect(desired.sysctls[0]).toEqual({ key: "net.ipv6.conf.eth0/7.accept_ra", value: "2" });
    expect(desired.sysctls.at(-1)).toEqual({ key: "net.ipv6.conf.all.forwarding", value: "1" });
  });

  test("the intent's own routes are in the main table and in each uplink's", () => {
    const routes = [{ to: "10.9.0.0/16", via: "10.1.0.9", interface: "lan0" }];
    const desired = desiredOf(twoUplinks({ routes }), clients(1));
    const found = desired.routes.filter((route) => route.to === "10.9.0.0/16");
    expect(found.map((route) => route.via)).toEqual(Array(4).fill("10.1.0.9"));
    expect(found.map((route) => route.table)).toContain(254);
  });
});

describe("what a lane's fingerprint is made of", () => {
  const base = desiredOf(smallIntent(), clients(2));
  const changed = (next: typeof base): readonly string[] =>
    laneChanges(base, next)
      .filter((lane) => lane.changed)
      .map((lane) => lane.name);
  const router = smallIntent().routers[0]!;
  const withRouter = (more: object): IntentInput => smallIntent({ routers: [{ ...router, ...more }] });
  const home = smallIntent().networks![0]!;

  test("not clients, operators, profiles, zones inside or the window", () => {
    expect(changed(desiredOf(smallIntent(), clients(5)))).toEqual([]);
    const other = desiredOf(smallIntent(), clients(2), { roster: rosterOf([operatorOf("zoe")]) });
    // Not by its fingerprint: keys of operators are compared one by one.
    expect(changed(other)).toEqual(["rescue"]);
    expect(other.lanes).toEqual(base.lanes);
    const guest = {
      id: "guest",
      router: "r1",
      kind: "internal" as const,
      interfaces: ["g0"],
      subnets: ["10.2.0.0/24"],
    };
    expect(changed(desiredOf(smallIntent({ zones: [...smallIntent().zones!, guest] }), clients(2)))).toEqual([]);
    expect(changed(desiredOf(smallIntent({ confirm: { window_s: 60 } }), clients(2)))).toEqual([]);
  });

  test("a network's port, size and subnet are its own lane's", () => {
    for (const more of [{ port: 51830 }, { mtu: 1400 }, { subnets: ["10.100.0.0/17", "fd00:100::/64"] }]) {
      expect(changed(desiredOf(smallIntent({ networks: [{ ...home, ...more }] }), { version: 1 }))).toEqual([
        "wg:home",
      ]);
    }
  });

  test("from where the API is reached", () => {
    const zones = smallIntent().zones!.map((zone) =>
      zone.id === "lan" ? { ...zone, interfaces: ["lan0", "lan1"] } : zone,
    );
    expect(changed(desiredOf(smallIntent({ zones }), clients(2)))).toEqual(["api:10.1.0.1"]);
  });

  test("the API's port", () => {
    const management = { ...router.management, port: 8222 };
    expect(changed(desiredOf(withRouter({ management }), clients(2)))).toEqual(["api:10.1.0.1"]);
  });

  test("the way out, for every lane that is used from outside", () => {
    const uplinks = [{ ...router.uplinks![0]!, gateways: ["192.0.2.254", "2001:db8::1"] }];
    expect(changed(desiredOf(withRouter({ uplinks }), clients(2)))).toEqual(["rescue", "wg:home"]);
  });
});
