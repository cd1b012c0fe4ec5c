/** Preshared keys reach the unit they were sealed for, and only as what the inventory names. */
import { describe, expect, test } from "bun:test";
import { joinSecrets, openSecret, type SealedSecret, sealSecrets } from "../../agent/core/secrets.ts";
import { pskCommitment } from "../../agent/host/keys.ts";
import { compareBytes, fromHex } from "../../schemas/digest.ts";
import { decode, encode } from "../../schemas/wire.ts";
import { bytes } from "../wire/bytes.ts";
import { box, codeOf, crypto, networkId, routerId } from "./documents.ts";

const ids = { networkId, routerId, incarnation: 1 };
const to = { ...ids, routerSeal: box("router").publicKey, escrow: [box("escrow").publicKey, box("escrow2").publicKey] };
const list = Array.from({ length: 5 }, (_, i) => ({ psk: bytes(32, 40 + i), subject: `c${i}.1` }));
const sealed = sealSecrets(crypto, list, to);
const open = (one: SealedSecret, keys = box("router"), at = ids): string => codeOf(openSecret(crypto, keys, at, one));

describe("sealed secrets", () => {
  test("open on the router as what they were, under the commitment of the key store", () => {
    const opened = sealed.secrets.map((one) => openSecret(crypto, box("router"), ids, one));
    const found = opened.map((one) => (one.ok ? one.value : undefined));
    for (const { psk, subject } of list) expect(found).toContainEqual({ commitment: pskCommitment(psk), subject, psk });
  });

  test("are sorted by commitment, travel, and say nothing in clear", () => {
    const order = sealed.secrets.map((one) => one.commitment);
    expect(order).toEqual([...order].sort(compareBytes));
    const wire = encode("Secrets", sealed);
    expect(decode("Secrets", wire)).toEqual({ ok: true, value: sealed });
    for (const { psk, subject } of list) {
      expect(Buffer.from(wire).includes(psk)).toBe(false);
      expect(Buffer.from(wire).includes(subject)).toBe(false);
    }
  });

  test("open for every escrow key too", () => {
    const [one] = sealed.secrets;
    for (const [index, name] of ["escrow", "escrow2"].entries()) {
      const inside = crypto.unseal(one!.to_escrow[index]!, box(name));
      expect(inside !== undefined && decode("Secret", inside).ok).toBe(true);
    }
  });

  test("do not open for another router", () =>
    expect(open(sealed.secrets[0]!, box("other"))).toBe("trust.secret_sealed"));

  test("do not open when damaged", () => {
    const damaged = new Uint8Array(sealed.secrets[0]!.to_router);
    damaged[60] = damaged[60]! ^ 1;
    expect(open({ ...sealed.secrets[0]!, to_router: damaged })).toBe("trust.secret_sealed");
    expect(open({ ...sealed.secrets[0]!, to_router: new Uint8Array() })).toBe("trust.secret_sealed");
  });

  test("do not count in another network, router or incarnation, though they open", () => {
    const [one] = sealed.secrets;
    expect(open(one!, box("router"), { ...ids, networkId: bytes(16, 0) })).toBe("trust.secret_slot");
    expect(open(one!, box("router"), { ...ids, routerId: bytes(16, 0) })).toBe("trust.secret_slot");
    expect(open(one!, box("router"), { ...ids, incarnation: 2 })).toBe("trust.secret_slot");
  });

  test("do not count under another commitment", () => {
    const [a, b] = sealed.secrets;
    expect(open({ ...a!, to_router: b!.to_router })).toBe("trust.secret_commitment");
    expect(open({ ...a!, commitment: fromHex(pskCommitment(bytes(32, 200)))! })).toBe("trust.secret_commitment");
  });

  test("hold a secret and nothing else", () => {
    const odd = crypto.seal(bytes(40, 0), box("router").publicKey);
    expect(open({ ...sealed.secrets[0]!, to_router: odd })).toStartWith("wire.");
  });

  test("with one key for two clients are a bug", () => {
    expect(() => sealSecrets(crypto, [list[0]!, { ...list[0]!, subject: "other.1" }], to)).toThrow("one preshared key");
    expect(joinSecrets(sealed.secrets.toReversed())).toEqual(sealed);
  });
});
