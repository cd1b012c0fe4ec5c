/** What the verifier does not understand has a name, with the place where it stands: verify.unmodelled. */
import { describe, expect, test } from "bun:test";
import { ask, openModel } from "../../../agent/core/verifier/model.ts";
import { base, map, set, table } from "../nft-tables.ts";
import { desiredWith, refusals, siteOf } from "./tables.ts";

/** Every rule here is refused, alone and by name. */
const RULES: Readonly<Record<string, RegExp>> = {
  "exthdr hbh missing accept": /exthdr hbh missing/,
  "rt type 0 drop": /rt type 0/,
  "frag more-fragments 1 drop": /frag more-fragments/,
  "ip frag-off & 0x1fff != 0 drop": /ip frag-off/,
  "th dport 53 accept": /th without a protocol that has ports/,
  "meta l4proto icmp th dport 53 accept": /th without a protocol that has ports/,
  'ct helper "ftp" accept': /ct helper/,
  'ct helper set "ftp"': /ct helper set/,
  "flow add @f_fast": /flow add @f_fast/,
  "ct mark 0x00010000 accept": /an epoch as a number/,
  "ct mark & 0x00ff0000 == 0x00000000 accept": /part of the epoch/,
  "ct mark set (ct mark & 0x000000ff) | 0x00000100": /a mark that mixes low bits/,
  "ct mark set ct mark ^ 0x00000001": /\^/,
  "meta mark 0x00000001 accept": /meta mark/,
  "fib saddr . iif oif missing drop": /fib saddr \. iif oif missing/,
  "fib daddr type broadcast accept": /broadcast/,
  "ct original ip daddr 10.0.0.1 accept": /ct original without ct status dnat/,
  "ip saddr @s_nobody accept": /@s_nobody is not there/,
  "goto z_nowhere": /chain z_nowhere is not there/,
  "ip saddr 10.0.0.1/24 accept": /10\.0\.0\.1\/24 as ipv4_addr/,
  "tcp dport ssh accept": /ssh as inet_service/,
  "tcp dport { 80-90, 85 } accept": /overlap/,
  'iifname { "lan0", "lan*" } accept': /overlap/,
  "limit rate over 10/second drop": /limit rate over/,
  "counter accept drop": /after a verdict/,
  "ct mark set 0x00000001 tcp dport 80 accept": /a condition after something was written/,
  notrack: /notrack after conntrack/,
  masquerade: /nat outside of a nat chain/,
  "redirect to :80": /redirect to :80/,
  "queue num 1": /queue num 1/,
  "numgen random mod 2 0 accept": /numgen/,
  'log prefix "x" accept': /log prefix/,
  "tcp option maxseg size set 1400 accept": /tcp option/,
  "dup to 10.0.0.1": /dup to/,
  "meta l4proto . ip saddr { tcp . 10.0.0.1 } vmap @v": /vmap/,
};

describe("rules", () => {
  for (const [rule, pattern] of Object.entries(RULES)) {
    test(rule, () => {
      const found = refusals(desiredWith({ forward: [rule] }));
      expect(found.length).toBeGreaterThan(0);
      for (const text of found) expect(text).toMatch(/^verify\.unmodelled (b_forward|z_)/);
      expect(found.join("\n")).toMatch(pattern);
    });
  }

  test("all of them are listed, with chain and index", () => {
    const found = refusals(desiredWith({ forward: ["accept", "queue num 1"], input: ["quota 5 bytes drop"] }));
    expect(found).toEqual([
      "verify.unmodelled b_input rule 1: quota 5 bytes drop",
      "verify.unmodelled b_forward rule 2: queue num 1",
    ]);
  });
});

describe("places and parts", () => {
  const refused = (...parts: Parameters<typeof table>): string => refusals(siteOf(table(...parts))).join("\n");

  test("sets", () => {
    expect(refusals(desiredWith({ sets: [set("s_a", "ether_addr", [])] })).join()).toMatch(/set s_a: type ether_addr/);
    expect(refusals(desiredWith({ sets: [set("s_a", "ifname", ['"wg*"'], true)] })).join()).toMatch(/wildcard/);
    expect(refusals(desiredWith({ sets: [set("s_a", "ipv4_addr", ["fd00::1"])] })).join()).toMatch(
      /fd00::1 as ipv4_addr/,
    );
    expect(refusals(desiredWith({ sets: [map("v_a", "ifname", "verdict", ['"a" : queue'])] })).join()).toMatch(
      /verdict queue/,
    );
    const wrong = { sets: [set("s_a", "ipv4_addr", [])], forward: ["tcp dport @s_a accept"] };
    expect(refusals(desiredWith(wrong)).join()).toMatch(/@s_a holds ipv4_addr, not tcp dport/);
  });

  test("wildcards that overlap", () => {
    expect(refusals(desiredWith({ forward: ['iifname "wg*" accept', 'iifname "wg1*" drop'] })).join()).toMatch(
      /wildcards that overlap/,
    );
  });

  test("chains: loops, ties, hooks and what may stand in them", () => {
    const loop = { chains: { z_a: ["goto z_b"], z_b: ["jump z_a"] }, forward: ["goto z_a"] };
    expect(refusals(desiredWith(loop)).join()).toMatch(/leads back to itself/);
    const tie = base("b_twin", "forward", 0, [], "accept");
    expect(refusals(desiredWith({ bases: [tie] })).join()).toMatch(/one hook with one priority/);
    const early = base("b_raw", "prerouting", -300, ["ct state new notrack"], "accept");
    expect(refusals(desiredWith({ bases: [early] })).join()).toMatch(/before it has seen the packet/);
    const out = base("b_pre", "prerouting", 0, ['oifname "lan0" drop'], "accept");
    expect(refusals(desiredWith({ bases: [out] })).join()).toMatch(/oifname before routing/);
    const nat = base("b_nat", "output", -100, ["dnat ip to 10.0.0.1"], "accept", "nat");
    expect(refusals(desiredWith({ bases: [nat] })).join()).toMatch(/nat in output/);
  });

  test("ports in a table without conntrack, which alone puts fragments together", () => {
    expect(refused([], [], [base("b_forward", "forward", 0, ["tcp dport 80 accept"])])).toMatch(/fragments/);
    expect(refused([], [], [base("b_forward", "forward", 0, ["ct state new tcp dport 80 accept"])])).toBe("");
  });
});

test("a question with words that are none is refused: verify.question", () => {
  const model = openModel(desiredWith({}));
  if (!model.ok) throw new Error("not read");
  const bad = ask(model.value, {
    region: {
      way: "arriving",
      source: { in: ["10.0.0.300"] },
      protocol: [300],
      dport: [[5, 1]],
      iif: ["a-name-that-is-too-long"],
    },
  });
  expect(bad).toMatchObject({ ok: false });
  const found = bad.ok ? [] : bad.problems.map((one) => `${one.code} ${one.path}`);
  expect([...new Set(found)].sort()).toEqual([
    "verify.question dport",
    "verify.question iif",
    "verify.question proto",
    "verify.question saddr",
  ]);
});
