/** Values of every message to bytes and back, against a writer of the tests' own. */
import { describe, expect, test } from "bun:test";
import { messages } from "../../proto/gen/table.ts";
import { equalBytes } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { decode, encode, type MessageName, type Messages } from "../../schemas/wire.ts";
import * as wire from "./bytes.ts";
import { samples } from "./samples.ts";

const names = Object.keys(messages) as MessageName[];
const value = (name: MessageName): Record<string, unknown> => samples[name] as Record<string, unknown>;

/** encode() on a value that need not fit its message. */
const encodeAny = (name: MessageName, any: unknown): Uint8Array => encode(name, any as Messages[typeof name]);

describe("every message", () => {
  test("has a sample in which no field is absent", () => {
    expect(Object.keys(samples).sort()).toEqual([...names].sort());
    for (const name of names) {
      for (const field of messages[name]!) {
        const bare = { ...value(name), [field.key]: field.repeated ? [] : null };
        expect(wire.message(name, bare).length).toBeLessThan(wire.message(name, value(name)).length);
      }
    }
  });

  for (const name of names) {
    test(`${name}: the bytes are those of the other writer, and come back as the value`, () => {
      const encoded = encodeAny(name, value(name));
      expect(equalBytes(encoded, wire.message(name, value(name)))).toBe(true);
      const back = decode(name, encoded);
      expect(back).toEqual({ ok: true, value: value(name) } as never);
    });

    test(`${name}: cut short or with one bit turned it is refused, or is another value's one form`, () => {
      const encoded = encodeAny(name, value(name));
      const others = [
        ...Array.from(encoded, (_, length) => encoded.subarray(0, length)),
        ...Array.from({ length: encoded.length * 8 }, (_, bit) => {
          const turned = new Uint8Array(encoded);
          turned[bit >> 3] = turned[bit >> 3]! ^ (1 << (bit & 7));
          return turned;
        }),
      ];
      for (const other of others) {
        const read = decode(name, other);
        if (read.ok && !equalBytes(encodeAny(name, read.value), other)) throw new Error(`two forms: ${other.toHex()}`);
        if (!read.ok) expect(read.problems[0]?.code).toStartWith("wire.");
      }
    });
  }
});

