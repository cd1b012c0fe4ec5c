/**
 * What the CLI says and where: answers on stdout, everything for people on stderr, one JSON object under --json, no
 * colour off a terminal. A command ends in a value; only main turns it into text and an exit code.
 */
import { toHex } from "../schemas/digest.ts";
import { type Problem, problem, problemEntry, type Result } from "../schemas/problem.ts";

export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 8;

/** How a command ended: text for stdout, fields of its JSON object, and what went wrong. */
export type Ending = {
  readonly exit: ExitCode;
  readonly answer: string; // "" prints nothing
  readonly fields: Readonly<Record<string, unknown>>;
  readonly problems: readonly Problem[];
};

/** Done, with what stdout gets and the fields of the JSON object. */
export function finished(answer: string, fields: Readonly<Record<string, unknown>> = {}, exit: ExitCode = 0): Ending {
  return { exit, answer, fields, problems: [] };
}

/** The first problem decides the exit code; a code of a newer router counts as a refusal. */
export function refused(problems: readonly Problem[], fields: Readonly<Record<string, unknown>> = {}): Ending {
  return { exit: problemEntry(problems[0]?.code ?? "")?.exit ?? 3, answer: "", fields, problems };
}

/** The streams that a command may use while it runs. */
export type Voice = {
  /** A line for people. */
  say(text: string): void;
  /** Announces a wait that lasts over a second; call the result when it is over. */
  progress(what: string): () => void;
  /**
   * A question that only a person may answer: with yes, or by typing `word`. Codes cli.not_a_terminal, cli.declined.
   */
  ask(question: string, flag: string, word?: string): Promise<Result<void>>;
};

const SECOND_MS = 1000;
/** Off a terminal a long wait is worth one line in a log now and then. */
const LOG_EVERY_S = 10;

function progressLine(what: string, quiet: boolean): () => void {
  if (quiet) return () => undefined;
  const isTerminal = process.stderr.isTTY === true;
  const started = performance.now();
  let shown = false;
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - started) / SECOND_MS);
    if (isTerminal) process.stderr.write(`\r${what} (${seconds} s) `);
    else if (!shown || seconds % LOG_EVERY_S === 0) process.stderr.write(`${what} (${seconds} s)\n`);
    shown = true;
  }, SECOND_MS);
  return () => {
    clearInterval(timer);
    if (shown && isTerminal) process.stderr.write(`\r${" ".repeat(what.length + 12)}\r`);
  };
}

async function readLine(): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question("");
  } finally {
    lines.close();
  }
}

async function askPerson(question: string, flag: string, word?: string): Promise<Result<void>> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    const detail = `"${question}" needs a person at a terminal; in scripts give ${flag}`;
    return { ok: false, problems: [problem("cli.not_a_terminal", "", detail)] };
  }
  process.stderr.write(word === undefined ? `${question} [yes/no] ` : `${question} `);
  const line = (await readLine()).trim().toLowerCase();
  const accepted = word === undefined ? ["yes", "y"] : [word];
  if (accepted.includes(line)) return { ok: true, value: undefined };
  return { ok: false, problems: [problem("cli.declined", "", `the answer was not ${word ?? "yes"}`)] };
}

/** Under --json the lines of progress stay away: whoever reads the object has no use for them. */
export function voiceOf(json: boolean): Voice {
  return {
    say: (text) => void process.stderr.write(`${text}\n`),
    progress: (what) => progressLine(what, json),
    ask: askPerson,
  };
}

const isColoured = (): boolean => process.stderr.isTTY === true && (process.env.NO_COLOR ?? "") === "";

/** `error: CODE at PATH: detail` for each, then what to do about it, each sentence once. */
export function problemLines(problems: readonly Problem[], colour = false): readonly string[] {
  const word = colour ? "\u001b[31merror:\u001b[0m" : "error:";
  const errors = problems.map(
    ({ code, path, detail }) => `${word} ${code}${path === "" ? "" : ` at ${path}`}: ${detail}`,
  );
  const hints = problems.map(({ code }) => problemEntry(code)?.next ?? `holdfast explain ${code}`);
  return [...errors, ...[...new Set(hints)].map((next) => `next: ${next}`)];
}

/** JSON has neither 64-bit numbers nor bytes: numbers that would lose digits become text, bytes become hex. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
  return value instanceof Uint8Array ? toHex(value) : value;
}

/** The one object that a verb prints under --json. */
export function endingJson(verb: string, ending: Ending): string {
  const problems = ending.problems.map((one) => ({ ...one, next: problemEntry(one.code)?.next ?? "" }));
  return JSON.stringify({ verb, exit: ending.exit, ...ending.fields, problems }, plain);
}

/** Prints how a command ended; stdout gets the answer or the object, stderr the problems. */
export function printEnding(verb: string, ending: Ending, json: boolean): void {
  if (json) process.stdout.write(`${endingJson(verb, ending)}\n`);
  else if (ending.answer !== "")
    process.stdout.write(ending.answer.endsWith("\n") ? ending.answer : `${ending.answer}\n`);
  if (json) return;
  for (const line of problemLines(ending.problems, isColoured())) process.stderr.write(`${line}\n`);
}

/** Columns of text, padded to the widest cell; the last column is left as it is. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, i) => Math.max(most[i] ?? 0, cell.length)), []);
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** 93784 s as "1 d 2 h", for people. */
export function age(seconds: number): string {
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}
