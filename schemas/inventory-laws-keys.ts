/**
 * Laws of client keys. A key belongs to one client on one network, is live in one generation, and once burnt never
 * comes back: the ledger holds SHA-256 of the raw 32 bytes, so one spelling of a key has one fingerprint.
 */
import { fromBase64, sha256Hex } from "./digest.ts";
import type { Client, ClientKey, Inventory } from "./inventory.ts";
import { type Problem, problem } from "./problem.ts";

/** Ledger fingerprint of a WireGuard public key in base64: SHA-256 of its raw bytes, 64 hex digits. Throws on no key. */
export function keyFingerprint(publicKey: string): string {
  const raw = fromBase64(publicKey);
  if (raw?.length !== 32) throw new Error("not a WireGuard key");
  return sha256Hex(raw);
}

type Place = { readonly client: Client; readonly network: string; readonly key: ClientKey; readonly path: string };

function placesOf(inventory: Inventory): readonly Place[] {
  return inventory.clients.flatMap((client, c) =>
    client.grants.flatMap((grant, g) =>
      grant.keys.map((key, k) => ({
        client,
        network: grant.network,
        key,
        path: `clients[${c}].grants[${g}].keys[${k}]`,
      })),
    ),
  );
}

/** No key and no preshared key serves twice, in any state, anywhere in the inventory (V9, F15). */
function reused(places: readonly Place[]): readonly Problem[] {
  const keys = new Map<string, Place>();
  const psks = new Map<string, Place>();
  return places.flatMap((place): Problem[] => {
    const found: Problem[] = [];
    const { key, path } = place;
    const twin = keys.get(key.public_key);
    if (twin === undefined) keys.set(key.public_key, place);
    else {
      const text = `This key is already client ${twin.client.id}'s on network ${twin.network} (${twin.path}): make a new one.`;
      found.push(problem("inventory.key_reused", `${path}.public_key`, text));
    }
    const same = key.psk === "" ? undefined : psks.get(key.psk);
    if (key.psk !== "" && same === undefined) psks.set(key.psk, place);
    if (same !== undefined) {
      const text = `This preshared key is already client ${same.client.id}'s (${same.path}): make a new one.`;
      found.push(problem("inventory.psk_reused", `${path}.psk`, text));
    }
    return found;
  });
}

/** The ledger is the memory of burnt keys: nothing in it is in use, everything burnt is in it (U11, D3). */
function ledger(inventory: Inventory, places: readonly Place[]): readonly Problem[] {
  const burnt = new Map(
    inventory.ledger.filter((entry) => entry.kind === "wireguard").map((entry) => [entry.fingerprint, entry.reason]),
  );
  return places.flatMap(({ key, path }): Problem[] => {
    const reason = burnt.get(keyFingerprint(key.public_key));
    if (key.state !== "burnt" && reason !== undefined) {
      const why = reason === "" ? "" : ` (${reason})`;
      const text = `This key is in the ledger of burnt keys${why} and never comes back: make a new one.`;
      return [problem("inventory.key_burnt", `${path}.public_key`, text)];
    }
    if (key.state === "burnt" && reason === undefined) {
      const text = `A burnt key must be in the ledger: add fingerprint ${keyFingerprint(key.public_key)}.`;
      return [problem("inventory.key_not_in_ledger", path, text)];
    }
    return [];
  });
}

function grantKeys(client: Client, keys: readonly ClientKey[], path: string): readonly Problem[] {
  const found: Problem[] = [];
  const generations = new Map<number, number>();
  for (const [k, { generation }] of keys.entries()) {
    const before = generations.get(generation);
    if (before === undefined) generations.set(generation, k);
    else {
      const text = `Generation ${generation} is already keys[${before}]: number each key of a grant once.`;
      found.push(problem("inventory.duplicate", `${path}[${k}].generation`, text));
    }
  }
  const live = keys.filter((key) => key.state === "live").length;
  if (live > 1) {
    const text = `${live} live keys in one grant, but an address has one owner: keep one live, stage or burn the others.`;
    found.push(problem("inventory.key_count", path, text));
  }
  if (client.state === "active" && live === 0) {
    const text = `Active client ${client.id} has no live key here: add one, or suspend the client.`;
    found.push(problem("inventory.key_count", path, text));
  }
  return found;
}

/** A revoked client keeps its record and its addresses, but no key that opens anything. */
function revokedKeys(places: readonly Place[]): readonly Problem[] {
  return places
    .filter(({ client, key }) => client.state === "revoked" && key.state !== "burnt")
    .map(({ client, key, path }) => {
      const text = `Client ${client.id} is revoked, but this key is ${key.state}: set it to burnt and add it to the ledger.`;
      return problem("inventory.revoked_key", `${path}.state`, text);
    });
}

/** Everything that breaks a law of keys. */
export function keyProblems(inventory: Inventory): readonly Problem[] {
  const places = placesOf(inventory);
  return [
    ...reused(places),
    ...ledger(inventory, places),
    ...inventory.clients.flatMap((client, c) =>
      client.grants.flatMap((grant, g) => grantKeys(client, grant.keys, `clients[${c}].grants[${g}].keys`)),
    ),
    ...revokedKeys(places),
  ];
}
