/** The catalogue of scenarios is whole, and each place that it names exists. */
import { describe, expect, test } from "bun:test";
import { root } from "../../.ci/stale.ts";
import { readTree } from "../../.ci/tree.ts";
import { type Scenario, scenarios } from "./catalogue.ts";

const tree = readTree(root);

/** What is wrong with an entry, given the files of the tree. */
function faults(entry: Scenario, files: ReadonlyMap<string, string>): readonly string[] {
  const missing = entry.shown.filter(({ file, title }) => title === "" || !files.get(file)?.includes(`"${title}"`));
  const dead = missing.map(({ file, title }) => `${entry.id}: ${file} has no test "${title}"`);
  const shownNowhere = entry.shown.length === 0;
  return [...dead, ...(shownNowhere ? [`${entry.id}: is shown nowhere`] : [])];
}

describe("the catalogue", () => {
  test("has every scenario once, in order, in one sentence", () => {
    expect(scenarios.map((one) => one.id)).toEqual(Array.from({ length: 25 }, (_, i) => `A${i + 1}`));
    for (const { promise, limits = "Fine." } of scenarios)
      for (const text of [promise, limits]) expect(text).toMatch(/^[A-Z][^\n]*\.$/);
  });

  test("names tests that exist", () => {
    expect(scenarios.flatMap((one) => faults(one, tree))).toEqual([]);
  });

  test("every test that bears the name of a scenario is in it", () => {
    const named = [...tree].flatMap(([path, text]) =>
      /\.test\.ts$/.test(path) && path !== "tests/scenarios/catalogue.test.ts"
        ? [...text.matchAll(/test\(\s*"(A\d+: [^"]+)"/g)].map((match) => `${path} ${match[1]}`)
        : [],
    );
    const listed = new Set(scenarios.flatMap((one) => one.shown.map(({ file, title }) => `${file} ${title}`)));
    expect(named.filter((one) => !listed.has(one))).toEqual([]);
    expect(named.length).toBeGreaterThan(10);
  });

  test("would tell of a test that is gone, and of a scenario that is shown nowhere", () => {
    const files = new Map([["a.test.ts", 'test("A1: holds", () => {});']]);
    const entry = (change: Partial<Scenario>): Scenario => ({ id: "A1", promise: "It holds.", shown: [], ...change });
    expect(faults(entry({ shown: [{ file: "a.test.ts", title: "A1: holds" }] }), files)).toEqual([]);
    expect(faults(entry({ shown: [{ file: "a.test.ts", title: "A1: hold" }] }), files)).toHaveLength(1);
    expect(faults(entry({}), files)).toHaveLength(1);
  });
});
