/** Help as text, from the table of verbs. */
import type { ExitCode } from "./out.ts";
import { type Verb, verbs } from "./usage.ts";

const EXITS: Readonly<Record<ExitCode, string>> = {
  0: "done, or nothing to do",
  1: "unexpected: a bug, or a broken machine",
  2: "usage",
  3: "refused: nothing was changed",
  4: "rolled back: what ran before runs again",
  5: "unreachable, or the state is unknown",
  6: "the router needs hands",
  8: "pending confirm, changes present, or waiting for signatures",
};

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}

/** Help of one verb; ends with EXIT STATUS. */
export function verbHelp(verb: Verb): string {
  const operands = verb.operands === "" ? "" : ` ${verb.operands}`;
  const flags = verb.flags.map((flag): readonly [string, string] => [
    `--${flag.name}${flag.value === "" ? "" : ` ${flag.value}`}`,
    flag.many ? `${flag.text}; may be repeated` : flag.text,
  ]);
  const exits = [...new Set<ExitCode>([0, 1, 2, ...verb.exits])].sort((a, b) => a - b);
  const about = verb.about === undefined ? "" : `\n${verb.about}\n`;
  return `${verb.sentence}
${about}
USAGE
  holdfast ${verb.name}${operands} [flags]

FLAGS
${columns(flags)}
JSON
  verb, exit, problems [{code, path, detail, next}]
  ${verb.json}

EXIT STATUS
${columns(exits.map((exit): readonly [string, string] => [String(exit), EXITS[exit]]))}`;
}

/** Help of the whole program, or of the verbs that begin with a word. */
export function programHelp(first?: string): string {
  const shown = verbs.filter((verb) => first === undefined || verb.name.startsWith(`${first} `));
  const list = columns(
    shown.map((verb): readonly [string, string] => [`${verb.name} ${verb.operands}`.trim(), verb.sentence]),
  );
  const head = first === undefined ? "holdfast: keeps remote routers under control.\n\n" : "";
  const day =
    first === undefined
      ? "\nThe first day: init, router enrol, client add, push. Each verb has --help.\nWhen something is wrong: holdfast explain CODE, and docs/recovery.md.\n"
      : "";
  return `${head}USAGE\n  holdfast ${first ?? "VERB"}${first === undefined ? "" : " VERB"} [flags]\n\nVERBS\n${list}${day}`;
}
