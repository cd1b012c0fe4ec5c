/**
 * Generations as plain files in two folders, gen/<desired> and gen2/<desired>. The record names the digest of the
 * manifest, the manifest names every file: a copy is intact when all of it is.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Desired } from "../../schemas/desired.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import { type Artifact, MANIFEST, manifestDigest } from "../core/artifacts.ts";
import type { RecordedGeneration } from "../core/record.ts";
import { failpoint } from "./failpoint.ts";
import { syncFolder, writeDurable } from "./files.ts";

const COPIES = ["gen", "gen2"] as const;
/** Generations that nothing names any more but that are kept for study. */
const OLD_MAX = 3;

type Named = Pick<RecordedGeneration, "desired" | "manifest">;

export type Generations = {
  put(artifacts: readonly Artifact[]): Named;
  read(generation: Named): Desired | undefined;
  rulesetFile(generation: Named): string | undefined;
  find(desired: string): Named | undefined;
  prune(keep: readonly string[]): void;
};

/** All files of a copy, in the manifest's order and the manifest last; undefined when a byte is not as named. */
function readCopy(folder: string, { desired, manifest }: Named): readonly Artifact[] | undefined {
  if (!existsSync(join(folder, MANIFEST))) return undefined;
  const list = readFileSync(join(folder, MANIFEST), "utf8");
  if (sha256Hex(list) !== manifest) return undefined;
  const files: Artifact[] = [];
  for (const line of list.trimEnd().split("\n")) {
    const [digest = "", name = ""] = line.split(/ [ *]/);
    if (!existsSync(join(folder, name))) return undefined;
    const text = readFileSync(join(folder, name), "utf8");
    if (sha256Hex(text) !== digest) return undefined;
    if (name === "desired.json" && digest !== desired) return undefined;
    files.push({ name, text });
  }
  return [...files, { name: MANIFEST, text: list }];
}

export function openGenerations(state: string): Generations {
  for (const copy of COPIES) mkdirSync(join(state, copy), { recursive: true, mode: 0o700 });
  const folderOf = (copy: string, desired: string): string => {
    if (!/^[0-9a-f]{64}$/.test(desired)) throw new Error("not a digest");
    return join(state, copy, desired);
  };

  /** Into a folder of its own, which gets its name when every file is synced. */
  const writeCopy = (copy: string, desired: string, artifacts: readonly Artifact[]): void => {
    const target = folderOf(copy, desired);
    const fresh = `${target}.new`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { mode: 0o700 });
    for (const file of artifacts) writeDurable(join(fresh, file.name), file.text);
    syncFolder(fresh);
    /* @__PURE__ */ failpoint("replace", target);
    rmSync(target, { recursive: true, force: true });
    /* @__PURE__ */ failpoint("rename", target);
    renameSync(fresh, target);
    /* @__PURE__ */ failpoint("renamed", target);
    syncFolder(join(state, copy));
  };

  const intact = (generation: Named): { readonly copy: string; readonly files: readonly Artifact[] } | undefined => {
    const found = COPIES.map((copy) => ({ copy, files: readCopy(folderOf(copy, generation.desired), generation) }));
    const good = found.find((one) => one.files !== undefined);
    if (good?.files === undefined) return undefined;
    for (const bad of found.filter((one) => one.files === undefined)) {
      writeCopy(bad.copy, generation.desired, good.files);
    }
    return { copy: good.copy, files: good.files };
  };

  return {
    put(artifacts) {
      const text = artifacts.find((file) => file.name === "desired.json")?.text ?? "";
      const named = { desired: sha256Hex(text), manifest: manifestDigest(artifacts) };
      for (const copy of COPIES) {
        if (readCopy(folderOf(copy, named.desired), named) === undefined) writeCopy(copy, named.desired, artifacts);
      }
      return named;
    },
    read(generation) {
      const text = intact(generation)?.files.find((file) => file.name === "desired.json")?.text;
      // Written by this agent and held by two digests: its shape needs no second look.
      return text === undefined ? undefined : (JSON.parse(text) as Desired);
    },
    rulesetFile(generation) {
      const good = intact(generation);
      return good === undefined ? undefined : join(folderOf(good.copy, generation.desired), "ruleset.nft");
    },
    find(desired) {
      // Without a record nothing names the manifest; one whose files all fit it, under this name, is as good.
      for (const copy of COPIES) {
        const list = join(folderOf(copy, desired), MANIFEST);
        if (!existsSync(list)) continue;
        const named = { desired, manifest: sha256Hex(readFileSync(list, "utf8")) };
        if (readCopy(folderOf(copy, desired), named) !== undefined) return named;
      }
      return undefined;
    },
    prune(keep) {
      for (const copy of COPIES) {
        const folder = join(state, copy);
        const names = readdirSync(folder);
        // Copies that a crash left half: nothing is on its way when old ones are pruned.
        for (const name of names.filter((one) => one.endsWith(".new"))) {
          rmSync(join(folder, name), { recursive: true, force: true });
        }
        const old = names
          .filter((name) => !keep.includes(name) && !name.endsWith(".new"))
          .map((name) => ({ name, atMs: statSync(join(folder, name)).mtimeMs }))
          .sort((a, b) => b.atMs - a.atMs);
        for (const { name } of old.slice(OLD_MAX)) {
          /* @__PURE__ */ failpoint("prune", folder);
          rmSync(join(folder, name), { recursive: true, force: true });
        }
        /* @__PURE__ */ failpoint("pruned", folder);
      }
    },
  };
}
