/**
 * A generation on trial, seen from outside: wait until the router has applied it, confirm through each lane that has
 * to be proven, and learn how it ended. The signed receipts are the only truth; a lost reply never decides anything.
 */

import { routerRescueAddress } from "../agent/core/compile/rescue.ts";
import { type Opened, openStatement, signStatement } from "../agent/core/dsse.ts";
import { equalBytes } from "../schemas/digest.ts";
import type { Confirm } from "../schemas/directive.ts";
import { done, type Problem, problem, type Result, refuse } from "../schemas/problem.ts";
import type { Lane, Receipt, Status } from "../schemas/report.ts";
import { parseTarget, type Target, targetName } from "./link.ts";
import type { Voice } from "./out.ts";
import { type Kept, keepReceipts, type Memory } from "./receipts-file.ts";
import { apiPort, askStatus, type Session } from "./session.ts";

export type Pending = { readonly nonce: Uint8Array; readonly remainingMs: number; readonly lanes: readonly Lane[] };

/** How far a directive has come. */
export type Progress =
  | { readonly kind: "pending"; readonly trial: Pending }
  | { readonly kind: "ended"; readonly receipt: Receipt }
  | { readonly kind: "applying" }
  | { readonly kind: "unknown"; readonly status: Status }; // the router has not taken it, or not yet

const POLL_MS = 250;
const SLOW_POLL_MS = 1000;
const ASK_MS = 5000;
/** A dead address among several must not eat the window. */
const LOOK_MS = 3000;
/** How long the router may hold an answer back; well within LOOK_MS, and short beside the shortest window. */
const LISTEN_S = 2;
/** Every so often the router is asked how it stands: it may not have taken the directive at all. */
const LOOK_EVERY = 4;
/** A receipt follows the decision at once; this is for a slow disk. */
const GRACE_MS = 15_000;
/**
 * Where a lane changed a confirm fills a packet as other traffic does: a path that drops those is not called good. With
 * these octets its box alone is more than one segment of the largest tunnel, 1,380 octets of an MTU of 1,420.
 */
export const PADDING = 900;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const FINAL: readonly Receipt["outcome"][] = ["confirmed", "rolled_back", "unchanged", "needs_hands", "refused"];

/** Receipts of one directive are looked for in what came since it was submitted. */
export type Watch = {
  readonly digest: Uint8Array;
  memory: Memory;
  readonly seen: Opened<"receipt">[];
  readonly isNew: boolean; // submitted just now: its receipts are still to come
};

/** Starts looking for receipts about a directive (its statement digest), after those that are kept already. */
export const watch = (digest: Uint8Array, memory: Memory, isNew = false): Watch => ({
  ...{ digest, memory, seen: [], isNew },
});

/** Takes what came into the memory of a watch; how it ended, if that is among it. */
function remember(watched: Watch, kept: Kept): Receipt | undefined {
  watched.memory = kept.memory;
  watched.seen.push(...kept.fresh.filter((one) => equalBytes(one.message.directive_digest, watched.digest)));
  return watched.seen.findLast((one) => FINAL.includes(one.message.outcome))?.message;
}

/**
 * What the log says next, over a new connection; undefined when it says nothing of the directive within a moment. The
 * router holds the answer back until there is a receipt, which is less on the wire than to ask how it is again and again.
 */
async function listen(session: Session, watched: Watch): Promise<Result<Progress | undefined>> {
  const { crypto, router, link } = session;
  const fields = { from_index: watched.memory.head.index + 1n, limit: 16, wait_s: LISTEN_S };
  const answer = await link.get("receipts", fields, { timeoutMs: LOOK_MS });
  if (!answer.ok) return answer;
  const kept = keepReceipts(crypto, router.sign_key, watched.memory, answer.value.receipts);
  if (!kept.ok) return kept;
  const final = remember(watched, kept.value);
  if (final !== undefined) return done({ kind: "ended", receipt: final });
  const trial = watched.seen.findLast((one) => one.message.outcome === "trial")?.message;
  if (trial === undefined) return done(undefined);
  const { nonce, window_s, lanes } = trial;
  return done({ kind: "pending", trial: { nonce, remainingMs: window_s * 1000, lanes } });
}

