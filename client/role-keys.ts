/**
 * Keys of the offline roles on this machine: root, admin and recovery. There is one file for each role, and the ones
 * that a rotation put aside until the new key is in force, as root.1.key.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { BoxKeys, Crypto, SignKeys } from "../agent/core/crypto.ts";
import { equalBytes } from "../schemas/digest.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Root } from "../schemas/trust.ts";
import { checkOwner, keyPath, type Owner, openSeeds } from "./keys.ts";
import type { Passphrase } from "./passphrase.ts";
import { keyFolder } from "./places.ts";

export type OfflineRole = Root["keys"][number]["role"];

export type RoleKey = {
  readonly path: string;
  readonly role: OfflineRole;
  readonly holder: string;
  readonly sign: SignKeys;
  readonly escrow: BoxKeys | null; // of recovery only
};

/** Key files of a role: the present one first, then those put aside. */
export function rolePaths(network: string, role: OfflineRole): readonly string[] {
  const folder = keyFolder(network);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const aside = names.filter((name) => new RegExp(`^${role}\\.[1-9][0-9]*\\.key$`).test(name)).sort();
  return [
    ...(names.includes(`${role}.key`) ? [keyPath(network, role)] : []),
    ...aside.map((name) => join(folder, name)),
  ];
}

/** Opens one key file of a role. Codes keys.*. */
export async function openRoleKey(
  crypto: Crypto,
  owner: Owner,
  role: OfflineRole,
  path: string,
  passphrase: Passphrase,
): Promise<Result<RoleKey>> {
  const head = checkOwner(path, owner);
  if (!head.ok) return head;
  const seeds = await openSeeds(path, role, passphrase);
  if (!seeds.ok) return seeds;
  const [sign, escrow] = seeds.value;
  const keys = { sign: crypto.signKeys(sign), escrow: escrow === undefined ? null : crypto.boxKeys(escrow) };
  return done({ path, role, holder: head.value.holder, ...keys });
}

/** Every key of a role on this machine; [] when there is none. Codes keys.*. */
export async function openRole(
  crypto: Crypto,
  owner: Owner,
  role: OfflineRole,
  passphrase: Passphrase,
): Promise<Result<readonly RoleKey[]>> {
  const keys: RoleKey[] = [];
  for (const path of rolePaths(owner.network, role)) {
    const key = await openRoleKey(crypto, owner, role, path, passphrase);
    if (!key.ok) return key;
    keys.push(key.value);
  }
  return done(keys);
}

/** True when one of the roots gives the key this role. */
export function hasRole(roots: readonly Root[], role: OfflineRole, key: Uint8Array): boolean {
  return roots.some((root) => root.keys.some((one) => one.role === role && equalBytes(one.key, key)));
}

/**
 * The keys on this machine that may sign for a role under these roots, at least one. Codes keys.missing without a file,
 * keys.no_part when the files hold other keys, and other keys.*.
 */
export async function signersFor(
  crypto: Crypto,
  owner: Owner,
  role: OfflineRole,
  roots: readonly Root[],
  passphrase: Passphrase,
): Promise<Result<readonly RoleKey[]>> {
  const keys = await openRole(crypto, owner, role, passphrase);
  if (!keys.ok) return keys;
  if (keys.value.length === 0) return refuse("keys.missing", keyPath(owner.network, role), "there is no such key file");
  const able = keys.value.filter((key) => hasRole(roots, role, key.sign.publicKey));
  if (able.length > 0) return done(able);
  const detail = `the root gives it no ${role.toUpperCase()} role`;
  return refuse("keys.no_part", keys.value[0]!.path, detail);
}
