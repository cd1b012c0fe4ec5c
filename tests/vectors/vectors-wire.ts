/** Bytes that are not the one form of a message: sizes, counts, unknown fields, other spellings. */
import { compareBytes } from "../../schemas/digest.ts";
import { join, number, sized, tag, text, varint } from "../wire/bytes.ts";
import * as bases from "./bases.ts";
import { envelope, pae, signatureOf, signPair, signRaw, typeOf } from "./raw.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";
import {
  adminSigners,
  ann,
  at,
  bob,
  directiveOf,
  type Plain,
  requestOf,
  rootOf,
  rosterOf,
  signDirective,
  written,
} from "./written.ts";

const payload = directiveOf();
const base = bases.directiveBase.envelope;
const safeMode = world.rootMessage.safe_mode as Plain;

const size = family("E_SIZE", "directive");
const limit = family("E_WIRE_LIMIT", "directive");
const unknown = family("E_WIRE_UNKNOWN_FIELD", "directive");
const form = family("E_WIRE_NONCANONICAL", "directive");

/** Bytes that nobody reads, because they are too many. */
const filler = (length: number): Uint8Array => new Uint8Array(length).fill(0x61);

export const sizeVectors: readonly Vector[] = [
  family("E_SIZE", "roster")(
    "envelope-513KiB",
    "wire.too_large",
    "A roster's payload is 513 KiB; an envelope of a document of trust ends at 256 KiB.",
    signRaw("roster", filler(513 * 1024), ...adminSigners),
  ),
  size(
    "payload-over-8KiB",
    "wire.too_large",
    "The directive's note has 8,192 characters, so its envelope is over 8 KiB.",
    signDirective(directiveOf({ note: "a".repeat(8192) })),
  ),
  family("E_SIZE", "intent")(
    "intent-over-160KiB",
    "wire.too_large",
    "The intent has one byte more than the 1 MiB that it may have here.",
    text(at("Intent", "site"), "a".repeat(1024 * 1024 - 3)),
  ),
  family("E_SIZE", "request")(
    "trust-updates-over-192KiB",
    "wire.shape",
    "A document in the list of a submit has one byte more than the 256 KiB that it may have here.",
    requestOf({ kind: "submit", trust: [filler(256 * 1024 + 1)] }),
  ),
  family("E_WIRE_LIMIT", "roster")(
    "list-4097",
    "wire.shape",
    "The roster lists 4,097 used tokens.",
    rosterOf({ consumed_tokens: Array.from({ length: 4097 }, (_, i) => world.id(16, `token ${i}`)) }),
  ),
  family("E_WIRE_LIMIT", "inventory")(
    "million-empty-messages",
    "wire.limit",
    "The inventory has 1,048,577 empty clients in 2 MiB.",
    join(
      number(at("Inventory", "version"), 1),
      Uint8Array.from({ length: 2 * ((1 << 20) + 1) }, (_, i) =>
        i % 2 === 0 ? 8 * at("Inventory", "clients") + 2 : 0,
      ),
    ),
  ),
  limit(
    "sigs-17",
    "wire.limit",
    "The envelope carries 17 signatures.",
    envelope(
      typeOf("directive"),
      payload,
      Array.from({ length: 17 }, (_, i) => signatureOf(pae(typeOf("directive"), payload), signPair(`many ${i}`))),
    ),
  ),
  family("E_WIRE_LIMIT", "request")(
    "trust-updates-33",
    "wire.shape",
    "A submit carries 33 documents of trust.",
    requestOf({ kind: "submit", trust: Array.from({ length: 33 }, () => filler(2)) }),
  ),
];

const signatures = [ann, bob].map((by) => signatureOf(pae(typeOf("directive"), payload), by));

export const fieldVectors: readonly Vector[] = [
  unknown(
    "unknown-field-127",
    "wire.unknown_field",
    "A field 127 follows the last one of the payload.",
    signDirective(join(payload, text(127, "x"))),
  ),
  family("E_WIRE_UNKNOWN_FIELD", "root")(
    "unknown-nested-field",
    "wire.unknown_field",
    "The safe-mode profile inside of a root has a field 127.",
    rootOf({}, { safe_mode: sized(at("Root", "safe_mode"), join(written("SafeMode", safeMode), text(127, "x"))) }),
  ),
  unknown(
    "unknown-field-inside-sig",
    "wire.unknown_field",
    "Each signature has a third field.",
    join(
      text(1, typeOf("directive")),
      sized(2, payload),
      ...signatures
        .toSorted((a, b) => compareBytes(a.key, b.key))
        .map(({ key, sig }) => sized(3, join(sized(1, key), sized(2, sig), text(3, "x")))),
    ),
  ),
  unknown(
    "field-number-0",
    "wire.unknown_field",
    "A field with number 0 follows the last one of the payload.",
    signDirective(join(payload, sized(0, [1]))),
  ),
  family("E_TRUST_CHAIN", "directive")(
    "nested-trust-update",
    "wire.unknown_field",
    "The envelope carries a roster of its own in a field 4.",
    join(base, sized(4, bases.roster3.envelope)),
  ),
];

