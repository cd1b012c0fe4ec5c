/**
 * Nodes of decision diagrams, hash-consed: a node asks one field and has sorted intervals of its labels as edges. Equal
 * functions are the same number, so equality costs nothing. Nothing is freed before the whole arena is.
 */
import { effectKey, isNeutral, type Leaf, NO_EFFECT } from "./leaves.ts";

/** A node or leaf of an arena. */
export type Node = number;

/** Level of leaves: below every field. */
const LEAF_LEVEL = 31;

const NO_STARTS = new Float64Array(0);
const NO_KIDS = new Int32Array(0);

/** What can be found below a node. */
export const HAS = { yes: 1, next: 2, gap: 4, effect: 8 } as const;

export class Nodes {
  readonly #level: number[] = [];
  readonly #starts: Float64Array[] = []; // of each edge; the first is 0
  readonly #kids: Int32Array[] = [];
  readonly #has: number[] = [];
  readonly #support: number[] = []; // bit per level that the function hangs on
  readonly #byHash = new Map<number, number>();
  readonly #nextSame: number[] = [];
  readonly #leaves: (Leaf | undefined)[] = [];
  readonly #leafIds = new Map<string, Node>();
  readonly next: Node;
  readonly yes: Node;
  readonly gap: Node;
  readonly outside: Node;
  readonly either: Node;

  constructor() {
    this.next = this.leaf({ kind: "next", effect: NO_EFFECT, rule: -1 });
    this.yes = this.leaf({ kind: "yes", effect: NO_EFFECT, rule: -1 });
    this.gap = this.leaf({ kind: "gap", effect: NO_EFFECT, rule: -1 });
    this.outside = this.leaf({ kind: "outside", effect: NO_EFFECT, rule: -1 });
    this.either = this.leaf({ kind: "either", effect: NO_EFFECT, rule: -1 });
  }

  /** Nodes and leaves so far. */
  get size(): number {
    return this.#level.length;
  }

  leaf(leaf: Leaf): Node {
    const key = `${leaf.kind}|${leaf.rule}|${effectKey(leaf.effect)}`;
    const known = this.#leafIds.get(key);
    if (known !== undefined) return known;
    const open = leaf.kind === "next" ? HAS.next | (isNeutral(leaf.effect) ? 0 : HAS.effect) : 0;
    const has = leaf.kind === "yes" ? HAS.yes : leaf.kind === "gap" ? HAS.gap : open;
    const id = this.#push(LEAF_LEVEL, NO_STARTS, NO_KIDS, has, 0);
    this.#leaves[id] = leaf;
    this.#leafIds.set(key, id);
    return id;
  }

  /** The leaf of an id; undefined for a node. */
  leafOf(id: Node): Leaf | undefined {
    return this.#leaves[id];
  }

  isLeaf(id: Node): boolean {
    return this.#level[id] === LEAF_LEVEL;
  }

  level(id: Node): number {
    return this.#level[id]!;
  }

  /** True when the function hangs on the field. */
  asks(id: Node, level: number): boolean {
    return (this.#support[id]! & (1 << level)) !== 0;
  }

  edges(id: Node): { readonly starts: Float64Array; readonly kids: Int32Array } {
    return { starts: this.#starts[id]!, kids: this.#kids[id]! };
  }

  /** The edge that holds a label, from a known one on. */
  edgeAt(id: Node, label: number, from = 0): number {
    const starts = this.#starts[id]!;
    let low = from;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= label) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The kid that holds a label. */
  child(id: Node, label: number): Node {
    return this.kid(id, this.edgeAt(id, label));
  }

  /** The node of edges that begin at 0 and are sorted; neighbours with the same kid become one. */
  node(level: number, starts: ArrayLike<number>, kids: ArrayLike<Node>): Node {
    let [count, hash, has, support] = [0, level, 0, 1 << level];
    for (let i = 0, last = -1; i < kids.length; i += 1) {
      const kid = kids[i]!;
      if (kid === last) continue;
      last = kid;
      count += 1;
      has |= this.#has[kid]!;
      support |= this.#support[kid]!;
      hash = Math.imul(hash ^ (starts[i]! % 0xfffffff), 0x85ebca6b) ^ Math.imul(kid + 0x27d4eb2f, 0xc2b2ae35);
      hash ^= hash >>> 13;
    }
    if (count === 1) return kids[0]!;
    const first = this.#byHash.get(hash);
    for (let id = first ?? -1; id >= 0; id = this.#nextSame[id]!) {
      if (this.#same(id, level, count, starts, kids)) return id;
    }
    const [ownStarts, ownKids] = [new Float64Array(count), new Int32Array(count)];
    for (let i = 0, at = 0; i < kids.length; i += 1) {
      if (at > 0 && ownKids[at - 1] === kids[i]) continue;
      ownStarts[at] = starts[i]!;
      ownKids[at] = kids[i]!;
      at += 1;
    }
    const id = this.#push(level, ownStarts, ownKids, has, support);
    this.#nextSame[id] = first ?? -1;
    this.#byHash.set(hash, id);
    return id;
  }

  #same(id: Node, level: number, count: number, starts: ArrayLike<number>, kids: ArrayLike<Node>): boolean {
    const [ownStarts, ownKids] = [this.#starts[id]!, this.#kids[id]!];
    if (this.#level[id] !== level || ownKids.length !== count) return false;
    for (let i = 0, at = 0; i < kids.length; i += 1) {
      if (at > 0 && ownKids[at - 1] === kids[i]) continue;
      if (ownKids[at] !== kids[i] || ownStarts[at] !== starts[i]) return false;
      at += 1;
    }
    return true;
  }

  #push(level: number, starts: Float64Array, kids: Int32Array, has: number, support: number): Node {
    const id = this.#level.length;
    this.#level.push(level);
    this.#starts.push(starts);
    this.#kids.push(kids);
    this.#has.push(has);
    this.#support.push(support);
    this.#nextSame.push(-1);
    this.#leaves.push(undefined);
    return id;
  }

  /** Whether a leaf of a kind can be reached. */
  has(id: Node, bits: number): boolean {
    return (this.#has[id]! & bits) !== 0;
  }

  kid(id: Node, edge: number): Node {
    return this.#kids[id]![edge]!;
  }
}
