/**
 * What a mutant changes, for all packets. The original and its mutants share one arena for each family and half, so that
 * only what is different is built anew; tests/mutate/mutate.test.ts holds the answers against sameVerdicts.
 */
import type { ReadTable } from "../../agent/core/verifier/ast.ts";
import { Chains, Places } from "../../agent/core/verifier/chains.ts";
import { Arena, type Node } from "../../agent/core/verifier/diagram.ts";
import { edgesOf, type Facts, factsOf } from "../../agent/core/verifier/facts.ts";
import { EPOCH, type Half, OutOfLabels, Space, STATE } from "../../agent/core/verifier/fields.ts";
import { type Leaf, Unmodelled } from "../../agent/core/verifier/leaves.ts";
import { interfacesOf, type Model, tableEdges } from "../../agent/core/verifier/model.ts";
import { Pipeline } from "../../agent/core/verifier/pipeline.ts";
import type { Difference, Family, Packet } from "../../agent/core/verifier/question.ts";
import { Regions } from "../../agent/core/verifier/regions.ts";
import { interfacesIn, readTable } from "../../agent/core/verifier/table.ts";
import { endOf } from "../../agent/core/verifier/trace.ts";
import { tracking, universe } from "../../agent/core/verifier/universe.ts";
import { packetOf, pointOf } from "../../agent/core/verifier/witness.ts";
import type { Desired, NftBase, NftTable } from "../../schemas/desired.ts";

const HOOKS: readonly NftBase["hook"][] = ["prerouting", "input", "forward", "output", "postrouting"];
const PARTS: readonly (readonly [Family, Half])[] = [
  [4, "original"],
  [4, "reply"],
  [6, "original"],
  [6, "reply"],
];

/** Mutants that share an arena before it is thrown away: memory is what sharing costs. */
const SHARED_MAX = 60;

/**
 * "refused": the verifier does not understand the mutant. "equal": no hook does anything else with any packet. "hidden":
 * some hook does, but only with packets that no way leads to. "changed": a packet that can be ends otherwise.
 */
export type Change =
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "equal" }
  | { readonly kind: "hidden" | "changed"; readonly difference: Difference };

type Shared = {
  readonly arena: Arena;
  readonly space: Space;
  readonly facts: Facts;
  readonly original: Pipeline;
};

/** Regions remember sets by their names, so each table has its own; the nodes are shared all the same. */
function pipelineIn({ arena, space, facts }: Omit<Shared, "original">, table: ReadTable): Pipeline {
  const regions = new Regions(arena, space);
  const places = new Places();
  return new Pipeline(regions, new Chains(regions, table, facts, places), facts, places);
}

/** One generation, and what becomes of packets when its table is another. */
export class Behaviour {
  readonly #desired: Desired;
  readonly #interfaces;
  readonly #table;
  readonly #named: readonly string[];
  #parts = new Map<string, Shared>();
  #used = 0;

