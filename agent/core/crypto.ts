/**
 * The only door to keys: Ed25519 signatures and X25519 sealed boxes by libsodium, which is passed in. Other
 * providers accept forgeries under small-order keys (measured), so nothing else may verify.
 */
import { compareBytes, equalBytes, fromHex } from "../../schemas/digest.ts";

type Pair = { readonly publicKey: Uint8Array; readonly privateKey: Uint8Array };

/** The part of libsodium-wrappers that Holdfast uses; its functions throw on wrong lengths. */
export type Sodium = {
  crypto_sign_keypair(): Pair;
  crypto_sign_seed_keypair(seed: Uint8Array): Pair;
  crypto_sign_detached(message: Uint8Array, secretKey: Uint8Array): Uint8Array;
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  crypto_sign_ed25519_pk_to_curve25519(publicKey: Uint8Array): Uint8Array;
  crypto_box_keypair(): Pair;
  crypto_box_seed_keypair(seed: Uint8Array): Pair;
  crypto_box_seal(message: Uint8Array, publicKey: Uint8Array): Uint8Array;
  crypto_box_seal_open(box: Uint8Array, publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array;
  crypto_scalarmult(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array;
};

/** Ed25519: 32 and 64 bytes (libsodium's secret key holds the public one). */
export type SignKeys = { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
/** X25519: 32 and 32 bytes. */
export type BoxKeys = { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };

export type Crypto = {
  /** True for a valid signature; false for everything else, wrong lengths included. Never throws. */
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  /** 64 bytes. Throws on a secret key of the wrong length. */
  sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array;
  /** From 32 bytes of seed, or random. */
  signKeys(seed?: Uint8Array): SignKeys;
  boxKeys(seed?: Uint8Array): BoxKeys;
  /** One spelling, main subgroup, not of small order: no other key verifies the same signatures. */
  admitsSignKey(key: Uint8Array): boolean;
  admitsBoxKey(key: Uint8Array): boolean;
  /** Sealed box for `to`; 48 bytes longer than the message. Throws when the key is not admissible. */
  seal(message: Uint8Array, to: Uint8Array): Uint8Array;
  /** The message, or undefined when the box was not made for these keys or is damaged. */
  unseal(box: Uint8Array, keys: BoxKeys): Uint8Array | undefined;
};

/** 2^255-19, little endian: a coordinate at or above it is another spelling of a smaller one. */
const FIELD = new Uint8Array(32).fill(0xff);
FIELD[0] = 0xed;
FIELD[31] = 0x7f;

function isReduced(coordinate: Uint8Array): boolean {
  return compareBytes(coordinate.toReversed(), FIELD.toReversed()) < 0;
}

/** A call that libsodium answers with an exception when it refuses: the result, or undefined. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

const isBytes = (value: unknown, length: number): boolean => value instanceof Uint8Array && value.length === length;

/** Wraps libsodium after `await sodium.ready`. */
export function cryptoOf(sodium: Sodium): Crypto {
  const keys = (pair: Pair) => ({ publicKey: pair.publicKey, secretKey: pair.privateKey });
  const one = new Uint8Array(32);
  one[0] = 8;
  return {
    verify(signature, message, publicKey) {
      // A string would be encoded silently, so bytes only.
      if (!isBytes(signature, 64) || !isBytes(publicKey, 32) || !(message instanceof Uint8Array)) return false;
      return attempt(() => sodium.crypto_sign_verify_detached(signature, message, publicKey)) === true;
    },
    sign: (message, secretKey) => sodium.crypto_sign_detached(message, secretKey),
    signKeys: (seed) => keys(seed === undefined ? sodium.crypto_sign_keypair() : sodium.crypto_sign_seed_keypair(seed)),
    boxKeys: (seed) => keys(seed === undefined ? sodium.crypto_box_keypair() : sodium.crypto_box_seed_keypair(seed)),
    admitsSignKey(key) {
      if (!isBytes(key, 32)) return false;
      const y = new Uint8Array(key);
      y[31] = y[31]! & 0x7f; // the top bit is the sign of x
      return isReduced(y) && attempt(() => sodium.crypto_sign_ed25519_pk_to_curve25519(key)) !== undefined;
    },
    // libsodium throws when the product is zero: that is what a key of small order gives.
    admitsBoxKey: (key) =>
      isBytes(key, 32) && isReduced(key) && attempt(() => sodium.crypto_scalarmult(one, key)) !== undefined,
    seal: (message, to) => sodium.crypto_box_seal(message, to),
    unseal: (box, { publicKey, secretKey }) => attempt(() => sodium.crypto_box_seal_open(box, publicKey, secretKey)),
  };
}

/** Key pair of the seed 01 02 … 20 over the message "holdfast", and what an attacker makes of it. */
const VECTORS = {
  seed: "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
  key: "79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664",
  signature:
    "55d015246b8199433cc76065df7eac7d5150bb1ff5f9cf0059a508d199113f1a2230c8533e42c663d032f4eb9de70b60d9a8c0b00dc49793ea6fb8c4aa0a6202",
  /** The same signature with the group order added to S. */
  malleable:
    "55d015246b8199433cc76065df7eac7d5150bb1ff5f9cf0059a508d199113f1a0f04beb058a5d8bba6cfeb8e7ce1ea74d9a8c0b00dc49793ea6fb8c4aa0a6212",
  /** R has a component of small order. */
  mixed:
    "37156422280c0dcab41e93fdf9b1a740fc984b3cd62c56a44bf59943120d20fb78e596077149d663062e9e62fd413173f811808517fc5e237fe37431d774b90c",
  /** The key of order 1, and a signature that OpenSSL takes under it. */
  weak: "0100000000000000000000000000000000000000000000000000000000000000",
  forged:
    "35527c0a5c55ca7a716120cbc1360c6f5c4efbd4cd317ba737a2c13d7ea24fff40e2010000000000000000000000000000000000000000000000000000000000",
  /** The key plus a point of order 8: the same secret signs for it. */
  twin: "287f6bda7a57f4f2873f3bff5e5ea9c260a6a6343bdf37c7abcd346ed5904c11",
  box: "bd05354da2a2f042aaf2f0cf964b0e9d05387676594dccac0042723a1ce8110241d9d43f23d8fcbd1db19b60b981844ffb9635dfade4a0e4",
};

/**
 * Known answers, checked when agent and CLI start: the acceptance set of libsodium has changed between releases.
 * Returns the names of what fails; [] when all is well.
 */
export function selfTest(crypto: Crypto): readonly string[] {
  const bytes = (text: string): Uint8Array => fromHex(text) ?? new Uint8Array();
  const message = new TextEncoder().encode("holdfast");
  const seed = bytes(VECTORS.seed);
  const key = bytes(VECTORS.key);
  const verify = (signature: string, by: string): boolean => crypto.verify(bytes(signature), message, bytes(by));
  const same = (found: Uint8Array | undefined, wanted: Uint8Array): boolean =>
    found !== undefined && equalBytes(found, wanted);
  const results: Readonly<Record<string, boolean>> = {
    "sign.key": same(crypto.signKeys(seed).publicKey, key),
    "sign.known": same(crypto.sign(message, crypto.signKeys(seed).secretKey), bytes(VECTORS.signature)),
    "verify.good": verify(VECTORS.signature, VECTORS.key),
    "verify.other_message": !crypto.verify(bytes(VECTORS.signature), seed, key),
    "verify.malleable": !verify(VECTORS.malleable, VECTORS.key),
    "verify.mixed_order": !verify(VECTORS.mixed, VECTORS.key),
    "verify.small_order": !verify(VECTORS.forged, VECTORS.weak),
    "admit.good": crypto.admitsSignKey(key),
    "admit.small_order": !crypto.admitsSignKey(bytes(VECTORS.weak)),
    "admit.torsion_twin": !crypto.admitsSignKey(bytes(VECTORS.twin)),
    "admit.box": crypto.admitsBoxKey(crypto.boxKeys(seed).publicKey),
    "admit.box_small_order": !crypto.admitsBoxKey(new Uint8Array(32)),
    "unseal.known": same(crypto.unseal(bytes(VECTORS.box), crypto.boxKeys(seed)), message),
    "unseal.damaged": crypto.unseal(bytes(VECTORS.box.replace(/.$/, "5")), crypto.boxKeys(seed)) === undefined,
  };
  return Object.keys(results).filter((name) => !results[name]);
}
