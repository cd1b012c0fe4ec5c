/**
 * The life of one trial as (state, event) to (state, effects). Pure: the agent performs effects in order and
 * answers with the event that each one names; a failure of any of them is `failed`. One arbiter decides: the
 * rename of the trial's decision token. Only its winner writes the record, and the record's last known good
 * changes only after a confirmed decision.
 */
import type { Answer, Effect, Event, Knowledge, Outcome, State, Trial, Turn } from "./lifecycle-words.ts";

export type * from "./lifecycle-words.ts";

export const initialState: State = { name: "down" };

const stay = (state: State, ...effects: readonly Effect[]): Turn => ({ state, effects });

function answer(status: Answer["status"], code = "", unproven: readonly string[] = []): Effect {
  return { kind: "answer", answer: { status, code, unproven } };
}

function wish(trial: Trial, cause: string, known: Knowledge, before: readonly Effect[]): Turn {
  const decide: Effect = { kind: "decide-rollback", token: trial.token };
  return { state: { name: "rolling-back", trial, cause, known }, effects: [...before, decide] };
}

const rollBack = (trial: Trial, cause: string, ...before: readonly Effect[]): Turn =>
  wish(trial, cause, "plain", before);

function restore(trial: Trial, cause: string): Turn {
  const effects: Effect[] = [{ kind: "restore", cause, token: trial.token }];
  return { state: { name: "restoring", trial, cause, told: false }, effects };
}

/**
 * The record first: whoever asserts state from now on asserts the new generation. A process that `adopted` the
 * decision of an earlier one does not know what the old generation leaves behind: asserting finds it.
 */
function keep(trial: Trial, adopted: boolean, ...before: readonly Effect[]): Turn {
  const record: Effect = { kind: "write-record", as: "confirmed", token: trial.token };
  return { state: { name: "keeping", trial, stage: "record", adopted }, effects: [...before, record] };
}

function sweepEffects(token: string): readonly Effect[] {
  return [
    { kind: "disarm", token },
    { kind: "drop-token", token },
  ];
}

function closingEffects({ token, verdict, cause }: Outcome): readonly Effect[] {
  return [
    { kind: "receipt", verdict, cause, token },
    { kind: "write-record", as: "cleared", token },
    ...sweepEffects(token),
  ];
}

function close(trial: Trial, verdict: Outcome["verdict"], cause: string): Turn {
  const outcome: Outcome = { token: trial.token, directive: trial.directive, verdict, cause };
  return { state: { name: "closing", trial, outcome }, effects: closingEffects(outcome) };
}

/** The guard first: it would take the time that the probes need for a restore that hangs. */
function judge(trial: Trial, cause: string): Turn {
  const effects: Effect[] = [
    { kind: "disarm", token: trial.token },
    { kind: "judge", cause, token: trial.token },
  ];
  return { state: { name: "judging", trial, cause }, effects };
}

type Start = Extract<Event, { kind: "start" }>;

/** A new process takes up what the last one left. An undecided trial never goes on: it is rolled back. */
function takeUp({ trial, decision, sameBoot, cause, armed, last }: Start): Turn {
  if (trial === null) {
    if (armed === "") return stay({ name: "idle", last });
    return stay({ name: "sweeping", token: armed, last }, ...sweepEffects(armed));
  }
  const why = cause !== "" ? cause : sameBoot ? "agent.restarted" : "agent.power_cut";
  if (decision === "confirmed") return keep(trial, true);
  if (decision === "undecided") return rollBack(trial, why);
  return restore(trial, why);
}

type Confirm = Extract<Event, { kind: "confirm" }>;
type OnTrial = Extract<State, { name: "trial" }>;

function judgeConfirm(state: OnTrial, event: Confirm): Turn {
  const { trial } = state;
  if (event.token !== trial.token) return stay(state, answer("refused", "confirm.unknown_trial"));
  if (event.atMs >= state.deadlineMs) {
    return rollBack(trial, "confirm.window_expired", answer("rolled-back", "confirm.window_expired"));
  }
  if (!trial.lanes.some((lane) => lane.name === event.lane))
    return stay(state, answer("refused", "confirm.stale_path"));
  const proven = [...new Set([...state.proven, event.lane])].sort();
  const unproven = trial.lanes
    .filter((lane) => lane.changed && !proven.includes(lane.name) && !event.accepts.includes(lane.name))
    .map((lane) => lane.name);
  if (unproven.length > 0) return stay({ ...state, proven }, answer("pending", "confirm.lane_unproven", unproven));
  const decide: Effect = { kind: "decide-confirm", token: trial.token, holder: event.holder, lane: event.lane };
  return { state: { name: "confirming", trial }, effects: [decide] };
}

