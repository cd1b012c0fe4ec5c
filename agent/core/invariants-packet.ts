/**
 * One packet, and what nft expressions say of it. Invariants send packets through the compiled text; this is the part
 * that knows nothing of chains. Written against nft's manual, not against the compiler.
 */
import type { NftSet } from "../../schemas/desired.ts";
import {
  BITS,
  contains,
  type Family,
  formatIp,
  type Ip,
  lastOf,
  type Prefix,
  parseIp,
  parsePrefix,
} from "../../schemas/ip.ts";

export type Packet = {
  readonly family: Family;
  readonly iif: string; // "" when the router speaks
  readonly oif: string; // "" when the router listens
  readonly source: Ip;
  readonly target: Ip;
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly sport: number; // 0 for icmp
  readonly dport: number;
  readonly icmpType: string; // "echo-request", or "" when not icmp
  readonly syn: boolean; // bare SYN
  readonly state: "new" | "established" | "related" | "invalid" | "untracked";
  readonly direction: "original" | "reply";
  readonly epoch: "current" | "stale"; // of the flow's mark
  readonly dnat: boolean;
  readonly sourceLocal: boolean; // an address of the router
  readonly targetLocal: boolean;
};

/** A field of a packet as one comparable value; undefined when the packet has no such field. */
export type Value =
  | { readonly kind: "ip"; readonly ip: Ip }
  | { readonly kind: "number"; readonly number: number }
  | { readonly kind: "word"; readonly words: readonly string[] };

/** Whether conntrack has an entry for it. Measured on kernel 6.18: an invalid packet has none, nor a mark. */
export const hasFlow = ({ state }: Packet): boolean => state !== "untracked" && state !== "invalid";

const word = (...words: readonly string[]): Value => ({ kind: "word", words });
const number = (value: number): Value => ({ kind: "number", number: value });

/** Expressions, each with what it reads; undefined: the packet has no such field, so the rule does not match it. */
const FIELDS: Readonly<Record<string, (packet: Packet) => Value | undefined>> = {
  iifname: (p) => word(p.iif),
  oifname: (p) => word(p.oif),
  iif: (p) => word(p.iif),
  oif: (p) => word(p.oif),
  "ip saddr": (p) => (p.family === 4 ? { kind: "ip", ip: p.source } : undefined),
  "ip daddr": (p) => (p.family === 4 ? { kind: "ip", ip: p.target } : undefined),
  "ip6 saddr": (p) => (p.family === 6 ? { kind: "ip", ip: p.source } : undefined),
  "ip6 daddr": (p) => (p.family === 6 ? { kind: "ip", ip: p.target } : undefined),
  "ip6 hoplimit": (p) => (p.family === 6 ? number(64) : undefined),
  "tcp sport": (p) => (p.protocol === "tcp" ? number(p.sport) : undefined),
  "tcp dport": (p) => (p.protocol === "tcp" ? number(p.dport) : undefined),
  "udp sport": (p) => (p.protocol === "udp" ? number(p.sport) : undefined),
  "udp dport": (p) => (p.protocol === "udp" ? number(p.dport) : undefined),
  "th sport": (p) => (p.protocol === "icmp" ? undefined : number(p.sport)),
  "th dport": (p) => (p.protocol === "icmp" ? undefined : number(p.dport)),
  "icmp type": (p) => (p.protocol === "icmp" && p.family === 4 ? word(p.icmpType) : undefined),
  "icmpv6 type": (p) => (p.protocol === "icmp" && p.family === 6 ? word(p.icmpType) : undefined),
  "meta nfproto": (p) => word(`ipv${p.family}`),
  "meta l4proto": (p) => (p.protocol === "icmp" && p.family === 6 ? word("ipv6-icmp", "icmpv6") : word(p.protocol)),
  "ct state": (p) => word(p.state),
  "ct direction": (p) => (hasFlow(p) ? word(p.direction) : undefined),
  "ct status": (p) => (hasFlow(p) ? word(p.dnat ? "dnat" : "") : undefined),
  // The address before our own DNAT: none of ours is known here, so it is the address that the packet has now.
  "ct original ip daddr": (p) => (p.dnat && p.family === 4 ? { kind: "ip", ip: p.target } : undefined),
  "fib saddr type": (p) => word(p.sourceLocal ? "local" : "unicast"),
  "fib daddr type": (p) => word(p.targetLocal ? "local" : "unicast"),
};

const names = Object.keys(FIELDS).sort((a, b) => b.length - a.length);
const TOKEN = new RegExp(`(?<=^| )(?:${names.join("|")})(?= )|"[^"]*"|\\{[^}]*\\}|\\([^)]*\\)|\\S+`, "g");

/** The words of a rule; an expression is one of them, and so is a list in braces or parentheses. */
export const tokensOf = (rule: string): readonly string[] => rule.match(TOKEN) ?? [];

