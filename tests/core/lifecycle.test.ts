/**
 * The trial's machine inside a small world (token, record, kernel, guard, log) in which anything may happen
 * between any two effects: failures, agent kills, a power cut, the guard, confirms, aborts, the deadline. The
 * whole reachable space under the stated budgets is walked, and every promise is checked in every world.
 */
import { describe, expect, test } from "bun:test";
import { type Effect, type Event, initialState, type State, step, type Trial } from "../../agent/core/lifecycle.ts";

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

type World = {
  readonly agent: State;
  readonly waiting: readonly Effect[];
  readonly token: "absent" | "undecided" | "confirmed" | "rolled-back";
  readonly lkg: "old" | "new";
  readonly recordTrial: boolean;
  readonly kernel: "old" | "new" | "mixed"; // mixed: parts of the new one, or the new one with remains
  readonly armed: boolean;
  readonly log: readonly string[]; // verdicts of receipts
  readonly trouble: boolean; // the confirmed receipt says that remains could not be taken out
  readonly external: boolean; // the outside world went away in the window: the verdict is inconclusive
  readonly outsides: number; // how often that may happen still
  readonly told: string; // cause of the rolled-back receipt
  readonly decisions: readonly string[]; // every decision that the token ever carried
  readonly late: boolean; // past the deadline
  readonly booted: boolean; // since the last start of the agent
  readonly submitted: boolean;
  readonly confirms: number;
  readonly aborts: number;
  readonly failures: number;
  readonly kills: number;
  readonly cuts: number;
};

const start: World = {
  agent: initialState,
  waiting: [],
  token: "absent",
  lkg: "old",
  recordTrial: false,
  kernel: "old",
  armed: false,
  log: [],
  trouble: false,
  external: false,
  outsides: 0,
  told: "",
  decisions: [],
  late: false,
  booted: false,
  submitted: false,
  confirms: 2,
  aborts: 1,
  failures: 2,
  kills: 2,
  cuts: 1,
};

function send(world: World, event: Event): World {
  const turn = step(world.agent, event);
  const kept = turn.state.name === world.agent.name ? world.waiting : [];
  const effects = turn.effects.filter((effect) => effect.kind !== "answer");
  return { ...world, agent: turn.state, waiting: [...kept, ...effects] };
}

const nowMs = (world: World): number => (world.late ? 2000 : 10);

/** What boot and restore scripts take for good: the record, unless its trial's token says confirmed. */
const good = (world: World): "old" | "new" => (world.recordTrial && world.token === "confirmed" ? "new" : world.lkg);

function decide(world: World, wish: "confirmed" | "rolled-back"): World {
  if (world.token !== "undecided") return world;
  return { ...world, token: wish, decisions: [...world.decisions, wish] };
}

const note = (log: readonly string[], verdict: string): readonly string[] =>
  log.includes(verdict) ? log : [...log, verdict].sort();

/** Performs the next effect as the agent would, and tells the machine. */
function perform(world: World): World {
  const [effect, ...waiting] = world.waiting;
  const w: World = { ...world, waiting };
  switch (effect!.kind) {
    case "create-token":
      return { ...w, token: "undecided" };
    case "write-record":
      if (effect.as === "trial") return { ...w, recordTrial: true };
      if (effect.as === "cleared") return { ...w, recordTrial: false };
      return send({ ...w, lkg: "new" }, { kind: "recorded" });
    case "arm": {
      const armed: World = { ...w, armed: true };
      return w.agent.name === "admitted" ? send(armed, { kind: "prepared" }) : armed;
    }
    case "run-steps": {
      // The writer refuses who lost the token.
      const wish = effect.which === "apply" ? "undecided" : "confirmed";
      if (w.token !== wish) return send(w, { kind: "failed", cause: "apply.trial_decided" });
      if (effect.which === "apply") return send({ ...w, kernel: "mixed" }, { kind: "applied" });
      return send({ ...w, kernel: "new" }, { kind: "finished", cause: "" });
    }
    case "probe":
      return send(w, { kind: "probed", atMs: nowMs(w) });
    case "decide-confirm":
    case "decide-rollback": {
      const after = decide(w, effect.kind === "decide-confirm" ? "confirmed" : "rolled-back");
      const decision = after.token === "absent" ? "missing" : after.token;
      return send(after, { kind: "decided", decision, cause: "" });
    }
    case "restore":
      return send({ ...w, kernel: good(w) }, { kind: "restored", outcome: "restored" });
    case "judge":
      return send(w, { kind: "judged", cause: w.external ? "probe.inconclusive" : effect.cause });
    case "receipt":
      return {
        ...w,
        told: effect.verdict === "rolled-back" ? effect.cause : w.told,
        log: note(w.log, effect.verdict),
        trouble: effect.verdict === "confirmed" && effect.cause !== "",
      };
    case "disarm":
      return { ...w, armed: false };
    case "drop-token": {
      const dropped: World = { ...w, token: "absent" };
      return w.agent.name === "closing" || w.agent.name === "sweeping" ? send(dropped, { kind: "closed" }) : dropped;
    }
    default:
      throw new Error(`effect ${effect!.kind}`);
  }
}

