/** What a receipt of a trial says: verdict, cause, lanes, plan, and what the kernel holds when it is written. */
import type { Desired } from "../schemas/desired.ts";
import type { Problem } from "../schemas/problem.ts";
import type { Lane } from "../schemas/report.ts";
import { probeReports } from "./core/health.ts";
import type { Effect, State } from "./core/lifecycle.ts";
import { observedDigest, scopeOf } from "./core/normal.ts";
import { outsideDigest } from "./core/outside.ts";
import { isQuarantined } from "./health.ts";
import { type Entry, NO_DIGEST } from "./journal.ts";
import type { Parts, RestoreResult } from "./ports.ts";
import { hexBytes } from "./standing.ts";
import type { OnTrial } from "./work.ts";

/** Digest of what the kernel holds of ours; zeros when it cannot be read now. */
export async function observedNow(parts: Parts, epoch: number, ...generations: readonly (Desired | null)[]) {
  const scope = scopeOf(...generations);
  try {
    return observedDigest(await parts.host.kernel.observe(scope), scope, epoch);
  } catch (failure) {
    parts.host.log("observe.failed", { detail: String(failure).slice(0, 300) });
    return NO_DIGEST;
  }
}

/** Lanes of a generation with what arrived on them; counters of a table that is not there are 0. */
export async function lanesOf(
  parts: Parts,
  desired: Desired,
  changed: (name: string) => boolean,
  proven: (name: string) => boolean,
): Promise<Lane[]> {
  const counts = new Map((await parts.host.kernel.counters()).map((one) => [one.counter, one.packets]));
  return desired.lanes.map(({ name, counter }) => ({
    ...{ name, changed: changed(name), proven: proven(name) },
    packets: BigInt(counts.get(counter) ?? 0),
  }));
}

const outcomes = {
  trial: "trial",
  confirmed: "confirmed",
  "rolled-back": "rolled_back",
  "needs-hands": "needs_hands",
} as const;

/** The log entry of a verdict. */
export async function receiptOf(
  parts: Parts,
  work: OnTrial,
  effect: Extract<Effect, { kind: "receipt" }>,
  state: State,
): Promise<Entry> {
  const { directive, named, trial, desired, before, plan, facts, epoch } = work;
  const kept = effect.verdict === "trial" || effect.verdict === "confirmed";
  const inForce = kept ? desired : before;
  const shown = inForce ?? desired;
  const lanes = await lanesOf(
    parts,
    shown,
    (name) => kept && trial.lanes.some((lane) => lane.name === name && lane.changed),
    (name) => facts.proven.has(name),
  );
  const epochNow = kept ? epoch : (facts.restored?.epoch ?? parts.store.record().lkgEpoch);
  return {
    outcome: outcomes[effect.verdict],
    cause: effect.cause,
    directive_digest: directive.digest,
    generation: named.generation,
    parent: directive.message.parent,
    desired_digest: hexBytes(named.desired),
    observed_digest: await observedNow(parts, epochNow, before, desired),
    nonce: effect.verdict === "trial" ? hexBytes(trial.token) : new Uint8Array(),
    window_s: Math.round(trial.windowMs / 1000),
    deadline_boot_ms: BigInt(Math.floor(state.name === "trial" ? state.deadlineMs : trial.capMs)),
    lanes,
    confirmed_by: effect.verdict === "confirmed" ? facts.confirmedBy : "",
    confirmed_lane: effect.verdict === "confirmed" ? facts.confirmedLane : "",
    problems: [...problemsFor(effect.cause, facts.problems, facts.restored), ...facts.outsideChanges.map(shownProblem)],
    outside_digest: facts.outside === null ? new Uint8Array() : outsideDigest(facts.outside),
    plan: (plan?.text ?? "").slice(0, 65_536),
    plan_digest: plan?.digest ?? new Uint8Array(),
    steps: plan === null ? 0 : plan.apply.length + plan.afterConfirm.length,
    signers: [...work.holders],
    note: directive.message.note,
    commit: directive.message.commit,
    probes: probeReports(facts.looks),
    quarantined: effect.verdict === "rolled-back" && isQuarantined(parts, hexBytes(named.desired)),
  };
}

const printable = (text: string, most: number): string => text.replace(/[^\x20-\x7e\n]/g, "?").slice(0, most);

export const shownProblem = (one: Problem) => ({
  code: one.code,
  path: printable(one.path, 512),
  detail: printable(one.detail, 4096),
});

/** What led to the end, and what the restore said when it was not plain. */
function problemsFor(cause: string, found: readonly Problem[], restored: RestoreResult | undefined) {
  const rescue =
    restored !== undefined && restored.outcome !== "restored"
      ? [{ code: "apply.read_back", path: `restore: ${restored.outcome}`, detail: restored.detail }]
      : [];
  return [...(cause === "" ? [] : found), ...rescue].slice(0, 64).map(shownProblem);
}
