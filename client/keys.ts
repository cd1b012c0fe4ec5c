/**
 * The operator's key files: seeds, locked by a passphrase (scrypt, then secretbox) or plain by explicit choice. Each is
 * a small JSON file of mode 0600; one that others may read is refused, whatever it holds.
 */

import { scrypt } from "node:crypto";
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { BoxKeys, Crypto, SignKeys } from "../agent/core/crypto.ts";
import { fromBase64, toBase64 } from "../schemas/digest.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import { HexDigest, Name } from "../schemas/scalars.ts";
import { isOpenToOthers, type Passphrase } from "./passphrase.ts";
import { keyFolder, writeWhole } from "./places.ts";
import { sodium } from "./sodium.ts";

export type KeyRole = "operator" | "root" | "admin" | "recovery";

/** Seeds of 32 bytes in each role's file, in this order. */
const SEEDS: Readonly<Record<KeyRole, readonly string[]>> = {
  operator: ["sign", "seal", "lane"],
  root: ["sign"],
  admin: ["sign"],
  recovery: ["sign", "escrow"],
};

const SEED = 32;
const FORMAT = "holdfast-key-1";
/** 64 MiB and about a third of a second: a guess costs an attacker the same. */
const SCRYPT = { N: 1 << 16, r: 8, p: 1, maxmem: 128 * 1024 * 1024 };

const Base64 = v.pipe(
  v.string(),
  v.check((text) => fromBase64(text) !== undefined),
);
const FileShape = v.strictObject({
  format: v.literal(FORMAT),
  note: v.string(),
  role: v.picklist(["operator", "root", "admin", "recovery"]),
  network: Name,
  root: HexDigest, // statement digest of the network's first root: what this key's owner trusts
  holder: Name,
  lock: v.picklist(["scrypt", "none"]),
  salt: Base64,
  nonce: Base64,
  seeds: Base64, // in the clear, or a secretbox
});
type KeyFileShape = v.InferOutput<typeof FileShape>;

export type KeyHead = Pick<KeyFileShape, "role" | "network" | "root" | "holder">;

const NOTES: Readonly<Record<KeyRole, string>> = {
  operator: "Signs directives, reads answers, opens the rescue lane. Stays on this machine.",
  root: "Signs the root document. Needed rarely: keep it where this machine's loss does not reach it.",
  admin: "Signs the roster: who the operators and routers are.",
  recovery: "MOVE THIS FILE to another place: a printed copy, a drive in a drawer. It replaces lost operators.",
};

/** Path of a key file: <holder>, root, admin or recovery. */
export function keyPath(network: string, name: string): string {
  return join(keyFolder(network), `${name}.key`);
}

function stretch(passphrase: Uint8Array, salt: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // Bun says undefined where Node says null.
    scrypt(passphrase, salt, 32, SCRYPT, (error, key) => (error ? reject(error) : resolve(new Uint8Array(key))));
  });
}

/** Writes a key file; `passphrase` null leaves it unlocked. Throws on a wrong number of seeds: a bug. */
export async function writeKeyFile(
  path: string,
  head: KeyHead,
  seeds: readonly Uint8Array[],
  passphrase: Uint8Array | null,
): Promise<void> {
  if (seeds.length !== SEEDS[head.role].length || seeds.some((seed) => seed.length !== SEED)) {
    throw new Error(`${head.role} keys are ${SEEDS[head.role].length} seeds of ${SEED} bytes`);
  }
  const bytes = new Uint8Array(Buffer.concat(seeds));
  const lib = await sodium();
  const salt = passphrase === null ? new Uint8Array() : lib.randombytes_buf(16);
  const nonce = passphrase === null ? new Uint8Array() : lib.randombytes_buf(lib.crypto_secretbox_NONCEBYTES);
  const box = passphrase === null ? bytes : lib.crypto_secretbox_easy(bytes, nonce, await stretch(passphrase, salt));
  const file: KeyFileShape = {
    format: FORMAT,
    note: NOTES[head.role],
    ...head,
    lock: passphrase === null ? "none" : "scrypt",
    salt: toBase64(salt),
    nonce: toBase64(nonce),
    seeds: toBase64(box),
  };
  writeWhole(path, `${JSON.stringify(file, null, 2)}\n`);
  bytes.fill(0);
}

function readKeyFile(path: string): Result<KeyFileShape> {
  let handle: number;
  try {
    handle = openSync(path, "r");
  } catch (error) {
    const code = (error as { code?: string }).code ?? "error";
    return refuse(
      "keys.missing",
      path,
      code === "ENOENT" ? "there is no such key file" : `it cannot be opened: ${code}`,
    );
  }
  try {
    // Of the opened file: a name could be changed between a look and a read.
    if (isOpenToOthers(fstatSync(handle).mode)) return refuse("keys.readable", path, "others may read it: chmod 600");
    const shape = v.safeParse(FileShape, JSON.parse(readFileSync(handle, "utf8")));
    return shape.success ? done(shape.output) : refuse("keys.bad_file", path, "it is no key file of this version");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return refuse("keys.bad_file", path, "it is no key file");
  } finally {
    closeSync(handle);
  }
}

