/** From an accepted directive to its end: wait for the trial, confirm through the new rules, say how it ended. */
import type { Intent } from "../schemas/intent.ts";
import { refuse } from "../schemas/problem.ts";
import type { Receipt } from "../schemas/report.ts";
import { type Ending, finished, refused } from "./out.ts";
import { outcomeEnding } from "./outcome.ts";
import type { Memory } from "./receipts-file.ts";
import { type Context, type Session, underIntent } from "./session.ts";
import { awaitTrial, confirmTrial, type Pending, watch } from "./trial.ts";

const MARGIN_MS = 20_000;

/** A directive that a router took. */
export type Sent = {
  readonly session: Session;
  readonly memory: Memory; // receipts that were kept before it was submitted
  readonly digest: Uint8Array; // statement digest of the directive
  readonly generation: bigint;
  readonly windowS: number;
  readonly intent: Intent; // under which the router answers while it is on trial
  readonly receipt: Receipt | null; // an outcome that came with the answer
};

/** Follows it to its end; `--no-confirm` leaves the trial pending (exit 8). */
export async function followTrial(context: Context, sent: Sent): Promise<Ending> {
  const session = underIntent(sent.session, sent.intent);
  const { id } = session.router;
  const watched = watch(sent.digest, sent.memory, true);
  const { cap_s } = sent.intent.confirm;
  const seen = await awaitTrial(session, watched, (cap_s + sent.windowS) * 1000 + MARGIN_MS, context.voice);
  if (!seen.ok) {
    // The router said how it ended, only the log could not be read any more.
    return sent.receipt !== null && ["unchanged", "confirmed"].includes(sent.receipt.outcome)
      ? outcomeEnding(id, sent.receipt)
      : refused(seen.problems, { router: id });
  }
  if (seen.value.kind === "ended") return outcomeEnding(id, seen.value.receipt);
  if (seen.value.kind === "unknown") {
    const detail = `${id} knows nothing of generation ${sent.generation}`;
    return refused(refuse("link.state_unknown", id, detail).problems, { router: id });
  }
  if (context.args.has("no-confirm")) return pendingEnding(id, sent.generation, seen.value.trial);
  const confirmed = await confirmTrial(session, watched, seen.value.trial, context.voice);
  return confirmed.ok
    ? outcomeEnding(id, confirmed.value.receipt, confirmed.value.tried)
    : refused(confirmed.problems, { router: id });
}

/** A trial that was left pending: exit 8, with what to do next. */
function pendingEnding(router: string, generation: bigint, trial: Pending): Ending {
  const seconds = Math.max(0, Math.floor(trial.remainingMs / 1000));
  const changed = trial.lanes.filter((lane) => lane.changed).map((lane) => lane.name);
  const text = `Generation ${generation} is on trial on ${router} for ${seconds} s more: holdfast confirm keeps it, holdfast rollback ends it.`;
  const fields = { router, outcome: "trial", generation, remaining_ms: trial.remainingMs, lanes: changed };
  return finished(text, fields, 8);
}