/** One look, over a new connection. */
export async function look(session: Session, watched: Watch): Promise<Result<Progress>> {
  const standing = await askStatus({ ...session, memory: watched.memory }, { timeoutMs: LOOK_MS });
  if (!standing.ok) return standing;
  const { status, kept } = standing.value;
  const final = remember(watched, kept);
  if (final !== undefined) return done({ kind: "ended", receipt: final });
  const { pending } = status;
  if (pending === null || !equalBytes(pending.directive_digest, watched.digest))
    return done({ kind: "unknown", status });
  if (pending.nonce.length === 0) return done({ kind: "applying" });
  const trial = { nonce: pending.nonce, remainingMs: Number(pending.remaining_ms), lanes: status.lanes };
  return done({ kind: "pending", trial });
}

const isLinkTrouble = (problems: readonly Problem[]): boolean => problems.every((one) => /^link\./.test(one.code));

/**
 * Looks until the trial stands or has ended, at most `limitMs`. Silence on the way is normal: the rules are changing.
 * Code link.state_unknown when nothing certain was heard until the end.
 */
export async function awaitTrial(
  session: Session,
  watched: Watch,
  limitMs: number,
  voice: Voice,
): Promise<Result<Exclude<Progress, { kind: "applying" }>>> {
  const stop = voice.progress(`${session.router.id} applies`);
  const end = performance.now() + limitMs;
  let untakenSince = Number.POSITIVE_INFINITY;
  try {
    for (let round = 1; performance.now() < end; round += 1) {
      const listening = watched.isNew && round % LOOK_EVERY !== 0;
      const seen = listening ? await listen(session, watched) : await look(session, watched);
      if (!seen.ok && !isLinkTrouble(seen.problems)) return seen;
      const now = seen.ok ? seen.value : undefined;
      if (now?.kind === "pending" || now?.kind === "ended") return done(now);
      // Its receipt may be a moment behind the end of the trial; silence about it for long means that it never came.
      if (now?.kind === "unknown") untakenSince = Math.min(untakenSince, performance.now());
      else if (now !== undefined) untakenSince = Number.POSITIVE_INFINITY;
      if (now?.kind === "unknown" && performance.now() - untakenSince > GRACE_MS / 2) return done(now);
      await pause(POLL_MS);
    }
    return refuse("link.state_unknown", session.router.id, `no answer for ${Math.round(limitMs / 1000)} s`);
  } finally {
    stop();
  }
}

/** Looks until the directive has ended, at most `limitMs`. */
export async function awaitEnd(
  session: Session,
  watched: Watch,
  limitMs: number,
  voice: Voice,
): Promise<Result<Receipt>> {
  const stop = voice.progress(`waiting for the end of the trial on ${session.router.id}`);
  const end = performance.now() + limitMs;
  try {
    for (;;) {
      const seen = await look(session, watched);
      if (!seen.ok && !isLinkTrouble(seen.problems)) return seen;
      if (seen.ok && seen.value.kind === "ended") return done(seen.value.receipt);
      if (performance.now() > end) break;
      await pause(SLOW_POLL_MS);
    }
    return refuse("link.state_unknown", session.router.id, "the end of the trial was not heard of");
  } finally {
    stop();
  }
}

function confirmOf(
  session: Session,
  digest: Uint8Array,
  nonce: Uint8Array,
  verdict: Confirm["verdict"],
  padding: number,
): Uint8Array {
  const message: Confirm = {
    network_id: session.chain.view.root.message.network_id,
    router_id: session.router.router_id,
    incarnation: session.router.incarnation,
    directive_digest: digest,
    nonce,
    verdict,
    padding: new Uint8Array(padding),
  };
  return signStatement(session.crypto, "confirm", message, [session.operator.sign]).envelope;
}

/** The addresses to dial for a lane; for "" any lane will do. A WireGuard lane is proven by where we come from. */
function laneTargets(session: Session, lane: string): readonly Target[] {
  const { link, router, intent, chain } = session;
  const port = apiPort(intent, router.id);
  const at = (address: string): readonly Target[] => {
    const target = parseTarget(address, port);
    return target === undefined ? [] : [target];
  };
  if (lane.startsWith("api:")) return at(lane.slice("api:".length));
  if (lane === "rescue") return at(routerRescueAddress(chain.view.root.message.network_id, router.id));
  return link.targets();
}

export type Confirmed = { readonly receipt: Receipt; readonly tried: readonly Problem[] };

type Said = { readonly receipt: Opened<"receipt"> | undefined; readonly problems: readonly Problem[] };

