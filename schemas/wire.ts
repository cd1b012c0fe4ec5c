/**
 * Values to bytes and back. Every message has one form: `encode` writes it, `decode` takes nothing else. Keys are
 * those of the .proto (snake_case), uint64 is BigInt, enums are words, a message field is an object or null.
 */
import * as v from "valibot";
import { bigint, type Codec, codecs, type Long, long } from "../proto/gen/codecs.ts";
import { enums, type Field, messages } from "../proto/gen/table.ts";
import { equalBytes } from "./digest.ts";
import * as directive from "./directive.ts";
import * as intent from "./intent.ts";
import * as inventory from "./inventory.ts";
import { limits } from "./limits.ts";
import { done, type Problem, problem, type Result, refuse } from "./problem.ts";
import * as report from "./report.ts";
import { type ScanCaps, scan } from "./scan.ts";
import * as trust from "./trust.ts";

/** The schema of every message of proto/gen/table.ts. */
export const shapes = {
  Address: intent.InterfaceAddress,
  Answer: report.Answer,
  Beacon: report.Beacon,
  BlobChunk: directive.BlobChunk,
  BlobDelta: directive.BlobDelta,
  Bundle: directive.Bundle,
  BurntKey: inventory.BurntKey,
  ClassThreshold: trust.ClassThreshold,
  Client: inventory.Client,
  ClientKey: inventory.ClientKey,
  Confirm: directive.Confirm,
  ConfirmPolicy: intent.ConfirmPolicy,
  Constraint: intent.Constraint,
  Contract: intent.Contract,
  DeltaPart: directive.DeltaPart,
  Directive: directive.Directive,
  EnrolRequest: trust.EnrolRequest,
  EnrolToken: trust.EnrolToken,
  Envelope: trust.Envelope,
  EscrowKey: trust.EscrowKey,
  Families: intent.Families,
  Grant: inventory.Grant,
  Hints: inventory.Hints,
  Intent: intent.IntentDocument,
  Inventory: inventory.InventoryDocument,
  KeyReport: trust.KeyReport,
  Lane: report.Lane,
  Management: intent.Management,
  Masquerade: intent.Masquerade,
  Nat66: intent.Nat66,
  Network: intent.Network,
  Operator: trust.Operator,
  OperatorCard: trust.OperatorCard,
  PeerStatus: report.PeerStatus,
  Pending: report.Pending,
  Policy: intent.Policy,
  PortForward: intent.PortForward,
  PortRange: intent.PortRange,
  Probe: intent.Probe,
  ProbeReport: report.ProbeReport,
  Problem: report.ProblemShape,
  Profile: intent.Profile,
  Quarantined: report.Quarantined,
  Reach: intent.Reach,
  Receipt: report.Receipt,
  ReportedKey: trust.ReportedKey,
  Request: directive.Request,
  Root: trust.Root,
  RootKey: trust.RootKey,
  Roster: trust.Roster,
  RosterRouter: trust.RosterRouter,
  Route: intent.Route,
  Router: intent.Router,
  SafeMode: trust.SafeMode,
  SealedSecret: directive.SealedSecret,
  Secret: directive.Secret,
  Secrets: directive.Secrets,
  SelfRevoke: trust.SelfRevoke,
  Service: intent.Service,
  Signature: trust.Signature,
  Status: report.Status,
  Tombstone: inventory.Tombstone,
  Uplink: intent.Uplink,
  Zone: intent.Zone,
} as const satisfies Record<keyof typeof codecs, v.GenericSchema>;

export type MessageName = keyof typeof shapes;
export type Messages = { readonly [K in MessageName]: v.InferOutput<(typeof shapes)[K]> };

const MIB = 1024 * 1024;

/** What a whole message may weigh, and how many parts it may have; everything else is a document of trust. */
const caps: { readonly [K in MessageName]?: { readonly bytes: number; readonly elements?: number } } = {
  Answer: { bytes: limits.inventoryBytes },
  BlobDelta: { bytes: limits.requestBytes },
  Bundle: { bytes: limits.bundleBytes },
  Directive: { bytes: limits.directiveBytes },
  Envelope: { bytes: limits.inventoryBytes + MIB, elements: limits.signatures },
  Intent: { bytes: limits.intentBytes },
  Inventory: { bytes: limits.inventoryBytes },
  Receipt: { bytes: limits.receiptBytes },
  Request: { bytes: limits.requestBytes },
  Secrets: { bytes: limits.secretsBytes },
  Status: { bytes: limits.inventoryBytes },
};

function capsOf(name: MessageName): ScanCaps {
  const { bytes = limits.trustBytes, elements = limits.wireElements } = caps[name] ?? {};
  return { bytes, elements, depth: limits.wireDepth };
}

type Plain = Record<string, unknown>;

/** One field of a message, with all that both directions need at hand. */
type Slot = {
  readonly field: Field;
  readonly words: readonly string[];
  readonly numbers: ReadonlyMap<string, number>;
  readonly inner: readonly Slot[];
};

function slotsOf(name: string): readonly Slot[] {
  return (messages[name] ?? []).map((field) => {
    const words = field.type === "enum" ? (enums[field.of ?? ""] ?? []) : [];
    const inner = field.type === "message" ? slotsOf(field.of ?? "") : [];
    return { field, words, numbers: new Map(words.map((word, number) => [word, number])), inner };
  });
}

