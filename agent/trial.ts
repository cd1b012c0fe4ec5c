/** How each effect of the lifecycle is performed on the machine. Decides nothing: the lifecycle does. */
import type { Problem } from "../schemas/problem.ts";
import type { Effect, Event, State } from "./core/lifecycle.ts";
import { scopeOf } from "./core/normal.ts";
import { NO_SURPLUS, readBack, surplusOf } from "./core/read-back.ts";
import type { Step } from "./core/step.ts";
import { lookAfter, lookAtEnd, lookBefore, release, verdictOf } from "./health.ts";
import type { Journal } from "./journal.ts";
import type { OutsideOf } from "./outside.ts";
import { quorumField } from "./past.ts";
import type { Parts } from "./ports.ts";
import { beginProbation } from "./probation.ts";
import type { Standing } from "./standing.ts";
import { receiptOf } from "./trial-receipt.ts";
import type { OnTrial } from "./work.ts";

export type TrialParts = Parts & {
  readonly standing: Standing;
  readonly journal: Journal;
  readonly outside: OutsideOf;
  /** The trial that effects are about. */
  current(): OnTrial | undefined;
  interrupted(token: string): boolean;
  /** The set of addresses to listen on may have changed. */
  rebind(): Promise<void>;
  /** Housekeeping once a trial is closed. */
  closed(): void;
};

const failed = (cause: string): Event => ({ kind: "failed", cause });

/** Steps one after the other; the first refusal ends them unless `onward`. undefined when told to stop. */
async function runSteps(
  parts: TrialParts,
  work: OnTrial,
  steps: readonly Step[],
  mode: { readonly token: string; readonly onward: boolean },
): Promise<readonly Problem[] | undefined> {
  const owner = await parts.host.guard.own();
  const found: Problem[] = [];
  for (const step of steps) {
    if (!mode.onward && parts.interrupted(work.trial.token)) return undefined;
    const result = await parts.host.kernel.perform(owner, mode.token, step, work.epoch);
    if (result.ok) continue;
    found.push(...result.problems);
    if (!mode.onward) break;
  }
  return found;
}

/** Why a step was refused: another process that decided the trial knows better than the refusal. */
async function trueCause(parts: TrialParts, work: OnTrial, problems: readonly Problem[]): Promise<string> {
  const code = problems[0]?.code ?? "apply.kernel_refused";
  if (code !== "apply.stale_owner" && code !== "apply.trial_decided") return code;
  if (parts.store.decision(work.trial.token) !== "rolled-back") return code;
  return (await causeOfOthers(parts, work.trial.token)) || code;
}

/** The cause that guard or boot script gave for this trial; "" when they did nothing. */
export async function causeOfOthers(parts: Parts, token: string): Promise<string> {
  const result = await parts.host.guard.lastResult();
  return result !== undefined && result.token === token ? result.cause : "";
}