/** The next effect fails; steps and restores may leave half of their work. */
function fail(world: World): World {
  const [effect, ...waiting] = world.waiting;
  const half = effect!.kind === "run-steps" && world.token === "undecided";
  const w: World = { ...world, waiting, failures: world.failures - 1, kernel: half ? "mixed" : world.kernel };
  const broken: World = { ...w, waiting: [] }; // what waited behind a failed effect is not performed
  if (effect!.kind === "restore") {
    // Asserting what is already so writes nothing.
    const kernel = w.kernel === good(w) ? w.kernel : "mixed";
    return send({ ...broken, kernel }, { kind: "restored", outcome: "failed" });
  }
  return send(broken, { kind: "failed", cause: "apply.kernel_refused" });
}

const kill = (world: World): World => ({
  ...world,
  agent: initialState,
  waiting: [],
  kernel: world.waiting[0]?.kind === "run-steps" && world.token === "undecided" ? "mixed" : world.kernel,
  kills: world.kills - 1,
});

/** Power gone: the boot script rolls an undecided trial back and loads what is good, before any agent. */
function cut(world: World): World {
  const dead: World = { ...world, agent: initialState, waiting: [], armed: false, cuts: world.cuts - 1, booted: true };
  const decided = dead.recordTrial ? decide(dead, "rolled-back") : dead;
  return { ...decided, kernel: good(decided) };
}

function startAgent(world: World): World {
  const event: Event = {
    kind: "start",
    trial: world.recordTrial ? trial : null,
    decision: world.token === "absent" ? "missing" : world.token,
    sameBoot: !world.booted,
    armed: world.armed ? trial.token : "",
    cause: "",
    last: null,
  };
  return send({ ...world, booted: false }, event);
}

/** The dead-man: on the deadline, or when the agent is gone. */
function fire(world: World): World {
  const decided = decide(world, "rolled-back");
  if (decided.token === "confirmed") return world;
  return { ...decided, kernel: good(decided), armed: false };
}

/** Everything that can happen next, by name. */
function happenings(world: World): readonly (readonly [string, World])[] {
  const found: (readonly [string, World])[] = [];
  const down = world.agent.name === "down";
  if (down) found.push(["start", startAgent(world)]);
  if (world.agent.name === "idle" && !world.submitted) {
    found.push(["submit", { ...send(world, { kind: "submit", trial }), submitted: true }]);
  }
  const [next] = world.waiting;
  if (next !== undefined) {
    found.push([`do ${next.kind}`, perform(world)]);
    if (world.failures > 0) found.push([`fail ${next.kind}`, fail(world)]);
    // The rename happened, but its sync failed: nobody knows.
    if (world.failures > 0 && next.kind === "decide-confirm") {
      found.push(["fail after the rename", fail(decide(world, "confirmed"))]);
    }
  } else if (!down) found.push(["tick", send(world, { kind: "tick" })]);
  if (!down && world.kills > 0) found.push(["kill", kill(world)]);
  if (world.cuts > 0) found.push(["cut", cut(world)]);
  if (world.armed && (world.late || down)) found.push(["guard", fire(world)]);
  if (!world.late && world.submitted) found.push(["late", { ...world, late: true }]);
  if (!down && world.late) found.push(["deadline", send(world, { kind: "deadline", atMs: nowMs(world) })]);
  if (world.outsides > 0 && world.submitted) {
    found.push(["outside", { ...world, external: true, outsides: world.outsides - 1 }]);
  }
  if (!down && world.submitted && world.confirms > 0) {
    for (const lane of ["api", "rescue"]) {
      const event: Event = { kind: "confirm", token: "t1", holder: "ann", lane, accepts: [], atMs: nowMs(world) };
      found.push([`confirm ${lane}`, { ...send(world, event), confirms: world.confirms - 1 }]);
    }
  }
  if (!down && world.submitted && world.aborts > 0) {
    const event: Event = { kind: "abort", token: "t1", cause: "confirm.aborted" };
    found.push(["abort", { ...send(world, event), aborts: world.aborts - 1 }]);
  }
  return found.filter(([, after]) => key(after) !== key(world));
}

const key = (world: World): string => JSON.stringify(world);

