/**
 * The one proof. `holdfast check` and `push` run it before anything is signed, the router runs it again before the
 * first change: the same function over the same bytes, so both say the same, or one of them was lied to.
 */
import { contractProblems } from "../../schemas/contract-laws.ts";
import { type Desired, desiredDigest } from "../../schemas/desired.ts";
import { equalBytes, toHex } from "../../schemas/digest.ts";
import { canonicalIntent, type Intent } from "../../schemas/intent.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { canonicalInventory, type Inventory } from "../../schemas/inventory.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import { done, problem, type Result, refuse } from "../../schemas/problem.ts";
import { type CompileInput, compile } from "./compile.ts";
import { type ContractProof, proveContracts } from "./contracts.ts";
import { checkInvariants } from "./invariants.ts";
import { openModel } from "./verifier/model.ts";

export type Proven = {
  readonly intent: Intent; // canonical
  readonly inventory: Inventory; // canonical
  readonly desired: Desired;
  readonly digest: Uint8Array; // desiredDigest(desired), what a directive signs
  readonly contracts: readonly ContractProof[]; // in the order of the intent as it came
};

/**
 * Laws, compile, invariants, contracts, in this order; each stage lists all of its problems, and a later stage runs
 * only when the earlier ones found none. Inputs must fit their shapes. Pure and total.
 */
export function prove(input: CompileInput): Result<Proven> {
  const intent = canonicalIntent(input.intent);
  const inventory = canonicalInventory(input.inventory);
  // Over the documents as they came: their paths are the ones that people can look up.
  const unlawful = [
    ...intentProblems(input.intent),
    ...inventoryProblems(input.intent, input.inventory),
    ...contractProblems(input.intent, input.inventory),
  ];
  if (!intent.routers.some((router) => router.id === input.router)) {
    const text = `There is no router ${input.router}: add it, or name another.`;
    unlawful.push(problem("intent.no_such", "routers", text));
  }
  if (unlawful.length > 0) return { ok: false, problems: unlawful };
  const compiled = compile({ ...input, intent, inventory });
  if (!compiled.ok) return compiled;
  const desired = compiled.value;
  // Read once: the ruleset of a large site takes a while.
  const opened = openModel(desired);
  const violated = checkInvariants({ ...input, intent, inventory, desired, opened });
  if (violated.length > 0) return { ok: false, problems: violated };
  const { proofs, problems } = proveContracts({ ...input, desired, opened });
  if (problems.length > 0) return { ok: false, problems };
  return done({ intent, inventory, desired, digest: desiredDigest(desired), contracts: proofs });
}

/** A proof that comes to the very state that was signed (P2); code admit.desired_differs otherwise. */
export function asSigned(proven: Result<Proven>, signed: Uint8Array): Result<Proven> {
  if (!proven.ok || equalBytes(proven.value.digest, signed)) return proven;
  const detail = `signed ${toHex(signed)}, computed here ${toHex(proven.value.digest)}`;
  return refuse("admit.desired_differs", "directive.desired_digest", detail);
}
