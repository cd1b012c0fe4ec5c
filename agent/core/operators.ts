/** People in the documents of trust: who may sign now, who took the own key back, and who shows a card. */
import { equalBytes } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Operator } from "../../schemas/trust.ts";
import type { Crypto } from "./crypto.ts";
import { type Opened, openStatement, soleSigner } from "./dsse.ts";
import type { TrustView } from "./trust.ts";

/** True when the key took itself back since the roster was made. */
export function isRevoked(view: TrustView, signKey: Uint8Array): boolean {
  return (view.revoked ?? []).some((key) => equalBytes(key, signKey));
}

/** The active operator whose sign key this is. */
export function operatorOf(view: TrustView, signKey: Uint8Array): Operator | undefined {
  if (isRevoked(view, signKey)) return undefined;
  return view.roster.message.operators.find((one) => one.status === "active" && equalBytes(one.sign_key, signKey));
}

/** The active operator behind a key; says which kind of stranger it is otherwise. */
export function needOperator(view: TrustView, key: Uint8Array, path: string): Result<Operator> {
  const found = operatorOf(view, key);
  if (found !== undefined) return done(found);
  const known = view.roster.message.operators.some((one) => equalBytes(one.sign_key, key));
  return known
    ? refuse("trust.signer_revoked", path, "the operator is revoked")
    : refuse("trust.signer_unknown", path, "not the key of an operator");
}

/**
 * A key that takes itself back: signed by that key alone, of this network, of an operator that the roster lists (active
 * or not, so that it can be said twice). It needs nobody's consent. Codes trust.one_signer, trust.network,
 * trust.signer_unknown.
 */
export function openSelfRevoke(crypto: Crypto, view: TrustView, bytes: Uint8Array): Result<Opened<"self-revoke">> {
  const opened = openStatement(crypto, "self-revoke", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const signer = soleSigner(opened.value);
  if (!signer.ok) return signer;
  if (!equalBytes(message.network_id, view.root.message.network_id)) {
    return refuse("trust.network", "self-revoke.network_id", "of another network");
  }
  const listed = view.roster.message.operators.some((one) => equalBytes(one.sign_key, message.key));
  if (!listed || !equalBytes(signer.value, message.key)) {
    return refuse("trust.signer_unknown", "self-revoke.key", "not signed by the operator's key that it names");
  }
  return opened;
}

/**
 * A card: its owner signed with every Ed25519 key on it, so nobody can put another's key on a card of their own; each
 * key is admissible and stands once. Codes trust.network, trust.card_proof, trust.key_inadmissible, trust.key_reused.
 */
export function openCard(crypto: Crypto, networkId: Uint8Array, bytes: Uint8Array): Result<Opened<"operator-card">> {
  const opened = openStatement(crypto, "operator-card", bytes);
  if (!opened.ok) return opened;
  const { message, signers } = opened.value;
  if (!equalBytes(message.network_id, networkId)) {
    return refuse("trust.network", "operator-card.network_id", "of another network");
  }
  const some = (key: Uint8Array): boolean => key.length > 0;
  const sign = [message.sign_key, message.root_key, message.admin_key, message.recovery_key].filter(some);
  const box = [message.seal_key, Uint8Array.fromBase64(message.lane_key), message.escrow_key].filter(some);
  const proven =
    sign.length === signers.length && sign.every((key) => signers.some((signer) => equalBytes(signer, key)));
  if (!proven) return refuse("trust.card_proof", "operator-card", "not signed by exactly the keys that it names");
  const weak = !sign.every((key) => crypto.admitsSignKey(key)) || !box.every((key) => crypto.admitsBoxKey(key));
  if (weak) return refuse("trust.key_inadmissible", "operator-card", "a key that may not be used");
  const all = [...sign, ...box];
  const twice = all.some((key, i) => all.slice(0, i).some((other) => equalBytes(other, key)));
  return twice ? refuse("trust.key_reused", "operator-card", "a key stands twice") : opened;
}
