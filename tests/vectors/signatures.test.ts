/**
 * The classes of hostile Ed25519 signatures that the published collections sort by (low order, mixed order, other
 * spellings, of A and of R, S + L, k over a re-spelt point), computed here on the curve: nothing that is admitted as
 * a key verifies any of them. The published files themselves are not part of this repository.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
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
import { join } from "../wire/bytes.ts";
import { pae, signPair, typeOf } from "./raw.ts";
import { crypto } from "./world.ts";

setDefaultTimeout(240_000); // big numbers without a library are slow

const message = pae(typeOf("directive"), new TextEncoder().encode("vectors"));
const PRIME = 2n ** 255n - 19n;

const sha512 = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(new Bun.CryptoHasher("sha512").update(join(...parts)).digest());

/** The secret scalar of a key pair (RFC 8032 §5.1.5). */
function scalarOf(name: string): bigint {
  const half = sha512(signPair(name).privateKey.slice(0, 32)).slice(0, 32);
  half[0] = half[0]! & 248;
  half[31] = (half[31]! & 127) | 64;
  return readScalar(half);
}

/** A point under one of its spellings, and the multiple of the base point that is in it. */
type Spelt = { readonly what: string; readonly scalar: bigint; readonly point: Point; readonly bytes: Uint8Array };

const plain = (what: string, scalar: bigint, extra: Point): Spelt => {
  const point = add(multiply(scalar, basePoint), extra);
  return { what, scalar, point, bytes: encodePoint(point) };
};

/** Spellings that a lax reader takes for a point of small order: y + p, or a sign that x = 0 has not. */
function otherSpellings(): Spelt[] {
  return torsion.flatMap((point, n): Spelt[] => {
    const [x, y] = point;
    const sign = (x & 1n) << 255n;
    const spelt = (value: bigint, how: string): Spelt => ({
      what: `small order ${n}, ${how}`,
      scalar: 0n,
      point,
      bytes: writeScalar(value),
    });
    return [
      ...(y < 19n ? [spelt((y + PRIME) | sign, "y + p")] : []),
      ...(x === 0n ? [spelt(y | (1n << 255n), "the other sign")] : []),
      ...(x === 0n && y < 19n ? [spelt((y + PRIME) | (1n << 255n), "both")] : []),
    ];
  });
}

const nobody: Point = torsion[0]!;
const family = (scalar: bigint): { readonly honest: Spelt; readonly hostile: readonly Spelt[] } => ({
  honest: plain("honest", scalar, nobody),
  hostile: [
    ...torsion.map((point, n) => plain(`small order ${n}`, 0n, point)),
    ...torsion.slice(1).map((point, n) => plain(`mixed order ${n + 1}`, scalar, point)),
    ...otherSpellings(),
  ],
});
const keys = family(scalarOf("ann") % GROUP_ORDER);
const nonces = family(987_654_321_987_654_321n);

/** S that fits R and A without their parts of small order; `k` over the bytes as given, or spelt canonically. */
function sign(a: Spelt, r: Spelt, respelt: boolean): Uint8Array {
  const [rBytes, aBytes] = respelt ? [encodePoint(r.point), encodePoint(a.point)] : [r.bytes, a.bytes];
  const k = readScalar(sha512(rBytes, aBytes, message)) % GROUP_ORDER;
  return join(r.bytes, writeScalar((r.scalar + k * a.scalar) % GROUP_ORDER));
}

const counts = (key: Uint8Array, signature: Uint8Array): boolean =>
  crypto.admitsSignKey(key) && crypto.verify(signature, message, key);

describe("hostile signatures", () => {
  test("the honest one counts, so the arithmetic is right", () => {
    expect(keys.honest.bytes).toEqual(signPair("ann").publicKey);
    expect(counts(keys.honest.bytes, sign(keys.honest, nonces.honest, false))).toBe(true);
  });

  test("every class is there", () => {
    const sorts = (list: readonly Spelt[]): number[] =>
      [/^small order \d$/, /^mixed/, /y \+ p$/, /other sign$/, /both$/].map(
        (pattern) => list.filter(({ what }) => pattern.test(what)).length,
      );
    expect(sorts(keys.hostile)).toEqual([8, 7, 3, 2, 1]);
  });

  for (const respelt of [false, true]) {
    test(`none counts under any key, k over the ${respelt ? "canonical spelling" : "bytes as sent"}`, () => {
      const counted: string[] = [];
      for (const a of [keys.honest, ...keys.hostile]) {
        for (const r of [nonces.honest, ...nonces.hostile]) {
          if (a === keys.honest && r === nonces.honest) continue;
          if (counts(a.bytes, sign(a, r, respelt))) counted.push(`${a.what} / ${r.what}`);
        }
      }
      expect(counted).toEqual([]);
    });
  }

  test("without the admission of keys some would verify, so the refusal is not luck", () => {
    // k decides whether the small part vanishes: a few tries find one.
    const tries = Array.from({ length: 40 }, (_, n) => plain("", 1000n + BigInt(n), nobody));
    const mixed = keys.hostile.filter(({ what }) => what.startsWith("mixed"));
    const verified = mixed.filter((a) => tries.some((r) => crypto.verify(sign(a, r, false), message, a.bytes)));
    expect(verified.length).toBe(7);
  });

  test("S + n L is refused for every n that fits 256 bits", () => {
    const good = sign(keys.honest, nonces.honest, false);
    const s = readScalar(good.slice(32));
    let tried = 0;
    for (let more = s + GROUP_ORDER; more < 2n ** 256n; more += GROUP_ORDER) {
      expect(counts(keys.honest.bytes, join(good.slice(0, 32), writeScalar(more)))).toBe(false);
      tried += 1;
    }
    expect(tried).toBeGreaterThan(13);
  });
});
