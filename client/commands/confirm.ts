/** `confirm` and `rollback`: the two ends of a trial, by hand; and the way back to an older generation. */
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Receipt } from "../../schemas/report.ts";
import { usageProblem } from "../args.ts";
import { keptContent } from "../content.ts";
import { type Ending, refused } from "../out.ts";
import { outcomeEnding } from "../outcome.ts";
import { keptReceipts } from "../receipts-file.ts";
import { askStatus, type Context, openSession, type Session } from "../session.ts";
import { abortTrial, awaitTrial, confirmTrial, type Watch, watch } from "../trial.ts";
import { pushContent } from "./push.ts";

/** How long an apply under way is waited for before it can be confirmed. */
const APPLY_MS = 600_000;

type Now = { readonly watched: Watch | null; readonly last: Receipt | undefined; readonly running: bigint };

/** The pending trial of the router, and the newest receipt about a generation. */
async function lookNow(session: Session): Promise<Result<Now>> {
  const standing = await askStatus(session);
  if (!standing.ok) return standing;
  const { status, kept } = standing.value;
  const receipts = keptReceipts(session.crypto, session.router.sign_key, kept.memory);
  if (!receipts.ok) return receipts;
  const last = receipts.value.findLast((one) => one.message.generation > 0n)?.message;
  const watched = status.pending === null ? null : watch(status.pending.directive_digest, kept.memory);
  return done({ watched, last, running: status.lkg_generation });
}

const nothingPending = (session: Session, { running }: Now): Ending => {
  const { id } = session.router;
  const detail = `nothing is pending; generation ${running} runs`;
  return refused(refuse("confirm.unknown_trial", id, detail).problems, { router: id });
};

/** `holdfast confirm`: a late one is told how the trial ended. */
export async function confirm(context: Context): Promise<Ending> {
  const session = await openSession(context);
  if (!session.ok) return refused(session.problems);
  const { id } = session.value.router;
  const now = await lookNow(session.value);
  if (!now.ok) return refused(now.problems, { router: id });
  const { watched, last } = now.value;
  if (watched === null) return last === undefined ? nothingPending(session.value, now.value) : outcomeEnding(id, last);
  const seen = await awaitTrial(session.value, watched, APPLY_MS, context.voice);
  if (!seen.ok) return refused(seen.problems, { router: id });
  if (seen.value.kind === "ended") return outcomeEnding(id, seen.value.receipt);
  if (seen.value.kind === "unknown") return nothingPending(session.value, now.value);
  const confirmed = await confirmTrial(session.value, watched, seen.value.trial, context.voice);
  return confirmed.ok
    ? outcomeEnding(id, confirmed.value.receipt, confirmed.value.tried)
    : refused(confirmed.problems, { router: id });
}

/** An abort that was asked for is a success, whatever code the receipt has. */
function abortEnding(router: string, receipt: Receipt): Ending {
  const ending = outcomeEnding(router, receipt);
  const asked = receipt.outcome === "rolled_back" && receipt.cause === "confirm.aborted";
  return asked ? { ...ending, exit: 0, problems: [] } : ending;
}

/** `holdfast rollback [--to N]` */
export async function rollback(context: Context): Promise<Ending> {
  const to = context.args.one("to");
  if (to !== undefined && !/^[1-9][0-9]{0,17}$/.test(to)) {
    return refused([usageProblem("--to takes the number of a generation.")]);
  }
  const session = await openSession(context);
  if (!session.ok) return refused(session.problems);
  const { id } = session.value.router;
  if (to !== undefined) {
    const content = keptContent(session.value.memory.folder, BigInt(to));
    return content.ok
      ? pushContent(context, session.value, content.value, `content of generation ${to}`)
      : refused(content.problems, { router: id });
  }
  const now = await lookNow(session.value);
  if (!now.ok) return refused(now.problems, { router: id });
  const { watched } = now.value;
  if (watched === null) return nothingPending(session.value, now.value);
  const receipt = await abortTrial(session.value, watched, context.voice);
  return receipt.ok ? abortEnding(id, receipt.value) : refused(receipt.problems, { router: id });
}