const fields = new Map(Object.entries(FIELDS));
export const isField = (token: string): boolean => fields.has(token);
export const readField = (name: string, packet: Packet): Value | undefined => fields.get(name)!(packet);

/** The canonical text of a value inside an element, for sets without intervals. */
function elementPart(name: string, value: Value): string {
  if (value.kind === "ip") return formatIp(value.ip);
  if (value.kind === "number") return String(value.number);
  return /^[io]if/.test(name) ? `"${value.words[0]}"` : value.words[0]!;
}

function rangeOf(
  text: string,
): Prefix | { readonly from: bigint; readonly to: bigint; readonly family: Family } | undefined {
  const single = parseIp(text);
  if (single !== undefined) return { ...single, length: BITS[single.family] };
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return prefix;
  const [from, to] = text.split("-").map(parseIp);
  return from === undefined || to === undefined ? undefined : { from: from.value, to: to.value, family: from.family };
}

/** Whether one value is what one literal says; undefined when this reader does not know the literal. */
export function matchesLiteral(value: Value, literal: string): boolean | undefined {
  if (value.kind === "word") {
    const text = literal.replaceAll('"', "");
    if (text.endsWith("*")) return value.words.some((one) => one.startsWith(text.slice(0, -1)));
    return text.split(",").some((one) => value.words.includes(one));
  }
  if (value.kind === "number") {
    const range = /^(\d+)(?:-(\d+))?$/.exec(literal);
    if (range === null) return undefined;
    return value.number >= Number(range[1]) && value.number <= Number(range[2] ?? range[1]);
  }
  const range = rangeOf(literal);
  if (range === undefined) return undefined;
  if (range.family !== value.ip.family) return false;
  if ("length" in range) return contains(range, value.ip);
  return value.ip.value >= range.from && value.ip.value <= range.to;
}

/** Sets and maps ready for look-ups. One per table; elements are read once. */
export class Elements {
  readonly #sets: ReadonlyMap<string, NftSet>;
  readonly #exact = new Map<string, ReadonlyMap<string, string>>();
  readonly #ranges = new Map<string, readonly { readonly parts: readonly string[]; readonly value: string }[]>();

  constructor(sets: readonly NftSet[]) {
    this.#sets = new Map(sets.map((set) => [set.name, set]));
  }

  /** The map's value, or "" for a set, of the element that holds the values; null when none does, undefined when unknown. */
  find(name: string, fields: readonly string[], values: readonly Value[]): string | null | undefined {
    const set = this.#sets.get(name);
    if (set === undefined) return undefined;
    if (!set.interval) {
      const key = values.map((value, i) => elementPart(fields[i]!, value)).join(" . ");
      return this.#exactOf(set).get(key) ?? null;
    }
    for (const { parts, value } of this.#rangesOf(set)) {
      const found = parts.map((part, i) => (values[i] === undefined ? undefined : matchesLiteral(values[i], part)));
      if (found.includes(undefined) || parts.length !== values.length) return undefined;
      if (found.every((one) => one === true)) return value;
    }
    return null;
  }

  /** The text of the element of a map that holds the values; "" where sets have ranges. */
  text(name: string, fields: readonly string[], values: readonly Value[], value: string): string {
    if (this.#sets.get(name)?.interval !== false) return "";
    return `${values.map((one, i) => elementPart(fields[i]!, one)).join(" . ")} : ${value}`;
  }

  #exactOf(set: NftSet): ReadonlyMap<string, string> {
    const known = this.#exact.get(set.name);
    if (known !== undefined) return known;
    const read = new Map(set.elements.map((element) => splitElement(set, element)));
    this.#exact.set(set.name, read);
    return read;
  }

  #rangesOf(set: NftSet): readonly { readonly parts: readonly string[]; readonly value: string }[] {
    const known = this.#ranges.get(set.name);
    if (known !== undefined) return known;
    const read = set.elements.map((element) => {
      const [key, value] = splitElement(set, element);
      return { parts: key.split(" . "), value };
    });
    this.#ranges.set(set.name, read);
    return read;
  }
}

/** Key and value of an element; the value of a set's element is "". */
export function splitElement(set: NftSet, element: string): readonly [key: string, value: string] {
  if (set.kind === "set") return [element, ""];
  const cut = element.indexOf(" : ");
  return cut < 0 ? [element, ""] : [element.slice(0, cut), element.slice(cut + 3)];
}

/** The last host of a prefix: for packets that invariants send, an address that people rarely give to anything. */
export function hostIn(prefix: Prefix): Ip {
  const last = lastOf(prefix) - (prefix.length >= BITS[prefix.family] - 1 ? 0n : 1n);
  return { family: prefix.family, value: last };
}
