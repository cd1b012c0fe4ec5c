/** Conditions as regions of packets: yes inside, next outside. */
import type { Columns, Key, ReadSet } from "./ast.ts";
import type { Arena, Node } from "./diagram.ts";
import { type Field, type Interval, type Space, STATE } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";

/** Rows of intervals by column, as labels, and the leaf of each row. */
type Rows = {
  readonly levels: readonly number[]; // ascending
  readonly starts: readonly Float64Array[];
  readonly ends: readonly Float64Array[];
  readonly leaves: readonly Node[];
};

/** The union of rows. Rows that overlap must agree on their leaf. */
function union(arena: Arena, rows: Rows, depth: number, which: readonly number[]): Node {
  if (depth === rows.levels.length) {
    const leaf = rows.leaves[which[0]!]!;
    if (which.some((row) => rows.leaves[row] !== leaf)) throw new Unmodelled("elements of a map that overlap");
    return leaf;
  }
  const [start, end] = [rows.starts[depth]!, rows.ends[depth]!];
  const sorted = which.length === 1 ? which : [...which].sort((a, b) => start[a]! - start[b]!);
  const [starts, kids]: [number[], Node[]] = [[0], [arena.next]];
  const emit = (at: number, kid: Node): void => {
    if (starts.at(-1) === at) kids[kids.length - 1] = kid;
    else {
      starts.push(at);
      kids.push(kid);
    }
  };
  let active: number[] = [];
  let [i, position] = [0, 0];
  while (i < sorted.length || active.length > 0) {
    if (active.length === 0) position = start[sorted[i]!]!;
    while (i < sorted.length && start[sorted[i]!]! <= position) active.push(sorted[i++]!);
    let next = i < sorted.length ? start[sorted[i]!]! : Number.POSITIVE_INFINITY;
    for (const row of active) if (end[row]! < next) next = end[row]!;
    emit(position, union(arena, rows, depth + 1, active));
    if (next === Number.POSITIVE_INFINITY) break;
    emit(next, arena.next);
    position = next;
    active = active.filter((row) => end[row]! > position);
  }
  return arena.node(rows.levels[depth]!, starts, kids);
}

/** Makes regions in one arena, over the fields of one family. */
export class Regions {
  readonly arena: Arena;
  readonly space: Space;
  readonly #sets = new Map<string, Node>();
  readonly tracked: Node;

  constructor(arena: Arena, space: Space) {
    this.arena = arena;
    this.space = space;
    this.tracked = this.of("state", [{ from: STATE.new, to: STATE.related }]);
  }

  /** Packets whose field has one of the values. */
  of(field: Field, values: readonly Interval[]): Node {
    return this.rows(
      [field],
      values.map((one) => [one]),
      () => this.arena.yes,
    );
  }

  one(field: Field, value: Interval["from"]): Node {
    return this.of(field, [{ from: value, to: value }]);
  }

  /** The union of products of intervals, each with its leaf. */
  rows(fields: readonly Field[], columns: readonly Columns[], leafOf: (row: number) => Node): Node {
    if (columns.length === 0) return this.arena.next;
    const at = fields.indexOf("direction");
    if (at >= 0) return this.#inHalf(at, fields, columns, leafOf);
    const order = fields.map((_, i) => i).sort((a, b) => this.space.level(fields[a]!) - this.space.level(fields[b]!));
    const levels = order.map((i) => this.space.level(fields[i]!));
    const starts = order.map(() => new Float64Array(columns.length));
    const ends = order.map(() => new Float64Array(columns.length));
    for (let row = 0; row < columns.length; row += 1) {
      for (let depth = 0; depth < order.length; depth += 1) {
        const cut = this.space.cut(levels[depth]!, columns[row]![order[depth]!]!);
        starts[depth]![row] = cut.start;
        ends[depth]![row] = cut.end;
      }
    }
    const leaves = columns.map((_, row) => leafOf(row));
    return union(this.arena, { levels, starts, ends, leaves }, 0, [...columns.keys()]);
  }

  /** All packets of a half have one direction: rows with another are not of it. */
  #inHalf(at: number, fields: readonly Field[], columns: readonly Columns[], leafOf: (row: number) => Node): Node {
    const { direction } = this.space;
    const rows = [...columns.keys()].filter((row) => {
      const { from, to } = columns[row]![at]!;
      return from <= direction && direction <= to;
    });
    const others = fields.filter((_, i) => i !== at);
    if (rows.length === 0) return this.arena.next;
    if (others.length === 0) return leafOf(rows[0]!);
    const rest = rows.map((row) => columns[row]!.filter((_, i) => i !== at));
    return this.rows(others, rest, (row) => leafOf(rows[row]!));
  }

  and(...regions: readonly Node[]): Node {
    return regions.reduce((a, b) => this.arena.gate(a, b), this.arena.yes);
  }

  /** Packets that have what all keys read. A rule does not match others, negated or not. */
  guard(keys: readonly Key[]): Node {
    if (keys.some((key) => key.family !== 0 && key.family !== this.space.family)) return this.arena.next;
    const protocols = [...new Set(keys.map((key) => key.protocol).filter((one) => one >= 0))];
    const parts = protocols.map((protocol) => this.one("proto", protocol));
    return this.and(...parts, ...(keys.some((key) => key.tracked) ? [this.tracked] : []));
  }

  #guarded(keys: readonly Key[], negated: boolean, region: () => Node): Node {
    const guard = this.guard(keys);
    if (guard === this.arena.next) return guard;
    return this.arena.gate(guard, negated ? this.arena.not(region()) : region());
  }

  boxes(keys: readonly Key[], negated: boolean, boxes: readonly Columns[]): Node {
    const fields = keys.map((key) => key.field);
    return this.#guarded(keys, negated, () => this.rows(fields, boxes, () => this.arena.yes));
  }

  inSet(keys: readonly Key[], negated: boolean, set: ReadSet): Node {
    const fields = keys.map((key) => key.field);
    return this.#guarded(keys, negated, () => {
      const name = `${set.name} ${fields.join(" ")}`;
      const known = this.#sets.get(name);
      const region = known ?? this.rows(fields, set.columns, () => this.arena.yes);
      this.#sets.set(name, region);
      return region;
    });
  }
}
