/**
 * Generated files are committed, so every generator has two modes: write what it would write, or compare and
 * name what is stale. All of them share this one switch.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The checkout that this file belongs to; generators work from any directory. */
export const root = dirname(import.meta.dir);

/** Paths (relative to the checkout) whose content on disk is not the given text; a missing file is stale. */
export function staleFiles(files: ReadonlyMap<string, string>, base: string = root): string[] {
  return [...files]
    .filter(([path, text]) => {
      const file = join(base, path);
      return !existsSync(file) || readFileSync(file, "utf8") !== text;
    })
    .map(([path]) => path);
}

/**
 * With `--check` among the arguments: compares, prints what is stale and returns 1. Otherwise writes the files
 * that differ and returns 0. `command` is what the reader should run to repair.
 */
export function publish(files: ReadonlyMap<string, string>, args: readonly string[], command: string): number {
  const stale = staleFiles(files);
  if (args.includes("--check")) {
    for (const path of stale) console.error(`${path}: stale; run: ${command}`);
    return stale.length === 0 ? 0 : 1;
  }
  for (const path of stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), files.get(path) ?? "");
    console.log(`wrote ${path}`);
  }
  return 0;
}
