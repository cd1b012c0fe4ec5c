/**
 * Generations as plain files in two folders, gen/<desired> and gen2/<desired>. The record names the digest of the
 * manifest, the manifest names every file: a copy is intact when all of it is, and two that are damaged in different
 * files are one between them, as the boot script reads them too.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
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

/** A file that is missing, or that the disk does not give back (EIO), is one that this copy does not have. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * All files of a generation, in the manifest's order and the manifest last, each from the first folder that has it as
 * it was written; undefined when none has.
 */
function gather(folders: readonly string[], { desired, manifest }: Named): readonly Artifact[] | undefined {
  const first = (name: string, digest: string): string | undefined =>
    folders
      .values()
      .map((folder) => textOf(join(folder, name)))
      .find((text) => text !== undefined && sha256Hex(text) === digest);
  const list = first(MANIFEST, manifest);
  if (list === undefined) return undefined;
  const files: Artifact[] = [];
  for (const line of list.trimEnd().split("\n")) {
    const [digest = "", name = ""] = line.split(/ [ *]/);
    const text = first(name, digest);
    if (text === undefined || (name === "desired.json" && digest !== desired)) return undefined;
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

  const isWhole = (copy: string, generation: Named): boolean =>
    gather([folderOf(copy, generation.desired)], generation) !== undefined;

  /** File by file where there is a folder: two copies that are one between them never lose what either has. */
  const mend = (copy: string, desired: string, files: readonly Artifact[]): void => {
    const folder = folderOf(copy, desired);
    const lost = files.filter(({ name, text }) => textOf(join(folder, name)) !== text);
    if (lost.length === files.length) writeCopy(copy, desired, files);
    else for (const { name, text } of lost) writeDurable(join(folder, name), text);
  };

  /** Its files; what is damaged is written anew, unless the disk takes nothing now. */
  const intact = (generation: Named): readonly Artifact[] | undefined => {
    const { desired } = generation;
    const folders = COPIES.map((copy) => folderOf(copy, desired));
    const files = gather(folders, generation);
    if (files === undefined) return undefined;
    try {
      for (const copy of COPIES) mend(copy, desired, files);
    } catch {
      // What was read is good, and is mended by a later look.
    }
    return files;
  };

  return {
    put(artifacts) {
      const text = artifacts.find((file) => file.name === "desired.json")?.text ?? "";
      const named = { desired: sha256Hex(text), manifest: manifestDigest(artifacts) };
      for (const copy of COPIES) {
        if (!isWhole(copy, named)) writeCopy(copy, named.desired, artifacts);
      }
      return named;
    },
    read(generation) {
      const text = intact(generation)?.find((file) => file.name === "desired.json")?.text;
      // Written by this agent and held by two digests: its shape needs no second look.
      return text === undefined ? undefined : (JSON.parse(text) as Desired);
    },
    rulesetFile(generation) {
      const text = intact(generation)?.find((file) => file.name === "ruleset.nft")?.text;
      const paths = COPIES.map((copy) => join(folderOf(copy, generation.desired), "ruleset.nft"));
      return text === undefined ? undefined : paths.find((path) => textOf(path) === text);
    },
    find(desired) {
      // Without a record nothing names the manifest; one whose files all fit it, under this name, is as good.
      const folders = COPIES.map((copy) => folderOf(copy, desired));
      for (const folder of folders) {
        const list = textOf(join(folder, MANIFEST));
        if (list === undefined) continue;
        const named = { desired, manifest: sha256Hex(list) };
        if (gather(folders, named) !== undefined) return named;
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
