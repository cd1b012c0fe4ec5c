/** nft's vocabulary: what expressions read, and how values of each type are spelled. */
import { lastOf, parseIp, parsePrefix } from "../../../schemas/ip.ts";
import type { Key, NftType } from "./ast.ts";
import { type Field, type Interval, STATE } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;

type More = Partial<Omit<Key, "text" | "type" | "field">>;

function key(text: string, type: NftType, field: Field, more: More = {}): Key {
  return { text, type, field, family: 0, protocol: -1, ports: false, tracked: false, ...more };
}

const { icmp, tcp, udp, icmpv6 } = PROTOCOL;

/** Every expression that reads a field; nft's own dependencies beside it (`icmp type` asks for IPv4 and protocol 1). */
const KEYS: readonly Key[] = [
  key("iifname", "ifname", "iif"),
  key("oifname", "ifname", "oif"),
  key("ip saddr", "ipv4_addr", "saddr", { family: 4 }),
  key("ip daddr", "ipv4_addr", "daddr", { family: 4 }),
  key("ip6 saddr", "ipv6_addr", "saddr", { family: 6 }),
  key("ip6 daddr", "ipv6_addr", "daddr", { family: 6 }),
  key("ip6 hoplimit", "number", "hop", { family: 6 }),
  key("tcp sport", "inet_service", "sport", { protocol: tcp }),
  key("tcp dport", "inet_service", "dport", { protocol: tcp }),
  key("udp sport", "inet_service", "sport", { protocol: udp }),
  key("udp dport", "inet_service", "dport", { protocol: udp }),
  key("th sport", "inet_service", "sport", { ports: true }),
  key("th dport", "inet_service", "dport", { ports: true }),
  key("icmp type", "icmp_type", "icmp", { family: 4, protocol: icmp }),
  key("icmpv6 type", "icmpv6_type", "icmp", { family: 6, protocol: icmpv6 }),
  key("meta l4proto", "inet_proto", "proto"),
  key("ct state", "ct_state", "state"),
  key("ct direction", "ct_dir", "direction", { tracked: true }),
  key("ct original ip daddr", "ipv4_addr", "odaddr", { family: 4, tracked: true }),
  key("ct original ip6 daddr", "ipv6_addr", "odaddr", { family: 6, tracked: true }),
];

/** Parts of the flow's mark, which have no text of their own. */
export const MARK_KEYS = {
  epoch: key("ct mark", "number", "epoch", { tracked: true }),
  origin: key("ct mark", "number", "origin", { tracked: true }),
  low: key("ct mark", "number", "low", { tracked: true }),
} as const;

export const STATUS_KEYS: Readonly<Record<string, Key>> = {
  dnat: key("ct status", "ct_status", "dnat", { tracked: true }),
  snat: key("ct status", "ct_status", "snat", { tracked: true }),
};

export const FLAGS_KEY = key("tcp flags", "number", "flags", { protocol: tcp });

const byFirst = new Map<string, readonly (readonly [words: readonly string[], Key])[]>();
for (const one of KEYS) {
  const words = one.text.split(" ");
  byFirst.set(words[0]!, [...(byFirst.get(words[0]!) ?? []), [words, one]]);
}

/** The expression that starts at a word, and how many words it has. */
export function keyAt(
  words: readonly string[],
  at: number,
): { readonly key: Key; readonly length: number } | undefined {
  const found = byFirst.get(words[at] ?? "")?.find(([parts]) => parts.every((part, i) => words[at + i] === part));
  return found === undefined ? undefined : { key: found[1], length: found[0].length };
}

const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp,
  igmp: 2,
  ipip: 4,
  tcp,
  udp,
  ipv6: 41,
  dccp: 33,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6,
  "ipv6-icmp": icmpv6,
  sctp: 132,
  udplite: 136,
};

const ICMP: Readonly<Record<string, number>> = {
  "echo-reply": 0,
  "destination-unreachable": 3,
  "source-quench": 4,
  redirect: 5,
  "echo-request": 8,
  "router-advertisement": 9,
  "router-solicitation": 10,
  "time-exceeded": 11,
  "parameter-problem": 12,
  "timestamp-request": 13,
  "timestamp-reply": 14,
  "info-request": 15,
  "info-reply": 16,
  "address-mask-request": 17,
  "address-mask-reply": 18,
};

const ICMPV6: Readonly<Record<string, number>> = {
  "destination-unreachable": 1,
  "packet-too-big": 2,
  "time-exceeded": 3,
  "parameter-problem": 4,
  "echo-request": 128,
  "echo-reply": 129,
  "mld-listener-query": 130,
  "mld-listener-report": 131,
  "mld-listener-done": 132,
  "mld-listener-reduction": 132,
  "nd-router-solicit": 133,
  "nd-router-advert": 134,
  "nd-neighbor-solicit": 135,
  "nd-neighbor-advert": 136,
  "nd-redirect": 137,
  "router-renumbering": 138,
  "ind-neighbor-solicit": 141,
  "ind-neighbor-advert": 142,
  "mld2-listener-report": 143,
};

