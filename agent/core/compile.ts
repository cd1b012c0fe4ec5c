/**
 * From intent, inventory and trust documents to everything that must be true in one router's kernel. Pure and total:
 * equal documents give equal bytes, in whatever order they were written and on whatever machine.
 */
import { DESIRED_FORMAT, type Desired } from "../../schemas/desired.ts";
import { canonicalIntent, type Intent, type Probe } from "../../schemas/intent.ts";
import { canonicalInventory, type Inventory } from "../../schemas/inventory.ts";
import { type Result, refuse } from "../../schemas/problem.ts";
import type { KeyReport, Root, Roster } from "../../schemas/trust.ts";
import { apiOf, desiredLanes, lanesOf } from "./compile/lanes.ts";
import { linksOf } from "./compile/links.ts";
import { byText } from "./compile/order.ts";
import { rescuePorts } from "./compile/rescue.ts";
import { addressesOf, routesOf, rulesOf, sysctlsOf } from "./compile/routing.ts";
import { scopeOf } from "./compile/scope.ts";
import { tableOf } from "./compile/table.ts";

export type CompileInput = {
  readonly intent: Intent;
  readonly inventory: Inventory;
  readonly root: Root;
  readonly roster: Roster;
  readonly keys: KeyReport;
  readonly router: string; // id in the intent
};

/** Ids of the networks whose key the router must have, sorted; the rescue lane's key is there from enrolment. */
export function networksOf(intent: Intent, router: string): readonly string[] {
  return intent.networks
    .filter((network) => network.router === router)
    .map((network) => network.id)
    .sort(byText);
}

/** Probes of a router, fields in the order of their type: whoever read the document may have had another. */
function probesOf(intent: Intent, router: string): readonly Probe[] {
  return intent.probes
    .filter((probe) => probe.router === router)
    .map(({ id, kind, target, port, timeout_ms, attempts }) => ({
      id,
      router,
      kind,
      target,
      port,
      timeout_ms,
      attempts,
    }));
}

/** Said only when there is something to say, so that a generation without it keeps its digest. */
function foreignOf({ accept_foreign, reassert }: Intent["routers"][number]["management"]): Pick<Desired, "foreign"> {
  return accept_foreign.length === 0 && !reassert ? {} : { foreign: { accept: accept_foreign, reassert } };
}

/**
 * Compiles one router's generation. The laws of intent and inventory must have passed; what depends on documents that
 * the laws do not see is refused here: compile.router_unknown, compile.key_missing, compile.rescue_ports_taken.
 */
export function compile(input: CompileInput): Result<Desired> {
  const { root, roster, keys } = input;
  const intent = canonicalIntent(input.intent);
  const scope = scopeOf(intent, canonicalInventory(input.inventory), input.router);
  if (scope === undefined) {
    return refuse("compile.router_unknown", input.router, `The intent has no router ${input.router}: add it there.`);
  }
  const taken = new Set(scope.networks.map((network) => network.port));
  const free = rescuePorts(root.network_id).filter((port) => !taken.has(port));
  if (free[0] === undefined) {
    return refuse(
      "compile.rescue_ports_taken",
      input.router,
      `Networks have both UDP ports of the rescue lane, ${rescuePorts(root.network_id).join(" and ")}: move one.`,
    );
  }
  const { links, problems } = linksOf({ scope, root, roster, keys, rescuePort: free[0] });
  if (problems.length > 0) return { ok: false, problems };
  const lanes = lanesOf(scope, root.network_id, free);
  const addresses = addressesOf(scope, root.network_id);
  const routes = routesOf(scope, root.network_id);
  const rules = rulesOf(scope);
  const value: Desired = {
    format: DESIRED_FORMAT,
    router: scope.router.id,
    sysctls: sysctlsOf(scope),
    links,
    addresses,
    routes,
    rules,
    nft: tableOf(scope, lanes, root, roster),
    lanes: desiredLanes(lanes, scope, { links, addresses, routes, rules }),
    api: apiOf(lanes),
    probes: probesOf(intent, scope.router.id),
    windowS: intent.confirm.window_s,
    capS: intent.confirm.cap_s,
    rebootAllowed: intent.confirm.reboot_allowed,
    ...foreignOf(scope.router.management),
  };
  return { ok: true, value };
}
