/**
 * A bundle on its way out: what the router lacks is sent, the directive is signed over what it must compile to, and
 * the router's own plan comes back. Up to `applyBundle` nothing is burnt and nothing changes.
 */
import { networksOf } from "../agent/core/compile.ts";
import { type Opened, openStatement, signStatement } from "../agent/core/dsse.ts";
import type { Proven } from "../agent/core/prove.ts";
import { openKeyReport } from "../agent/core/trust.ts";
import { DESIRED_FORMAT } from "../schemas/desired.ts";
import { equalBytes, sha256, toHex } from "../schemas/digest.ts";
import type { Directive } from "../schemas/directive.ts";
import { limits } from "../schemas/limits.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Receipt, Status } from "../schemas/report.ts";
import { RiskClass } from "../schemas/trust.ts";
import { type Content, proveContent } from "./content.ts";
import type { Voice } from "./out.ts";
import type { Kept } from "./receipts-file.ts";
import { askStatus, type Session } from "./session.ts";
import { readKeyReport, writeKeyReport } from "./site/trust-files.ts";
import { trustUpdates } from "./trust-docs.ts";

export type Wishes = {
  readonly windowS: number | null; // null: as the intent has it
  readonly note: string;
  readonly commit: string;
  readonly acceptUnproven: readonly string[];
};

export type Bundle = {
  readonly session: Session;
  readonly content: Content;
  readonly proven: Proven;
  readonly wishes: Wishes;
  readonly status: Status;
  readonly kept: Kept;
  readonly trust: readonly Uint8Array[]; // documents that the router lacks
  readonly keysDigest: Uint8Array;
  readonly generation: bigint;
};

/** Large bundles are proven and rehearsed in one request; the agent may take this long. */
const SUBMIT_MS = 120_000;
const CHUNK_MS = 60_000;

/** Fetches the router's key report; it makes keys for networks that are new. Kept in the site when it grew. */
export async function fetchKeys(session: Session, networks: readonly string[]): Promise<Result<Opened<"key-report">>> {
  const { link, crypto, router, chain, folder } = session;
  const answer = await link.get("keys", { networks: [...networks] }, { attempts: 3 });
  if (!answer.ok) return answer;
  const networkId = chain.view.root.message.network_id;
  const report = openKeyReport(crypto, router, networkId, answer.value.key_report);
  if (!report.ok) return report;
  const { version } = report.value.message;
  // A signature may differ where the statement does not: the site keeps the first envelope.
  const held = readKeyReport(folder, router.id, version);
  const heldReport = held.ok ? openKeyReport(crypto, router, networkId, held.value) : undefined;
  if (heldReport?.ok && equalBytes(heldReport.value.digest, report.value.digest)) return heldReport;
  const written = writeKeyReport(folder, router.id, version, report.value.envelope);
  return written.ok ? report : written;
}

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
    const standing = await askStatus(session, { attempts: 3 });
    if (!standing.ok) return standing;
    const { status, kept } = standing.value;
    const trust = trustUpdates(chain, { root: status.root_digest, roster: status.roster_digest });
    if (trust === undefined) {
      return refuse("cli.trust_behind", "trust", `${router.id} holds roster ${status.roster_version}, unknown here`);
    }
    const keys = await fetchKeys(session, networksOf(content.intent, router.id));
    if (!keys.ok) return keys;
    const proven = proveContent(session, content, router.id, keys.value.message);
    if (!proven.ok) return proven;
    const sent = await sendBlobs(session, content);
    if (!sent.ok) return sent;
    const last = router.generation_floor > status.generation ? router.generation_floor - 1n : status.generation;
    const keysDigest = keys.value.digest;
    const generation = last + 1n;
    return done({ ...{ session, content, wishes, status, kept, trust, keysDigest, generation }, proven: proven.value });
  } finally {
    stop();
  }
}

/** Sends the blobs that the router does not hold, in chunks. An empty one says nothing and is never sent. */
async function sendBlobs(session: Session, content: Content): Promise<Result<void>> {
  const blobs = Object.values(content.blobs).filter((bytes) => bytes.length > 0);
  const need = blobs.map((bytes) => sha256(bytes));
  const answer = await session.link.get("need_blobs", { need }, { attempts: 3 });
  if (!answer.ok) return answer;
  for (const [i, bytes] of blobs.entries()) {
    const digest = need[i]!;
    if (!answer.value.missing.some((one) => equalBytes(one, digest))) continue;
    for (let offset = 0; offset < bytes.length; offset += limits.chunkBytes) {
      const data = bytes.slice(offset, offset + limits.chunkBytes);
      const chunk = { digest, size: bytes.length, offset, data };
      const put = await session.link.get("put_blob", { chunk }, { attempts: 3, timeoutMs: CHUNK_MS });
      if (!put.ok) return put;
    }
  }
  return done(undefined);
}

