/**
 * The intent as its laws look at it: names to things, and one word, side, for what traffic can come from or go
 * to: a zone or a WireGuard network. Pure; holds nothing that the intent does not say.
 */
import type { Intent, Network, Profile, Router, Service, Zone } from "./intent.ts";
import {
  contains,
  type Family,
  formatIp,
  type Ip,
  networkOf,
  type Prefix,
  parseCidr,
  parseIp,
  parsePrefix,
} from "./ip.ts";
import type { Problem } from "./problem.ts";

/** One law: everything that breaks it, each with its place in the document and the fix in the detail. */
export type Law = (index: IntentIndex) => readonly Problem[];

export type Side = {
  readonly id: string;
  readonly router: string;
  readonly kind: "zone" | "network";
  readonly uplink: boolean;
  readonly experimental: boolean;
  readonly subnets: readonly Prefix[];
  readonly interfaces: readonly string[];
  readonly path: string; // "zones[2]"
};

/** An address that the intent puts on a router. */
export type LocalAddress = {
  readonly router: string;
  readonly ip: Ip;
  readonly text: string; // of ip
  readonly length: number;
  readonly side: string; // zone or network it belongs to; "" when no zone has the interface
  readonly path: string;
};

export type IntentIndex = {
  readonly intent: Intent;
  readonly routers: ReadonlyMap<string, Router>;
  readonly zones: ReadonlyMap<string, Zone>;
  readonly networks: ReadonlyMap<string, Network>;
  readonly services: ReadonlyMap<string, Service>;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly sides: ReadonlyMap<string, Side>;
  readonly locals: readonly LocalAddress[];
};

/** Words with a meaning of their own where a zone or network could stand. */
export const RESERVED_NAMES: readonly string[] = ["rescue", "router", "internet"];

/** The rescue lane's first port; the second derives from the network id and is held by an invariant. */
export const RESCUE_PORT = 51819;

/** The first host of a network's subnet is the router's own address in it (reference/wireguard.md U7). */
export function serverAddress(subnet: Prefix): Ip {
  return { family: subnet.family, value: subnet.value + 1n };
}

/** Prefixes of texts that already passed their shape; others are left to the shape. */
export function prefixesOf(texts: readonly string[]): readonly Prefix[] {
  return texts.map(parsePrefix).filter((prefix) => prefix !== undefined);
}

export function hasFamily(side: Side, family: Family): boolean {
  return side.subnets.some((subnet) => subnet.family === family);
}

/** The zone of a router that lists an interface. */
export function zoneOfInterface(intent: Intent, router: string, name: string): Zone | undefined {
  return intent.zones.find((zone) => zone.router === router && zone.interfaces.includes(name));
}

/** True when packets of this family can leave through an uplink zone: a gateway, or a dynamic uplink that gets one. */
export function hasEgress(index: IntentIndex, zoneId: string, family: Family): boolean {
  const zone = index.zones.get(zoneId);
  const uplinks = index.routers.get(zone?.router ?? "")?.uplinks ?? [];
  return uplinks
    .filter((uplink) => zone?.kind === "uplink" && zone.interfaces.includes(uplink.interface))
    .some((uplink) => uplink.dynamic || uplink.gateways.some((gateway) => parseIp(gateway)?.family === family));
}

/** The side of a router whose subnets hold an address; uplinks are no place for hosts of ours. */
export function sideHolding(index: IntentIndex, router: string, ip: Ip): Side | undefined {
  return [...index.sides.values()].find(
    (side) => side.router === router && !side.uplink && side.subnets.some((subnet) => contains(subnet, ip)),
  );
}

/** First thing of each id; later ones are the duplicate law's business. */
function byId<T extends { readonly id: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map([...list].reverse().map((item) => [item.id, item]));
}

function localsOf(intent: Intent): readonly LocalAddress[] {
  const found: LocalAddress[] = [];
  const add = (router: string, text: string, side: string, path: string): void => {
    const cidr = parseCidr(text);
    if (cidr === undefined) return;
    const ip = { family: cidr.family, value: cidr.value };
    found.push({ router, ip, text: formatIp(ip), length: cidr.length, side, path });
  };
  const zone = (router: string, name: string): string => zoneOfInterface(intent, router, name)?.id ?? "";
  for (const [r, router] of intent.routers.entries()) {
    for (const [u, uplink] of router.uplinks.entries()) {
      for (const [a, text] of uplink.addresses.entries()) {
        add(router.id, text, zone(router.id, uplink.interface), `routers[${r}].uplinks[${u}].addresses[${a}]`);
      }
    }
    for (const [a, { interface: name, cidr }] of router.addresses.entries()) {
      add(router.id, cidr, zone(router.id, name), `routers[${r}].addresses[${a}]`);
    }
  }
  for (const [n, network] of intent.networks.entries()) {
    for (const [s, subnet] of network.subnets.entries()) {
      const prefix = parsePrefix(subnet);
      if (prefix === undefined) continue;
      const path = `networks[${n}].subnets[${s}]`;
      const ip = serverAddress(prefix);
      found.push({ router: network.router, ip, text: formatIp(ip), length: prefix.length, side: network.id, path });
    }
  }
  return found;
}

/** Everything the laws look up. Works on any intent that passed its shape, however wrong its references. */
export function indexIntent(intent: Intent): IntentIndex {
  const zones = intent.zones.map(
    (zone, i): Side => ({
      id: zone.id,
      router: zone.router,
      kind: "zone",
      uplink: zone.kind === "uplink",
      experimental: zone.kind === "experimental",
      subnets: prefixesOf(zone.subnets),
      interfaces: zone.interfaces,
      path: `zones[${i}]`,
    }),
  );
  const networks = intent.networks.map(
    (network, i): Side => ({
      id: network.id,
      router: network.router,
      kind: "network",
      uplink: false,
      experimental: network.class === "experimental",
      subnets: prefixesOf(network.subnets),
      interfaces: [],
      path: `networks[${i}]`,
    }),
  );
  return {
    intent,
    routers: byId(intent.routers),
    zones: byId(intent.zones),
    networks: byId(intent.networks),
    services: byId(intent.services),
    profiles: byId(intent.profiles),
    sides: byId([...zones, ...networks]),
    locals: localsOf(intent),
  };
}

/** The network that a local address lies in. */
export function localNetwork(local: LocalAddress): Prefix {
  return networkOf({ ...local.ip, length: local.length });
}
