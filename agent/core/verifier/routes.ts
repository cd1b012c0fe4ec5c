/**
 * Which way a packet goes. The field `oif` says where it will leave, "" for the router itself; the route choice only
 * says whether that can be: next where it is so, outside where it is not, drop where there is no way at all.
 */
import { lastOf } from "../../../schemas/ip.ts";
import type { Chains, Places } from "./chains.ts";
import type { Node } from "./diagram.ts";
import type { Facts, Route } from "./facts.ts";
import { type Interval, LEVEL } from "./fields.ts";
import type { Regions } from "./regions.ts";
import { addressesOf } from "./words.ts";

const LINK_LOCAL = "fe80::/10";

export class Routes {
  readonly #regions: Regions;
  readonly #facts: Facts;
  readonly #chains: Chains;
  readonly #places: Places;

  constructor(regions: Regions, facts: Facts, chains: Chains, places: Places) {
    this.#regions = regions;
    this.#facts = facts;
    this.#chains = chains;
    this.#places = places;
  }

  /** Leaves by this interface, or is no such packet. A decision, so that later routes do not apply. */
  #by(...names: readonly string[]): Node {
    const { arena, space } = this.#regions;
    const indexes = [...new Set(names.map((name) => space.interfaces.index(name)))];
    const region = this.#regions.of(
      "oif",
      indexes.map((index) => ({ from: index, to: index })),
    );
    return arena.map(region, (id) => (id === arena.yes ? this.#chains.leaf("accept") : arena.outside));
  }

  #dropped(text: string): Node {
    const { arena } = this.#regions;
    const place = this.#places.id({ chain: "", rule: -1, text });
    return arena.range(LEVEL.oif, 0, 1, this.#chains.leaf("drop", {}, place), arena.outside);
  }

  #to(intervals: readonly Interval[], then: Node): Node {
    return this.#regions.arena.gate(this.#regions.of("daddr", intervals), then);
  }

  /**
   * Longest prefix first, then the smallest metric. Where only the default route leads, a subnet that others set up on
   * an interface may be nearer.
   */
  #table(routes: readonly Route[], nearer: readonly string[]): readonly Node[] {
    const narrow = (value: bigint): Interval["from"] => (this.#facts.family === 4 ? Number(value) : value);
    return [...routes]
      .sort((a, b) => b.prefix.length - a.prefix.length || a.metric - b.metric)
      .map(({ prefix, interface: name }) =>
        this.#to(
          [{ from: narrow(prefix.value), to: narrow(lastOf(prefix)) }],
          this.#by(name, ...(prefix.length === 0 ? nearer : [])),
        ),
      );
  }

  /** Addresses of the router and groups end here; nothing else does. */
  #here(): Node {
    const { local, groups } = this.#facts;
    return this.#to([...local, ...groups], this.#by(""));
  }

  #finish(parts: readonly Node[]): Node {
    const { arena } = this.#regions;
    const node = arena.fold(parts, (a, b) => arena.join(a, b));
    return arena.map(node, (id) => (arena.leafOf(id)!.kind === "accept" ? arena.next : id));
  }

  /** Anywhere but to the router itself: when the question is not about routes. */
  any(): Node {
    const { arena, space } = this.#regions;
    const lo = space.interfaces.index("lo");
    const onward = arena.join(
      this.#regions.of("oif", [
        { from: 0, to: 0 },
        { from: lo, to: lo },
      ]),
      this.#chains.leaf("accept"),
    );
    return this.#finish([this.#here(), arena.map(onward, (id) => (id === arena.yes ? arena.outside : id))]);
  }

  /** The generation's own routes, for packets whose mark is the flow's under a mask (-1: no mark). */
  declared(markMask: number): Node {
    const { arena } = this.#regions;
    const { family, rules, tables, main, dynamic, unmanaged, forwarding } = this.#facts;
    if (!forwarding) return this.#finish([this.#here(), this.#dropped("forwarding is switched off")]);
    const ruled = rules.map((rule) => {
      const from = rule.from === "" ? undefined : addressesOf(rule.from, family);
      const regions = [
        ...(from === undefined ? [] : [this.#regions.of("saddr", [from])]),
        ...(rule.fwmask === 0 ? [] : [this.#marked(rule.fwmark, rule.fwmask, markMask)]),
      ];
      const routes = arena.fold(this.#table(tables.get(rule.table) ?? [], []), (a, b) => arena.join(a, b));
      return arena.gate(this.#regions.and(...regions), routes);
    });
    // Link-local targets are on whatever link they are; the ruleset must not rely on which.
    const near = family === 6 ? [this.#to([addressesOf(LINK_LOCAL, 6)!], this.any())] : [];
    return this.#finish([
      this.#here(),
      ...near,
      ...ruled,
      ...this.#table(tables.get(main) ?? [], unmanaged),
      this.#nowhere(dynamic),
    ]);
  }

  #marked(mark: number, mask: number, markMask: number): Node {
    const { arena } = this.#regions;
    if (markMask < 0) return (mark & mask) === 0 ? arena.yes : arena.next;
    const values: Interval[] = [];
    for (let low = 0; low <= 0x7fff; low += 1) {
      if ((low & markMask & mask) >>> 0 === (mark & mask) >>> 0) values.push({ from: low, to: low });
    }
    return this.#regions.of("low", values);
  }

  /** No route of ours: a dynamic interface may have one. */
  #nowhere(dynamic: readonly string[]): Node {
    if (dynamic.length === 0) return this.#dropped("no route leads there");
    return this.#by(...dynamic);
  }
}
