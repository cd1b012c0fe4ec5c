/** Words of a rule, taken one after the other. */
import type { Key } from "./ast.ts";
import { Unmodelled } from "./leaves.ts";
import { type IndexOf, keyAt } from "./words.ts";

/** Words of a rule; quotes stay, brackets and commas stand alone. */
export const wordsOf = (text: string): readonly string[] => text.match(/"[^"]*"|[{}(),]|[^\s,{}()"]+/g) ?? [];

export type Cursor = { at: number; readonly words: readonly string[]; readonly indexOf: IndexOf };

export const peek = (cursor: Cursor, ahead = 0): string => cursor.words[cursor.at + ahead] ?? "";
export const rest = (cursor: Cursor): string => cursor.words.slice(cursor.at).join(" ");

export function take(cursor: Cursor, ...expected: readonly string[]): string {
  const word = peek(cursor);
  if (word === "" || (expected.length > 0 && !expected.includes(word)))
    throw new Unmodelled(rest(cursor) || "the end of the rule");
  cursor.at += 1;
  return word;
}

/** `a . b . c` */
export function readKeys(cursor: Cursor): readonly Key[] {
  const keys: Key[] = [];
  for (;;) {
    const found = keyAt(cursor.words, cursor.at);
    if (found === undefined) throw new Unmodelled(rest(cursor));
    keys.push(found.key);
    cursor.at += found.length;
    if (peek(cursor) !== ".") return keys;
    cursor.at += 1;
  }
}

/** The name in `@name`. */
export const setName = (word: string): string => {
  if (!word.startsWith("@")) throw new Unmodelled(word || "the end of the rule");
  return word.slice(1);
};
