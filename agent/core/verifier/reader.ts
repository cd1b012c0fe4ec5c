/**
 * From a rule's text to what it says. Every word must be understood; the first one that is not is named, and nothing
 * after it is guessed. Facts about nft 1.0.6 come from `nft --debug=netlink`: `icmp type` asks for IPv4 as well,
 * `th dport` asks for no protocol, `ct state a,b` is a test of bits.
 */
import type { Columns, Key, Rule, Statement, Verdict } from "./ast.ts";
import { type Cursor, peek, readKeys, rest, setName, take, wordsOf } from "./cursor.ts";
import { FLAGS, type Interval } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";
import { readMarkMatch, readMarkSet, readPacketMark } from "./marks.ts";
import { readNat } from "./nat-words.ts";
import { FLAGS_KEY, type IndexOf, keyAt, numberOf, STATUS_KEYS, valuesOf } from "./words.ts";

function product(columns: readonly (readonly Interval[])[]): readonly Columns[] {
  return columns.reduce<readonly Columns[]>(
    (rows, column) => rows.flatMap((row) => column.map((one) => [...row, one])),
    [[]],
  );
}

/** One element of a list: a word for each key, with dots between them. */
function readElement(cursor: Cursor, keys: readonly Key[]): readonly Columns[] {
  return product(
    keys.map((key, i) => {
      if (i > 0) take(cursor, ".");
      return valuesOf(key.type, take(cursor), cursor.indexOf);
    }),
  );
}

const overlap = (a: Columns, b: Columns): boolean => a.every((one, i) => one.from <= b[i]!.to && b[i]!.from <= one.to);

/** What stands right of an expression: a word, words with commas (states), or a list in braces. */
function readBoxes(cursor: Cursor, keys: readonly Key[]): readonly Columns[] {
  if (peek(cursor) !== "{") {
    const found = [...readElement(cursor, keys)];
    while (peek(cursor) === ",") {
      // Only bits are listed without braces.
      if (keys.length !== 1 || keys[0]!.type !== "ct_state") throw new Unmodelled(rest(cursor));
      cursor.at += 1;
      found.push(...readElement(cursor, keys));
    }
    return found;
  }
  take(cursor, "{");
  const found: Columns[] = [];
  for (;;) {
    const element = readElement(cursor, keys);
    // nft refuses most of these, and merges the rest without saying how.
    if (element.some((one) => found.some((other) => overlap(one, other))))
      throw new Unmodelled("a list whose elements overlap");
    found.push(...element);
    if (take(cursor, ",", "}") === "}") return found;
  }
}

function readMatch(cursor: Cursor): Statement {
  const keys = readKeys(cursor);
  const operator = peek(cursor);
  if (operator === "vmap") {
    cursor.at += 1;
    return { kind: "vmap", keys, map: setName(take(cursor)) };
  }
  const negated = operator === "!=";
  if (negated || operator === "==") cursor.at += 1;
  if (peek(cursor).startsWith("@")) return { kind: "match", keys, negated, set: setName(take(cursor)) };
  return { kind: "boxes", keys, negated, boxes: readBoxes(cursor, keys) };
}

const FLAG_BITS: Readonly<Record<string, number>> = FLAGS;

function readFlags(cursor: Cursor, separator: "," | "|"): number {
  let bits = 0;
  for (;;) {
    const word = take(cursor);
    const bit = FLAG_BITS[word];
    if (bit === undefined) throw new Unmodelled(`tcp flag ${word}`);
    bits |= bit;
    if (peek(cursor) !== separator) return bits;
    cursor.at += 1;
  }
}

/** `tcp flags syn / syn,rst` and `tcp flags & (fin | syn | rst | ack) != syn`. */
function readFlagsMatch(cursor: Cursor): Statement {
  let [mask, value, negated] = [0, 0, false];
  if (peek(cursor) === "&") {
    cursor.at += 1;
    take(cursor, "(");
    mask = readFlags(cursor, "|");
    take(cursor, ")");
    negated = take(cursor, "==", "!=") === "!=";
    value = readFlags(cursor, "|");
  } else {
    value = readFlags(cursor, ",");
    take(cursor, "/");
    mask = readFlags(cursor, ",");
  }
  const boxes: Columns[] = [];
  for (let flags = 0; flags < 16; flags += 1) if ((flags & mask) === value) boxes.push([{ from: flags, to: flags }]);
  return { kind: "boxes", keys: [FLAGS_KEY], negated, boxes };
}

function readFib(cursor: Cursor): Statement {
  const field = take(cursor, "saddr", "daddr") as "saddr" | "daddr";
  // Which route of several it looks at has changed between kernels.
  if (peek(cursor) === ".") throw new Unmodelled(`fib ${field} ${rest(cursor)}`);
  take(cursor, "type");
  const negated = peek(cursor) === "!=";
  if (negated || peek(cursor) === "==") cursor.at += 1;
  take(cursor, "local");
  return { kind: "local", field, negated };
}

const TIME = new Set(["second", "minute", "hour", "day", "week"]);

