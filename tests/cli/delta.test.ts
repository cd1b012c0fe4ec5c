/** Differences between blobs: small where little changed, exact always, and bounded whatever somebody claims. */
import { describe, expect, test } from "bun:test";
import { applyDelta } from "../../agent/core/delta.ts";
import { makeDelta } from "../../client/delta.ts";
import { sha256 } from "../../schemas/digest.ts";
import type { BlobDelta, DeltaPart } from "../../schemas/directive.ts";
import { limits } from "../../schemas/limits.ts";
import { encode } from "../../schemas/wire.ts";

/** Bytes that look random and are the same each time (xorshift). */
function noise(length: number, seed: number): Uint8Array {
  let state = seed * 2654435761 + 1;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}

const deltaOf = (base: Uint8Array, next: Uint8Array, parts: readonly DeltaPart[]): BlobDelta => ({
  ...{ digest: sha256(next), size: next.length, base: sha256(base), parts: [...parts] },
});

/** Makes and applies; returns the bytes that the parts carry themselves. */
function roundTrip(base: Uint8Array, next: Uint8Array): number {
  const parts = makeDelta(base, next);
  if (parts === undefined) throw new Error("no delta");
  const delta = deltaOf(base, next, parts);
  encode("BlobDelta", delta); // it has a form on the wire
  expect(applyDelta(base, delta)).toEqual({ ok: true, value: next });
  return parts.reduce((sum, part) => sum + part.data.length, 0);
}

describe("a delta", () => {
  test("of one change in a large blob is about as large as the change", () => {
    const base = noise(2_000_000, 1);
    const next = new Uint8Array([...base.slice(0, 1_000_003), ...noise(100, 2), ...base.slice(1_000_020)]);
    expect(roundTrip(base, next)).toBe(100);
    expect(roundTrip(base, base)).toBe(0);
  });

  test("finds what moved, went, came and stands twice, at every place", () => {
    const base = noise(5000, 3);
    const piece = (from: number, to: number): number[] => [...base.slice(from, to)];
    expect(roundTrip(base, new Uint8Array([...piece(3000, 5000), ...piece(0, 3000)]))).toBe(0);
    expect(roundTrip(base, new Uint8Array([...piece(0, 4000), ...piece(0, 4000)]))).toBe(0);
    for (let at = 0; at < 5000; at += 97) {
      expect(roundTrip(base, new Uint8Array([...piece(0, at), 1, 2, 3, ...piece(at, 5000)]))).toBeLessThan(40);
      const without = new Uint8Array([...piece(0, at), ...piece(at + 5, 5000)]);
      expect(roundTrip(base, without)).toBeLessThan(40);
    }
  });

  test("of blobs that have nothing in common, of tiny ones, and of one byte that repeats", () => {
    expect(roundTrip(noise(3000, 4), noise(3000, 5))).toBe(3000);
    expect(roundTrip(new Uint8Array(), noise(31, 6))).toBe(31);
    expect(roundTrip(noise(31, 7), noise(31, 7))).toBe(31);
    expect(roundTrip(new Uint8Array(4000), new Uint8Array(4096))).toBeLessThan(200);
    // Too much for one request: the whole blob goes instead.
    expect(makeDelta(new Uint8Array(), noise(limits.chunkBytes + 1, 8))).toBeUndefined();
  });
});

describe("a delta of somebody who lies", () => {
  const base = noise(1000, 9);
  const next = noise(100, 10);
  const copy = (offset: number, length: number, data: Uint8Array = new Uint8Array()): DeltaPart => ({
    offset,
    length,
    data,
  });
  const codes = (delta: BlobDelta): readonly string[] => {
    const made = applyDelta(base, delta);
    return made.ok ? [] : made.problems.map((one) => one.code);
  };

  test("reaches past its base, adds nothing, or has another length: blob.delta", () => {
    for (const parts of [
      [copy(901, 100)],
      [copy(limits.secretsBytes, limits.secretsBytes)],
      [copy(1001, 0, next)],
      [copy(0, 0), copy(0, 100)],
      [copy(0, 99)],
      [copy(0, 101)],
      [],
      Array.from({ length: 1000 }, () => copy(0, 1000)),
    ]) {
      expect(codes(deltaOf(base, next, parts))).toEqual(["blob.delta"]);
    }
  });

  test("makes other bytes than it promises: blob.digest", () => {
    expect(codes(deltaOf(base, next, [copy(0, 100)]))).toEqual(["blob.digest"]);
    expect(codes(deltaOf(base, next, [copy(0, 0, next)]))).toEqual([]);
  });

  test("more parts or larger ones than a request carries have no form on the wire", () => {
    const many = Array.from({ length: limits.deltaParts + 1 }, () => copy(0, 1));
    expect(() => encode("BlobDelta", deltaOf(base, next, many))).toThrow(/parts/);
    const large = [copy(0, 0, new Uint8Array(limits.chunkBytes + 1))];
    expect(() => encode("BlobDelta", deltaOf(base, next, large))).toThrow(/data/);
  });
});
