/**
 * What an intent compiles to for one router: everything that must be true in its kernel. Every field is
 * present ("off" included), every list has one order, and the canonical JSON of the whole is what the
 * directive's desired digest covers. The policy epoch stays symbolic: "$HF_EPOCH" in rules.
 */
import { sha256 } from "./digest.ts";
import type { Probe } from "./intent.ts";

export const DESIRED_FORMAT = 1;

export type WgPeer = {
  readonly publicKey: string; // base64
  readonly psk: string; // commitment, 64 hex digits, or ""
  readonly allowedIps: readonly string[]; // host prefixes only, sorted as comparePrefix; [] for a staged key
  readonly keepaliveS: number; // 0: off
};

/** A WireGuard device that this router owns; `network` is an intent id or "rescue". */
export type WgLink = {
  readonly name: string;
  readonly network: string;
  readonly port: number;
  readonly mtu: number;
  readonly fwmark: number; // 0: none
  readonly publicKey: string; // the private half lives in the router's key folder
  readonly peers: readonly WgPeer[]; // sorted by publicKey
};

export type DesiredAddress = { readonly interface: string; readonly cidr: string };

export type DesiredRoute = {
  readonly family: 4 | 6;
  readonly to: string; // prefix; 0.0.0.0/0 and ::/0 spelled out
  readonly via: string; // address or ""
  readonly interface: string;
  readonly table: number; // 254: main
  readonly metric: number; // 0: the kernel's default
};

/** One `ip rule`; absent selectors are "" or 0. Kernel protocol number OWN_PROTOCOL marks it ours. */
export type DesiredRule = {
  readonly family: 4 | 6;
  readonly priority: number;
  readonly from: string; // prefix or ""
  readonly fwmark: number;
  readonly fwmask: number;
  readonly table: number;
};

/** rtnetlink protocol number of every route and rule that Holdfast adds (unassigned range, iproute2 rt_protos). */
export const OWN_PROTOCOL = 172;

export type NftSet = {
  readonly name: string;
  readonly kind: "set" | "map";
  readonly type: string; // "ifname . ipv4_addr", or "typeof iifname . ..." written out in full
  readonly value: string; // maps: "verdict", "ipv4_addr . inet_service"; sets: ""
  readonly interval: boolean;
  readonly elements: readonly string[]; // nft text: `"wg0" . 10.0.0.2` or `10.0.0.2 : goto p_split`; sorted by code unit
};

export type NftBase = {
  readonly type: "filter" | "nat" | "route";
  readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting";
  readonly priority: number;
  readonly policy: "accept" | "drop";
};

export type NftChain = { readonly name: string; readonly base: NftBase | null; readonly rules: readonly string[] };

export type NftTable = {
  readonly counters: readonly string[]; // named counters, sorted
  readonly sets: readonly NftSet[]; // sorted by name; maps of verdicts come after the chains in the text
  readonly chains: readonly NftChain[]; // callees before callers
};

/** A management path that every generation keeps open, stateless, with its own counter. */
export type DesiredLane = {
  readonly name: string; // "api:<address>" | "rescue" | "wg:<network>"
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  readonly address: string; // "" for lanes on every local address
  readonly counter: string; // named nft counter of arriving packets
  /** Digest-like text over everything that makes the lane work (input, key, port, address, route): a change needs a proof. */
  readonly fingerprint: string;
};

/** Foreign rules that the operator vouches for, and whether a flushed table of ours is loaded again without asking. */
export type Foreign = { readonly accept: readonly string[]; readonly reassert: boolean };

export type Desired = {
  readonly format: typeof DESIRED_FORMAT;
  readonly router: string;
  readonly sysctls: readonly { readonly key: string; readonly value: string }[];
  readonly links: readonly WgLink[]; // sorted by name
  readonly addresses: readonly DesiredAddress[];
  readonly routes: readonly DesiredRoute[];
  readonly rules: readonly DesiredRule[];
  readonly nft: NftTable;
  readonly lanes: readonly DesiredLane[];
  readonly api: readonly { readonly address: string; readonly port: number; readonly lane: string }[];
  readonly probes: readonly Probe[];
  readonly windowS: number;
  readonly capS: number;
  readonly rebootAllowed: boolean;
  /** What the operator says of other programs; absent when nothing is said, as in generations of earlier agents. */
  readonly foreign?: Foreign;
};

/** The canonical bytes: JSON in construction order without white space. compile() builds every object in the order of these types. */
export function desiredText(desired: Desired): string {
  return `${JSON.stringify(desired)}\n`;
}

/** Digest that a directive signs (P2): SHA-256 over the canonical bytes. */
export function desiredDigest(desired: Desired): Uint8Array {
  return sha256(desiredText(desired));
}
