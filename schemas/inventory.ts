/**
 * The inventory: clients, outside the domain model. Same rule as the intent: one shape for YAML,
 * canonical and decoded form. Delivery hints live here and are never read by policy.
 */
import * as v from "valibot";
import { limits } from "./limits.ts";
import {
  Address,
  Count,
  DateText,
  HexDigest,
  Name,
  OptionalHexDigest,
  PrefixText,
  Text,
  WireGuardKey,
} from "./scalars.ts";

const list = <T extends v.GenericSchema>(item: T, max: number) =>
  v.optional(v.pipe(v.array(item, "must be a list"), v.maxLength(max, `must have at most ${max} entries`)), []);

export const ClientKey = v.strictObject({
  generation: Count(1, 1_000_000),
  public_key: WireGuardKey,
  psk: v.optional(OptionalHexDigest, ""),
  state: v.optional(v.picklist(["live", "staged", "burnt"], "must be live, staged or burnt"), "live"),
  origin: v.optional(v.picklist(["client", "operator", "imported"], "must be client, operator or imported"), "client"),
});

export const Grant = v.strictObject({
  network: Name,
  profile: Name,
  addresses: v.pipe(
    v.array(Address, "must be a list"),
    v.minLength(1, "must name an address"),
    v.maxLength(2, "must have at most one IPv4 and one IPv6 address"),
  ),
  keys: list(ClientKey, 64),
  configs: list(Text(64), 256),
});

const noHints = { os: "", dns: [], mtu: 0, keepalive_s: 0, excludes: [] };

export const Hints = v.strictObject({
  os: v.optional(Text(32), ""),
  dns: list(Address, 4),
  mtu: v.optional(v.union([v.literal(0), Count(1280, 1420)], "must be 0 or from 1280 to 1420"), 0),
  keepalive_s: v.optional(Count(0, 65535), 0),
  excludes: list(PrefixText, 64),
});

export const Client = v.strictObject({
  id: Name,
  owner: v.optional(Text(64), ""),
  state: v.optional(v.picklist(["active", "suspended", "revoked"], "must be active, suspended or revoked"), "active"),
  grants: list(Grant, 64),
  services: list(Name, 64),
  hints: v.optional(Hints, noHints),
  expires: v.optional(DateText, ""),
});

export const Tombstone = v.strictObject({
  network: Name,
  address: Address,
  client: Name,
  since: v.optional(DateText, ""),
});

export const BurntKey = v.strictObject({
  fingerprint: HexDigest,
  kind: v.optional(v.picklist(["wireguard", "ssh", "tls"], "must be wireguard, ssh or tls"), "wireguard"),
  reference: v.optional(Text(128), ""),
  reason: v.optional(Text(128), ""),
  since: v.optional(DateText, ""),
});

export const InventoryDocument = v.strictObject({
  version: v.literal(1, "must be 1"),
  clients: list(Client, limits.clients),
  tombstones: list(Tombstone, 200_000),
  ledger: list(BurntKey, 200_000),
});

export type Inventory = v.InferOutput<typeof InventoryDocument>;
export type InventoryInput = v.InferInput<typeof InventoryDocument>;
export type Client = Inventory["clients"][number];
export type Grant = Client["grants"][number];
export type ClientKey = Grant["keys"][number];

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The one order that is signed. Issued-config order is kept sorted too, so shuffled input gives equal bytes. */
export function canonicalInventory(inventory: Inventory): Inventory {
  const sortedBy = <T>(items: readonly T[], key: (item: T) => string): T[] =>
    [...items].sort((a, b) => byText(key(a), key(b)));
  const texts = (items: readonly string[]): string[] => [...items].sort(byText);
  return {
    ...inventory,
    clients: sortedBy(inventory.clients, (client) => client.id).map((client) => ({
      ...client,
      grants: sortedBy(client.grants, (grant) => grant.network).map((grant) => ({
        ...grant,
        addresses: texts(grant.addresses),
        keys: [...grant.keys].sort((a, b) => a.generation - b.generation),
        configs: texts(grant.configs),
      })),
      services: texts(client.services),
      hints: { ...client.hints, dns: [...client.hints.dns], excludes: texts(client.hints.excludes) },
    })),
    tombstones: sortedBy(inventory.tombstones, (stone) => `${stone.network} ${stone.address}`),
    ledger: sortedBy(inventory.ledger, (burnt) => `${burnt.kind} ${burnt.fingerprint}`),
  };
}
