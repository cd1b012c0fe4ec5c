/** Whether a bundle may be burnt now: whose turn it is, how many signed, who still gets in, guard and disk. */
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Agent } from "./agent.ts";
import { renderArtifacts } from "./core/artifacts.ts";
import { isRevoked } from "./core/operators.ts";
import { isEmptyPlan } from "./core/plan.ts";
import { keepsHolder, newRescuePeers } from "./core/rescue-peers.ts";
import { coversClass } from "./core/risk.ts";
import { quarantined, quarantinedText } from "./health.ts";
import type { Planned } from "./planning.ts";

// A guard that repeats an agent's restore, to be sure of it, beats only when that is over.
const GUARD_WAIT_MS = 15_000;

/** One generation at a time. Who comes second is told whose turn it is, and until when. */
export function checkFree(agent: Agent): Result<void> {
  if (agent.store.overtaken()) {
    return refuse("agent.overtaken", "record", "the disk holds a newer record than this process remembers");
  }
  if (agent.probation.falling()) {
    return refuse("apply.trial_pending", "probation", "the generation before is tried, after a boot without contact");
  }
  const state = agent.runner.state();
  if (state.name === "idle") return done(undefined);
  const work = agent.current();
  if (!("trial" in state) || work === undefined) {
    return refuse("apply.trial_pending", "", `the agent is ${state.name}`);
  }
  const endMs = state.name === "trial" ? state.deadlineMs : work.trial.capMs;
  const leftS = Math.max(0, Math.ceil((endMs - agent.host.clock.bootMs()) / 1000));
  const by = work.holders.length === 0 ? "" : ` by ${work.holders.join(", ")}`;
  const detail = `generation ${work.named.generation}${by} is ${state.name}, ${leftS} s left`;
  return refuse("apply.trial_pending", "trial", detail);
}

/** A class that fits, with the reasons for a higher one. */
function checkClass({ risk, directive }: Planned): Result<void> {
  const claimed = directive.message.risk_class;
  if (coversClass(claimed, risk.riskClass)) return done(undefined);
  const why = risk.reasons.filter((one) => !coversClass(claimed, one.riskClass)).map((one) => one.text);
  const detail = `the directive says ${claimed}, the change is ${risk.riskClass}: ${why.join("; ")}`;
  return refuse("admit.risk_class", "directive.risk_class", detail);
}

/** New keys on the rescue lane without a proof, and nobody left who came in with the key that he has. */
function checkHolders({ before, proven, view, directive }: Planned): Result<void> {
  if (before === null || newRescuePeers(before, proven.desired).length === 0) return done(undefined);
  if (!directive.message.accept_unproven.includes("rescue") || keepsHolder(before, view)) return done(undefined);
  const detail = "every operator's lane key is new, so the rescue lane must be proven";
  return refuse("trust.last_holder", "directive.accept_unproven", detail);
}

/** Content that failed here for its own fault comes back only on purpose: a loop would try it for ever. */
function checkQuarantine(agent: Agent, { plan, proven, directive }: Planned): Result<void> {
  const held = isEmptyPlan(plan) || directive.message.force ? undefined : quarantined(agent, proven.digest);
  if (held === undefined) return done(undefined);
  return refuse("apply.quarantined", "directive.desired_digest", quarantinedText(held));
}

/** What only an apply needs: a class that fits, a way in, a guard that lives, and room on the disk. */
export async function checkReady(agent: Agent, planned: Planned): Promise<Result<void>> {
  const { plan, proven, directive } = planned;
  for (const check of [checkClass, checkHolders, (one: Planned) => checkQuarantine(agent, one)]) {
    const result = check(planned);
    if (!result.ok) return result;
  }
  // A lane that another program's rules may cut would not bring the confirm, nor the next push.
  const { problems } = planned.outside;
  if (problems.length > 0) return { ok: false, problems };
  const bytes = renderArtifacts(proven.desired).reduce((sum, file) => sum + file.text.length, 0);
  if (!agent.store.room(2 * bytes)) return refuse("agent.disk_full", "state", `${2 * bytes} bytes are needed`);
  if (!isEmptyPlan(plan) && !(await agent.host.guard.alive(GUARD_WAIT_MS))) {
    return refuse("guard.dead", "holdfast-guard", `no sign of life within ${GUARD_WAIT_MS / 1000} s`);
  }
  // Last: a key may have been taken back while all this was found out.
  const view = agent.standing.view();
  const signer = directive.signers.findIndex((key) => view !== undefined && isRevoked(view, key));
  if (signer < 0) return done(undefined);
  return refuse("trust.signer_revoked", `directive.signatures[${signer}]`, "the operator took the key back");
}
