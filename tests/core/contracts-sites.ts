/** The small lawful site with contracts in their short form, compiled, and copies whose generation is broken. */
import { compile, networksOf } from "../../agent/core/compile.ts";
import { type ContractProof, type ContractSubject, proveContracts } from "../../agent/core/contracts.ts";
import { readShort } from "../../schemas/contract-short.ts";
import type { Desired } from "../../schemas/desired.ts";
import type { Contract, Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { intentWith, inventoryWith, type Loose } from "../schemas/sites.ts";
import { makeTrust } from "../site/fixture.ts";
import type { Open } from "./invariant-subjects.ts";

/** `deny: lab -> lan` in the long form. */
export function contractOf(text: string, id: string): Contract {
  const kind = text.slice(0, text.indexOf(":")) as Contract["kind"];
  const read = readShort(text.slice(kind.length + 1).trim());
  if ("wrong" in read) throw new Error(read.wrong);
  const { from, to, services, ports, v4, v6 } = read;
  return { id, kind, from, to, services: [...services], ports: [...ports], v4, v6 };
}

export type Change = {
  readonly intent?: (intent: Loose<Intent>) => void;
  readonly inventory?: (inventory: Loose<Inventory>) => void;
  readonly desired?: (desired: Open<Desired>) => void; // after the compile: what no intent says
  readonly router?: string;
};

/** The site's router with contracts; compiled from the documents, and then changed. */
export function contractSubject(texts: readonly string[], change: Change = {}): ContractSubject {
  const intent = intentWith((i) => {
    change.intent?.(i);
    i.contracts.push(...(texts.map((text, n) => contractOf(text, `c${n}`)) as Loose<Contract>[]));
  });
  const inventory = inventoryWith(change.inventory);
  const router = change.router ?? "r1";
  const trust = makeTrust([router], networksOf(intent, router), { network: "test" });
  const input = { intent, inventory, root: trust.root, roster: trust.roster, keys: trust.reports.get(router)!, router };
  const compiled = compile(input);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  const desired = structuredClone(compiled.value) as Open<Desired>;
  change.desired?.(desired);
  return { ...input, desired: desired as Desired };
}

/** What becomes of each contract. */
export function proofsOf(texts: readonly string[], change: Change = {}): readonly ContractProof[] {
  return proveContracts(contractSubject(texts, change)).proofs;
}

/** "holds deny: lab -> lan" for each. */
export const statesOf = (texts: readonly string[], change: Change = {}): readonly string[] =>
  proofsOf(texts, change).map(({ state, text }) => `${state} ${text}`);