const NAMES: Partial<Record<NftType, Readonly<Record<string, number>>>> = {
  inet_proto: PROTOCOLS,
  icmp_type: ICMP,
  icmpv6_type: ICMPV6,
  ct_state: STATE,
  ct_dir: { original: 0, reply: 1 },
};

/** Names of ICMP types, for questions and people. */
export const icmpNames = (family: 4 | 6): Readonly<Record<string, number>> => (family === 4 ? ICMP : ICMPV6);

const LAST_NUMBER: Partial<Record<NftType, number>> = {
  inet_proto: 255,
  inet_service: 65535,
  icmp_type: 255,
  icmpv6_type: 255,
  number: 255,
  mark: 0xffffffff,
};

/** A number as nft reads it: decimal, or hexadecimal after 0x. */
export function numberOf(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,9}|0x[0-9a-fA-F]{1,8})$/.test(text) ? Number(text) : undefined;
}

/** `::ffff:0.0.0.0` in groups alone: nft writes IPv4 inside IPv6 with dots. */
function undotted(text: string): string {
  return text.replace(/:(\d+)\.(\d+)\.(\d+)\.(\d+)/g, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.slice(0, 4).map(Number);
    return `:${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}`;
  });
}

/** An address, prefix or range of one family; undefined when it is none. */
export function addressesOf(written: string, family: 4 | 6): Interval | undefined {
  // Families and prefixes are told apart at a glance: there are tens of thousands of them.
  if (written.includes(":") !== (family === 6)) return undefined;
  const text = family === 6 && written.includes(".") ? undotted(written) : written;
  const wide = (value: bigint): Interval["from"] => (family === 4 ? Number(value) : value);
  if (text.includes("/")) {
    const prefix = parsePrefix(text);
    return prefix === undefined ? undefined : { from: wide(prefix.value), to: wide(lastOf(prefix)) };
  }
  if (!text.includes("-")) {
    const ip = parseIp(text);
    return ip === undefined ? undefined : { from: wide(ip.value), to: wide(ip.value) };
  }
  const [from, to, more] = text.split("-");
  if (to === undefined || more !== undefined) return undefined;
  const [a, b] = [parseIp(from!), parseIp(to)];
  if (a?.family !== family || b?.family !== family || a.value > b.value) return undefined;
  return { from: wide(a.value), to: wide(b.value) };
}

/** Interfaces have no order of their own: a value is the index that `indexOf` gives its name. */
export type IndexOf = (name: string) => readonly number[];

function interfacesOf(text: string, indexOf: IndexOf): readonly Interval[] {
  const name = /^"(.*)"$/.exec(text)?.[1] ?? text;
  if (!/^[A-Za-z0-9_.-]{1,15}\*?$/.test(name)) throw new Unmodelled(`interface ${text}`);
  return indexOf(name).map((index) => ({ from: index, to: index }));
}

/** The values that one word of a type stands for; refused when the word is not known. */
export function valuesOf(type: NftType, text: string, indexOf: IndexOf): readonly Interval[] {
  if (type === "ifname") return interfacesOf(text, indexOf);
  if (type === "ipv4_addr" || type === "ipv6_addr") {
    const found = addressesOf(text, type === "ipv4_addr" ? 4 : 6);
    if (found === undefined) throw new Unmodelled(`${text} as ${type}`);
    return [found];
  }
  const named = NAMES[type];
  if (named !== undefined && Object.hasOwn(named, text)) return [{ from: named[text]!, to: named[text]! }];
  const last = LAST_NUMBER[type];
  const [from, to, more] = text.split("-");
  const [a, b] = [numberOf(from!), numberOf(to ?? from!)];
  if (last === undefined || a === undefined || b === undefined || more !== undefined || a > b || b > last) {
    throw new Unmodelled(`${text} as ${type}`);
  }
  return [{ from: a, to: b }];
}

const TYPES: ReadonlySet<string> = new Set<NftType>([
  ...(["ifname", "ipv4_addr", "ipv6_addr", "inet_proto", "inet_service", "mark", "icmp_type", "icmpv6_type"] as const),
  ...(["ct_state", "verdict"] as const),
]);

/** Types of a set's declaration, by name or by `typeof`. */
export function typesOf(text: string): readonly NftType[] {
  if (text.startsWith("typeof ")) {
    return text
      .slice("typeof ".length)
      .split(" . ")
      .map((part) => {
        const words = part.trim().split(" ");
        const found = keyAt(words, 0);
        if (found === undefined || found.length !== words.length) throw new Unmodelled(`typeof ${part}`);
        return found.key.type;
      });
  }
  return text.split(" . ").map((part) => {
    if (!TYPES.has(part.trim())) throw new Unmodelled(`type ${part}`);
    return part.trim() as NftType;
  });
}
