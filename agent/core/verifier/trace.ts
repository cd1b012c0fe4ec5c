/** One packet's whole walk: for people, and as a check that the diagram says the same. */
import { FIELDS, LEVEL, STATE } from "./fields.ts";
import type { Pipeline, RouteMode } from "./pipeline.ts";
import type { Headers, Region, Step } from "./question.ts";
import { type Hook, type Outcome, Walker } from "./walker.ts";
import { addressText, type Point } from "./witness.ts";

export type Walk = {
  readonly outcome: Outcome;
  readonly steps: readonly Step[];
  readonly decided: Step;
  readonly headers: Headers;
  readonly usedLimit: boolean;
};

/** Prerouting before translation sees the headers from before it. */
function early(walker: Walker, pipeline: Pipeline): Outcome {
  const given = { target: walker.point[LEVEL.daddr]!, port: walker.point[LEVEL.dport]! };
  const [targets, replies] = [walker.holds(pipeline.translatedTargets()), walker.holds(pipeline.translatedReplies())];
  if (targets) walker.point[LEVEL.daddr] = walker.point[LEVEL.odaddr]!;
  if (replies) {
    const name = pipeline.regions.space.interfaces.name(Number(walker.point[LEVEL.iif]));
    walker.point[LEVEL.daddr] = pipeline.facts.leaving.get(name) ?? given.target;
  }
  // The port from before is not known: one that nothing listens to.
  if (targets || replies) walker.point[LEVEL.dport] = 40_000;
  const outcome = walker.bases("prerouting", "before");
  if (targets || replies) {
    walker.point[LEVEL.daddr] = given.target;
    walker.point[LEVEL.dport] = given.port;
  }
  return outcome;
}

function postrouting(walker: Walker, pipeline: Pipeline): Outcome {
  for (const which of ["before", "nat"] as const) {
    const outcome = walker.bases("postrouting", which);
    if (outcome !== "accept") return outcome;
  }
  const later = walker.point[LEVEL.state] === STATE.established || walker.point[LEVEL.state] === STATE.related;
  const [reply, snat, dnat] = (["direction", "snat", "dnat"] as const).map((field) => walker.point[LEVEL[field]] === 1);
  if (later && !reply && snat === true) {
    const name = pipeline.regions.space.interfaces.name(Number(walker.point[LEVEL.oif]));
    walker.point[LEVEL.saddr] = pipeline.facts.leaving.get(name) ?? walker.point[LEVEL.saddr]!;
    walker.free.add(LEVEL.sport);
  }
  if (later && reply === true && dnat === true) {
    walker.point[LEVEL.saddr] = walker.point[LEVEL.odaddr]!;
    walker.free.add(LEVEL.sport);
  }
  return walker.bases("postrouting", "after");
}

/** Why some packets have no end of their own. */
const EITHER =
  "hangs on what is not in the packet: an address or port from before a translation, or one that NAT chooses";

function outside(hook: "route" | "wireguard", text: string, verdict: string): Step {
  return { hook, chain: "", rule: -1, text, element: "", verdict };
}

