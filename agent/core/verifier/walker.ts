/** Rules applied to one packet, one after the other: what a person would do with the ruleset on paper. */
import type { Key, ReadSet, Statement, Verdict } from "./ast.ts";
import type { Node } from "./diagram.ts";
import { LEVEL, type Value } from "./fields.ts";
import { type Effect, NO_EFFECT } from "./leaves.ts";
import { hookChains, type Pipeline } from "./pipeline.ts";
import type { Step } from "./question.ts";
import { addressText, type Point } from "./witness.ts";

export type Hook = "prerouting" | "input" | "forward" | "output" | "postrouting";
export type Outcome = "accept" | "drop" | "either";

/** Elements of single values by their text, and the others. */
type Index = { readonly exact: ReadonlyMap<string, number>; readonly wide: readonly number[] };

const indexes = new WeakMap<ReadSet, Index>();

function indexOf(set: ReadSet): Index {
  const known = indexes.get(set);
  if (known !== undefined) return known;
  const exact = new Map<string, number>();
  const wide: number[] = [];
  set.columns.forEach((columns, row) => {
    if (columns.every(({ from, to }) => from === to)) exact.set(columns.map(({ from }) => from).join(" "), row);
    else wide.push(row);
  });
  const made = { exact, wide };
  indexes.set(set, made);
  return made;
}

/** The element that holds the values; -1 for none. */
function rowOf(set: ReadSet, values: readonly Value[]): number {
  const { exact, wide } = indexOf(set);
  const row = exact.get(values.join(" "));
  if (row !== undefined) return row;
  const holds = (one: number): boolean =>
    set.columns[one]!.every(({ from, to }, i) => from <= values[i]! && values[i]! <= to);
  return wide.find(holds) ?? -1;
}

export class Walker {
  readonly #pipeline: Pipeline;
  readonly steps: Step[] = [];
  point: Value[];
  /** Fields that NAT chose: their value is any of an interval. */
  readonly free = new Set<number>();
  markMask = -1;
  usedLimit = false;

  constructor(pipeline: Pipeline, point: Point) {
    this.#pipeline = pipeline;
    this.point = [...point];
  }

  holds(node: Node): boolean {
    return this.leaf(node).kind === "yes";
  }

  leaf(node: Node) {
    const { arena, space } = this.#pipeline.regions;
    let at = node;
    while (arena.leafOf(at) === undefined) {
      const level = arena.level(at);
      at = arena.child(at, space.domain(level).floor(this.point[space.place(level)]!));
    }
    return arena.leafOf(at)!;
  }

  apply(effect: Effect): void {
    const { space } = this.#pipeline.regions;
    for (const [level, label] of effect.sets) {
      this.point[space.place(level)] = space.domain(level).value(label);
      this.free.delete(space.place(level));
    }
    for (const [level, start] of effect.free) {
      this.point[space.place(level)] = space.domain(level).value(start);
      this.free.add(space.place(level));
    }
    if (effect.markMask >= 0) this.markMask = effect.markMask;
  }

  /** Row of a set that holds the packet's values. */
  row(keys: readonly Key[], set: ReadSet): number {
    return rowOf(
      set,
      keys.map((key) => this.point[LEVEL[key.field]]!),
    );
  }

  /** The element that a rule's last look-up found. */
  element(statements: readonly Statement[]): string {
    const { sets } = this.#pipeline.chains.table;
    let found = "";
    for (const statement of statements) {
      const name =
        statement.kind === "match" && !statement.negated
          ? statement.set
          : statement.kind === "vmap" || statement.kind === "mark-map"
            ? statement.map
            : undefined;
      const [keys, map] =
        statement.kind === "nat" && "map" in statement.nat
          ? [statement.nat.keys, statement.nat.map]
          : ["keys" in statement ? statement.keys : [], name];
      const set = map === undefined ? undefined : sets.get(map);
      if (set !== undefined) found = set.texts[this.row(keys, set)] ?? found;
    }
    return found;
  }

