/**
 * Random sites: an intent and an inventory over everything that an intent can say. Numbers come from the campaign's
 * Random alone. What breaks a law is taken out again, so that every site that leaves here is one that people could push.
 */
import * as v from "valibot";
import { rescuePorts } from "../../agent/core/compile/rescue.ts";
import type { CompileInput } from "../../agent/core/compile.ts";
import { prove } from "../../agent/core/prove.ts";
import type { Desired } from "../../schemas/desired.ts";
import { sha256 } from "../../schemas/digest.ts";
import { IntentDocument, type IntentInput } from "../../schemas/intent.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { InventoryDocument, type InventoryInput } from "../../schemas/inventory.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import type { Problem } from "../../schemas/problem.ts";
import type { Random } from "../campaigns/campaign.ts";
import { intentOf, inventoryOf, operatorOf, reportOf, rootOf, rosterOf } from "../core/compile-sites.ts";
import { chance, oneOf, some } from "./pick.ts";
import { clientsAtRandom, type Ground } from "./site-clients.ts";
import { policiesAtRandom, servicesAtRandom } from "./site-policies.ts";

/** What a provider gives a dynamic uplink: not in the intent, and not in what it compiles to. */
export type Lease = {
  readonly interface: string;
  readonly cidrs: readonly string[];
  readonly gateways: readonly string[];
};

export type Site = {
  readonly intent: IntentInput;
  readonly inventory: InventoryInput;
  readonly input: CompileInput;
  readonly desired: Desired;
  readonly leases: readonly Lease[];
};

type Mutable<T> = T extends readonly (infer I)[]
  ? Mutable<I>[]
  : T extends object
    ? { -readonly [K in keyof T]: Mutable<T[K]> }
    : T;

export type Draft = { intent: Mutable<IntentInput>; inventory: Mutable<InventoryInput> };

type Zones = NonNullable<IntentInput["zones"]>;
type Uplinks = NonNullable<IntentInput["routers"][number]["uplinks"]>;

const UPLINKS = ["wan0", "wan1", "ppp0"] as const;
/** Three providers: documentation space, carrier-grade NAT, and a private network in front. */
const PROVIDERS4 = ["192.0.2", "100.64.7", "10.250.1"] as const;

function uplinksAtRandom(random: Random): { uplinks: Uplinks; leases: Lease[] } {
  const leases: Lease[] = [];
  const uplinks = UPLINKS.slice(0, oneOf(random, [1, 1, 1, 2, 2, 3])).map((name, i) => {
    const net4 = PROVIDERS4[(i + random(3)) % 3]!.replace(/\d+$/, (last) => String((Number(last) + i) % 256));
    const four = chance(random, 9, 10);
    const six = !four || chance(random, 2, 3);
    const [long, more] = [oneOf(random, [24, 24, 28, 30]), chance(random, 1, 4)];
    const addresses = [
      ...(four ? [`${net4}.2/${long}`] : []),
      ...(four && more && long < 30 ? [`${net4}.5/${long}`] : []),
      ...(six ? [`2001:db8:${i + 1}::2/64`] : []),
    ];
    const gateways = [
      ...(four && chance(random, 9, 10) ? [`${net4}.1`] : []),
      ...(six && chance(random, 9, 10) ? [oneOf(random, [`2001:db8:${i + 1}::1`, "fe80::1"])] : []),
    ];
    const mtu = oneOf(random, [1500, 1500, 1500, 1492, 1400]);
    if (chance(random, 1, 6)) {
      leases.push({ interface: name, cidrs: addresses, gateways });
      return { interface: name, dynamic: true, mtu };
    }
    return { interface: name, addresses, gateways, mtu };
  });
  return { uplinks, leases };
}

const INSIDE = ["lan", "guest", "iot", "office", "lab"] as const;

type Inside = { zones: Zones; addresses: { interface: string; cidr: string }[]; routes: Routes };
type Routes = { to: string; via: string; interface: string; metric?: number }[];

