/**
 * `npm run decode-fuzz -- --seed N --inputs M [--only k]`: random and mutated byte strings into decode() and
 * openStatement(). Every input that counts is refused. Made again are mutations that change nothing, and those of a
 * bare message that happen to be the one form of another value; a changed statement has no such way out.
 */
import { openStatement, signStatement } from "../../agent/core/dsse.ts";
import { equalBytes } from "../../schemas/digest.ts";
import { decode, encode, type MessageName } from "../../schemas/wire.ts";
import { crypto, directive, keyReport, request, root1, roster1, signer } from "../trust/documents.ts";
import { samples } from "../wire/samples.ts";
import { Miss, type Random, runCampaign } from "./campaign.ts";

const names = Object.keys(samples) as MessageName[];
const messages = names.map((name) => ({ name, bytes: encode(name, samples[name] as never) }));

// One signature each: without one of two an envelope is still whole, which is not a decoder's business.
const by = [signer("router")];
const statements = [
  root1,
  roster1,
  keyReport,
  signStatement(crypto, "directive", directive(), by),
  signStatement(crypto, "confirm", samples.Confirm, by),
  signStatement(crypto, "receipt", samples.Receipt, by),
  signStatement(crypto, "enrol-request", samples.EnrolRequest, by),
  signStatement(crypto, "request", request(), by),
  signStatement(crypto, "answer", samples.Answer, by),
];

const noise = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => random(256));

/** A piece of `bytes` from a random place. */
function piece(random: Random, bytes: Uint8Array, most: number): Uint8Array {
  const start = random(bytes.length + 1);
  return bytes.subarray(start, start + random(most + 1));
}

function splice(bytes: Uint8Array, start: number, gone: number, put: Uint8Array): Uint8Array {
  const tail = bytes.subarray(start + gone);
  const out = new Uint8Array(start + put.length + tail.length);
  out.set(bytes.subarray(0, start));
  out.set(put, start);
  out.set(tail, start + put.length);
  return out;
}

/** Bytes that mean something on the wire, put where they may mean something else. */
const TELLING = [0, 1, 2, 7, 0x7f, 0x80, 0xff].map((byte) => Uint8Array.of(byte));
const OVERLONG = [Uint8Array.of(0x80, 0), Uint8Array.of(0x81, 0x80, 0), new Uint8Array(10).fill(0xff)];

/** One change of one kind; it may by chance change nothing. */
function mutate(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const at = random(bytes.length + 1);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  switch (random(9)) {
    case 0: {
      const turned = new Uint8Array(bytes);
      const bit = random(bytes.length * 8);
      turned[bit >> 3] = turned[bit >> 3]! ^ (1 << (bit & 7));
      return turned;
    }
    case 1:
      return splice(bytes, at, 1, noise(random, 1));
    case 2:
      return splice(bytes, at, 1, pick(TELLING));
    case 3:
      return splice(bytes, at, random(2), pick(OVERLONG));
    case 4:
      return bytes.slice(0, at);
    case 5:
      return splice(bytes, at, random(32), new Uint8Array());
    case 6:
      return splice(bytes, at, 0, piece(random, bytes, 40));
    case 7:
      return splice(bytes, at, random(40), piece(random, other, 40));
    default:
      return splice(bytes, at, 0, noise(random, 1 + random(8)));
  }
}

function changed(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let out = bytes;
  for (let left = 1 + random(3); left > 0; left -= 1) out = mutate(random, out, other);
  return out;
}

/** What an input led to. "idle" proves nothing: the bytes did not change, or are the one form of another value. */
type Fate = "refused" | "idle" | "accepted" | "crashed";
type Tried = { readonly fate: Fate; readonly what: string };

/** Runs a reader, which says whether the bytes were refused, and sees that it leaves them alone. */
function tried(what: string, input: Uint8Array, read: (bytes: Uint8Array) => Fate): Tried {
  const before = new Uint8Array(input);
  const told = `${what} ${before.toHex()}`;
  try {
    const fate = read(input);
    return equalBytes(input, before) ? { fate, what: told } : { fate: "crashed", what: `${told}: input overwritten` };
  } catch (error) {
    return { fate: "crashed", what: `${told}: ${error}` };
  }
}

/** A bare message: every value has one form, so what is taken must be written as the very same bytes. */
function tryMessage(random: Random): Tried {
  const from = messages[random(messages.length)]!;
  const other = messages[random(messages.length)]!;
  const name = random(4) === 0 ? other.name : from.name;
  const input = random(5) === 0 ? noise(random, random(200)) : changed(random, from.bytes, other.bytes);
  return tried(name, input, (bytes) => {
    const read = decode(name, bytes);
    if (!read.ok) return "refused";
    return equalBytes(encode(name, read.value as never), bytes) ? "idle" : "accepted";
  });
}

/** A statement: a changed one is never taken, not even as another valid value. */
function tryStatement(random: Random): Tried {
  const from = statements[random(statements.length)]!;
  const other = statements[random(statements.length)]!;
  const kind = random(8) === 0 ? other.kind : from.kind;
  const input = random(8) === 0 ? noise(random, random(300)) : changed(random, from.envelope, other.envelope);
  return tried(kind, input, (bytes) => {
    const read = openStatement(crypto, kind, bytes);
    if (statements.some((one) => equalBytes(one.envelope, bytes))) return "idle";
    return read.ok ? "accepted" : "refused";
  });
}

const code = await runCampaign(
  {
    name: "decode-fuzz",
    size: "inputs",
    cases: 1_000_000,
    one({ random }) {
      for (;;) {
        const { fate, what } = random(2) === 0 ? tryMessage(random) : tryStatement(random);
        if (fate === "refused") return {};
        if (fate !== "idle") throw new Miss(`${fate}: ${what}`, { [fate]: 1 });
      }
    },
    line: ({ accepted = 0, crashed = 0 }, inputs) => ({ inputs, accepted, crashed }),
  },
  process.argv.slice(2),
);
process.exit(code);
