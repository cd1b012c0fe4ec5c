/**
 * Durable files: after a call returns, a power cut leaves the new content; before it returns, the old or the
 * new, never a mix. No call here retries after a failed fsync: the descriptor's errors are reported once.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

let serial = 0;

/** Makes entries of a folder durable: names made, renamed or removed in it. */
export function syncFolder(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
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
    // A write may be short (disk nearly full): go on until it is all there or an error says why not.
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at);
    fsyncSync(fd);
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
    renameSync(temporary, path);
  } catch (failure) {
    rmSync(temporary, { force: true });
    throw failure;
  }
  syncFolder(dirname(path));
}

/** Like writeDurable, but never replaces: false when the name is taken, whatever it holds. */
export function writeOnce(path: string, bytes: Uint8Array | string, mode = 0o600): boolean {
  const temporary = writeTemporary(path, bytes, mode);
  try {
    linkSync(temporary, path);
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
    const data = new TextEncoder().encode(text);
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
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