/** Who a key file belongs to, without opening its lock. */
export function readKeyHead(path: string): Result<KeyHead & { readonly locked: boolean }> {
  const file = readKeyFile(path);
  if (!file.ok) return file;
  const { role, network, root, holder, lock } = file.value;
  return done({ role, network, root, holder, locked: lock === "scrypt" });
}

/** The seeds of a key file of this role. Codes keys.*. */
export async function openSeeds(
  path: string,
  role: KeyRole,
  passphrase: Passphrase,
): Promise<Result<readonly Uint8Array[]>> {
  const read = readKeyFile(path);
  if (!read.ok) return read;
  const file = read.value;
  if (file.role !== role) return refuse("keys.bad_file", path, `it holds ${file.role} keys, not ${role} keys`);
  let bytes: Uint8Array | undefined = fromBase64(file.seeds);
  if (file.lock === "scrypt") {
    const words = await passphrase.get(path);
    if (!words.ok) return words;
    bytes = await unlock(file, words.value);
    if (bytes === undefined) return refuse("keys.passphrase", path, "the passphrase does not open it");
  }
  if (bytes?.length !== SEED * SEEDS[role].length)
    return refuse("keys.bad_file", path, "its seeds have a wrong length");
  const opened = bytes;
  return done(SEEDS[role].map((_, i) => opened.slice(SEED * i, SEED * (i + 1))));
}

async function unlock(file: KeyFileShape, words: Uint8Array): Promise<Uint8Array | undefined> {
  const lib = await sodium();
  const part = (text: string): Uint8Array => fromBase64(text) ?? new Uint8Array();
  const key = await stretch(words, part(file.salt));
  try {
    return lib.crypto_secretbox_open_easy(part(file.seeds), part(file.nonce), key);
  } catch (error) {
    // libsodium throws for a wrong key and for a damaged box alike.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

export type OperatorKeys = {
  readonly holder: string;
  readonly sign: SignKeys;
  readonly seal: BoxKeys;
  readonly lane: BoxKeys; // WireGuard key of the rescue lane
};

/** Key pairs of an operator from its three seeds. */
export function operatorOfSeeds(crypto: Crypto, holder: string, seeds: readonly Uint8Array[]): OperatorKeys {
  const [sign, seal, lane] = seeds;
  return { holder, sign: crypto.signKeys(sign), seal: crypto.boxKeys(seal), lane: crypto.boxKeys(lane) };
}

/** Operators who have keys on this machine for a network, sorted. */
export function localHolders(network: string): readonly string[] {
  const folder = keyFolder(network);
  if (!existsSync(folder)) return [];
  return (
    readdirSync(folder)
      .filter((name) => name.endsWith(".key"))
      .map((name) => name.slice(0, -".key".length))
      // A dot is in root.1.key, which a rotation kept.
      .filter((name) => !RESERVED_HOLDERS.includes(name) && !name.includes("."))
      .sort()
  );
}

/** Names of files in the key folder that are not people. */
export const RESERVED_HOLDERS: readonly string[] = ["root", "admin", "recovery"];

export type Owner = { readonly network: string; readonly root: string };

/** The file must belong to this network's chain of trust, or a swapped site could ask for signatures. */
export function checkOwner(path: string, owner: Owner): Result<KeyHead> {
  const head = readKeyHead(path);
  if (!head.ok) return head;
  const own = head.value.network === owner.network && head.value.root === owner.root;
  return own ? head : refuse("keys.other_network", path, "it was made for another network than this site's");
}

/** The keys of the operator on this machine; `holder` when there are several. Codes keys.*. */
export async function openOperator(
  crypto: Crypto,
  owner: Owner,
  holder: string | undefined,
  passphrase: Passphrase,
): Promise<Result<OperatorKeys>> {
  const holders = localHolders(owner.network);
  const [only, second] = holders;
  if (holder === undefined && second !== undefined) {
    return refuse("keys.which", keyFolder(owner.network), `there are ${holders.join(", ")}: choose with --as HOLDER`);
  }
  const name = holder ?? only;
  if (name === undefined) return refuse("keys.missing", keyFolder(owner.network), "there is no operator key");
  const path = keyPath(owner.network, name);
  const head = checkOwner(path, owner);
  if (!head.ok) return head;
  const seeds = await openSeeds(path, "operator", passphrase);
  return seeds.ok ? done(operatorOfSeeds(crypto, head.value.holder, seeds.value)) : seeds;
}

/** A WireGuard private key as `wg genkey` prints it: clamped as RFC 7748 has it, in base64. */
export function wireGuardPrivateKey(keys: BoxKeys): string {
  const bytes = new Uint8Array(keys.secretKey);
  bytes[0] = bytes[0]! & 248;
  bytes[31] = (bytes[31]! & 127) | 64;
  return toBase64(bytes);
}
