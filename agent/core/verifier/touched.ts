/** The rules and elements that packets of a question meet, so that one knows what an answer hangs on. */
import { problem, type Result } from "../../../schemas/problem.ts";
import type { Key, ReadSet, Statement } from "./ast.ts";
import type { Node } from "./diagram.ts";
import { Unmodelled } from "./leaves.ts";
import { judged, type Model, partsOf, withRoom } from "./model.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Question } from "./question.ts";
import { walkOf } from "./trace.ts";
import { pointOf } from "./witness.ts";

/** A rule that applied, or an element that a rule's look-up found. */
export type Touch =
  | { readonly chain: string; readonly rule: number }
  | { readonly set: string; readonly element: string };

export const touchKey = (touch: Touch): string =>
  "set" in touch ? `@${touch.set} ${touch.element}` : `${touch.chain} ${touch.rule}`;

type Lookup = { readonly keys: readonly Key[]; readonly set: string };

/** Elements thanks to which a rule's condition did not hold: it asks for what is in none of them. */
type Escape = Lookup & { readonly others: readonly Statement[] };

function escapesOf(statements: readonly Statement[]): readonly Escape[] {
  return statements.flatMap((one) => {
    if (one.kind !== "match" || !one.negated) return [];
    return [{ keys: one.keys, set: one.set, others: statements.filter((other) => other !== one) }];
  });
}

/** Look-ups of a rule that name an element: not those that must find none. */
function lookupsOf(statements: readonly Statement[]): readonly Lookup[] {
  return statements.flatMap((one): readonly Lookup[] => {
    if (one.kind === "match") return one.negated ? [] : [{ keys: one.keys, set: one.set }];
    if (one.kind === "vmap" || one.kind === "mark-map") return [{ keys: one.keys, set: one.map }];
    return one.kind === "nat" && "map" in one.nat ? [{ keys: one.nat.keys, set: one.nat.map }] : [];
  });
}

/** Rows of sets as diagrams whose leaves are the rows, made once for each set and pipeline. */
class Rows {
  readonly #pipeline: Pipeline;
  readonly #known = new Map<string, Node>();

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  /** Elements that hold some of the packets. */
  hit(packets: Node, keys: readonly Key[], set: ReadSet): readonly string[] {
    const { regions, chains } = this.#pipeline;
    const { arena } = regions;
    // Rows of the other family say nothing here.
    const own = regions.and(packets, regions.guard(keys));
    if (own === arena.next) return [];
    const name = `${set.name} ${keys.map((key) => key.field).join(" ")}`;
    const known = this.#known.get(name);
    const rows =
      known ??
      regions.rows(
        keys.map((key) => key.field),
        set.columns,
        (row) => chains.leaf("accept", {}, row),
      );
    this.#known.set(name, rows);
    const found = arena.leavesOf(arena.gate(own, rows)).map((id) => arena.leafOf(id)!);
    return found.filter((leaf) => leaf.kind === "accept").map((leaf) => set.texts[leaf.rule]!);
  }
}

const known = new WeakMap<Pipeline, Rows>();

function rowsOf(pipeline: Pipeline): Rows {
  const rows = known.get(pipeline) ?? new Rows(pipeline);
  known.set(pipeline, rows);
  return rows;
}

/** Those of the packets for which all conditions hold. */
function among({ regions, chains }: Pipeline, packets: Node, statements: readonly Statement[]): Node {
  const conditions = statements.map((one) => chains.condition(one)).filter((one) => one !== undefined);
  return regions.and(packets, ...conditions);
}

/** What packets of one family and half meet; each is found by a packet that really comes there. */
function touchedPart(pipeline: Pipeline, question: Question, found: Map<string, Touch>): Result<void> {
  const node = judged(pipeline, question);
  if (!node.ok) return node;
  const { arena } = pipeline.regions;
  const { table } = pipeline.chains;
  const note = (touch: Touch): void => void found.set(touchKey(touch), touch);
  const hit = (packets: Node, { keys, set }: Lookup): void => {
    for (const element of rowsOf(pipeline).hit(packets, keys, table.sets.get(set)!)) note({ set, element });
  };
  for (const end of arena.leavesOf(node.value)) {
    const { kind, rule } = arena.leafOf(end)!;
    if (kind !== "accept" && kind !== "drop" && kind !== "either") continue;
    if (rule >= 0) {
      const place = pipeline.places.place(rule);
      if (place.rule >= 0) note({ chain: place.chain, rule: place.rule });
    }
    // One packet of each end, and its whole way: what led there, what was marked, translated and kept from conntrack.
    const point = pointOf(pipeline, node.value, (leaf) => leaf === end)!;
    const { steps } = walkOf(pipeline, question.region.way, question.routes ?? "declared", point);
    const packets = arena.map(node.value, (leaf) => (leaf === end ? arena.yes : arena.next));
    for (const step of steps) {
      const rules = table.chains.get(step.chain)?.rules ?? [];
      if (kind === "accept") {
        for (const { statements } of step.rule < 0 ? rules : rules.slice(0, step.rule))
          for (const way of escapesOf(statements)) hit(among(pipeline, packets, way.others), way);
      }
      if (step.rule < 0) continue;
      note({ chain: step.chain, rule: step.rule });
      const lookups = lookupsOf(rules[step.rule]!.statements);
      for (const lookup of lookups) hit(packets, lookup);
      // Also where a translation has changed what the look-up sees.
      const last = lookups.at(-1);
      if (step.element !== "" && last !== undefined) note({ set: last.set, element: step.element });
    }
  }
  return { ok: true, value: undefined };
}

/**
 * Rules on the way of the packets of a question, and the elements of their look-ups that hold some of them: for each
 * end that packets come to by one rule, the way of one of them. Rules that nobody comes to are not among them, and
 * neither are those whose condition did not hold. Codes as of ask.
 */
export function touched(model: Model, question: Question): Result<readonly Touch[]> {
  const found = new Map<string, Touch>();
  for (const [family, half] of partsOf(question)) {
    try {
      const part = withRoom(model, family, half, (pipeline) => touchedPart(pipeline, question, found));
      if (!part.ok) return part;
    } catch (error) {
      if (!(error instanceof Unmodelled)) throw error;
      return { ok: false, problems: [problem("verify.unmodelled", `IPv${family}`, error.message)] };
    }
  }
  return { ok: true, value: [...found.values()] };
}