const field = (key: string): number => at("Directive", key);
const byHand = (key: string, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  signDirective(directiveOf({}, { [key]: join(...parts) }));
const safeModeAt = at("Root", "safe_mode");
const innerSafeMode = written("SafeMode", safeMode);
const ascii = (value: string): Uint8Array => new TextEncoder().encode(value);

export const formVectors: readonly Vector[] = [
  form(
    "dup-seq",
    "wire.duplicate_field",
    "The generation stands twice.",
    byHand("generation", number(field("generation"), 8), number(field("generation"), 9)),
  ),
  family("E_WIRE_NONCANONICAL", "root")(
    "dup-submessage-merge",
    "wire.duplicate_field",
    "The safe-mode profile stands twice, half of it each time.",
    rootOf({}, { safe_mode: join(sized(safeModeAt, number(1, 8022)), sized(safeModeAt, number(2, 1))) }),
  ),
  form(
    "overlong-varint",
    "wire.not_canonical",
    "The generation is written with one byte more than needed.",
    byHand("generation", tag(field("generation"), 0), varint(8, 1)),
  ),
  form(
    "overlong-tag",
    "wire.not_canonical",
    "The tag of the generation is written with one byte more than needed.",
    byHand("generation", varint(8 * field("generation"), 1), varint(8)),
  ),
  form(
    "overlong-length",
    "wire.not_canonical",
    "The length of the note is written with one byte more than needed.",
    byHand("note", tag(field("note"), 2), varint(7, 1), ascii("vectors")),
  ),
  form(
    "u64-over-64-bits",
    "wire.out_of_range",
    "The generation is 2^64.",
    byHand("generation", tag(field("generation"), 0), varint(2n ** 64n)),
  ),
  form(
    "u32-wraps-to-zero",
    "wire.out_of_range",
    "The confirm window is 2^32, which some readers take for 0.",
    byHand("confirm_window_s", tag(field("confirm_window_s"), 0), varint(2n ** 32n)),
  ),
  family("E_WIRE_NONCANONICAL", "root")(
    "bool-2",
    "wire.out_of_range",
    "The solo flag is 2.",
    rootOf({}, { solo: number(at("Root", "solo"), 2) }),
  ),
  form(
    "oneof-both",
    "trust.not_fresh",
    "Challenge and beacon are both there; a directive has one of them.",
    signDirective(directiveOf({ beacon: world.beacon.digest, beacon_max_age_s: 7200 })),
  ),
  form(
    "descending-fields",
    "wire.not_canonical",
    "Parent comes before generation.",
    signDirective(
      directiveOf(
        {},
        {
          generation: join(sized(field("parent"), bases.directive().parent), number(field("generation"), 8)),
          parent: world.none,
        },
      ),
    ),
  ),
  form(
    "explicit-zero",
    "wire.not_canonical",
    "The beacon's age is written as 0 instead of left out.",
    byHand("beacon_max_age_s", number(field("beacon_max_age_s"), 0)),
  ),
  form(
    "group",
    "wire.wrong_type",
    "The generation is written as an empty group.",
    byHand("generation", tag(field("generation"), 3), tag(field("generation"), 4)),
  ),
  form(
    "wrong-wire-type",
    "wire.wrong_type",
    "The generation is written as 64 fixed bits.",
    byHand("generation", tag(field("generation"), 1), [8, 0, 0, 0, 0, 0, 0, 0]),
  ),
  family("E_WIRE_NONCANONICAL", "root")(
    "nested-overruns-parent",
    "wire.truncated",
    "The safe-mode profile is one byte shorter than its last field.",
    rootOf({}, { safe_mode: join(tag(safeModeAt, 2), varint(innerSafeMode.length - 1), innerSafeMode) }),
  ),
  form("truncated", "wire.truncated", "The last byte of the envelope is missing.", base.slice(0, -1)),
  form("trailing-byte", "wire.truncated", "The tag of one more signature follows the envelope.", join(base, [0x1a])),
  form("two-messages-concatenated", "wire.not_canonical", "The envelope stands twice in the file.", join(base, base)),
  form(
    "utf8-overlong",
    "wire.not_utf8",
    "The note holds a slash in two bytes, C0 AF.",
    byHand("note", sized(field("note"), [0xc0, 0xaf])),
  ),
  form(
    "utf8-surrogate",
    "wire.not_utf8",
    "The note holds half of a surrogate pair, ED A0 80.",
    byHand("note", sized(field("note"), [0xed, 0xa0, 0x80])),
  ),
];
