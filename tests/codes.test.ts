/** Problem codes: each one has a test that produces it, an explanation, and a next step that exists. */
import { describe, expect, test } from "bun:test";
import { root } from "../.ci/stale.ts";
import { readTree } from "../.ci/tree.ts";
import { problems } from "../schemas/problem.ts";

const tests = [...readTree(root)].filter(
  ([path]) => path.startsWith("tests/") && path.endsWith(".ts") && path !== "tests/codes.test.ts",
);
const sources = [...readTree(root)].filter(
  ([path]) =>
    /^(agent|client|schemas)\/.*\.(ts|sh)$|^agent\/scripts\//.test(path) && !path.startsWith("schemas/problems/"),
);
/** Files that name the code, whole or as `${stage}.name` where one reader serves two documents. */
const holders = (files: readonly (readonly [string, string])[], code: string): readonly string[] => {
  const [stage = "", name = ""] = code.split(".");
  const pattern = new RegExp(`(?<![\\w.])(?:${stage}|\\$\\{\\w+\\})\\.${name}(?![\\w.])`);
  return files.filter(([, text]) => pattern.test(text)).map(([path]) => path);
};

describe("every problem code", () => {
  test("is said somewhere in the code, so it can happen", () => {
    expect(problems.map((entry) => entry.code).filter((code) => holders(sources, code).length === 0)).toEqual([]);
  });

  test("is produced by a test", () => {
    expect(problems.map((entry) => entry.code).filter((code) => holders(tests, code).length === 0)).toEqual([]);
  });

  test("says what happened, what is safe and what to do next", () => {
    for (const entry of problems) {
      expect(entry.code).toMatch(/^[a-z][a-z0-9]*(\.[a-z][a-z0-9_]*)+$/);
      for (const text of [entry.sentence, entry.safe]) expect(text).toMatch(/^[A-Z].*\.$/);
      expect(entry.next.length).toBeGreaterThan(5);
    }
  });

  test("a code that no test produces would be noticed", () => {
    expect(holders(tests, "no.such_code_anywhere")).toEqual([]);
    expect(holders([["a", 'expect("a.b_c")']], "a.b")).toEqual([]);
    expect(holders([["a", 'expect("a.b")']], "a.b")).toEqual(["a"]);
  });
});