/** The result, or undefined as soon as somebody ends the trial meanwhile. */
async function unlessInterrupted<T>(parts: TrialParts, token: string, work: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setInterval> | undefined;
  const interrupted = new Promise<undefined>((resolve) => {
    timer = setInterval(() => {
      if (parts.interrupted(token)) resolve(undefined);
    }, 100);
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    clearInterval(timer);
  }
}

async function apply(parts: TrialParts, work: OnTrial): Promise<Event | undefined> {
  const { plan, trial, desired, before, facts } = work;
  if (plan === null) throw new Error("a trial from before the restart is never applied");
  // Before the first change, so that only what worked must still work.
  if ((await unlessInterrupted(parts, trial.token, lookBefore(parts, work))) === undefined) return undefined;
  const problems = await runSteps(parts, work, plan.apply, { token: trial.token, onward: false });
  if (problems === undefined) return undefined;
  facts.problems = problems;
  if (problems.length > 0) return failed(await trueCause(parts, work, problems));
  const scope = scopeOf(before, desired);
  const seen = await parts.host.kernel.observe(scope);
  facts.problems = readBack(desired, surplusOf(plan), seen, work.listing, scope);
  if (facts.problems.length > 0) return failed("apply.read_back");
  facts.problems = await parts.outside.recheck(work);
  if (facts.problems.length > 0) return failed("outside.foreign_drop");
  facts.appliedAtMs = parts.host.clock.bootMs();
  return { kind: "applied" };
}

async function probe(parts: TrialParts, work: OnTrial): Promise<Event | undefined> {
  await parts.rebind();
  const gone = await unlessInterrupted(parts, work.trial.token, lookAfter(parts, work));
  if (gone === undefined) return undefined;
  if (gone.length > 0) {
    work.facts.problems = gone.map((id) => ({ code: "probe.failed", path: id, detail: "passed before the apply" }));
    return failed("probe.failed");
  }
  return { kind: "probed", atMs: parts.host.clock.bootMs() };
}

async function removeRest(parts: TrialParts, work: OnTrial): Promise<Event> {
  const { plan, trial, desired, before, facts } = work;
  const mode = { token: `confirmed:${trial.token}`, onward: true };
  const problems = (await runSteps(parts, work, plan?.afterConfirm ?? [], mode)) ?? [];
  const scope = scopeOf(before, desired);
  const seen = await parts.host.kernel.observe(scope);
  facts.problems = [...problems, ...readBack(desired, NO_SURPLUS, seen, work.listing, scope)];
  return { kind: "finished", cause: facts.problems[0]?.code ?? "" };
}

/** The epoch that is in force once a trial was undone. */
function epochAfter(parts: Parts, work: OnTrial): number {
  const { lkg, lkgEpoch } = parts.store.record();
  const { restored } = work.facts;
  // Without a generation there is no policy, but the number must not come again.
  if (lkg === null) return Math.max(lkgEpoch, work.epoch);
  return restored?.outcome === "restored" && restored.epoch > 0 ? restored.epoch : lkgEpoch;
}

function writeRecord(
  parts: TrialParts,
  work: OnTrial,
  as: "trial" | "confirmed" | "cleared",
  state: State,
): Event | undefined {
  const { standing } = parts;
  const { named, trial, epoch } = work;
  if (as === "trial") {
    const boot = parts.host.clock.bootId().toHex();
    const deadlineMs = Math.floor(trial.capMs);
    standing.update({ trial: { ...named, epoch, token: trial.token, deadlineMs, boot } });
    return undefined;
  }
  if (as === "confirmed") {
    // Before the record: what names the way back must be there when the new one counts.
    beginProbation(parts, work);
    standing.update({ lkg: named, lkgEpoch: epoch, ...quorumField(standing.view(), work.directive) });
    parts.outside.keep(work.facts.outsideNow);
    return { kind: "recorded" };
  }
  const kept = state.name === "closing" && state.outcome.verdict === "confirmed";
  standing.update({ trial: null, ...(kept ? {} : { lkgEpoch: epochAfter(parts, work) }) });
  return undefined;
}

/** The performer of effects for the runner. */
export function createEffects(parts: TrialParts): (effect: Effect, state: State) => Promise<Event | undefined> {
  const { store, host } = parts;
  const work = (): OnTrial => {
    const current = parts.current();
    if (current === undefined) throw new Error("an effect without a trial");
    return current;
  };
  return async (effect, state) => {
    switch (effect.kind) {
      case "create-token":
        store.createToken(effect.token);
        return undefined;
      case "write-record":
        return writeRecord(parts, work(), effect.as, state);
      case "arm":
        await host.guard.arm({ token: effect.token, deadlineBootMs: effect.deadlineMs });
        return state.name === "admitted" ? { kind: "prepared" } : undefined;
      case "run-steps":
        return effect.which === "apply" ? apply(parts, work()) : removeRest(parts, work());
      case "probe":
        return probe(parts, work());
      case "decide-confirm": {
        work().facts.confirmedBy = effect.holder;
        work().facts.confirmedLane = effect.lane;
        const decision = store.decide(effect.token, "confirmed");
        const cause = decision === "confirmed" ? "" : await causeOfOthers(parts, effect.token);
        return { kind: "decided", decision, cause };
      }
      case "decide-rollback": {
        const lost = store.decision(effect.token) !== "undecided";
        const decision = store.decide(effect.token, "rolled-back");
        // As the world is when the trial ends, before the way back moves anything.
        if (state.name === "rolling-back") await lookAtEnd(parts, work(), state.cause);
        return { kind: "decided", decision, cause: lost ? await causeOfOthers(parts, effect.token) : "" };
      }
      case "restore": {
        const restored = await host.guard.restore(effect.cause, effect.token);
        work().facts.restored = restored;
        await parts.rebind();
        host.log("restore", { outcome: restored.outcome, cause: effect.cause, detail: restored.detail.slice(0, 300) });
        return { kind: "restored", outcome: restored.outcome };
      }
      case "judge":
        return { kind: "judged", cause: await verdictOf(parts, work(), effect.cause) };
      case "receipt":
        if (effect.verdict === "confirmed") release(parts, work());
        parts.journal.append(await receiptOf(parts, work(), effect, state));
        return undefined;
      case "disarm":
        await host.guard.disarm(effect.token);
        return undefined;
      case "drop-token":
        // Nothing else is on its way, so also one that a crash left before a record named it.
        for (const token of new Set([effect.token, ...store.tokens()])) store.dropToken(token);
        if (state.name !== "closing" && state.name !== "sweeping") return undefined;
        await parts.rebind();
        parts.closed();
        return { kind: "closed" };
      case "reboot":
        // The guard holds that power: it reboots after five restores that failed.
        host.log("reboot.left_to_guard", { cause: effect.cause });
        return undefined;
      case "answer":
        throw new Error("answers are the runner's");
    }
  };
}
