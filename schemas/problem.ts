/**
 * Problems: coded refusals and failures. A code is permanent and never reused. The table is split by
 * stage in problems/; docs/problems.md and `holdfast explain` print this very data.
 */
import { applyProblems } from "./problems/apply.ts";
import { cliProblems } from "./problems/cli.ts";
import { compileProblems } from "./problems/compile.ts";
import type { ProblemEntry } from "./problems/entry.ts";
import { intentProblems } from "./problems/intent.ts";
import { outsideProblems } from "./problems/outside.ts";
import { trustProblems } from "./problems/trust.ts";
import { verifyProblems } from "./problems/verify.ts";

/** One thing that is wrong: stable code, where, and what exactly. */
export type Problem = { readonly code: string; readonly path: string; readonly detail: string };

/** Refusals are values: either the result, or every problem found, never an exception. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export const problems: readonly ProblemEntry[] = [
  ...intentProblems,
  ...trustProblems,
  ...compileProblems,
  ...verifyProblems,
  ...applyProblems,
  ...outsideProblems,
  ...cliProblems,
];

const byCode = new Map(problems.map((entry) => [entry.code, entry]));

/** The entry of a code; undefined for a code this version does not know. */
export function problemEntry(code: string): ProblemEntry | undefined {
  return byCode.get(code);
}

export function problem(code: string, path: string, detail: string): Problem {
  if (!byCode.has(code)) throw new Error(`problem code ${code} is not in the table`);
  return { code, path, detail };
}

export function refuse(code: string, path: string, detail: string): { ok: false; problems: readonly Problem[] } {
  return { ok: false, problems: [problem(code, path, detail)] };
}

export function done<T>(value: T): { ok: true; value: T } {
  return { ok: true, value };
}
