/** Which keys and signatures count: the hostile ones are made here, by arithmetic on the curve. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { type Crypto, selfTest } from "../../agent/core/crypto.ts";
import { equalCodes, fromHex, hmacSha256, toHex } from "../../schemas/digest.ts";
import { bytes } from "../wire/bytes.ts";
import {
  add,
  basePoint,
  encodePoint,
  GROUP_ORDER,
  multiply,
  readPoint,
  readScalar,
  torsion,
  writeScalar,
} from "./curve.ts";
import { box, crypto, signer } from "./documents.ts";

const message = new TextEncoder().encode("holdfast");
const keys = signer("ada");
const signature = crypto.sign(message, keys.secretKey);
const key = readPoint(keys.publicKey)!;

const hash = (...parts: Uint8Array[]): bigint =>
  readScalar(createHash("sha512").update(Buffer.concat(parts)).digest()) % GROUP_ORDER;

/** The secret scalar behind a libsodium secret key (RFC 8032: the first half of the hashed seed, clamped). */
function secretScalar(secretKey: Uint8Array): bigint {
  const half = new Uint8Array(createHash("sha512").update(secretKey.subarray(0, 32)).digest().subarray(0, 32));
  half[0] = half[0]! & 248;
  half[31] = (half[31]! & 127) | 64;
  return readScalar(half);
}

/** A signature by ada's secret that claims the key `as`, with a nonce of choice. */
function signAs(as: Uint8Array, nonce: bigint, r = multiply(nonce, basePoint)): Uint8Array {
  const point = encodePoint(r);
  const s = (nonce + hash(point, as, message) * secretScalar(keys.secretKey)) % GROUP_ORDER;
  return Buffer.concat([point, writeScalar(s)]);
}

const twins = torsion.slice(1).map((point) => encodePoint(add(key, point)));
const smallOrder = torsion.map(encodePoint);

describe("signatures", () => {
  test("the arithmetic of this test signs like libsodium verifies", () => {
    expect(crypto.verify(signAs(keys.publicKey, 12345n), message, keys.publicKey)).toBe(true);
  });

  test("S + L is refused", () => {
    const s = readScalar(signature.subarray(32));
    const malleable = Buffer.concat([signature.subarray(0, 32), writeScalar(s + GROUP_ORDER)]);
    expect(crypto.verify(signature, message, keys.publicKey)).toBe(true);
    expect(crypto.verify(malleable, message, keys.publicKey)).toBe(false);
  });

  test("an R with a part of small order is refused", () => {
    for (const point of torsion.slice(1)) {
      const mixed = signAs(keys.publicKey, 777n, add(multiply(777n, basePoint), point));
      expect(crypto.verify(mixed, message, keys.publicKey)).toBe(false);
    }
  });

  test("nothing verifies under a key of small order", () => {
    for (const weak of smallOrder) {
      for (let nonce = 1n; nonce <= 16n; nonce += 1n) {
        const forged = Buffer.concat([encodePoint(multiply(nonce, basePoint)), writeScalar(nonce)]);
        expect(crypto.verify(forged, message, weak)).toBe(false);
      }
    }
  });

  test("anything else is false, never an exception", () => {
    const odd: readonly unknown[] = [new Uint8Array(), bytes(63, 0), bytes(65, 0), null, undefined, "text", [1]];
    for (const one of odd) {
      expect(crypto.verify(one as Uint8Array, message, keys.publicKey)).toBe(false);
      expect(crypto.verify(signature, message, one as Uint8Array)).toBe(false);
    }
    expect(crypto.verify(signature, "holdfast" as never, keys.publicKey)).toBe(false);
  });
});

