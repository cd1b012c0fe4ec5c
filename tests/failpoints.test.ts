/** The program that is released holds no failpoint: neither a call nor a name. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, nativeTarget } from "../.ci/build.ts";
import { root } from "../.ci/stale.ts";

setDefaultTimeout(240_000);

const MARK = "/* @__PURE__ */ failpoint(";

/** Lines of the agent's sources that call a failpoint. */
const calls = readdirSync(join(root, "agent"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.endsWith("/failpoint.ts"))
  .flatMap((name) => readFileSync(join(root, "agent", name), "utf8").split("\n"))
  .filter((line) => /\bfailpoint\(/.test(line));

test("every call is marked as one that may be left out", () => {
  expect(calls.length).toBeGreaterThan(30);
  expect(calls.filter((line) => !line.includes(MARK))).toEqual([]);
});

test("the compiled program has none of their words", () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-release-"));
  try {
    const program = readFileSync(compile(join(root, "agent/entry.ts"), process.execPath, nativeTarget(), folder));
    // Words that mean nothing else in this program; it holds the kernel's and the runtime's as well.
    const words = calls.flatMap((line) => /failpoint\("([a-z ]+)"/.exec(line)?.[1] ?? []);
    const own = words.filter((word) => ["performed", "fenced", "disarmed", "pruned", "give up"].includes(word));
    expect(own.length).toBeGreaterThan(4);
    for (const word of ["failpoint", ...own]) expect([word, program.includes(`"${word}"`)]).toEqual([word, false]);
    // The search finds what is there.
    expect(program.includes('"undecided"')).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
