/**
 * Which documents of trust are in force: roots and rosters, each chained to the one before and signed by enough
 * people. Nothing here looks at a clock; a document is replaced by the next one, not by time.
 */
import { equalBytes } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Problem, type Result, refuse } from "../../schemas/problem.ts";
import type { Root, RosterRouter } from "../../schemas/trust.ts";
import type { Crypto } from "./crypto.ts";
import { claimedKind, type Opened, openStatement, soleSigner } from "./dsse.ts";
import { backwards, holdersOf, type Role, rootProblems, rosterProblems } from "./trust-rules.ts";

/** A root, the roster made under it, and the sign keys that revoked themselves since. */
export type TrustView = {
  readonly root: Opened<"root">;
  readonly roster: Opened<"roster">;
  readonly revoked?: readonly Uint8Array[]; // absent: none
};

const ZEROS = new Uint8Array(32);

type Document = Opened<"root"> | Opened<"roster">;

const firstOf = (problems: readonly Problem[]): { ok: false; problems: readonly Problem[] } | undefined =>
  problems.length === 0 ? undefined : { ok: false, problems };

/** The link to the document before: next number, its digest; a first one of number 1 points at nothing. */
function chainProblem(current: Document | null, next: Document): Result<void> {
  const { version, prev_digest } = next.message;
  const path = `${next.kind}.version`;
  if (current === null) {
    const starts = equalBytes(prev_digest, ZEROS);
    return starts === (version === 1) ? done(undefined) : refuse("trust.chain", path, `${version} has a wrong start`);
  }
  if (version !== current.message.version + 1) {
    return refuse("trust.chain", path, `${version} does not follow ${current.message.version}`);
  }
  if (!equalBytes(prev_digest, current.digest)) {
    return refuse("trust.chain", `${next.kind}.prev_digest`, `${version} follows another ${version - 1}`);
  }
  return done(undefined);
}

/** Refuses when too few people of a role signed. */
function enough(root: Root, role: Role, threshold: number, signed: Document): Result<void> {
  const people = holdersOf(root, role, signed.signers).size;
  if (people >= threshold) return done(undefined);
  const detail = `${people} of ${threshold} ${role} holders of root ${root.version}`;
  return refuse("trust.threshold", signed.kind, detail);
}

function strangers(roots: readonly Root[], role: Role, signed: Document): Result<void> {
  const keys = roots.flatMap((root) => root.keys.filter((key) => key.role === role).map((key) => key.key));
  const stranger = signed.signers.findIndex((signer) => !keys.some((key) => equalBytes(key, signer)));
  if (stranger < 0) return done(undefined);
  return refuse("trust.signer_unknown", `${signed.kind}.signatures[${stranger}]`, `not a ${role} key`);
}

const firstRefusal = (checks: readonly (() => Result<void>)[]): Result<void> => {
  for (const check of checks) {
    const result = check();
    if (!result.ok) return result;
  }
  return done(undefined);
};

/**
 * A root that may replace `current` (null: a first root, which somebody pinned by its digest). It follows the current
 * one and is signed by the ROOT threshold of both, counted in people. Codes trust.chain, trust.network,
 * trust.signer_unknown, trust.threshold, and those of its own rules.
 */
export function acceptRoot(crypto: Crypto, current: Opened<"root"> | null, bytes: Uint8Array): Result<Opened<"root">> {
  const opened = openStatement(crypto, "root", bytes);
  if (!opened.ok) return opened;
  const next = opened.value;
  const roots = current === null ? [next.message] : [current.message, next.message];
  const signedBy = (root: Root) => () => enough(root, "root", root.root_threshold, next);
  const checked = firstRefusal([
    () => sameNetwork(current?.message.network_id ?? next.message.network_id, next),
    () => chainProblem(current, next),
    () => strangers(roots, "root", next),
    // The old root first: strangers must not cost more than their signatures.
    ...(current === null ? [] : [signedBy(current.message)]),
    () => firstOf(rootProblems(crypto, next.message)) ?? done(undefined),
    signedBy(next.message),
  ]);
  return checked.ok ? opened : checked;
}

function sameNetwork(networkId: Uint8Array, next: Document): Result<void> {
  if (equalBytes(next.message.network_id, networkId)) return done(undefined);
  return refuse("trust.network", `${next.kind}.network_id`, "of another network");
}

/**
 * A roster that may replace `current` under `root`, which it names; signed by the ADMIN threshold of that root, in
 * people. The ADMIN keys of an older root have no say: replacing them must heal. With `current` null any number is
 * accepted, since a new router has no memory to protect; its root is pinned.
 */
export function acceptRoster(
  crypto: Crypto,
  root: Opened<"root">,
  current: Opened<"roster"> | null,
  bytes: Uint8Array,
): Result<Opened<"roster">> {
  const opened = openStatement(crypto, "roster", bytes);
  if (!opened.ok) return opened;
  const next = opened.value;
  const named = equalBytes(next.message.root_digest, root.digest);
  const checked = firstRefusal([
    () => sameNetwork(root.message.network_id, next),
    () => (named ? done(undefined) : refuse("trust.view", "roster.root_digest", "made under another root")),
    () => strangers([root.message], "admin", next),
    () => enough(root.message, "admin", root.message.admin_threshold, next),
    () => chainProblem(current, next),
    () => firstOf(rosterProblems(crypto, root.message, next.message)) ?? done(undefined),
    () => firstOf(current === null ? [] : backwards(current.message, next.message)) ?? done(undefined),
  ]);
  return checked.ok ? opened : checked;
}

