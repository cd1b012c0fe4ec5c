/**
 * What a packet is made of, in the order in which diagrams ask for it, and how values become numbers in that order.
 * The order follows the ruleset: state and interfaces choose chains, then sources, then targets, then services.
 */
import { BITS, type Family } from "../../../schemas/ip.ts";

export const FIELDS = [
  ...["state", "direction", "epoch", "origin", "low", "dnat", "snat", "iif", "oif", "saddr", "daddr", "odaddr"],
  ...["proto", "icmp", "sport", "dport", "flags", "hop", "limit"],
] as readonly string[] as readonly Field[];

export type Field =
  | ("state" | "direction" | "epoch" | "origin" | "low" | "dnat" | "snat" | "iif" | "oif" | "saddr" | "daddr")
  | ("odaddr" | "proto" | "icmp" | "sport" | "dport" | "flags" | "hop" | "limit");

export const LEVEL = Object.fromEntries(FIELDS.map((name, i) => [name, i])) as Readonly<Record<Field, number>>;

/** Values of conntrack fields. */
export const STATE = { new: 0, established: 1, related: 2, invalid: 3, untracked: 4 } as const;
export const EPOCH = { none: 0, current: 1, stale: 2 } as const;

/** Bits of the `flags` field: the four that rules look at. */
export const FLAGS = { fin: 1, syn: 2, rst: 4, ack: 8 } as const;

/** A field's value: addresses of IPv6 are wide. */
export type Value = number | bigint;

/** Values from/to, both included. */
export type Interval = { readonly from: Value; readonly to: Value };

/** The same as labels: from `start` up to, and without, `end`. */
export type Cut = { readonly start: number; readonly end: number };

/** Last values of the fields that are small numbers. */
const LAST: Readonly<Record<Exclude<Field, "iif" | "oif" | "saddr" | "daddr" | "odaddr">, number>> = {
  state: 4,
  direction: 1,
  epoch: 2,
  origin: 1,
  low: 0x7fff,
  dnat: 1,
  snat: 1,
  proto: 255,
  icmp: 255,
  sport: 65535,
  dport: 65535,
  flags: 15,
  hop: 255,
  limit: 1,
};

/** Numbers in the order of the values. */
export interface Domain {
  readonly last: Value;
  label(value: Value): number;
  /** The label of the last known edge up to a value: where the value lies, without a new edge. */
  floor(value: Value): number;
  /** The value at a label that stands for one. */
  value(label: number): Value;
}

class Numbers implements Domain {
  readonly last: number;
  constructor(last: number) {
    this.last = last;
  }
  label(value: Value): number {
    return Number(value);
  }
  floor(value: Value): number {
    return Number(value);
  }
  value(label: number): Value {
    return label;
  }
}

/** Thrown when a new edge finds no room between two labels: the diagrams must be built again. */
export class OutOfLabels extends Error {}

/** Room between the labels of two neighbours, for edges that come with later questions. */
const GAP = 2 ** 30;

/** Edges of wide values get numbers by rank, with room between them. */
class Ranks implements Domain {
  readonly last: bigint;
  readonly #values: bigint[]; // sorted
  readonly #labels: number[];
  readonly #known: Map<bigint, number>;

  constructor(last: bigint, edges: Iterable<bigint>) {
    this.last = last;
    this.#values = [...new Set([0n, ...edges])].filter((value) => value <= last);
    this.#values.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    this.#labels = this.#values.map((_, i) => i * GAP);
    this.#known = new Map(this.#values.map((value, i) => [value, i * GAP]));
  }

  /** Values in order, those that came with questions too: what a rebuilt domain starts from. */
  edges(): readonly bigint[] {
    return this.#values;
  }

  label(value: Value): number {
    const wide = BigInt(value);
    const known = this.#known.get(wide);
    if (known !== undefined) return known;
    const at = this.#rank(wide) + 1;
    const before = this.#labels[at - 1]!;
    const after = this.#labels[at] ?? before + 2 * GAP;
    const label = Math.floor((before + after) / 2);
    this.#values.splice(at, 0, wide);
    this.#labels.splice(at, 0, label);
    this.#known.set(wide, label);
    if (label === before) throw new OutOfLabels();
    return label;
  }

  floor(value: Value): number {
    return this.#labels[this.#rank(BigInt(value))]!;
  }

