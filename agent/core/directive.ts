/**
 * Whether a signed directive, confirm, request or answer counts here and now. Everything that a decision needs comes
 * in as values; nothing is stored. A refusal here burns nothing.
 */
import { equalBytes, sha256 } from "../../schemas/digest.ts";
import type { Directive } from "../../schemas/directive.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { RiskClass, Root } from "../../schemas/trust.ts";
import type { Crypto } from "./crypto.ts";
import { type Kind, type Opened, openStatement, soleSigner } from "./dsse.ts";
import { needOperator } from "./operators.ts";
import { extendTrust, rosterRouter, type TrustView } from "./trust.ts";

/** Parent of the first directive of a router. */
export const GENESIS: Uint8Array = sha256("holdfast/genesis/v1");

/** What the router knows when a directive arrives. */
export type AdmitContext = {
  readonly view: TrustView;
  readonly routerId: Uint8Array;
  readonly incarnation: number;
  readonly burnt: bigint; // last generation that was burnt, 0 before the first
  readonly parent: Uint8Array; // statement digest of the LKG directive, or GENESIS
  readonly parentText?: string; // which generation that is and who signed it, for people
  readonly keysDigest: Uint8Array; // statement digest of the key report
  readonly desiredFormat: number;
  logDigestAt(index: bigint): Uint8Array | undefined; // statement digest of a receipt; zeros at 0
  challengeIsLive(challenge: Uint8Array): boolean;
  beaconAgeS(digest: Uint8Array): number | undefined; // of a beacon of this boot, by CLOCK_BOOTTIME; statement digest
};

type Audience = { readonly network_id: Uint8Array; readonly router_id: Uint8Array; readonly incarnation: number };
type Ids = { readonly routerId: Uint8Array; readonly incarnation: number };

const CLASSES: readonly RiskClass[] = ["routine", "sensitive", "trust", "recovery"];

function checkAudience(view: TrustView, ids: Ids, message: Audience, kind: Kind): Result<void> {
  if (!equalBytes(message.network_id, view.root.message.network_id)) {
    return refuse("trust.network", `${kind}.network_id`, "of another network");
  }
  if (!equalBytes(message.router_id, ids.routerId)) {
    return refuse("trust.router", `${kind}.router_id`, "of another router");
  }
  if (message.incarnation !== ids.incarnation) {
    return refuse("trust.incarnation", `${kind}.incarnation`, `${message.incarnation}, here ${ids.incarnation}`);
  }
  return done(undefined);
}

/** How many people a class takes: its own threshold, or that of a lower class if that is more. 1 where none is named. */
export function classThreshold(root: Root, riskClass: RiskClass): number {
  const covered = CLASSES.slice(0, CLASSES.indexOf(riskClass) + 1);
  const named = root.classes.filter((one) => covered.includes(one.risk_class));
  return Math.max(1, ...named.map((one) => one.threshold));
}

/** Every signer may sign this class, and they are enough people for it. Returns their names, sorted. */
function checkSigners(view: TrustView, signed: Opened<"directive">): Result<readonly string[]> {
  const riskClass = signed.message.risk_class;
  const holders = new Set<string>();
  for (const [index, key] of signed.signers.entries()) {
    const path = `directive.signatures[${index}]`;
    const found = needOperator(view, key, path);
    if (!found.ok) return found;
    if (CLASSES.indexOf(found.value.max_class) < CLASSES.indexOf(riskClass)) {
      return refuse("trust.class_exceeded", path, `${found.value.max_class}, the directive is ${riskClass}`);
    }
    holders.add(found.value.holder);
  }
  // A plan changes and burns nothing, and whoever collects signatures needs one.
  const needed = signed.message.action === "plan" ? 1 : classThreshold(view.root.message, riskClass);
  if (holders.size < needed) {
    return refuse("trust.threshold", "directive", `${holders.size} of ${needed} holders for class ${riskClass}`);
  }
  return done([...holders].sort());
}