type Held = Omit<TrustView, "roster"> & { readonly roster: Opened<"roster"> | null };

/**
 * Takes away the documents that are held already or came before: each must be the very one that the held document
 * descends from. So the same delivery can be repeated, and a forged past is refused, not skipped.
 */
function onlyNew<D extends Document>(held: D | null, documents: readonly D[]): Result<readonly D[]> {
  if (held === null) return done(documents);
  const past = new Map([
    [held.message.version, held.digest],
    [held.message.version - 1, held.message.prev_digest],
  ]);
  const isOld = (one: D): boolean => one.message.version <= held.message.version;
  for (const one of documents.filter(isOld).toReversed()) {
    const digest = past.get(one.message.version);
    if (digest === undefined || !equalBytes(digest, one.digest)) {
      return refuse("trust.chain", `${one.kind}.version`, `${one.message.version} is not in the past of what is held`);
    }
    past.set(one.message.version - 1, one.message.prev_digest);
  }
  return done(documents.filter((one) => !isOld(one)));
}

function openAll<K extends "root" | "roster">(
  crypto: Crypto,
  kind: K,
  list: readonly Uint8Array[],
): Result<Opened<K>[]> {
  const opened: Opened<K>[] = [];
  for (const bytes of list) {
    const one = openStatement(crypto, kind, bytes);
    if (!one.ok) return one;
    opened.push(one.value);
  }
  return done(opened);
}

/**
 * The view after `updates` (envelopes of roots and rosters, each kind ascending): every one extends its chain or is
 * of its past. A roster may name any root on the way; the last one must name the last root. Changes nothing itself.
 */
export function extendTrust(crypto: Crypto, held: Held, updates: readonly Uint8Array[]): Result<TrustView> {
  if (updates.length > limits.trustUpdates) {
    return refuse("wire.limit", "trust", `more than ${limits.trustUpdates} documents`);
  }
  const kinds = updates.map(claimedKind);
  const odd = kinds.findIndex((kind) => kind !== "root" && kind !== "roster");
  if (odd >= 0) return refuse("trust.wrong_kind", `trust[${odd}]`, "neither root nor roster");
  const pick = (kind: "root" | "roster"): Uint8Array[] => updates.filter((_, i) => kinds[i] === kind);
  const openedRoots = openAll(crypto, "root", pick("root"));
  if (!openedRoots.ok) return openedRoots;
  const openedRosters = openAll(crypto, "roster", pick("roster"));
  if (!openedRosters.ok) return openedRosters;
  const newRoots = onlyNew(held.root, openedRoots.value);
  if (!newRoots.ok) return newRoots;
  const newRosters = onlyNew(held.roster, openedRosters.value);
  if (!newRosters.ok) return newRosters;

  const roots = [held.root];
  for (const { envelope } of newRoots.value) {
    const next = acceptRoot(crypto, roots.at(-1) ?? held.root, envelope);
    if (!next.ok) return next;
    roots.push(next.value);
  }
  let roster = held.roster;
  for (const { envelope, message } of newRosters.value) {
    const named = roots.find((root) => equalBytes(root.digest, message.root_digest));
    if (named === undefined) return refuse("trust.view", "roster.root_digest", "made under a root that is not held");
    const next = acceptRoster(crypto, named, roster, envelope);
    if (!next.ok) return next;
    roster = next.value;
  }
  const root = roots.at(-1) ?? held.root;
  if (roster === null) return refuse("trust.view", "trust", "no roster");
  if (!equalBytes(roster.message.root_digest, root.digest)) {
    return refuse("trust.view", "roster.root_digest", "the newest root needs a roster of its own");
  }
  return done({ ...held, root, roster });
}

/** The latest incarnation of a router, whatever its status. */
export function rosterRouter(view: TrustView, routerId: Uint8Array): RosterRouter | undefined {
  return view.roster.message.routers
    .filter((one) => equalBytes(one.router_id, routerId))
    .reduce<RosterRouter | undefined>(
      (last, one) => (last && last.incarnation > one.incarnation ? last : one),
      undefined,
    );
}

/** A key report of this router, signed by it alone; networks and keys stand once. */
export function openKeyReport(
  crypto: Crypto,
  router: RosterRouter,
  networkId: Uint8Array,
  bytes: Uint8Array,
): Result<Opened<"key-report">> {
  const opened = openStatement(crypto, "key-report", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const signer = soleSigner(opened.value);
  if (!signer.ok) return signer;
  if (!equalBytes(signer.value, router.sign_key))
    return refuse("trust.signer_unknown", "key-report", "not this router");
  if (!equalBytes(message.network_id, networkId))
    return refuse("trust.network", "key-report.network_id", "another one");
  if (!equalBytes(message.router_id, router.router_id))
    return refuse("trust.router", "key-report.router_id", "another one");
  if (message.incarnation !== router.incarnation) {
    return refuse("trust.incarnation", "key-report.incarnation", `${message.incarnation}, not ${router.incarnation}`);
  }
  for (const list of [message.keys.map((key) => key.network), message.keys.map((key) => key.public_key)]) {
    if (new Set(list).size < list.length) return refuse("trust.repeated", "key-report.keys", "an entry stands twice");
  }
  return opened;
}
