/** Statements from raw bytes, so that a vector can hold what no honest encoder writes. Shares nothing with agent/core. */
import sodium from "libsodium-wrappers";
import { compareBytes, sha256 } from "../../schemas/digest.ts";
import { join, sized, text } from "../wire/bytes.ts";

await sodium.ready;

export type Pair = { readonly publicKey: Uint8Array; readonly privateKey: Uint8Array };
export type Signature = { readonly key: Uint8Array; readonly sig: Uint8Array };

/** Every key of the corpus comes from a name, so the bytes are the same on every machine. */
export const signPair = (name: string): Pair => sodium.crypto_sign_seed_keypair(sha256(`vectors sign ${name}`));
export const boxSeed = (name: string): Uint8Array => sha256(`vectors box ${name}`);
export const boxPair = (name: string): Pair => sodium.crypto_box_seed_keypair(boxSeed(name));
export const laneKey = (name: string): string => boxPair(`lane ${name}`).publicKey.toBase64();

export const typeOf = (kind: string): string => `application/vnd.holdfast.${kind}.v1+protobuf`;

export function pae(type: string, payload: Uint8Array): Uint8Array {
  return join(new TextEncoder().encode(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload);
}

export const signatureOf = (bytes: Uint8Array, by: Pair): Signature => ({
  key: by.publicKey,
  sig: sodium.crypto_sign_detached(bytes, by.privateKey),
});

/** Field 3 of the envelope, once for each signature, in the order given. */
export const signatureField = ({ key, sig }: Signature): Uint8Array => sized(3, join(sized(1, key), sized(2, sig)));

export function envelope(type: string, payload: Uint8Array, signatures: readonly Signature[]): Uint8Array {
  return join(text(1, type), sized(2, payload), ...signatures.map(signatureField));
}

/** Signs raw payload bytes as a statement of that kind; signatures ascend by key. */
export function signRaw(kind: string, payload: Uint8Array, ...by: readonly Pair[]): Uint8Array {
  const type = typeOf(kind);
  const signatures = by.map((one) => signatureOf(pae(type, payload), one));
  return envelope(
    type,
    payload,
    signatures.sort((a, b) => compareBytes(a.key, b.key)),
  );
}

/** crypto_box_seal with an ephemeral key from a name: stock crypto_box_seal_open opens it. */
export function sealRaw(message: Uint8Array, to: Uint8Array, name: string): Uint8Array {
  const ephemeral = boxPair(`ephemeral ${name}`);
  const nonce = sodium.crypto_generichash(sodium.crypto_box_NONCEBYTES, join(ephemeral.publicKey, to), null);
  return join(ephemeral.publicKey, sodium.crypto_box_easy(message, nonce, to, ephemeral.privateKey));
}
