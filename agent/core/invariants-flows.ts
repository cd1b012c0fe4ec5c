/** HF-FLOW-01 to -05: what must never pass between places, whatever the intent says; decided for all packets. */
import { forwardsImage } from "./invariants-forwards.ts";
import { inEveryPart, knownNames, own, said, through } from "./invariants-regions.ts";
import { type Invariant, type Place, placesOf, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { EPOCH, STATE } from "./verifier/fields.ts";
import { acceptedBy, NEW, packetIn, type Values } from "./verifier/held.ts";
import type { Pipeline } from "./verifier/pipeline.ts";

/** Packets of flows that an older policy accepted. */
const STALE: readonly Values[] = [STATE.established, STATE.related].map((state) => ({
  state,
  epoch: EPOCH.stale,
  origin: 0,
}));

type Pair = readonly [from: Place, to: Place];

const pairsOf = (subject: Subject, test: (from: Place, to: Place) => boolean): readonly Pair[] => {
  const places = placesOf(subject);
  return places.flatMap((from) => places.filter((to) => test(from, to)).map((to) => [from, to] as const));
};

/** Packets between two places that are sent on, whatever their addresses. */
function between(pipeline: Pipeline, [from, to]: Pair): Node {
  const { regions } = pipeline;
  const ways = [through(pipeline, "iif", from.interfaces), through(pipeline, "oif", to.interfaces)];
  return regions.and(...ways, regions.arena.not(own(pipeline, "daddr")));
}

/** One violation per pair of places, with one packet as the proof. `within` narrows what is looked at. */
function passing(
  pipeline: Pipeline,
  pairs: readonly Pair[],
  values: Values,
  within: Node = pipeline.regions.arena.yes,
): readonly string[] {
  const { arena } = pipeline.regions;
  const accepted = arena.gate(within, acceptedBy(pipeline, "forward", values));
  return pairs.flatMap((pair) => {
    const packet = packetIn(pipeline, arena.gate(between(pipeline, pair), accepted), values);
    return packet === null ? [] : [`${pair[0].id} reaches ${pair[1].id}: ${said(packet)} would pass.`];
  });
}

/** Replies are judged by the mirror of what is said here (HF-FLOW-10). */
const original = (subject: Subject, find: (pipeline: Pipeline) => readonly string[]): readonly string[] =>
  inEveryPart(subject, (pipeline, half) => (half === "original" ? find(pipeline) : []));

const experimentalApart: Invariant = {
  id: "HF-FLOW-01",
  sentence: "Nothing experimental opens a flow into production.",
  why: "Experiments run untrusted things on purpose; isolation is what makes them free to fail.",
  example: "A forward rule that lets an experimental network reach the LAN.",
  fix: "Remove the policy, profile or service that joins them, or make the network production.",
  check: (subject) => {
    const pairs = pairsOf(subject, (from, to) => from.experimental && !to.experimental && to.kind !== "uplink");
    return original(subject, (pipeline) => passing(pipeline, pairs, NEW)).map((text) => violated("HF-FLOW-01", text));
  },
};

const tunnelsApart: Invariant = {
  id: "HF-FLOW-02",
  sentence: "Clients do not reach clients: nothing passes from a WireGuard network to one, its own included.",
  why: "Each network is a domain of its own; a lost phone must not be a way to everybody's laptop.",
  example: "A policy, or a service without addresses, that lets one client open a port of another.",
  fix: "Let both reach a host of a zone instead.",
  check: (subject) => {
    const pairs = pairsOf(subject, (from, to) => from.kind === "network" && to.kind === "network");
    return original(subject, (pipeline) => passing(pipeline, pairs, NEW)).map((text) => violated("HF-FLOW-02", text));
  },
};

const outsideStaysOut: Invariant = {
  id: "HF-FLOW-03",
  sentence: "From an uplink nothing passes inside that the router's own port-forwards did not translate.",
  why: "The internet finds every open port within hours, and a foreign DNAT must not become an entrance.",
  example: "A forward rule that accepts any flow with the status dnat.",
  fix: "Report it: the ruleset is open to the outside; keep the last confirmed generation.",
  check: (subject) => {
    const pairs = pairsOf(subject, (from, to) => from.kind === "uplink" && to.kind !== "uplink");
    return original(subject, (pipeline) => {
      // Somebody else's translation is none of ours.
      const others = pipeline.regions.arena.not(forwardsImage(pipeline, subject));
      return passing(pipeline, pairs, NEW, others);
    }).map((text) => violated("HF-FLOW-03", text));
  },
};

const staleStaysOut: Invariant = {
  id: "HF-FLOW-04",
  sentence: "A flow of an older policy passes only what the policy in force allows.",
  why: "Else whoever was connected before a revocation stays connected after it.",
  example: "ct state established accept without a look at the epoch.",
  fix: "Report it: the ruleset trusts old flows; keep the last confirmed generation.",
  check: (subject) => {
    const closed = pairsOf(
      subject,
      (from, to) =>
        (from.kind === "uplink" && to.kind !== "uplink") ||
        (from.experimental && !to.experimental && to.kind !== "uplink") ||
        (from.kind === "network" && to.kind === "network"),
    );
    return original(subject, (pipeline) => {
      const others = pipeline.regions.arena.not(forwardsImage(pipeline, subject));
      return STALE.flatMap((values) => passing(pipeline, closed, values, others));
    }).map((text) => violated("HF-FLOW-04", text));
  },
};

const unknownIsClosed: Invariant = {
  id: "HF-FLOW-05",
  sentence: "Nothing passes from or to an interface that the intent does not name.",
  why: "A stick that somebody plugs in must not become a door; what is not classified has no policy.",
  example: "A forward rule that names only where packets go.",
  fix: "Put the interface into a zone, if it is to be used.",
  check: (subject) => {
    const names = knownNames(subject);
    return original(subject, (pipeline) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const known = regions.and(through(pipeline, "iif", names), through(pipeline, "oif", names));
      const real = [
        arena.not(through(pipeline, "iif", ["", "lo"])),
        arena.not(through(pipeline, "oif", ["", "lo"])),
        arena.not(own(pipeline, "daddr")),
      ];
      const accepted = acceptedBy(pipeline, "forward", NEW);
      const packet = packetIn(pipeline, regions.and(...real, arena.not(known), accepted), NEW);
      return packet === null ? [] : [`An interface of no zone or network is used: ${said(packet)} would pass.`];
    }).map((text) => violated("HF-FLOW-05", text));
  },
};

export const flowInvariants: readonly Invariant[] = [
  experimentalApart,
  tunnelsApart,
  outsideStaysOut,
  staleStaysOut,
  unknownIsClosed,
];
