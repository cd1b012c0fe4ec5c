/**
 * Random sites: an intent and an inventory over everything that an intent can say. Numbers come from the campaign's
 * Random alone. What breaks a law is taken out again, so that every site that leaves here is one that people could push.
 */
import * as v from "valibot";
import { rescuePorts } from "../../agent/core/compile/rescue.ts";
import type { CompileInput } from "../../agent/core/compile.ts";
import { prove } from "../../agent/core/prove.ts";
import type { Lease } from "../../client/replay/ground.ts";
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
import { insideAtRandom, networksAtRandom, uplinksAtRandom, type Zones } from "./site-ground.ts";
import { policiesAtRandom, servicesAtRandom } from "./site-policies.ts";

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
