/** What invariants are tried on: the two example sites, compiled, and copies of them with one thing broken. */
import { join } from "node:path";
import { type CompileInput, compile, networksOf } from "../../agent/core/compile.ts";
import type { Subject } from "../../agent/core/invariants.ts";
import { readSite } from "../../client/site/site.ts";
import type { Desired, NftChain, NftSet, WgLink } from "../../schemas/desired.ts";
import { makeTrust } from "../site/fixture.ts";

const EXAMPLES = join(import.meta.dir, "../../docs/examples");

/**
 * An example site with trust documents: two active operators and a revoked one. Without its contracts, which take longer
 * than everything else; tests/core/contracts-examples.test.ts has them.
 */
export function exampleInput(name: "homelab" | "branch"): CompileInput {
  const site = readSite(join(EXAMPLES, name));
  if (!site.ok) throw new Error(JSON.stringify(site.problems));
  const { intent, inventory } = site.value;
  const router = intent.routers[0]!.id;
  const options = { network: name, operators: ["alice", "bob", "mallory"], revoked: ["mallory"] };
  const trust = makeTrust([router], networksOf(intent, router), options);
  const silent = { ...intent, contracts: [] };
  return {
    intent: silent,
    inventory,
    root: trust.root,
    roster: trust.roster,
    keys: trust.reports.get(router)!,
    router,
  };
}

export function subjectOf(input: CompileInput): Subject {
  const desired = compile(input);
  if (!desired.ok) throw new Error(JSON.stringify(desired.problems));
  return { ...input, desired: desired.value };
}

/** Everything writable, to break it. */
export type Open<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer I)[]
    ? Open<I>[]
    : T extends object
      ? { -readonly [K in keyof T]: Open<T[K]> }
      : T;

/** A copy of the subject with its generation changed. */
export function broken(subject: Subject, change: (desired: Open<Desired>) => unknown): Subject {
  const desired = structuredClone(subject.desired) as Open<Desired>;
  change(desired);
  return { ...subject, desired: desired as Desired };
}

export const chain = (desired: Open<Desired>, name: string): Open<NftChain> =>
  desired.nft.chains.find((one) => one.name === name)!;
export const set = (desired: Open<Desired>, name: string): Open<NftSet> =>
  desired.nft.sets.find((one) => one.name === name)!;
export const link = (desired: Open<Desired>, network: string): Open<WgLink> =>
  desired.links.find((one) => one.network === network)!;

export const homelab = subjectOf(exampleInput("homelab"));
export const branch = subjectOf(exampleInput("branch"));
/** The homelab with its generation changed. */
export const rules = (change: (desired: Open<Desired>) => unknown): Subject => broken(homelab, change);

export function drop(list: string[], text: string): void {
  const at = list.indexOf(text);
  if (at < 0) throw new Error(`${text} is not there to be dropped`);
  list.splice(at, 1);
}

/** Takes the isolation from an experimental device, and gives its chain a rule. */
export function unwall(desired: Open<Desired>, name: string, rule: string): void {
  drop(set(desired, "s_lab").elements, `"${name}"`);
  const dispatch = set(desired, "v_orig").elements.find((element) => element.startsWith(`"${name}" : goto `))!;
  chain(desired, dispatch.slice(dispatch.lastIndexOf(" ") + 1)).rules.unshift(rule);
}

/** Changes the rules of a chain that hold a text; at least one must. */
export function editRules(desired: Open<Desired>, name: string, text: string, edit: (rule: string) => string): void {
  const found = chain(desired, name);
  if (!found.rules.some((rule) => rule.includes(text))) throw new Error(`no rule of ${name} has ${text}`);
  found.rules = found.rules.map((rule) => (rule.includes(text) ? edit(rule) : rule));
}

/** One way to break an invariant, and the subject that it gives. */
export type Break = readonly [what: string, subject: () => Subject];
