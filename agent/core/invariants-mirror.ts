/** HF-FLOW-10: answers are judged by the mirror of the policy. */

import { formatIp } from "../../schemas/ip.ts";
import { modelOf } from "./invariants-model.ts";
import { about, inEveryPart, laneRegion, own } from "./invariants-regions.ts";
import { type Invariant, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { EPOCH, STATE, type Value } from "./verifier/fields.ts";
import { held, hookOf, type Values, writtenBy } from "./verifier/held.ts";
import { type Broken, mirrorBroken, type Side } from "./verifier/mirror.ts";
import { type Model, pipelineOf } from "./verifier/model.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import type { Family } from "./verifier/question.ts";
import { PROTOCOL } from "./verifier/words.ts";

const STALE: Values = { state: STATE.established, epoch: EPOCH.stale, origin: 0, low: 0, limit: 1 };

const LINK_LOCAL = ["fe80::/10"];

/** Types of a question and of its answer, by family. */
const ECHO: Readonly<Record<Family, readonly [number, number]>> = { 4: [8, 0], 6: [128, 129] };

type Hooks = { readonly question: "forward" | "input"; readonly answer: "forward" | "output" };

/** One direction of established flows that are not current: kinds and stamps, lanes and the router's talks to itself aside. */
function side(subject: Subject, pipeline: Pipeline, hook: Hooks[keyof Hooks], icmp: number | null): Side {
  const { regions, facts } = pipeline;
  const { arena } = regions;
  const proto = facts.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  const lane = laneRegion(pipeline, subject, hook === "output" ? "leaving" : "arriving");
  // What is sent on is neither from nor to the router, nor from a link's own addresses.
  const near = arena.or(about(pipeline, "saddr", LINK_LOCAL), about(pipeline, "daddr", LINK_LOCAL));
  const self = hook === "forward" ? [own(pipeline, "daddr"), own(pipeline, "saddr"), near] : [lane];
  const stale = held(pipeline, hookOf(pipeline, hook), STALE);
  const protocols = regions.one("proto", proto);
  const kept = regions.and(...self.map((one) => arena.not(one)), icmp === null ? arena.not(protocols) : protocols);
  // Outside of what is compared: a leaf that means nothing.
  const region: Node = arena.map(kept, (id) => (id === arena.yes ? arena.gap : arena.outside));
  const whole = arena.fillGap(region, stale);
  const ends = (id: Node): string => {
    const leaf = arena.leafOf(id)!;
    return leaf.kind === "outside" ? "" : leaf.kind === "next" ? `accept ${writtenBy(leaf)}` : leaf.kind;
  };
  return { pipeline, node: icmp === null ? whole : held(pipeline, whole, { icmp }), ends };
}

function addressOf(family: Family, value: Value | undefined): string {
  return value === undefined ? "anybody" : formatIp({ family, value: BigInt(value) });
}

function sentence(family: Family, { iif, oif, values }: Broken): string {
  const ports =
    values.sport === undefined && values.dport === undefined
      ? ""
      : ` port ${values.sport ?? "any"} to ${values.dport ?? "any"}`;
  const [from, to] = [addressOf(family, values.saddr), addressOf(family, values.daddr)];
  const ways = [iif === "" ? "" : ` in ${iif}`, oif === "" ? "" : ` out ${oif}`].join("");
  return `IPv${family} protocol ${values.proto ?? "any"} from ${from} to ${to}${ports}${ways} is judged otherwise than its answer.`;
}

/** Where one family's answers are no mirror. */
function broken(subject: Subject, model: Model, family: Family): readonly string[] {
  const [there, back] = [pipelineOf(model, family, "original"), pipelineOf(model, family, "reply")];
  const { interfaces } = there.regions.space;
  const lo = interfaces.index("lo");
  const all = Array.from({ length: interfaces.last + 1 }, (_, i) => i).filter((i) => i !== 0 && i !== lo);
  const pairs = all.flatMap((iif) => all.map((oif) => [iif, oif] as const));
  const inward = all.map((iif) => [iif, 0] as const);
  const found = (hooks: Hooks, ways: typeof pairs) =>
    ([null, ECHO[family]] as const).flatMap((echo) => {
      const question = side(subject, there, hooks.question, echo?.[0] ?? null);
      const answer = side(subject, back, hooks.answer, echo?.[1] ?? null);
      const at = mirrorBroken(question, answer, ways);
      return at === undefined ? [] : [sentence(family, at)];
    });
  return [
    ...found({ question: "forward", answer: "forward" }, pairs),
    ...found({ question: "input", answer: "output" }, inward),
  ];
}

const mirrored: Invariant = {
  id: "HF-FLOW-10",
  sentence:
    "Answers of a flow that is not current pass exactly where the flow itself would: the policy for answers is the mirror of the policy.",
  why: "Flows in which only the other side speaks must be kept and cut by a change of policy like all others.",
  example: "A rule for answers that was left out, or that names another port.",
  fix: "Report it: the compiler wrote the two directions apart; keep the last confirmed generation.",
  check: (subject) => {
    const model = modelOf(subject);
    if (!model.ok) return [];
    // Reads both halves, so a rebuild of one in between must not be mixed: the regions come first.
    inEveryPart(subject, (pipeline) => {
      laneRegion(pipeline, subject, "arriving");
      laneRegion(pipeline, subject, "leaving");
      return [];
    });
    return ([4, 6] as const)
      .flatMap((family) => broken(subject, model.value, family))
      .map((text) => violated("HF-FLOW-10", text));
  },
};

export const mirrorInvariants: readonly Invariant[] = [mirrored];
