/**
 * Sides of contracts as one router sees them: the interfaces and addresses that a zone, client or the internet truly
 * has, from the documents alone. What the compiler made of them is what contracts are held against.
 */
import { namesOf, type SideWord, sideWord } from "../../schemas/contract-words.ts";
import type { Desired } from "../../schemas/desired.ts";
import { type Intent, interfaceOf } from "../../schemas/intent.ts";
import type { Client, Inventory } from "../../schemas/inventory.ts";
import { type Family, networkOf, parseCidr } from "../../schemas/ip.ts";
import type { Problem, Result } from "../../schemas/problem.ts";
import type { Root } from "../../schemas/trust.ts";
import { both, everyAddress, minus, ofPrefix, ofTexts, type Ranges, union } from "./contracts-ranges.ts";
import type { Model } from "./verifier/model.ts";

/** What contracts are decided over: documents that passed their laws, and the generation that they compiled to. */
export type ContractSubject = {
  readonly intent: Intent;
  readonly inventory: Inventory;
  readonly root: Pick<Root, "network_id">;
  readonly router: string;
  readonly desired: Desired;
  readonly opened?: Result<Model>; // the generation, when somebody has opened it already
};

/** Addresses behind some interfaces. */
export type Seat = {
  readonly interfaces: readonly string[]; // none: the router itself
  readonly addresses: Readonly<Record<Family, Ranges>>;
};

export type Side = {
  readonly word: SideWord;
  /** Any address that is not of the site: an uplink zone, the internet, a zone without subnets. */
  readonly open: boolean;
  /** Behind the uplinks: what it sends inside comes through port-forwards alone. */
  readonly outer: boolean;
  /** Who truly is there now. */
  readonly seats: readonly Seat[];
  /** Every address that is of this side, whoever has it now: also those of suspended clients. */
  readonly claimed: Readonly<Record<Family, Ranges>>;
  /** True when a side is known by its interfaces, whatever address a packet has. */
  readonly byInterface: boolean;
  readonly interfaces: readonly string[];
  /** Why nobody is there now; "" when somebody is. */
  readonly idle: string;
};

/** The router's own addresses and those that lead nowhere, for all sides alike. */
export type Ground = {
  readonly own: Readonly<Record<Family, Ranges>>; // without the rescue lane's
  /** Those that somebody outside may know: the uplinks', also where they are not known here. */
  readonly front: Readonly<Record<Family, Ranges>>;
  /** Broadcasts, and the lowest address of an IPv6 subnet, to which routers answer (RFC 4291 2.6.1). */
  readonly edges: Readonly<Record<Family, Ranges>>;
  readonly outside: Readonly<Record<Family, Ranges>>;
};

const NONE: Readonly<Record<Family, Ranges>> = { 4: [], 6: [] };
const RESCUE_LINK = "hf-rescue";

export const perFamily = <T>(of: (family: Family) => T): Readonly<Record<Family, T>> => ({ 4: of(4), 6: of(6) });

const texts = (list: readonly string[]): Readonly<Record<Family, Ranges>> =>
  perFamily((family) => ofTexts(list, family));

/** IPv4 that is nobody's address, and groups; IPv6 of the internet is 2000::/3 (RFC 4291). */
const NOBODY4 = ofTexts(["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"], 4);
const GLOBAL6 = ofTexts(["2000::/3"], 6);

export function groundOf({ intent, router, desired }: ContractSubject): Ground {
  const addresses = desired.addresses.flatMap(({ interface: name, cidr }) => {
    const parsed = parseCidr(cidr);
    return parsed === undefined ? [] : [{ name, ip: parsed, network: networkOf(parsed) }];
  });
  const of = (family: Family) => addresses.filter((one) => one.ip.family === family);
  const inside = [
    ...intent.zones.filter((zone) => zone.router === router && zone.kind !== "uplink").flatMap((zone) => zone.subnets),
    ...intent.networks.filter((network) => network.router === router).flatMap((network) => network.subnets),
    ...desired.routes.filter(({ to }) => !to.endsWith("/0")).map(({ to }) => to),
  ];
  const own = perFamily((family) =>
    union(
      of(family)
        .filter(({ name }) => name !== RESCUE_LINK)
        .map(({ ip }) => ({ from: ip.value, to: ip.value })),
    ),
  );
  const edge = ({ network }: { readonly network: ReturnType<typeof networkOf> }): Ranges => {
    const [{ from, to } = { from: 0n, to: 0n }] = ofPrefix(network);
    if (network.family === 6) return network.length < 127 ? [{ from, to: from }] : [];
    if (network.length > 30) return [];
    return [
      { from, to: from },
      { from: to, to },
    ];
  };
  const edges = perFamily((family) => union(...of(family).map(edge)));
  const world = { 4: minus(everyAddress(4), NOBODY4), 6: GLOBAL6 };
  const outside = perFamily((family) =>
    minus(world[family], union(ofTexts(inside, family), own[family], edges[family])),
  );
  const uplinks = uplinksOf(intent, router);
  const front = perFamily((family) =>
    union(
      outside[family],
      of(family)
        .filter(({ name }) => uplinks.includes(name))
        .map(({ ip }) => ({ from: ip.value, to: ip.value })),
    ),
  );
  return { own, front, edges, outside };
}

type Kind = Pick<Side, "word">;

const empty = { open: false, outer: false, seats: [], claimed: NONE, byInterface: false, interfaces: [], idle: "" };

