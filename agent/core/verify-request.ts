/** Requests, opened as a router opens the box that they come in, with the statement inside that they carry. */
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { openRequest } from "./directive.ts";
import { acceptRoot, extendTrust } from "./trust.ts";
import { admitHere, judgeConfirm, judgeRevoke, judgeRoster } from "./verify-router.ts";
import { type Bench, bytesOf, type VerifyState } from "./verify-state.ts";

/** The chain that finishes an enrolment: from the token's root to a roster that names this router. */
function judgeFirstTrust(bench: Bench, trust: readonly Uint8Array[]): Result<VerifyState> {
  const { crypto, held } = bench;
  const { state, token, view } = held;
  if (view !== null) return refuse("trust.view", "trust", "enrolled already");
  if (token === null) return refuse("trust.not_enrolled", "token", "the token is not here");
  if (trust.length === 0) return done(state);
  const pinned = acceptRoot(crypto, null, token.root);
  if (!pinned.ok) return pinned;
  const extended = extendTrust(crypto, { root: pinned.value, roster: null }, trust);
  if (!extended.ok) return extended;
  const under = { ...bench, held: { ...held, root: extended.value.root } };
  return judgeRoster(under, extended.value.roster.envelope);
}

/** A request by an operator, and what is inside of a submit, a confirm or a revoke. */
export function judgeRequest(bench: Bench, bytes: Uint8Array): Result<VerifyState> {
  const { crypto, held } = bench;
  const { state } = held;
  const opened = openRequest(crypto, held.view, bytesOf(state.router_id), bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  if (!crypto.admitsBoxKey(message.reply_key)) {
    return refuse("trust.key_inadmissible", "request.reply_key", "no key that an answer can be sealed to");
  }
  switch (message.kind) {
    case "enrol":
      return judgeFirstTrust(bench, message.trust);
    case "submit": {
      const admitted = admitHere(bench, message.directive, message.trust);
      return admitted.ok ? done(admitted.value.next) : admitted;
    }
    case "confirm":
      return judgeConfirm(bench, message.confirm);
    case "revoke":
      return judgeRevoke(bench, message.revoke);
    default:
      return done(state);
  }
}
