/** Coverage says who depends on which rule. Each claim is tried by taking the rule or the element away. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Coverage, coverageOf, isHeld } from "../../agent/core/coverage.ts";
import { invariants, type Subject } from "../../agent/core/invariants.ts";
import type { Desired } from "../../schemas/desired.ts";
import { contractSubject, proofsOf } from "./contracts-sites.ts";
import { broken, drop, homelab, type Open, set } from "./invariant-subjects.ts";

setDefaultTimeout(60_000); // whole proofs

const CONTRACTS = [
  "allow: lan -> internet v4",
  "deny: zone lab -> router: [tcp/22]",
  "only: internet -> 10.0.0.10: [tcp/80-89, udp/8000]",
  "allow: profile full -> lan v4",
] as const;

// What the type of contracts' subjects leaves out is there all the same.
const subject = contractSubject(CONTRACTS) as Subject;

function covered(one: Subject): Coverage {
  const found = coverageOf(one);
  if (!found.ok) throw new Error(JSON.stringify(found.problems));
  return found.value;
}

const coverage = covered(subject);
const bare = covered({ ...subject, intent: { ...subject.intent, contracts: [] } });

const ruleOf = ({ rules }: Coverage, chain: string, text: string) =>
  rules.find((one) => one.chain === chain && one.text.includes(text))!;
const elementOf = ({ elements }: Coverage, name: string, text: string) =>
  elements.find((one) => one.set === name && one.element.startsWith(text))!;

/** Contracts that no longer hold once a change of the generation is made. */
function lost(desired: (desired: Open<Desired>) => void): readonly string[] {
  return proofsOf(CONTRACTS, { desired })
    .filter(({ state }) => state !== "holds")
    .map(({ id }) => id);
}

const removeRule =
  ({ chain, text }: { readonly chain: string; readonly text: string }) =>
  (desired: Open<Desired>): void =>
    drop(desired.nft.chains.find((one) => one.name === chain)!.rules, text);

describe("a contract holds", () => {
  test("all of its own: the rule that decides, the maps that lead there, marks and translations", () => {
    expect(CONTRACTS.map((_, n) => `c${n}`)).toEqual(subject.intent.contracts.map(({ id }) => id));
    expect(ruleOf(coverage, "z_o_lan", '"wan0" meta nfproto ipv4').contracts).toEqual(["c0"]);
    expect(ruleOf(coverage, "b_srcnat", "ipv4 meta l4proto tcp").contracts).toEqual(["c0"]);
    expect(ruleOf(coverage, "c_stamp", "ct mark set").contracts).toEqual(["c0", "c2", "c3"]);
    expect(ruleOf(coverage, "b_forward", "vmap @v_orig").contracts).toEqual(["c0", "c2", "c3"]);
    expect(elementOf(coverage, "v_orig", '"lan0"').contracts).toEqual(["c0"]);
    expect(ruleOf(coverage, "b_dstnat", "@m_pf4").contracts).toContain("c2");
  });

  test("the elements that let its packets by, also those that a rule must not find", () => {
    const held = (name: string): readonly string[] =>
      coverage.elements.filter((one) => one.set === name && one.contracts.length > 0).map((one) => one.element);
    expect(held("m_prof4")).toEqual(["10.8.0.2 : goto p_o_full"]);
    expect(held("s_src4")).toContain('10.8.0.2 . "wgs1"');
    expect(held("s_known").length).toBeGreaterThan(1);
    // Before translation and after it.
    expect(held("m_pf4").length).toBeGreaterThan(0);
    expect(held("s_pf4").length).toBe(held("m_pf4").length);
  });

  test("nothing once it is gone, while what invariants hold stays", () => {
    expect(bare.rules.filter(({ contracts }) => contracts.length > 0)).toEqual([]);
    const ids = ({ rules }: Coverage): readonly (readonly string[])[] => rules.map((one) => one.invariants);
    expect(ids(bare)).toEqual(ids(coverage));
  });

  test("rules whose loss it notices", () => {
    const places = [
      ["z_o_lan", '"wan0" meta nfproto ipv4', "c0"],
      ["p_o_full", "@s_net4_lan", "c3"],
      ["b_forward", "vmap @v_orig", "c0"],
      ["b_dstnat", "@m_pf4", "c2"],
    ] as const;
    for (const [chain, text, id] of places) {
      const rule = ruleOf(coverage, chain, text);
      expect(rule.contracts).toContain(id);
      expect(lost(removeRule(rule))).toContain(id);
    }
    for (const name of ["s_known", "m_prof4"]) {
      const { element } = elementOf(coverage, name, name === "s_known" ? '"lan0"' : "10.8.0.2");
      expect(lost((desired) => drop(set(desired, name).elements, element)).length).toBeGreaterThan(0);
    }
  });
});

