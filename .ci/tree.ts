/** The checkout as text, for the rules that tests/house.test.ts holds it to. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Path relative to the checkout, with "/", to its text. Sorted by path. */
export type Tree = ReadonlyMap<string, string>;

export type Violation = { readonly path: string; readonly line: number; readonly what: string };

/** A rule looks at the whole tree and names every place that breaks it. */
export type Rule = (tree: Tree) => Violation[];

const SKIPPED = new Set([".git", "node_modules", "dist", "out"]);

/** Every text file below `base` that could be committed; binary files (they hold a NUL) and logs are left out. */
export function readTree(base: string): Tree {
  const found: [string, string][] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(base, folder), { withFileTypes: true })) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (SKIPPED.has(entry.name) || path.endsWith(".log")) continue;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) {
        const text = readFileSync(join(base, path), "utf8");
        if (!text.includes("\0")) found.push([path, text]);
      }
    }
  };
  walk("");
  return new Map(found.sort((a, b) => (a[0] < b[0] ? -1 : 1)));
}

/** Every match of the pattern in the text, one violation for each. */
export function everyMatch(path: string, text: string, pattern: RegExp, what: (found: string) => string): Violation[] {
  return [...text.matchAll(pattern)].map((match) => ({
    path,
    line: text.slice(0, match.index).split("\n").length,
    what: what(match[0]),
  }));
}

export const isCode = (path: string): boolean => /\.(ts|mjs|js|sh)$/.test(path) && !path.startsWith("proto/gen/");
