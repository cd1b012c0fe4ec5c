/**
 * A specification is a list of lines, the first that speaks of a packet decides. Lines about flows are said once, of
 * whoever began the flow; for packets of the other direction the same words mean the ends the other way round.
 */
import type { Arena, Node } from "../verifier/diagram.ts";
import type { Facts } from "../verifier/facts.ts";
import { EPOCH, type Field, type Interval, LEVEL, STATE, type Value } from "../verifier/fields.ts";
import { type Effect, NO_EFFECT } from "../verifier/leaves.ts";
import type { Pipeline } from "../verifier/pipeline.ts";
import type { Regions } from "../verifier/regions.ts";
import { type Ground, intervalOf, type Place } from "./ground.ts";

/** Where a line comes from; numbered in the leaves of a labelled specification. */
export type Line = { readonly when: Node; readonly does: Node };

/** Ends of a flow, as the packet that began it has them. */
type End = "from" | "to" | "source" | "target" | "sport" | "dport";

const FORTH: Readonly<Record<End, Field>> = {
  from: "iif",
  to: "oif",
  source: "saddr",
  target: "daddr",
  sport: "sport",
  dport: "dport",
};
const BACK: Readonly<Record<End, Field>> = {
  from: "oif",
  to: "iif",
  source: "daddr",
  target: "saddr",
  sport: "dport",
  dport: "sport",
};

export const TCP = 6;
export const UDP = 17;

export class Sheet {
  readonly ground: Ground;
  readonly regions: Regions;
  readonly facts: Facts;
  readonly pipeline: Pipeline;
  /** Names of lines, when it was asked for them; else no leaf names its line, and equal ends are equal. */
  readonly names: string[] | null;
  readonly #known = new Map<string, Node>();

  constructor(ground: Ground, pipeline: Pipeline, labelled: boolean) {
    this.ground = ground;
    this.pipeline = pipeline;
    this.regions = pipeline.regions;
    this.facts = pipeline.facts;
    this.names = labelled ? [] : null;
  }

  get arena(): Arena {
    return this.regions.arena;
  }

  get family(): 4 | 6 {
    return this.facts.family;
  }

  get replies(): boolean {
    return this.regions.space.half === "reply";
  }

  /** A region that several lines speak of. */
  once(name: string, make: () => Node): Node {
    const region = this.#known.get(name) ?? make();
    this.#known.set(name, region);
    return region;
  }

  end(end: End): Field {
    return (this.replies ? BACK : FORTH)[end];
  }

  /** Packets with all of these. */
  all(...regions: readonly Node[]): Node {
    return this.regions.and(...regions);
  }

  any(...regions: readonly Node[]): Node {
    return this.arena.fold(regions, (a, b) => this.arena.or(a, b));
  }

  not(region: Node): Node {
    return this.arena.not(region);
  }

  device(field: Field, names: readonly string[]): Node {
    const { interfaces } = this.regions.space;
    return this.regions.of(
      field,
      names.map((name): Interval => ({ from: interfaces.index(name), to: interfaces.index(name) })),
    );
  }

  values(field: Field, ...values: readonly Value[]): Node {
    return this.regions.of(
      field,
      values.map((value): Interval => ({ from: value, to: value })),
    );
  }

  /** Addresses and prefixes of this family; others are nothing. */
  addresses(field: Field, texts: readonly string[]): Node {
    return this.regions.of(
      field,
      texts.flatMap((text) => intervalOf(text, this.family) ?? []),
    );
  }

  local(field: "saddr" | "daddr"): Node {
    return this.regions.of(field, this.facts.local);
  }

  state(...names: readonly (keyof typeof STATE)[]): Node {
    return this.values("state", ...names.map((name) => STATE[name]));
  }

  get current(): Node {
    return this.all(this.regions.tracked, this.values("epoch", EPOCH.current));
  }

  get stale(): Node {
    return this.all(this.regions.tracked, this.values("epoch", EPOCH.none, EPOCH.stale));
  }

  /** UDP from one port to another, by whoever began. */
  udp(sport: number, dport: number): Node {
    return this.all(
      this.values("proto", UDP),
      this.values(this.end("sport"), sport),
      this.values(this.end("dport"), dport),
    );
  }

  /** ICMP of the family, with these types. */
  icmp(four: readonly number[], six: readonly number[]): Node {
    const four_ = this.family === 4;
    return this.all(this.values("proto", four_ ? 1 : 58), this.values("icmp", ...(four_ ? four : six)));
  }

  /** A ping, or the answer to one. */
  get echo(): Node {
    return this.replies ? this.icmp([0], [129]) : this.icmp([8], [128]);
  }

  interfaces(test: (place: Place) => boolean): readonly string[] {
    return this.ground.places.filter(test).flatMap((place) => place.interfaces);
  }

  #rule(name: string): number {
    if (this.names === null) return -1;
    this.names.push(name);
    return this.names.length - 1;
  }

  /** A line that lets packets pass, with what it writes. */
  pass(when: Node, name: string, effect: Partial<Effect> = {}): Line {
    const does = this.arena.leaf({ kind: "accept", effect: { ...NO_EFFECT, ...effect }, rule: this.#rule(name) });
    return { when, does };
  }

  drop(when: Node, name: string): Line {
    return { when, does: this.arena.leaf({ kind: "drop", effect: NO_EFFECT, rule: this.#rule(name) }) };
  }

  /** A line of the policy: its flow is judged by the policy in force from now on. What has no flow only passes. */
  allow(when: Node, name: string): Line {
    const rule = this.#rule(name);
    const sets = [
      [LEVEL.epoch, EPOCH.current],
      [LEVEL.origin, 0],
    ] as const;
    const stamped = this.arena.leaf({ kind: "accept", effect: { ...NO_EFFECT, sets }, rule });
    const plain = this.arena.leaf({ kind: "accept", effect: NO_EFFECT, rule });
    return { when, does: this.arena.join(this.arena.gate(this.regions.tracked, stamped), plain) };
  }

  /** The lines inside a region. */
  within(when: Node, lines: readonly Line[]): Line {
    return { when, does: this.first(lines) };
  }

  /** The first line that speaks of a packet. */
  first(lines: readonly Line[]): Node {
    return this.arena.fold(
      lines.map(({ when, does }) => this.arena.gate(when, does)),
      (a, b) => this.arena.join(a, b),
    );
  }

  /** What no line speaks of passes; what a line let pass goes on with what was written. */
  stage(lines: readonly Line[]): Node {
    return this.arena.map(this.first(lines), (id) => {
      const leaf = this.arena.leafOf(id)!;
      return leaf.kind === "accept" ? this.arena.leaf({ ...leaf, kind: "next" }) : id;
    });
  }
}
