/**
 * The laws between fields of an inventory, and between it and its intent: references, sticky addresses, dates. Laws
 * of keys are in inventory-laws-keys.ts. Every law lists all that breaks it, with the fix in the sentence.
 */
import type { Intent } from "./intent.ts";
import { type IntentIndex, indexIntent, RESERVED_NAMES, serverAddress } from "./intent-laws-index.ts";
import { pairProblems, profileFamilies, routerServices, serviceIsolation } from "./intent-laws-reach.ts";
import type { Client, Grant, Inventory } from "./inventory.ts";
import { keyProblems } from "./inventory-laws-keys.ts";
import { contains, lastOf, type Prefix, parseIp } from "./ip.ts";
import { type Problem, problem } from "./problem.ts";

type Named = { readonly text: string; readonly path: string };

function repeats(list: readonly Named[], what: string): readonly Problem[] {
  const first = new Map<string, string>();
  return list.flatMap(({ text, path }): Problem[] => {
    const before = first.get(text);
    if (before === undefined) first.set(text, path);
    if (before === undefined) return [];
    return [problem("inventory.duplicate", path, `${what} ${text} is already at ${before}: remove one of them.`)];
  });
}

function uniqueness(inventory: Inventory): readonly Problem[] {
  const { clients, tombstones, ledger } = inventory;
  const texts = (list: readonly string[], path: string): readonly Named[] =>
    list.map((text, i) => ({ text, path: `${path}[${i}]` }));
  return [
    ...repeats(
      clients.map(({ id }, c) => ({ text: id, path: `clients[${c}].id` })),
      "client",
    ),
    ...clients.flatMap((client, c) => [
      ...repeats(
        client.grants.map(({ network }, g) => ({ text: network, path: `clients[${c}].grants[${g}].network` })),
        "a grant on network",
      ),
      ...repeats(texts(client.services, `clients[${c}].services`), "service"),
      ...repeats(texts(client.hints.dns, `clients[${c}].hints.dns`), "address"),
      ...repeats(texts(client.hints.excludes, `clients[${c}].hints.excludes`), "prefix"),
    ]),
    ...repeats(
      tombstones.map(({ network, address }, t) => ({ text: `${network} ${address}`, path: `tombstones[${t}]` })),
      "tombstone",
    ),
    ...repeats(
      ledger.map(({ kind, fingerprint }, l) => ({ text: `${kind} ${fingerprint}`, path: `ledger[${l}]` })),
      "ledger entry",
    ),
    ...clients
      .map(({ id }, c) => ({ id, path: `clients[${c}].id` }))
      .filter(({ id }) => RESERVED_NAMES.includes(id))
      .map(({ id, path }) =>
        problem("inventory.reserved_name", path, `${id} has a fixed meaning here: choose another name.`),
      ),
  ];
}

/** A calendar date that exists, or none. */
function isDate(text: string): boolean {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return text === "" || (days !== undefined && day >= 1 && day <= days);
}

function dates({ clients, tombstones, ledger }: Inventory): readonly Problem[] {
  return [
    ...clients.map((client, c) => ({ text: client.expires, path: `clients[${c}].expires` })),
    ...tombstones.map((stone, t) => ({ text: stone.since, path: `tombstones[${t}].since` })),
    ...ledger.map((burnt, l) => ({ text: burnt.since, path: `ledger[${l}].since` })),
  ]
    .filter(({ text }) => !isDate(text))
    .map(({ text, path }) => problem("inventory.date", path, `${text} is no day of the calendar: correct it.`));
}

/** Why an address of a subnet cannot be a client's; undefined when it can. */
function unusable(subnet: Prefix, value: bigint): string | undefined {
  if (value === subnet.value) return "the network's own address";
  if (subnet.family === 4 && value === lastOf(subnet)) return "the broadcast address";
  if (value === serverAddress(subnet).value) return "the router's address";
  return undefined;
}

type Taken = { readonly client: string; readonly path: string };

/** What the address laws carry from client to client. */
type AddressBook = {
  readonly taken: Map<string, Taken>; // by address; subnets are disjoint, so one table serves all networks
  readonly buried: ReadonlyMap<string, string>; // "network address" to the client that had it
};

