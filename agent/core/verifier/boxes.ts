/** A region as a list of products, for people: few fields, each with its values as text. */
import type { Node } from "./diagram.ts";
import { EPOCH, type Field, FLAGS, STATE, type Value } from "./fields.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Box } from "./question.ts";
import { addressText, reachable } from "./witness.ts";

/** Names of fields in boxes: those of Packet. */
const WORDS: Partial<Record<Field, string>> = {
  saddr: "source",
  daddr: "target",
  odaddr: "original",
  proto: "protocol",
  icmp: "icmpType",
  low: "mark",
  hop: "hopLimit",
};

const nameIn = (table: Readonly<Record<string, number>>, value: Value): string =>
  Object.keys(table).find((name) => table[name] === value) ?? String(value);

function valueText(pipeline: Pipeline, field: Field, value: Value): string {
  if (field === "iif" || field === "oif") return pipeline.regions.space.interfaces.name(Number(value));
  if (field === "saddr" || field === "daddr" || field === "odaddr") return addressText(pipeline, value);
  if (field === "state") return nameIn(STATE, value);
  if (field === "epoch") return nameIn(EPOCH, value);
  if (field === "direction") return value === 1 ? "reply" : "original";
  if (field === "limit") return value === 0 ? "pass" : "fail";
  if (field === "flags") {
    const set = Object.entries(FLAGS).filter(([, bit]) => (Number(value) & bit) !== 0);
    return set.length === 0 ? "none" : set.map(([name]) => name).join(",");
  }
  return String(value);
}

/** Fields whose values have no order: each is named. */
const UNORDERED: ReadonlySet<Field> = new Set([
  "iif",
  "oif",
  "state",
  "epoch",
  "direction",
  "flags",
  "limit",
  "dnat",
  "snat",
  "origin",
]);

function spanText(pipeline: Pipeline, level: number, start: number, end: number | undefined): readonly string[] {
  const domain = pipeline.regions.space.domain(level);
  const field = pipeline.regions.space.fieldAt(level);
  const first = domain.value(start);
  const after = end === undefined ? undefined : domain.value(end);
  const last = after === undefined ? domain.last : typeof after === "bigint" ? after - 1n : after - 1;
  if (UNORDERED.has(field)) {
    const count = Number(last) - Number(first) + 1;
    return Array.from({ length: count }, (_, i) => valueText(pipeline, field, Number(first) + i));
  }
  const [a, b] = [valueText(pipeline, field, first), valueText(pipeline, field, last)];
  return [a === b ? a : `${a}-${b}`];
}

/** At most `max` boxes of the part of a diagram that leads to wanted leaves. */
export function boxesOf(
  pipeline: Pipeline,
  node: Node,
  wanted: (leaf: Node) => boolean,
  max: number,
): { readonly boxes: readonly Box[]; readonly more: boolean } {
  const { arena } = pipeline.regions;
  const can = reachable(pipeline, wanted);
  const boxes: Box[] = [];
  let more = false;
  const visit = (at: Node, fields: Readonly<Record<string, readonly string[]>>): void => {
    if (!can(at)) return;
    if (boxes.length >= max) {
      more = true;
      return;
    }
    if (arena.leafOf(at) !== undefined) {
      boxes.push({ family: pipeline.facts.family, fields });
      return;
    }
    const level = arena.level(at);
    const { starts, kids } = arena.edges(at);
    const byKid = new Map<Node, string[]>();
    kids.forEach((kid, i) => {
      if (!can(kid)) return;
      const texts = byKid.get(kid) ?? [];
      texts.push(...spanText(pipeline, level, starts[i]!, starts[i + 1]));
      byKid.set(kid, texts);
    });
    const field = pipeline.regions.space.fieldAt(level);
    for (const [kid, texts] of byKid) visit(kid, { ...fields, [WORDS[field] ?? field]: texts });
  };
  visit(node, {});
  return { boxes, more };
}
