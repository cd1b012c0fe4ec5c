/** Rules as the verifier understands them: conditions in order, what is written, and a verdict. */
import type { NftBase } from "../../../schemas/desired.ts";
import type { Field, Interval } from "./fields.ts";

/** Types of nft as sets declare them. */
export type NftType =
  | ("ifname" | "ipv4_addr" | "ipv6_addr" | "inet_proto" | "inet_service" | "mark" | "icmp_type" | "icmpv6_type")
  | ("nf_proto" | "ct_state" | "ct_dir" | "ct_status" | "number" | "fib_addrtype" | "verdict");

/** An expression that reads one field, and which packets have it: others do not match, negated or not. */
export type Key = {
  readonly text: string;
  readonly type: NftType;
  readonly field: Field;
  readonly family: 0 | 4 | 6; // 0: both
  readonly protocol: number; // -1: any
  readonly ports: boolean; // th: any protocol with ports, which the rule must make sure of
  readonly tracked: boolean; // read from the flow's conntrack entry
};

/** One value or interval of each key. */
export type Columns = readonly Interval[];

export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

/** A new target or source. `map`: looked up; null address: the interface's own (masquerade). */
export type Nat =
  | { readonly kind: "dnat"; readonly family: 0 | 4 | 6; readonly keys: readonly Key[]; readonly map: string }
  | { readonly kind: "dnat"; readonly family: 4 | 6; readonly address: Interval["from"]; readonly port: number } // 0: kept
  | {
      readonly kind: "snat";
      readonly family: 4 | 6;
      readonly address: Interval["from"];
      readonly ports: Interval | null;
    }
  | { readonly kind: "masquerade"; readonly ports: Interval | null };

export type Statement =
  | { readonly kind: "match"; readonly keys: readonly Key[]; readonly negated: boolean; readonly set: string }
  | {
      readonly kind: "boxes";
      readonly keys: readonly Key[];
      readonly negated: boolean;
      readonly boxes: readonly Columns[];
    }
  | { readonly kind: "vmap"; readonly keys: readonly Key[]; readonly map: string }
  | { readonly kind: "family"; readonly family: 4 | 6; readonly negated: boolean }
  | { readonly kind: "local"; readonly field: "saddr" | "daddr"; readonly negated: boolean }
  | { readonly kind: "limit" }
  | { readonly kind: "notrack" }
  /** Bits of the flow's mark; what is undefined keeps its value. */
  | { readonly kind: "mark"; readonly epoch?: number; readonly origin?: number; readonly low?: number }
  | { readonly kind: "mark-map"; readonly keys: readonly Key[]; readonly map: string }
  | { readonly kind: "packet-mark"; readonly mask: number } // the packet's mark from the flow's low bits
  | { readonly kind: "nat"; readonly nat: Nat }
  | { readonly kind: "verdict"; readonly verdict: Verdict };

export type Rule = { readonly text: string; readonly statements: readonly Statement[] };

/** A named set or map with its elements read; `values` beside them in maps. */
export type ReadSet = {
  readonly name: string;
  readonly types: readonly NftType[];
  readonly texts: readonly string[];
  readonly columns: readonly Columns[];
  readonly verdicts: readonly Verdict[]; // verdict maps
  readonly results: readonly (readonly Interval[])[]; // maps of values
};

export type ReadChain = {
  readonly name: string;
  readonly base: NftBase | null;
  readonly rules: readonly Rule[];
};

export type ReadTable = {
  readonly chains: ReadonlyMap<string, ReadChain>;
  readonly sets: ReadonlyMap<string, ReadSet>;
};
