/**
 * Own strict reader of the wire, before any decoder: one byte string per value, or a refusal. protobufjs takes
 * duplicates, unknown fields, overlong numbers and wrapped ones without a word (measured), and two parsers that
 * read one statement in two ways break what a signature means. Builds nothing, so hostile bytes cost no memory.
 */
import { enums, type Field, messages } from "../proto/gen/table.ts";
import { limits } from "./limits.ts";
import { type Problem, problem } from "./problem.ts";

/** Messages and enums as in proto/gen/table.ts; tests bring tables of their own. */
export type WireTable = {
  readonly messages: Readonly<Record<string, readonly Field[]>>;
  readonly enums: Readonly<Record<string, readonly string[]>>;
};

/** Bytes of the whole, list entries and nested messages together, levels below the top. */
export type ScanCaps = { readonly bytes: number; readonly elements: number; readonly depth: number };

type Slot = { readonly field: Field; readonly values: number; readonly target: Plan | undefined };
type Plan = { readonly slots: (Slot | undefined)[] }; // by field number

type State = {
  readonly bytes: Uint8Array;
  readonly caps: ScanCaps;
  pos: number;
  elements: number;
  code: string; // "" until something is wrong
  detail: string;
  path: string; // grows from the inside out while the walk returns
};

const U32 = 5; // bytes of the longest varint
const U64 = 10;
const VARINT = 0;
const LENGTH = 2;

function planOf(table: WireTable, name: string, made: Map<string, Plan>): Plan {
  const known = made.get(name);
  if (known !== undefined) return known;
  const fields = table.messages[name];
  if (fields === undefined) throw new Error(`no message ${name} in the table`);
  const plan: Plan = { slots: [] };
  made.set(name, plan);
  for (const field of fields) {
    const values = field.type === "enum" ? (table.enums[field.of ?? ""]?.length ?? 0) : 0;
    const target = field.type === "message" ? planOf(table, field.of ?? "", made) : undefined;
    plan.slots[field.number] = { field, values, target };
  }
  return plan;
}

const plans = new WeakMap<WireTable, Map<string, Plan>>();
const houseTable: WireTable = { messages, enums };

function fail(state: State, code: string, detail: string): false {
  state.code = code;
  state.detail = `${detail}, at byte ${state.pos}`;
  return false;
}

/**
 * Reads a varint of at most `most` bytes (U32 or U64); -1 when it is refused. Exact up to 32 bits; a 64-bit value
 * is only ever compared with zero here.
 */
function varint(state: State, end: number, most: number): number {
  const { bytes } = state;
  let value = 0;
  let scale = 1;
  for (let i = 0; ; i += 1) {
    if (state.pos >= end) {
      fail(state, "wire.truncated", "the number is cut off");
      return -1;
    }
    const byte = bytes[state.pos]!;
    // The last byte holds what is left of 32 or 64 bits: four bits, or one.
    if (i === most - 1 && byte > (most === U32 ? 15 : 1)) {
      fail(state, "wire.out_of_range", `the number does not fit in ${most === U32 ? 32 : 64} bits`);
      return -1;
    }
    state.pos += 1;
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) {
      if (byte !== 0 || i === 0) return value;
      fail(state, "wire.not_canonical", "the number is written longer than needed");
      return -1;
    }
  }
}

/** Length of the UTF-8 sequence at `at`, 0 when there is none (RFC 3629: no overlong form, surrogate or 10FFFF+). */
function sequence(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!;
  const size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (size === 0 || at + size > end) return 0;
  const second = bytes[at + 1]!;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < size; i += 1) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0;
  return size;
}

function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    const size = bytes[at]! < 0x80 ? 1 : sequence(bytes, at, end);
    if (size === 0) return false;
    at += size;
  }
  return true;
}

/** One scalar that is a varint. In a list zero is a value; elsewhere it is written by being absent. */
function scalar(state: State, slot: Slot, end: number, inList: boolean): boolean {
  const { type } = slot.field;
  const value = varint(state, end, type === "uint64" ? U64 : U32);
  if (value < 0) return false;
  if (type === "enum" && (value === 0 || value >= slot.values)) {
    return fail(state, "wire.unknown_word", `${value} is no value of ${slot.field.of}`);
  }
  if (type === "bool" && value > 1) return fail(state, "wire.out_of_range", "a bool is 0 or 1");
  if (value === 0 && !inList) return fail(state, "wire.not_canonical", "a zero is written by leaving it out");
  return true;
}