  constructor(desired: Desired) {
    this.#desired = desired;
    const named = interfacesIn(desired.nft);
    this.#named = named.names;
    this.#interfaces = interfacesOf(desired, [named]);
    const read = readTable(desired.nft, this.#interfaces);
    if (!read.ok) throw new Error(JSON.stringify(read.problems));
    this.#table = read.value;
  }

  #shared(family: Family, half: Half): Shared {
    const key = `${family} ${half}`;
    const known = this.#parts.get(key);
    if (known !== undefined) return known;
    const facts = factsOf(this.#desired, family, this.#named);
    const edges = family === 4 ? [] : [...tableEdges(this.#table), ...edgesOf(facts)];
    const empty = { arena: new Arena(), space: new Space(family, half, this.#interfaces, edges), facts };
    const made = { ...empty, original: pipelineIn(empty, this.#table) };
    this.#parts.set(key, made);
    return made;
  }

  /** The mutant as a model that shares what it can; a string says why the verifier does not understand it. */
  model(nft: NftTable): Model | string {
    const named = interfacesIn(nft);
    const strange = [...named.names.filter((name) => this.#interfaces.names.indexOf(name) < 0), ...named.wildcards];
    if (strange.length > 0) throw new Error(`a mutant names ${strange.join(", ")}, which its original does not`);
    const read = readTable(nft, this.#interfaces);
    if (!read.ok) return read.problems.map((one) => `${one.path}: ${one.detail}`).join("; ");
    this.#used += 1;
    if (this.#used % SHARED_MAX === 0) this.#parts = new Map();
    const model: Model = {
      desired: { ...this.#desired, nft },
      table: read.value,
      interfaces: this.#interfaces,
      named: this.#named,
      facts: new Map(),
      pipelines: new Map(),
      edges: new Map(),
    };
    for (const [family, half] of PARTS) {
      const shared = this.#shared(family, half);
      model.facts.set(family, shared.facts);
      model.pipelines.set(`${family} ${half}`, pipelineIn(shared, read.value));
    }
    return model;
  }

  change(model: Model): Change {
    for (let round = 0; ; round += 1) {
      try {
        return this.#change(model);
      } catch (error) {
        if (error instanceof Unmodelled) return { kind: "refused", why: error.message };
        if (!(error instanceof OutOfLabels) || round > 0) throw error;
        // Too many new edges between two old ones: both are built again.
        this.#parts = new Map();
        const again = this.model(model.desired.nft);
        if (typeof again === "string") throw error;
        for (const [key, pipeline] of again.pipelines) model.pipelines.set(key, pipeline);
      }
    }
  }

  #change(model: Model): Change {
    let hidden: Difference | undefined;
    for (const [family, half] of PARTS) {
      const { original } = this.#shared(family, half);
      const mutant = model.pipelines.get(`${family} ${half}`)!;
      const found = HOOKS.map((hook) => inHook(original, mutant, hook)).find((one) => one !== null);
      if (found === undefined || found === null) continue;
      const packet = onTheWay(original, mutant);
      if (packet !== null) return { kind: "changed", difference: { ...found, packet } };
      hidden ??= found;
    }
    return hidden === undefined ? { kind: "equal" } : { kind: "hidden", difference: hidden };
  }
}

/** What a diagram does, whichever rule does it. */
const bare = (pipeline: Pipeline, node: Node): Node => {
  const { arena } = pipeline.regions;
  return arena.map(node, (id) => arena.leaf({ ...arena.leafOf(id)!, rule: -1 }));
};

function inHook(one: Pipeline, other: Pipeline, hook: NftBase["hook"]): Difference | null {
  const { arena } = one.regions;
  const [a, b] = [bare(one, one.hook(hook)), bare(other, other.hook(hook))];
  if (a === b) return null;
  const point = pointOf(one, arena.gate(tracking(one), arena.differ(a, b)), (leaf) => leaf === arena.yes);
  if (point === null) return null;
  return { packet: packetOf(one, point), hook, a: endOf(one, hook, point), b: endOf(other, hook, point) };
}

/** Where a diagram has an end of some kinds. */
const ending = (pipeline: Pipeline, node: Node, test: (kind: Leaf["kind"]) => boolean): Node => {
  const { arena } = pipeline.regions;
  return arena.map(node, (id) => (test(arena.leafOf(id)!.kind) ? arena.yes : arena.next));
};

/** Conntrack has looked at a packet before the first chain, and a flow begins without a mark. */
function begun(pipeline: Pipeline, way: Way): Node {
  const { regions } = pipeline;
  const { arena } = regions;
  const blank = regions.and(regions.one("epoch", EPOCH.none), regions.one("origin", 0), regions.one("low", 0));
  const fresh = arena.or(arena.not(regions.one("state", STATE.new)), blank);
  return regions.and(regions.tracked, universe(pipeline, way), fresh);
}

type Way = "arriving" | "leaving";

/**
 * A packet that can be and that ends otherwise: it arrives, or the router says it. Once wherever it leaves, for routes
 * are not the ruleset's; and once by the routes that there are, which may hang on the marks that it writes. The mark of a
 * packet itself is nothing that anybody outside sees.
 */
function onTheWay(one: Pipeline, other: Pipeline): Packet | null {
  const { arena } = one.regions;
  const whole = (pipeline: Pipeline, way: Way, mode: "any" | "declared"): Node => {
    const node = bare(pipeline, way === "arriving" ? pipeline.arriving(mode) : pipeline.leaving());
    return arena.map(node, (id) => {
      const leaf = arena.leafOf(id)!;
      return arena.leaf({ ...leaf, effect: { ...leaf.effect, markMask: -1 } });
    });
  };
  const real = (kind: Leaf["kind"]): boolean => kind !== "outside";
  for (const [way, mode] of [
    ["arriving", "any"],
    ["arriving", "declared"],
    ["leaving", "any"],
  ] as const) {
    const [a, b] = [whole(one, way, mode), whole(other, way, mode)];
    if (a === b) continue;
    const [inA, inB] = [ending(one, a, real), ending(other, b, real)];
    // One that is dropped early goes no way at all; one that is accepted here in one, and is not here in the other, does.
    const both = [inA, inB, arena.differ(a, b)].reduce((x, y) => arena.gate(x, y));
    const taken = (pipeline: Pipeline, node: Node): Node => ending(pipeline, node, (kind) => kind === "accept");
    const moved = arena.or(arena.gate(arena.not(inB), taken(one, a)), arena.gate(arena.not(inA), taken(other, b)));
    const point = pointOf(one, arena.gate(begun(one, way), arena.or(both, moved)), (leaf) => leaf === arena.yes);
    if (point !== null) return packetOf(one, point);
  }
  return null;
}