describe("keys", () => {
  test("torsion twins verify what their sister signed, and are not admitted", () => {
    const signs = (twin: Uint8Array): boolean =>
      Array.from({ length: 64 }, (_, n) => signAs(twin, BigInt(n) + 5n)).some((one) =>
        crypto.verify(one, message, twin),
      );
    expect(twins.filter(signs).length).toBe(7);
    expect(twins.filter((twin) => crypto.admitsSignKey(twin))).toEqual([]);
    expect(crypto.admitsSignKey(keys.publicKey)).toBe(true);
  });

  test("small orders, other spellings and wrong lengths are not admitted", () => {
    for (const weak of smallOrder) expect(crypto.admitsSignKey(weak)).toBe(false);
    // y from p to 2^255-1 spells a smaller y again.
    for (let low = 0xed; low <= 0xff; low += 1) {
      for (const top of [0x7f, 0xff]) {
        const spelt = new Uint8Array(32).fill(0xff);
        spelt[0] = low;
        spelt[31] = top;
        expect(crypto.admitsSignKey(spelt)).toBe(false);
        expect(crypto.admitsBoxKey(spelt)).toBe(false);
      }
    }
    for (const length of [0, 31, 33]) {
      expect(crypto.admitsSignKey(bytes(length, 1))).toBe(false);
      expect(crypto.admitsBoxKey(bytes(length, 1))).toBe(false);
    }
  });

  test("X25519: small orders and the spelling with the top bit are not admitted", () => {
    const small = [
      "00".repeat(32),
      `01${"00".repeat(31)}`,
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      `ec${"ff".repeat(30)}7f`,
    ].map((text) => fromHex(text)!);
    for (const weak of small) expect(crypto.admitsBoxKey(weak)).toBe(false);
    const good = box("ada").publicKey;
    expect(crypto.admitsBoxKey(good)).toBe(true);
    const alias = new Uint8Array(good);
    alias[31] = alias[31]! | 0x80;
    expect(crypto.admitsBoxKey(alias)).toBe(false);
    expect(() => crypto.seal(message, small[0]!)).toThrow();
  });
});

describe("boxes", () => {
  test("open for their keys only, and not when damaged", () => {
    const sealed = crypto.seal(message, box("ada").publicKey);
    expect(crypto.unseal(sealed, box("ada"))).toEqual(message);
    expect(crypto.unseal(sealed, box("bob"))).toBeUndefined();
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const damaged = new Uint8Array(sealed);
      damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
      // Flips of the top bit of the sender's key are the one alias of X25519; it opens to the same message or not at all.
      const read = crypto.unseal(damaged, box("ada"));
      if (read !== undefined) expect([bit, toHex(read)]).toEqual([255, toHex(message)]);
    }
    for (const length of [0, 1, 47, 48]) expect(crypto.unseal(sealed.subarray(0, length), box("ada"))).toBeUndefined();
  });
});

describe("the self test", () => {
  test("passes here", () => expect(selfTest(crypto)).toEqual([]));

  const broken: Readonly<Record<string, readonly [Partial<Crypto>, readonly string[]]>> = {
    "takes everything": [
      { verify: () => true },
      ["verify.other_message", "verify.malleable", "verify.mixed_order", "verify.small_order"],
    ],
    "takes nothing": [{ verify: () => false }, ["verify.good"]],
    "admits everything": [
      { admitsSignKey: () => true, admitsBoxKey: () => true },
      ["admit.small_order", "admit.torsion_twin", "admit.box_small_order"],
    ],
    "admits nothing": [{ admitsSignKey: () => false, admitsBoxKey: () => false }, ["admit.good", "admit.box"]],
    "opens nothing": [{ unseal: () => undefined }, ["unseal.known"]],
    "opens everything": [{ unseal: () => message }, ["unseal.damaged"]],
    "makes other keys": [{ signKeys: () => signer("bob") }, ["sign.key", "sign.known"]],
  };
  for (const [what, [parts, names]] of Object.entries(broken)) {
    test(`notices a library that ${what}`, () => expect(selfTest({ ...crypto, ...parts })).toEqual(names));
  }
});

describe("codes", () => {
  test("HMAC-SHA-256, RFC 4231 case 2 and a key longer than a block (case 6)", () => {
    expect(toHex(hmacSha256(Buffer.from("Jefe"), "what do ya want ", "for nothing?"))).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    expect(
      toHex(hmacSha256(new Uint8Array(131).fill(0xaa), "Test Using Larger Than Block-Size Key - Hash Key First")),
    ).toBe("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  });

  test("are equal only when every bit is", () => {
    const code = bytes(32, 5);
    expect(equalCodes(code, new Uint8Array(code))).toBe(true);
    expect(equalCodes(code, code.subarray(1))).toBe(false);
    for (let bit = 0; bit < 256; bit += 1) {
      const other = new Uint8Array(code);
      other[bit >> 3] = other[bit >> 3]! ^ (1 << (bit & 7));
      expect(equalCodes(code, other)).toBe(false);
    }
  });
});