/** Zones behind the router, with its addresses in them. */
function insideAtRandom(random: Random): Inside {
  const count = 1 + random(4);
  const addresses: Inside["addresses"] = [];
  const routes: Routes = [];
  const zones = INSIDE.slice(0, count).map((id, i) => {
    const interfaces = [`${id}0`, ...(chance(random, 1, 4) ? [`${id}1.${10 + i}`] : [])];
    const four = chance(random, 9, 10);
    const six = !four || chance(random, 3, 5);
    const long = oneOf(random, [24, 24, 28, 16]);
    const own = random(2) === 0 ? 1n : 2n;
    const subnets: string[] = [];
    if (four) {
      subnets.push(`10.${i + 1}.0.0/${long}`);
      addresses.push({ interface: interfaces[0]!, cidr: `10.${i + 1}.0.${own}/${long}` });
    }
    if (six) {
      subnets.push(`fd00:1:0:${i + 1}::/64`);
      if (chance(random, 9, 10)) addresses.push({ interface: interfaces[0]!, cidr: `fd00:1:0:${i + 1}::${own}/64` });
    }
    if (interfaces.length > 1 && four) {
      subnets.push(`172.20.${i}.0/26`);
      addresses.push({ interface: interfaces[1]!, cidr: `172.20.${i}.1/26` });
    }
    if (four && chance(random, 1, 4)) {
      subnets.push(`172.21.${i}.0/24`);
      routes.push({ to: `172.21.${i}.0/24`, via: `10.${i + 1}.0.9`, interface: interfaces[0]! });
    }
    const kind = i === 0 ? oneOf(random, ["internal", "management"] as const) : kindAtRandom(random);
    return { id, router: "r1", kind, interfaces, subnets, dhcp: chance(random, 1, 3) };
  });
  return { zones, addresses, routes };
}

const kindAtRandom = (random: Random) =>
  oneOf(random, ["internal", "internal", "internal", "management", "experimental"] as const);

const NETWORKS = ["home", "crew", "trial"] as const;

function networksAtRandom(random: Random, secondRescue: number): NonNullable<IntentInput["networks"]> {
  return NETWORKS.slice(0, random(4)).map((id, i) => {
    const four = chance(random, 4, 5);
    const six = !four || chance(random, 3, 5);
    const long = oneOf(random, [24, 16, 29]);
    const subnets = [
      ...(four ? [`10.${100 + i}.0.0/${long}`] : []),
      ...(six ? [`fd00:1:0:${(100 + i).toString(16)}::/64`] : []),
    ];
    const dns = [
      ...(four && chance(random, 2, 3) ? [oneOf(random, [`10.${100 + i}.0.1`, "10.1.0.5", "9.9.9.9"])] : []),
      ...(six && chance(random, 2, 3) ? [oneOf(random, [`fd00:1:0:${(100 + i).toString(16)}::1`, "2620:fe::fe"])] : []),
    ];
    return {
      id,
      router: "r1",
      port: i === 0 ? oneOf(random, [51820, 51820, secondRescue + 1]) : 51820 + i,
      endpoint: "vpn.example.net:51820",
      ...(chance(random, 1, 4) ? { interface: `wg${i}` } : {}),
      subnets,
      dns,
      mtu: oneOf(random, [1420, 1420, 1320, 1280]),
      class: chance(random, 1, 4) ? ("experimental" as const) : ("production" as const),
    };
  });
}

/** Everything at once, most of it lawful. */
function draft(random: Random, networkId: Uint8Array): Draft & { leases: readonly Lease[] } {
  const { uplinks, leases } = uplinksAtRandom(random);
  const { zones: inside, addresses, routes } = insideAtRandom(random);
  const apart = uplinks.length > 1 && random(2) === 0;
  const outside: Zones = apart
    ? uplinks.map(({ interface: name }) => ({ id: `to-${name}`, router: "r1", kind: "uplink", interfaces: [name] }))
    : [{ id: "wan", router: "r1", kind: "uplink", interfaces: uplinks.map((uplink) => uplink.interface) }];
  const networks = networksAtRandom(random, rescuePorts(networkId)[1]);
  const trusted = [...inside, ...networks].filter((one) => !("kind" in one) || one.kind !== "experimental");
  const managed = inside.filter((zone) => zone.kind === "management").map((zone) => zone.id);
  const manageable = some(
    random,
    trusted.map((one) => one.id),
    2,
  );
  const locals = addresses.map(({ cidr }) => cidr.split("/")[0]!);
  const publicOnes = uplinks.flatMap((uplink) => (uplink.addresses ?? []).map((cidr) => cidr.split("/")[0]!));
  const ground: Ground = { inside, outside, networks, locals, publicOnes, six: chance(random, 3, 4) };
  const services = servicesAtRandom(random, ground);
  const { profiles, constraints, clients } = clientsAtRandom(random, ground, services);
  const exits = outside.flatMap((zone) => [...inside, ...networks].map((one) => ({ from: one.id, to: zone.id })));
  const intent: IntentInput = {
    version: 1,
    site: "fuzz",
    ula_prefix: "fd00:1::/48",
    routers: [
      {
        id: "r1",
        uplinks,
        management: {
          addresses: [...new Set([locals[0]!, ...some(random, [...locals, ...publicOnes], 2)])],
          zones: [...new Set(["lan", ...managed, ...manageable, ...(chance(random, 1, 6) ? [outside[0]!.id] : [])])],
          port: oneOf(random, [8022, 8022, 443]),
        },
        addresses,
        routes,
        forward_v6: ground.six,
      },
    ],
    zones: [...outside, ...inside],
    networks,
    services,
    profiles,
    constraints,
    masquerade: exits.filter(() => chance(random, 3, 4)),
    nat66: exits.filter(() => chance(random, 1, 2)),
    ...policiesAtRandom(random, ground, services),
  };
  return {
    intent: intent as Mutable<IntentInput>,
    inventory: { version: 1, clients } as Mutable<InventoryInput>,
    leases,
  };
}

