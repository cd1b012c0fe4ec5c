/**
 * Durable files: after a call returns, a power cut leaves the new content; before it returns, the old or the
 * new, never a mix. No call here retries after a failed fsync: the descriptor's errors are reported once.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { failpoint } from "./failpoint.ts";

let serial = 0;

const TEMPORARY = /\.(\d+)\.\d+\.tmp$/; // process and serial

/**
 * Removes what processes that died left half written, in the folder and below. After a boot a process may have the
 * number that a dead one had, and would find its own names taken.
 */
export function sweepTemporaries(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const writer = TEMPORARY.exec(entry.name)?.[1];
    if (entry.isDirectory()) sweepTemporaries(path);
    else if (writer !== undefined && (Number(writer) === process.pid || !existsSync(`/proc/${writer}`))) {
      rmSync(path, { force: true });
    }
  }
}

/** Makes entries of a folder durable: names made, renamed or removed in it. */
export function syncFolder(path: string): void {
  const fd = openSync(path, "r");
  try {
    /* @__PURE__ */ failpoint("sync", path);
    fsyncSync(fd);
    /* @__PURE__ */ failpoint("synced", path);
  } finally {
    closeSync(fd);
  }
}

function writeTemporary(path: string, bytes: Uint8Array | string, mode: number): string {
  const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  serial += 1;
  const temporary = `${path}.${process.pid}.${serial}.tmp`;
  const fd = openSync(temporary, "wx", mode);
  try {
    /* @__PURE__ */ failpoint("write", path);
    // A write may be short (disk nearly full): go on until it is all there or an error says why not.
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at);
    /* @__PURE__ */ failpoint("flush", path);
    fsyncSync(fd);
    /* @__PURE__ */ failpoint("flushed", path);
  } catch (failure) {
    rmSync(temporary, { force: true });
    throw failure;
  } finally {
    closeSync(fd);
  }
  return temporary;
}

/** Replaces a file: temporary in the same folder, fsync, rename, fsync of the folder. Throws system errors. */
export function writeDurable(path: string, bytes: Uint8Array | string, mode = 0o600): void {
  const temporary = writeTemporary(path, bytes, mode);
  try {
    /* @__PURE__ */ failpoint("rename", path);
    renameSync(temporary, path);
  } catch (failure) {
    rmSync(temporary, { force: true });
    throw failure;
  }
  /* @__PURE__ */ failpoint("renamed", path);
  syncFolder(dirname(path));
}

/** Like writeDurable, but never replaces: false when the name is taken, whatever it holds. */
export function writeOnce(path: string, bytes: Uint8Array | string, mode = 0o600): boolean {
  const temporary = writeTemporary(path, bytes, mode);
  try {
    /* @__PURE__ */ failpoint("link", path);
    linkSync(temporary, path);
    /* @__PURE__ */ failpoint("linked", path);
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== "EEXIST") throw failure;
    return false;
  } finally {
    rmSync(temporary, { force: true });
  }
  syncFolder(dirname(path));
  return true;
}

/** Replaces a file of the run folder: one rename, not durable. */
export function writeVolatile(path: string, text: string): void {
  serial += 1;
  const temporary = `${path}.${process.pid}.${serial}.tmp`;
  const fd = openSync(temporary, "wx", 0o600);
  try {
    /* @__PURE__ */ failpoint("write", path);
    const data = new TextEncoder().encode(text);
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at);
  } finally {
    closeSync(fd);
  }
  /* @__PURE__ */ failpoint("rename", path);
  renameSync(temporary, path);
  /* @__PURE__ */ failpoint("renamed", path);
}

/** Makes a private folder (0700) with its parents, durably. Throws when somebody else may read it. */
export function makePrivateFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first !== undefined) syncFolder(dirname(first));
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) !== 0) throw new Error(`${path} is open to others (mode ${mode.toString(8)}): chmod 700 ${path}`);
}

/** The whole text of a small file, or undefined when it does not exist. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw failure;
  }
}

/** Lines of `key=value`; later keys win, other lines are ignored. */
export function readPairs(text: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) pairs.set(line.slice(0, at), line.slice(at + 1));
  }
  return pairs;
}
