/** Files that a router judges: documents of trust, directives, confirms, and keys that take themselves back. */
import { equalBytes, toHex } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { type AdmitContext, admitDirective, openConfirm } from "./directive.ts";
import { type Opened, openStatement } from "./dsse.ts";
import { openSelfRevoke } from "./operators.ts";
import { acceptRoot, extendTrust, rosterRouter, type TrustView } from "./trust.ts";
import { type Bench, bytesOf, fromText, isLive, remembered, toText, type VerifyState } from "./verify-state.ts";

/** The view, or that there is none yet. */
export function needView({ held }: Bench): Result<TrustView> {
  return held.view === null ? refuse("trust.not_enrolled", "", "no roster names this router yet") : done(held.view);
}

/** Puts a view into the state; roots that waited for their roster are in it. */
export function withView(state: VerifyState, view: TrustView): VerifyState {
  if (toText(view.roster.envelope) === state.roster) return state;
  return { ...state, root: toText(view.root.envelope), roots: [], roster: toText(view.roster.envelope) };
}

/**
 * A root by itself. A newer one waits for its roster, since root and roster change together; a held or an older one
 * must be the very one that the held root descends from.
 */
export function judgeRoot({ crypto, held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  const { state, root, view } = held;
  const opened = openStatement(crypto, "root", bytes);
  if (!opened.ok) return opened;
  const known = [state.root, ...state.roots];
  if (known.includes(toText(opened.value.envelope))) return done(state);
  const waiting = state.roots.map((text) => openStatement(crypto, "root", fromText(text)));
  const last = waiting.reduce<Opened<"root">>((before, one) => (one.ok ? one.value : before), root);
  if (view !== null && opened.value.message.version <= root.message.version) {
    const past = extendTrust(crypto, view, [bytes]);
    return past.ok ? done(state) : past;
  }
  const next = acceptRoot(crypto, last, bytes);
  return next.ok ? done({ ...state, roots: [...state.roots, toText(next.value.envelope)] }) : next;
}

/** True when the roster lists this very unit with its keys. */
function namesUs(state: VerifyState, view: TrustView): boolean {
  const entry = rosterRouter(view, bytesOf(state.router_id));
  return (
    entry?.status === "active" && entry.incarnation === state.incarnation && toHex(entry.sign_key) === state.sign_key
  );
}

/** A roster, with the roots that wait for it. The first one must name this router with its keys. */
export function judgeRoster({ crypto, held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  const { state, root, view } = held;
  const opened = openStatement(crypto, "roster", bytes);
  if (!opened.ok) return opened;
  const extended = extendTrust(crypto, view ?? { root, roster: null }, [...state.roots.map(fromText), bytes]);
  if (!extended.ok) return extended;
  if (view === null && !namesUs(state, extended.value)) {
    return refuse("agent.not_named", "roster", "it does not name this router with its keys");
  }
  return done(withView(state, extended.value));
}

/** What admission asks, answered from the state. */
function contextOf({ held, bootMs }: Bench, view: TrustView): AdmitContext {
  const { state, keys } = held;
  return {
    view,
    routerId: bytesOf(state.router_id),
    incarnation: state.incarnation,
    burnt: BigInt(state.generation),
    parent: bytesOf(state.parent),
    keysDigest: keys?.digest ?? new Uint8Array(),
    desiredFormat: state.desired_format,
    logDigestAt(index) {
      if (index === 0n) return new Uint8Array(32);
      const entry = state.log.known.find((one) => one.index === String(index));
      return entry === undefined ? undefined : bytesOf(entry.digest);
    },
    challengeIsLive: (challenge) => isLive(state, toHex(challenge), bootMs),
    beaconAgeS(digest) {
      const given = state.beacons.find((one) => one.digest === toHex(digest));
      return given === undefined ? undefined : Math.ceil(Math.max(0, bootMs - given.at_ms) / 1000);
    },
  };
}

/** Why the trial is over, if it is: a code, or "" while it waits for its confirm. */
function trialEnd({ held, bootMs }: Bench): string {
  const { trial, boot_id } = held.state;
  if (trial === null || trial.boot_id !== boot_id) return "agent.power_cut";
  return bootMs >= trial.deadline_ms ? "confirm.window_expired" : "";
}

export type Admission = {
  readonly directive: Opened<"directive">;
  readonly view: TrustView;
  readonly again: boolean; // burnt already: it has its outcome, and nothing is asked of it again
  readonly next: VerifyState;
};

/** Admission as the agent does it, with the state that follows when nothing else is wrong. */
export function admitHere(bench: Bench, bytes: Uint8Array, trust: readonly Uint8Array[]): Result<Admission> {
  const { crypto, held, bootMs } = bench;
  const { state } = held;
  const current = needView(bench);
  if (!current.ok) return current;
  const known = openStatement(crypto, "directive", bytes);
  if (known.ok && state.directives.includes(toHex(known.value.digest))) {
    return done({ directive: known.value, view: current.value, again: true, next: state });
  }
  if (state.trial !== null && trialEnd(bench) === "") return refuse("apply.trial_pending", "", "the agent is trial");
  const view = trust.length === 0 ? current : extendTrust(crypto, current.value, trust);
  if (!view.ok) return view;
  const admitted = admitDirective(crypto, contextOf(bench, view.value), bytes);
  if (!admitted.ok) return admitted;
  const { message, digest } = admitted.value;
  const challenges = state.challenges.filter((one) => one.challenge !== toHex(message.challenge));
  const used = { ...state, challenges };
  const admission = { directive: admitted.value, view: view.value, again: false };
  if (message.action === "plan") return done({ ...admission, next: used });
  const trial = {
    directive: toHex(digest),
    nonce: "",
    deadline_ms: bootMs + message.confirm_window_s * 1000,
    boot_id: state.boot_id,
  };
  const burnt = { generation: String(message.generation), directives: remembered(state.directives, digest), trial };
  return done({ ...admission, next: { ...withView(used, view.value), ...burnt } });
}

/** A directive by itself: its blobs are not looked at. */
export function judgeDirective(bench: Bench, bytes: Uint8Array): Result<VerifyState> {
  const admitted = admitHere(bench, bytes, []);
  return admitted.ok ? done(admitted.value.next) : admitted;
}

/** A confirm or abort of the pending trial. One that was decided for is answered again; over which path it came is not known. */
export function judgeConfirm(bench: Bench, bytes: Uint8Array): Result<VerifyState> {
  const { crypto, held } = bench;
  const { state } = held;
  const view = needView(bench);
  if (!view.ok) return view;
  const ids = { routerId: bytesOf(state.router_id), incarnation: state.incarnation };
  const opened = openConfirm(crypto, view.value, ids, bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const directive = toHex(message.directive_digest);
  if (state.trial?.directive !== directive) {
    if (directive === state.parent) return done(state);
    return refuse("confirm.unknown_trial", "confirm.directive_digest", "no trial of this directive");
  }
  const end = trialEnd(bench);
  if (end !== "") return refuse(end, "confirm.directive_digest", "the trial is over");
  if (message.verdict === "abort") return done({ ...state, trial: null });
  if (toHex(message.nonce) !== state.trial.nonce) {
    return refuse("confirm.unknown_trial", "confirm.nonce", "not the nonce of the pending trial");
  }
  return done({ ...state, parent: directive, trial: null });
}

/** A key that takes itself back: from now on nothing that it signs counts. */
export function judgeRevoke(bench: Bench, bytes: Uint8Array): Result<VerifyState> {
  const view = needView(bench);
  if (!view.ok) return view;
  const opened = openSelfRevoke(bench.crypto, view.value, bytes);
  if (!opened.ok) return opened;
  const { state } = bench.held;
  if ((view.value.revoked ?? []).some((key) => equalBytes(key, opened.value.message.key))) return done(state);
  return done({ ...state, revoked: [...state.revoked, toHex(opened.value.message.key)].sort() });
}
