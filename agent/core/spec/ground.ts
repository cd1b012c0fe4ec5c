/**
 * What the documents say of one router, as plainly as they can be read: places, who is at them, and services. Of the
 * generation only names of devices are taken, and the marks that its rules give to uplinks.
 */
import type { Desired } from "../../../schemas/desired.ts";
import type { Intent, PortForward, Profile, Router, Service } from "../../../schemas/intent.ts";
import type { Inventory } from "../../../schemas/inventory.ts";
import {
  type Family,
  hostPrefix,
  isUla,
  lastOf,
  overlaps,
  type Prefix,
  parseIp,
  parsePrefix,
} from "../../../schemas/ip.ts";
import type { Root, Roster } from "../../../schemas/trust.ts";
import type { Interval, Value } from "../verifier/fields.ts";
import { lanePrefix, operatorHost, RESCUE_NETWORK, reservedPorts, routerHost } from "./rescue.ts";

export type Documents = {
  readonly intent: Intent;
  readonly inventory: Inventory;
  readonly root: Root;
  readonly roster: Roster;
  readonly router: string;
  readonly desired: Desired;
};

/** One client where it has a live key: its profile, its addresses there, and the services of its own. */
export type Guest = {
  readonly id: string;
  readonly profile: string;
  readonly addresses: Readonly<Record<Family, readonly Interval[]>>;
  readonly services: readonly string[];
};

/** A zone or WireGuard network. */
export type Place = {
  readonly id: string;
  readonly kind: "uplink" | "internal" | "management" | "experimental" | "network";
  readonly experimental: boolean;
  readonly interfaces: readonly string[];
  readonly subnets: readonly Prefix[]; // none: any address may be there
  readonly dhcp: boolean;
  readonly dns: readonly string[];
  readonly guests: readonly Guest[];
};

export type Ground = {
  readonly intent: Intent;
  readonly router: Router;
  readonly places: readonly Place[];
  readonly guests: readonly Guest[]; // of all places
  readonly rescue: { readonly device: string; readonly prefix: Prefix; readonly operators: readonly bigint[] };
  /** Lanes: every port of UDP, which of them are the rescue lane's and the networks', and where the API is asked for. */
  readonly lanes: {
    readonly rescue: readonly number[];
    readonly networks: readonly number[];
    readonly api: readonly Value[]; // of IPv4 as numbers, of IPv6 wide
    readonly port: number;
  };
  readonly services: ReadonlyMap<string, Service>;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly forwards: readonly PortForward[];
  /** Uplinks whose flows are answered through them, with their mark. */
  readonly marks: readonly { readonly interface: string; readonly mark: number }[];
};

export const wanted = (flags: { readonly v4: boolean; readonly v6: boolean }, family: Family): boolean =>
  family === 4 ? flags.v4 : flags.v6;

/** An address or prefix as an interval; undefined for one of the other family. */
export function intervalOf(text: string, family: Family): Interval | undefined {
  // There may be tens of thousands of them, and half are of the other family.
  if (text.includes(":") !== (family === 6)) return undefined;
  const ip = parseIp(text);
  const prefix = ip === undefined ? parsePrefix(text) : hostPrefix(ip);
  return prefix?.family === family ? intervalOfPrefix(prefix) : undefined;
}

export function intervalOfPrefix(prefix: Prefix): Interval {
  const [from, to] = [prefix.value, lastOf(prefix)];
  return prefix.family === 4 ? { from: Number(from), to: Number(to) } : { from, to };
}

const OWN_USE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"].map((text) => parsePrefix(text)!);

/** Addresses that mean nothing outside of the site. */
export const isPrivate = (prefix: Prefix): boolean =>
  prefix.family === 6 ? isUla(prefix) : OWN_USE.some((one) => overlaps(one, prefix));