/** Takes the innermost thing of a list that a problem names out of its document; false when there is none. */
function takeOut(document: unknown, path: string): boolean {
  const steps = path.match(/[a-z_0-9]+|\[\d+\]/gi) ?? [];
  let at = document as Record<string, unknown> | unknown[];
  let found: { list: unknown[]; index: number } | undefined;
  for (const step of steps) {
    if (step.startsWith("[")) {
      const index = Number(step.slice(1, -1));
      found = { list: at as unknown[], index };
      at = (at as unknown[])[index] as typeof at;
    } else at = (at as Record<string, unknown>)[step] as typeof at;
    if (typeof at !== "object" || at === null) break;
  }
  if (found === undefined || found.list.length <= found.index) return false;
  found.list.splice(found.index, 1);
  return true;
}

/** Problems last first, so that taking one out moves none of the others. */
function repair(document: unknown, problems: readonly Problem[]): boolean {
  const paths = [...new Set(problems.map((one) => one.path))].sort((a, b) =>
    b.localeCompare(a, "en", { numeric: true }),
  );
  return paths.filter((path) => takeOut(document, path)).length > 0;
}

/** Takes out what breaks a law until nothing does; undefined when that leads nowhere. */
export function lawful(documents: Draft): Draft | undefined {
  for (let round = 0; round < 40; round += 1) {
    // A document that lost a thing which it must have is none any more.
    const intent = v.safeParse(IntentDocument, documents.intent);
    const inventory = v.safeParse(InventoryDocument, documents.inventory);
    if (!intent.success || !inventory.success) return undefined;
    const wrong = intentProblems(intent.output);
    if (wrong.length > 0) {
      if (!repair(documents.intent, wrong)) return undefined;
      continue;
    }
    const unlisted = inventoryProblems(intent.output, inventory.output);
    if (unlisted.length === 0) return documents;
    if (!repair(documents.inventory, unlisted)) return undefined;
  }
  return undefined;
}

/** The site of some documents; throws with the problems when it cannot be proven, which is a finding. */
export function siteOf(documents: Draft, leases: readonly Lease[], networkId: Uint8Array): Site {
  const [intent, inventory] = [documents.intent as IntentInput, documents.inventory as InventoryInput];
  const parsed = intentOf(intent);
  const input: CompileInput = {
    intent: parsed,
    inventory: inventoryOf(inventory),
    root: rootOf(networkId),
    roster: rosterOf([operatorOf("ann"), operatorOf("bob", { status: "revoked" })], networkId),
    keys: reportOf(parsed, "r1", networkId),
    router: "r1",
  };
  const proven = prove(input);
  if (!proven.ok) {
    const text = proven.problems.map((one) => `${one.code} ${one.path}: ${one.detail}`).join("\n");
    throw new Error(`the laws pass this site, the proof does not:\n${text}\n${JSON.stringify({ intent, inventory })}`);
  }
  return { intent, inventory, input, desired: proven.value.desired, leases };
}

export const networkIdOf = (random: Random): Uint8Array => sha256(`fuzz network ${random(1 << 30)}`).slice(0, 16);

/** A site that proves. Gives up after many tries, which says that the generator is broken. */
export function siteAtRandom(random: Random): Site {
  for (let round = 0; round < 20; round += 1) {
    const networkId = networkIdOf(random);
    const { leases, ...documents } = draft(random, networkId);
    const clean = lawful(documents);
    if (clean !== undefined) return siteOf(clean, leases, networkId);
  }
  throw new Error("twenty drafts, and none of them could be made lawful");
}