/** The whole way of a packet, as the kernel goes it. `leaf` is what the diagram says of it; the two must agree. */
export function walkOf(pipeline: Pipeline, way: Region["way"], mode: RouteMode, point: Point): Walk {
  const walker = new Walker(pipeline, point);
  const { steps } = walker;
  const { facts, regions } = pipeline;
  const oif = regions.space.interfaces.name(Number(point[LEVEL.oif]));
  const diagram = walker.leaf(way === "arriving" ? pipeline.arriving(mode) : pipeline.leaving());
  const run = (): Outcome => {
    if (way === "arriving") {
      for (const stage of [
        () => early(walker, pipeline),
        () => walker.bases("prerouting", "nat"),
        () => walker.bases("prerouting", "after"),
      ]) {
        const outcome = stage();
        if (outcome !== "accept") return outcome;
      }
      const leaf = diagram;
      if (leaf.kind === "drop" && pipeline.places.place(leaf.rule).chain === "" && oif === "") {
        steps.push(outside("route", pipeline.places.place(leaf.rule).text, "drop"));
        return "drop";
      }
      if (mode === "declared")
        steps.push(outside("route", oif === "" ? "to the router itself" : `out by ${oif}`, "continue"));
    }
    const hooks: readonly Hook[] = way === "leaving" ? ["output"] : oif === "" ? ["input"] : ["forward"];
    for (const hook of hooks)
      for (const which of ["before", "nat", "after"] as const) {
        const outcome = walker.bases(hook, which);
        if (outcome !== "accept") return outcome;
      }
    if (oif === "") return "accept";
    const last = postrouting(walker, pipeline);
    const device = facts.devices.find(({ name }) => name === oif);
    const target = walker.point[LEVEL.daddr]!;
    if (last !== "accept" || device === undefined) return last;
    const peer = device.allowed.some(({ from, to }) => from <= target && target <= to);
    steps.push(
      outside(
        "wireguard",
        peer ? `a peer of ${oif} has the address` : `no peer of ${oif} has the address`,
        peer ? "continue" : "drop",
      ),
    );
    return peer ? "accept" : "drop";
  };
  const outcome = run();
  if (diagram.kind === "either") steps.push(outside("route", EITHER, "either"));
  const said: Outcome = diagram.kind === "accept" ? "accept" : diagram.kind === "drop" ? "drop" : "either";
  if (said !== "either" && said !== outcome) {
    throw new Error(
      `the walk says ${outcome}, the diagram ${diagram.kind}: ${FIELDS.map((field, i) => `${field}=${point[i]}`).join(" ")}`,
    );
  }
  const ports = walker.point[LEVEL.proto] === 6 || walker.point[LEVEL.proto] === 17;
  const port = (level: number): number => (ports && !walker.free.has(level) ? Number(walker.point[level]) : 0);
  return {
    outcome: said,
    steps,
    decided: decidingStep(steps, said === "either" ? "drop" : said, pipeline),
    headers: {
      source: addressText(pipeline, walker.point[LEVEL.saddr]!),
      target: addressText(pipeline, walker.point[LEVEL.daddr]!),
      sport: port(LEVEL.sport),
      dport: port(LEVEL.dport),
    },
    usedLimit: walker.usedLimit,
  };
}

/** The steps of a packet in one hook. */
export function stepsIn(pipeline: Pipeline, hook: Hook, point: Point): readonly Step[] {
  const walker = new Walker(pipeline, point);
  for (const which of ["before", "nat", "after"] as const) if (walker.bases(hook, which) !== "accept") break;
  return walker.steps;
}

/** The last step of a packet in one hook; its policy when no rule says anything. */
export function endOf(pipeline: Pipeline, hook: Hook, point: Point): Step {
  const last = stepsIn(pipeline, hook, point).at(-1);
  return last ?? { hook, chain: "", rule: -1, text: "no chain", element: "", verdict: "accept" };
}

/** The drop, or the rule that admitted: in the last filter chain of input, forward or output, before any chain that accepts all. */
function decidingStep(steps: readonly Step[], outcome: "accept" | "drop", pipeline: Pipeline): Step {
  if (outcome === "drop") return steps.at(-1) ?? outside("route", "nothing", "drop");
  const own = steps.filter(
    ({ hook, chain }) => chain !== "" && (hook === "input" || hook === "forward" || hook === "output"),
  );
  const at = own.findLastIndex((step) => step.verdict === "accept");
  const accept = own[at];
  if (accept === undefined) return steps.at(-1)!;
  const { arena } = pipeline.regions;
  const always = arena.leavesOf(pipeline.chains.chain(accept.chain)).every((id) => arena.leafOf(id)!.kind === "accept");
  const caller = own[at - 1];
  // Like the stamp: the rule before led there.
  const skip =
    always && caller !== undefined
      ? own.slice(0, at).findLast((step) => /^(goto|jump) /.test(step.verdict))
      : undefined;
  return skip ?? accept;
}
