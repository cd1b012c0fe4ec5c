/**
 * The verifier: opens the ruleset of a generation as a model of all packets, and answers questions about it. It reads
 * the very texts that nft gets, and nothing of the compiler. What it does not understand is a problem, never a guess.
 */
import type { Desired } from "../../../schemas/desired.ts";
import { problem, type Result } from "../../../schemas/problem.ts";
import type { ReadTable } from "./ast.ts";
import { boxesOf } from "./boxes.ts";
import { Chains, Places } from "./chains.ts";
import { Arena, type Node } from "./diagram.ts";
import { edgesOf, type Facts, factsOf } from "./facts.ts";
import { type Half, Interfaces, OutOfLabels, Space } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";
import { Pipeline, type RouteMode } from "./pipeline.ts";
import type { Answer, Box, Family, Question, Witness } from "./question.ts";
import { Regions } from "./regions.ts";
import { interfacesIn, type Named, readTable } from "./table.ts";
import { walkOf } from "./trace.ts";
import { packetsOf } from "./universe.ts";
import { packetOf, pointOf } from "./witness.ts";

const FAMILIES: readonly Family[] = [4, 6];
const HALVES: readonly Half[] = ["original", "reply"];

/** Families and halves that a question may be about; others are empty anyway. */
export function partsOf({ region: { family } }: Question): readonly (readonly [Family, Half])[] {
  const families = family === undefined ? FAMILIES : [family];
  return families.flatMap((one) => HALVES.map((half) => [one, half] as const));
}

/** A generation opened for questions. Diagrams are built when they are first asked for, and kept. */
export type Model = {
  readonly desired: Desired;
  readonly table: ReadTable;
  readonly interfaces: Interfaces;
  readonly named: readonly string[]; // interfaces that the ruleset names
  readonly facts: Map<Family, Facts>;
  readonly pipelines: Map<string, Pipeline>; // by family and half, filled by pipelineOf
  readonly edges: Map<Family, readonly bigint[]>; // that questions brought
};

/**
 * Opens a generation. Refused with `verify.unmodelled`, once for each chain and rule, set, or combination that the
 * verifier does not understand.
 */
export function openModel(desired: Desired): Result<Model> {
  const named = interfacesIn(desired.nft);
  const interfaces = interfacesOf(desired, [named]);
  const read = readTable(desired.nft, interfaces);
  if (!read.ok) return read;
  const { names } = named;
  return {
    ok: true,
    value: {
      desired,
      table: read.value,
      interfaces,
      named: names,
      facts: new Map(),
      pipelines: new Map(),
      edges: new Map(),
    },
  };
}

/** Every interface that a generation or one of the tables names, as interfacesIn finds them. */
export function interfacesOf(desired: Desired, found: readonly Named[]): Interfaces {
  const names = [
    "lo",
    ...found.flatMap((one) => one.names),
    ...desired.links.map((link) => link.name),
    ...desired.addresses.map((address) => address.interface),
    ...desired.routes.map((route) => route.interface),
  ];
  return new Interfaces(
    names,
    found.flatMap((one) => one.wildcards),
  );
}

/** Edges of wide addresses in a table that was read. */
export function tableEdges(table: ReadTable): Iterable<bigint> {
  const found: bigint[] = [];
  const note = (intervals: readonly { readonly from: number | bigint; readonly to: number | bigint }[]): void => {
    for (const { from, to } of intervals)
      if (typeof from === "bigint" && typeof to === "bigint") found.push(from, to + 1n);
  };
  const wide = (types: readonly string[]): boolean => types.includes("ipv6_addr");
  for (const set of table.sets.values()) {
    if (!wide(set.types) && set.results.length === 0) continue;
    for (const columns of set.columns) note(columns);
    for (const columns of set.results) note(columns);
  }
  for (const chain of table.chains.values()) {
    for (const { statements } of chain.rules) {
      for (const statement of statements) {
        if (statement.kind === "boxes") for (const box of statement.boxes) note(box);
        if (statement.kind === "nat" && "address" in statement.nat)
          note([{ from: statement.nat.address, to: statement.nat.address }]);
      }
    }
  }
  return found;
}

/** The diagrams of one family and half, made on the first call. */
export function pipelineOf(model: Model, family: Family, half: Half): Pipeline {
  const known = model.pipelines.get(`${family} ${half}`);
  if (known !== undefined) return known;
  const { desired, table, interfaces } = model;
  const facts = model.facts.get(family) ?? factsOf(desired, family, model.named);
  model.facts.set(family, facts);
  const edges = family === 4 ? [] : (model.edges.get(family) ?? [...tableEdges(table), ...edgesOf(facts)]);
  const places = new Places();
  const regions = new Regions(new Arena(), new Space(family, half, interfaces, edges));
  const pipeline = new Pipeline(regions, new Chains(regions, table, facts, places), facts, places);
  model.pipelines.set(`${family} ${half}`, pipeline);
  return pipeline;
}

