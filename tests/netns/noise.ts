/**
 * The initiator's half of WireGuard, enough to be a thousand live clients in one process: handshake initiation,
 * response, keepalives (the WireGuard paper, §5.4; Noise_IKpsk2). BLAKE2s is RFC 7693: no library here has it keyed.
 */
import sodium from "libsodium-wrappers";

const IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19] as const;

const SIGMA = [
  "0123456789abcdef",
  "ea489fd61c02b753",
  "b8c052fdae367194",
  "7931dcbe265a40f8",
  "905724afe1bc683d",
  "2c6a0b834d75fe19",
  "c51fed4a0763928b",
  "db7ec13950f4862a",
  "6fe9b308c2d714a5",
  "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => Number.parseInt(digit, 16)));

const rotate = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

function compress(h: Uint32Array, block: Uint8Array, counted: number, last: boolean): void {
  const view = new DataView(block.buffer, block.byteOffset, 64);
  const m = Array.from({ length: 16 }, (_, i) => view.getUint32(i * 4, true));
  const v = new Uint32Array([...h, ...IV]);
  v[12] = v[12]! ^ counted;
  if (last) v[14] = ~v[14]!;
  const mix = (a: number, b: number, c: number, d: number, x: number, y: number): void => {
    v[a] = v[a]! + v[b]! + x;
    v[d] = rotate(v[d]! ^ v[a]!, 16);
    v[c] = v[c]! + v[d]!;
    v[b] = rotate(v[b]! ^ v[c]!, 12);
    v[a] = v[a]! + v[b]! + y;
    v[d] = rotate(v[d]! ^ v[a]!, 8);
    v[c] = v[c]! + v[d]!;
    v[b] = rotate(v[b]! ^ v[c]!, 7);
  };
  for (const s of SIGMA) {
    const at = (i: number): number => m[s[i]!]!;
    for (let i = 0; i < 4; i += 1) mix(i, i + 4, i + 8, i + 12, at(2 * i), at(2 * i + 1));
    for (let i = 0; i < 4; i += 1)
      mix(i, ((i + 1) % 4) + 4, ((i + 2) % 4) + 8, ((i + 3) % 4) + 12, at(8 + 2 * i), at(9 + 2 * i));
  }
  for (let i = 0; i < 8; i += 1) h[i] = h[i]! ^ v[i]! ^ v[i + 8]!;
}

/** BLAKE2s of the parts, keyed when the key is not empty. */
export function blake2s(length: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const h = new Uint32Array(IV);
  h[0] = h[0]! ^ 0x01010000 ^ (key.length << 8) ^ length;
  const padded = new Uint8Array(key.length > 0 ? 64 : 0);
  padded.set(key);
  const input = Buffer.concat([padded, ...parts]);
  for (let at = 0; ; at += 64) {
    const last = at + 64 >= input.length;
    const block = new Uint8Array(64);
    block.set(input.subarray(at, at + 64));
    compress(h, block, Math.min(at + 64, input.length), last);
    if (last) break;
  }
  return new Uint8Array(h.buffer).slice(0, length);
}

const NONE = new Uint8Array();
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const hash = (...parts: readonly Uint8Array[]): Uint8Array => blake2s(32, NONE, ...parts);

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const pad = (value: number): Uint8Array => Uint8Array.from({ length: 64 }, (_, i) => (key[i] ?? 0) ^ value);
  return hash(pad(0x5c), hash(pad(0x36), ...parts));
}

function kdf(count: number, chain: Uint8Array, input: Uint8Array): readonly Uint8Array[] {
  const secret = hmac(chain, input);
  const out: Uint8Array[] = [];
  for (let i = 1; i <= count; i += 1) out.push(hmac(secret, out[i - 2] ?? NONE, Uint8Array.of(i)));
  return out;
}

const nonceOf = (counter: number): Uint8Array => {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(4, counter, true);
  return nonce;
};

const encrypt = (key: Uint8Array, counter: number, text: Uint8Array, more: Uint8Array): Uint8Array =>
  sodium.crypto_aead_chacha20poly1305_ietf_encrypt(text, more, null, nonceOf(counter), key);

const CHAIN = hash(bytes("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
const START = hash(CHAIN, bytes("WireGuard v1 zx2c4 Jason@zx2c4.com"));

/** TAI64N of now, moved by `more` nanoseconds-like units so that no two are equal. */
function timestamp(more: number): Uint8Array {
  const out = new Uint8Array(12);
  const view = new DataView(out.buffer);
  const now = Date.now();
  view.setBigUint64(0, (1n << 62n) + BigInt(Math.floor(now / 1000)) + 10n);
  view.setUint32(8, (now % 1000) * 1_000_000 + more);
  return out;
}

export type Initiation = {
  readonly packet: Uint8Array;
  /** Reads the response; undefined when it is not one to this initiation. */
  finish(response: Uint8Array): Session | undefined;
};

export type Session = { keepalive(): Uint8Array };

function session(chain: Uint8Array, receiver: number): Session {
  const [key] = kdf(2, chain, NONE);
  let counter = 0;
  return {
    keepalive: () => {
      const out = new Uint8Array(32);
      const view = new DataView(out.buffer);
      out[0] = 4;
      view.setUint32(4, receiver, true);
      view.setUint32(8, counter, true);
      out.set(encrypt(key!, counter, NONE, NONE), 16);
      counter += 1;
      return out;
    },
  };
}

/** Starts a handshake. Keys are raw; `index` names the session here. Needs `await sodium.ready` before. */
export function initiate(own: Uint8Array, server: Uint8Array, psk: Uint8Array, index: number): Initiation {
  const ephemeral = sodium.randombytes_buf(32);
  const ephemeralPublic = sodium.crypto_scalarmult_base(ephemeral);
  let [chain] = kdf(1, CHAIN, ephemeralPublic) as [Uint8Array];
  let state = hash(hash(START, server), ephemeralPublic);
  const sealWith = (shared: Uint8Array, text: Uint8Array): Uint8Array => {
    const [next, key] = kdf(2, chain, shared) as [Uint8Array, Uint8Array];
    const sealed = encrypt(key, 0, text, state);
    chain = next;
    state = hash(state, sealed);
    return sealed;
  };
  const publicKey = sealWith(sodium.crypto_scalarmult(ephemeral, server), sodium.crypto_scalarmult_base(own));
  const time = sealWith(sodium.crypto_scalarmult(own, server), timestamp(index));
  const packet = new Uint8Array(148);
  packet[0] = 1;
  new DataView(packet.buffer).setUint32(4, index, true);
  packet.set(ephemeralPublic, 8);
  packet.set(publicKey, 40);
  packet.set(time, 88);
  packet.set(blake2s(16, hash(bytes("mac1----"), server), packet.subarray(0, 116)), 116);
  return {
    packet,
    finish: (response) => {
      const view = new DataView(response.buffer, response.byteOffset, response.length);
      if (response[0] !== 2 || response.length !== 92 || view.getUint32(8, true) !== index) return undefined;
      const other = response.slice(12, 44);
      state = hash(state, other);
      for (const input of [other, sodium.crypto_scalarmult(ephemeral, other), sodium.crypto_scalarmult(own, other)])
        [chain] = kdf(1, chain, input) as [Uint8Array];
      const [next, tau, key] = kdf(3, chain, psk) as [Uint8Array, Uint8Array, Uint8Array];
      state = hash(state, tau);
      sodium.crypto_aead_chacha20poly1305_ietf_decrypt(null, response.slice(44, 60), state, nonceOf(0), key);
      return session(next, view.getUint32(4, true));
    },
  };
}