/** Confirms, aborts and submits that find no trial waiting for them. */
function answerElsewhere(state: State, event: Event): Turn {
  if (event.kind !== "confirm" && event.kind !== "abort" && event.kind !== "submit") return stay(state);
  if (state.name === "down") return stay(state, answer("refused", "confirm.deciding"));
  if (state.name === "idle" || state.name === "sweeping" || state.name === "closing") {
    const last = state.name === "closing" ? state.outcome : state.last;
    const known =
      last !== null &&
      (event.kind === "submit" ? last.directive === event.trial.directive : last.token === event.token);
    if (known) return stay(state, answer(last.verdict, last.cause));
    return stay(state, answer("refused", event.kind === "submit" ? "apply.trial_pending" : "confirm.unknown_trial"));
  }
  if (event.kind === "submit") {
    const same = event.trial.directive === state.trial.directive;
    return stay(state, same ? answer("pending") : answer("refused", "apply.trial_pending"));
  }
  if (event.token !== state.trial.token) return stay(state, answer("refused", "confirm.unknown_trial"));
  if (state.name === "restoring" || state.name === "judging") {
    return stay(state, answer("rolled-back", state.cause));
  }
  if (state.name === "keeping") return stay(state, answer("confirmed"));
  return stay(state, answer("pending", "confirm.deciding"));
}

function whileIdle(state: Extract<State, { name: "idle" }>, event: Event): Turn {
  if (event.kind !== "submit" || state.last?.directive === event.trial.directive) return answerElsewhere(state, event);
  const { trial } = event;
  return {
    state: { name: "admitted", trial },
    effects: [
      answer("accepted"),
      { kind: "create-token", token: trial.token },
      { kind: "write-record", as: "trial", token: trial.token },
      { kind: "arm", token: trial.token, deadlineMs: trial.capMs },
    ],
  };
}

type Working = Extract<State, { name: "admitted" | "applying" | "probing" }>;

/** Until the trial stands, everything that is not progress ends it. */
function whileWorking(state: Working, event: Event): Turn {
  const { trial } = state;
  const end = (why: string, ...before: readonly Effect[]): Turn =>
    wish(trial, why, state.name === "admitted" ? "clean" : "plain", before);
  if (event.kind === "failed") return end(event.cause);
  if (event.kind === "deadline") return event.atMs >= trial.capMs ? end("apply.cap_exceeded") : stay(state);
  if (event.kind === "abort" && event.token === trial.token) return end(event.cause, answer("accepted"));
  if (state.name === "admitted" && event.kind === "prepared") {
    return stay({ name: "applying", trial }, { kind: "run-steps", which: "apply", token: trial.token });
  }
  if (state.name === "applying" && event.kind === "applied") return stay({ name: "probing", trial }, { kind: "probe" });
  if (state.name === "probing" && event.kind === "probed") {
    // The window starts now, but never reaches past the cap.
    const deadlineMs = Math.min(event.atMs + trial.windowMs, trial.capMs);
    return stay(
      { name: "trial", trial, deadlineMs, proven: [] },
      { kind: "arm", token: trial.token, deadlineMs },
      { kind: "receipt", verdict: "trial", cause: "", token: trial.token },
    );
  }
  return answerElsewhere(state, event);
}

function whileOnTrial(state: OnTrial, event: Event): Turn {
  const { trial } = state;
  if (event.kind === "confirm") return judgeConfirm(state, event);
  if (event.kind === "failed") return rollBack(trial, event.cause);
  if (event.kind === "deadline") {
    return event.atMs >= state.deadlineMs ? rollBack(trial, "confirm.window_expired") : stay(state);
  }
  if (event.kind === "abort" && event.token === trial.token) return rollBack(trial, event.cause, answer("accepted"));
  return answerElsewhere(state, event);
}

type Deciding = Extract<State, { name: "confirming" | "rolling-back" }>;

