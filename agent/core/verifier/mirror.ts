/**
 * A policy held against its mirror: what is done to a flow's packets in one direction, and to its answers in the other.
 * Halves have their addresses in the other order, so an answer asks for the same address where its question does; the
 * two functions are walked side by side, and only interfaces and ports have to be exchanged.
 */
import type { Node } from "./diagram.ts";
import { LEVEL, type Value } from "./fields.ts";
import { held, type Values } from "./held.ts";
import type { Pipeline } from "./pipeline.ts";

/** One side: its pipeline, the function, and what its leaves come to ("" for a packet of no interest). */
export type Side = { readonly pipeline: Pipeline; readonly node: Node; readonly ends: (leaf: Node) => string };

/** Ports exchanged. Uses the limit's level meanwhile, which must be held. */
function portsSwapped({ regions: { arena } }: Pipeline, node: Node): Node {
  const spare = LEVEL.limit;
  const away = arena.substitute(node, LEVEL.sport, spare);
  return arena.substitute(arena.substitute(away, LEVEL.dport, LEVEL.sport), spare, LEVEL.dport);
}

/** A value of each field that leads to two ends. */
type Found = Map<number, Value>;

class Walk {
  readonly #a: Side;
  readonly #b: Side;
  readonly #same = new Set<number>();
  readonly #starts: readonly Map<Node, readonly Value[]>[] = [new Map(), new Map()];

  constructor(a: Side, b: Side) {
    this.#a = a;
    this.#b = b;
  }

  /** Edges as values: labels of wide addresses are each space's own. */
  #values(which: 0 | 1, node: Node, level: number): readonly Value[] {
    const known = this.#starts[which]!.get(node);
    if (known !== undefined) return known;
    const { regions } = (which === 0 ? this.#a : this.#b).pipeline;
    const domain = regions.space.domain(level);
    const made = [...regions.arena.edges(node).starts].map((start) => domain.value(start));
    this.#starts[which]!.set(node, made);
    return made;
  }

  /** Values for which the two end differently; undefined when there are none. */
  apart(a: Node, b: Node): Found | undefined {
    const key = a * 2 ** 26 + b;
    if (this.#same.has(key)) return undefined;
    const found = this.#apart(a, b);
    if (found === undefined) this.#same.add(key);
    return found;
  }

  #apart(a: Node, b: Node): Found | undefined {
    const [arenaA, arenaB] = [this.#a.pipeline.regions.arena, this.#b.pipeline.regions.arena];
    const level = Math.min(arenaA.level(a), arenaB.level(b));
    if (arenaA.leafOf(a) !== undefined && arenaB.leafOf(b) !== undefined) {
      const [one, other] = [this.#a.ends(a), this.#b.ends(b)];
      return one === other || one === "" || other === "" ? undefined : new Map();
    }
    const valuesA = arenaA.level(a) === level ? this.#values(0, a, level) : undefined;
    const valuesB = arenaB.level(b) === level ? this.#values(1, b, level) : undefined;
    let [i, j] = [0, 0];
    let at: Value = 0;
    for (;;) {
      const kidA = valuesA === undefined ? a : arenaA.kid(a, i);
      const kidB = valuesB === undefined ? b : arenaB.kid(b, j);
      const found = this.apart(kidA, kidB);
      if (found !== undefined) return found.set(level, at);
      const [nextA, nextB] = [valuesA?.[i + 1], valuesB?.[j + 1]];
      if (nextA === undefined && nextB === undefined) return undefined;
      if (nextB === undefined || (nextA !== undefined && nextA <= nextB)) at = nextA!;
      else at = nextB;
      if (nextA !== undefined && nextA <= at) i += 1;
      if (nextB !== undefined && nextB <= at) j += 1;
    }
  }
}

/** What tells a question from its answer: interfaces exchanged, and where they differ, by field of the question. */
export type Broken = {
  readonly iif: string;
  readonly oif: string;
  readonly values: Values & Readonly<Record<string, Value>>;
};

/**
 * Whether the answers' function is the mirror of the questions': `pairs` are interfaces by index, as the question comes
 * in and goes out. The functions must not hang on the limit. Undefined when it is; else where it is not.
 */
export function mirrorBroken(
  question: Side,
  answer: Side,
  pairs: readonly (readonly [iif: number, oif: number])[],
): Broken | undefined {
  const walk = new Walk(question, answer);
  const { space } = question.pipeline.regions;
  const swapped = portsSwapped(question.pipeline, question.node);
  for (const [iif, oif] of pairs) {
    const a = held(question.pipeline, swapped, { iif, oif });
    const b = held(answer.pipeline, answer.node, { iif: oif, oif: iif });
    const found = walk.apart(a, b);
    if (found === undefined) continue;
    const values: Record<string, Value> = {};
    for (const [level, value] of found) {
      const field = space.fieldAt(level);
      const own = field === "sport" ? "dport" : field === "dport" ? "sport" : field;
      values[own] = value;
    }
    const { interfaces } = space;
    return { iif: interfaces.name(iif), oif: interfaces.name(oif), values };
  }
  return undefined;
}
