/**
 * Signed statements: DSSE envelopes whose bytes have one form. What is signed is the PAE of type and payload, so no
 * kind can pass for another; a statement's id is SHA-256 of the PAE, never of signatures (those are not unique).
 */

import { compareBytes, sha256 } from "../../schemas/digest.ts";
import type { Confirm, Directive, Request } from "../../schemas/directive.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Answer, Beacon, Receipt } from "../../schemas/report.ts";
import type { EnrolRequest, Envelope, KeyReport, OperatorCard, Root, Roster, SelfRevoke } from "../../schemas/trust.ts";
import { decode, encode } from "../../schemas/wire.ts";
import type { Crypto, SignKeys } from "./crypto.ts";

type Statements = {
  readonly root: Root;
  readonly roster: Roster;
  readonly directive: Directive;
  readonly confirm: Confirm;
  readonly receipt: Receipt;
  readonly "key-report": KeyReport;
  readonly "enrol-request": EnrolRequest;
  readonly "operator-card": OperatorCard;
  readonly "self-revoke": SelfRevoke;
  readonly beacon: Beacon;
  readonly request: Request;
  readonly answer: Answer;
};

export type Kind = keyof Statements;
export type MessageOf<K extends Kind> = Statements[K];

/** A statement whose signatures all verify. Who the signers are, and whether they may, is decided elsewhere. */
export type Opened<K extends Kind> = {
  readonly kind: K;
  readonly message: MessageOf<K>;
  readonly digest: Uint8Array; // SHA-256 of the PAE
  readonly signers: readonly Uint8Array[]; // Ed25519 keys, ascending, each once
  readonly envelope: Uint8Array; // the bytes that were opened, a copy
};

/** Message of each kind, and how large its envelope may be. */
const kinds = {
  root: { message: "Root", bytes: limits.trustBytes },
  roster: { message: "Roster", bytes: limits.trustBytes },
  directive: { message: "Directive", bytes: limits.directiveBytes },
  confirm: { message: "Confirm", bytes: limits.trustBytes },
  receipt: { message: "Receipt", bytes: limits.receiptBytes },
  "key-report": { message: "KeyReport", bytes: limits.trustBytes },
  "enrol-request": { message: "EnrolRequest", bytes: limits.trustBytes },
  "operator-card": { message: "OperatorCard", bytes: limits.trustBytes },
  "self-revoke": { message: "SelfRevoke", bytes: limits.trustBytes },
  beacon: { message: "Beacon", bytes: limits.trustBytes },
  request: { message: "Request", bytes: limits.requestBytes },
  answer: { message: "Answer", bytes: limits.inventoryBytes },
} as const satisfies Record<Kind, { message: string; bytes: number }>;

const typeOf = (kind: Kind): string => `application/vnd.holdfast.${kind}.v1+protobuf`;

