/**
 * proto/LEDGER.md: every field and enum number that was ever used. Lines are only ever added; a number that
 * comes back with another name or type is an error, because old signed bytes would change their meaning.
 */
import type { Declarations } from "./proto.ts";

export type LedgerLine = {
  readonly section: string;
  readonly number: number;
  readonly name: string;
  readonly type: string;
};

const RULES = `# Ledger of the wire

Every number that a message or an enum in this folder ever used. \`bun .ci/generate.ts --ledger\` appends new
numbers; nothing is removed or edited, also when a field goes away. \`tests/house.test.ts\` holds the protos to it.

Rules, each enforced by the generator, the scanner in \`schemas/wire.ts\` or the house test:

- No map (order is not defined), group, Any (types by name), float (no one form), oneof or proto3 \`optional\`.
- A message field is absent or present. Every other field is always present, and its zero means zero
  ([0004](../docs/decisions/0004-proto-without-presence.md)).
- Enum value 0 is \`..._UNSPECIFIED\` and is refused on arrival; values have no gaps.
- 64 bits only where 32 can run out (generations, indexes, counters, times); they are BigInt inside.
- A number is never reused, a name never gets another number, a type never changes: a new meaning is a new number.
- A signed message never gains a field that an old reader could ignore: unknown fields are refused.
`;

/** What the declarations say, in the words of the ledger; sections sorted by name, lines by number. */
export function ledgerLines(declared: Declarations): LedgerLine[] {
  const messages = [...declared.messages].flatMap(([name, fields]) =>
    fields.map((field) => ({
      section: `message ${name}`,
      number: field.number,
      name: field.key,
      type: `${field.repeated ? "repeated " : ""}${field.of ?? field.type}`,
    })),
  );
  const enums = [...declared.enums].flatMap(([name, values]) =>
    values.map((value) => ({ section: `enum ${name}`, number: value.number, name: value.key, type: "value" })),
  );
  return [...messages, ...enums];
}

/** Reads the ledger's tables; prose is skipped, a table line outside a section is an error. */
export function parseLedger(text: string): LedgerLine[] {
  let section = "";
  const lines: LedgerLine[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.startsWith("## ")) section = line.slice(3);
    const row = /^\| (\d+) \| (\w+) \| ([\w ]+) \|$/.exec(line);
    if (row === null) continue;
    if (section === "") throw new Error(`LEDGER.md:${index + 1}: a number outside a section`);
    lines.push({ section, number: Number(row[1]), name: row[2] ?? "", type: row[3] ?? "" });
  }
  return lines;
}

const at = (line: LedgerLine): string => `${line.section} ${line.number}`;

/** Why the declarations and the ledger do not fit: missing numbers, reused numbers, renumbered names. */
export function ledgerProblems(declared: readonly LedgerLine[], known: readonly LedgerLine[]): string[] {
  const byNumber = new Map(known.map((line) => [at(line), line]));
  const byName = new Map(known.map((line) => [`${line.section} ${line.name}`, line]));
  const problems: string[] = [];
  if (byNumber.size !== known.length) problems.push("the ledger lists a number twice");
  for (const line of declared) {
    const old = byNumber.get(at(line));
    const same = byName.get(`${line.section} ${line.name}`);
    if (old === undefined && same === undefined) problems.push(`${at(line)} (${line.name}) is not in the ledger`);
    else if (old === undefined) problems.push(`${at(line)}: ${line.name} already has number ${same?.number}`);
    else if (old.name !== line.name || old.type !== line.type) {
      problems.push(`${at(line)} was ${old.name} (${old.type}), is ${line.name} (${line.type}): take a new number`);
    }
  }
  return problems;
}

/** The ledger with every missing number added, old lines kept in place; throws where a number would be reused. */
export function extendLedger(text: string, declared: readonly LedgerLine[]): string {
  const known = parseLedger(text);
  const numbers = new Set(known.map(at));
  const added = declared.filter((line) => !numbers.has(at(line)));
  const problems = ledgerProblems(declared, [...known, ...added]);
  const names = new Set(known.map((line) => `${line.section} ${line.name}`));
  for (const line of added) {
    if (names.has(`${line.section} ${line.name}`))
      problems.push(`${at(line)}: ${line.name} already has another number`);
  }
  if (problems.length > 0) throw new Error(problems.join("\n"));
  let result = text === "" ? RULES : text;
  for (const section of new Set(added.map((line) => line.section))) {
    const rows = added
      .filter((line) => line.section === section)
      .map((l) => `| ${l.number} | ${l.name} | ${l.type} |\n`);
    const start = result.indexOf(`\n## ${section}\n`);
    if (start < 0) {
      result += `\n## ${section}\n\n| number | name | type |\n|---|---|---|\n${rows.join("")}`;
      continue;
    }
    const next = result.indexOf("\n## ", start + 1);
    const end = next < 0 ? result.length : next;
    result = result.slice(0, end) + rows.join("") + result.slice(end);
  }
  return result;
}
