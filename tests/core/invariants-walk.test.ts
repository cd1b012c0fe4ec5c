/** The reader of rules: nft's semantics of chains, sets and families, and no certainty where it has none. */
import { describe, expect, test } from "bun:test";
import type { Packet } from "../../agent/core/invariants-packet.ts";
import { packet } from "../../agent/core/invariants-subject.ts";
import { Walker } from "../../agent/core/invariants-walk.ts";
import type { NftSet } from "../../schemas/desired.ts";
import { parseIp } from "../../schemas/ip.ts";

const sets: readonly NftSet[] = [
  {
    name: "s_exact",
    kind: "set",
    type: "ipv4_addr . ifname",
    value: "",
    interval: false,
    elements: ['10.0.0.2 . "wg0"'],
  },
  {
    name: "s_range",
    kind: "set",
    type: "ipv4_addr . inet_proto . inet_service",
    value: "",
    interval: true,
    elements: ["10.0.0.0/24 . tcp . 80-90", "10.0.1.5-10.0.1.9 . udp . 53"],
  },
  {
    name: "m_zone",
    kind: "map",
    type: "ifname",
    value: "verdict",
    interval: false,
    elements: ['"lan0" : goto z_a', '"wan0" : jump z_b'],
  },
];

/** Verdicts of a packet through one forward chain with policy drop, each once. */
function verdicts(
  rules: readonly string[],
  change: Partial<Packet> = {},
  chains: Readonly<Record<string, readonly string[]>> = {},
) {
  const walker = new Walker({
    counters: [],
    sets,
    chains: [
      ...Object.entries(chains).map(([name, list]) => ({ name, base: null, rules: list })),
      { name: "b_f", base: { type: "filter", hook: "forward", priority: 0, policy: "drop" }, rules },
    ],
  });
  const one = packet({
    iif: "wg0",
    oif: "lan0",
    source: parseIp("10.0.0.2")!,
    target: parseIp("10.0.1.5")!,
    ...change,
  });
  return [...new Set(walker.hook("forward", one).map((way) => way.verdict))].sort();
}

const matches = (rule: string, change: Partial<Packet> = {}): boolean => {
  const found = verdicts([`${rule} accept`], change);
  expect(found).toHaveLength(1);
  return found[0] === "accept";
};
const six = { family: 6, source: parseIp("fd00::2")!, target: parseIp("fd00::5")! } as const;

describe("matches", () => {
  test("interfaces, families, protocols and ports", () => {
    expect(matches('iifname "wg0"')).toBe(true);
    expect(matches('iifname "wg*"')).toBe(true);
    expect(matches('iifname != { "wg1", "wg2" }')).toBe(true);
    expect(matches("meta nfproto ipv6")).toBe(false);
    expect(matches("meta nfproto ipv6", six)).toBe(true);
    expect(matches("tcp dport 443")).toBe(true);
    expect(matches("udp dport 443")).toBe(false);
    expect(matches("tcp dport { 22, 400-450 }")).toBe(true);
    expect(matches("tcp dport != 443")).toBe(false);
    expect(matches("th dport 443", { protocol: "icmp" })).toBe(false);
    expect(matches("icmp type echo-request", { protocol: "icmp", icmpType: "echo-request" })).toBe(true);
    expect(matches("icmpv6 type echo-request", { protocol: "icmp", icmpType: "echo-request" })).toBe(false);
  });

  test("addresses; a negation does not match the other family either", () => {
    expect(matches("ip saddr 10.0.0.0/24")).toBe(true);
    expect(matches("ip saddr 10.0.0.1-10.0.0.3")).toBe(true);
    expect(matches("ip saddr != 10.0.0.0/24", six)).toBe(false);
    expect(matches("ip6 saddr fd00::/8", six)).toBe(true);
  });

  test("sets, with and without intervals", () => {
    expect(matches("ip saddr . iifname @s_exact")).toBe(true);
    expect(matches("ip saddr . iifname != @s_exact", { source: parseIp("10.0.0.3")! })).toBe(true);
    expect(matches("ip saddr . iifname @s_exact", { iif: "wg1" })).toBe(false);
    expect(matches("ip daddr . meta l4proto . th dport @s_range", { protocol: "udp", dport: 53 })).toBe(true);
    expect(matches("ip saddr . meta l4proto . th dport @s_range", { dport: 85 })).toBe(true);
    expect(matches("ip saddr . meta l4proto . th dport @s_range", { dport: 91 })).toBe(false);
  });

  test("state, direction, epoch, SYN, and what untracked packets lack", () => {
    expect(matches("ct state { new, established }")).toBe(true);
    expect(matches("ct state established,related", { state: "related" })).toBe(true);
    expect(matches("ct mark & 0xffff0000 == $HF_EPOCH", { epoch: "current" })).toBe(true);
    expect(matches("ct mark & 0xffff0000 != $HF_EPOCH", { epoch: "current" })).toBe(false);
    expect(matches("ct mark & 0xffff0000 != $HF_EPOCH", { state: "untracked" })).toBe(false);
    expect(matches("ct direction original", { state: "untracked" })).toBe(false);
    expect(matches("ct state new tcp flags & (fin | syn | rst | ack) != syn", { syn: false })).toBe(true);
    expect(matches("tcp flags syn / syn,rst", { syn: false })).toBe(false);
    expect(matches("ct status dnat", { dnat: true })).toBe(true);
    expect(matches("fib daddr type local", { targetLocal: true })).toBe(true);
  });

  test("what is not known goes both ways", () => {
    for (const rule of [
      "limit rate 10/second",
      "ct mark & 0x00008000 == 0x00008000",
      "meta cpu 1",
      "ip saddr @s_nowhere",
    ]) {
      expect(verdicts([`${rule} accept`])).toEqual(["accept", "drop"]);
    }
    expect(verdicts(["goto z_nowhere"])).toEqual(["accept", "drop", "nat"]);
    expect(verdicts(["goto z_loop"], {}, { z_loop: ["goto z_loop"] })).toEqual(["accept", "drop", "nat"]);
  });
});

