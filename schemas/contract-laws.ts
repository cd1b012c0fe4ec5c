/**
 * Contracts are the site's own assertions. Their shape and references are checked here; what they assert is not decided
 * by this version, so a site that has any is refused, never passed as if it had none.
 */
import type { Intent } from "./intent.ts";
import { indexIntent } from "./intent-laws-index.ts";
import type { Inventory } from "./inventory.ts";
import { type Problem, problem } from "./problem.ts";

/** References of contracts to zones, networks, profiles, clients and services; paths are the intent's. */
export function contractProblems(intent: Intent, inventory: Inventory): readonly Problem[] {
  const index = indexIntent(intent);
  const clients = new Set(inventory.clients.map((client) => client.id));
  const known = (name: string): boolean =>
    index.sides.has(name) || index.profiles.has(name) || clients.has(name) || name === "internet" || name === "router";
  return intent.contracts.flatMap((contract, c): Problem[] => {
    const found: Problem[] = [];
    for (const key of ["from", "to"] as const) {
      if (known(contract[key])) continue;
      const text = `There is no zone, network, profile or client ${contract[key]}: add it, or correct the name.`;
      found.push(problem("intent.no_such", `contracts[${c}].${key}`, text));
    }
    for (const [s, id] of contract.services.entries()) {
      if (index.services.has(id)) continue;
      const text = `There is no service ${id}: add it, or correct the name.`;
      found.push(problem("intent.no_such", `contracts[${c}].services[${s}]`, text));
    }
    if (!contract.v4 && !contract.v6) {
      const text = "The contract speaks of no family: set v4 or v6 to true, or remove it.";
      found.push(problem("intent.family", `contracts[${c}]`, text));
    }
    return found;
  });
}

/** One refusal per contract: this version cannot decide it. */
export function undecidedContracts(intent: Intent): readonly Problem[] {
  return intent.contracts.map(({ id }, c) =>
    problem(
      "contract.undecided",
      `contracts[${c}]`,
      `Contract ${id} cannot be decided by this version, and is not passed unread: remove it until one that can.`,
    ),
  );
}