/** Promises that hold in every world. Returns the one that is broken. */
function broken(world: World): string | undefined {
  const confirmed = world.decisions.includes("confirmed");
  if (world.decisions.length > 1) return "the token was decided twice";
  if (world.log.includes("confirmed") && world.log.includes("rolled-back")) return "both verdicts were told";
  if (world.lkg === "new" && !confirmed) return "the last known good changed without a confirm";
  if (world.log.includes("confirmed") && !confirmed) return "told confirmed, but was not";
  if (world.log.includes("rolled-back") && confirmed) return "told rolled back, but was confirmed";
  if (world.kernel !== "old" && !confirmed && !world.armed) return "an unconfirmed kernel without a guard";
  if (world.kernel !== "old" && !confirmed && !world.recordTrial) return "an unconfirmed kernel without a record";
  if (world.agent.name === "judging" && world.kernel !== good(world)) return "judged before the way back was walked";
  if (world.told === "probe.inconclusive" && !world.external) return "told inconclusive without an outside cause";
  return undefined;
}

/** Nothing more goes wrong: the agent runs, effects succeed, time goes on. Must end. */
function settle(world: World): World {
  let w = world;
  for (let i = 0; i < 100; i += 1) {
    if (w.agent.name === "down") w = startAgent(w);
    else if (w.waiting.length > 0) w = perform(w);
    else if (w.agent.name === "idle") return w;
    else w = send(send({ ...w, late: true }, { kind: "tick" }), { kind: "deadline", atMs: 2000 });
  }
  throw new Error(`does not settle: ${key(world)}`);
}

function unsettled(world: World): string | undefined {
  const end = settle(world);
  if (broken(end) !== undefined) return broken(end);
  if (end.recordTrial || end.armed) return "something of the trial is left";
  if (end.kernel !== end.lkg && !end.trouble) return `the kernel holds ${end.kernel}, the record ${end.lkg}`;
  const verdicts = end.log.filter((verdict) => verdict === "confirmed" || verdict === "rolled-back");
  // A kill before the record names the trial leaves nothing to tell.
  const told = world.recordTrial || world.log.length > 0 ? 1 : verdicts.length;
  return verdicts.length === told && verdicts.length <= 1 ? undefined : `verdicts: ${verdicts.join(" ")}`;
}

type Walk = { worlds: number; complaint: string; trail: readonly string[]; names: Set<string> };

/** Breadth first, so that a complaint comes with a shortest trail. */
function walk(from: World): Walk {
  const seen = new Map<string, { before: string; by: string }>([[key(from), { before: "", by: "" }]]);
  const names = new Set<string>();
  let front: World[] = [from];
  const trailOf = (end: string): string[] => {
    const { before, by } = seen.get(end)!;
    return before === "" ? [] : [...trailOf(before), by];
  };
  while (front.length > 0) {
    const next: World[] = [];
    for (const world of front) {
      names.add(`${world.agent.name}/${world.token}`);
      const complaint = broken(world) ?? unsettled(world);
      if (complaint !== undefined) return { worlds: seen.size, complaint, trail: trailOf(key(world)), names };
      for (const [by, after] of happenings(world)) {
        const k = key(after);
        if (seen.has(k)) continue;
        seen.set(k, { before: key(world), by });
        next.push(after);
      }
    }
    front = next;
  }
  return { worlds: seen.size, complaint: "", trail: [], names };
}

test("two failures, a kill, a power cut, two confirms, an abort, guard and deadline in any order", () => {
  const found = walk({ ...start, kills: 1 });
  expect({ complaint: found.complaint, trail: found.trail }).toEqual({ complaint: "", trail: [] });
  expect(found.worlds).toBeGreaterThan(5_000);
  // The walk reached the interesting corners, not only the happy road.
  for (const corner of [
    "confirming/rolled-back",
    "keeping/confirmed",
    "rolling-back/rolled-back",
    "restoring/undecided",
  ]) {
    expect([...found.names]).toContain(corner);
  }
}, 60_000);

test("two kills without failures", () => {
  const found = walk({ ...start, failures: 0, aborts: 0 });
  expect({ complaint: found.complaint, trail: found.trail }).toEqual({ complaint: "", trail: [] });
}, 60_000);

test("the outside world goes away once, with a failure, a kill and a power cut, at any time", () => {
  const found = walk({ ...start, outsides: 1, failures: 1, kills: 1, aborts: 0, confirms: 1 });
  expect({ complaint: found.complaint, trail: found.trail }).toEqual({ complaint: "", trail: [] });
  expect([...found.names]).toContain("judging/rolled-back");
}, 60_000);

describe("the walk can fail", () => {
  test("on a world in which the kernel changed without a guard", () => {
    expect(broken({ ...start, kernel: "mixed", recordTrial: true })).toBe("an unconfirmed kernel without a guard");
  });
  test("on a record that names the new generation as good too early", () => {
    expect(walk({ ...start, lkg: "new" }).complaint).toBe("the last known good changed without a confirm");
  });
});
