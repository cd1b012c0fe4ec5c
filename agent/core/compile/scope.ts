/**
 * The part of the documents that concerns one router: its zones and networks as nodes that traffic comes from and
 * goes to, and its clients as seats with an address. Everything else of the compiler reads only this.
 */
import {
  type Intent,
  interfaceOf,
  type Network,
  type Profile,
  type Router,
  type Service,
} from "../../../schemas/intent.ts";
import type { Client, Grant, Inventory } from "../../../schemas/inventory.ts";
import { comparePrefix, covers, type Family, type Prefix, parsePrefix } from "../../../schemas/ip.ts";
import { byText } from "./order.ts";

export const FAMILIES: readonly Family[] = [4, 6];

/** Where traffic of this router comes from or goes to: a zone or a WireGuard network. */
export type Node = {
  readonly id: string;
  /** The id as nft names carry it: "-" is no letter there, and no id has "_". */
  readonly word: string;
  readonly kind: "uplink" | "internal" | "management" | "experimental" | "network";
  readonly experimental: boolean; // an experimental zone, or a network of that class
  readonly interfaces: readonly string[]; // sorted
  readonly prefixes: readonly Prefix[]; // sorted, none inside another
  /** True when any address may lie behind it: an uplink, or a zone that names no subnets. */
  readonly open: boolean;
  readonly dhcp: boolean;
  readonly network: Network | null;
};

/** Canonical text: the same address has no other spelling (schemas/scalars.ts). */
export type SeatAddress = { readonly family: Family; readonly text: string };

/** One grant of an active client that has a live key: where its packets come from. */
export type Seat = {
  readonly client: string;
  readonly node: Node;
  readonly profile: string;
  readonly addresses: readonly SeatAddress[];
  readonly services: readonly string[];
};

/** A grant on a network of this router, whatever its client's state. */
export type Granted = { readonly client: Client; readonly grant: Grant };

export type Scope = {
  readonly intent: Intent; // canonical
  readonly router: Router;
  readonly nodes: readonly Node[]; // sorted by id
  readonly networks: readonly Network[]; // of this router, sorted by id
  readonly granted: readonly Granted[]; // sorted by client, then network
  readonly seats: readonly Seat[];
  readonly services: ReadonlyMap<string, Service>;
  readonly profiles: readonly Profile[];
};

/** Sorted, without prefixes that lie inside another: an interval set refuses elements that overlap. */
export function disjointPrefixes(prefixes: readonly Prefix[]): readonly Prefix[] {
  const sorted = [...prefixes].sort(comparePrefix);
  // A prefix that covers another sorts before it, so looking back at the last one kept is enough.
  const kept: Prefix[] = [];
  for (const prefix of sorted) {
    const last = kept.at(-1);
    if (last === undefined || !covers(last, prefix)) kept.push(prefix);
  }
  return kept;
}

function prefixesOf(texts: readonly string[]): readonly Prefix[] {
  return disjointPrefixes(texts.map(parsePrefix).filter((prefix) => prefix !== undefined));
}

/** Family of a canonical address or prefix. */
export function familyOf(text: string): Family {
  return text.includes(":") ? 6 : 4;
}

const wordOf = (id: string): string => id.replaceAll("-", "_");

function nodesOf(intent: Intent, router: string): readonly Node[] {
  const zones = intent.zones
    .filter((zone) => zone.router === router)
    .map((zone): Node => {
      const prefixes = zone.kind === "uplink" ? [] : prefixesOf(zone.subnets);
      return {
        id: zone.id,
        word: wordOf(zone.id),
        kind: zone.kind,
        experimental: zone.kind === "experimental",
        interfaces: [...zone.interfaces].sort(byText),
        prefixes,
        open: prefixes.length === 0,
        dhcp: zone.dhcp,
        network: null,
      };
    });
  const networks = intent.networks
    .filter((network) => network.router === router)
    .map(
      (network): Node => ({
        id: network.id,
        word: wordOf(network.id),
        kind: "network",
        experimental: network.class === "experimental",
        interfaces: [interfaceOf(network)],
        prefixes: prefixesOf(network.subnets),
        open: false,
        dhcp: false,
        network,
      }),
    );
  return [...zones, ...networks].sort((a, b) => byText(a.id, b.id));
}

/** The router's view of canonical documents; undefined when the intent has no such router. */
export function scopeOf(intent: Intent, inventory: Inventory, routerId: string): Scope | undefined {
  const router = intent.routers.find((one) => one.id === routerId);
  if (router === undefined) return undefined;
  const nodes = nodesOf(intent, routerId);
  const byNetwork = new Map(nodes.filter((node) => node.network !== null).map((node) => [node.id, node]));
  const granted = inventory.clients.flatMap((client) =>
    client.grants.filter((grant) => byNetwork.has(grant.network)).map((grant): Granted => ({ client, grant })),
  );
  const seats = granted.flatMap(({ client, grant }): Seat[] => {
    const live = client.state === "active" && grant.keys.some((key) => key.state === "live");
    if (!live) return [];
    return [
      {
        client: client.id,
        node: byNetwork.get(grant.network)!,
        profile: grant.profile,
        addresses: grant.addresses.map((text) => ({ family: familyOf(text), text })),
        services: client.services,
      },
    ];
  });
  return {
    intent,
    router,
    nodes,
    networks: nodes.flatMap((node) => (node.network === null ? [] : [node.network])),
    granted,
    seats,
    services: new Map(intent.services.map((service) => [service.id, service])),
    profiles: intent.profiles,
  };
}

/** Prefixes of one family that lie behind the nodes, none inside another. */
export function insidePrefixes(nodes: readonly Node[], family: Family): readonly Prefix[] {
  return disjointPrefixes(nodes.flatMap((node) => node.prefixes.filter((prefix) => prefix.family === family)));
}

/** Interfaces of the nodes that a test picks, sorted. */
export function interfacesOf(scope: Scope, pick: (node: Node) => boolean): readonly string[] {
  return [...new Set(scope.nodes.filter(pick).flatMap((node) => node.interfaces))].sort(byText);
}

/** Management zones and networks; experimental ones never carry management, whatever the intent says. */
export function managementNodes(scope: Scope): readonly Node[] {
  return scope.nodes.filter((node) => scope.router.management.zones.includes(node.id) && !node.experimental);
}
