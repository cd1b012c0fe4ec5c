/**
 * The smallest edit that would decide otherwise. Candidates are made from what decided; each is really made to the
 * documents in memory, which then pass laws, compiler and invariants and are asked again, before anybody hears of it.
 */
import { contractProblems } from "../../schemas/contract-laws.ts";
import { contractText } from "../../schemas/contract-words.ts";
import { type Contract, canonicalIntent } from "../../schemas/intent.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { canonicalInventory } from "../../schemas/inventory.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import { type CompileInput, compile } from "./compile.ts";
import { type ContractProof, type ContractSubject, proverOf } from "./contracts.ts";
import { applied, type Change } from "./edits.ts";
import { closing } from "./edits-close.ts";
import { opening } from "./edits-open.ts";
import { checkInvariants } from "./invariants.ts";

/** Changes that make a contract hold, and the contracts that held before and would not any more: none, as a rule. */
export type Edit = { readonly changes: readonly Change[]; readonly breaks: readonly string[] };

/** Generations that one search compiles at most. */
const TRIES_MAX = 6;
/** Changes that build on each other: each closes one more way, or opens the next thing that is missing. */
const DEPTH_MAX = 3;

type Opened = { readonly subject: ContractSubject; readonly prove: (contract: Contract) => ContractProof };

/** A generation ready to be asked; undefined when it could not be loaded. */
function open(input: CompileInput, lawful: boolean): Opened | undefined {
  const { intent, inventory } = input;
  if (!lawful) {
    const problems = [
      ...intentProblems(intent),
      ...inventoryProblems(intent, inventory),
      ...contractProblems(intent, inventory),
    ];
    if (problems.length > 0) return undefined;
  }
  const compiled = compile(input);
  if (!compiled.ok) return undefined;
  const desired = compiled.value;
  const canonical = { intent: canonicalIntent(intent), inventory: canonicalInventory(inventory) };
  if (!lawful && checkInvariants({ ...input, ...canonical, desired }).length > 0) return undefined;
  const subject = { ...input, desired };
  const prover = proverOf(subject);
  return prover.ok ? { subject, prove: prover.value } : undefined;
}

const good = ({ state }: ContractProof): boolean => state === "holds" || state === "idle" || state === "elsewhere";

/** Changes that may turn what a proof found, narrow ones first. */
function candidates(
  subject: ContractSubject,
  contract: Contract,
  proof: ContractProof,
): readonly (readonly Change[])[] {
  if (proof.about === "excess" && proof.witness !== null) {
    const changes = closing(subject, proof.witness);
    return changes.length === 0 ? [] : [changes];
  }
  // What only a port-forward would let in is undecided until there is one.
  const missing = proof.about === "missing" || (proof.state === "undecided" && contract.kind === "allow");
  return missing ? opening(subject, contract) : [];
}

class Search {
  readonly #input: CompileInput;
  readonly #wanted: Contract;
  readonly #before: Opened;
  #tries = 0;
  /** The first that works but breaks others. */
  #costly: Edit | null = null;

  constructor(input: CompileInput, wanted: Contract, before: Opened) {
    this.#input = input;
    this.#wanted = wanted;
    this.#before = before;
  }

  run(): Edit | null {
    const proof = this.#before.prove(this.#wanted);
    if (good(proof)) return null;
    return this.#from(this.#before, [], proof, 1) ?? this.#costly;
  }

  #from(at: Opened, made: readonly Change[], proof: ContractProof, depth: number): Edit | null {
    for (const more of candidates(at.subject, this.#wanted, proof)) {
      if (this.#tries === TRIES_MAX) return null;
      this.#tries += 1;
      const changes = [...made, ...more];
      const next = open({ ...this.#input, ...applied(this.#input, changes) }, false);
      if (next === undefined) continue;
      const after = next.prove(this.#wanted);
      if (after.state === "holds") {
        const breaks = this.#broken(next);
        if (breaks.length === 0) return { changes, breaks };
        this.#costly ??= { changes, breaks };
      } else if (after.state === "violated" && depth < DEPTH_MAX) {
        const found = this.#from(next, changes, after, depth + 1);
        if (found !== null) return found;
      }
    }
    return null;
  }

  /** Contracts that held before and do not any more. */
  #broken(next: Opened): readonly string[] {
    return this.#input.intent.contracts
      .filter((one) => one.id !== this.#wanted.id && !good(next.prove(one)) && good(this.#before.prove(one)))
      .map(contractText);
  }
}

/**
 * The smallest obvious edit of the documents with which a contract holds on the input's router, be it one of theirs or
 * not; null when it holds already, or nothing obvious does it. An edit that breaks a law or an invariant is never given,
 * one that breaks other contracts only when no better one was found, with their texts. The documents must be lawful.
 */
export function smallestEdit(input: CompileInput, contract: Contract): Edit | null {
  const before = open(input, true);
  return before === undefined ? null : new Search(input, contract, before).run();
}
