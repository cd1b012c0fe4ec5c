/** Values that no field allows, kinds that pass for others, and signatures that do not hold. */

import { compareBytes } from "../../schemas/digest.ts";
import {
  add,
  basePoint,
  encodePoint,
  GROUP_ORDER,
  multiply,
  type Point,
  readScalar,
  torsion,
  writeScalar,
} from "../trust/curve.ts";
import { join, number } from "../wire/bytes.ts";
import * as bases from "./bases.ts";
import { envelope, pae, type Signature, signatureOf, signPair, typeOf } from "./raw.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";
import { ann, at, bob, directiveOf, type Plain, rootOf, rosterOf, signDirective, written } from "./written.ts";

const shape = family("E_SCHEMA", "directive");
const rosterShape = family("E_SCHEMA", "roster");
const intentShape = family("E_SCHEMA", "intent");

const withHolder = (holder: string): Uint8Array =>
  rosterOf({ operators: [...world.roster2.message.operators, { ...world.operator("eve"), holder }] });
const router = bases.intentWith().routers[0] as unknown as Plain;
const withManagement = (address: string): Uint8Array =>
  written("Intent", {
    ...(bases.intentWith() as unknown as Plain),
    routers: [{ ...router, management: { ...(router.management as Plain), addresses: [address] } }],
  });

export const shapeVectors: readonly Vector[] = [
  shape(
    "unknown-enum-99",
    "wire.unknown_word",
    "The risk class is 99.",
    signDirective(directiveOf({}, { risk_class: number(at("Directive", "risk_class"), 99) })),
  ),
  shape(
    "empty-network-id",
    "wire.shape",
    "The network id is empty.",
    signDirective(directiveOf({ network_id: world.none })),
  ),
  shape(
    "17-byte-router-id",
    "wire.shape",
    "The router id has 17 bytes.",
    signDirective(directiveOf({ router_id: join(world.routerId, [0]) })),
  ),
  shape(
    "note-201",
    "wire.shape",
    "The note has 201 characters.",
    signDirective(directiveOf({ note: "a".repeat(201) })),
  ),
  rosterShape("name-__proto__", "wire.shape", "An operator's holder is __proto__.", withHolder("__proto__")),
  rosterShape(
    "name-constructor",
    "",
    "Positive control: an operator's holder is constructor, a name like any other.",
    withHolder("constructor"),
  ),
  rosterShape("name-uppercase", "wire.shape", "An operator's holder is Eve.", withHolder("Eve")),
  intentShape("ip-leading-zero", "wire.shape", "The management address is 010.0.0.1.", withManagement("010.0.0.1")),
  intentShape("ip-newline", "wire.shape", "A line feed follows the management address.", withManagement("10.0.0.1\n")),
  family("E_SCHEMA", "root")(
    "port-70000",
    "wire.shape",
    "The port of the safe-mode profile is 70000.",
    rootOf({ safe_mode: { api_port: 70_000, allow_icmp: true } }),
  ),
  shape(
    "seq-above-2^53-read-exactly",
    "",
    "Positive control: generation 2^53 + 3 after 2^53 + 2, which a double cannot tell apart.",
    bases.signedDirective({ generation: 2n ** 53n + 3n }).envelope,
    { state: { generation: String(2n ** 53n + 2n) } },
  ),
];

const payload = directiveOf();
const directiveType = typeOf("directive");
/** The base payload under another type, honestly signed for that type. */
const typed = (type: string): Uint8Array =>
  envelope(
    type,
    payload,
    [ann, bob].map((by) => signatureOf(pae(type, payload), by)).sort((a, b) => compareBytes(a.key, b.key)),
  );
const kind = family("E_TYPE", "directive");

export const kindVectors: readonly Vector[] = [
  kind("type-json", "trust.wrong_kind", "The type ends in +json.", typed("application/vnd.holdfast.directive.v1+json")),
  kind(
    "type-uppercase",
    "trust.wrong_kind",
    "The type begins with Application.",
    typed(directiveType.replace("a", "A")),
  ),
  kind("type-v2", "trust.wrong_kind", "The type says v2.", typed(directiveType.replace("v1", "v2"))),
  kind(
    "report-as-directive",
    "trust.wrong_kind",
    "A receipt of the router stands where a directive is due.",
    world.logHead.envelope,
  ),
  kind(
    "confirm-as-directive",
    "trust.wrong_kind",
    "A confirm stands where a directive is due.",
    world.signed("confirm", bases.confirm(), "ann").envelope,
  ),
  family("E_TYPE", "root")(
    "keypop-as-root",
    "trust.wrong_kind",
    "An operator's card stands where a root is due.",
    world.signed("operator-card", bases.card(), "eve", "eve root").envelope,
  ),
  family("E_TYPE", "receipt")(
    "beacon-as-report",
    "trust.wrong_kind",
    "A beacon stands where a receipt is due.",
    world.beacon.envelope,
  ),
];

