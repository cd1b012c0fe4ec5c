/** Two rulesets held against each other, and the rules that a question hangs on. */
import type { Desired, NftBase, NftTable } from "../../../schemas/desired.ts";
import type { Result } from "../../../schemas/problem.ts";
import type { ReadTable } from "./ast.ts";
import { Chains, type Place, Places } from "./chains.ts";
import { Arena, type Node } from "./diagram.ts";
import { edgesOf, factsOf } from "./facts.ts";
import { type Half, Space } from "./fields.ts";
import { interfacesOf, judged, type Model, partsOf, tableEdges, withRoom } from "./model.ts";
import { Pipeline } from "./pipeline.ts";
import type { Difference, Family, Question } from "./question.ts";
import { Regions } from "./regions.ts";
import { interfacesIn, readTable } from "./table.ts";
import { endOf } from "./trace.ts";
import { tracking } from "./universe.ts";
import { packetOf, pointOf } from "./witness.ts";

const HOOKS: readonly NftBase["hook"][] = ["prerouting", "input", "forward", "output", "postrouting"];
const FAMILIES: readonly Family[] = [4, 6];
const HALVES: readonly Half[] = ["original", "reply"];

/** What a hook does, whichever rule does it. */
function bare(pipeline: Pipeline, hook: NftBase["hook"]): Node {
  const { arena } = pipeline.regions;
  return arena.map(pipeline.hook(hook), (id) => arena.leaf({ ...arena.leafOf(id)!, rule: -1 }));
}

/**
 * Whether two rulesets do the same to every packet in every hook: verdict, marks, notrack and translation. Null when
 * they do; else a packet, and the last step of each. Addresses and devices are those of the generation. Refused when
 * either is not understood.
 */
export function sameVerdicts(desired: Desired, a: NftTable, b: NftTable): Result<Difference | null> {
  const mentioned = [a, b].map(interfacesIn);
  const interfaces = interfacesOf(desired, mentioned);
  const tables: ReadTable[] = [];
  for (const table of [a, b]) {
    const read = readTable(table, interfaces);
    if (!read.ok) return read;
    tables.push(read.value);
  }
  const named = mentioned.flatMap((one) => one.names);
  for (const family of FAMILIES) {
    const facts = factsOf(desired, family, [...new Set(named)]);
    const edges = family === 4 ? [] : [...tables.flatMap((table) => [...tableEdges(table)]), ...edgesOf(facts)];
    for (const half of HALVES) {
      const [arena, space] = [new Arena(), new Space(family, half, interfaces, edges)];
      const [one, other] = tables.map((table) => {
        const places = new Places();
        // Their own regions: sets of one name need not hold the same.
        const regions = new Regions(arena, space);
        return new Pipeline(regions, new Chains(regions, table, facts, places), facts, places);
      }) as [Pipeline, Pipeline];
      for (const hook of HOOKS) {
        const found = difference(one, other, hook);
        if (found !== null) return { ok: true, value: found };
      }
    }
  }
  return { ok: true, value: null };
}

function difference(one: Pipeline, other: Pipeline, hook: NftBase["hook"]): Difference | null {
  const { arena } = one.regions;
  const [a, b] = [bare(one, hook), bare(other, hook)];
  if (a === b) return null;
  const apart = arena.gate(tracking(one), arena.differ(a, b));
  const point = pointOf(one, apart, (leaf) => leaf === arena.yes);
  if (point === null) return null;
  return { packet: packetOf(one, point), hook, a: endOf(one, hook, point), b: endOf(other, hook, point) };
}

/** Rules, policies and kernel facts that decide for some packet of a question, each once. */
export function deciders(model: Model, question: Question): Result<readonly Place[]> {
  const found = new Map<string, Place>();
  for (const [family, half] of partsOf(question)) {
    const places = withRoom(model, family, half, (pipeline): Result<readonly Place[]> => {
      const node = judged(pipeline, question);
      if (!node.ok) return node;
      const { arena } = pipeline.regions;
      const rules = arena.leavesOf(node.value).map((id) => arena.leafOf(id)!.rule);
      return { ok: true, value: rules.filter((rule) => rule >= 0).map((rule) => pipeline.places.place(rule)) };
    });
    if (!places.ok) return places;
    for (const place of places.value) found.set(`${place.chain} ${place.rule} ${place.text}`, place);
  }
  return { ok: true, value: [...found.values()] };
}
