/** A slice of `npm run mutate` with a fixed seed; and that the campaign can fail. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { sameVerdicts } from "../../agent/core/verifier/compare.ts";
import { randomOf } from "../campaigns/campaign.ts";
import { Behaviour } from "./behaviour.ts";
import { checks, further } from "./checks.ts";
import { exampleSubject } from "./grounds.ts";
import { boundsMissed, lineOf, reportOf, survivalOf } from "./report.ts";
import { groundOf, judged, percent, scoreOf, some } from "./run.ts";
import { joined, partsOf } from "./split.ts";

setDefaultTimeout(60_000); // dozens of proofs

const SEED = 5;
const homelab = exampleSubject("homelab");
const ground = groundOf("homelab", homelab, randomOf("mutate", SEED, 0));

describe("mutants", () => {
  test("a rule is cut into its parts and put together again", () => {
    const rules = homelab.desired.nft.chains.flatMap((chain) => chain.rules);
    for (const rule of rules) expect(joined(partsOf(rule))).toBe(rule);
    expect(() => partsOf("ip ttl 1 drop")).toThrow("ip ttl 1");
  });

  test("every mutant is another table, and every kind is there", () => {
    const kinds = new Set(ground.mutants.map((mutant) => mutant.kind));
    expect([...kinds].sort()).toEqual([
      ...["element-elsewhere", "element-less", "element-more", "element-wide", "hole", "nat", "policy", "remove"],
      ...["stamp", "swap", "unmatch", "untrack", "verdict", "widen"],
    ] as never);
    const original = JSON.stringify(homelab.desired.nft);
    for (const mutant of some(ground, 60, randomOf("mutate", SEED, 1)).mutants) {
      expect(JSON.stringify(mutant.make())).not.toBe(original);
    }
  });

  test("what shares an arena with its original is judged like sameVerdicts judges it alone", () => {
    const behaviour = new Behaviour(homelab.desired);
    const { mutants } = some(ground, 8, randomOf("mutate", SEED, 2));
    const kinds = mutants.slice(-8).map((mutant) => {
      const nft = mutant.make();
      const model = behaviour.model(nft);
      if (typeof model === "string") throw new Error(`${mutant.where}: ${model}`);
      const { kind } = behaviour.change(model);
      const alone = sameVerdicts(homelab.desired, homelab.desired.nft, nft);
      expect([mutant.where, alone.ok && alone.value === null]).toEqual([mutant.where, kind === "equal"]);
      return kind;
    });
    expect(new Set(kinds)).toContain("equal");
    expect(new Set(kinds)).toContain("changed");
  });
});

describe("the campaign", () => {
  const slice = some(ground, 10, randomOf("mutate", SEED, 3));

  test("every hole of design §6 is noticed, and the slice keeps the bounds", () => {
    const score = scoreOf([...judged(slice, { checks, further })]);
    expect(boundsMissed(score, further)).toEqual([]);
    expect(score.changed).toBeGreaterThan(16);
    expect(score.noticed + score.survivors.length).toBe(score.changed);
    const share = percent(score.noticed, score.changed);
    const line = `mutate: mutants=${score.changed} noticed=${score.noticed} score=${share}`;
    expect(lineOf(score, further)).toBe(`${line} with_equiv=100`);
    expect(lineOf(score, [])).toBe(line);
  });

  test("without an invariant, what it alone notices survives and is listed, and the bounds are missed", () => {
    const hole = slice.mutants.filter((mutant) => mutant.rule === "a local source from outside");
    const blind = checks.filter(({ id }) => id !== "HF-SPOF-02" && id !== "contract");
    const score = scoreOf([...judged({ ...slice, mutants: hole }, { checks: blind, further: [] })]);
    expect(score).toMatchObject({ changed: 1, noticed: 0 });
    expect(boundsMissed(score, [])).toEqual([
      "0 % noticed, at least 95 are needed",
      'the hole "a local source from outside" of homelab was not noticed',
    ]);
    const [first = ""] = survivalOf(score.survivors[0]!, SEED);
    expect(reportOf(score).at(-1)).toStartWith("mutate: beside them 0 that change nothing");
    expect(first).toContain("survived: homelab hole b_prerouting: a local source from outside (");
    expect(first).toContain("prerouting: drop becomes accept for proto");
    expect(first).toContain(`npm run mutate -- --seed ${SEED} --only 0`);
    const more = scoreOf([...judged({ ...slice, mutants: hole }, { checks: blind, further: checks })]);
    expect(more).toMatchObject({ noticed: 0, withMore: 1 });
  });

  test("a share is never rounded up to the whole", () => {
    expect(percent(9999, 10_000)).toBe(99.99);
    expect(percent(99_999, 100_000)).toBe(99.99);
    expect(percent(0, 0)).toBe(100);
  });
});
