/**
 * The walk of a bundle: admit, prove, rehearse, observe, plan, burn, begin. Reads top to bottom; what is refused
 * before `burn` leaves no trace. One bundle walks at a time.
 */
import { toHex } from "../schemas/digest.ts";
import type { Request } from "../schemas/directive.ts";
import { type Problem, problem } from "../schemas/problem.ts";
import type { AnswerBody } from "../schemas/report.ts";
import { admit, proveHere } from "./admission.ts";
import type { Agent } from "./agent.ts";
import { body, refusal } from "./answer.ts";
import { renderArtifacts } from "./core/artifacts.ts";
import { openStatement } from "./core/dsse.ts";
import { isEmptyPlan } from "./core/plan.ts";
import { quarantined, quarantinedText } from "./health.ts";
import { quorumField } from "./past.ts";
import { type Planned, planHere } from "./planning.ts";
import { checkFree, checkReady } from "./ready.ts";
import { lanesOf, observedNow, shownProblem } from "./trial-receipt.ts";
import { begin } from "./work.ts";

/** Takes a bundle through the whole walk. The answer to an apply comes before the kernel changes. */
export async function submit(agent: Agent, request: Request): Promise<AnswerBody> {
  const known = knownOutcome(agent, request.directive);
  if (known !== undefined) return known;
  const free = checkFree(agent);
  if (!free.ok) return refusal(free.problems);
  const admitted = admit(agent, request);
  if (!admitted.ok) return refusal(admitted.problems);
  const proven = await proveHere(agent, admitted.value);
  if (!proven.ok) return refusal(proven.problems);
  const planned = await planHere(agent, proven.value);
  if (!planned.ok) return refusal(planned.problems);
  if (admitted.value.directive.message.action === "plan") return preview(agent, planned.value);
  const ready = await checkReady(agent, planned.value);
  if (!ready.ok) return refusal(ready.problems);
  const named = await burn(agent, planned.value);
  return isEmptyPlan(planned.value.plan)
    ? keepUnchanged(agent, planned.value, named)
    : beginTrial(agent, planned.value, named);
}

/** The same directive again, by whatever way: its one effect already has an outcome, or is under way. */
function knownOutcome(agent: Agent, bytes: Uint8Array): AnswerBody | undefined {
  const opened = openStatement(agent.crypto, "directive", bytes);
  if (!opened.ok || agent.store.directive(toHex(opened.value.digest)) === undefined) return undefined;
  const receipt = agent.journal.newest(opened.value.digest);
  const underWay = agent.current()?.trial.directive === toHex(opened.value.digest);
  if (receipt === undefined && !underWay) return undefined;
  return body({ receipt: receipt?.envelope ?? new Uint8Array() });
}

// ---- tell: what an apply would do ----

/** The answer to action "plan": burns nothing, is not logged. */
async function preview(agent: Agent, planned: Planned): Promise<AnswerBody> {
  const { plan, directive, proven, before, observed, risk } = planned;
  const held = isEmptyPlan(plan) ? undefined : quarantined(agent, proven.digest);
  const changed = (name: string): boolean => plan.lanes.some((lane) => lane.name === name && lane.changed);
  const receipt = agent.journal.sign({
    ...outcomeOf(planned),
    outcome: "planned",
    observed_digest: await observedNow(agent, agent.store.record().lkgEpoch, before, proven.desired),
    lanes: await lanesOf(agent, proven.desired, changed, () => false),
    note: `risk class: ${risk.riskClass}`,
    window_s: directive.message.confirm_window_s,
    outside_digest: planned.outside.digest,
    problems: [
      ...(observed.nft === "" && before !== null ? [noTable] : await driftBefore(agent, planned)),
      ...(await outsideWarnings(agent, planned)),
      // Why it is that class: nothing is wrong with it.
      ...(held === undefined ? [] : [problem("apply.quarantined", "quarantine", quarantinedText(held))]),
      ...risk.reasons.map(({ riskClass, text }) => problem("admit.risk_class", riskClass, text)),
    ].map(shownProblem),
  });
  return body({ receipt: receipt.envelope });
}

