/**
 * Two operators pushed at once and this one lost. One screen: who was faster, with what, how far that is, and how to
 * bring the own change on top of it. Everything but the time left is from receipts that the router signed.
 */
import { equalBytes } from "../schemas/digest.ts";
import type { Problem } from "../schemas/problem.ts";
import type { Receipt, Status } from "../schemas/report.ts";
import { type Ending, refused } from "./out.ts";
import { keptReceipts } from "./receipts-file.ts";
import { askStatus, type Context, type Session } from "./session.ts";

/** Codes by which a router says that somebody else came first. */
const LOST = ["apply.trial_pending", "trust.parent", "trust.generation_burnt"];
/** Lines of the other's plan: the screen should stay one. */
const PLAN_LINES = 12;

type Winner = {
  readonly generation: bigint;
  readonly holders: readonly string[];
  readonly remainingMs: bigint | null; // null: it is decided
  readonly receipt: Receipt | undefined; // none was written yet
};

/** The trial that is pending, else the newest generation that has an outcome. */
function winnerOf(status: Status, receipts: readonly { readonly message: Receipt }[]): Winner | undefined {
  const { pending } = status;
  const about = (digest: Uint8Array): Receipt | undefined =>
    receipts.findLast((one) => equalBytes(one.message.directive_digest, digest))?.message;
  if (pending !== null) {
    const receipt = about(pending.directive_digest);
    const holders = receipt?.signers ?? [pending.author];
    return { generation: pending.generation, holders, remainingMs: pending.remaining_ms, receipt };
  }
  const receipt = receipts.findLast((one) => one.message.generation > 0n)?.message;
  return receipt && { generation: receipt.generation, holders: receipt.signers, remainingMs: null, receipt };
}

function howFar(router: string, { generation, remainingMs, receipt }: Winner): string {
  const own = `generation ${generation} of ${router}`;
  if (remainingMs !== null && (receipt === undefined || receipt.outcome !== "trial")) return `${own} is being applied`;
  if (remainingMs !== null) return `${own} is on trial, ${remainingMs / 1000n} s left`;
  if (receipt?.outcome === "rolled_back") return `${own} was tried and taken back (${receipt.cause})`;
  if (receipt?.outcome === "confirmed") return `${own} is confirmed, through ${receipt.confirmed_lane || "a lane"}`;
  return `${own} is ${receipt?.outcome.replace("_", " ") ?? "known"}`;
}

function planLines({ receipt }: Winner): readonly string[] {
  const lines = (receipt?.plan ?? "").trimEnd().split("\n");
  if (lines[0] === "") return [];
  const more = lines.length - PLAN_LINES;
  return [...lines.slice(0, PLAN_LINES), ...(more > 0 ? [`and ${more} lines more: holdfast show`] : [])];
}

function screen(router: string, winner: Winner, own: boolean, again: string): string {
  const { holders, receipt, remainingMs } = winner;
  const who = own ? "Your own push" : holders.length === 0 ? "Another push" : holders.join(" and ");
  const facts = [
    ...((receipt?.note ?? "") === "" ? [] : [`  note    ${receipt!.note}`]),
    ...((receipt?.commit ?? "") === "" ? [] : [`  commit  ${receipt!.commit}`]),
    ...planLines(winner).map((line) => `  ${line}`),
  ];
  const rebase = [
    ...(remainingMs === null ? [] : ["  holdfast status --wait   until it is decided"]),
    ...(own ? [] : ["  git pull                 brings that change into this site"]),
    "  holdfast plan            shows what is left of yours",
    `  ${again}`,
  ];
  const head = `${who} came first: ${howFar(router, winner)}.`;
  return [head, ...facts, "Your push changed nothing and used no generation. To go on:", ...rebase].join("\n");
}

/** True when these problems mean that somebody else was faster. */
export const isLost = (problems: readonly Problem[]): boolean => LOST.includes(problems[0]?.code ?? "");

/**
 * The end of a push that came second: the problems as they came, and the screen about the winner as far as the router
 * tells. `fields` are those of the verb so far, `again` is the command that brings the own change once more.
 */
export async function lostEnding(
  context: Context,
  session: Session,
  problems: readonly Problem[],
  fields: Readonly<Record<string, unknown>> = {},
  again = "holdfast push",
): Promise<Ending> {
  const standing = await askStatus(session);
  if (!standing.ok) return refused(problems, fields);
  const receipts = keptReceipts(session.crypto, session.router.sign_key, standing.value.kept.memory);
  const winner = winnerOf(standing.value.status, receipts.ok ? receipts.value : []);
  if (winner === undefined) return refused(problems, fields);
  const own = winner.holders.length === 1 && winner.holders[0] === session.operator.holder;
  if (!context.json) context.voice.say(screen(session.router.id, winner, own, again));
  const { generation, holders, remainingMs, receipt } = winner;
  const first = {
    ...{ generation, holders, outcome: receipt?.outcome ?? "trial", remaining_ms: remainingMs },
    ...{ note: receipt?.note ?? "", commit: receipt?.commit ?? "", plan: receipt?.plan ?? "" },
  };
  return refused(problems, { ...fields, router: session.router.id, came_first: first });
}