test("what no contract holds can go, and none of them notices", () => {
  const free = coverage.rules.filter((one) => one.contracts.length === 0 && !one.text.endsWith("drop"));
  expect(free.length).toBeGreaterThan(50);
  const chains = new Set(free.map((one) => one.chain));
  expect(chains.size).toBeGreaterThan(10);
  // All at once: none of them is what stands in for another.
  const elements = coverage.elements.filter((one) => one.contracts.length === 0);
  expect(elements.length).toBeGreaterThan(30);
  const all = (desired: Open<Desired>): void => {
    for (const one of free) removeRule(one)(desired);
    for (const one of elements) drop(set(desired, one.set).elements, one.element);
  };
  expect(lost(all)).toEqual([]);
});

describe("an invariant holds", () => {
  const ids = (chain: string, text: string): readonly string[] => ruleOf(coverage, chain, text).invariants;

  test("rules that its packets meet", () => {
    expect(ids("z_lane_udp", "counter name c_lane_rescue accept")).toContain("HF-LANE-02");
    expect(ids("b_prerouting_raw", "udp dport @s_lane_udp")).toContain("HF-LANE-02");
    expect(ids("b_output_raw", "udp sport @s_lane_udp")).toContain("HF-LANE-03");
    expect(ids("b_prerouting", "@s_src4")).toContain("HF-SPOF-01");
    // Nobody but those who ask for it: no packet of an invariant is an error about another.
    expect(ids("b_input", "ct state related")).toEqual([]);
  });

  test("what it reads: without it, it is violated", () => {
    const readers = invariants.filter((one) => one.reads !== undefined);
    expect(readers.map(({ id }) => id)).toEqual(["HF-SPOF-01", "HF-RULE-01"]);
    for (const one of readers) {
      expect(one.check(homelab)).toEqual([]);
      for (const read of one.reads!(homelab)) {
        const gone = broken(homelab, (desired) => {
          if ("chain" in read) desired.nft.chains.find(({ name }) => name === read.chain)!.rules.splice(read.rule, 1);
          else set(desired, read.set).elements.splice(0, 1);
        });
        expect(one.check(gone)).not.toEqual([]);
      }
    }
  });
});

test("a rule has the part of the intent that it is from, and an element whom it names", () => {
  expect(ruleOf(coverage, "z_o_lan", '"lab0" ip daddr').origin).toEqual({
    path: "policies[3]",
    name: "policy lan-lab",
  });
  expect(ruleOf(coverage, "z_r_lan", '"lab0" ip saddr').origin).toEqual({
    path: "policies[3]",
    name: "policy lan-lab",
  });
  expect(ruleOf(coverage, "p_o_full", "@s_net4_lan").origin).toEqual({ path: "profiles[0]", name: "profile full" });
  expect(elementOf(coverage, "m_prof4", "10.8.0.2").origin).toMatchObject({ name: "client ann" });
  expect(elementOf(coverage, "v_orig", '"lan0"').origin).toMatchObject({ name: "zone lan" });
  expect(ruleOf(coverage, "b_input", "ct state related").origin).toBeNull();
  expect(coverage.rules.some(isHeld) && !coverage.rules.every(isHeld)).toBe(true);
});
