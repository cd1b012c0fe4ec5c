/** What invariants look at: the documents, and what they compiled to. */
import type { Desired, WgLink } from "../../schemas/desired.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { type Ip, networkOf, type Prefix, parseCidr, parseIp, parsePrefix } from "../../schemas/ip.ts";
import { type Problem, problem, type Result } from "../../schemas/problem.ts";
import type { KeyReport, Root, Roster } from "../../schemas/trust.ts";
import type { CompileInput } from "./compile.ts";
import { hostIn, type Packet } from "./invariants-packet.ts";
import type { Model } from "./verifier/model.ts";

/** Canonical documents and the generation that they compiled to. */
export type Subject = CompileInput & {
  readonly intent: Intent;
  readonly inventory: Inventory;
  readonly root: Root;
  readonly roster: Roster;
  readonly keys: KeyReport;
  readonly desired: Desired;
  /** The verifier's view of the generation, when it was opened already; nothing else may be in it. */
  readonly opened?: Result<Model>;
};

export type Invariant = {
  readonly id: string; // HF-<AREA>-nn, permanent
  readonly sentence: string;
  readonly why: string;
  readonly example: string; // what breaks it
  readonly fix: string;
  check(subject: Subject): readonly Problem[];
  /** Rules, and sets with all of their elements, whose text it asks for: without one of them it is violated. */
  reads?(subject: Subject): readonly Read[];
};

export type Read = { readonly chain: string; readonly rule: number } | { readonly set: string };

/** A violation: the object in question, and what to do. */
export function violated(id: string, detail: string): Problem {
  return problem("invariant.violated", id, detail);
}

/** A zone or network of the router as packets meet it. */
export type Place = {
  readonly id: string;
  readonly kind: "uplink" | "internal" | "management" | "experimental" | "network";
  readonly experimental: boolean;
  readonly interfaces: readonly string[];
  readonly subnets: readonly Prefix[];
};

const prefixes = (texts: readonly string[]): readonly Prefix[] => texts.map((text) => parsePrefix(text)!);

/** Places of the subject's router, from the intent alone. */
export function placesOf({ intent, router, desired }: Subject): readonly Place[] {
  return [
    ...intent.zones
      .filter((zone) => zone.router === router)
      .map((zone) => ({
        id: zone.id,
        kind: zone.kind,
        experimental: zone.kind === "experimental",
        interfaces: zone.interfaces,
        subnets: prefixes(zone.subnets),
      })),
    ...intent.networks
      .filter((network) => network.router === router)
      .map((network) => ({
        id: network.id,
        kind: "network" as const,
        experimental: network.class === "experimental",
        // The device that carries it, whatever it is called.
        interfaces: desired.links.filter((link) => link.network === network.id).map((link) => link.name),
        subnets: prefixes(network.subnets),
      })),
  ];
}

/** The links that carry networks of the intent. */
export const networkLinks = (desired: Desired): readonly WgLink[] =>
  desired.links.filter((link) => link.network !== "rescue");

/** Every address that the generation puts on an interface. */
export function localAddresses(
  desired: Desired,
): readonly { readonly ip: Ip; readonly subnet: Prefix; readonly interface: string }[] {
  return desired.addresses.flatMap(({ interface: name, cidr }) => {
    const parsed = parseCidr(cidr);
    if (parsed === undefined) return [];
    return [{ ip: { family: parsed.family, value: parsed.value }, subnet: networkOf(parsed), interface: name }];
  });
}

/** Somebody on the internet, in documentation space. */
export const stranger = (family: 4 | 6): Ip => parseIp(family === 4 ? "203.0.113.200" : "2001:db8:ffff::200")!;

/** More kinds of clients than this are not told apart; their rules are the same few chains. */
const KINDS_MAX = 256;

/** One active client of each kind, kinds being profile and services: their rules are the same. */
function clientsOf({ inventory }: Subject, network: string, family: 4 | 6): readonly Ip[] {
  const kinds = new Map<string, Ip>();
  for (const client of inventory.clients) {
    const grant = client.state === "active" ? client.grants.find((one) => one.network === network) : undefined;
    const kind = `${grant?.profile} ${client.services}`;
    if (grant === undefined || kinds.has(kind)) continue;
    const ip = grant.addresses.map(parseIp).find((one) => one?.family === family);
    if (ip !== undefined) kinds.set(kind, ip);
  }
  return [...kinds.values()].slice(0, KINDS_MAX);
}

/** Sources that may truly be at a place: clients of each kind, a host of each subnet, a stranger behind an uplink. */
export function sourcesAt(place: Place, family: 4 | 6, subject: Subject): readonly Ip[] {
  if (place.kind === "uplink") return [stranger(family)];
  if (place.kind === "network") return clientsOf(subject, place.id, family);
  return place.subnets.filter((prefix) => prefix.family === family).map((subnet) => hostIn(subnet));
}

/** The first of sourcesAt. */
export function sourceAt(place: Place, family: 4 | 6, subject: Subject): Ip | undefined {
  return sourcesAt(place, family, subject)[0];
}

/** A new flow's first packet; what is not said is a stranger's TCP SYN to a stranger. */
export function packet(fields: Partial<Packet> & Pick<Packet, "source" | "target">): Packet {
  return {
    family: fields.source.family,
    iif: "",
    oif: "",
    protocol: "tcp",
    sport: 40_000,
    dport: 443,
    icmpType: "",
    syn: true,
    state: "new",
    direction: "original",
    epoch: "stale",
    dnat: false,
    sourceLocal: false,
    targetLocal: false,
    ...fields,
  };
}
