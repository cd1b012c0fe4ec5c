/** States, events, effects and answers of one trial's life: the words that agent/core/lifecycle.ts turns over. */
import type { LaneChange } from "./step.ts";

export type Trial = {
  readonly token: string;
  readonly directive: string; // digest: the same directive delivered twice is one trial
  readonly windowMs: number; // from the end of the apply
  readonly capMs: number; // boot time after which nothing of this trial may stand unconfirmed
  readonly lanes: readonly LaneChange[];
  readonly rebootAllowed: boolean;
};

export type Decision = "undecided" | "confirmed" | "rolled-back";

export type Outcome = {
  readonly token: string;
  readonly directive: string;
  readonly verdict: "confirmed" | "rolled-back";
  readonly cause: string; // problem code; "" when confirmed without trouble
};

/**
 * What is known when a rollback is wished: "clean", the kernel was not reached, so nothing is restored; "doubt", a
 * confirm of ours may have won although its rename failed; "plain", neither.
 */
export type Knowledge = "clean" | "plain" | "doubt";

export type State =
  | { readonly name: "down" } // before start
  | { readonly name: "idle"; readonly last: Outcome | null }
  /** A closed trial whose guard and token an earlier process did not put away. */
  | { readonly name: "sweeping"; readonly token: string; readonly last: Outcome | null }
  /** Token, record and guard are being made; the kernel is untouched. */
  | { readonly name: "admitted"; readonly trial: Trial }
  | { readonly name: "applying"; readonly trial: Trial }
  | { readonly name: "probing"; readonly trial: Trial }
  | { readonly name: "trial"; readonly trial: Trial; readonly deadlineMs: number; readonly proven: readonly string[] }
  | { readonly name: "confirming"; readonly trial: Trial }
  | { readonly name: "rolling-back"; readonly trial: Trial; readonly cause: string; readonly known: Knowledge }
  /** Decided for: the record flips, then what the old generation left behind goes. */
  | { readonly name: "keeping"; readonly trial: Trial; readonly stage: "record" | "work"; readonly adopted: boolean }
  /** Decided against: the last known good is asserted. */
  | { readonly name: "restoring"; readonly trial: Trial; readonly cause: string; readonly told: boolean }
  /** The last known good is in force again; what the probes say now decides whose fault it was. */
  | { readonly name: "judging"; readonly trial: Trial; readonly cause: string }
  /** Receipt, cleared record, disarmed guard; repeated until all of it stands. */
  | { readonly name: "closing"; readonly trial: Trial; readonly outcome: Outcome };

export type Event =
  | {
      readonly kind: "start"; // first event of an agent process; `trial` as the record names it
      readonly trial: Trial | null;
      readonly decision: Decision | "missing";
      readonly sameBoot: boolean;
      readonly armed: string; // token that the guard holds; "" when none
      readonly cause: string; // of a restore that a script did meanwhile; "" when none
      readonly last: Outcome | null; // newest verdict in the log
    }
  | { readonly kind: "submit"; readonly trial: Trial }
  | { readonly kind: "prepared" }
  | { readonly kind: "applied" } // steps done, read back equal
  | { readonly kind: "probed"; readonly atMs: number }
  | { readonly kind: "failed"; readonly cause: string }
  /** What the token says after our attempt; the cause when another process had decided. */
  | { readonly kind: "decided"; readonly decision: Decision | "missing"; readonly cause: string }
  | { readonly kind: "recorded" }
  | { readonly kind: "finished"; readonly cause: string } // removals done; a cause when some are left
  | { readonly kind: "restored"; readonly outcome: "restored" | "rescue" | "failed" }
  | { readonly kind: "judged"; readonly cause: string } // the cause as it is told
  | { readonly kind: "closed" }
  | {
      readonly kind: "confirm";
      readonly token: string;
      readonly holder: string;
      readonly lane: string; // name of the lane of a fresh path; "" for paths that prove nothing
      readonly accepts: readonly string[]; // lanes that the operator accepts unproven
      readonly atMs: number;
    }
  | { readonly kind: "abort"; readonly token: string; readonly cause: string }
  | { readonly kind: "deadline"; readonly atMs: number }
  | { readonly kind: "tick" }; // from time to time; repeats what failed

export type Effect =
  | { readonly kind: "create-token"; readonly token: string } // durable, before the record names it
  | { readonly kind: "write-record"; readonly as: "trial" | "confirmed" | "cleared"; readonly token: string }
  | { readonly kind: "arm"; readonly token: string; readonly deadlineMs: number } // and read back
  /** Answered by applied or finished. afterConfirm is planned anew when it is repeated. */
  | { readonly kind: "run-steps"; readonly which: "apply" | "after-confirm"; readonly token: string }
  | { readonly kind: "probe" }
  | { readonly kind: "decide-confirm"; readonly token: string; readonly holder: string; readonly lane: string }
  | { readonly kind: "decide-rollback"; readonly token: string } // answered by decided
  /** Runs the restore script, which asserts what record and token name as good. Answered by restored. */
  | { readonly kind: "restore"; readonly cause: string; readonly token: string }
  /** Probes again, after a restore. Answered by judged; whoever dies meanwhile tells the cause as it was. */
  | { readonly kind: "judge"; readonly cause: string; readonly token: string }
  /** One entry of the log per token and verdict, however often it is asked for. */
  | {
      readonly kind: "receipt";
      readonly verdict: "trial" | "confirmed" | "rolled-back" | "needs-hands";
      readonly cause: string;
      readonly token: string;
    }
  | { readonly kind: "disarm"; readonly token: string }
  | { readonly kind: "drop-token"; readonly token: string }
  | { readonly kind: "reboot"; readonly cause: string }
  | { readonly kind: "answer"; readonly answer: Answer };

/** What the sender of a submit, confirm or abort is told now. `code` is "" when there is no problem. */
export type Answer = {
  readonly status: "accepted" | "pending" | "confirmed" | "rolled-back" | "refused";
  readonly code: string;
  readonly unproven: readonly string[];
};

/** Effects of a turn that changes the state's name replace those still waiting; otherwise they are appended. */
export type Turn = { readonly state: State; readonly effects: readonly Effect[] };
