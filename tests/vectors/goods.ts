/** One valid file of every kind, and what the base state lacks for it. */
import type { FileKind } from "../../agent/core/verify.ts";
import type { VerifyState } from "../../agent/core/verify-state.ts";
import * as bases from "./bases.ts";
import * as world from "./world.ts";

const { signed } = world;

export type Good = { readonly kind: FileKind; readonly bytes: Uint8Array; readonly state: Partial<VerifyState> };

const good = (kind: FileKind, bytes: Uint8Array, state: Partial<VerifyState> = {}): Good => ({ kind, bytes, state });

const pending = { generation: "8", trial: bases.trial, directives: [bases.trial.directive] };

/** Signed envelopes. */
export const goodEnvelopes: readonly Good[] = [
  good("root", bases.root2.envelope),
  good("roster", bases.roster3.envelope),
  good("directive", bases.directiveBase.envelope),
  good("confirm", signed("confirm", bases.confirm(), "ann").envelope, pending),
  good("self-revoke", signed("self-revoke", bases.selfRevoke(), "bob").envelope),
  good("request", bases.requestBase.envelope),
  good("beacon", world.beacon.envelope),
  good("receipt", bases.nextReceipt.envelope),
  good("answer", signed("answer", bases.answer(), "router").envelope, bases.asked),
  good("key-report", world.keyReport.envelope),
  good("enrol-request", world.enrolRequest.envelope, { token: bases.tokenText }),
  good("operator-card", signed("operator-card", bases.card(), "eve", "eve root").envelope),
];

/** Files that nobody signs: a directive holds their digests. */
export const goodBlobs: readonly Good[] = [
  good("bundle", bases.bundle()),
  good("intent", bases.intentBlob),
  good("inventory", bases.inventoryBlob),
  good("secrets", bases.baseSecrets),
];

/** Other valid statements, near relatives of those above: what a splice would like to join. */
export const relatives: readonly Uint8Array[] = [
  world.root1.envelope,
  world.roster1.envelope,
  world.roster2.envelope,
  bases.signedDirective({ generation: 9n }).envelope,
  bases.signedDirective({ risk_class: "routine" }, "ann").envelope,
  signed("confirm", bases.confirm({ verdict: "abort" }), "bob").envelope,
  signed("request", bases.request({ kind: "challenge" }), "bob").envelope,
  world.logHead.envelope,
];
