/**
 * The words that lock key files. They come from a file or from a terminal, never from argv or the environment, which
 * other processes can read.
 */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Args } from "./args.ts";

/** Asks once and remembers: one command may open several files. */
export type Passphrase = {
  get(file: string): Promise<Result<Uint8Array>>;
};

const BYTES_MAX = 1024;

/** True when group or others may read or write the file. */
export const isOpenToOthers = (mode: number): boolean => (mode & 0o077) !== 0;

function fromFile(path: string): Result<Uint8Array> {
  let handle: number;
  try {
    handle = openSync(path, "r");
  } catch (error) {
    return refuse("keys.passphrase_file", path, `it cannot be opened: ${(error as { code?: string }).code ?? "error"}`);
  }
  try {
    const found = fstatSync(handle);
    if (found.isFile() && isOpenToOthers(found.mode)) {
      return refuse("keys.readable", path, "others may read it: chmod 600");
    }
    const bytes = new Uint8Array(readFileSync(handle));
    const end = bytes.at(-1) === 0x0a ? bytes.length - 1 : bytes.length; // the line feed that editors add
    if (end === 0 || end > BYTES_MAX) {
      return refuse("keys.passphrase_file", path, `it must hold one passphrase of at most ${BYTES_MAX} bytes`);
    }
    return done(bytes.slice(0, end));
  } finally {
    closeSync(handle);
  }
}

/** One line from the terminal, unseen. Undefined on Ctrl-C and Ctrl-D. */
function readUnseen(prompt: string): Promise<Uint8Array | undefined> {
  const { stdin } = process;
  stdin.setRawMode(true); // before the prompt: whoever types fast must not be echoed
  process.stderr.write(prompt);
  return new Promise((resolve) => {
    const typed: number[] = [];
    const end = (result: Uint8Array | undefined): void => {
      stdin.off("data", read);
      stdin.setRawMode(false);
      stdin.pause();
      process.stderr.write("\n");
      resolve(result);
    };
    // False when the line is over.
    const take = (byte: number): boolean => {
      if (byte === 0x03 || byte === 0x04) end(undefined);
      else if (byte === 0x0d || byte === 0x0a) end(Uint8Array.from(typed));
      else if (byte !== 0x7f && byte !== 0x08) return typed.push(byte) > 0;
      else {
        // One character of UTF-8 is a lead byte and what follows it.
        while (typed.length > 0 && (typed.pop()! & 0xc0) === 0x80);
        return true;
      }
      return false;
    };
    const read = (chunk: Uint8Array): void => void chunk.every(take);
    stdin.resume();
    stdin.on("data", read);
  });
}

async function fromTerminal(prompt: string): Promise<Result<Uint8Array>> {
  const typed = await readUnseen(prompt);
  if (typed === undefined || typed.length === 0) return refuse("keys.passphrase_needed", "", "none was typed");
  return done(typed);
}

const noTerminal = () => refuse("keys.passphrase_needed", "", "no terminal to ask at; give --passphrase-file FILE");

/** For opening key files. Codes keys.passphrase_needed, keys.passphrase_file, keys.readable. */
export function passphraseOf(args: Args): Passphrase {
  let known: Result<Uint8Array> | undefined;
  return {
    async get(file) {
      const path = args.one("passphrase-file");
      if (path !== undefined) known ??= fromFile(path);
      else if (process.stdin.isTTY !== true) known ??= noTerminal();
      else known ??= await fromTerminal(`Passphrase for ${file}: `);
      return known;
    },
  };
}

/**
 * For new key files: from the file, typed twice, or null when --plain says that the disk is protection enough.
 * Codes as passphraseOf, and keys.passphrase_differs.
 */
export async function newPassphrase(args: Args): Promise<Result<Uint8Array | null>> {
  const path = args.one("passphrase-file");
  if (path !== undefined) return fromFile(path);
  if (args.has("plain")) return done(null);
  if (process.stdin.isTTY !== true) {
    return refuse("keys.passphrase_needed", "", "no terminal to ask at; give --passphrase-file FILE or --plain");
  }
  const first = await fromTerminal("New passphrase for your keys: ");
  if (!first.ok) return first;
  const second = await fromTerminal("The same again: ");
  if (!second.ok) return second;
  const same = Buffer.compare(first.value, second.value) === 0;
  return same ? first : refuse("keys.passphrase_differs", "", "the two are not the same");
}
