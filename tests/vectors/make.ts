/**
 * `bun tests/vectors/make.ts [--check]`: writes the corpus, and the golden bytes of a version that has none yet. With
 * `--check` it compares instead and exits 1 when a file is stale. Bundles hold digests that the compiler makes, so a
 * change of the compiler changes corpus/bundle.jsonl, and no other file.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { publish, root } from "../../.ci/stale.ts";
import { stateText } from "../../agent/core/verify-state.ts";
import packageJson from "../../package.json";
import { files, lineOf } from "./corpus.ts";
import { goldenNow } from "./golden.ts";
import { baseState, NOW_MS } from "./world.ts";

/** Path and text of every file of the corpus. */
export function filesOf(): ReadonlyMap<string, string> {
  const corpus = Object.entries(files).map(
    ([name, vectors]) =>
      [`tests/vectors/corpus/${name}.jsonl`, vectors.map((vector) => `${lineOf(vector)}\n`).join("")] as const,
  );
  /** What the vectors are judged against; `holdfast verify` reads it as state.json. */
  return new Map([...corpus, ["tests/vectors/corpus/state.jsonl", stateText(baseState)]]);
}

function missingGolden(): readonly (readonly [path: string, text: string])[] {
  const path = `tests/vectors/golden/${packageJson.version}.jsonl`;
  const lines = goldenNow().map((one) => `${JSON.stringify(one)}\n`);
  return existsSync(join(root, path)) ? [] : [[path, lines.join("")]];
}

if (import.meta.main) {
  console.error(`judged at boot time ${NOW_MS} ms`);
  process.exit(publish(new Map([...filesOf(), ...missingGolden()]), process.argv, "bun tests/vectors/make.ts"));
}
