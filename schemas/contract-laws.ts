/**
 * Laws of contracts: their names lead somewhere, and their services have ports. Whether they hold is decided on the
 * compiled ruleset, in agent/core/contracts.ts.
 */
import { DHCP_WORD, LANE_WORDS, namesOf, sideWord } from "./contract-words.ts";
import type { Contract, Intent } from "./intent.ts";
import { indexIntent } from "./intent-laws-index.ts";
import type { Inventory } from "./inventory.ts";
import { type Problem, problem } from "./problem.ts";

function portProblems({ ports }: Contract, path: string): readonly Problem[] {
  return ports.flatMap(({ protocol, from, to }, p): Problem[] => {
    const bad = (text: string): Problem[] => [problem("intent.service", `${path}.ports[${p}]`, text)];
    if (protocol === "icmp") return from === 0 && to === 0 ? [] : bad("ICMP has no ports: remove from and to.");
    if (from === 0) return bad(`${protocol} needs a port: add from.`);
    return to !== 0 && to < from ? bad("The range ends before it begins: exchange from and to.") : [];
  });
}

/** References of contracts to zones, networks, profiles, clients and services; paths are the intent's. */
export function contractProblems(intent: Intent, inventory: Inventory): readonly Problem[] {
  if (intent.contracts.length === 0) return [];
  const index = indexIntent(intent);
  const names = namesOf(intent, inventory);
  return intent.contracts.flatMap((contract, c): Problem[] => {
    const found: Problem[] = [];
    for (const key of ["from", "to"] as const) {
      const side = sideWord(names, contract[key], `contracts[${c}].${key}`);
      if ("code" in side) found.push(side);
    }
    const routers = (["from", "to"] as const).map((key) => {
      const side = sideWord(names, contract[key], "");
      return "name" in side && (side.kind === "zone" || side.kind === "network")
        ? index.sides.get(side.name)?.router
        : undefined;
    });
    if (routers.every((router) => router !== undefined) && routers[0] !== routers[1]) {
      const text = `${contract.from} is of ${routers[0]}, ${contract.to} of ${routers[1]}: a contract is about one router.`;
      found.push(problem("intent.other_router", `contracts[${c}]`, text));
    }
    for (const [s, id] of contract.services.entries()) {
      const path = `contracts[${c}].services[${s}]`;
      const lane = LANE_WORDS.includes(id) || (id === DHCP_WORD && !index.services.has(id));
      if (lane && index.services.has(id)) {
        found.push(
          problem("contract.ambiguous", path, `${id} is a service and a lane: give the service another name.`),
        );
      } else if (lane && contract.to !== "router") {
        found.push(problem("intent.service", path, `${id} is the router's own: nothing else has it.`));
      } else if (lane && id === DHCP_WORD && contract.kind !== "only") {
        found.push(problem("intent.service", path, "dhcp may pass, and need not: it stands in only."));
      } else if (!lane && !index.services.has(id)) {
        found.push(problem("intent.no_such", path, `There is no service ${id}: add it, or correct the name.`));
      }
    }
    found.push(...portProblems(contract, `contracts[${c}]`));
    if (!contract.v4 && !contract.v6) {
      const text = "The contract speaks of no family: set v4 or v6 to true, or remove it.";
      found.push(problem("intent.family", `contracts[${c}]`, text));
    }
    return found;
  });
}