/** `limit rate 100/second burst 5 packets` */
function readLimit(cursor: Cursor): Statement {
  take(cursor, "rate");
  const [count, unit] = take(cursor).split("/");
  if (numberOf(count ?? "") === undefined || !TIME.has(unit ?? "")) throw new Unmodelled(`limit rate ${count}/${unit}`);
  if (peek(cursor) === "burst") {
    cursor.at += 2;
    take(cursor, "packets");
  }
  return { kind: "limit" };
}

export function readVerdict(
  words: readonly string[],
  at: number,
): { readonly verdict: Verdict; readonly next: number } | undefined {
  const word = words[at] ?? "";
  if (word === "accept" || word === "drop" || word === "return") return { verdict: { kind: word }, next: at + 1 };
  if (word !== "jump" && word !== "goto") return undefined;
  const chain = words[at + 1];
  if (chain === undefined) throw new Unmodelled(`${word} to nowhere`);
  return { verdict: { kind: word, chain }, next: at + 2 };
}

/** Statements that change nothing which a verdict hangs on. */
function skip(cursor: Cursor): boolean {
  const word = peek(cursor);
  if (word === "counter") {
    const length = peek(cursor, 1) === "name" ? 3 : peek(cursor, 1) === "packets" ? 5 : 1;
    cursor.at += length;
    return true;
  }
  if (word === "comment") {
    cursor.at += 2;
    return true;
  }
  // Written to the packet's options, which no rule reads. It must be last: a packet without the option ends the rule.
  if (word === "tcp" && peek(cursor, 1) === "option") {
    if (!/^tcp option maxseg size set (\d+|rt mtu)$/.test(rest(cursor))) throw new Unmodelled(rest(cursor));
    cursor.at = cursor.words.length;
    return true;
  }
  return false;
}

function readStatement(cursor: Cursor): Statement {
  const [word, second, third] = [peek(cursor), peek(cursor, 1), peek(cursor, 2)];
  const verdict = readVerdict(cursor.words, cursor.at);
  if (verdict !== undefined) {
    cursor.at = verdict.next;
    return { kind: "verdict", verdict: verdict.verdict };
  }
  if (word === "reject") {
    cursor.at = cursor.words.length;
    return { kind: "verdict", verdict: { kind: "drop" } };
  }
  if (word === "notrack") {
    cursor.at += 1;
    return { kind: "notrack" };
  }
  if (word === "limit") {
    cursor.at += 1;
    return readLimit(cursor);
  }
  if (word === "fib") {
    cursor.at += 1;
    return readFib(cursor);
  }
  if (word === "masquerade" || word === "dnat" || word === "snat") {
    cursor.at += 1;
    return { kind: "nat", nat: readNat(cursor, word) };
  }
  if (word === "meta" && second === "nfproto") {
    cursor.at += 2;
    const negated = peek(cursor) === "!=";
    if (negated) cursor.at += 1;
    return { kind: "family", family: take(cursor, "ipv4", "ipv6") === "ipv4" ? 4 : 6, negated };
  }
  if (word === "tcp" && second === "flags") {
    cursor.at += 2;
    return readFlagsMatch(cursor);
  }
  if (word === "ct" && second === "status") {
    const key = STATUS_KEYS[third];
    if (key === undefined || peek(cursor, 3) === ",") throw new Unmodelled(rest(cursor));
    cursor.at += 3;
    return { kind: "boxes", keys: [key], negated: false, boxes: [[{ from: 1, to: 1 }]] };
  }
  const marks =
    word === "ct" && second === "mark" && third !== "set"
      ? readMarkMatch(cursor.words, cursor.at + 2)
      : word === "meta" && second === "mark" && third === "set"
        ? readPacketMark(cursor.words, cursor.at + 3)
        : word === "ct" && second === "mark" && keyAt(cursor.words, cursor.at + 3) === undefined
          ? readMarkSet(cursor.words, cursor.at + 3)
          : undefined;
  if (marks !== undefined) {
    cursor.at = marks.next;
    return marks.statement;
  }
  if (word === "ct" && second === "mark") {
    cursor.at += 3;
    const keys = readKeys(cursor);
    take(cursor, "map");
    return { kind: "mark-map", keys, map: setName(take(cursor)) };
  }
  return readMatch(cursor);
}

const CONDITIONS: ReadonlySet<Statement["kind"]> = new Set(["match", "boxes", "vmap", "family", "local", "limit"]);

/** One rule; throws Unmodelled with the words that are not understood. */
export function readRule(text: string, indexOf: IndexOf): Rule {
  const cursor: Cursor = { at: 0, words: wordsOf(text), indexOf };
  const statements: Statement[] = [];
  while (cursor.at < cursor.words.length) {
    const last = statements.at(-1)?.kind;
    if (last === "verdict" || last === "vmap" || last === "nat") {
      if (peek(cursor) !== "comment") throw new Unmodelled(`"${rest(cursor)}" after a verdict`);
    }
    if (skip(cursor)) continue;
    const statement = readStatement(cursor);
    // nft writes before it looks at the rest of the rule; nobody means that.
    const wrote = statements.some(({ kind }) => !CONDITIONS.has(kind));
    if (wrote && CONDITIONS.has(statement.kind)) throw new Unmodelled("a condition after something was written");
    statements.push(statement);
  }
  return { text, statements };
}
