/**
 * WireGuard key material on the router. A key is a file that is written once, named by its public half, fsynced
 * before anybody names it, in two copies. `wg` reads the files itself; only new keys ever pass through here.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import sodium from "libsodium-wrappers";
import { sha256Hex } from "../../schemas/digest.ts";
import type { KeyStore } from "../ports.ts";
import { makePrivateFolder, writeDurable, writeOnce } from "./files.ts";

const KEY_FILE_BYTES = 45; // 44 of base64 and a line feed
const COPIES = ["wg", "wg2"] as const;

/** hex SHA-256("holdfast/psk/v1" || 0x00 || key): what documents say instead of a preshared key. */
export function pskCommitment(psk: Uint8Array): string {
  return sha256Hex("holdfast/psk/v1\0", psk);
}

/** File name of a public key: base64url without padding. Throws when it is no key. */
export function keyFileName(publicKey: string): string {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(publicKey)) throw new Error("not a WireGuard public key");
  return publicKey.slice(0, 43).replaceAll("+", "-").replaceAll("/", "_");
}

/** True when the file has the right length and nobody else may read it; throws when others may. */
function intact(path: string): boolean {
  if (!existsSync(path)) return false;
  const status = statSync(path);
  if ((status.mode & 0o077) !== 0) throw new Error(`${path} is open to others: chmod 600 ${path}`);
  return status.size === KEY_FILE_BYTES;
}

/** The first intact private key file of a public key; undefined when there is none. */
export function findKeyFile(folder: string, publicKey: string): string | undefined {
  const name = keyFileName(publicKey);
  return COPIES.map((copy) => join(folder, copy, name)).find(intact);
}

/** The file of a preshared key; undefined when it is absent or damaged. */
export function findPskFile(folder: string, commitment: string): string | undefined {
  if (!/^[0-9a-f]{64}$/.test(commitment)) throw new Error("not a commitment");
  const path = join(folder, "psk", commitment);
  return intact(path) ? path : undefined;
}

/** Opens the key folder (state/keys). Throws when it, or a key in it, is open to others. */
export async function openKeyStore(folder: string): Promise<KeyStore> {
  await sodium.ready;
  for (const path of [folder, join(folder, "psk"), ...COPIES.map((copy) => join(folder, copy))]) {
    makePrivateFolder(path);
    // All of them at once, needed now or not: a key that others could read is no longer a secret.
    for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isFile()) intact(join(path, entry.name));
  }
  return {
    async makeWgKey() {
      const pair = sodium.crypto_box_keypair();
      const secret = pair.privateKey;
      // Clamped as WireGuard stores it, so that every program prints the same text.
      secret[0] = (secret[0] ?? 0) & 248;
      secret[31] = ((secret[31] ?? 0) & 127) | 64;
      const publicKey = pair.publicKey.toBase64();
      for (const copy of COPIES)
        if (!writeOnce(join(folder, copy, keyFileName(publicKey)), `${secret.toBase64()}\n`))
          throw new Error("key exists");
      sodium.memzero(secret);
      return publicKey;
    },
    async hasWgKey(publicKey) {
      return findKeyFile(folder, publicKey) !== undefined;
    },
    async putPsk(commitment, psk) {
      if (psk.length !== 32) throw new Error("a preshared key has 32 bytes");
      if (pskCommitment(psk) !== commitment) throw new Error("preshared key does not match its commitment");
      const path = join(folder, "psk", commitment);
      const text = `${psk.toBase64()}\n`;
      // The commitment says what the file must hold, so a damaged one is simply written again.
      if (!writeOnce(path, text) && readFileSync(path, "utf8") !== text) writeDurable(path, text);
    },
    async hasPsk(commitment) {
      return findPskFile(folder, commitment) !== undefined;
    },
  };
}
