/**
 * The middle of the walk: what the kernel would take, what it holds, what has to be done, and what that takes in
 * signatures. Reads the kernel; changes nothing.
 */
import type { Desired } from "../schemas/desired.ts";
import { done, type Problem, problem, type Result, refuse } from "../schemas/problem.ts";
import type { Prepared } from "./admission.ts";
import type { Agent } from "./agent.ts";
import { renderArtifacts } from "./core/artifacts.ts";
import { scopeOf } from "./core/normal.ts";
import type { Observed } from "./core/observed.ts";
import { planChange } from "./core/plan.ts";
import { stolenLaneKeys } from "./core/rescue-peers.ts";
import { deriveRisk, type Risk } from "./core/risk.ts";
import type { Plan } from "./core/step.ts";
import type { Look } from "./outside.ts";
import { pastOf } from "./past.ts";

export type Planned = Prepared & {
  readonly before: Desired | null;
  readonly observed: Observed;
  readonly plan: Plan;
  readonly listing: string; // of the new ruleset under the plan's epoch
  readonly risk: Risk;
  readonly outside: Look;
};

/** Rehearses the new ruleset and the way back, and plans from what the kernel holds now. */
export async function planHere(agent: Agent, prepared: Prepared): Promise<Result<Planned>> {
  const { host, store, standing } = agent;
  const { kernel } = host;
  const { desired } = prepared.proven;
  const { lkg, lkgEpoch } = store.record();
  const before = standing.kept()?.desired ?? null;
  const text = renderArtifacts(desired).find((file) => file.name === "ruleset.nft")?.text ?? "";
  const file = store.scratch("rehearse.nft", text);
  const check = await kernel.checkNft(file, 1);
  if (!check.ok) return check;
  // The way back is rehearsed too: an nft that no longer takes the kept ruleset is found now.
  let expectedLkgListing: string | null = null;
  const kept = lkg === null ? undefined : store.rulesetFile(lkg);
  if (kept !== undefined) {
    const keptCheck = wayBack(await kernel.checkNft(kept, lkgEpoch));
    if (!keptCheck.ok) return keptCheck;
    const keptListing = wayBack(await kernel.rehearseNft(kept, lkgEpoch));
    if (!keptListing.ok) return keptListing;
    expectedLkgListing = keptListing.value.listing;
  }
  const observed = await kernel.observe(scopeOf(before, desired));
  const stolen = stolenLaneKeys(prepared.view);
  const plan = planChange({ lkg: before, next: desired, observed, lkgEpoch, expectedLkgListing, stolen });
  if (!plan.ok) return plan;
  const listing = await kernel.rehearseNft(file, plan.value.epoch);
  if (!listing.ok) return listing;
  const busy: Problem[] = [];
  for (const step of plan.value.apply) {
    if (step.kind !== "wg.device" || step.port === null || (await kernel.portFree(step.port))) continue;
    const own = observed.links.some((link) => link.name === step.name && link.port === step.port);
    if (!own) busy.push(problem("apply.port_taken", `link ${step.name}`, `udp ${step.port} is in use`));
  }
  if (busy.length > 0) return { ok: false, problems: busy };
  const risk = riskOf(agent, prepared, before, plan.value);
  const outside = await agent.outside.look(desired);
  return done({ ...prepared, before, observed, plan: plan.value, listing: listing.value.listing, risk, outside });
}

/** The kept ruleset's own refusal says so: nothing is wrong with the new one, and nothing is tried without a way back. */
function wayBack<T>(rehearsed: Result<T>): Result<T> {
  if (rehearsed.ok) return rehearsed;
  return refuse("apply.rollback_not_rehearsable", "last confirmed generation", rehearsed.problems[0]?.detail ?? "");
}

/** What signing this change takes, and why. */
function riskOf(agent: Agent, { proven, directive, view }: Prepared, before: Desired | null, plan: Plan): Risk {
  return deriveRisk({
    ...pastOf(agent),
    plan,
    kept: before,
    next: proven,
    trust: view,
    routerId: agent.standing.self().routerId,
    accepts: directive.message.accept_unproven,
  });
}
