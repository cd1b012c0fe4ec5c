/**
 * Chains as diagrams. A rule is its condition and then what it does; a chain is its rules one after the other; a chain
 * that is called is the same diagram wherever it is called from. What a rule writes is seen by the rules after it.
 */
import type { Key, Nat, ReadChain, ReadTable, Rule, Statement, Verdict } from "./ast.ts";
import type { Node } from "./diagram.ts";
import { keysOf } from "./faults.ts";
import { type Interval, LEVEL, type Space, type Value } from "./fields.ts";
import { type Effect, type Leaf, NO_EFFECT } from "./leaves.ts";
import type { Regions } from "./regions.ts";

/** Where a decision stands: a rule of a chain, its policy (-1), or no chain at all. */
export type Place = { readonly chain: string; readonly rule: number; readonly text: string };

/** Numbers of places; leaves carry them. */
export class Places {
  readonly #list: Place[] = [];
  readonly #known = new Map<string, number>();

  id(place: Place): number {
    const key = `${place.chain} ${place.rule} ${place.chain === "" ? place.text : ""}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, this.#list.length);
    this.#list.push(place);
    return this.#list.length - 1;
  }

  place(id: number): Place {
    return this.#list[id]!;
  }
}

/** What rules ask that is not in the packet: the router's addresses. */
export type OwnAddresses = {
  readonly local: readonly Interval[];
  /** Addresses that NAT gives to what leaves by an interface. */
  readonly leaving: ReadonlyMap<string, Value>;
};

/** A rule ready to be walked: its condition, and what it does where the condition holds. */
export type Built = { readonly rule: Rule; readonly region: Node; readonly node: Node };

type Decision = "accept" | "drop" | "return";

export class Chains {
  readonly #regions: Regions;
  readonly #table: ReadTable;
  readonly #own: OwnAddresses;
  readonly #places: Places;
  readonly #chains = new Map<string, Node>();
  readonly #rules = new Map<string, readonly Built[]>();

  constructor(regions: Regions, table: ReadTable, own: OwnAddresses, places: Places) {
    this.#regions = regions;
    this.#table = table;
    this.#own = own;
    this.#places = places;
  }

  get table(): ReadTable {
    return this.#table;
  }

  leaf(kind: Leaf["kind"], effect: Partial<Effect> = {}, rule = -1): Node {
    return this.#regions.arena.leaf({ kind, effect: { ...NO_EFFECT, ...effect }, rule });
  }

  /** What a chain does: next, return, accept and drop. */
  chain(name: string): Node {
    const known = this.#chains.get(name);
    if (known !== undefined) return known;
    const { arena } = this.#regions;
    const rules = this.rules(name);
    const node = arena.fold(
      rules.map((rule) => rule.node),
      (a, b) => arena.sequence(a, b),
    );
    this.#chains.set(name, node);
    return node;
  }

  rules(name: string): readonly Built[] {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const chain = this.#table.chains.get(name)!;
    const rules = chain.rules.map((rule, i) => this.#rule(chain, rule, i));
    this.#rules.set(name, rules);
    return rules;
  }

  /** A base chain: next where the packet goes on, drop where it does not. `decides`: its accepts carry their rule. */
  base(chain: ReadChain, decides: boolean): Node {
    const { arena } = this.#regions;
    const policy = this.#places.id({ chain: chain.name, rule: -1, text: `policy ${chain.base!.policy}` });
    return arena.map(this.chain(chain.name), (id) => {
      const { kind, effect, rule } = arena.leafOf(id)!;
      if (kind === "drop") return id;
      if (kind === "accept") return this.leaf("next", effect, decides ? rule : -1);
      if (chain.base!.policy === "drop") return this.leaf("drop", {}, policy);
      return this.leaf("next", effect, decides ? policy : -1);
    });
  }

  /** Where a condition holds; undefined for statements that are none. */
  condition(statement: Statement): Node | undefined {
    const regions = this.#regions;
    const { arena, space } = regions;
    switch (statement.kind) {
      case "match":
        return regions.inSet(statement.keys, statement.negated, this.#table.sets.get(statement.set)!);
      case "boxes":
        return regions.boxes(statement.keys, statement.negated, statement.boxes);
      case "family":
        return (statement.family === space.family) !== statement.negated ? arena.yes : arena.next;
      case "local": {
        const local = regions.of(statement.field, this.#own.local);
        return statement.negated ? arena.not(local) : local;
      }
      case "limit":
        return regions.one("limit", 0);
      default:
        return undefined;
    }
  }

  #rule(chain: ReadChain, rule: Rule, index: number): Built {
    const { arena } = this.#regions;
    const place = this.#places.id({ chain: chain.name, rule: index, text: rule.text });
    let region = arena.yes;
    let done = arena.next;
    for (const statement of rule.statements) {
      const condition = this.condition(statement);
      if (condition !== undefined) region = arena.gate(region, condition);
      else if (region !== arena.next) done = arena.sequence(done, this.#act(statement, place));
    }
    return { rule, region, node: arena.gate(region, done) };
  }

  #act(statement: Statement, place: number): Node {
    // Keys of the other family: no packet here has them.
    if (this.#regions.guard(keysOf(statement)) === this.#regions.arena.next) return this.#regions.arena.next;
    switch (statement.kind) {
      case "verdict":
        return this.#verdict(statement.verdict, place);
      case "vmap":
        return this.#vmap(statement.keys, statement.map, place);
      case "notrack":
        return this.leaf("next", { sets: [[LEVEL.state, 4]] });
      case "mark": {
        const parts = [
          [LEVEL.epoch, statement.epoch],
          [LEVEL.origin, statement.origin],
          [LEVEL.low, statement.low],
        ] as const;
        const sets = parts.flatMap(([level, value]) => (value === undefined ? [] : [[level, value] as const]));
        // A packet that conntrack does not follow has no mark to write.
        return this.#regions.arena.gate(this.#regions.tracked, this.leaf("next", { sets }));
      }
      case "packet-mark":
        return this.#regions.arena.gate(this.#regions.tracked, this.leaf("next", { markMask: statement.mask }));
      case "mark-map": {
        const set = this.#table.sets.get(statement.map)!;
        const node = this.#regions.rows(
          statement.keys.map((key) => key.field),
          set.columns,
          (row) => this.leaf("next", { sets: markSets(Number(set.results[row]![0]!.from)) }),
        );
        return this.#regions.and(this.#regions.guard(statement.keys), this.#regions.tracked, node);
      }
      case "nat":
        return this.#nat(statement.nat, place);
      default:
        return this.#regions.arena.next;
    }
  }

  #verdict(verdict: Verdict, place: number): Node {
    const { arena } = this.#regions;
    if (!("chain" in verdict)) return this.leaf(verdict.kind as Decision, {}, place);
    const target = this.chain(verdict.chain);
    // A chain that treats all packets alike decides nothing: the rule that leads there does.
    const ends = arena.leavesOf(target).map((id) => arena.leafOf(id)!.kind);
    if (ends.every((kind) => kind === "accept") || ends.every((kind) => kind === "drop")) {
      return arena.map(target, (id) => {
        const { kind, effect } = arena.leafOf(id)!;
        return this.leaf(kind, effect, place);
      });
    }
    const back = verdict.kind === "goto" ? "return" : "next";
    return arena.map(target, (id) => {
      const { kind, effect } = arena.leafOf(id)!;
      return kind === "next" || kind === "return" ? this.leaf(back, effect) : id;
    });
  }

  /** A miss goes on with the next rule. */
  #vmap(keys: readonly Key[], map: string, place: number): Node {
    const { arena } = this.#regions;
    const set = this.#table.sets.get(map)!;
    const groups = new Map<string, { readonly verdict: Verdict; readonly rows: number[] }>();
    set.verdicts.forEach((verdict, row) => {
      const name = "chain" in verdict ? `${verdict.kind} ${verdict.chain}` : verdict.kind;
      const group = groups.get(name) ?? { verdict, rows: [] };
      group.rows.push(row);
      groups.set(name, group);
    });
    const fields = keys.map((key) => key.field);
    const parts = [...groups.values()].map(({ verdict, rows }) => {
      const columns = rows.map((row) => set.columns[row]!);
      const region = this.#regions.rows(fields, columns, () => arena.yes);
      return arena.gate(region, this.#verdict(verdict, place));
    });
    return arena.gate(
      this.#regions.guard(keys),
      arena.fold(parts, (a, b) => arena.join(a, b)),
    );
  }

  #nat(nat: Nat, place: number): Node {
    const { arena, space } = this.#regions;
    if (nat.kind === "dnat" && "map" in nat) return this.#dnatMap(nat.keys, nat.map, place);
    if (nat.kind === "masquerade") {
      const parts = [...this.#own.leaving].map(([name, address]) =>
        arena.gate(
          this.#regions.one("oif", space.interfaces.index(name)),
          this.leaf("accept", snat(space, address, nat.ports), place),
        ),
      );
      return arena.fold(parts, (a, b) => arena.join(a, b));
    }
    if (nat.family !== space.family) return arena.next;
    if (nat.kind === "snat") return this.leaf("accept", snat(space, nat.address, nat.ports), place);
    const label = space.cut(space.level("daddr"), { from: nat.address, to: nat.address }).start;
    const sets = [
      [LEVEL.dnat, 1],
      [space.level("daddr"), label],
      ...(nat.port === 0 ? [] : [[LEVEL.dport, nat.port] as const]),
    ] as const;
    return this.leaf("accept", { sets, free: [[LEVEL.odaddr, 0, Number.POSITIVE_INFINITY]] }, place);
  }

  #dnatMap(keys: readonly Key[], map: string, place: number): Node {
    const { arena, space } = this.#regions;
    const set = this.#table.sets.get(map)!;
    const before = keys.findIndex((key) => key.field === "daddr");
    const node = this.#regions.rows(
      keys.map((key) => key.field),
      set.columns,
      (row) => {
        const [address, port] = set.results[row]!;
        const original = before < 0 ? undefined : set.columns[row]![before]!;
        const known = original !== undefined && original.from === original.to;
        const label = (value: Value): number => space.cut(space.level("daddr"), { from: value, to: value }).start;
        const sets = [
          [LEVEL.dnat, 1],
          [space.level("daddr"), label(address!.from)],
          ...(known ? [[LEVEL.odaddr, label(original.from)] as const] : []),
          ...(port === undefined ? [] : [[LEVEL.dport, Number(port.from)] as const]),
        ] as const;
        return this.leaf("accept", { sets, free: known ? [] : [[LEVEL.odaddr, 0, Number.POSITIVE_INFINITY]] }, place);
      },
    );
    return arena.gate(this.#regions.guard(keys), node);
  }
}

/** A whole mark from a map: no epoch, no origin, these low bits. */
const markSets = (low: number): Effect["sets"] => [
  [LEVEL.epoch, 0],
  [LEVEL.origin, 0],
  [LEVEL.low, low],
];

/** A new source; the port is any of those that NAT may choose. */
export function snat(space: Space, address: Value, ports: Interval | null): Partial<Effect> {
  const level = space.level("saddr");
  const label = space.cut(level, { from: address, to: address }).start;
  const [from, to] = ports === null ? [0, Number.POSITIVE_INFINITY] : [Number(ports.from), Number(ports.to) + 1];
  return {
    sets: [
      [LEVEL.snat, 1],
      [level, label],
    ],
    free: [[LEVEL.sport, from, to]],
  };
}
