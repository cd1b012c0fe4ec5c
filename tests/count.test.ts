/** The sum that `npm test` prints: nothing that went wrong may be missing from it. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { judgeRun } from "../.ci/test.ts";

const report = (tests: number, failures: number, skipped: number, files: readonly string[]): string =>
  `<?xml version="1.0"?>\n<testsuites name="bun test" tests="${tests}" assertions="9" failures="${failures}" skipped="${skipped}" time="1">\n${files
    .map((file) => `<testsuite name="x" file="${file}" tests="1"></testsuite>`)
    .join("\n")}\n</testsuites>`;

test("a good run counts its tests", () => {
  const count = judgeRun(["tests/a.test.ts"], report(5, 0, 2, ["tests/a.test.ts"]), 0);
  expect(count).toEqual({ passed: 3, failed: 0, skipped: 2, why: [] });
});

test("failed tests are counted once, not again for the exit code", () => {
  const count = judgeRun(["tests/a.test.ts"], report(5, 2, 0, ["tests/a.test.ts"]), 1);
  expect(count).toMatchObject({ passed: 3, failed: 2, skipped: 0 });
});

test("a run without a readable report is a failure", () => {
  for (const xml of ["", "<testsuites/>", "Segmentation fault", '<testsuites tests="x" failures="0" skipped="0">']) {
    expect(judgeRun(["tests/a.test.ts"], xml, 0)).toMatchObject({ passed: 0, failed: 1 });
  }
});

test("a file in which no test ran is a failure", () => {
  const files = ["tests/a.test.ts", "tests/b.test.ts"];
  expect(judgeRun(files, report(5, 0, 0, ["tests/a.test.ts"]), 1)).toMatchObject({ passed: 5, failed: 1 });
  expect(judgeRun(files, report(0, 0, 0, []), 0)).toMatchObject({ passed: 0, failed: 2 });
});

test("an exit code that no failure explains is a failure", () => {
  expect(judgeRun([], report(5, 0, 0, []), 137)).toMatchObject({ passed: 5, failed: 1 });
});

test("the report of the bun that runs here is understood", () => {
  const folder = mkdtempSync(join(tmpdir(), "count-"));
  try {
    const cases = ['test("a", () => {});', 'test.skip("b", () => {});', 'test.todo("c");'];
    const bad = 'test("d", () => { throw new Error("no"); });';
    writeFileSync(join(folder, "a.test.ts"), ['import { test } from "bun:test";', ...cases, bad].join("\n"));
    const args = ["test", "./a.test.ts", "--reporter=junit", "--reporter-outfile=report.xml"];
    const done = Bun.spawnSync([process.execPath, ...args], { cwd: folder, stdout: "ignore", stderr: "ignore" });
    const count = judgeRun(["a.test.ts"], readFileSync(join(folder, "report.xml"), "utf8"), done.exitCode);
    expect(count).toEqual({ passed: 1, failed: 1, skipped: 2, why: [] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
