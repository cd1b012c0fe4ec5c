/** `explain`: the problem table and the invariants, as docs/problems.md and docs/invariants.md print them. */
import { invariants } from "../../agent/core/invariants.ts";
import { problemEntry, problems, refuse } from "../../schemas/problem.ts";
import { didYouMean, printable } from "../args.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import type { Context } from "../session.ts";

function explainInvariant(id: string): Ending | undefined {
  const found = invariants.find((one) => one.id === id.toUpperCase());
  if (found === undefined) return undefined;
  const { sentence, why, example, fix } = found;
  const rows = [
    ["why", why],
    ["broken by", example],
    ["fix", fix],
  ];
  return finished(`${found.id}: ${sentence}\n\n${table(rows)}`, { id: found.id, sentence, why, example, fix });
}

function explainAll(): Ending {
  const codes = [...problems].sort((a, b) => (a.code < b.code ? -1 : 1));
  const rows = [
    ...codes.map(({ code, sentence }) => [code, sentence]),
    ...invariants.map(({ id, sentence }) => [id, sentence]),
  ];
  return finished(table(rows), { codes: rows.map(([code, sentence]) => ({ code, sentence })) });
}

/** `holdfast explain [CODE]` */
export async function explain({ args }: Context): Promise<Ending> {
  const [code] = args.operands;
  if (code === undefined) return explainAll();
  const entry = problemEntry(code);
  if (entry === undefined) {
    const invariant = explainInvariant(code);
    if (invariant !== undefined) return invariant;
    const guess = didYouMean(code, [...problems.map((one) => one.code), ...invariants.map((one) => one.id)]);
    return refused(refuse("cli.unknown_code", printable(code), `this version has no such code.${guess}`).problems);
  }
  const { sentence, safe, next, exit, status } = entry;
  const rows = [
    ["safe", safe],
    ["next", next],
    ["exit code", String(exit)],
    ["HTTP", String(status)],
  ];
  return finished(`${code}: ${sentence}\n\n${table(rows)}`, { code, sentence, safe, next, exit_code: exit, status });
}
