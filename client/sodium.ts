/** libsodium, loaded when the first command needs it: it costs 13 ms of every start otherwise. */
import type libsodium from "libsodium-wrappers";
import { type Crypto, cryptoOf, selfTest } from "../agent/core/crypto.ts";

let loaded: Promise<typeof libsodium> | undefined;

/** The library, ready for use. */
export function sodium(): Promise<typeof libsodium> {
  loaded ??= import("libsodium-wrappers").then(async (module) => {
    await module.default.ready;
    return module.default;
  });
  return loaded;
}

let tested: Crypto | undefined;

/** The door to keys, after its known answers came out right. Throws when they did not: nothing may be signed then. */
export async function loadCrypto(): Promise<Crypto> {
  if (tested !== undefined) return tested;
  const crypto = cryptoOf(await sodium());
  const failed = selfTest(crypto);
  if (failed.length > 0) throw new Error(`libsodium gives wrong answers: ${failed.join(", ")}`);
  tested = crypto;
  return crypto;
}