// ---- signatures ----

const signedBytes = pae(directiveType, payload);
const [first, second] = [ann, bob]
  .map((by) => signatureOf(signedBytes, by))
  .sort((a, b) => compareBytes(a.key, b.key)) as [Signature, Signature];
const withSignatures = (...list: readonly Signature[]): Uint8Array => envelope(directiveType, payload, list);
const flipped = (bytes: Uint8Array, at_: number): Uint8Array => bytes.map((byte, i) => (i === at_ ? byte ^ 1 : byte));

const sha512 = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(new Bun.CryptoHasher("sha512").update(join(...parts)).digest());

/** A signature by ann whose R is a multiple of the base point plus `extra`, or `extra` alone; S fits the rest. */
function signWithPoint(extra: Point, alone: boolean): Signature {
  const half = sha512(ann.privateKey.slice(0, 32)).slice(0, 32);
  half[0] = half[0]! & 248;
  half[31] = (half[31]! & 127) | 64;
  const r = alone ? 0n : 12_345_678_901_234_567_890n;
  const point = encodePoint(add(multiply(r, basePoint), extra));
  const k = readScalar(sha512(point, ann.publicKey, signedBytes)) % GROUP_ORDER;
  return { key: ann.publicKey, sig: join(point, writeScalar((r + k * readScalar(half)) % GROUP_ORDER)) };
}

const plusOrder = (signature: Signature): Signature => ({
  ...signature,
  sig: join(signature.sig.slice(0, 32), writeScalar(readScalar(signature.sig.slice(32)) + GROUP_ORDER)),
});
/** The base with ann's signature replaced. */
const withAnn = (signature: Signature): Uint8Array =>
  withSignatures(...[signature, signatureOf(signedBytes, bob)].sort((a, b) => compareBytes(a.key, b.key)));
const signature = family("E_SIG_INVALID", "directive");

export const signatureVectors: readonly Vector[] = [
  family("E_SIG_MISSING", "directive")(
    "no-signatures",
    "trust.unsigned",
    "The envelope has no signature.",
    withSignatures(),
  ),
  signature(
    "bitflip-payload",
    "trust.bad_signature",
    "One bit of the payload's note differs from what was signed.",
    envelope(directiveType, flipped(payload, payload.length - 10), [first, second]),
  ),
  signature(
    "bitflip-sig",
    "trust.bad_signature",
    "One bit of the first signature is flipped.",
    withSignatures({ ...first, sig: flipped(first.sig, 40) }, second),
  ),
  signature(
    "sig-63-bytes",
    "wire.shape",
    "A signature has 63 bytes.",
    withSignatures({ ...first, sig: first.sig.slice(0, 63) }, second),
  ),
  signature(
    "sig-over-payload-without-pae",
    "trust.bad_signature",
    "The payload was signed without type and lengths in front.",
    withSignatures(...[ann, bob].map((by) => signatureOf(payload, by)).sort((a, b) => compareBytes(a.key, b.key))),
  ),
  signature(
    "sig-other-type",
    "trust.bad_signature",
    "The payload was signed as a confirm.",
    withSignatures(
      ...[ann, bob]
        .map((by) => signatureOf(pae(typeOf("confirm"), payload), by))
        .sort((a, b) => compareBytes(a.key, b.key)),
    ),
  ),
  signature(
    "s-plus-L",
    "trust.bad_signature",
    "The group order was added to S of one signature.",
    withAnn(plusOrder(signatureOf(signedBytes, ann))),
  ),
  signature(
    "R-small-order",
    "trust.bad_signature",
    "R of one signature is a point of order 8, and S fits it.",
    withAnn(signWithPoint(torsion[1]!, true)),
  ),
  signature(
    "R-mixed-order",
    "trust.bad_signature",
    "R of one signature has a component of order 8, and S fits the rest.",
    withAnn(signWithPoint(torsion[1]!, false)),
  ),
  signature(
    "valid-plus-one-invalid",
    "trust.bad_signature",
    "Two signatures are good and a third, by an operator, is not.",
    withSignatures(
      ...[first, second, { key: signPair("cyd").publicKey, sig: first.sig }].sort((a, b) => compareBytes(a.key, b.key)),
    ),
  ),
  family("E_SIG_DUPLICATE", "directive")(
    "same-key-twice",
    "trust.signature_order",
    "The first signature stands twice.",
    withSignatures(first, first, second),
  ),
  family("E_SIG_ORDER", "directive")(
    "sigs-unsorted",
    "trust.signature_order",
    "The signatures descend by key.",
    withSignatures(second, first),
  ),
];
