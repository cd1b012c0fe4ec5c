/**
 * Functions from packets to leaves, and what can be made of them: one after the other, one inside a region, one on a
 * packet that was changed. One arena per model and family.
 */
import { LEVEL } from "./fields.ts";
import { compose, type Effect, effectKey, isNeutral, NO_EFFECT } from "./leaves.ts";
import { HAS, type Node, Nodes } from "./nodes.ts";

export type { Node };

const PAIR = 2 ** 26;

export class Arena extends Nodes {
  readonly #fills = new Map<Node, Map<number, Node>>();
  readonly #joins = new Map<number, Node>();
  readonly #relabels = new Map<Node, Map<Node, Node>>();
  readonly #restricts = new Map<string, Map<Node, Node>>();

  /**
   * Both nodes opened at the upper one's field, kid by kid. Where `settled` says so of a's kid, it is the result, and
   * b's edges there are not looked at: a narrow region in a wide node stays cheap.
   */
  #merge(a: Node, b: Node, of: (a: Node, b: Node) => Node, settled?: (a: Node) => boolean): Node {
    const level = Math.min(this.level(a), this.level(b));
    // A node that asks nothing here is one edge over all labels.
    const [openA, openB] = [this.level(a) === level, this.level(b) === level];
    const edgesA = this.edges(a);
    const edgesB = this.edges(b);
    const [countA, countB] = [openA ? edgesA.kids.length : 1, openB ? edgesB.kids.length : 1];
    const starts: number[] = [];
    const kids: Node[] = [];
    let [i, j, start] = [0, 0, 0];
    for (;;) {
      const kidA = openA ? edgesA.kids[i]! : a;
      const nextA = i + 1 < countA ? edgesA.starts[i + 1]! : Number.POSITIVE_INFINITY;
      starts.push(start);
      if (settled?.(kidA) === true) {
        kids.push(kidA);
        if (nextA === Number.POSITIVE_INFINITY) break;
        i += 1;
        start = nextA;
        if (openB) j = this.edgeAt(b, nextA, j);
        continue;
      }
      kids.push(of(kidA, openB ? edgesB.kids[j]! : b));
      const nextB = j + 1 < countB ? edgesB.starts[j + 1]! : Number.POSITIVE_INFINITY;
      start = Math.min(nextA, nextB);
      if (start === Number.POSITIVE_INFINITY) break;
      if (nextA === start) i += 1;
      if (nextB === start) j += 1;
    }
    return this.node(level, starts, kids);
  }

  /** `a`, where it is not `hole`, else `b`. */
  #fill(hole: Node, bit: number, a: Node, b: Node, memo: Map<number, Node>): Node {
    if (a === hole) return b;
    if (b === hole || !this.has(a, bit)) return a;
    const key = a * PAIR + b;
    const known = memo.get(key);
    if (known !== undefined) return known;
    const made = this.#merge(
      a,
      b,
      (x, y) => this.#fill(hole, bit, x, y, memo),
      (x) => !this.has(x, bit),
    );
    memo.set(key, made);
    return made;
  }

  #fillAt(hole: Node, bit: number, a: Node, b: Node): Node {
    const memo = this.#fills.get(hole) ?? new Map<number, Node>();
    this.#fills.set(hole, memo);
    return this.#fill(hole, bit, a, b, memo);
  }

  /** Inside the region what `then` says, outside of it nothing. Two regions: what both hold. */
  gate(region: Node, then: Node): Node {
    return this.#fillAt(this.yes, HAS.yes, region, then);
  }

  /** Regions: what either holds. */
  or(a: Node, b: Node): Node {
    return this.join(a, b);
  }

  not(region: Node): Node {
    return this.map(region, (leaf) => (leaf === this.yes ? this.next : this.yes));
  }

  /** `a`, with what was left open from `b`. */
  fillGap(a: Node, b: Node): Node {
    return this.#fillAt(this.gap, HAS.gap, a, b);
  }

  /** Every leaf replaced. */
  map(id: Node, of: (leaf: Node) => Node, memo = new Map<Node, Node>()): Node {
    const known = memo.get(id);
    if (known !== undefined) return known;
    const made = this.isLeaf(id) ? of(id) : this.#mapKids(id, of, memo);
    memo.set(id, made);
    return made;
  }

  #mapKids(id: Node, of: (leaf: Node) => Node, memo: Map<Node, Node>): Node {
    const { starts, kids } = this.edges(id);
    const made: Node[] = [];
    for (let i = 0; i < kids.length; i += 1) made.push(this.map(kids[i]!, of, memo));
    return this.node(this.level(id), starts, made);
  }

  /** Leaves that can be reached, each once. */
  leavesOf(id: Node): readonly Node[] {
    const seen = new Set<Node>();
    const found: Node[] = [];
    const visit = (one: Node): void => {
      if (seen.has(one)) return;
      seen.add(one);
      if (this.leafOf(one) !== undefined) found.push(one);
      else for (const kid of this.edges(one).kids) visit(kid);
    };
    visit(id);
    return found;
  }

  /** `a`; where it says next, then `b`, which does not hang on what `a` did. */
  join(a: Node, b: Node): Node {
    const leaf = this.leafOf(a);
    if (leaf !== undefined) return leaf.kind === "next" ? this.#relabel(a, b) : a;
    if (b === this.next || !this.has(a, HAS.next)) return a;
    const key = a * PAIR + b;
    const known = this.#joins.get(key);
    if (known !== undefined) return known;
    const made = this.#merge(
      a,
      b,
      (x, y) => this.join(x, y),
      (x) => !this.has(x, HAS.next),
    );
    this.#joins.set(key, made);
    return made;
  }

  /** `b` after a leaf: its effects come on top, its rule counts where `b` has none. */
  #relabel(first: Node, b: Node): Node {
    if (first === this.next) return b;
    const { effect, rule } = this.leafOf(first)!;
    const memo = this.#relabels.get(first) ?? new Map<Node, Node>();
    this.#relabels.set(first, memo);
    return this.map(
      b,
      (leaf) => {
        const { kind, ...then } = this.leafOf(leaf)!;
        if (kind === "outside" || kind === "gap" || kind === "yes") return leaf;
        const whole = kind === "drop" ? NO_EFFECT : compose(effect, then.effect, LEVEL.low);
        return this.leaf({ kind, effect: whole, rule: then.rule >= 0 ? then.rule : rule });
      },
      memo,
    );
  }

  /** `a`; where it says next, then `b` on the packet that `a` left behind. */
  sequence(a: Node, b: Node): Node {
    if (!this.has(a, HAS.effect)) return this.join(a, b);
    const groups = new Map<string, { readonly effect: Effect; readonly leaves: Set<Node> }>();
    for (const id of this.leavesOf(a)) {
      const leaf = this.leafOf(id)!;
      if (leaf.kind !== "next") continue;
      const seen = this.#seen(leaf.effect, b);
      if (isNeutral(seen)) continue;
      const key = effectKey(seen);
      const group = groups.get(key) ?? { effect: seen, leaves: new Set<Node>() };
      group.leaves.add(id);
      groups.set(key, group);
    }
    if (groups.size === 0) return this.join(a, b);
    const changed = new Set([...groups.values()].flatMap(({ leaves }) => [...leaves]));
    const rest = this.join(
      this.map(a, (leaf) => (changed.has(leaf) ? this.gap : leaf)),
      b,
    );
    const parts = [...groups.values()].map(({ effect, leaves }) => {
      const own = this.map(a, (leaf) => (leaves.has(leaf) ? leaf : this.gap));
      return this.join(own, this.restrict(b, effect));
    });
    return this.fold([rest, ...parts], (x, y) => this.fillGap(x, y));
  }

  /** The part of an effect that a function can see. */
  #seen({ sets, free }: Effect, by: Node): Effect {
    return {
      sets: sets.filter(([level]) => this.asks(by, level)),
      free: free.filter(([level]) => this.asks(by, level)),
      markMask: -1,
    };
  }

  /** A list folded in halves with an associative operation. */
  fold(list: readonly Node[], of: (a: Node, b: Node) => Node, from = 0, to = list.length): Node {
    if (to - from === 0) return this.next;
    if (to - from === 1) return list[from]!;
    const middle = (from + to) >> 1;
    return of(this.fold(list, of, from, middle), this.fold(list, of, middle, to));
  }

  /** The function on a packet with these values; where a free field decides, it is either. */
  restrict(id: Node, effect: Effect): Node {
    const key = effectKey(effect);
    const memo = this.#restricts.get(key) ?? new Map<Node, Node>();
    this.#restricts.set(key, memo);
    return this.#restrict(id, effect, memo);
  }

  #restrict(id: Node, effect: Effect, memo: Map<Node, Node>): Node {
    const level = this.level(id);
    const touched = [...effect.sets, ...effect.free].some(([one]) => this.asks(id, one));
    if (this.leafOf(id) !== undefined || !touched) return id;
    const known = memo.get(id);
    if (known !== undefined) return known;
    const set = effect.sets.find(([one]) => one === level);
    const free = effect.free.find(([one]) => one === level);
    let made: Node;
    if (set !== undefined) made = this.#restrict(this.child(id, set[1]), effect, memo);
    else {
      const { starts, kids } = this.edges(id);
      const made0 = kids.map((kid) => this.#restrict(kid, effect, memo));
      if (free === undefined) made = this.node(level, starts, made0);
      else {
        const inside = [...made0].filter((_, i) => starts[i]! < free[2] && (starts[i + 1] ?? Infinity) > free[1]);
        made = inside.reduce((a, b) => this.#blur(a, b));
      }
    }
    memo.set(id, made);
    return made;
  }

  /** What two functions agree on; either where they do not. */
  #blur(a: Node, b: Node): Node {
    if (a === b || b === this.outside) return a;
    if (a === this.outside) return b;
    const [one, other] = [this.leafOf(a), this.leafOf(b)];
    if (one !== undefined && other !== undefined) {
      // The same end by two rules is the same end.
      return one.kind === other.kind && effectKey(one.effect) === effectKey(other.effect) ? a : this.either;
    }
    return this.#merge(a, b, (x, y) => this.#blur(x, y));
  }

  /** Labels of one field. */
  range(level: number, start: number, end: number, inside: Node, outside: Node): Node {
    const [starts, kids]: [number[], Node[]] = [[], []];
    if (start > 0) {
      starts.push(0);
      kids.push(outside);
    }
    starts.push(start);
    kids.push(inside);
    if (end !== Number.POSITIVE_INFINITY) {
      starts.push(end);
      kids.push(outside);
    }
    return this.node(level, starts, kids);
  }

  /** The function with one field's questions asked of another field. */
  substitute(id: Node, from: number, to: number, memo = new Map<Node, Node>()): Node {
    if (!this.asks(id, from)) return id;
    const known = memo.get(id);
    if (known !== undefined) return known;
    const level = this.level(id);
    const { starts, kids } = this.edges(id);
    const made0 = kids.map((kid) => this.substitute(kid, from, to, memo));
    let made: Node;
    if (level !== from) made = this.#choose(level, starts, made0);
    else made = this.#choose(to, starts, made0);
    memo.set(id, made);
    return made;
  }

  /** A node whose kids may ask fields above it. */
  #choose(level: number, starts: Float64Array, kids: Int32Array): Node {
    if (kids.every((kid) => this.level(kid) > level)) return this.node(level, starts, kids);
    const parts = [...kids].map((kid, i) => {
      const region = this.range(level, starts[i]!, starts[i + 1] ?? Number.POSITIVE_INFINITY, this.yes, this.gap);
      return this.gate(region, kid);
    });
    return this.fold(parts, (a, b) => this.fillGap(a, b));
  }

  /** Where two functions are not the same. */
  differ(a: Node, b: Node, memo = new Map<number, Node>()): Node {
    if (a === b) return this.next;
    if (this.leafOf(a) !== undefined && this.leafOf(b) !== undefined) return this.yes;
    const key = a * PAIR + b;
    const known = memo.get(key);
    if (known !== undefined) return known;
    const made = this.#merge(a, b, (x, y) => this.differ(x, y, memo));
    memo.set(key, made);
    return made;
  }
}
