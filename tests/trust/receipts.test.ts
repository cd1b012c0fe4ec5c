/** The log as others see it: the first break is found and named. */
import { describe, expect, test } from "bun:test";
import type { Opened } from "../../agent/core/dsse.ts";
import { checkChain, EMPTY_LOG } from "../../agent/core/receipts.ts";
import type { Receipt } from "../../schemas/report.ts";
import { samples } from "../wire/samples.ts";
import { crypto, signed, signer } from "./documents.ts";

const key = signer("router").publicKey;

/** A log of `length` receipts; `change` edits one of them before it is signed. */
function logOf(length: number, change: (index: number) => Partial<Receipt> = () => ({})): Opened<"receipt">[] {
  const receipts: Opened<"receipt">[] = [];
  for (let index = 1; index <= length; index += 1) {
    const prev = receipts.at(-1)?.digest ?? EMPTY_LOG.digest;
    const message = { ...samples.Receipt, index: BigInt(index), prev, ...change(index) };
    receipts.push(signed("receipt", message, "router"));
  }
  return receipts;
}

const log = logOf(5);
const envelopes = (receipts: readonly Opened<"receipt">[]): Uint8Array[] => receipts.map((one) => one.envelope);
const check = (receipts: readonly Uint8Array[], head = EMPTY_LOG): unknown => {
  const result = checkChain(crypto, key, head, receipts);
  return result.ok ? result.value.index : [result.problems[0]!.code, result.problems[0]!.path];
};

describe("a chain of receipts", () => {
  test("is taken from the start and from any known head", () => {
    expect(check(envelopes(log))).toBe(5n);
    expect(check([], { index: 3n, digest: log[2]!.digest })).toBe(3n);
    const rest = checkChain(crypto, key, { index: 3n, digest: log[2]!.digest }, envelopes(log.slice(3)));
    expect(rest.ok && rest.value.digest).toEqual(log[4]!.digest);
    expect(rest.ok && rest.value.receipts).toEqual(log.slice(3));
  });

  test("breaks at the first receipt that does not follow", () => {
    const [a, b, c, d] = envelopes(log);
    expect(check([a!, c!, d!])).toEqual(["trust.receipt_chain", "receipts[1]"]);
    expect(check([b!])).toEqual(["trust.receipt_chain", "receipts[0]"]);
    expect(check([a!, b!, b!])).toEqual(["trust.receipt_chain", "receipts[2]"]);
    expect(check([a!, c!, b!])).toEqual(["trust.receipt_chain", "receipts[1]"]);
  });

  test("breaks at a fork: a log that was put back and went on differently", () => {
    const fork = logOf(5, (index) => (index === 3 ? { note: "another past" } : {}));
    const head = { index: 3n, digest: log[2]!.digest };
    expect(check(envelopes(fork.slice(3)), head)).toEqual(["trust.receipt_chain", "receipts[0]"]);
    expect(check([...envelopes(log.slice(0, 3)), ...envelopes(fork.slice(3))])).toEqual([
      "trust.receipt_chain",
      "receipts[3]",
    ]);
  });

  test("breaks at a jump that cites the right digest, and at a first one with a past", () => {
    expect(check(envelopes(logOf(3, (index) => (index === 3 ? { index: 4n } : {}))))).toEqual([
      "trust.receipt_chain",
      "receipts[2]",
    ]);
    expect(check(envelopes(logOf(1, () => ({ prev: key }))))).toEqual(["trust.receipt_chain", "receipts[0]"]);
    expect(check(envelopes(logOf(1, () => ({ index: 0n }))))).toEqual(["trust.receipt_chain", "receipts[0]"]);
  });

  test("is this router's alone", () => {
    const message = { ...samples.Receipt, index: 1n, prev: EMPTY_LOG.digest };
    expect(check([signed("receipt", message, "mallory").envelope])).toEqual(["trust.signer_unknown", "receipts[0]"]);
    expect(check([signed("receipt", message, "router", "mallory").envelope])).toEqual([
      "trust.one_signer",
      "receipts[0]: receipt",
    ]);
  });

  test("names the place of a receipt that cannot be opened", () => {
    const damaged = new Uint8Array(log[1]!.envelope);
    damaged[damaged.length - 1] = damaged[damaged.length - 1]! ^ 1;
    expect(check([log[0]!.envelope, damaged])).toEqual(["trust.bad_signature", "receipts[1]: receipt.signatures[0]"]);
    expect(check([new Uint8Array([9])])).toEqual(["wire.wrong_type", "receipts[0]: Envelope.payload_type"]);
  });
});