/** What of the kept generation the kernel does not hold; the plan mends it. */
async function driftBefore(agent: Agent, { before, observed }: Planned): Promise<readonly Problem[]> {
  if (before === null) return [];
  const { drift, detail } = await agent.drift.kept(before, observed);
  return drift ? detail.split("\n").map((line) => problem("apply.read_back", "drift", line)) : [];
}

/** What would refuse an apply, and what other programs changed since the last confirm. */
async function outsideWarnings(agent: Agent, { outside, before }: Planned): Promise<readonly Problem[]> {
  const changes = before === null ? [] : await agent.outside.changes(before);
  return [...outside.problems, ...changes.slice(0, 20).map((line) => problem("outside.changed", "outside", line))];
}

const noTable: Problem = { code: "apply.read_back", path: "nft table inet holdfast", detail: "is missing" };

/** What every receipt of this bundle says. */
function outcomeOf({ directive, holders, proven, plan }: Planned) {
  const { message } = directive;
  return {
    directive_digest: directive.digest,
    generation: message.generation,
    parent: message.parent,
    desired_digest: proven.digest,
    plan: plan.text.slice(0, 65_536),
    plan_digest: plan.digest,
    steps: plan.apply.length + plan.afterConfirm.length,
    signers: [...holders],
    note: message.note,
    commit: message.commit,
  };
}

// ---- burn: from here on the generation has an outcome, whatever happens ----

type Named = { readonly desired: string; readonly manifest: string };

/** Stores everything that the generation needs, then burns its number. The kernel is untouched. */
async function burn(agent: Agent, planned: Planned): Promise<Named> {
  const { store, host, standing } = agent;
  const { view, directive, proven, secrets } = planned;
  store.putDocument("root", view.root.message.version, view.root.envelope);
  store.putDocument("roster", view.roster.message.version, view.roster.envelope);
  for (const [commitment, psk] of secrets) await host.keys.putPsk(commitment, psk);
  const named = store.putGeneration(renderArtifacts(proven.desired));
  store.putDirective(toHex(directive.digest), directive.envelope);
  standing.update({
    root: toHex(view.root.digest),
    roster: toHex(view.roster.digest),
    generation: directive.message.generation,
  });
  return named;
}

/** Nothing to do: kept at once, without trial, window, epoch or any call that changes the kernel. */
async function keepUnchanged(agent: Agent, planned: Planned, named: Named): Promise<AnswerBody> {
  const { directive, proven, plan } = planned;
  const { generation } = directive.message;
  agent.standing.update({
    lkg: { ...named, generation, directive: toHex(directive.digest) },
    lkgEpoch: plan.epoch,
    ...quorumField(planned.view, directive),
  });
  const receipt = agent.journal.append({
    ...outcomeOf(planned),
    outcome: "unchanged",
    outside_digest: planned.outside.digest,
    observed_digest: await observedNow(agent, plan.epoch, proven.desired),
    lanes: await lanesOf(
      agent,
      proven.desired,
      () => false,
      () => false,
    ),
  });
  agent.outside.keep(planned.outside.text);
  agent.closed();
  return body({ receipt: receipt.envelope });
}

/** Hands the generation to the lifecycle and answers; the effect goes on without the sender. */
async function beginTrial(agent: Agent, planned: Planned, named: Named): Promise<AnswerBody> {
  const { directive, holders, proven, plan, before, listing } = planned;
  const { message } = directive;
  const { desired } = proven;
  const trial = {
    token: toHex(agent.host.random(32)), // also the nonce of the confirm
    directive: toHex(directive.digest),
    windowMs: message.confirm_window_s * 1000,
    capMs: agent.host.clock.bootMs() + desired.capS * 1000,
    lanes: plan.lanes,
    rebootAllowed: desired.rebootAllowed,
  };
  const recorded = { ...named, generation: message.generation, directive: trial.directive };
  const work = begin({ trial, directive, holders, named: recorded, desired, before, epoch: plan.epoch, plan, listing });
  work.facts.outside = planned.outside.text;
  agent.begin(work);
  const answer = await agent.runner.send({ kind: "submit", trial });
  return body({ code: answer?.code ?? "" });
}
