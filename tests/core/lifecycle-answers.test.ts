/** What operators are told by the trial's machine, and turns of it that are not seen from outside. */
import { describe, expect, test } from "bun:test";
import { type Event, type State, step, type Trial } from "../../agent/core/lifecycle.ts";

const trial: Trial = {
  token: "t1",
  directive: "d1",
  windowMs: 100,
  capMs: 1000,
  lanes: [
    { name: "api", changed: true },
    { name: "rescue", changed: false },
  ],
  rebootAllowed: false,
};

describe("what operators are told", () => {
  const onTrial: State = { name: "trial", trial, deadlineMs: 100, proven: [] };
  const confirm = (more: Partial<Extract<Event, { kind: "confirm" }>> = {}): Event => ({
    ...{ kind: "confirm", token: "t1", holder: "ann", lane: "api", accepts: [], atMs: 99 },
    ...more,
  });
  const told = (state: State, event: Event): readonly string[] =>
    step(state, event).effects.flatMap((effect) =>
      effect.kind === "answer" ? [effect.answer.status, effect.answer.code, ...effect.answer.unproven] : [],
    );
  const idle = (verdict: "confirmed" | "rolled-back", cause: string): State => ({
    name: "idle",
    last: { token: "t1", directive: "d1", verdict, cause },
  });

  test("a confirm in time over a lane of the trial decides it, and names who and where", () => {
    expect(step(onTrial, confirm()).effects).toEqual([
      { kind: "decide-confirm", token: "t1", holder: "ann", lane: "api" },
    ]);
  });

  test("a confirm at the deadline is too late", () => {
    const turn = step(onTrial, confirm({ atMs: 100 }));
    expect(turn.state).toMatchObject({ name: "rolling-back", cause: "confirm.window_expired" });
    expect(told(onTrial, confirm({ atMs: 100 }))).toEqual(["rolled-back", "confirm.window_expired"]);
  });

  test("a confirm over an unchanged lane waits for the changed one, unless that is accepted unproven", () => {
    const first = step(onTrial, confirm({ lane: "rescue" }));
    expect(first.state).toMatchObject({ name: "trial", proven: ["rescue"] });
    expect(told(onTrial, confirm({ lane: "rescue" }))).toEqual(["pending", "confirm.lane_unproven", "api"]);
    expect(step(first.state, confirm()).state.name).toBe("confirming");
    expect(step(onTrial, confirm({ lane: "rescue", accepts: ["api"] })).state.name).toBe("confirming");
  });

  test("socket, loopback and mailbox prove nothing, another token names nothing", () => {
    expect(told(onTrial, confirm({ lane: "" }))).toEqual(["refused", "confirm.stale_path"]);
    expect(told(onTrial, confirm({ token: "t9" }))).toEqual(["refused", "confirm.unknown_trial"]);
    expect(step(onTrial, confirm({ lane: "", accepts: ["api"] })).state).toBe(onTrial);
  });

  test("a second confirm and a late one get the verdict that was reached", () => {
    expect(told(idle("confirmed", ""), confirm())).toEqual(["confirmed", ""]);
    expect(told(idle("rolled-back", "apply.read_back"), confirm())).toEqual(["rolled-back", "apply.read_back"]);
    expect(told(idle("confirmed", ""), confirm({ token: "t0" }))).toEqual(["refused", "confirm.unknown_trial"]);
    expect(told({ name: "confirming", trial }, confirm())).toEqual(["pending", "confirm.deciding"]);
  });

  test("the same directive delivered again is the same trial; another one waits", () => {
    const other: Trial = { ...trial, token: "t2", directive: "d2" };
    expect(told(onTrial, { kind: "submit", trial })).toEqual(["pending", ""]);
    expect(told(onTrial, { kind: "submit", trial: other })).toEqual(["refused", "apply.trial_pending"]);
    expect(told(idle("rolled-back", "x"), { kind: "submit", trial })).toEqual(["rolled-back", "x"]);
    expect(step(idle("confirmed", ""), { kind: "submit", trial: other }).state.name).toBe("admitted");
  });

  test("an abort ends a trial but not a decision", () => {
    const abort: Event = { kind: "abort", token: "t1", cause: "confirm.aborted" };
    expect(step(onTrial, abort).state).toMatchObject({ name: "rolling-back", cause: "confirm.aborted" });
    expect(told({ name: "confirming", trial }, abort)).toEqual(["pending", "confirm.deciding"]);
    expect(told(idle("confirmed", ""), abort)).toEqual(["confirmed", ""]);
  });

  test("the window starts when the apply ends and never passes the cap", () => {
    const probing: State = { name: "probing", trial };
    expect(step(probing, { kind: "probed", atMs: 10 }).state).toMatchObject({ deadlineMs: 110 });
    expect(step(probing, { kind: "probed", atMs: 950 }).state).toMatchObject({ deadlineMs: 1000 });
    expect(step(probing, { kind: "deadline", atMs: 999 }).state).toBe(probing);
    expect(step(probing, { kind: "deadline", atMs: 1000 }).state).toMatchObject({ cause: "apply.cap_exceeded" });
  });

  test("the cause is told as it was judged, and as it was when nobody could judge", () => {
    const judging: State = { name: "judging", trial, cause: "probe.failed" };
    const restored = step(
      { name: "restoring", trial, cause: "probe.failed", told: false },
      {
        ...{ kind: "restored", outcome: "restored" },
      },
    );
    expect(restored.state).toEqual(judging);
    expect(restored.effects.map((effect) => effect.kind)).toEqual(["disarm", "judge"]);
    const told = (event: Event) => step(judging, event).state;
    expect(told({ kind: "judged", cause: "probe.inconclusive" })).toMatchObject({
      outcome: { verdict: "rolled-back", cause: "probe.inconclusive" },
    });
    expect(told({ kind: "failed", cause: "agent.storage" })).toMatchObject({ outcome: { cause: "probe.failed" } });
    expect(told({ kind: "tick" })).toMatchObject({ outcome: { cause: "probe.failed" } });
    expect(told({ kind: "deadline", atMs: 9999 })).toBe(judging);
  });

  test("hands are asked for once, and a reboot only where it is allowed", () => {
    const restoring: State = { name: "restoring", trial, cause: "x", told: false };
    const failed = step(restoring, { kind: "restored", outcome: "failed" });
    expect(failed.effects.map((effect) => effect.kind)).toEqual(["receipt"]);
    expect(step(failed.state, { kind: "restored", outcome: "failed" }).effects).toEqual([]);
    const allowed: State = { ...restoring, trial: { ...trial, rebootAllowed: true } };
    const effects = step(allowed, { kind: "restored", outcome: "failed" }).effects;
    expect(effects.map((effect) => effect.kind)).toEqual(["receipt", "reboot"]);
  });
});
