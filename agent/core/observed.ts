/** What the host saw in the kernel, as data: agent/ports.ts says how it is asked for. */
import type { Desired } from "../../schemas/desired.ts";

export type ObservedPeer = {
  readonly publicKey: string;
  readonly psk: string; // commitment or ""
  readonly allowedIps: readonly string[]; // sorted as comparePrefix
  readonly keepaliveS: number;
  readonly endpoint: string; // "" when unknown
  readonly handshakeUnixS: number; // 0 when never
  readonly rxBytes: number;
  readonly txBytes: number;
};

export type ObservedLink = {
  readonly name: string;
  readonly up: boolean;
  readonly mtu: number;
  readonly port: number;
  readonly fwmark: number;
  readonly publicKey: string; // "" when the device has no key
  readonly peers: readonly ObservedPeer[]; // sorted by publicKey
};

/** What the kernel says about everything in a scope. Lists are sorted like the desired ones. */
export type Observed = {
  readonly links: readonly ObservedLink[];
  readonly addresses: readonly { readonly interface: string; readonly cidr: string }[];
  readonly routes: Desired["routes"]; // ours by OWN_PROTOCOL
  readonly rules: Desired["rules"]; // ours by OWN_PROTOCOL
  readonly sysctls: readonly { readonly key: string; readonly value: string }[];
  readonly nft: string; // `nft -s list table inet holdfast`, "" when the table is absent
  readonly nftGeneration: number; // kernel ruleset generation id
};

/** Names whose state is asked for: the union of LKG and the new generation. */
export type Scope = {
  readonly links: readonly string[];
  readonly addressInterfaces: readonly string[];
  readonly sysctls: readonly string[];
};