describe("decode", () => {
  test("absent fields are zeros, empty lists and null", () => {
    const status = { ...samples.Status, pending: null, lanes: [], drift: false, uptime_ms: 0n, drift_detail: "" };
    const encoded = encode("Status", status);
    expect(encoded.length).toBe(wire.message("Status", status).length);
    expect(decode("Status", encoded)).toEqual({ ok: true, value: status });
  });

  test("an absent message field, or an enum that was left out, is refused where the schema needs it", () => {
    const code = (name: MessageName, any: Record<string, unknown>): unknown => {
      const read = decode(name, wire.message(name, any));
      return read.ok ? "accepted" : [read.problems[0]?.code, read.problems[0]?.path];
    };
    expect(code("Root", { ...samples.Root, safe_mode: null })).toEqual(["wire.shape", "Root.safe_mode"]);
    expect(code("Client", { ...samples.Client, hints: null })).toEqual(["wire.shape", "Client.hints"]);
    expect(code("Confirm", { ...samples.Confirm, verdict: null })).toEqual(["wire.shape", "Confirm.verdict"]);
  });

  test("the value shares no bytes with the input", () => {
    const encoded = encode("Envelope", samples.Envelope);
    const read = decode("Envelope", encoded);
    encoded.fill(0);
    expect(read).toEqual({ ok: true, value: samples.Envelope });
  });

  test("takes any kind of byte array and gives plain ones", () => {
    const read = decode("Signature", Buffer.from(encode("Signature", samples.Signature)));
    expect(read).toEqual({ ok: true, value: samples.Signature });
    if (read.ok) expect(read.value.key.constructor).toBe(Uint8Array);
  });

  test("64-bit numbers are exact from 1 to 2^64-1", () => {
    for (const packets of [1n, 2n ** 31n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      const read = decode("Lane", encode("Lane", { ...samples.Lane, packets }));
      expect(read.ok && read.value.packets).toBe(packets);
    }
  });

  test("a refusal never carries unprintable text", () => {
    const read = decode("Directive", wire.message("Directive", { ...samples.Directive, commit: "\n\u0007é" }));
    expect(read.ok ? "" : read.problems[0]?.code).toBe("wire.shape");
    expect(read.ok ? "" : read.problems[0]?.detail).toMatch(/^[\x20-\x7e]+$/);
  });

  test("what is larger than its kind may be is refused unread", () => {
    const large: readonly [MessageName, number][] = [
      ["Directive", limits.directiveBytes],
      ["Intent", limits.intentBytes],
      ["Inventory", limits.inventoryBytes],
      ["Request", limits.requestBytes],
      ["Root", limits.trustBytes],
    ];
    for (const [name, most] of large) {
      const read = decode(name, new Uint8Array(most + 1));
      expect(read.ok ? "" : read.problems[0]?.code).toBe("wire.too_large");
      const within = decode(name, new Uint8Array(most));
      expect(within.ok ? "" : within.problems[0]?.code).toBe("wire.unknown_field");
    }
  });

  test("an envelope with more signatures than may be is refused before any of them is read", () => {
    const many = Array.from({ length: limits.signatures + 1 }, (_, i) => ({
      key: wire.bytes(32, i),
      sig: wire.bytes(64, i),
    }));
    const read = decode("Envelope", wire.message("Envelope", { ...samples.Envelope, signatures: many }));
    expect(read.ok ? "" : read.problems[0]?.code).toBe("wire.limit");
  });

  test("millions of empty entries are refused by count, not by memory", () => {
    const read = decode("Inventory", Buffer.alloc(8_000_000, Buffer.from("1200", "hex")));
    expect(read.ok ? "" : read.problems[0]?.code).toBe("wire.limit");
  });

  test("an inventory of 50,000 clients is read in seconds", () => {
    const clients = Array.from({ length: limits.clients }, (_, i) => ({ ...samples.Client, id: `c${i}` }));
    const encoded = encode("Inventory", { ...samples.Inventory, clients });
    expect(encoded.length).toBeGreaterThan(10_000_000);
    const started = performance.now();
    const read = decode("Inventory", encoded);
    expect(read.ok && read.value.clients.length).toBe(limits.clients);
    expect(performance.now() - started).toBeLessThan(20_000);
  }, 90_000);
});

describe("encode", () => {
  const wrong: Readonly<Record<string, readonly [MessageName, unknown]>> = {
    "a missing field": ["Lane", { name: "rescue", changed: true, proven: true }],
    "a misspelt field": ["Lane", { ...samples.Lane, provn: true }],
    "a number for a 64-bit field": ["Lane", { ...samples.Lane, packets: 5 }],
    "a negative number": ["Lane", { ...samples.Lane, packets: -1n }],
    "a fraction": ["SafeMode", { ...samples.SafeMode, api_port: 1.5 }],
    "text for bytes": ["RootKey", { ...samples.RootKey, key: "A".repeat(32) }],
    "an unknown word": ["RootKey", { ...samples.RootKey, role: "owner" }],
    "a word of the refused zero": ["RootKey", { ...samples.RootKey, role: "unspecified" }],
    "null for a message that must be there": ["Root", { ...samples.Root, safe_mode: null }],
    "a field that only has a default in files": ["PortRange", { protocol: "tcp", from: 1 }],
    "a lone surrogate": ["Client", { ...samples.Client, owner: "\ud800" }],
  };
  for (const [what, [name, any]] of Object.entries(wrong)) {
    test(`${what} is a bug`, () => expect(() => encodeAny(name, any)).toThrow(/encode/));
  }

  test("a value that is larger than the wire takes is a bug", () => {
    const notes = Array.from({ length: 64 }, () => "wg:abcdefghijklmnopqrstuvwxyz0123");
    const trust = Array.from({ length: 32 }, () => new Uint8Array(limits.trustBytes));
    expect(encode("Directive", { ...samples.Directive, accept_unproven: notes }).length).toBeGreaterThan(2000);
    expect(() => encode("Request", { ...samples.Request, trust })).toThrow("wire.too_large");
  });
});
