/**
 * Coverage: which rules and elements of the ruleset a contract or an invariant depends on. What neither depends on could
 * be another rule, and only a reader would notice.
 */
import type { NftTable } from "../../schemas/desired.ts";
import { parseIp } from "../../schemas/ip.ts";
import { done, type Result } from "../../schemas/problem.ts";
import { claimsOf } from "./contracts.ts";
import { type Origin, ruleOrigin } from "./contracts-origin.ts";
import { invariants, type Subject } from "./invariants.ts";
import { walkerOf } from "./invariants-walk.ts";
import { type Model, openModel } from "./verifier/model.ts";
import { type Touch, touched, touchKey } from "./verifier/touched.ts";

/** Ids of those who depend on something. */
export type Holders = { readonly contracts: readonly string[]; readonly invariants: readonly string[] };

export type RuleCover = Holders & {
  readonly chain: string;
  readonly rule: number; // index in the chain
  readonly text: string;
  readonly origin: Origin | null; // null: of every generation
};

export type ElementCover = Holders & { readonly set: string; readonly element: string; readonly origin: Origin | null };

export type Coverage = { readonly rules: readonly RuleCover[]; readonly elements: readonly ElementCover[] };

export const isHeld = ({ contracts, invariants: ids }: Holders): boolean => contracts.length + ids.length > 0;

/** Who depends on what, by the key of the touch. */
class Ledger {
  readonly #by = new Map<string, Set<string>>();

  note(touch: Touch, holder: string): void {
    const key = touchKey(touch);
    const known = this.#by.get(key) ?? new Set();
    this.#by.set(key, known.add(holder));
  }

  of(touch: Touch): readonly string[] {
    return [...(this.#by.get(touchKey(touch)) ?? [])];
  }
}

/** Rules that the questions of each contract meet. Code verify.unmodelled. */
function byContracts(subject: Subject, model: Model): Result<Ledger> {
  const ledger = new Ledger();
  for (const contract of subject.intent.contracts) {
    for (const { question } of claimsOf(subject, contract)) {
      const found = touched(model, question);
      if (!found.ok) return found;
      for (const touch of found.value) ledger.note(touch, contract.id);
    }
  }
  return done(ledger);
}

const setOf = (nft: NftTable, name: string): readonly string[] =>
  nft.sets.find((one) => one.name === name)?.elements ?? [];

/** Rules that packets of each invariant met, and those that it reads. */
function byInvariants(subject: Subject): Ledger {
  const ledger = new Ledger();
  const { nft } = subject.desired;
  const walker = walkerOf(nft);
  for (const invariant of invariants) {
    walker.watch = (chain, rule, entry) => {
      ledger.note({ chain, rule }, invariant.id);
      if (entry !== null && entry.element !== "") ledger.note(entry, invariant.id);
    };
    try {
      invariant.check(subject);
    } finally {
      walker.watch = null;
    }
    for (const read of invariant.reads?.(subject) ?? []) {
      if ("chain" in read) ledger.note(read, invariant.id);
      else for (const element of setOf(nft, read.set)) ledger.note({ set: read.set, element }, invariant.id);
    }
  }
  return ledger;
}

/** Clients by address and places by interface: whom an element names. */
function namesIn({ intent, inventory, router, desired }: Subject): ReadonlyMap<string, Origin> {
  const names = new Map<string, Origin>();
  for (const [z, zone] of intent.zones.entries())
    if (zone.router === router)
      for (const name of zone.interfaces) names.set(`"${name}"`, { path: `zones[${z}]`, name: `zone ${zone.id}` });
  for (const [n, network] of intent.networks.entries())
    for (const link of desired.links.filter((one) => one.network === network.id))
      names.set(`"${link.name}"`, { path: `networks[${n}]`, name: `network ${network.id}` });
  for (const [c, client] of inventory.clients.entries())
    for (const address of client.grants.flatMap((grant) => grant.addresses))
      names.set(address, { path: `clients[${c}]`, name: `client ${client.id}` });
  return names;
}

/** Whom an element is about: its client, then what its set says, then its zone or network. */
function elementOrigin(subject: Subject, names: ReadonlyMap<string, Origin>, set: string, element: string) {
  const parts = element.split(" : ")[0]!.split(" . ");
  const client = parts.map((part) => (parseIp(part) === undefined ? undefined : names.get(part))).find(Boolean);
  const rule = { chain: "", text: `@${set} `, element: set === "s_pf4" ? element : "" };
  const place = (): Origin | undefined => parts.map((part) => names.get(part)).find(Boolean);
  return client ?? ruleOrigin(subject.intent, subject.desired, rule) ?? place() ?? null;
}

/**
 * Every rule of the subject's ruleset and every element of its sets and maps, with the contracts and invariants that
 * depend on it. A contract does when a packet that it speaks of meets the rule or the element on its way; an invariant
 * when one of its packets does, or when it asks for the rule's text; those decided over whole hooks are not counted. The documents must have passed the proof. Code
 * verify.unmodelled.
 */
export function coverageOf(subject: Subject): Result<Coverage> {
  const { intent, desired } = subject;
  const model = subject.opened ?? openModel(desired);
  if (!model.ok) return model;
  const contracts = byContracts(subject, model.value);
  if (!contracts.ok) return contracts;
  const held = byInvariants(subject);
  const holders = (touch: Touch): Holders => ({
    contracts: contracts.value.of(touch),
    invariants: held.of(touch),
  });
  const names = namesIn(subject);
  const rules = desired.nft.chains.flatMap(({ name: chain, rules: texts }) =>
    texts.map((text, rule): RuleCover => {
      const origin = ruleOrigin(intent, desired, { chain, text, element: "" });
      return { chain, rule, text, origin, ...holders({ chain, rule }) };
    }),
  );
  const elements = desired.nft.sets.flatMap(({ name: set, elements: texts }) =>
    texts.map((element): ElementCover => {
      return { set, element, origin: elementOrigin(subject, names, set, element), ...holders({ set, element }) };
    }),
  );
  return done({ rules, elements });
}