const slots = new Map(Object.keys(messages).map((name) => [name, slotsOf(name)]));

/** A value of the static code as a value of the schemas. Bytes are copied: the decoder hands out views. */
function fromCodec(slot: Slot, value: unknown): unknown {
  const { type } = slot.field;
  if (type === "message") return value === null ? null : plainOf(slot.inner, value as Plain);
  if (type === "bytes") return new Uint8Array(value as Uint8Array);
  if (type === "uint64") return bigint(value as Long);
  return type === "enum" ? slot.words[value as number] : value;
}

function plainOf(fields: readonly Slot[], raw: Plain): Plain {
  const plain: Plain = {};
  for (const slot of fields) {
    const { key, name, repeated } = slot.field;
    const value = raw[name];
    plain[key] = repeated ? (value as unknown[]).map((one) => fromCodec(slot, one)) : fromCodec(slot, value);
  }
  return plain;
}

function toCodec(slot: Slot, value: unknown): unknown {
  const { type } = slot.field;
  if (type === "message") return value === null ? undefined : codecOf(slot.inner, value as Plain);
  if (type === "uint64") return long(value as bigint);
  return type === "enum" ? slot.numbers.get(value as string) : value;
}

function codecOf(fields: readonly Slot[], plain: Plain): Plain {
  const raw: Plain = {};
  for (const slot of fields) {
    const { key, name, repeated } = slot.field;
    const value = plain[key];
    raw[name] = repeated ? (value as unknown[]).map((one) => toCodec(slot, one)) : toCodec(slot, value);
  }
  return raw;
}

/** Plain bytes, whatever buffer class the writer used. */
function written(name: MessageName, raw: object): Uint8Array {
  return new Uint8Array(codecs[name].encode(raw).finish());
}

/** Everything up to the shape: scan, decode, and the same bytes again. */
function read(name: MessageName, bytes: Uint8Array): Result<Plain> {
  const wrong = scan(name, bytes, capsOf(name));
  if (wrong !== undefined) return { ok: false, problems: [wrong] };
  const codec: Codec = codecs[name];
  try {
    const raw = codec.decode(bytes);
    if (!equalBytes(written(name, raw), bytes)) return refuse("wire.not_canonical", name, "it encodes to other bytes");
    return done(plainOf(slots.get(name) ?? [], raw));
  } catch (error) {
    // The scanner is the norm; a decoder that disagrees with it means that nothing is believed.
    return refuse("wire.not_canonical", name, `the decoder refuses it: ${printable(String(error))}`);
  }
}

/** Messages of a library may quote the value; they travel in reports, which take printable text only. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 256);
}

function shapeProblem(name: MessageName, issue: v.BaseIssue<unknown>): Problem {
  const steps = (issue.path ?? []).map((step) => (typeof step.key === "number" ? `[${step.key}]` : `.${step.key}`));
  return problem("wire.shape", printable(name + steps.join("")), printable(issue.message));
}

/** Equal as values of the schemas: bytes by content, objects by their own keys. */
function same(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array) return b instanceof Uint8Array && equalBytes(a, b);
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((one, i) => same(one, b[i]));
  if (typeof a !== "object" || a === null) return a === b;
  if (typeof b !== "object" || b === null || Object.keys(a).length !== Object.keys(b).length) return false;
  return Object.keys(a).every((key) => same((a as Plain)[key], (b as Plain)[key]));
}

/**
 * The bytes of a message. Throws when the value is not of its schema, is larger than the wire allows, or does not
 * come back as it went in: the static code would write a wrong value as zero without a word.
 */
export function encode<K extends MessageName>(name: K, value: Messages[K]): Uint8Array {
  const checked = v.safeParse(shapes[name] as v.GenericSchema, value, { abortEarly: true });
  if (!checked.success) {
    const { path, detail } = shapeProblem(name, checked.issues[0]);
    throw new Error(`encode: ${path}: ${detail}`);
  }
  const bytes = written(name, codecOf(slots.get(name) ?? [], value as Plain));
  const back = read(name, bytes);
  if (!back.ok) throw new Error(`encode ${name}: ${back.problems[0]?.code} ${back.problems[0]?.detail}`);
  if (!same(value, back.value)) throw new Error(`encode ${name}: the value does not survive its encoding`);
  return bytes;
}

/**
 * Reads a message: scan, decode on a private copy, re-encode to the same bytes, then its shape. The first thing
 * that is wrong refuses it (codes wire.*). Never throws for any bytes, and the result shares none with the input.
 */
export function decode<K extends MessageName>(name: K, bytes: Uint8Array): Result<Messages[K]> {
  if (bytes.length > capsOf(name).bytes) {
    return refuse("wire.too_large", name, `more than ${capsOf(name).bytes} bytes`);
  }
  const plain = read(name, new Uint8Array(bytes));
  if (!plain.ok) return plain;
  const checked = v.safeParse(shapes[name] as v.GenericSchema, plain.value, { abortEarly: true });
  if (!checked.success) return { ok: false, problems: [shapeProblem(name, checked.issues[0])] };
  return done(checked.output as Messages[K]);
}
