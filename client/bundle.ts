/**
 * A bundle on its way out: what the router lacks is sent, the directive is signed over what it must compile to, and
 * the router's own plan comes back. Up to `applyBundle` nothing is burnt and nothing changes.
 */

import { openBeacon } from "../agent/core/beacon.ts";
import { networksOf } from "../agent/core/compile.ts";
import { type Opened, openStatement, signStatement } from "../agent/core/dsse.ts";
import type { Proven } from "../agent/core/prove.ts";
import { DESIRED_FORMAT } from "../schemas/desired.ts";
import { equalBytes, sha256, toHex } from "../schemas/digest.ts";
import type { BlobDelta, Directive } from "../schemas/directive.ts";
import { done, type Problem, type Result, refuse } from "../schemas/problem.ts";
import type { Receipt, Status } from "../schemas/report.ts";
import type { RiskClass } from "../schemas/trust.ts";
import { sendBlobs } from "./blobs.ts";
import { type Content, proveContent } from "./content.ts";
import type { Voice } from "./out.ts";
import { classOf } from "./plan-text.ts";
import type { Kept } from "./receipts-file.ts";
import { fetchKeys, keysAtHand } from "./reports.ts";
import { sendRevocations } from "./revocations.ts";
import { askStatus, type Challenge, NO_CHALLENGE, type Session } from "./session.ts";
import { trustUpdates } from "./trust-docs.ts";

export type Wishes = {
  readonly windowS: number | null; // null: as the intent has it
  readonly note: string;
  readonly commit: string;
  readonly acceptUnproven: readonly string[];
  readonly force: boolean; // also content in the router's quarantine
};

export type Bundle = {
  readonly session: Session;
  readonly content: Content;
  readonly proven: Proven;
  readonly wishes: Wishes;
  readonly status: Status;
  readonly kept: Kept;
  readonly trust: readonly Uint8Array[]; // documents that the router lacks
  readonly keys: Opened<"key-report">;
  readonly generation: bigint;
  readonly delta: BlobDelta | null; // of a blob that the router lacks still
  readonly challenge: Challenge;
};

/** Large bundles are proven and rehearsed in one request; the agent may take this long. */
const SUBMIT_MS = 120_000;
/** A challenge is good for two minutes on the router; one that waited for an answer at the terminal is asked for anew. */
const CHALLENGE_MS = 60_000;

/** Everything up to the point where the router could be asked for a plan. */
export async function prepareBundle(
  session: Session,
  content: Content,
  wishes: Wishes,
  voice: Voice,
): Promise<Result<Bundle>> {
  const { chain, router } = session;
  const stop = voice.progress(`asking ${router.id}`);
  try {
    const standing = await askStatus(session, { attempts: 3 }, { fresh: true });
    if (!standing.ok) return standing;
    const { status, kept, challenge } = standing.value;
    const told = await sendRevocations(session, status);
    if (!told.ok) return told;
    const trust = trustUpdates(chain, { root: status.root_digest, roster: status.roster_digest });
    if (trust === undefined) {
      return refuse("cli.trust_behind", "trust", `${router.id} holds roster ${status.roster_version}, unknown here`);
    }
    const networks = networksOf(content.intent, router.id);
    const atHand = keysAtHand(session, networks, status);
    const keys = atHand === undefined ? await fetchKeys(session, networks) : done(atHand);
    if (!keys.ok) return keys;
    const proven = proveContent(session, content, router.id, keys.value.message);
    if (!proven.ok) return proven;
    const sent = await sendBlobs(session, content.blobs, status, "ride");
    if (!sent.ok) return sent;
    const last = router.generation_floor > status.generation ? router.generation_floor - 1n : status.generation;
    const generation = last + 1n;
    return done({
      ...{ session, content, wishes, status, kept, trust, generation },
      ...{ keys: keys.value, proven: proven.value, delta: sent.value, challenge },
    });
  } finally {
    stop();
  }
}

/** What makes a directive fresh: a challenge that the router just gave out, or a beacon that stays good for a while. */
type Freshness = Pick<Directive, "challenge" | "beacon" | "beacon_max_age_s">;

function directiveOf(bundle: Bundle, action: Directive["action"], riskClass: RiskClass, fresh: Freshness): Directive {
  const { session, content, proven, wishes, status, kept } = bundle;
  const { view } = session.chain;
  return {
    network_id: view.root.message.network_id,
    router_id: session.router.router_id,
    incarnation: session.router.incarnation,
    action,
    generation: bundle.generation,
    parent: status.lkg_directive,
    root_digest: view.root.digest,
    roster_digest: view.roster.digest,
    keys_digest: bundle.keys.digest,
    intent_digest: sha256(content.blobs.intent),
    inventory_digest: sha256(content.blobs.inventory),
    secrets_digest: sha256(content.blobs.secrets),
    desired_digest: proven.digest,
    desired_format: DESIRED_FORMAT,
    confirm_window_s: wishes.windowS ?? content.intent.confirm.window_s,
    risk_class: riskClass,
    ...fresh,
    operator_nonce: crypto.getRandomValues(new Uint8Array(16)),
    observed_log_index: kept.memory.head.index,
    observed_log_head: kept.memory.head.digest,
    accept_unproven: [...wishes.acceptUnproven],
    commit: wishes.commit,
    note: wishes.note,
    issued_at: BigInt(Math.floor(Date.now() / 1000)),
    force: wishes.force,
  };
}

