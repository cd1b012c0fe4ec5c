/** Generations of the past that a change is held against, from what the store keeps of them. */
import { toHex } from "../schemas/digest.ts";
import { canonicalIntent } from "../schemas/intent.ts";
import { decode } from "../schemas/wire.ts";
import { classThreshold } from "./core/directive.ts";
import type { Opened } from "./core/dsse.ts";
import type { Past, RiskInput } from "./core/risk.ts";
import type { TrustView } from "./core/trust.ts";
import type { Parts } from "./ports.ts";
import type { Standing } from "./standing.ts";

type Memory = Pick<Parts, "store"> & { readonly standing: Standing };

/** People of a view's roster behind the signatures, whatever became of them since. Sorted. */
export function holdersBehind(view: TrustView, signed: Opened<"directive">): readonly string[] {
  const keys = new Set(signed.signers.map(toHex));
  const people = view.roster.message.operators.filter((one) => keys.has(toHex(one.sign_key)));
  return [...new Set(people.map((one) => one.holder))].sort();
}

/** True when as many people signed as a sensitive change takes under that root. */
export function reachesQuorum(view: TrustView, signed: Opened<"directive">): boolean {
  return holdersBehind(view, signed).length >= classThreshold(view.root.message, "sensitive");
}

/** The record's field for a generation that is kept now, made under the view in force: who signed moves the baseline. */
export function quorumField(view: TrustView | undefined, signed: Opened<"directive"> | undefined): { quorum?: string } {
  if (view === undefined || signed === undefined || !reachesQuorum(view, signed)) return {};
  return { quorum: toHex(signed.digest) };
}

/** undefined when a part of it is gone or damaged. */
function readPast({ store, standing }: Memory, digest: string): Past | undefined {
  const message = standing.directive(digest)?.message;
  if (message === undefined) return undefined;
  // The kept one is at hand; of another one nothing names the files but its digest.
  const isKept = store.record().lkg?.directive === digest;
  const named = isKept ? undefined : store.findGeneration(toHex(message.desired_digest));
  const desired = isKept ? standing.kept()?.desired : named === undefined ? undefined : store.readGeneration(named);
  const intent = decode("Intent", store.readBlob(toHex(message.intent_digest)) ?? new Uint8Array());
  const inventory = decode("Inventory", store.readBlob(toHex(message.inventory_digest)) ?? new Uint8Array());
  if (desired === undefined || !intent.ok || !inventory.ok) return undefined;
  return {
    generation: message.generation,
    desired,
    intent: canonicalIntent(intent.value),
    inventory: inventory.value,
  };
}

/** The parts of a risk that the past decides. Before the first generation there is none. */
export function pastOf(agent: Memory): Pick<RiskInput, "past" | "signed" | "unreadable" | "trustBefore"> {
  const { store, standing } = agent;
  const { lkg, quorum } = store.record();
  if (lkg === null) return { past: [], signed: null, unreadable: [], trustBefore: null };
  const kept = readPast(agent, lkg.directive);
  const signed = quorum === lkg.directive ? kept : quorum === "" ? undefined : readPast(agent, quorum);
  const message = standing.directive(lkg.directive)?.message;
  const before = message === undefined ? undefined : standing.viewAt(message.root_digest, message.roster_digest);
  const found = [kept, signed].filter((one) => one !== undefined);
  return {
    past: [...new Set(found)],
    signed: signed ?? null,
    unreadable: [
      ...(kept === undefined ? ["the kept generation"] : []),
      ...(signed === undefined ? ["the last generation that enough people signed"] : []),
      ...(before === undefined ? ["the trust documents of the kept generation"] : []),
    ],
    trustBefore: before ?? null,
  };
}
