/** What an operator is told by a router: answers, receipts, beacons, key reports. */
import type { Answer } from "../../schemas/report.ts";
import * as bases from "./bases.ts";
import { family, type Vector } from "./vector.ts";
import * as world from "./world.ts";

const { id, signed, log, logHead } = world;

const report = family("E_REPORT", "answer");
const answer = (change: Partial<Answer>, by = "router"): Uint8Array =>
  signed("answer", bases.answer(change), by).envelope;
const asked = { state: bases.asked };

export const answerVectors: readonly Vector[] = [
  report(
    "report-other-nonce",
    "trust.answer_mismatch",
    "The answer echoes another nonce.",
    answer({ nonce: id(16, "other nonce") }),
    asked,
  ),
  report(
    "report-other-request",
    "trust.answer_mismatch",
    "The answer is the one to another request.",
    answer({ request_digest: id(32, "other request") }),
    asked,
  ),
  report(
    "report-superseded-key",
    "trust.signer_unknown",
    "The key of a unit that was replaced signed the answer.",
    answer({}, "router 0"),
    asked,
  ),
  report("answer-unasked", "trust.answer_mismatch", "The answer comes to somebody who has asked nothing.", answer({})),
  report("answer-control", "", "Positive control: the answer to this request.", answer({}), asked),
];

const entry = family("E_LOG", "receipt");
const next = { outcome: "needs_hands" } as const;

export const logVectors: readonly Vector[] = [
  entry(
    "log-gap",
    "trust.receipt_chain",
    "Entry 5 comes after entry 3.",
    world.receiptAfter(bases.nextReceipt, next).envelope,
  ),
  entry(
    "log-index-skipped",
    "trust.receipt_chain",
    "An entry follows entry 3 by its digest and says that it is number 5.",
    world.receiptAfter(logHead, { ...next, index: 5n }).envelope,
  ),
  entry(
    "log-truncated",
    "trust.receipt_chain",
    "Another entry 3 comes, as if the last one had not been written.",
    world.receiptAfter(log[1], next).envelope,
  ),
  entry(
    "log-fork",
    "trust.receipt_chain",
    "Entry 4 follows another entry 3.",
    world.receiptAfter(logHead, { ...next, prev: id(32, "another entry 3") }).envelope,
  ),
  entry(
    "head-not-descendant",
    "trust.receipt_chain",
    "A first entry comes to somebody who knows three.",
    world.receiptAfter(undefined, next).envelope,
  ),
  entry(
    "log-other-key",
    "trust.signer_unknown",
    "Entry 4 is signed by an operator.",
    signed("receipt", bases.nextReceipt.message, "ann").envelope,
  ),
  entry("receipt-control", "", "Positive control: entry 4.", bases.nextReceipt.envelope),
];

const beacon = family("E_REPORT", "beacon");
const keys = family("E_REPORT", "key-report");
const unit = family("E_AUD_ROUTER", "beacon");

export const routerVectors: readonly Vector[] = [
  beacon(
    "beacon-by-operator",
    "trust.signer_unknown",
    "An operator signed the beacon.",
    signed("beacon", world.beacon.message, "ann").envelope,
  ),
  unit(
    "beacon-other-router",
    "trust.router",
    "The beacon names another router.",
    signed("beacon", { ...world.beacon.message, router_id: id(16, "sibling") }, "router").envelope,
  ),
  keys(
    "key-report-by-operator",
    "trust.signer_unknown",
    "An operator signed the key report.",
    signed("key-report", world.keyReport.message, "ann").envelope,
  ),
  family("E_AUD_NETWORK", "key-report")(
    "key-report-other-network",
    "trust.network",
    "The key report is of another network.",
    signed("key-report", { ...world.keyReport.message, network_id: id(16, "staging") }, "router").envelope,
  ),
  family("E_AUD_ROUTER", "key-report")(
    "key-report-other-router",
    "trust.router",
    "The key report names another router.",
    signed("key-report", { ...world.keyReport.message, router_id: id(16, "sibling") }, "router").envelope,
  ),
  family("E_AUD_INCARNATION", "key-report")(
    "key-report-old-incarnation",
    "trust.incarnation",
    "The key report is of an incarnation that is not the roster's.",
    signed("key-report", { ...world.keyReport.message, incarnation: 2 }, "router").envelope,
  ),
  family("E_AUD_NETWORK", "beacon")(
    "beacon-other-network",
    "trust.network",
    "The beacon is of another network.",
    signed("beacon", { ...world.beacon.message, network_id: id(16, "staging") }, "router").envelope,
  ),
  family("E_AUD_INCARNATION", "beacon")(
    "beacon-old-incarnation",
    "trust.incarnation",
    "The beacon is of another incarnation.",
    signed("beacon", { ...world.beacon.message, incarnation: 2 }, "router").envelope,
  ),
  keys(
    "key-report-network-twice",
    "trust.repeated",
    "The key report names a network twice.",
    signed(
      "key-report",
      {
        ...world.keyReport.message,
        version: 3,
        keys: world.keyReport.message.keys.map((one) => ({ ...one, network: "home" })),
      },
      "router",
    ).envelope,
  ),
];