/** DSSE v1 pre-authentication encoding: lengths in decimal, single spaces. */
function pae(type: string, payload: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(`DSSEv1 ${type.length} ${type} ${payload.length} `);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

/**
 * Signs a message with every key given. Throws on a bug: a value not of its schema, no key, a key given twice, more
 * keys or bytes than an envelope takes.
 */
export function signStatement<K extends Kind>(
  crypto: Crypto,
  kind: K,
  message: MessageOf<K>,
  signers: readonly SignKeys[],
): Opened<K> {
  const type = typeOf(kind);
  const payload = encode(kinds[kind].message, message as never);
  const bytes = pae(type, payload);
  const signatures = signers
    .map((keys) => ({ key: keys.publicKey, sig: crypto.sign(bytes, keys.secretKey) }))
    .sort((a, b) => compareBytes(a.key, b.key));
  const envelope = encode("Envelope", { payload_type: type, payload, signatures });
  const opened = openStatement(crypto, kind, envelope);
  if (!opened.ok) throw new Error(`cannot sign ${kind}: ${opened.problems[0]?.code} ${opened.problems[0]?.detail}`);
  return opened.value;
}

/**
 * The same statement with one signature more, in its place among the others. Throws on a bug: the key has signed
 * already, or the envelope takes no more signatures.
 */
export function cosignStatement<K extends Kind>(crypto: Crypto, signed: Opened<K>, keys: SignKeys): Opened<K> {
  const envelope = decode("Envelope", signed.envelope);
  if (!envelope.ok) throw new Error(`cannot cosign ${signed.kind}: no envelope`);
  const { payload_type, payload, signatures } = envelope.value;
  const own = { key: keys.publicKey, sig: crypto.sign(pae(payload_type, payload), keys.secretKey) };
  const all = [...signatures, own].sort((a, b) => compareBytes(a.key, b.key));
  const bytes = encode("Envelope", { payload_type, payload, signatures: all });
  const opened = openStatement(crypto, signed.kind, bytes);
  if (!opened.ok) throw new Error(`cannot cosign ${signed.kind}: ${opened.problems[0]?.code}`);
  return opened.value;
}

/** Every signature, in ascending order of keys, so that one key cannot stand twice. The first bad one ends it. */
function checkSignatures(crypto: Crypto, kind: Kind, envelope: Envelope, signed: Uint8Array): Result<void> {
  const { signatures } = envelope;
  if (signatures.length === 0) return refuse("trust.unsigned", kind, "no signature");
  for (const [index, { key }] of signatures.entries()) {
    const before = signatures[index - 1];
    if (before !== undefined && compareBytes(before.key, key) >= 0) {
      return refuse("trust.signature_order", `${kind}.signatures[${index}]`, "keys must ascend, each once");
    }
  }
  const bad = signatures.findIndex(({ key, sig }) => !crypto.verify(sig, signed, key));
  if (bad >= 0) return refuse("trust.bad_signature", `${kind}.signatures[${bad}]`, "it does not verify");
  return done(undefined);
}

/** The kind that an envelope claims, unverified: only to choose how to open it. */
export function claimedKind(bytes: Uint8Array): Kind | undefined {
  const envelope = decode("Envelope", bytes);
  const names = Object.keys(kinds) as Kind[];
  return envelope.ok ? names.find((kind) => typeOf(kind) === envelope.value.payload_type) : undefined;
}

/**
 * Opens a statement: size, strict envelope, kind, signatures, and only then the payload, from the very bytes that
 * were verified. Codes wire.*, trust.wrong_kind, trust.unsigned, trust.signature_order, trust.bad_signature.
 */
export function openStatement<K extends Kind>(crypto: Crypto, kind: K, bytes: Uint8Array): Result<Opened<K>> {
  const { message: name, bytes: most } = kinds[kind];
  if (bytes.length > most) return refuse("wire.too_large", kind, `more than ${most} bytes`);
  const own = new Uint8Array(bytes);
  const envelope = decode("Envelope", own);
  if (!envelope.ok) return envelope;
  const { payload_type, payload } = envelope.value;
  if (payload_type !== typeOf(kind)) return refuse("trust.wrong_kind", kind, `the envelope is not of kind ${kind}`);
  const signed = pae(payload_type, payload);
  const signatures = checkSignatures(crypto, kind, envelope.value, signed);
  if (!signatures.ok) return signatures;
  const message = decode(name, payload);
  if (!message.ok) return message;
  return done({
    kind,
    message: message.value as MessageOf<K>,
    digest: sha256(signed),
    signers: envelope.value.signatures.map(({ key }) => key),
    envelope: own,
  });
}

/** The one key that signed; a refusal when there are more (code trust.one_signer). */
export function soleSigner(opened: Opened<Kind>): Result<Uint8Array> {
  const [key, more] = opened.signers;
  if (key === undefined || more !== undefined) return refuse("trust.one_signer", opened.kind, "signed by several keys");
  return done(key);
}
