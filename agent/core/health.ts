/**
 * What the probes of a trial say about the generation, once the way back is walked. A probe is held against a
 * generation when it passed before the first change, failed under it, and passes again after the restore, with the
 * uplinks the same at both looks: then nothing but the generation differs. Everything else is inconclusive.
 */
import { type Problem, problem } from "../../schemas/problem.ts";
import type { ProbeReport, ProbeState } from "../../schemas/report.ts";

/** Probes by id: whether each passed at one look. Absent: not run. */
export type Marks = ReadonlyMap<string, boolean>;

/** One thing that changed on an uplink without us. */
export type UplinkChange = { readonly uplink: string; readonly text: string };

export type Evidence = {
  readonly cause: string; // problem code of the rollback
  readonly before: Marks; // the first change
  readonly after: Marks; // the apply
  readonly restored: Marks; // after the restore
  /** Between the look before the first change and the end of the trial. */
  readonly moved: readonly UplinkChange[];
  /** Between the end of the trial and the look after the restore. */
  readonly movedSince: readonly UplinkChange[];
};

export type Verdict = {
  readonly cause: string;
  readonly fault: boolean; // the generation's own: it goes into quarantine
  readonly problems: readonly Problem[];
};

const inconclusive = (path: string, detail: string): Problem => problem("probe.inconclusive", path, detail);

const outside = (changes: readonly UplinkChange[], when: string): readonly Problem[] =>
  changes.map(({ uplink, text }) => inconclusive(`uplink ${uplink}`, `${text} ${when}`));

/** Probes that passed at the one look and failed at the other, by id. */
export function lost(before: Marks, after: Marks): readonly string[] {
  return [...before].filter(([id, passed]) => passed && after.get(id) === false).map(([id]) => id);
}

function judgeProbes(evidence: Evidence): Verdict {
  const { before, after, restored, moved, movedSince } = evidence;
  const ids = lost(before, after);
  const back = ids.filter((id) => restored.get(id) === true);
  const still = ids.filter((id) => restored.get(id) !== true);
  const causes = [...outside(moved, "during the trial"), ...outside(movedSince, "during the restore")];
  const fails = still.map((id) =>
    inconclusive(`probe ${id}`, "passed before the apply, failed after it, and still fails after the restore"),
  );
  if (back.length > 0 && movedSince.length === 0) {
    const detail = "passed before the apply, failed after it, and passes again after the restore";
    const faults = back.map((id) => problem("probe.failed", id, detail));
    return { cause: "probe.failed", fault: true, problems: [...faults, ...fails, ...causes] };
  }
  const again = back.map((id) =>
    inconclusive(`probe ${id}`, "passes again after the restore, but an uplink changed at the same time"),
  );
  return { cause: "probe.inconclusive", fault: false, problems: [...causes, ...fails, ...again] };
}

/** Nobody confirmed: nobody wanted to, nobody could because of the generation, or the outside world went away. */
function judgeExpiry(evidence: Evidence): Verdict {
  const { cause, before, restored, moved, movedSince } = evidence;
  const causes = [...outside(moved, "during the trial"), ...outside(movedSince, "during the restore")];
  const fails = lost(before, restored).map((id) =>
    inconclusive(`probe ${id}`, "passed before the apply and fails after the restore"),
  );
  if (causes.length + fails.length === 0) return { cause, fault: false, problems: [] };
  return { cause: "probe.inconclusive", fault: false, problems: [...causes, ...fails] };
}

/** The verdict about a generation that was taken back. Other causes than these two speak for themselves. */
export function judge(evidence: Evidence, found: readonly Problem[]): Verdict {
  if (evidence.cause === "probe.failed") return judgeProbes(evidence);
  if (evidence.cause === "confirm.window_expired") {
    const verdict = judgeExpiry(evidence);
    return { ...verdict, problems: [...found, ...verdict.problems] };
  }
  return { cause: evidence.cause, fault: false, problems: found };
}

const stateOf = (marks: Marks, id: string): ProbeState => {
  const passed = marks.get(id);
  return passed === undefined ? "not_run" : passed ? "passed" : "failed";
};

/** The three looks as a receipt tells them, in the order in which the probes were asked first. */
export function probeReports({ before, after, restored }: Pick<Evidence, "before" | "after" | "restored">) {
  return [...before.keys()].map(
    (id): ProbeReport => ({
      id,
      before: stateOf(before, id),
      after: stateOf(after, id),
      restored: stateOf(restored, id),
    }),
  );
}
