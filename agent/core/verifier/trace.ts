/** One packet's walk, rule by rule: for people, and as a check that the diagram says the same. */
import type { Key, ReadSet, Statement, Verdict } from "./ast.ts";
import type { Node } from "./diagram.ts";
import { FIELDS, LEVEL, STATE, type Value } from "./fields.ts";
import { type Effect, NO_EFFECT } from "./leaves.ts";
import { hookChains, type Pipeline, type RouteMode } from "./pipeline.ts";
import type { Headers, Region, Step } from "./question.ts";
import { addressText, type Point } from "./witness.ts";

type Hook = "prerouting" | "input" | "forward" | "output" | "postrouting";
type Outcome = "accept" | "drop" | "either";

export type Walk = {
  readonly outcome: Outcome;
  readonly steps: readonly Step[];
  readonly decided: Step;
  readonly headers: Headers;
  readonly usedLimit: boolean;
};

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

class Walker {
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

/** Prerouting before translation sees the headers from before it. */
function early(walker: Walker, pipeline: Pipeline): Outcome {
  const given = { target: walker.point[LEVEL.daddr]!, port: walker.point[LEVEL.dport]! };
  const [targets, replies] = [walker.holds(pipeline.translatedTargets()), walker.holds(pipeline.translatedReplies())];
  if (targets) walker.point[LEVEL.daddr] = walker.point[LEVEL.odaddr]!;
  if (replies) {
    const name = pipeline.regions.space.interfaces.name(Number(walker.point[LEVEL.iif]));
    walker.point[LEVEL.daddr] = pipeline.facts.leaving.get(name) ?? given.target;
  }
  // The port from before is not known: one that nothing listens to.
  if (targets || replies) walker.point[LEVEL.dport] = 40_000;
  const outcome = walker.bases("prerouting", "before");
  if (targets || replies) {
    walker.point[LEVEL.daddr] = given.target;
    walker.point[LEVEL.dport] = given.port;
  }
  return outcome;
}

function postrouting(walker: Walker, pipeline: Pipeline): Outcome {
  for (const which of ["before", "nat"] as const) {
    const outcome = walker.bases("postrouting", which);
    if (outcome !== "accept") return outcome;
  }
  const later = walker.point[LEVEL.state] === STATE.established || walker.point[LEVEL.state] === STATE.related;
  const [reply, snat, dnat] = (["direction", "snat", "dnat"] as const).map((field) => walker.point[LEVEL[field]] === 1);
  if (later && !reply && snat === true) {
    const name = pipeline.regions.space.interfaces.name(Number(walker.point[LEVEL.oif]));
    walker.point[LEVEL.saddr] = pipeline.facts.leaving.get(name) ?? walker.point[LEVEL.saddr]!;
    walker.free.add(LEVEL.sport);
  }
  if (later && reply === true && dnat === true) {
    walker.point[LEVEL.saddr] = walker.point[LEVEL.odaddr]!;
    walker.free.add(LEVEL.sport);
  }
  return walker.bases("postrouting", "after");
}

function outside(hook: "route" | "wireguard", text: string, verdict: string): Step {
  return { hook, chain: "", rule: -1, text, element: "", verdict };
}

/** The whole way of a packet, as the kernel goes it. `leaf` is what the diagram says of it; the two must agree. */
export function walkOf(pipeline: Pipeline, way: Region["way"], mode: RouteMode, point: Point): Walk {
  const walker = new Walker(pipeline, point);
  const { steps } = walker;
  const { facts, regions } = pipeline;
  const oif = regions.space.interfaces.name(Number(point[LEVEL.oif]));
  const diagram = walker.leaf(way === "arriving" ? pipeline.arriving(mode) : pipeline.leaving());
  const run = (): Outcome => {
    if (way === "arriving") {
      for (const stage of [
        () => early(walker, pipeline),
        () => walker.bases("prerouting", "nat"),
        () => walker.bases("prerouting", "after"),
      ]) {
        const outcome = stage();
        if (outcome !== "accept") return outcome;
      }
      const leaf = diagram;
      if (leaf.kind === "drop" && pipeline.places.place(leaf.rule).chain === "" && oif === "") {
        steps.push(outside("route", pipeline.places.place(leaf.rule).text, "drop"));
        return "drop";
      }
      if (mode === "declared")
        steps.push(outside("route", oif === "" ? "to the router itself" : `out by ${oif}`, "continue"));
    }
    const hooks: readonly Hook[] = way === "leaving" ? ["output"] : oif === "" ? ["input"] : ["forward"];
    for (const hook of hooks)
      for (const which of ["before", "nat", "after"] as const) {
        const outcome = walker.bases(hook, which);
        if (outcome !== "accept") return outcome;
      }
    if (oif === "") return "accept";
    const last = postrouting(walker, pipeline);
    const device = facts.devices.find(({ name }) => name === oif);
    const target = walker.point[LEVEL.daddr]!;
    if (last !== "accept" || device === undefined) return last;
    const peer = device.allowed.some(({ from, to }) => from <= target && target <= to);
    steps.push(
      outside(
        "wireguard",
        peer ? `a peer of ${oif} has the address` : `no peer of ${oif} has the address`,
        peer ? "continue" : "drop",
      ),
    );
    return peer ? "accept" : "drop";
  };
  const outcome = run();
  const said: Outcome = diagram.kind === "accept" ? "accept" : diagram.kind === "drop" ? "drop" : "either";
  if (said !== "either" && said !== outcome) {
    throw new Error(
      `the walk says ${outcome}, the diagram ${diagram.kind}: ${FIELDS.map((field, i) => `${field}=${point[i]}`).join(" ")}`,
    );
  }
  const ports = walker.point[LEVEL.proto] === 6 || walker.point[LEVEL.proto] === 17;
  const port = (level: number): number => (ports && !walker.free.has(level) ? Number(walker.point[level]) : 0);
  return {
    outcome: said,
    steps,
    decided: decidingStep(steps, said === "either" ? "drop" : said, pipeline),
    headers: {
      source: addressText(pipeline, walker.point[LEVEL.saddr]!),
      target: addressText(pipeline, walker.point[LEVEL.daddr]!),
      sport: port(LEVEL.sport),
      dport: port(LEVEL.dport),
    },
    usedLimit: walker.usedLimit,
  };
}

/** The last step of a packet in one hook; its policy when no rule says anything. */
export function endOf(pipeline: Pipeline, hook: Hook, point: Point): Step {
  const walker = new Walker(pipeline, point);
  for (const which of ["before", "nat", "after"] as const) if (walker.bases(hook, which) !== "accept") break;
  return walker.steps.at(-1) ?? { hook, chain: "", rule: -1, text: "no chain", element: "", verdict: "accept" };
}

/** The drop, or the rule that admitted: in the last filter chain of input, forward or output, before any chain that accepts all. */
function decidingStep(steps: readonly Step[], outcome: "accept" | "drop", pipeline: Pipeline): Step {
  if (outcome === "drop") return steps.at(-1) ?? outside("route", "nothing", "drop");
  const own = steps.filter(
    ({ hook, chain }) => chain !== "" && (hook === "input" || hook === "forward" || hook === "output"),
  );
  const at = own.findLastIndex((step) => step.verdict === "accept");
  const accept = own[at];
  if (accept === undefined) return steps.at(-1)!;
  const { arena } = pipeline.regions;
  const always = arena.leavesOf(pipeline.chains.chain(accept.chain)).every((id) => arena.leafOf(id)!.kind === "accept");
  const caller = own[at - 1];
  // Like the stamp: the rule before led there.
  const skip =
    always && caller !== undefined
      ? own.slice(0, at).findLast((step) => /^(goto|jump) /.test(step.verdict))
      : undefined;
  return skip ?? accept;
}
