/** HF-NATS: whose addresses are translated, and that nothing leaves or enters untranslated that must be. */
import { formatPrefix, isUla, overlaps, type Prefix, parsePrefix } from "../../schemas/ip.ts";
import { about, inEveryPart, lanePorts, laneRegion, namesOf, through, told } from "./invariants-regions.ts";
import { type Invariant, placesOf, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { type Field, LEVEL, STATE } from "./verifier/fields.ts";
import { apartIn, held, hookOf, NEW, packetIn, type Values, where } from "./verifier/held.ts";
import type { Leaf } from "./verifier/leaves.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import { PROTOCOL } from "./verifier/words.ts";

/** Addresses that the internet does not answer: RFC 1918, RFC 6598, RFC 4193. */
const PRIVATE4 = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"].map((text) => parsePrefix(text)!);
const isPrivate = (prefix: Prefix): boolean =>
  prefix.family === 6 ? isUla(prefix) : PRIVATE4.some((one) => overlaps(one, prefix));

const writes = (leaf: Leaf, field: Field): boolean => leaf.effect.sets.some(([level]) => level === LEVEL[field]);

/** Pairs of places whose flows the intent translates. */
function translated(pipeline: Pipeline, subject: Subject): Node {
  const { regions, facts } = pipeline;
  const pairs = facts.family === 4 ? subject.intent.masquerade : subject.intent.nat66;
  const of = (id: string): readonly string[] => namesOf(subject, (place) => place.id === id);
  const uplinks = namesOf(subject, (place) => place.kind === "uplink");
  return pairs
    .map(({ from, to }) =>
      regions.and(
        through(pipeline, "iif", of(from)),
        through(
          pipeline,
          "oif",
          of(to).filter((name) => uplinks.includes(name)),
        ),
      ),
    )
    .reduce((a, b) => regions.arena.or(a, b), regions.arena.next);
}

/** Whether the ports that a leaf leaves to NAT keep off the lanes of a protocol; null: it may choose any. */
function offLanes(leaf: Leaf, ports: readonly number[] | null): boolean {
  const [, from, to] = leaf.effect.free.find(([level]) => level === LEVEL.sport) ?? [0, 0, 0];
  if (ports === null) return from === 0 && to === Number.POSITIVE_INFINITY;
  return to > from && ports.every((port) => port < from || port >= to);
}

const masquerades: Invariant = {
  id: "HF-NATS-01",
  sentence:
    "A first packet leaves under the router's address exactly where the intent masquerades, from a port of no lane; no other private source of the site leaves by an uplink, and nothing else is dropped behind NAT.",
  why: "A private source gives the house away and gets no answer; a reply to a lane's port is taken by the lane.",
  example: "A masquerade that may choose the rescue port, or one for a tunnel.",
  fix: "Report it: the ruleset translates other flows than the intent says; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { regions, facts } = pipeline;
      const { arena } = regions;
      const node = hookOf(pipeline, "postrouting");
      const others = regions.and(
        arena.not(laneRegion(pipeline, subject, "leaving")),
        arena.not(through(pipeline, "oif", [""])),
      );
      const wanted = translated(pipeline, subject);
      const inside = placesOf(subject).flatMap((place) => (place.kind === "uplink" ? [] : place.subnets));
      const leaks = regions.and(
        through(
          pipeline,
          "oif",
          namesOf(subject, (place) => place.kind === "uplink"),
        ),
        about(pipeline, "saddr", inside.filter(isPrivate).map(formatPrefix)),
      );
      const first = held(pipeline, node, NEW);
      const leaves = facts.leaving;
      // Where an uplink has no address of the family, there is nothing to leave under.
      const able = through(pipeline, "oif", [...leaves.keys()]);
      const { udp, apiPort } = lanePorts(subject);
      const right = (protocol: Node, ports: readonly number[] | null): readonly string[] => {
        const good = where(
          pipeline,
          first,
          (leaf) => leaf.kind === "next" && writes(leaf, "snat") && offLanes(leaf, ports),
        );
        return told(
          "It is not translated as it should be",
          apartIn(pipeline, regions.and(others, wanted, able, protocol), good, arena.yes, NEW),
        );
      };
      const [isUdp, isTcp] = [regions.one("proto", PROTOCOL.udp), regions.one("proto", PROTOCOL.tcp)];
      const plain = where(pipeline, first, (leaf) => writes(leaf, "snat") || writes(leaf, "saddr"));
      const drops = (of: Node): Node => where(pipeline, of, (leaf) => leaf.kind === "drop");
      const later: Values = { state: STATE.established, snat: 0 };
      const exactly = (of: Node, within: Node, values: Values): readonly string[] => [
        ...told(
          "A private source leaves",
          apartIn(pipeline, regions.and(others, within, leaks), drops(of), arena.yes, values),
        ),
        ...told(
          "It is dropped behind NAT",
          apartIn(pipeline, regions.and(others, within, arena.not(leaks)), drops(of), arena.next, values),
        ),
      ];
      if (regions.space.half === "reply") return exactly(held(pipeline, node, later), arena.yes, later);
      return [
        ...right(isUdp, udp),
        ...right(isTcp, [apiPort]),
        ...right(arena.not(arena.or(isUdp, isTcp)), null),
        ...told("It is translated", packetIn(pipeline, regions.and(others, arena.not(wanted), plain), NEW)),
        ...exactly(first, arena.not(wanted), NEW),
        ...exactly(held(pipeline, node, later), arena.yes, later),
      ];
    }).map((text) => violated("HF-NATS-01", text)),
};

export const natInvariants: readonly Invariant[] = [masquerades];
