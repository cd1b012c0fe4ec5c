/**
 * Hooks as functions that can be held against each other: with some fields of the packet given, inside a region, with
 * the rules that decided left out. Equal functions are the same node, so "the same for all packets" costs one look.
 */
import type { NftBase } from "../../../schemas/desired.ts";
import type { Node } from "./diagram.ts";
import { EPOCH, FIELDS, type Field, LEVEL, STATE, type Value } from "./fields.ts";
import type { Leaf } from "./leaves.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Packet } from "./question.ts";
import { packetOf, pointOf } from "./witness.ts";

/** Values of fields that are small numbers: state, epoch, interfaces by index. */
export type Values = Partial<Record<Field, number>>;

/** First packets of flows. */
export const NEW: Values = { state: STATE.new, epoch: EPOCH.none, origin: 0 };

/** What a hook does, whichever rule does it. */
export function hookOf(pipeline: Pipeline, hook: NftBase["hook"]): Node {
  const { arena } = pipeline.regions;
  return pipeline.once(`bare ${hook}`, () =>
    arena.map(pipeline.hook(hook), (id) => arena.leaf({ ...arena.leafOf(id)!, rule: -1 })),
  );
}

/** The function on packets with these values. */
export function held(pipeline: Pipeline, node: Node, values: Values): Node {
  const { arena, space } = pipeline.regions;
  const fields = (Object.keys(values) as Field[]).filter((field) => field !== "direction");
  const sets = fields.map((field) => [space.level(field), values[field]!] as const).sort((a, b) => a[0] - b[0]);
  return arena.restrict(node, { sets, free: [], markMask: -1 });
}

/** Where a function ends as `test` says: yes there, next elsewhere. */
export function where(pipeline: Pipeline, node: Node, test: (leaf: Leaf) => boolean): Node {
  const { arena } = pipeline.regions;
  return arena.map(node, (id) => (test(arena.leafOf(id)!) ? arena.yes : arena.next));
}

/** Where a hook lets packets with these values go on: yes there. Made once, for it is as large as the hook. */
export function acceptedBy(pipeline: Pipeline, hook: NftBase["hook"], values: Values = {}): Node {
  const name = Object.entries(values)
    .map(([field, value]) => `${field}=${value}`)
    .sort()
    .join(" ");
  return pipeline.once(`accepted ${hook} ${name}`, () =>
    where(pipeline, held(pipeline, hookOf(pipeline, hook), values), (leaf) => leaf.kind === "next"),
  );
}

/** What is written to a packet, as text: "" for nothing, "epoch=1,origin=0" for a stamp. */
export function writtenBy({ effect }: Leaf): string {
  return effect.sets.map(([level, label]) => `${FIELDS[level]}=${label}`).join(",");
}

/** The stamp of the policy in force, and that of the router's own flows. */
export const STAMPED = `epoch=${EPOCH.current},origin=0`;
export const OWN_STAMP = `epoch=${EPOCH.current},origin=1`;
export const UNTRACKED = `state=${STATE.untracked}`;

/** A packet inside a region, with the values that were held; null when the region is empty. */
export function packetIn(pipeline: Pipeline, region: Node, values: Values = {}): Packet | null {
  const { arena, space } = pipeline.regions;
  const found = pointOf(pipeline, region, (leaf) => leaf === arena.yes);
  if (found === null) return null;
  const point: Value[] = [...found];
  point[LEVEL.direction] = space.direction;
  for (const field of Object.keys(values) as Field[]) point[LEVEL[field]] = values[field]!;
  return packetOf(pipeline, point);
}

/** A packet inside a region for which two functions are not the same. */
export function apartIn(pipeline: Pipeline, region: Node, a: Node, b: Node, values: Values = {}): Packet | null {
  if (a === b) return null;
  const { arena } = pipeline.regions;
  return packetIn(pipeline, arena.gate(region, arena.differ(a, b)), values);
}
