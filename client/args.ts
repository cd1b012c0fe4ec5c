/**
 * The command line of one verb, by the table in usage.ts. What the table does not know is a usage error with a guess
 * at what was meant; nothing is ignored.
 */
import { parseArgs } from "node:util";
import { type Problem, problem, type Result } from "../schemas/problem.ts";
import type { Verb } from "./usage.ts";

export type Args = {
  readonly operands: readonly string[];
  has(flag: string): boolean;
  /** The value of a flag; undefined when it is absent. */
  one(flag: string): string | undefined;
  all(flag: string): readonly string[];
};

/** A mistake on the command line, code cli.usage. */
export const usageProblem = (detail: string): Problem => problem("cli.usage", "", detail);

/** The refusal for one such mistake. */
export const usageError = (detail: string): { ok: false; problems: readonly Problem[] } => ({
  ok: false,
  problems: [usageProblem(detail)],
});

/** Edits between two words, neighbours swapped counting as one (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(row[j - 1]! + 1, rows[i - 1]![j]! + 1, rows[i - 1]![j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** " Did you mean X?" for the nearest known word, or "". */
export function didYouMean(word: string, known: readonly string[]): string {
  const near = known
    .map((one) => ({ one, far: distance(word.slice(0, 32), one) }))
    .filter(({ one, far }) => far <= Math.max(1, Math.floor(one.length / 3)))
    .sort((a, b) => a.far - b.far)[0];
  return near === undefined ? "" : ` Did you mean ${near.one}?`;
}

/** How many operands "NAME [CODE]" wants. */
function operandCounts(operands: string): { readonly least: number; readonly most: number } {
  const words = operands.split(" ").filter((word) => word !== "");
  return { least: words.filter((word) => !word.startsWith("[")).length, most: words.length };
}

/** Reads the words after the verb. Every mistake is listed, code cli.usage. */
export function readArgs(verb: Verb, words: readonly string[]): Result<Args> {
  const options = Object.fromEntries(
    verb.flags.map((flag) => [
      flag.name,
      { type: flag.value === "" ? ("boolean" as const) : ("string" as const), multiple: true },
    ]),
  );
  const { tokens } = parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true });
  const operands: string[] = [];
  const values = new Map<string, string[]>();
  const found: Problem[] = [];
  const names = verb.flags.map((flag) => `--${flag.name}`);
  for (const token of tokens) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const flag = verb.flags.find((one) => one.name === token.name);
    if (flag === undefined) {
      found.push(usageProblem(`There is no flag ${token.rawName} here.${didYouMean(token.rawName, names)}`));
      continue;
    }
    const given = values.get(flag.name) ?? [];
    values.set(flag.name, [...given, token.value ?? ""]);
    const value = token.value;
    if (flag.value === "" && value !== undefined) found.push(usageProblem(`--${flag.name} takes no value.`));
    if (flag.value !== "" && (value === undefined || value === "")) {
      found.push(usageProblem(`--${flag.name} needs a value: --${flag.name} ${flag.value}.`));
    }
    if (given.length > 0 && flag.many !== true) found.push(usageProblem(`--${flag.name} is there twice.`));
  }
  const { least, most } = operandCounts(verb.operands);
  if (operands.length < least)
    found.push(usageProblem(`Something is missing: holdfast ${verb.name} ${verb.operands}.`));
  for (const extra of operands.slice(most)) found.push(usageProblem(`"${printable(extra)}" is one word too many.`));
  if (found.length > 0) return { ok: false, problems: found };
  return {
    ok: true,
    value: {
      operands,
      has: (flag) => values.has(flag),
      one: (flag) => values.get(flag)?.[0],
      all: (flag) => values.get(flag) ?? [],
    },
  };
}

/** ASCII of what somebody typed, short enough for a message. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 80);
}

/** A whole number of a flag within bounds; `otherwise` when the flag is absent. Code cli.usage. */
export function numberOf(args: Args, flag: string, least: number, most: number, otherwise: number): Result<number> {
  const text = args.one(flag);
  if (text === undefined) return { ok: true, value: otherwise };
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return { ok: true, value };
  return usageError(`--${flag} must be a whole number from ${least} to ${most}.`);
}