function whileDeciding(state: Deciding, event: Event): Turn {
  const { trial } = state;
  if (state.name === "rolling-back" && event.kind === "tick") return wish(trial, state.cause, state.known, []);
  if (event.kind !== "decided" && event.kind !== "failed") return answerElsewhere(state, event);
  if (state.name === "confirming") {
    // The rename may have happened all the same; trying the other way finds out.
    if (event.kind === "failed") return wish(trial, event.cause, "doubt", [answer("pending", "confirm.deciding")]);
    if (event.decision === "confirmed") return keep(trial, false, answer("confirmed"));
    const cause = event.cause === "" ? "confirm.window_expired" : event.cause;
    return rollBack(trial, cause, answer("rolled-back", cause));
  }
  const decision = event.kind === "decided" ? event.decision : "undecided";
  if (decision === "confirmed") return keep(trial, true);
  // Who decided first knows why.
  const cause = event.kind === "decided" && event.cause !== "" ? event.cause : state.cause;
  if (state.known === "clean") return close(trial, "rolled-back", cause);
  // In doubt the token must speak first; the guard, which asks it too, keeps the time.
  if (state.known === "doubt" && decision === "undecided") return stay(state);
  // Otherwise also when the rename failed: nobody but this process could confirm, and it does not any more.
  return restore(trial, cause);
}

function whileKeeping(state: Extract<State, { name: "keeping" }>, event: Event): Turn {
  const { trial, stage, adopted } = state;
  if (stage === "record") {
    if (event.kind === "tick") return keep(trial, adopted);
    if (event.kind !== "recorded") return answerElsewhere(state, event);
    const work: Effect = adopted
      ? { kind: "restore", cause: "agent.restarted", token: trial.token }
      : { kind: "run-steps", which: "after-confirm", token: trial.token };
    return stay({ ...state, stage: "work" }, work);
  }
  // What could not be taken out is told, and found again by the next plan as drift; the decision stands.
  if (event.kind === "finished" || event.kind === "failed") return close(trial, "confirmed", event.cause);
  if (event.kind === "restored")
    return close(trial, "confirmed", event.outcome === "restored" ? "" : "apply.read_back");
  return answerElsewhere(state, event);
}

function whileRestoring(state: Extract<State, { name: "restoring" }>, event: Event): Turn {
  const { trial, cause } = state;
  if (event.kind === "restored" && event.outcome !== "failed") return judge(trial, cause);
  if (event.kind === "restored" || event.kind === "failed") {
    // The guard stays armed and tries as well; hands are asked for once.
    if (state.told) return stay(state);
    const call: Effect = { kind: "receipt", verdict: "needs-hands", cause, token: trial.token };
    const reboot: readonly Effect[] = trial.rebootAllowed ? [{ kind: "reboot", cause }] : [];
    return stay({ ...state, told: true }, call, ...reboot);
  }
  if (event.kind === "tick") return stay(state, { kind: "restore", cause, token: trial.token });
  return answerElsewhere(state, event);
}

/** Nothing hangs on this any more: what fails here leaves the cause as it was. */
function whileJudging(state: Extract<State, { name: "judging" }>, event: Event): Turn {
  const { trial, cause } = state;
  if (event.kind === "judged") return close(trial, "rolled-back", event.cause);
  if (event.kind === "failed" || event.kind === "tick") return close(trial, "rolled-back", cause);
  return answerElsewhere(state, event);
}

/** One turn. Events that a state does not know leave it as it is; senders are always answered. */
export function step(state: State, event: Event): Turn {
  switch (state.name) {
    case "down":
      return event.kind === "start" ? takeUp(event) : answerElsewhere(state, event);
    case "idle":
      return whileIdle(state, event);
    case "sweeping":
      if (event.kind === "closed") return stay({ name: "idle", last: state.last });
      if (event.kind === "tick") return stay(state, ...sweepEffects(state.token));
      return answerElsewhere(state, event);
    case "admitted":
    case "applying":
    case "probing":
      return whileWorking(state, event);
    case "trial":
      return whileOnTrial(state, event);
    case "confirming":
    case "rolling-back":
      return whileDeciding(state, event);
    case "keeping":
      return whileKeeping(state, event);
    case "restoring":
      return whileRestoring(state, event);
    case "judging":
      return whileJudging(state, event);
    case "closing":
      if (event.kind === "closed") return stay({ name: "idle", last: state.outcome });
      if (event.kind === "tick") return stay(state, ...closingEffects(state.outcome));
      return answerElsewhere(state, event);
  }
}
