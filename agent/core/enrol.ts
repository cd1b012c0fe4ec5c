/**
 * How a router and its operators meet: a token that travels once, a MAC by its secret over what the router says of
 * itself, and a fingerprint that people compare.
 */
import { equalBytes, equalCodes, fromBase64, hmacSha256, sha256 } from "../../schemas/digest.ts";
import { type Result, refuse } from "../../schemas/problem.ts";
import type { EnrolRequest, EnrolToken } from "../../schemas/trust.ts";
import { encode } from "../../schemas/wire.ts";
import type { BoxKeys, Crypto, SignKeys } from "./crypto.ts";
import { type Opened, openStatement, signStatement, soleSigner } from "./dsse.ts";

/**
 * The X25519 pair that both sides derive from the token's secret: the first request is sealed to it, before the
 * router's own seal key is known (docs/decisions/0006). Privacy only, no authority.
 */
export function enrolBox(crypto: Crypto, secret: Uint8Array): BoxKeys {
  return crypto.boxKeys(sha256("holdfast/enrol-box/v1\0", secret));
}

/** HMAC-SHA-256(secret, "holdfast/enrol/v1" || fields 1 to 7 as encoded). */
function macOf(secret: Uint8Array, request: EnrolRequest): Uint8Array {
  const whole = encode("EnrolRequest", { ...request, mac: new Uint8Array(32) });
  // Field 8 is last: one byte of tag, one of length, 32 of MAC.
  return hmacSha256(secret, "holdfast/enrol/v1", whole.subarray(0, whole.length - 34));
}

/** What a router answers to its token: its new public keys, MACed by the secret and signed by its new sign key. */
export function makeEnrolRequest(
  crypto: Crypto,
  token: EnrolToken,
  keys: { readonly sign: SignKeys; readonly seal: BoxKeys; readonly rescueKey: string },
): Opened<"enrol-request"> {
  const bare: EnrolRequest = {
    token_id: token.token_id,
    network_id: token.network_id,
    router_id: token.router_id,
    incarnation: token.incarnation,
    sign_key: keys.sign.publicKey,
    seal_key: keys.seal.publicKey,
    rescue_key: keys.rescueKey,
    mac: new Uint8Array(32),
  };
  return signStatement(crypto, "enrol-request", { ...bare, mac: macOf(token.secret, bare) }, [keys.sign]);
}

/**
 * The operator's check of an enrolment against the token: it names this token, network, router and incarnation, it
 * was made with the secret, the router holds the sign key, and every key is admissible. The fingerprint remains to
 * be compared by a person. Codes trust.enrol_token, trust.enrol_mac, trust.signer_unknown, trust.key_inadmissible.
 */
export function checkEnrolRequest(
  crypto: Crypto,
  token: EnrolToken,
  bytes: Uint8Array,
): Result<Opened<"enrol-request">> {
  const opened = openStatement(crypto, "enrol-request", bytes);
  if (!opened.ok) return opened;
  const { message } = opened.value;
  const signer = soleSigner(opened.value);
  if (!signer.ok) return signer;
  const fits =
    equalBytes(message.token_id, token.token_id) &&
    equalBytes(message.network_id, token.network_id) &&
    equalBytes(message.router_id, token.router_id) &&
    message.incarnation === token.incarnation;
  if (!fits) return refuse("trust.enrol_token", "enrol-request", "token, network, router or incarnation differ");
  if (!equalCodes(message.mac, macOf(token.secret, message))) {
    return refuse("trust.enrol_mac", "enrol-request.mac", "not made with the secret of the token");
  }
  if (!equalBytes(signer.value, message.sign_key)) {
    return refuse("trust.signer_unknown", "enrol-request", "not signed by the key that it names");
  }
  const rescue = fromBase64(message.rescue_key) ?? new Uint8Array();
  if (!crypto.admitsSignKey(message.sign_key))
    return refuse("trust.key_inadmissible", "enrol-request.sign_key", "weak");
  if (!crypto.admitsBoxKey(message.seal_key)) return refuse("trust.key_inadmissible", "enrol-request.seal_key", "weak");
  if (!crypto.admitsBoxKey(rescue)) return refuse("trust.key_inadmissible", "enrol-request.rescue_key", "weak");
  return opened;
}

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** The first 160 bits of a digest for people and phones: 8 groups of 4 base32 letters ("k4wz-..."). */
export function spoken(digest: Uint8Array): string {
  let bits = 0n;
  for (const byte of digest.subarray(0, 20)) bits = (bits << 8n) | BigInt(byte);
  const letters = Array.from({ length: 32 }, (_, i) => BASE32[Number((bits >> BigInt(155 - 5 * i)) & 31n)]);
  return Array.from({ length: 8 }, (_, i) => letters.slice(4 * i, 4 * i + 4).join("")).join("-");
}

/** Over sign and seal key. The role is inside the hash, so no other key's fingerprint can pass for a router's. */
export function fingerprint(request: EnrolRequest): string {
  return spoken(sha256("holdfast/router-fingerprint/v1\0", request.sign_key, request.seal_key));
}