/** Who is behind a network: active clients that hold a live key for it. */
function guestsOf({ clients }: Inventory): ReadonlyMap<string, readonly Guest[]> {
  const found = new Map<string, Guest[]>();
  for (const { id, state, grants, services } of clients) {
    if (state !== "active") continue;
    for (const { network, profile, addresses, keys } of grants) {
      if (!keys.some((key) => key.state === "live")) continue;
      const list = found.get(network) ?? [];
      const own = (family: Family) => addresses.flatMap((text) => intervalOf(text, family) ?? []);
      list.push({ id, profile, addresses: { 4: own(4), 6: own(6) }, services });
      found.set(network, list);
    }
  }
  return found;
}

function placesOf({ intent, inventory, router, desired }: Documents): readonly Place[] {
  const guests = guestsOf(inventory);
  const subnets = (texts: readonly string[]): readonly Prefix[] => texts.map((text) => parsePrefix(text)!);
  const zones = intent.zones
    .filter((zone) => zone.router === router)
    .map(
      ({ id, kind, interfaces, dhcp, subnets: texts }): Place => ({
        id,
        kind,
        experimental: kind === "experimental",
        interfaces,
        subnets: kind === "uplink" ? [] : subnets(texts),
        dhcp,
        dns: [],
        guests: [],
      }),
    );
  const networks = intent.networks
    .filter((network) => network.router === router)
    .map(
      ({ id, class: kind, dns, subnets: texts }): Place => ({
        id,
        kind: "network",
        experimental: kind === "experimental",
        interfaces: desired.links.filter((link) => link.network === id).map((link) => link.name),
        subnets: subnets(texts),
        dhcp: false,
        dns,
        guests: guests.get(id) ?? [],
      }),
    );
  return [...zones, ...networks];
}

/** A rule asks for the flow's mark and leads to a table whose way out is one uplink: that mark is the uplink's. */
function marksOf({ desired }: Documents, { uplinks }: Router): Ground["marks"] {
  if (uplinks.length < 2) return [];
  return uplinks
    .filter((uplink) => !uplink.dynamic && uplink.gateways.length > 0)
    .flatMap(({ interface: name }) => {
      const exits = desired.routes.filter((route) => route.interface === name && /\/0$/.test(route.to));
      const rule = desired.rules.find(
        ({ fwmark, from, table }) =>
          fwmark !== 0 &&
          from === "" &&
          exits.some((route) => route.table === table) &&
          desired.routes.every((route) => route.table !== table || !/\/0$/.test(route.to) || route.interface === name),
      );
      return rule === undefined ? [] : [{ interface: name, mark: rule.fwmark }];
    });
}

/** Undefined when the intent has no such router. */
export function groundOf(documents: Documents): Ground | undefined {
  const { intent, root, roster, desired } = documents;
  const router = intent.routers.find((one) => one.id === documents.router);
  if (router === undefined) return undefined;
  const networks = intent.networks.filter((network) => network.router === router.id).map((network) => network.port);
  const active = roster.operators.filter((operator) => operator.status === "active");
  const management = router.management.addresses.map((text) => parseIp(text)!);
  const places = placesOf(documents);
  const zones = new Set(places.filter((place) => place.kind === "uplink").map((place) => place.id));
  return {
    intent,
    router,
    places,
    guests: places.flatMap((place) => place.guests),
    rescue: {
      device: desired.links.find((link) => link.network === RESCUE_NETWORK)?.name ?? "",
      prefix: lanePrefix(root.network_id),
      operators: active.map((operator) => operatorHost(root.network_id, operator.lane_key)),
    },
    lanes: {
      rescue: reservedPorts(root.network_id).filter((port) => !networks.includes(port)),
      networks,
      api: [
        ...management.map(({ family, value }) => (family === 4 ? Number(value) : value)),
        routerHost(root.network_id, router.id),
      ],
      port: router.management.port,
    },
    services: new Map(intent.services.map((service) => [service.id, service])),
    profiles: new Map(intent.profiles.map((profile) => [profile.id, profile])),
    forwards: intent.port_forwards.filter((forward) => zones.has(forward.zone)),
    marks: marksOf(documents, router),
  };
}
