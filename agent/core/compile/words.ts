/**
 * Words of rules in both directions. A rule is written once, as its originals see it; its mirror, which judges
 * replies, is the same text with interfaces, addresses and ports exchanged. So they cannot drift apart.
 */
import type { Family } from "../../../schemas/ip.ts";
import type { Node } from "./scope.ts";

export type Way = "original" | "reply";

/** Verdict of every accept of the policy: marks the flow as current, then accepts. */
export const STAMP = "goto c_stamp";

/** The epoch's half of the mark. */
const EPOCH_MASK = "0xffff0000";

/** Set on flows that this router began; below the epoch, above what policy routing may use. */
export const ORIGIN_BIT = "0x00008000";

/** What a stamp keeps of a mark: the bits of policy routing. */
export const KEPT_MASK = "0x00007fff";

export const CURRENT = `ct mark & ${EPOCH_MASK} == $HF_EPOCH`;
export const STALE = `ct mark & ${EPOCH_MASK} != $HF_EPOCH`;

export const ip = (family: Family): string => (family === 4 ? "ip" : "ip6");
export const nfproto = (family: Family): string => `meta nfproto ipv${family}`;

type Words = {
  readonly iif: string;
  readonly oif: string;
  readonly source: (family: Family) => string;
  readonly target: (family: Family) => string;
  readonly sourcePort: string; // without th, tcp or udp
  readonly targetPort: string;
  readonly echo: (family: Family) => string;
};

const icmp = (family: Family): string => (family === 4 ? "icmp" : "icmpv6");

export const words: Readonly<Record<Way, Words>> = {
  original: {
    iif: "iifname",
    oif: "oifname",
    source: (family) => `${ip(family)} saddr`,
    target: (family) => `${ip(family)} daddr`,
    sourcePort: "sport",
    targetPort: "dport",
    echo: (family) => `${icmp(family)} type echo-request`,
  },
  reply: {
    iif: "oifname",
    oif: "iifname",
    source: (family) => `${ip(family)} daddr`,
    target: (family) => `${ip(family)} saddr`,
    sourcePort: "dport",
    targetPort: "sport",
    echo: (family) => `${icmp(family)} type echo-reply`,
  },
};

/** `"lan0"`, or `{ "lan0", "lan1" }`. */
export function nameSet(interfaces: readonly string[]): string {
  const quoted = interfaces.map((name) => `"${name}"`);
  return quoted.length === 1 ? quoted[0]! : `{ ${quoted.join(", ")} }`;
}

export const quoted = (name: string): string => `"${name}"`;

/** Match of packets that go to a node, and there to the subnets that it names; undefined when it has none. */
export function toNode(way: Way, node: Node, family: Family): string | undefined {
  const out = `${words[way].oif} ${nameSet(node.interfaces)}`;
  if (node.open) return `${out} ${nfproto(family)}`;
  if (!node.prefixes.some((prefix) => prefix.family === family)) return undefined;
  return `${out} ${words[way].target(family)} @s_net${family}_${node.word}`;
}
