/** Fields of packets, literals and sets, as nft(8) describes them: the part of the reader that knows no chains. */
import type { NftSet } from "../../schemas/desired.ts";
import { lastOf, parseIp, parsePrefix } from "../../schemas/ip.ts";
import type { Regs } from "./regs.ts";

type Value = string | number | bigint;
type Kind = "name" | "ip4" | "ip6" | "port" | "protocol" | "icmp" | "icmp6" | "word";

export type Field = { readonly kind: Kind; readonly read: (regs: Regs) => Value | undefined };
export type Key = readonly Field[];

/** A literal as a closed range; single values have equal ends. */
export type Matcher = { readonly from: Value; readonly to: Value };

const tracked = (regs: Regs): boolean => regs.ct.state !== "invalid" && regs.ct.state !== "untracked";
const four = (read: (regs: Regs) => bigint) => (regs: Regs) => (regs.family === 4 ? read(regs) : undefined);
const six = (read: (regs: Regs) => bigint) => (regs: Regs) => (regs.family === 6 ? read(regs) : undefined);
const of = (protocol: number, read: (regs: Regs) => number) => (regs: Regs) =>
  regs.protocol === protocol ? read(regs) : undefined;

const FIELDS: Readonly<Record<string, Field>> = {
  iifname: { kind: "name", read: (r) => r.iif },
  oifname: { kind: "name", read: (r) => r.oif },
  "ip saddr": { kind: "ip4", read: four((r) => r.source) },
  "ip daddr": { kind: "ip4", read: four((r) => r.target) },
  "ip6 saddr": { kind: "ip6", read: six((r) => r.source) },
  "ip6 daddr": { kind: "ip6", read: six((r) => r.target) },
  "ip6 hoplimit": { kind: "port", read: (r) => (r.family === 6 ? r.hops : undefined) },
  "tcp sport": { kind: "port", read: of(6, (r) => r.sport) },
  "tcp dport": { kind: "port", read: of(6, (r) => r.dport) },
  "udp sport": { kind: "port", read: of(17, (r) => r.sport) },
  "udp dport": { kind: "port", read: of(17, (r) => r.dport) },
  "th sport": { kind: "port", read: (r) => r.sport },
  "th dport": { kind: "port", read: (r) => r.dport },
  "icmp type": { kind: "icmp", read: (r) => (r.protocol === 1 && r.family === 4 ? r.type : undefined) },
  "icmpv6 type": { kind: "icmp6", read: (r) => (r.protocol === 58 && r.family === 6 ? r.type : undefined) },
  "meta nfproto": { kind: "word", read: (r) => `ipv${r.family}` },
  "meta l4proto": { kind: "protocol", read: (r) => r.protocol },
  "ct state": { kind: "word", read: (r) => r.ct.state },
  "ct direction": { kind: "word", read: (r) => (tracked(r) ? r.ct.direction : undefined) },
  // A status has many bits; the only one that is asked for here is DNAT's.
  "ct status": { kind: "word", read: (r) => (tracked(r) ? (r.ct.dnat ? "dnat" : "none") : undefined) },
  "ct original ip daddr": {
    kind: "ip4",
    read: (r) => (tracked(r) && r.family === 4 ? r.ct.originalTarget : undefined),
  },
  "fib saddr type": { kind: "word", read: (r) => r.sourceType },
  "fib daddr type": { kind: "word", read: (r) => r.targetType },
};

const NAMES = Object.keys(FIELDS).map((name) => name.split(" "));

/** The field that starts at a token, with the number of its words. */
export function fieldAt(
  tokens: readonly string[],
  at: number,
): { readonly field: Field; readonly words: number } | undefined {
  const name = NAMES.find((words) => words.every((word, i) => tokens[at + i] === word));
  return name === undefined ? undefined : { field: FIELDS[name.join(" ")]!, words: name.length };
}

const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, "ipv6-icmp": 58, icmpv6: 58 };
const ICMP_TYPES: Readonly<Record<string, number>> = {
  "echo-reply": 0,
  "destination-unreachable": 3,
  "echo-request": 8,
  "time-exceeded": 11,
  "parameter-problem": 12,
};
const ICMP6_TYPES: Readonly<Record<string, number>> = {
  "destination-unreachable": 1,
  "packet-too-big": 2,
  "time-exceeded": 3,
  "parameter-problem": 4,
  "echo-request": 128,
  "echo-reply": 129,
  "mld-listener-query": 130,
  "mld-listener-report": 131,
  "mld-listener-done": 132,
  "nd-router-solicit": 133,
  "nd-router-advert": 134,
  "nd-neighbor-solicit": 135,
  "nd-neighbor-advert": 136,
  "mld2-listener-report": 143,
};

/** RFC 4291 2.2 form 3, an IPv4 address as the tail, in the form that the parser knows. */
function plain(text: string): string {
  return text.replace(/^([0-9a-f:]+:)(\d+)\.(\d+)\.(\d+)\.(\d+)/, (_, head: string, ...parts: string[]) => {
    const [a, b, c, d] = parts.map(Number);
    return `${head}${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}`;
  });
}

function addressRange(written: string): Matcher | undefined {
  const text = plain(written);
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return { from: prefix.value, to: lastOf(prefix) };
  const [from, to = from] = text.split("-").map((part) => parseIp(part)?.value);
  return from === undefined || to === undefined ? undefined : { from, to };
}

function numberRange(text: string, words: Readonly<Record<string, number>>): Matcher | undefined {
  const [from, to = from] = text.split("-").map((part) => (/^\d+$/.test(part) ? Number(part) : undefined));
  if (from !== undefined && to !== undefined) return { from, to };
  const word = words[text];
  return word === undefined ? undefined : { from: word, to: word };
}

/** Reads one literal of a kind. */
export function matcherOf(kind: Kind, text: string): Matcher {
  const found = (() => {
    if (kind === "name") return { from: text.replaceAll('"', ""), to: text.replaceAll('"', "") };
    if (kind === "word") return { from: text, to: text };
    if (kind === "ip4" || kind === "ip6") return addressRange(text);
    const words = { port: {}, protocol: PROTOCOLS, icmp: ICMP_TYPES, icmp6: ICMP6_TYPES }[kind];
    return numberRange(text, words);
  })();
  if (found === undefined) throw new Error(`the reader of tests does not know the ${kind} ${text}`);
  return found;
}

type Row = { readonly parts: readonly Matcher[]; readonly value: string };

/** Sets and maps of a table, read when a rule first looks into them. */
export class Sets {
  readonly #sets: ReadonlyMap<string, NftSet>;

  constructor(sets: readonly NftSet[]) {
    this.#sets = new Map(sets.map((set) => [set.name, set]));
  }

  /** Looks a key up: the map's value, "" in a set, undefined when it is not there. */
  finder(reference: string, key: Key): (regs: Regs) => string | undefined {
    const set = this.#sets.get(reference.slice(1));
    if (set === undefined) throw new Error(`no set ${reference}`);
    const rows = set.elements.map((element): Row => {
      const [left, value = ""] = set.kind === "map" ? element.split(" : ") : [element];
      const parts = left!.split(" . ").map((part, i) => matcherOf(key[i]!.kind, part));
      if (parts.length !== key.length) throw new Error(`${element} of ${set.name} does not fit its key`);
      return { parts, value };
    });
    return (regs) => {
      const values = key.map((field) => field.read(regs));
      if (values.includes(undefined)) return undefined;
      const fits = (row: Row): boolean =>
        row.parts.every((part, i) => values[i]! >= part.from && values[i]! <= part.to);
      return rows.find(fits)?.value;
    };
  }
}
