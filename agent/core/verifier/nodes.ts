/**
 * Nodes of decision diagrams, hash-consed: a node asks one field and has sorted intervals of its labels as edges. Equal
 * functions are the same number, so equality costs nothing. Nothing is freed before the whole arena is.
 */
import { effectKey, isNeutral, type Leaf, NO_EFFECT } from "./leaves.ts";

/** A node or leaf of an arena. */
export type Node = number;

/** Level of leaves: below every field. */
const LEAF_LEVEL = 31;

/** What can be found below a node. */
export const HAS = { yes: 1, next: 2, gap: 4, effect: 8 } as const;

/** Growing arrays of numbers. */
class Pool {
  starts = new Float64Array(1 << 14);
  kids = new Int32Array(1 << 14);
  used = 0;

  add(start: number, kid: Node): void {
    if (this.used === this.kids.length) {
      const [starts, kids] = [new Float64Array(this.used * 2), new Int32Array(this.used * 2)];
      starts.set(this.starts);
      kids.set(this.kids);
      this.starts = starts;
      this.kids = kids;
    }
    this.starts[this.used] = start;
    this.kids[this.used] = kid;
    this.used += 1;
  }
}

export class Nodes {
  readonly #level: number[] = [];
  readonly #at: number[] = []; // first edge in the pool
  readonly #count: number[] = [];
  readonly #has: number[] = [];
  readonly #support: number[] = []; // bit per level that the function hangs on
  readonly #pool = new Pool();
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
    const id = this.#push(LEAF_LEVEL, 0, 0, has, 0);
    this.#leaves[id] = leaf;
    this.#leafIds.set(key, id);
    return id;
  }

  /** The leaf of an id; undefined for a node. */
  leafOf(id: Node): Leaf | undefined {
    return this.#leaves[id];
  }

  level(id: Node): number {
    return this.#level[id]!;
  }

  /** True when the function hangs on the field. */
  asks(id: Node, level: number): boolean {
    return (this.#support[id]! & (1 << level)) !== 0;
  }

  edges(id: Node): { readonly starts: Float64Array; readonly kids: Int32Array } {
    const [at, end] = [this.#at[id]!, this.#at[id]! + this.#count[id]!];
    return { starts: this.#pool.starts.subarray(at, end), kids: this.#pool.kids.subarray(at, end) };
  }

  /** The edge that holds a label, from a known one on. */
  edgeAt(id: Node, label: number, from = 0): number {
    const at = this.#at[id]!;
    let low = from;
    let high = this.#count[id]! - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#pool.starts[at + middle]! <= label) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The kid that holds a label. */
  child(id: Node, label: number): Node {
    return this.kid(id, this.edgeAt(id, label));
  }

  /** The node of edges that begin at 0 and are sorted; neighbours with the same kid become one. */
  node(level: number, starts: readonly number[], kids: readonly Node[]): Node {
    let count = 0;
    let hash = level;
    const at = this.#pool.used;
    let has = 0;
    let support = 1 << level;
    for (let i = 0; i < kids.length; i += 1) {
      const kid = kids[i]!;
      if (count > 0 && this.#pool.kids[at + count - 1] === kid) continue;
      const start = starts[i]!;
      this.#pool.add(start, kid);
      count += 1;
      has |= this.#has[kid]!;
      support |= this.#support[kid]!;
      hash =
        Math.imul(hash ^ (start % 0xfffffff), 0x85ebca6b) ^ Math.imul(kid + 0x27d4eb2f, 0xc2b2ae35) ^ (hash >>> 13);
    }
    if (count === 1) {
      this.#pool.used = at;
      return this.#pool.kids[at]!;
    }
    const first = this.#byHash.get(hash);
    for (let id = first ?? -1; id >= 0; id = this.#nextSame[id]!) {
      if (this.#same(id, level, at, count)) {
        this.#pool.used = at;
        return id;
      }
    }
    const id = this.#push(level, at, count, has, support);
    this.#nextSame[id] = first ?? -1;
    this.#byHash.set(hash, id);
    return id;
  }

  #same(id: Node, level: number, at: number, count: number): boolean {
    if (this.#level[id] !== level || this.#count[id] !== count) return false;
    const other = this.#at[id]!;
    const { starts, kids } = this.#pool;
    for (let i = 0; i < count; i += 1) {
      if (kids[other + i] !== kids[at + i] || starts[other + i] !== starts[at + i]) return false;
    }
    return true;
  }

  #push(level: number, at: number, count: number, has: number, support: number): Node {
    const id = this.#level.length;
    this.#level.push(level);
    this.#at.push(at);
    this.#count.push(count);
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

  count(id: Node): number {
    return this.#count[id]!;
  }

  start(id: Node, edge: number): number {
    return this.#pool.starts[this.#at[id]! + edge]!;
  }

  kid(id: Node, edge: number): Node {
    return this.#pool.kids[this.#at[id]! + edge]!;
  }
}