/** Runs something that may need a new edge where there is no room left: then everything is built again with it. */
export function withRoom<T>(model: Model, family: Family, half: Half, run: (pipeline: Pipeline) => T): T {
  const pipeline = pipelineOf(model, family, half);
  try {
    return run(pipeline);
  } catch (error) {
    if (!(error instanceof OutOfLabels)) throw error;
    model.edges.set(family, pipeline.regions.space.edges());
    model.pipelines.delete(`${family} ${half}`);
    return run(pipelineOf(model, family, half));
  }
}

type Ends = ReadonlySet<string>; // kinds of leaves

type Part = {
  readonly ends: Ends;
  readonly accepted: Witness | null;
  readonly dropped: Witness | null;
  readonly boxes: readonly Box[];
  readonly more: boolean;
};

function witnessOf(
  pipeline: Pipeline,
  question: Question,
  node: Node,
  wanted: (leaf: Node) => boolean,
): Witness | null {
  const point = pointOf(pipeline, node, wanted);
  if (point === null) return null;
  const packet = packetOf(pipeline, point);
  const walk = walkOf(pipeline, question.region.way, modeOf(question), point);
  const limited = walk.usedLimit ? (point.at(-1) === 0 ? "pass" : "fail") : "none";
  return {
    packet,
    limit: limited,
    outcome: walk.outcome,
    egress: walk.outcome === "drop" ? "" : packet.oif === "" ? "router" : packet.oif,
    headers: walk.headers,
    chains: walk.steps.map((step) => step.chain).filter((chain, i, all) => chain !== "" && chain !== all[i - 1]),
    walk: walk.steps,
    decided: walk.decided,
  };
}

const modeOf = (question: Question): RouteMode => question.routes ?? "declared";

/** The packets of a question with what becomes of each; next outside of the question. */
export function judged(pipeline: Pipeline, question: Question): Result<Node> {
  const packets = packetsOf(pipeline, question);
  if (!packets.ok) return packets;
  const { arena } = pipeline.regions;
  // No such packet in this half: nothing has to be built for it.
  if (packets.value === arena.next) return packets;
  if (question.region.way === "leaving") return { ok: true, value: arena.gate(packets.value, pipeline.leaving()) };
  const mode = modeOf(question);
  const real = arena.gate(packets.value, pipeline.routed(mode));
  return { ok: true, value: arena.gate(real, pipeline.arriving(mode)) };
}

function askPart(pipeline: Pipeline, question: Question): Result<Part> {
  const node = judged(pipeline, question);
  if (!node.ok) return node;
  const { arena } = pipeline.regions;
  const kindOf = (id: Node): string => arena.leafOf(id)!.kind;
  const is = (kind: string) => (id: Node) => kindOf(id) === kind;
  const ends = new Set(arena.leavesOf(node.value).map(kindOf));
  const witness = (kind: string): Witness | null =>
    question.witnesses === "none" || !ends.has(kind) ? null : witnessOf(pipeline, question, node.value, is(kind));
  const either = witness("either");
  const max = question.boxesMax ?? 0;
  const listed = max === 0 ? { boxes: [], more: false } : boxesOf(pipeline, node.value, is("accept"), max);
  return {
    ok: true,
    value: { ends, accepted: witness("accept") ?? either, dropped: witness("drop") ?? either, ...listed },
  };
}

function verdictOf(ends: Ends): Answer["verdict"] {
  // Either is neither: an answer that hangs on something outside of the packet is mixed.
  if (ends.has("either") || (ends.has("accept") && ends.has("drop"))) return "mixed";
  return ends.has("accept") ? "accepted" : ends.has("drop") ? "dropped" : "none";
}

/**
 * What becomes of the packets of a region: all accepted, all dropped, some of each (mixed), or no such packet (none).
 * Each outcome comes with a packet and its walk. Refused with `verify.question` for a word that is none.
 */
export function ask(model: Model, question: Question): Result<Answer> {
  const parts: Part[] = [];
  for (const [family, half] of partsOf(question)) {
    try {
      const part = withRoom(model, family, half, (pipeline) => askPart(pipeline, question));
      if (!part.ok) return part;
      parts.push(part.value);
    } catch (error) {
      if (!(error instanceof Unmodelled)) throw error;
      return { ok: false, problems: [problem("verify.unmodelled", `IPv${family}`, error.message)] };
    }
  }
  const max = question.boxesMax ?? 0;
  const boxes = parts.flatMap((part) => part.boxes);
  return {
    ok: true,
    value: {
      verdict: verdictOf(new Set(parts.flatMap((part) => [...part.ends]))),
      accepted: parts.find((part) => part.accepted !== null)?.accepted ?? null,
      dropped: parts.find((part) => part.dropped !== null)?.dropped ?? null,
      boxes: boxes.slice(0, max),
      more: boxes.length > max || parts.some((part) => part.more),
    },
  };
}