  value(label: number): Value {
    let low = 0;
    let high = this.#labels.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#labels[middle]! <= label) low = middle;
      else high = middle - 1;
    }
    return this.#values[low]!;
  }

  #rank(value: bigint): number {
    let low = 0;
    let high = this.#values.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#values[middle]! <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** The interfaces that anything names, "" for none, and one that stands for all others. */
export class Interfaces {
  readonly names: readonly string[];
  readonly #index: ReadonlyMap<string, number>;
  /** Index of interfaces that nothing names, one for each wildcard that they may fall under; the last falls under none. */
  readonly others: readonly { readonly wildcard: string; readonly index: number }[];

  constructor(names: Iterable<string>, wildcards: Iterable<string>) {
    this.names = ["", ...[...new Set(names)].filter((name) => name !== "").sort()];
    this.#index = new Map(this.names.map((name, i) => [name, i]));
    const patterns = [...new Set(wildcards)].sort();
    this.others = [...patterns, ""].map((wildcard, i) => ({ wildcard, index: this.names.length + i }));
  }

  get last(): number {
    return this.names.length + this.others.length - 1;
  }

  /** Every index of a name; a name that nothing else mentions is one of the others. */
  index(name: string): number {
    const known = this.#index.get(name);
    if (known !== undefined) return known;
    return (this.others.find(({ wildcard }) => wildcard !== "" && name.startsWith(wildcard)) ?? this.others.at(-1)!)
      .index;
  }

  /** Indexes of what `prefix*` holds. */
  under(prefix: string): readonly number[] {
    const named = this.names.flatMap((name, i) => (name !== "" && name.startsWith(prefix) ? [i] : []));
    return [...named, ...this.others.filter(({ wildcard }) => wildcard === prefix).map(({ index }) => index)];
  }

  /** A name for people. */
  name(index: number): string {
    const known = this.names[index];
    if (known !== undefined) return known;
    const { wildcard } = this.others[index - this.names.length]!;
    const stem = wildcard === "" ? "other" : wildcard;
    return `${stem}${this.names.includes(`${stem}0`) ? "-0" : "0"}`;
  }
}

/** Which half of the packets a space is about: replies of flows, or all others. */
export type Half = "original" | "reply";

/**
 * Fields of one family and half. Replies are asked for their target first: then both halves begin with who began the
 * flow, and the mirrored policy is as small as the policy.
 */
export class Space {
  readonly family: Family;
  readonly half: Half;
  readonly interfaces: Interfaces;
  readonly #domains: readonly Domain[];
  readonly #addresses: Domain;

  /** Edges of addresses: of IPv6 all that are known beforehand, for IPv4 none are needed. */
  constructor(family: Family, half: Half, interfaces: Interfaces, edges: Iterable<bigint>) {
    this.family = family;
    this.half = half;
    this.interfaces = interfaces;
    const last = (1n << BigInt(BITS[family])) - 1n;
    this.#addresses = family === 4 ? new Numbers(Number(last)) : new Ranks(last, edges);
    this.#domains = FIELDS.map((field) => {
      if (field === "saddr" || field === "daddr" || field === "odaddr") return this.#addresses;
      return new Numbers(field === "iif" || field === "oif" ? interfaces.last : LAST[field]);
    });
  }

  /** Level of a field in the diagrams of this half. */
  level(field: Field): number {
    return this.#swapped(LEVEL[field]);
  }

  /** Place of a level's field in a packet's list of values. */
  place(level: number): number {
    return this.#swapped(level);
  }

  fieldAt(level: number): Field {
    return FIELDS[this.#swapped(level)]!;
  }

  #swapped(level: number): number {
    if (this.half === "original" || (level !== LEVEL.saddr && level !== LEVEL.daddr)) return level;
    return level === LEVEL.saddr ? LEVEL.daddr : LEVEL.saddr;
  }

  /** The direction of every packet in this half. */
  get direction(): number {
    return this.half === "reply" ? 1 : 0;
  }

  domain(level: number): Domain {
    return this.#domains[level]!;
  }

  /** Edges of addresses that are known by now. */
  edges(): readonly bigint[] {
    return this.#addresses instanceof Ranks ? this.#addresses.edges() : [];
  }

  cut(level: number, { from, to }: Interval): Cut {
    const domain = this.#domains[level]!;
    const after = typeof to === "bigint" ? to + 1n : to + 1;
    return { start: domain.label(from), end: to >= domain.last ? Number.POSITIVE_INFINITY : domain.label(after) };
  }
}