/** Signs with the challenge that came along, or with a new one when that has been waiting. */
async function signDirective(
  bundle: Bundle,
  action: Directive["action"],
  riskClass: RiskClass,
  held: Challenge,
): Promise<Result<Opened<"directive">>> {
  const { link, crypto, operator } = bundle.session;
  let challenge = held.bytes;
  if (challenge.length === 0 || performance.now() - held.atMs > CHALLENGE_MS) {
    const answer = await link.get("challenge", {}, { attempts: 3 });
    if (!answer.ok) return answer;
    challenge = answer.value.challenge;
  }
  const message = directiveOf(bundle, action, riskClass, { challenge, beacon: new Uint8Array(), beacon_max_age_s: 0 });
  return done(signStatement(crypto, "directive", message, [operator.sign]));
}

/** The receipt in an answer, made by this router about this directive. */
function receiptFor(session: Session, directive: Opened<"directive">, bytes: Uint8Array): Result<Opened<"receipt">> {
  const opened = openStatement(session.crypto, "receipt", bytes);
  if (!opened.ok) return opened;
  const [signer, more] = opened.value.signers;
  const own = more === undefined && signer !== undefined && equalBytes(signer, session.router.sign_key);
  const about = equalBytes(opened.value.message.directive_digest, directive.digest);
  return own && about ? opened : refuse("trust.answer_mismatch", "receipt", "of another router or directive");
}

/** The router's plan, and a challenge for the apply that may follow. */
export type Planned = { readonly plan: Receipt; readonly challenge: Challenge };

/** A delta that the router cannot use: it lost the base, or never had it. */
const needsWhole = (problems: readonly Problem[]): boolean => problems.some((one) => one.code.startsWith("blob."));

/** The router's own plan: what it would do, from what its kernel holds now. Burns nothing. */
export async function planBundle(bundle: Bundle, voice: Voice): Promise<Result<Planned>> {
  const { session, content, status } = bundle;
  const stop = voice.progress(`${session.router.id} proves and plans`);
  try {
    const planned = await askPlan(bundle, bundle.challenge);
    if (planned.ok || !needsWhole(planned.problems)) return planned;
    const sent = await sendBlobs(session, content.blobs, status, "before");
    return sent.ok ? await askPlan({ ...bundle, delta: null }, NO_CHALLENGE) : sent;
  } finally {
    stop();
  }
}

async function askPlan(bundle: Bundle, challenge: Challenge): Promise<Result<Planned>> {
  const { session, trust, delta } = bundle;
  const directive = await signDirective(bundle, "plan", "routine", challenge);
  if (!directive.ok) return directive;
  const fields = { directive: directive.value.envelope, trust: [...trust], delta, fresh: true };
  const answer = await session.link.get("submit", fields, { timeoutMs: SUBMIT_MS });
  if (!answer.ok) return answer;
  const receipt = receiptFor(session, directive.value, answer.value.receipt);
  if (!receipt.ok) return receipt;
  return done({ plan: receipt.value.message, challenge: { bytes: answer.value.challenge, atMs: performance.now() } });
}

export type Submitted = {
  readonly directive: Opened<"directive">;
  readonly receipt: Receipt | null; // an outcome that is known already
  readonly lost: boolean; // no reply came: the router may or may not have it
};

/** Hands a signed directive over. The same one may be sent again: it has one effect, whoever delivers it. */
export async function submitDirective(
  session: Session,
  directive: Opened<"directive">,
  trust: readonly Uint8Array[],
  voice: Voice,
): Promise<Result<Submitted>> {
  const stop = voice.progress(`${session.router.id} begins`);
  try {
    const fields = { directive: directive.envelope, trust: [...trust] };
    const answer = await session.link.get("submit", fields, { timeoutMs: SUBMIT_MS, attempts: 3 });
    if (!answer.ok) {
      const lost = answer.problems.some((one) => one.code === "link.reply_lost");
      return lost ? done({ directive, receipt: null, lost }) : answer;
    }
    if (answer.value.receipt.length === 0) return done({ directive, receipt: null, lost: false });
    const receipt = receiptFor(session, directive, answer.value.receipt);
    return receipt.ok ? done({ directive, receipt: receipt.value.message, lost: false }) : receipt;
  } finally {
    stop();
  }
}

/** Signs with a live challenge and submits for real. */
export async function applyBundle(bundle: Bundle, planned: Planned, voice: Voice): Promise<Result<Submitted>> {
  const directive = await signDirective(bundle, "apply", classOf(planned.plan), planned.challenge);
  return directive.ok ? submitDirective(bundle.session, directive.value, bundle.trust, voice) : directive;
}

/** A directive that others can sign at leisure, and the beacon that keeps it fresh. Burns nothing. */
export async function signProposal(
  bundle: Bundle,
  riskClass: RiskClass,
  maxAgeS: number,
): Promise<Result<{ readonly directive: Opened<"directive">; readonly beacon: Opened<"beacon"> }>> {
  const { link, crypto, operator, router, chain } = bundle.session;
  const answer = await link.get("beacon", {}, { attempts: 3 });
  if (!answer.ok) return answer;
  const beacon = openBeacon(crypto, router, chain.view.root.message.network_id, answer.value.beacon);
  if (!beacon.ok) return beacon;
  const fresh = { challenge: new Uint8Array(), beacon: beacon.value.digest, beacon_max_age_s: maxAgeS };
  const message = directiveOf(bundle, "apply", riskClass, fresh);
  return done({ directive: signStatement(crypto, "directive", message, [operator.sign]), beacon: beacon.value });
}

/** The plan's digest as --expect takes it, without the word in front. */
export const planDigest = (plan: Receipt): string => toHex(plan.plan_digest);
