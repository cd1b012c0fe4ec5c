/**
 * Preshared keys on their way to a router. A document only ever holds the commitment; the key itself travels in a
 * box whose inside says for which unit it was made, so a box cannot be moved into another slot.
 */

import { compareBytes, equalBytes, sha256, toHex } from "../../schemas/digest.ts";
import type { Secrets } from "../../schemas/directive.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { decode, encode, type Messages } from "../../schemas/wire.ts";
import type { BoxKeys, Crypto } from "./crypto.ts";

export type SealedSecret = Messages["SealedSecret"];

/** The unit that a secret is for. */
export type SecretIds = {
  readonly networkId: Uint8Array;
  readonly routerId: Uint8Array;
  readonly incarnation: number;
};

function commitmentOf(psk: Uint8Array): Uint8Array {
  return sha256("holdfast/psk/v1\0", psk);
}

/** Sealed secrets in their one order, by commitment. Throws when two hold the same key. */
export function joinSecrets(secrets: readonly SealedSecret[]): Secrets {
  const sorted = [...secrets].sort((a, b) => compareBytes(a.commitment, b.commitment));
  const twice = sorted.some((one, i) => i > 0 && equalBytes(one.commitment, sorted[i - 1]!.commitment));
  if (twice) throw new Error("two clients with one preshared key");
  return { secrets: sorted };
}

/**
 * Seals each key (32 bytes; `subject` is "<client>.<key generation>") to the router and to every escrow key. Boxes
 * are random: sealing again gives other bytes. Throws on a key of wrong length or a seal key that is not admissible.
 */
export function sealSecrets(
  crypto: Crypto,
  list: readonly { readonly psk: Uint8Array; readonly subject: string }[],
  to: SecretIds & { readonly routerSeal: Uint8Array; readonly escrow: readonly Uint8Array[] },
): Secrets {
  return joinSecrets(
    list.map(({ psk, subject }) => {
      const inside = encode("Secret", {
        network_id: to.networkId,
        router_id: to.routerId,
        incarnation: to.incarnation,
        subject,
        secret: psk,
      });
      return {
        commitment: commitmentOf(psk),
        to_router: crypto.seal(inside, to.routerSeal),
        to_escrow: to.escrow.map((key) => crypto.seal(inside, key)),
      };
    }),
  );
}

/**
 * Opens the router's copy. Refused when the box is not for these keys, was made for another unit, or holds another
 * key than the commitment says. Codes trust.secret_sealed, trust.secret_slot, trust.secret_commitment, wire.*.
 */
export function openSecret(
  crypto: Crypto,
  keys: BoxKeys,
  ids: SecretIds,
  sealed: SealedSecret,
): Result<{ readonly commitment: string; readonly subject: string; readonly psk: Uint8Array }> {
  const commitment = toHex(sealed.commitment);
  const path = `secrets ${commitment.slice(0, 16)}`;
  const inside = crypto.unseal(sealed.to_router, keys);
  if (inside === undefined) return refuse("trust.secret_sealed", path, "not sealed to this key, or damaged");
  const secret = decode("Secret", inside);
  if (!secret.ok) return secret;
  const { network_id, router_id, incarnation, subject, secret: psk } = secret.value;
  const here =
    equalBytes(network_id, ids.networkId) && equalBytes(router_id, ids.routerId) && incarnation === ids.incarnation;
  if (!here) return refuse("trust.secret_slot", path, "made for another network, router or incarnation");
  if (!equalBytes(commitmentOf(psk), sealed.commitment)) {
    return refuse("trust.secret_commitment", path, "the key inside is another one");
  }
  return done({ commitment, subject, psk });
}
