/**
 * One mutating act on the kernel. plan.ts orders steps, agent/host performs each by one command of the
 * writer. Deltas only: a peer, field, address or route that does not change has no step.
 */
import type { DesiredAddress, DesiredRoute, DesiredRule } from "../../schemas/desired.ts";

export type PeerWrite = {
  readonly publicKey: string;
  readonly psk: string | null; // commitment; "" removes it; null leaves it
  readonly allowedIps: readonly string[] | null; // the whole list; null leaves it
  readonly keepaliveS: number | null;
  readonly endpoint: string | null; // only to restore a saved one
};

export type Step =
  | { readonly kind: "sysctl.set"; readonly key: string; readonly value: string } // "": the saved original
  | { readonly kind: "link.add"; readonly name: string; readonly mtu: number }
  | { readonly kind: "link.mtu"; readonly name: string; readonly mtu: number }
  | { readonly kind: "link.up"; readonly name: string }
  | { readonly kind: "link.remove"; readonly name: string }
  | {
      readonly kind: "wg.device";
      readonly name: string;
      readonly publicKey: string | null; // selects the private key file; null leaves the key
      readonly port: number | null;
      readonly fwmark: number | null;
    }
  | { readonly kind: "wg.peers"; readonly name: string; readonly peers: readonly PeerWrite[] }
  | { readonly kind: "wg.remove"; readonly name: string; readonly publicKeys: readonly string[] }
  | { readonly kind: "address.add"; readonly address: DesiredAddress }
  | { readonly kind: "address.remove"; readonly address: DesiredAddress }
  | { readonly kind: "route.add"; readonly route: DesiredRoute } // replace semantics
  | { readonly kind: "route.remove"; readonly route: DesiredRoute }
  | { readonly kind: "rule.add"; readonly rule: DesiredRule }
  | { readonly kind: "rule.remove"; readonly rule: DesiredRule }
  /** One transaction. `delta` holds element adds and deletes; `full` is flush and refill. */
  | { readonly kind: "nft.load"; readonly mode: "delta" | "full"; readonly text: string };

export type StepKind = Step["kind"];

/** One line of a plan for people: + comes, ~ changes, - goes. */
export type Change = { readonly sign: "+" | "~" | "-"; readonly text: string };

export type LaneChange = {
  readonly name: string;
  /** Its input, key, port, address or route is new or differs: a confirm must prove this lane. */
  readonly changed: boolean;
};

/** Ordered work of one generation. `apply` runs in the trial, `afterConfirm` only once it is kept. */
export type Plan = {
  readonly apply: readonly Step[];
  readonly afterConfirm: readonly Step[];
  /** Policy narrowed or changed: the trial loads with this epoch; equal to the LKG epoch when nothing is bumped. */
  readonly epoch: number;
  readonly disruptive: readonly string[]; // sentences: base chains that move, an epoch that wraps
  readonly drift: readonly Change[]; // how the kernel differs from the last confirmed generation, without us
  readonly changes: readonly Change[]; // last confirmed to next
  readonly lanes: readonly LaneChange[];
  readonly text: string; // for operators: drift, changes with + ~ -, totals
  readonly digest: Uint8Array; // SHA-256 over the canonical steps and the epoch
};
