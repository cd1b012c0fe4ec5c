/** Disks that a power cut left: written to a file, and read without a machine, after the journal's recovery. */
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type ChosenRecord, chooseRecord } from "../../agent/core/record.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import { must } from "./tree.ts";
import { type Overlay, SECTOR } from "./write-log.ts";

/** Writes the disk as it was left: a copy of the one below with its changed sectors. */
export function writeDisk(below: string, overlay: Overlay, path: string): void {
  copyFileSync(below, path);
  const file = openSync(path, "r+");
  try {
    for (const [sector, bytes] of overlay.sectors) writeSync(file, bytes, 0, bytes.length, sector * SECTOR);
  } finally {
    closeSync(file);
  }
}

function replay(disk: string): void {
  const done = Bun.spawnSync(["e2fsck", "-fy", "-E", "journal_only", disk], { stdout: "pipe", stderr: "pipe" });
  // Exit 1: something was corrected, which is what a replay is.
  if (done.exitCode > 1) throw new Error(`e2fsck: ${done.stdout}${done.stderr}`);
}

/** Files of a state folder by path, and one digest of all names and contents. */
export type StateFolder = { readonly digest: string; readonly files: ReadonlyMap<string, Uint8Array> };

/**
 * What the state folder holds on that disk. The journal is replayed in a copy, as the kernel does when it mounts the
 * disk; throws when the file system is damaged afterwards. `scratch` is a folder.
 */
export function readState(disk: string, scratch: string): StateFolder {
  const copy = join(scratch, "checked");
  const out = join(scratch, "files");
  copyFileSync(disk, copy);
  replay(copy);
  must(["e2fsck", "-fn", copy]);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  must(["debugfs", "-R", `rdump / ${out}`, copy]);
  const names = readdirSync(out, { recursive: true, withFileTypes: true })
    .map((entry) => ({ name: join(entry.parentPath, entry.name), isFile: entry.isFile() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const files = new Map<string, Uint8Array>();
  for (const { name, isFile } of names) if (isFile) files.set(name.slice(out.length + 1), readFileSync(name));
  const listed = names.map(({ name }) => {
    const path = name.slice(out.length + 1);
    return `${path} ${sha256Hex(files.get(path) ?? new Uint8Array())}\n`;
  });
  return { digest: sha256Hex(listed.join("")), files };
}

const text = (state: StateFolder, name: string): string | undefined => {
  const bytes = state.files.get(name);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
};

/** Fills a file of the state folder with zeros, its length unchanged. The journal is replayed before. */
export function zeroFile(disk: string, path: string, scratch: string): void {
  const length = readState(disk, scratch).files.get(path)?.length ?? 0;
  if (length === 0) throw new Error(`the disk has no ${path}`);
  replay(disk);
  const [zeros, acts] = [join(scratch, "zeros"), join(scratch, "acts")];
  writeFileSync(zeros, new Uint8Array(length));
  writeFileSync(acts, `cd ${dirname(path)}\nrm ${basename(path)}\nwrite ${zeros} ${basename(path)}\n`);
  must(["debugfs", "-w", "-f", acts, disk]);
  const now = readState(disk, scratch).files.get(path);
  if (now?.length !== length || now.some((byte) => byte !== 0)) throw new Error(`${path} is not zeros`);
}

/** The record that holds on that disk. */
export function recordOn(state: StateFolder): ChosenRecord | undefined {
  return chooseRecord(text(state, "record.a"), text(state, "record.b"));
}

export type Decided = "undecided" | "confirmed" | "rolled-back" | "missing";

/** What the decision token of a trial says on that disk. */
export function decisionOn(state: StateFolder, token: string): Decided {
  const all = ["confirmed", "rolled-back", "undecided"] as const;
  return all.find((one) => state.files.has(`decision/${token}.${one}`)) ?? "missing";
}
