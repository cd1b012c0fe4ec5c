/** Static uplinks: the routing table of each, its gateways, and the mark of flows that came in through it. */
import { sha256 } from "../../../schemas/digest.ts";
import type { Router } from "../../../schemas/intent.ts";
import { type Family, parseIp } from "../../../schemas/ip.ts";
import type { Scope } from "./scope.ts";

/** Uplink tables start here; each takes the first free number from where its name hashes to. */
const TABLE_FROM = 52_000;
const TABLE_COUNT = 4096;

/** Bits of a mark that tell uplinks apart: enough for TABLE_COUNT of them, below the rescue lane's mark. */
const UPLINK_MASK = "0x00001fff";

/** Uplinks whose addresses the intent names. */
export function staticUplinks(scope: Scope): Router["uplinks"] {
  return scope.router.uplinks.filter((uplink) => !uplink.dynamic);
}

/** Table of each static uplink. Numbers hang on the interface's name, so that another uplink does not move them. */
export function tablesOf(scope: Scope): ReadonlyMap<string, number> {
  const tables = new Map<string, number>();
  const taken = new Set<number>();
  for (const { interface: name } of staticUplinks(scope)) {
    const digest = sha256(`holdfast/uplink-table/v1\0${name}`);
    let slot = ((digest[0]! << 8) | digest[1]!) % TABLE_COUNT;
    while (taken.has(slot)) slot = (slot + 1) % TABLE_COUNT;
    taken.add(slot);
    tables.set(name, TABLE_FROM + slot);
  }
  return tables;
}

export type Gateway = {
  readonly family: Family;
  readonly via: string;
  readonly interface: string;
  readonly rank: number;
};

/** Gateways of static uplinks, the uplinks ranked by name. */
export function gatewaysOf(scope: Scope): readonly Gateway[] {
  return staticUplinks(scope).flatMap((uplink, rank) =>
    uplink.gateways.map((via) => ({ family: parseIp(via)!.family, via, interface: uplink.interface, rank })),
  );
}

/**
 * Marks by interface, where there is more than one way out: a flow that came in through an uplink is answered through
 * it, also by hosts behind the router, whose packets carry no address of an uplink yet.
 */
export function marksOf(scope: Scope): ReadonlyMap<string, number> {
  if (scope.router.uplinks.length < 2) return new Map();
  const withGateway = new Set(gatewaysOf(scope).map((gateway) => gateway.interface));
  const tables = [...tablesOf(scope)].filter(([name]) => withGateway.has(name));
  return new Map(tables.map(([name, table]) => [name, table - TABLE_FROM + 1]));
}

const hex = (mark: number): string => `0x${mark.toString(16).padStart(8, "0")}`;

/** Elements of the map from interface to mark. */
export function markElements(scope: Scope): readonly string[] {
  return [...marksOf(scope)].map(([name, mark]) => `"${name}" : ${hex(mark)}`);
}

/** A new flow remembers its uplink; its replies, on their way out, ask for that uplink's table. */
export function markRules(scope: Scope): readonly string[] {
  if (marksOf(scope).size === 0) return [];
  return [
    "ct state new ct mark 0x00000000 ct mark set iifname map @m_uplink",
    `ct direction reply iifname != @s_uplink ct mark & ${UPLINK_MASK} != 0x00000000 meta mark set ct mark & ${UPLINK_MASK}`,
  ];
}