function count(state: State): boolean {
  state.elements += 1;
  if (state.elements <= state.caps.elements) return true;
  return fail(state, "wire.limit", `more than ${state.caps.elements} elements`);
}

function packed(state: State, slot: Slot, end: number): boolean {
  if (state.pos === end) return fail(state, "wire.not_canonical", "an empty list is written by leaving it out");
  while (state.pos < end) if (!count(state) || !scalar(state, slot, end, true)) return false;
  return true;
}

/** The body of a field with a length: text, bytes, packed numbers or a message. */
function body(state: State, slot: Slot, end: number, depth: number): boolean {
  const { field } = slot;
  const length = varint(state, end, U32);
  if (length < 0) return false;
  const stop = state.pos + length;
  if (stop > end) return fail(state, "wire.truncated", "the length runs past the end");
  if (field.type === "message") {
    if (depth >= state.caps.depth) return fail(state, "wire.limit", `more than ${state.caps.depth} levels`);
    return count(state) && walk(state, slot.target!, stop, depth + 1);
  }
  if (field.packed) return packed(state, slot, stop);
  if (field.repeated) {
    if (!count(state)) return false;
  } else if (length === 0) return fail(state, "wire.not_canonical", "an empty value is written by leaving it out");
  if (field.type === "string" && !isUtf8(state.bytes, state.pos, stop)) {
    return fail(state, "wire.not_utf8", "the text is not UTF-8");
  }
  state.pos = stop;
  return true;
}

/** Length-delimited for everything but single numbers; lists of numbers are packed. */
function wireType(field: Field): number {
  const sized = field.packed || field.type === "string" || field.type === "bytes" || field.type === "message";
  return sized ? LENGTH : VARINT;
}

function walk(state: State, plan: Plan, end: number, depth: number): boolean {
  let last = 0;
  let index = 0;
  while (state.pos < end) {
    const tag = varint(state, end, U32);
    if (tag < 0) return false;
    const number = Math.floor(tag / 8);
    const slot = plan.slots[number];
    if (slot === undefined) return fail(state, "wire.unknown_field", `field ${number} is not known`);
    const { field } = slot;
    index = number === last ? index + 1 : 0;
    if (number < last) fail(state, "wire.not_canonical", "fields must ascend");
    else if (index > 0 && (!field.repeated || field.packed)) fail(state, "wire.duplicate_field", "given twice");
    else if (tag % 8 !== wireType(field))
      fail(state, "wire.wrong_type", `wire type ${tag % 8} is not that of the field`);
    else if (wireType(field) === LENGTH) body(state, slot, end, depth);
    else scalar(state, slot, end, false);
    if (state.code !== "") {
      state.path = `.${field.key}${field.repeated ? `[${index}]` : ""}${state.path}`;
      return false;
    }
    last = number;
  }
  return true;
}

/**
 * Reads `bytes` as message `name` and returns what is wrong first, or undefined. Never throws for any bytes; throws
 * for a name that the table lacks. Rules: known fields only, ascending, single ones once, right wire type, minimal
 * varints within their width, no zero written out, enums in range, UTF-8, lengths inside their message, and the caps.
 */
export function scan(
  name: string,
  bytes: Uint8Array,
  caps: ScanCaps = { bytes: limits.secretsBytes, elements: limits.wireElements, depth: limits.wireDepth },
  table: WireTable = houseTable,
): Problem | undefined {
  if (bytes.length > caps.bytes) return problem("wire.too_large", name, `more than ${caps.bytes} bytes`);
  const made = plans.get(table) ?? new Map<string, Plan>();
  plans.set(table, made);
  const plan = planOf(table, name, made);
  const state: State = { bytes, caps, pos: 0, elements: 0, code: "", detail: "", path: "" };
  if (walk(state, plan, bytes.length, 1)) return undefined;
  return problem(state.code, name + state.path, state.detail);
}