function addressProblems(index: IntentIndex, client: Client, grant: Grant, path: string, book: AddressBook): Problem[] {
  const side = index.sides.get(grant.network);
  const families = new Set<number>();
  return grant.addresses.flatMap((text, a): Problem[] => {
    const at = `${path}.addresses[${a}]`;
    const ip = parseIp(text);
    if (ip === undefined) return [];
    const found: Problem[] = [];
    if (families.has(ip.family)) {
      found.push(problem("inventory.family", at, `A second IPv${ip.family} address: a grant has one per family.`));
    }
    families.add(ip.family);
    const subnet = side?.subnets.find((one) => contains(one, ip));
    if (side !== undefined && subnet === undefined) {
      const fix = `${text} is in no subnet of network ${side.id}: choose a free address there.`;
      found.push(problem("inventory.address", at, fix));
    }
    const reason = subnet === undefined ? undefined : unusable(subnet, ip.value);
    if (reason !== undefined) {
      found.push(problem("inventory.address", at, `${text} is ${reason}: choose another address.`));
    }
    const holder = book.taken.get(text);
    if (holder === undefined) book.taken.set(text, { client: client.id, path: at });
    else {
      const fix = `${text} is client ${holder.client}'s already (${holder.path}): choose a free address.`;
      found.push(problem("inventory.address_taken", at, fix));
    }
    const before = book.buried.get(`${grant.network} ${text}`);
    if (before !== undefined && before !== client.id) {
      const fix = `${text} belonged to ${before} and has a tombstone, so nobody inherits what was allowed to it: choose another.`;
      found.push(problem("inventory.tombstone", at, fix));
    }
    return found;
  });
}

function grantProblems(index: IntentIndex, client: Client, grant: Grant, path: string): readonly Problem[] {
  const { network, profile } = grant;
  const found: Problem[] = [];
  const missing = (what: string, name: string, key: string): void => {
    found.push(
      problem(
        "inventory.no_such",
        `${path}.${key}`,
        `The intent has no ${what} ${name}: add it there, or correct the name.`,
      ),
    );
  };
  if (!index.networks.has(network)) missing("network", network, "network");
  const known = index.profiles.get(profile);
  if (known === undefined) missing("profile", profile, "profile");
  const side = index.networks.has(network) ? index.sides.get(network) : undefined;
  if (side === undefined || known === undefined) return found;
  const constraint = index.intent.constraints.find((one) => one.network === network);
  if (constraint !== undefined && !constraint.profiles.includes(profile)) {
    const list = constraint.profiles.join(", ");
    const text = `Network ${network} allows only ${list === "" ? "no profile" : list}: grant one of these, or extend the constraint.`;
    found.push(problem("inventory.profile_not_allowed", `${path}.profile`, text));
  } else if (constraint === undefined) {
    found.push(...pairProblems(index, network, profile, `${path}.profile`));
  }
  const have = new Set(grant.addresses.map((text) => parseIp(text)?.family));
  for (const family of profileFamilies(known)) {
    if (have.has(family)) continue;
    const text = `Profile ${profile} uses IPv${family}, but client ${client.id} has no IPv${family} address here: add one, or another profile.`;
    found.push(problem("inventory.family", `${path}.addresses`, text));
  }
  return [...found, ...serviceIsolation(index, side, client.services, `Client ${client.id} has on`, path)];
}

function clientProblems(index: IntentIndex, client: Client, path: string, book: AddressBook): readonly Problem[] {
  const found: Problem[] = client.services
    .map((id, s) => ({ id, at: `${path}.services[${s}]` }))
    .filter(({ id }) => !index.services.has(id))
    .map(({ id, at }) =>
      problem("inventory.no_such", at, `The intent has no service ${id}: add it there, or correct the name.`),
    );
  found.push(...routerServices(index, client.services, `${path}.services`));
  for (const [g, grant] of client.grants.entries()) {
    const at = `${path}.grants[${g}]`;
    found.push(...grantProblems(index, client, grant, at), ...addressProblems(index, client, grant, at, book));
  }
  const full = client.grants.some(({ profile }) => {
    const internet = index.profiles.get(profile)?.internet;
    return internet !== undefined && (internet.v4 || internet.v6);
  });
  if (client.hints.excludes.length > 0 && !full && client.grants.length > 0) {
    const text = "Excludes cut holes into a full tunnel, and no grant of this client is one: remove them.";
    found.push(problem("inventory.excludes", `${path}.hints.excludes`, text));
  }
  return found;
}

/** Everything in an inventory that breaks a law under this intent; [] when lawful. Paths are the inventory's. Total. */
export function inventoryProblems(intent: Intent, inventory: Inventory): readonly Problem[] {
  const index = indexIntent(intent);
  const book: AddressBook = {
    taken: new Map(),
    buried: new Map(inventory.tombstones.map((stone) => [`${stone.network} ${stone.address}`, stone.client])),
  };
  return [
    ...uniqueness(inventory),
    ...dates(inventory),
    ...inventory.clients.flatMap((client, c) => clientProblems(index, client, `clients[${c}]`, book)),
    ...keyProblems(inventory),
  ];
}
