/** The router's log as others see it: receipts that each name the one before. */
import { equalBytes } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Crypto } from "./crypto.ts";
import { type Opened, openStatement, soleSigner } from "./dsse.ts";

/** The last entry somebody knows: its place from 1 and its statement digest; 0 and 32 zero bytes before the first. */
export type LogHead = { readonly index: bigint; readonly digest: Uint8Array };

export const EMPTY_LOG: LogHead = { index: 0n, digest: new Uint8Array(32) };

/**
 * Walks receipts from `head` on: each signed by the router alone, with the next index and the digest of the one
 * before. The first break refuses all of them and says at which index it is (code trust.receipt_chain, or what is
 * wrong with the receipt itself, with its place in front of the path).
 */
export function checkChain(
  crypto: Crypto,
  routerSignKey: Uint8Array,
  head: LogHead,
  envelopes: readonly Uint8Array[],
): Result<LogHead & { readonly receipts: readonly Opened<"receipt">[] }> {
  const receipts: Opened<"receipt">[] = [];
  let { index, digest } = head;
  for (const [at, envelope] of envelopes.entries()) {
    const place = `receipts[${at}]`;
    const opened = openStatement(crypto, "receipt", envelope);
    const signer = opened.ok ? soleSigner(opened.value) : opened;
    if (!opened.ok || !signer.ok) {
      const problems = (signer.ok ? [] : signer.problems).map((one) => ({ ...one, path: `${place}: ${one.path}` }));
      return { ok: false, problems };
    }
    if (!equalBytes(signer.value, routerSignKey)) {
      return refuse("trust.signer_unknown", place, "not the key of this router");
    }
    const { message } = opened.value;
    if (message.index !== index + 1n) {
      return refuse("trust.receipt_chain", place, `index ${message.index} where ${index + 1n} follows`);
    }
    if (!equalBytes(message.prev, digest)) {
      return refuse("trust.receipt_chain", place, `entry ${message.index} follows another entry ${index}`);
    }
    receipts.push(opened.value);
    index = message.index;
    digest = opened.value.digest;
  }
  return done({ index, digest, receipts });
}
