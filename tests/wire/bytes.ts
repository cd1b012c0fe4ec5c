/** A writer of wire bytes that shares nothing with the code under test, and writes wrong bytes when asked to. */
import { enums, type Field, messages } from "../../proto/gen/table.ts";

/** `length` bytes that start with `from` and count up. */
export function bytes(length: number, from: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (from + i) % 256);
}

export function join(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Minimal varint; `pad` more bytes make it overlong. */
export function varint(value: number | bigint, pad = 0): Uint8Array {
  const out: number[] = [];
  let rest = BigInt(value);
  do {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  } while (rest > 0n);
  for (let i = 0; i < pad; i += 1) out.push(128);
  out[out.length - 1] = out[out.length - 1]! & 127;
  return Uint8Array.from(out);
}

export const tag = (number: number, type: number): Uint8Array => varint(number * 8 + type);
export const number = (field: number, value: number | bigint): Uint8Array => join(tag(field, 0), varint(value));
export const sized = (field: number, data: Uint8Array | readonly number[]): Uint8Array =>
  join(tag(field, 2), varint(data.length), data);
export const text = (field: number, value: string): Uint8Array => sized(field, new TextEncoder().encode(value));

function single(field: Field, value: unknown): Uint8Array {
  switch (field.type) {
    case "string":
      return text(field.number, value as string);
    case "bytes":
      return sized(field.number, value as Uint8Array);
    case "message":
      return sized(field.number, message(field.of!, value as Record<string, unknown>));
    case "enum":
      return number(field.number, enums[field.of!]!.indexOf(value as string));
    case "bool":
      return number(field.number, value === true ? 1 : 0);
    default:
      return number(field.number, value as number | bigint);
  }
}

const isZero = (value: unknown): boolean =>
  [0, 0n, false, "", null, undefined].includes(value as 0) || (value instanceof Uint8Array && value.length === 0);

/** A message from a value in the form of the schemas, without asking whether it is one. */
export function message(name: string, value: Readonly<Record<string, unknown>>): Uint8Array {
  return join(
    ...messages[name]!.flatMap((field) => {
      const given = value[field.key];
      if (field.repeated) return (given as readonly unknown[]).map((one) => single(field, one));
      return isZero(given) ? [] : [single(field, given)];
    }),
  );
}