describe("chains", () => {
  test("a jump comes back, a goto does not", () => {
    expect(verdicts(["jump z_a", "accept"], {}, { z_a: ["udp dport 1 drop"] })).toEqual(["accept"]);
    expect(verdicts(["goto z_a", "accept"], {}, { z_a: ["udp dport 1 drop"] })).toEqual(["drop"]);
    expect(verdicts(["jump z_a", "accept"], {}, { z_a: ["goto z_b", "drop"], z_b: [] })).toEqual(["accept"]);
    expect(verdicts(["jump z_a", "accept"], {}, { z_a: ["return", "drop"] })).toEqual(["accept"]);
    expect(verdicts(["return", "accept"])).toEqual(["drop"]);
  });

  test("verdict maps", () => {
    const chains = { z_a: ["accept"], z_b: ["udp dport 1 accept"] };
    expect(verdicts(["iifname vmap @m_zone", "drop"], { iif: "lan0" }, chains)).toEqual(["accept"]);
    expect(verdicts(["iifname vmap @m_zone", "accept"], { iif: "wan0" }, chains)).toEqual(["accept"]);
    expect(verdicts(["iifname vmap @m_zone", "drop"], { iif: "eth9" }, chains)).toEqual(["drop"]);
  });

  test("an accept ends a base chain, a drop ends the hook; NAT chains are asked only when meant", () => {
    const base = (name: string, priority: number, type: "filter" | "nat", rules: readonly string[]) => ({
      name,
      base: { type, hook: "forward" as const, priority, policy: "accept" as const },
      rules,
    });
    const walker = (first: string, second: string): Walker =>
      new Walker({
        counters: ["c_a"],
        sets: [],
        chains: [
          base("b_2", 10, "filter", [second]),
          base("b_n", 5, "nat", ["masquerade"]),
          base("b_1", 0, "filter", [first]),
        ],
      });
    const one = packet({ source: parseIp("10.0.0.2")!, target: parseIp("10.0.1.5")! });
    const run = (first: string, second: string, nat = false) => walker(first, second).hook("forward", one, nat);
    expect(run("accept", "drop")).toMatchObject([{ verdict: "drop", chain: "b_2" }]);
    expect(run("drop", "accept")).toMatchObject([{ verdict: "drop", chain: "b_1" }]);
    expect(run("counter name c_a notrack", "accept")).toEqual([
      { verdict: "accept", notrack: true, counters: ["c_a"], chain: "b_2" },
    ]);
    expect(run("accept", "accept", true)).toMatchObject([{ verdict: "nat", chain: "b_n" }]);
  });

  test("counters of rules that do not match do not count", () => {
    const walker = new Walker({
      counters: ["c_a"],
      sets: [],
      chains: [
        {
          name: "b_f",
          base: { type: "filter", hook: "forward", priority: 0, policy: "accept" },
          rules: ["counter name c_a udp dport 1 drop"],
        },
      ],
    });
    const [way] = walker.hook("forward", packet({ source: parseIp("10.0.0.2")!, target: parseIp("10.0.1.5")! }));
    expect(way?.counters).toEqual([]);
  });
});
