/** Files that an operator judges: what the router signed, and cards and enrolments of others. */
import { toHex } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Receipt } from "../../schemas/report.ts";
import { openBeacon } from "./beacon.ts";
import { openAnswer } from "./directive.ts";
import { openStatement } from "./dsse.ts";
import { checkEnrolRequest } from "./enrol.ts";
import { openCard } from "./operators.ts";
import { checkChain } from "./receipts.ts";
import { openKeyReport, rosterRouter } from "./trust.ts";
import { needView } from "./verify-router.ts";
import { type Bench, bytesOf, KNOWN_ENTRIES, toText, type VerifyState } from "./verify-state.ts";

/** A beacon. One of this boot makes a directive fresh that cites it. */
export function judgeBeacon({ crypto, held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  const { state, root } = held;
  const router = {
    router_id: bytesOf(state.router_id),
    incarnation: state.incarnation,
    sign_key: bytesOf(state.sign_key),
  };
  const opened = openBeacon(crypto, router, root.message.network_id, bytes);
  if (!opened.ok) return opened;
  const { message, digest } = opened.value;
  const known = state.beacons.some((one) => one.digest === toHex(digest));
  if (known || toHex(message.boot_id) !== state.boot_id) return done(state);
  const beacons = [...state.beacons, { digest: toHex(digest), at_ms: Number(message.uptime_ms) }];
  return done({ ...state, beacons: beacons.slice(-limits.beaconsOutstanding) });
}

/** What a logged receipt says of the trial and of what is kept. */
function after(state: VerifyState, receipt: Receipt): VerifyState {
  const directive = toHex(receipt.directive_digest);
  const ours = state.trial?.directive === directive;
  switch (receipt.outcome) {
    case "trial":
      return {
        ...state,
        trial: {
          directive,
          nonce: toHex(receipt.nonce),
          deadline_ms: Number(receipt.deadline_boot_ms),
          boot_id: toHex(receipt.boot_id),
        },
      };
    case "confirmed":
    case "unchanged":
      return { ...state, parent: directive, trial: ours ? null : state.trial };
    case "rolled_back":
      return { ...state, trial: ours ? null : state.trial };
    default:
      return state;
  }
}

/** The next receipt of the log, or the newest one again. One outside of the log (index 0) has no place to check. */
export function judgeReceipt({ crypto, held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  const { state } = held;
  const { log } = state;
  const opened = openStatement(crypto, "receipt", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const place = { index: BigInt(log.index), digest: bytesOf(log.head) };
  const first = { index: message.index - 1n, digest: message.prev };
  const again = toHex(opened.value.digest) === log.head || message.index === 0n;
  const chain = checkChain(crypto, bytesOf(state.sign_key), again ? first : place, [bytes]);
  if (!chain.ok) return chain;
  if (again) return done(state);
  const entry = { index: String(chain.value.index), digest: toHex(chain.value.digest) };
  const known = [...log.known, entry].slice(-KNOWN_ENTRIES);
  return done(after({ ...state, log: { index: entry.index, head: entry.digest, known } }, message));
}

/** The answer to the request that the state holds. */
export function judgeAnswer({ crypto, held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  if (held.asked === null) return refuse("trust.answer_mismatch", "answer", "nothing was asked");
  const opened = openAnswer(crypto, bytesOf(held.state.sign_key), held.asked, bytes);
  return opened.ok ? done(held.state) : opened;
}

/** A key report of this router; a newer one takes the place of the held one. */
export function judgeKeyReport(bench: Bench, bytes: Uint8Array): Result<VerifyState> {
  const { crypto, held } = bench;
  const { state, root, keys } = held;
  const view = needView(bench);
  if (!view.ok) return view;
  const router = rosterRouter(view.value, bytesOf(state.router_id));
  if (router === undefined) return refuse("trust.router_retired", "roster.routers", "the roster says unknown");
  const opened = openKeyReport(crypto, router, root.message.network_id, bytes);
  if (!opened.ok) return opened;
  const newer = opened.value.message.version > (keys?.message.version ?? 0);
  return done(newer ? { ...state, key_report: toText(opened.value.envelope) } : state);
}

/** What a new router answers to the token that the state holds. */
export function judgeEnrolment({ crypto, held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  if (held.token === null) return refuse("trust.enrol_token", "enrol-request", "no token is held");
  const opened = checkEnrolRequest(crypto, held.token, bytes);
  return opened.ok ? done(held.state) : opened;
}

export function judgeCard({ crypto, held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  const opened = openCard(crypto, held.root.message.network_id, bytes);
  return opened.ok ? done(held.state) : opened;
}
