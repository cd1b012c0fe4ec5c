/**
 * Files of a site as bytes: read whole and capped, written whole or not at all. Every refusal is a value; nothing here
 * knows what the bytes mean.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { equalBytes } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";

/** The name of a system error, "EACCES"; anything else is a bug and goes on. */
function errorCode(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (error instanceof Error && typeof code === "string") return code;
  throw error;
}

/** What a system error means for the file that people see as `name`. */
function fileProblem(error: unknown, name: string): ReturnType<typeof refuse> {
  const code = errorCode(error);
  return code === "ENOENT" || code === "ENOTDIR"
    ? refuse(
        "site.missing_file",
        name,
        `There is no ${name} here: run the command in the site's folder, or make the file.`,
      )
    : refuse("site.unreadable", name, `${name}: ${code}. Check its owner, its permissions and the disk.`);
}

/** The bytes of folder/name, at most `max` of them. Codes site.missing_file, site.unreadable, site.too_large. */
export function readCapped(folder: string, name: string, max: number): Result<Uint8Array> {
  const path = join(folder, name);
  try {
    const found = statSync(path);
    if (!found.isFile()) return refuse("site.unreadable", name, `${name} is no regular file: replace it by one.`);
    const text = `${name} may have ${max} bytes: split the site, or remove what does not belong there.`;
    if (found.size > max) return refuse("site.too_large", name, text);
    const bytes = new Uint8Array(readFileSync(path));
    return bytes.length > max ? refuse("site.too_large", name, text) : done(bytes);
  } catch (error) {
    return fileProblem(error, name);
  }
}

/** Makes a rename or a new file durable. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function writeTemporary(path: string, bytes: Uint8Array, mode: number): void {
  const handle = openSync(path, "wx", mode);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** A name that nobody can prepare beforehand, in the same folder, so that the rename is atomic (D9). */
function temporaryName(path: string): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return `${path}.${Buffer.from(random).toString("hex")}.new`;
}

/**
 * Replaces folder/name by new bytes: temporary file, fsync, rename, fsync of the folder. Refused as site.changed when
 * the file no longer holds `before`; the comparison is the last thing before the rename. A link is followed.
 */
export function replaceFile(folder: string, name: string, before: Uint8Array, bytes: Uint8Array): Result<void> {
  let temporary = "";
  try {
    const path = realpathSync(join(folder, name));
    temporary = temporaryName(path);
    writeTemporary(temporary, bytes, statSync(path).mode & 0o777);
    if (!equalBytes(new Uint8Array(readFileSync(path)), before)) {
      return refuse(
        "site.changed",
        name,
        `${name} changed while it was being edited: look at it, then run this again.`,
      );
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
    return done(undefined);
  } catch (error) {
    return fileProblem(error, name);
  } finally {
    if (temporary !== "") rmSync(temporary, { force: true });
  }
}

/** Writes a file that is not there yet, durably. Returns false, writing nothing, when there is one already. */
export function createFile(folder: string, name: string, bytes: Uint8Array, mode = 0o644): Result<boolean> {
  const path = join(folder, name);
  const temporary = temporaryName(path);
  try {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return done(false);
    writeTemporary(temporary, bytes, mode);
    linkSync(temporary, path); // unlike a rename, never takes an older file away
    syncFolder(dirname(path));
    return done(true);
  } catch (error) {
    return errorCode(error) === "EEXIST" ? done(false) : fileProblem(error, name);
  } finally {
    rmSync(temporary, { force: true });
  }
}