/** The directive was made for the trust, the keys and the format that are in force here. */
function checkView(context: AdmitContext, directive: Directive): Result<void> {
  const { view } = context;
  if (!equalBytes(directive.root_digest, view.root.digest)) {
    return refuse("trust.view", "directive.root_digest", "made under another root");
  }
  if (!equalBytes(directive.roster_digest, view.roster.digest)) {
    return refuse("trust.view", "directive.roster_digest", "made under another roster");
  }
  const unit = rosterRouter(view, context.routerId);
  if (unit === undefined || unit.incarnation !== context.incarnation || unit.status !== "active") {
    return refuse("trust.router_retired", "directive.router_id", `the roster says ${unit?.status ?? "unknown"}`);
  }
  if (!equalBytes(directive.keys_digest, context.keysDigest)) {
    return refuse("trust.keys_digest", "directive.keys_digest", "of another key report");
  }
  if (directive.desired_format !== context.desiredFormat) {
    const detail = `${directive.desired_format}, here ${context.desiredFormat}`;
    return refuse("trust.desired_format", "directive.desired_format", detail);
  }
  return done(undefined);
}

/** Generation, parent and log head: the directive follows what this router has done. */
function checkPlace(context: AdmitContext, directive: Directive): Result<void> {
  const { generation } = directive;
  const floor = rosterRouter(context.view, context.routerId)?.generation_floor ?? 0n;
  // The floor is the first number that a replacement may use.
  const last = floor > context.burnt ? floor - 1n : context.burnt;
  if (generation <= last)
    return refuse("trust.generation_burnt", "directive.generation", `${generation}, last ${last}`);
  if (generation > last + limits.generationJump) {
    return refuse("trust.generation_jump", "directive.generation", `${generation}, last ${last}`);
  }
  if (!equalBytes(directive.parent, context.parent)) {
    const here = context.parentText ?? "another one";
    return refuse("trust.parent", "directive.parent", `the confirmed generation of this router is ${here}`);
  }
  const entry = context.logDigestAt(directive.observed_log_index);
  if (entry === undefined || !equalBytes(entry, directive.observed_log_head)) {
    const detail = `entry ${directive.observed_log_index} is ${entry === undefined ? "unknown" : "another one"}`;
    return refuse("trust.log_head", "directive.observed_log_head", detail);
  }
  return done(undefined);
}

/**
 * Fresh by one of two: a challenge that this router gave out lately, or a beacon of this boot that is young enough for
 * the class. Neither looks at a wall clock.
 */
function checkFreshness(context: AdmitContext, directive: Directive): Result<void> {
  const { challenge, beacon, beacon_max_age_s: maxAgeS, risk_class } = directive;
  if (beacon.length === 0 && maxAgeS !== 0) {
    return refuse("trust.beacon", "directive.beacon_max_age_s", "an age without a beacon");
  }
  if ((challenge.length === 0) === (beacon.length === 0)) {
    const detail = challenge.length === 0 ? "neither challenge nor beacon" : "challenge and beacon at once";
    return refuse("trust.not_fresh", "directive.challenge", detail);
  }
  if (challenge.length > 0) {
    if (context.challengeIsLive(challenge)) return done(undefined);
    return refuse("trust.not_fresh", "directive.challenge", "unknown, used or too old");
  }
  const most = risk_class === "routine" ? limits.beaconAgeS : limits.beaconSensitiveAgeS;
  if (maxAgeS > most) return refuse("trust.beacon", "directive.beacon_max_age_s", `${maxAgeS} s, at most ${most}`);
  const ageS = context.beaconAgeS(beacon);
  if (ageS === undefined) return refuse("trust.beacon", "directive.beacon", "not a beacon of this boot");
  return ageS <= maxAgeS ? done(undefined) : refuse("trust.beacon", "directive.beacon", `${ageS} s old`);
}

/**
 * Admits a directive: signatures and shape, then who signed, for whom it is, which trust it was made under, its place
 * (generation, parent, log), and last whether it is fresh. Changes nothing: the caller burns generation and
 * challenge. Holders are the people who signed, sorted.
 */
