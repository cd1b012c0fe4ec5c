/** A packet as a ruleset sees it, and what a run through chains leaves behind. */
import type { Family } from "../../schemas/ip.ts";

export type CtState = "new" | "established" | "related" | "invalid" | "untracked";

/** What conntrack knows of a packet; for invalid and untracked ones nothing but that. */
export type Ct = {
  readonly state: CtState;
  readonly direction: "original" | "reply";
  mark: number;
  dnat: boolean;
  readonly originalTarget: bigint;
};

/** A packet on its way through the hooks. Rules write only what a rule can: marks, segment size, NAT. */
export type Regs = {
  readonly family: Family;
  iif: string;
  oif: string;
  source: bigint;
  target: bigint;
  readonly protocol: number;
  sport: number;
  dport: number;
  readonly type: number;
  readonly flags: number;
  mss: number;
  hops: number;
  ct: Ct;
  mark: number;
  notrack: boolean;
  sourceType: string; // of fib
  targetType: string;
  /** Segment size that the route allows, for "rt mtu". */
  routeMss: number;
  nat: Nat | undefined;
};

export type Nat =
  | { readonly kind: "dnat"; readonly target: bigint; readonly port: number }
  | { readonly kind: "masquerade"; readonly ports: readonly [number, number] | undefined };

export type Verdict = "accept" | "drop";

/** One run through chains: what was decided where. `limit` says what rate limits do. */
export type Run = {
  readonly limit: boolean;
  limited: boolean; // a limit was asked
  readonly trail: string[];
  readonly counters: string[];
};

export const newRun = (limit: boolean): Run => ({ limit, limited: false, trail: [], counters: [] });
