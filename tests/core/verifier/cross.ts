/** The diagrams against the concrete walker of the invariants, which was written apart from them. */
import type { Packet } from "../../../agent/core/invariants-packet.ts";
import { Walker } from "../../../agent/core/invariants-walk.ts";
import type { Node } from "../../../agent/core/verifier/diagram.ts";
import { EPOCH, FIELDS, type Field, FLAGS, STATE, type Value } from "../../../agent/core/verifier/fields.ts";
import { type Model, openModel, pipelineOf } from "../../../agent/core/verifier/model.ts";
import { hookChains, type Pipeline } from "../../../agent/core/verifier/pipeline.ts";
import { icmpNames, PROTOCOL } from "../../../agent/core/verifier/words.ts";
import type { Desired, NftBase, NftTable } from "../../../schemas/desired.ts";
import type { Family, Ip } from "../../../schemas/ip.ts";
import { poolOf, type Random, randomPacket } from "./packets.ts";

type Hook = NftBase["hook"];
const HOOKS: readonly Hook[] = ["prerouting", "input", "forward", "output", "postrouting"];

export function modelOf(desired: Desired): Model {
  const model = openModel(desired);
  if (!model.ok) throw new Error(JSON.stringify(model.problems));
  return model.value;
}

const narrow = (ip: Ip): Value => (ip.family === 4 ? Number(ip.value) : ip.value);

/** Packets without an entry have no direction, and count as original. */
export function halfOf({ state, direction }: Packet): "original" | "reply" {
  return state === "untracked" || state === "invalid" ? "original" : direction;
}

/** A concrete packet as the diagrams see it. */
export function pointOf(pipeline: Pipeline, packet: Packet, limit: 0 | 1): readonly Value[] {
  const { interfaces } = pipeline.regions.space;
  const icmp = packet.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  const fields: Readonly<Record<Field, Value>> = {
    state: STATE[packet.state],
    direction: pipeline.regions.space.direction,
    epoch: EPOCH[packet.epoch],
    origin: 0,
    low: 0,
    dnat: packet.dnat ? 1 : 0,
    snat: 0,
    iif: packet.iif === "" ? 0 : interfaces.index(packet.iif),
    oif: packet.oif === "" ? 0 : interfaces.index(packet.oif),
    saddr: narrow(packet.source),
    daddr: narrow(packet.target),
    odaddr: narrow(packet.target),
    proto: packet.protocol === "icmp" ? icmp : PROTOCOL[packet.protocol],
    icmp: packet.icmpType === "" ? 0 : icmpNames(packet.family)[packet.icmpType]!,
    sport: packet.sport,
    dport: packet.dport,
    flags: packet.syn ? FLAGS.syn : FLAGS.ack,
    hop: 64,
    limit,
  };
  return FIELDS.map((field) => fields[field]);
}

/** Filter chains of a hook, one after the other, without translation. */
function filters(pipeline: Pipeline, hook: Hook): Node {
  const { arena } = pipeline.regions;
  const { before, after } = hookChains(pipeline.chains, hook);
  const nodes = [...before, ...after].map((chain) => pipeline.chains.base(chain, false));
  return nodes.reduceRight((rest, node) => arena.sequence(node, rest), arena.next);
}

function verdictAt(pipeline: Pipeline, node: Node, point: readonly Value[]): "accept" | "drop" {
  const { arena, space } = pipeline.regions;
  let at = node;
  while (arena.leafOf(at) === undefined) {
    const level = arena.level(at);
    at = arena.child(at, space.domain(level).floor(point[space.place(level)]!));
  }
  const { kind } = arena.leafOf(at)!;
  if (kind !== "next" && kind !== "drop") throw new Error(`a hook ended in ${kind}`);
  return kind === "drop" ? "drop" : "accept";
}

export type Disagreement = {
  readonly hook: Hook;
  readonly packet: Packet;
  readonly walker: string;
  readonly diagram: string;
};

export type Crossed = { readonly packets: number; readonly certain: number; readonly found: readonly Disagreement[] };

/**
 * Sends packets through both. Where the walker is not sure (a rate limit, marks that it does not know), the diagram's
 * answer must be one of the walker's. `told` is the table that the walker reads, to plant a difference.
 */
export function cross(
  desired: Desired,
  random: Random,
  perHook: number,
  { told = desired.nft }: { readonly told?: NftTable } = {},
): Crossed {
  const model = modelOf(desired);
  const walker = new Walker(told);
  const pool = poolOf(desired);
  const found: Disagreement[] = [];
  let [packets, certain] = [0, 0];
  for (const family of [4, 6] as const satisfies readonly Family[]) {
    const halves = { original: pipelineOf(model, family, "original"), reply: pipelineOf(model, family, "reply") };
    const local = (ip: Ip): boolean =>
      halves.original.facts.local.some(({ from, to }) => BigInt(from) <= ip.value && ip.value <= BigInt(to));
    for (const hook of HOOKS) {
      const nodes = { original: filters(halves.original, hook), reply: filters(halves.reply, hook) };
      for (let i = 0; i < perHook; i += 1) {
        const drawn = randomPacket(random, pool, family, local);
        const packet: Packet = {
          ...drawn,
          ...(hook === "output" ? { iif: "" } : {}),
          ...(hook === "prerouting" || hook === "input" ? { oif: "" } : {}),
          // What conntrack says is only asked of packets that it has seen.
          ...(hook === "prerouting" && drawn.state === "untracked"
            ? { state: "new" as const, direction: "original" as const }
            : {}),
        };
        const said = [...new Set(walker.hook(hook, packet).map((way) => way.verdict))];
        const half = halfOf(packet);
        const pipeline = halves[half];
        const answers = ([0, 1] as const).map((limit) =>
          verdictAt(pipeline, nodes[half], pointOf(pipeline, packet, limit)),
        );
        packets += 1;
        if (said.length === 1) certain += 1;
        if (!answers.every((one) => said.includes(one))) {
          found.push({ hook, packet, walker: said.join(" or "), diagram: answers.join(" or ") });
        }
      }
    }
  }
  return { packets, certain, found };
}