function directiveOf(
  bundle: Bundle,
  action: Directive["action"],
  riskClass: RiskClass,
  challenge: Uint8Array,
): Directive {
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
    keys_digest: bundle.keysDigest,
    intent_digest: sha256(content.blobs.intent),
    inventory_digest: sha256(content.blobs.inventory),
    secrets_digest: sha256(content.blobs.secrets),
    desired_digest: proven.digest,
    desired_format: DESIRED_FORMAT,
    confirm_window_s: wishes.windowS ?? content.intent.confirm.window_s,
    risk_class: riskClass,
    challenge,
    beacon: new Uint8Array(),
    beacon_max_age_s: 0,
    operator_nonce: crypto.getRandomValues(new Uint8Array(16)),
    observed_log_index: kept.memory.head.index,
    observed_log_head: kept.memory.head.digest,
    accept_unproven: [...wishes.acceptUnproven],
    commit: wishes.commit,
    note: wishes.note,
    issued_at: BigInt(Math.floor(Date.now() / 1000)),
  };
}

async function signDirective(
  bundle: Bundle,
  action: Directive["action"],
  riskClass: RiskClass,
): Promise<Result<Opened<"directive">>> {
  const { link, crypto, operator } = bundle.session;
  const answer = await link.get("challenge", {}, { attempts: 3 });
  if (!answer.ok) return answer;
  const message = directiveOf(bundle, action, riskClass, answer.value.challenge);
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

/** The router's own plan: what it would do, from what its kernel holds now. Burns nothing. */
export async function planBundle(bundle: Bundle, voice: Voice): Promise<Result<Receipt>> {
  const { session, trust } = bundle;
  const stop = voice.progress(`${session.router.id} proves and plans`);
  try {
    const directive = await signDirective(bundle, "plan", "routine");
    if (!directive.ok) return directive;
    const fields = { directive: directive.value.envelope, trust: [...trust] };
    const answer = await session.link.get("submit", fields, { timeoutMs: SUBMIT_MS });
    if (!answer.ok) return answer;
    const receipt = receiptFor(session, directive.value, answer.value.receipt);
    return receipt.ok ? done(receipt.value.message) : receipt;
  } finally {
    stop();
  }
}

/** The least class that the router takes this change for; it says so with its plan. */
export function classOf(plan: Receipt): RiskClass {
  const word = /^risk class: ([a-z]+)$/.exec(plan.note)?.[1] ?? "";
  return RiskClass.options.find((one) => one === word) ?? "sensitive";
}

export type Submitted = {
  readonly directive: Opened<"directive">;
  readonly receipt: Receipt | null; // an outcome that is known already
  readonly lost: boolean; // no reply came: the router may or may not have it
};

/** Submits for real. The same directive may be sent again: it has one effect, whoever delivers it. */
export async function applyBundle(bundle: Bundle, riskClass: RiskClass, voice: Voice): Promise<Result<Submitted>> {
  const { session, trust } = bundle;
  const stop = voice.progress(`${session.router.id} begins`);
  try {
    const directive = await signDirective(bundle, "apply", riskClass);
    if (!directive.ok) return directive;
    const fields = { directive: directive.value.envelope, trust: [...trust] };
    const answer = await session.link.get("submit", fields, { timeoutMs: SUBMIT_MS, attempts: 3 });
    if (!answer.ok) {
      const lost = answer.problems.some((one) => one.code === "link.reply_lost");
      return lost ? done({ directive: directive.value, receipt: null, lost }) : answer;
    }
    if (answer.value.receipt.length === 0) return done({ directive: directive.value, receipt: null, lost: false });
    const receipt = receiptFor(session, directive.value, answer.value.receipt);
    return receipt.ok ? done({ directive: directive.value, receipt: receipt.value.message, lost: false }) : receipt;
  } finally {
    stop();
  }
}

/** The plan's digest as --expect takes it, without the word in front. */
export const planDigest = (plan: Receipt): string => toHex(plan.plan_digest);