/** Sends the confirm to one place. The answer carries the receipt once the trial is decided. */
async function confirmAt(session: Session, target: Target, confirm: Uint8Array): Promise<Said> {
  const reply = await session.link.ask("confirm", { confirm }, { targets: [target], timeoutMs: ASK_MS });
  if (!reply.ok) return { receipt: undefined, problems: reply.problems };
  const { code, problems, receipt } = reply.value.answer.message;
  const opened = receipt.length === 0 ? undefined : openStatement(session.crypto, "receipt", receipt);
  const own = opened?.ok && opened.value.signers.every((key) => equalBytes(key, session.router.sign_key));
  const path = targetName(target);
  const said = code === "" ? [] : problems.length > 0 ? problems : [{ code, path, detail: "the router's answer" }];
  return { receipt: own ? opened.value : undefined, problems: said };
}

/**
 * Confirms a trial: through any lane, and through each one that has to be proven. Goes on until it is decided or its
 * time is over; then waits for the receipt. What was tried last and failed comes along.
 */
export async function confirmTrial(
  session: Session,
  watched: Watch,
  trial: Pending,
  voice: Voice,
): Promise<Result<Confirmed>> {
  const end = performance.now() + trial.remainingMs;
  const padding = trial.lanes.some((lane) => lane.changed) ? PADDING : 0;
  const confirm = confirmOf(session, watched.digest, trial.nonce, "commit", padding);
  const stop = voice.progress(`confirming on ${session.router.id}`);
  let lanes = unproven(trial.lanes);
  let said = "";
  let tried: readonly Problem[] = [];
  try {
    while (performance.now() < end) {
      const round: Problem[] = [];
      // Any lane first: it may be all that is needed, when the directive accepts the others unproven.
      for (const lane of ["", ...lanes]) {
        for (const target of laneTargets(session, lane)) {
          const { receipt, problems } = await confirmAt(session, target, confirm);
          if (receipt !== undefined && FINAL.includes(receipt.message.outcome)) {
            // Into the chain on this machine: it is the next entry, or there are more to fetch.
            const kept = keepReceipts(session.crypto, session.router.sign_key, watched.memory, [receipt.envelope]);
            if (!kept.ok) await look(session, watched);
            return done({ receipt: receipt.message, tried: round });
          }
          round.push(...problems);
        }
      }
      tried = round;
      const seen = await look(session, watched);
      if (seen.ok && seen.value.kind === "ended") return done({ receipt: seen.value.receipt, tried });
      if (seen.ok && seen.value.kind === "pending") lanes = unproven(seen.value.trial.lanes);
      const waiting = lanes.join(", ");
      if (waiting !== said && waiting !== "")
        voice.say(`not proven yet from here: ${waiting}; trying until the window ends`);
      said = waiting;
      await pause(SLOW_POLL_MS);
    }
  } finally {
    stop();
  }
  const ended = await awaitEnd(session, watched, GRACE_MS, voice);
  return ended.ok ? done({ receipt: ended.value, tried }) : ended;
}

const unproven = (lanes: readonly Lane[]): readonly string[] =>
  lanes.filter((lane) => lane.changed && !lane.proven).map((lane) => lane.name);

/** Takes the pending trial back at once, and waits for the receipt. */
export async function abortTrial(session: Session, watched: Watch, voice: Voice): Promise<Result<Receipt>> {
  const confirm = confirmOf(session, watched.digest, new Uint8Array(32), "abort", 0);
  const answer = await session.link.ask("confirm", { confirm }, { attempts: 3 });
  if (!answer.ok) return answer;
  const { code, problems } = answer.value.answer.message;
  const taken = code === "" || code === "confirm.aborted" || code === "confirm.deciding";
  if (!taken) {
    return {
      ok: false,
      problems: problems.length > 0 ? problems : [{ code, path: "", detail: "the router's answer" }],
    };
  }
  return awaitEnd(session, watched, GRACE_MS, voice);
}

/** A lane name that --accept-unproven takes. */
export function lanesOfFlag(names: readonly string[]): Result<readonly string[]> {
  const wrong = names.find((name) => !/^(api:[0-9a-f.:]{2,39}|rescue|wg:[a-z][a-z0-9-]{0,30})$/.test(name));
  if (wrong === undefined) return done(names);
  const detail = "--accept-unproven takes api:ADDRESS, rescue or wg:NETWORK.";
  return { ok: false, problems: [problem("cli.usage", "", detail)] };
}
