/**
 * What the verifier is asked and what it answers: plain data, so that contracts, the command line and campaigns share
 * one language. Addresses, prefixes and ports are spelled as in schemas/scalars; interfaces by their kernel names.
 *
 * A packet is described as the policy sees it. For a packet that the router translates back on arrival (a reply of a
 * masqueraded flow, a later packet of a forwarded port), `source`, `target` and the ports are those behind the
 * translation; `original` is the flow's first target. A new packet carries the headers with which it arrives.
 *
 * There are no fragments in this space: connection tracking puts them together before the first chain, and a table
 * without it is refused. There are no IPv6 extension headers: nft's l4proto is the last header's.
 */
import type { Family } from "../../../schemas/ip.ts";

export type { Family };

export type CtState = "new" | "established" | "related" | "invalid" | "untracked";
export type Direction = "original" | "reply";

/** Of the flow's mark: never stamped, by the policy in force, or by another. */
export type Epoch = "none" | "current" | "stale";

/** One concrete packet. What it cannot have is "" or 0. */
export type Packet = {
  readonly family: Family;
  readonly iif: string; // "" when the router speaks
  readonly oif: string; // where the routes (or the question) send it; "" when it ends in the router
  readonly source: string;
  readonly target: string;
  readonly protocol: number; // IP protocol: 1 icmp, 6 tcp, 17 udp, 58 icmpv6
  readonly sport: number; // 0 when it has no ports
  readonly dport: number;
  readonly icmpType: number; // 0 also when it is no ICMP
  readonly flags: string; // of fin, syn, rst, ack: "syn" is a connection's first packet; "" when not TCP
  readonly hopLimit: number; // IPv6 only, else 0
  readonly state: CtState;
  readonly direction: Direction; // "original" when conntrack does not follow it
  readonly epoch: Epoch;
  readonly origin: boolean; // the flow's mark says that the router began it
  readonly mark: number; // low 15 bits of the flow's mark: policy routing
  readonly dnat: boolean; // its flow's target was translated
  readonly snat: boolean; // its flow's source was translated
  readonly original: string; // target of the flow's first packet before dnat; "" without dnat
};

/** Addresses, prefixes or ranges "a-b"; `in` absent: all. An empty list is no address at all. */
export type Addresses = { readonly in?: readonly string[]; readonly not?: readonly string[] };

/** Ports or other numbers from/to, both included. */
export type Span = readonly [from: number, to: number];

/**
 * A set of packets: every field that is present narrows it. `flow` is a shorthand over the conntrack fields:
 * "first": the first packet of a flow (new, original direction, unmarked, bare SYN when TCP);
 * "later": a further packet of an accepted flow in its original direction (established, epoch current);
 * "reply": its answers (established, reply direction, epoch current, no SYN). Fields given beside it win.
 */
export type Region = {
  /** "arriving": comes in through an interface, not from the router itself unless iif names "lo"; "leaving": the router says it. */
  readonly way: "arriving" | "leaving";
  readonly family?: Family; // absent: both
  readonly flow?: "first" | "later" | "reply";
  readonly iif?: readonly string[]; // arriving only; absent: any, also interfaces that nothing names
  readonly oif?: readonly string[]; // absent: any
  readonly source?: Addresses;
  readonly target?: Addresses;
  /** Whether the target is an address of the router, before any translation. */
  readonly targetLocal?: boolean;
  readonly sourceLocal?: boolean; // from outside always a lie
  readonly protocol?: readonly number[];
  readonly sport?: readonly Span[]; // implies a protocol with ports
  readonly dport?: readonly Span[];
  readonly icmpType?: readonly number[]; // implies the family's ICMP
  readonly syn?: boolean; // bare SYN or not; implies nothing about other protocols
  readonly state?: readonly CtState[]; // absent: all but untracked, which is what a notrack rule makes of a packet
  readonly direction?: Direction;
  readonly epoch?: readonly Epoch[];
  readonly origin?: boolean;
  readonly mark?: readonly Span[];
  readonly dnat?: boolean;
  readonly snat?: boolean;
  readonly original?: Addresses;
};

export type Question = {
  readonly region: Region;
  /**
   * "declared": the generation's own routes choose where a packet leaves (default). "any": whatever interface it may
   * leave by; a denial that holds for any route does not hang on routes. A packet that the router says leaves by any.
   */
  readonly routes?: "declared" | "any";
  /** Rate limits: "pass", "fail", or absent for both: an answer that hangs on one is mixed. */
  readonly limit?: "pass" | "fail";
  /** Only packets that the routes (after any translation) send to the router, or on to an interface; "any": both. */
  readonly want?: "any" | "router" | "onward";
  /** Boxes that an answer lists at most; absent or 0: none. */
  readonly boxesMax?: number;
  /** "none": only the verdict, for many questions whose answer is as expected; a third cheaper. */
  readonly witnesses?: "both" | "none";
};

/** One rule that applied on a packet's way. */
export type Step = {
  readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting" | "route" | "wireguard";
  readonly chain: string; // "" outside of the table
  readonly rule: number; // index in the chain; -1 for its policy or its end
  readonly text: string; // the rule, or what the kernel did
  readonly element: string; // the set's or map's element that matched; "" for none
  readonly verdict: string; // "accept", "drop", "goto x", "jump x", "return", "dnat ...", "continue"
};

export type Headers = {
  readonly source: string;
  readonly target: string;
  readonly sport: number;
  readonly dport: number;
};

/** A packet of the region, and what becomes of it. */
export type Witness = {
  readonly packet: Packet;
  readonly limit: "pass" | "fail" | "none"; // what the rate limit on its way had to do for this end
  readonly outcome: "accept" | "drop" | "either"; // either: it hangs on something outside of the model, named in the last step
  readonly egress: string; // interface, or "router"; "" when dropped
  readonly headers: Headers; // as it leaves or is delivered; a port that NAT chooses is 0
  readonly chains: readonly string[]; // in the order of entry
  readonly walk: readonly Step[];
  readonly decided: Step;
};

/** A product of sets, one per field that is constrained: as text, `source` to "10.0.0.0/24", `dport` to "80-90". */
export type Box = { readonly family: Family; readonly fields: Readonly<Record<string, readonly string[]>> };

export type Answer = {
  /** "none": no such packet can exist (WireGuard admits no such source, or the region contradicts itself). */
  readonly verdict: "accepted" | "dropped" | "mixed" | "none";
  /** Where a mixed answer has no packet of an outcome, here is one that may end either way. */
  readonly accepted: Witness | null;
  readonly dropped: Witness | null;
  /** The accepted part. */
  readonly boxes: readonly Box[];
  readonly more: boolean; // there are more boxes than were listed
};

/** Rulesets that are not the same: a packet, and what each makes of it. */
export type Difference = { readonly packet: Packet; readonly hook: Step["hook"]; readonly a: Step; readonly b: Step };