export function admitDirective(
  crypto: Crypto,
  context: AdmitContext,
  bytes: Uint8Array,
): Result<Opened<"directive"> & { readonly holders: readonly string[] }> {
  const opened = openStatement(crypto, "directive", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const holders = checkSigners(context.view, opened.value);
  if (!holders.ok) return holders;
  const audience = checkAudience(context.view, context, message, "directive");
  if (!audience.ok) return audience;
  for (const check of [checkView, checkPlace, checkFreshness]) {
    const result = check(context, message);
    if (!result.ok) return result;
  }
  return done({ ...opened.value, holders: holders.value });
}

/** A confirm or abort by one active operator, for this unit. Whether its nonce fits is the lifecycle's business. */
export function openConfirm(
  crypto: Crypto,
  view: TrustView,
  ids: Ids,
  bytes: Uint8Array,
): Result<Opened<"confirm"> & { readonly holder: string }> {
  const opened = openStatement(crypto, "confirm", bytes);
  if (!opened.ok) return opened;
  const signer = soleSigner(opened.value);
  if (!signer.ok) return signer;
  const found = needOperator(view, signer.value, "confirm.signatures[0]");
  if (!found.ok) return found;
  const audience = checkAudience(view, ids, opened.value.message, "confirm");
  return audience.ok ? done({ ...opened.value, holder: found.value.holder }) : audience;
}

/**
 * The operator behind a key; one that the roster in force does not know yet may bring the documents that name them.
 * Only asking becomes possible by that: what is in force changes by a directive.
 */
function newcomer(
  crypto: Crypto,
  view: TrustView,
  key: Uint8Array,
  trust: readonly Uint8Array[],
): ReturnType<typeof needOperator> {
  const found = needOperator(view, key, "request.signatures[0]");
  if (found.ok || trust.length === 0 || found.problems[0]?.code !== "trust.signer_unknown") return found;
  const next = extendTrust(crypto, view, trust);
  return next.ok ? needOperator(next.value, key, "request.signatures[0]") : found;
}

/**
 * A request by one active operator. An enrol request may come under any key, with holder "": it carries no authority
 * of its own. Before enrolment (view null) nothing else is taken, code trust.not_enrolled. A revocation may come from
 * an operator who is revoked: who did not hear the answer says it again.
 */
export function openRequest(
  crypto: Crypto,
  view: TrustView | null,
  routerId: Uint8Array,
  bytes: Uint8Array,
): Result<Opened<"request"> & { readonly holder: string }> {
  const opened = openStatement(crypto, "request", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const signer = soleSigner(opened.value);
  if (!signer.ok) return signer;
  let holder = "";
  if (message.kind !== "enrol") {
    if (view === null) return refuse("trust.not_enrolled", "request.kind", message.kind);
    const listed = view.roster.message.operators.find((one) => equalBytes(one.sign_key, signer.value));
    const found =
      message.kind === "revoke" && listed !== undefined
        ? done(listed)
        : newcomer(crypto, view, signer.value, message.trust);
    if (!found.ok) return found;
    holder = found.value.holder;
  }
  if (view !== null && !equalBytes(message.network_id, view.root.message.network_id)) {
    return refuse("trust.network", "request.network_id", "of another network");
  }
  if (!equalBytes(message.router_id, routerId)) return refuse("trust.router", "request.router_id", "of another router");
  return done({ ...opened.value, holder });
}

/**
 * The answer to this very request, signed by the router alone. With `routerSignKey` null (enrolment: the key is not
 * known yet) any one key may have signed; the caller compares it with the key in the enrolment.
 */
export function openAnswer(
  crypto: Crypto,
  routerSignKey: Uint8Array | null,
  request: Opened<"request">,
  bytes: Uint8Array,
): Result<Opened<"answer">> {
  const opened = openStatement(crypto, "answer", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const signer = soleSigner(opened.value);
  if (!signer.ok) return signer;
  if (routerSignKey !== null && !equalBytes(signer.value, routerSignKey)) {
    return refuse("trust.signer_unknown", "answer", "not the key of this router");
  }
  const answers =
    equalBytes(message.request_digest, request.digest) &&
    equalBytes(message.nonce, request.message.nonce) &&
    equalBytes(message.router_id, request.message.router_id);
  return answers ? opened : refuse("trust.answer_mismatch", "answer", "request, nonce or router differ");
}