  /** A chain from its first rule; undefined when it came to its end or returned. */
  chain(hook: Hook, name: string): Outcome | undefined {
    const { chains } = this.#pipeline;
    for (const [i, { rule, region, node }] of chains.rules(name).entries()) {
      if (rule.statements.some(({ kind }) => kind === "limit") && this.holds(this.#withoutLimit(region)))
        this.usedLimit = true;
      if (!this.holds(region)) continue;
      const leaf = this.leaf(node);
      const element = this.element(rule.statements);
      const last = rule.statements.at(-1);
      const verdict = this.#verdictOf(last, leaf.kind);
      const step = (text: string): void => {
        this.steps.push({ hook, chain: name, rule: i, text: rule.text, element, verdict: text });
      };
      if (verdict === undefined) {
        // A look-up that found nothing, or statements without a verdict.
        if (leaf.kind === "next" && (leaf.effect.sets.length > 0 || leaf.effect.markMask >= 0)) step("continue");
        this.apply(leaf.effect);
        continue;
      }
      if (!("chain" in verdict)) {
        this.apply(leaf.effect);
        step(last?.kind === "nat" ? this.#natText(last.nat.kind) : verdict.kind);
        if (verdict.kind === "return") return undefined;
        return verdict.kind;
      }
      step(`${verdict.kind} ${verdict.chain}`);
      // What the rule itself wrote before it called.
      for (const statement of rule.statements) if (statement.kind === "mark") this.apply(markEffect(statement));
      const end = this.chain(hook, verdict.chain);
      if (end !== undefined) return end;
      if (verdict.kind === "goto") return undefined;
    }
    return undefined;
  }

  #withoutLimit(region: Node): Node {
    return this.#pipeline.regions.arena.restrict(region, { ...NO_EFFECT, sets: [[LEVEL.limit, 0]] });
  }

  #natText(kind: string): string {
    const address = this.point[kind === "dnat" ? LEVEL.daddr : LEVEL.saddr]!;
    const port = kind === "dnat" ? ` port ${this.point[LEVEL.dport]}` : "";
    return `${kind} to ${addressText(this.#pipeline, address)}${port}`;
  }

  #verdictOf(last: Statement | undefined, kind: string): Verdict | undefined {
    if (last?.kind === "verdict") return last.verdict;
    if (last?.kind === "nat") return kind === "accept" ? { kind: "accept" } : undefined;
    if (last?.kind !== "vmap") return undefined;
    const set = this.#pipeline.chains.table.sets.get(last.map)!;
    return set.verdicts[this.row(last.keys, set)];
  }

  /** Base chains of a hook in order, up to a drop. */
  bases(hook: Hook, which: "before" | "nat" | "after"): Outcome {
    const chains = hookChains(this.#pipeline.chains, hook);
    const list =
      which === "nat"
        ? chains.nat === undefined || !this.holds(this.#pipeline.nated())
          ? []
          : [chains.nat]
        : chains[which];
    for (const chain of list) {
      const end = this.chain(hook, chain.name);
      const outcome = end ?? chain.base!.policy;
      if (end === undefined) {
        const text = `policy ${outcome}`;
        this.steps.push({ hook, chain: chain.name, rule: -1, text, element: "", verdict: outcome });
      }
      if (outcome !== "accept") return outcome;
    }
    return "accept";
  }
}

function markEffect({
  epoch,
  origin,
  low,
}: {
  readonly epoch?: number;
  readonly origin?: number;
  readonly low?: number;
}): Effect {
  const parts = [
    [LEVEL.epoch, epoch],
    [LEVEL.origin, origin],
    [LEVEL.low, low],
  ] as const;
  return {
    ...NO_EFFECT,
    sets: parts.flatMap(([level, value]) => (value === undefined ? [] : [[level, value] as const])),
  };
}