/** Grants of clients that are on this router: by client, or by profile. */
function clientSide(subject: ContractSubject, kind: Kind, clients: readonly Client[], profile: string | null): Side {
  const { intent, router } = subject;
  const links = new Map(
    intent.networks
      .filter((network) => network.router === router)
      .map((network) => [network.id, interfaceOf(network)] as const),
  );
  const grants = clients.flatMap((client) =>
    client.grants
      .filter((grant) => links.has(grant.network) && (profile === null || grant.profile === profile))
      .map((grant) => ({ client, grant, link: links.get(grant.network)! })),
  );
  const active = grants.filter(
    ({ client, grant }) => client.state === "active" && grant.keys.some((key) => key.state === "live"),
  );
  const interfaces = [...new Set(grants.map(({ link }) => link))].sort();
  const seats = interfaces.map((link) => ({
    interfaces: [link],
    addresses: texts(active.filter((one) => one.link === link).flatMap(({ grant }) => grant.addresses)),
  }));
  const nobody =
    profile === null
      ? `client ${clients[0]?.id} is not active on ${router}`
      : `nobody on ${router} has profile ${profile}`;
  const idle = active.length > 0 ? "" : nobody;
  const claimed = texts(grants.flatMap(({ grant }) => grant.addresses));
  return { ...kind, ...empty, seats, claimed, interfaces, idle };
}

/** A zone's or network's own side; undefined when another router has it. */
function placeSide(subject: ContractSubject, ground: Ground, kind: Kind, id: string): Side | undefined {
  const { intent, inventory, router } = subject;
  const zone = intent.zones.find((one) => one.id === id);
  if (zone !== undefined) {
    if (zone.router !== router) return undefined;
    const open = zone.kind === "uplink" || zone.subnets.length === 0;
    const claimed = open ? NONE : texts(zone.subnets);
    const addresses = open
      ? ground.outside
      : perFamily((family) => minus(claimed[family], union(ground.own[family], ground.edges[family])));
    const interfaces = [...zone.interfaces].sort();
    const outer = zone.kind === "uplink";
    return {
      ...kind,
      ...empty,
      open,
      outer,
      seats: [{ interfaces, addresses }],
      claimed,
      byInterface: true,
      interfaces,
    };
  }
  const network = intent.networks.find((one) => one.id === id && one.router === router);
  if (network === undefined) return undefined;
  const granted = inventory.clients.map((client) => ({
    ...client,
    grants: client.grants.filter((grant) => grant.network === id),
  }));
  const side = clientSide(subject, kind, granted, null);
  const idle = side.idle === "" ? "" : `network ${id} has no active client on ${router}`;
  return { ...side, claimed: texts(network.subnets), byInterface: true, interfaces: [interfaceOf(network)], idle };
}

/** The place whose subnets hold an address; the uplinks when none does. */
function addressSide(subject: ContractSubject, ground: Ground, word: SideWord & { kind: "address" }): Side {
  const { intent, router } = subject;
  const { family } = word.prefix;
  const wanted = ofPrefix(word.prefix);
  const only = (ranges: Ranges): Readonly<Record<Family, Ranges>> => ({ ...NONE, [family]: ranges });
  const places = [...intent.zones.filter((zone) => zone.kind !== "uplink"), ...intent.networks]
    .filter((place) => place.router === router)
    .map((place) => placeSide(subject, ground, { word }, place.id)!);
  const near = places.flatMap((place) =>
    place.seats.map((seat) => ({
      interfaces: seat.interfaces,
      addresses: only(both(wanted, place.open ? [] : seat.addresses[family])),
    })),
  );
  const uplinks = uplinksOf(intent, router);
  const far = { interfaces: uplinks, addresses: only(both(wanted, ground.outside[family])) };
  const own = { interfaces: [], addresses: only(both(wanted, ground.own[family])) };
  const seats = [...near, far, own].filter((seat) => seat.addresses[family].length > 0);
  const interfaces = [...new Set(seats.flatMap((seat) => seat.interfaces))].sort();
  return { word, ...empty, seats, claimed: only(wanted), interfaces };
}

const uplinksOf = (intent: Intent, router: string): readonly string[] =>
  intent.zones
    .filter((zone) => zone.router === router && zone.kind === "uplink")
    .flatMap((zone) => zone.interfaces)
    .sort();

/** A side by its text: undefined when another router has it. Problems are those of sideWord. */
export function sideOf(
  subject: ContractSubject,
  ground: Ground,
  text: string,
  path: string,
): Side | Problem | undefined {
  const { intent, inventory, router } = subject;
  const word = sideWord(namesOf(intent, inventory), text, path);
  if ("code" in word) return word;
  switch (word.kind) {
    case "router":
      return { word, ...empty, seats: [{ interfaces: [], addresses: ground.own }], claimed: ground.own };
    case "internet": {
      const interfaces = uplinksOf(intent, router);
      const seats = [{ interfaces, addresses: ground.outside }];
      const idle = interfaces.length > 0 ? "" : `${router} has no uplink`;
      return { word, ...empty, open: true, outer: true, seats, byInterface: true, interfaces, idle };
    }
    case "address":
      return addressSide(subject, ground, word);
    case "client":
      return clientSide(
        subject,
        { word },
        inventory.clients.filter((one) => one.id === word.name),
        null,
      );
    case "profile":
      return clientSide(subject, { word }, inventory.clients, word.name);
    default:
      return placeSide(subject, ground, { word }, word.name);
  }
}
