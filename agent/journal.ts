/**
 * The log: signed receipts, numbered from 1, each naming the one before. One entry per directive and outcome, however
 * often it is asked for. A receipt that was written but not yet counted when the agent died is counted at the next start;
 * what a disk made of one is set aside.
 */
import { equalBytes, toHex } from "../schemas/digest.ts";
import { limits } from "../schemas/limits.ts";
import type { Outcome, Receipt } from "../schemas/report.ts";
import { type Opened, openStatement, signStatement, soleSigner } from "./core/dsse.ts";
import type { Parts } from "./ports.ts";
import { hexBytes, type Standing } from "./standing.ts";

export const NO_DIGEST: Uint8Array = new Uint8Array(32);

/** Receipts that are kept opened; older ones are read again when asked for. */
const REMEMBERED = 64;
/** How far back a directive's receipts are looked for: a trial has three at most, and few directives are kept. */
const LOOK_BACK = 256;
/** All receipts of one answer together. */
const PAGE_BYTES = 512 * 1024;

/** The parts of a receipt that differ from act to act. */
export type Entry = Partial<Omit<Receipt, "network_id" | "router_id" | "incarnation" | "index" | "prev">> & {
  readonly outcome: Outcome;
};

export type Journal = {
  /** Signs a receipt that is not part of the log: index 0. */
  sign(entry: Entry): Opened<"receipt">;
  /** Adds an entry and moves the record on; returns the existing one when directive and outcome are logged already. */
  append(entry: Entry): Opened<"receipt">;
  /** The newest receipt of a directive among the last entries. */
  newest(directive: Uint8Array, outcome?: Outcome, depth?: number): Opened<"receipt"> | undefined;
  receipt(index: number): Opened<"receipt"> | undefined;
  /** Envelopes from an index on, as many as fit an answer. */
  page(from: bigint, limit: number): readonly Uint8Array[];
  /** Statement digest of entry `index`; zeros for 0. */
  digestAt(index: bigint): Uint8Array | undefined;
  /** Counts what an interrupted append left, and sets aside what is no next entry of this log. */
  adopt(): void;
};

/** The whole receipt: what an entry does not say is empty. */
function complete({ host }: Parts, standing: Standing, entry: Entry, index: bigint, prev: Uint8Array): Receipt {
  const self = standing.self();
  return {
    network_id: self.networkId,
    router_id: self.routerId,
    incarnation: self.incarnation,
    index,
    prev,
    cause: "",
    directive_digest: NO_DIGEST,
    generation: 0n,
    parent: NO_DIGEST,
    desired_digest: NO_DIGEST,
    observed_digest: NO_DIGEST,
    nonce: new Uint8Array(),
    window_s: 0,
    deadline_boot_ms: 0n,
    boot_id: host.clock.bootId(),
    at_boot_ms: BigInt(host.clock.bootMs()),
    at_unix: BigInt(host.clock.unixS()),
    lanes: [],
    confirmed_by: "",
    confirmed_lane: "",
    problems: [],
    plan: "",
    plan_digest: new Uint8Array(),
    steps: 0,
    signers: [],
    note: "",
    commit: "",
    probes: [],
    quarantined: false,
    outside_digest: new Uint8Array(),
    ...entry,
  };
}

/** Entry `index` of this router's log, signed by it; undefined for anything else. */
export function openReceipt(
  { crypto }: Pick<Parts, "crypto">,
  signKey: Uint8Array,
  index: number,
  bytes: Uint8Array,
): Opened<"receipt"> | undefined {
  const opened = openStatement(crypto, "receipt", bytes);
  if (!opened.ok || opened.value.message.index !== BigInt(index)) return undefined;
  const signer = soleSigner(opened.value);
  return signer.ok && equalBytes(signer.value, signKey) ? opened.value : undefined;
}

export function createJournal(parts: Parts, standing: Standing): Journal {
  const { host, store, crypto } = parts;
  const opened = new Map<number, Opened<"receipt">>();

  const read = (index: number): Opened<"receipt"> | undefined => {
    const held = opened.get(index);
    if (held !== undefined) return held;
    const bytes = store.document("receipt", index);
    const found = bytes === undefined ? undefined : openStatement(crypto, "receipt", bytes);
    if (found === undefined || !found.ok) return undefined;
    opened.set(index, found.value);
    for (const old of [...opened.keys()].slice(0, -REMEMBERED)) opened.delete(old);
    return found.value;
  };

  const head = (): Uint8Array => {
    const { logHead } = store.record();
    return logHead === "" ? NO_DIGEST : hexBytes(logHead);
  };

  const journal: Journal = {
    sign: (entry) =>
      signStatement(crypto, "receipt", complete(parts, standing, entry, 0n, NO_DIGEST), [standing.self().sign]),
    append(entry) {
      journal.adopt();
      const directive = entry.directive_digest ?? NO_DIGEST;
      const same = journal.newest(directive, entry.outcome, 16);
      if (same !== undefined) return same;
      const index = store.record().logIndex + 1;
      const receipt = signStatement(crypto, "receipt", complete(parts, standing, entry, BigInt(index), head()), [
        standing.self().sign,
      ]);
      store.putDocument("receipt", index, receipt.envelope);
      standing.update({ logIndex: index, logHead: toHex(receipt.digest) });
      opened.set(index, receipt);
      const { outcome, cause = "" } = entry;
      host.log("receipt", { index, outcome, cause, directive: toHex(directive).slice(0, 16) });
      return receipt;
    },
    newest(directive, outcome, depth = LOOK_BACK) {
      const { logIndex } = store.record();
      for (let index = logIndex; index > Math.max(0, logIndex - depth); index -= 1) {
        const found = read(index);
        if (found === undefined || !equalBytes(found.message.directive_digest, directive)) continue;
        if (outcome === undefined || found.message.outcome === outcome) return found;
      }
      return undefined;
    },
    receipt: read,
    page(from, limit) {
      const found: Uint8Array[] = [];
      let bytes = 0;
      const first = from < 1n ? 1 : Number(from < BigInt(Number.MAX_SAFE_INTEGER) ? from : Number.MAX_SAFE_INTEGER);
      for (let index = first; index <= store.record().logIndex && found.length < (limit || 256); index += 1) {
        const envelope = store.document("receipt", index);
        if (envelope === undefined || envelope.length > limits.receiptBytes) break;
        bytes += envelope.length;
        if (found.length > 0 && bytes > PAGE_BYTES) break;
        found.push(envelope);
      }
      return found;
    },
    digestAt(index) {
      if (index === 0n) return NO_DIGEST;
      return index > BigInt(store.record().logIndex) ? undefined : read(Number(index))?.digest;
    },
    adopt() {
      for (;;) {
        const index = store.record().logIndex + 1;
        const bytes = store.document("receipt", index);
        if (bytes === undefined) return;
        const found = openReceipt(parts, standing.self().sign.publicKey, index, bytes);
        if (found !== undefined && equalBytes(found.message.prev, head())) {
          standing.update({ logIndex: index, logHead: toHex(found.digest) });
          continue;
        }
        // The record does not count it and nobody was told of it. In its place it would stand in the way of all others.
        store.setDocumentAside("receipt", index);
        host.log("receipt.damaged", { index });
      }
    },
  };
  return journal;
}
