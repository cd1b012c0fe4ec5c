/** Where the operator's own files are, and how they are written: whole or not at all. Never inside the site. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** XDG base directories: an absolute path counts, anything else is as if it were absent. */
function base(variable: string, otherwise: string): string {
  const set = process.env[variable] ?? "";
  return set.startsWith("/") ? set : join(homedir(), otherwise);
}

/** Keys of a network. */
export function keyFolder(network: string): string {
  return join(base("XDG_CONFIG_HOME", ".config"), "holdfast", network);
}

/** Receipts, log head and pushed blobs of one incarnation of a router. */
export function stateFolder(network: string, router: string, incarnation: number): string {
  const name = incarnation === 1 ? router : `${router}.${incarnation}`;
  return join(base("XDG_STATE_HOME", ".local/state"), "holdfast", network, name);
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Makes a folder that nobody else can look into. */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** Replaces a file durably: temporary file beside it, fsync, rename, fsync of the folder. Mode 0600. */
export function writeWhole(path: string, bytes: Uint8Array | string): void {
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex");
  const temporary = `${path}.${random}.new`;
  const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  try {
    const handle = openSync(temporary, "wx", 0o600);
    try {
      for (let at = 0; at < data.length; ) at += writeSync(handle, data, at);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** The bytes of a file; undefined when there is none. Other errors are thrown. */
export function readIfThere(path: string): Uint8Array | undefined {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw error;
  }
}
