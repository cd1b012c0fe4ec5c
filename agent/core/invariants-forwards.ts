/** HF-NATS-02: port-forwards do what the intent says of them, and nothing else comes in from outside. */
import { parseIp } from "../../schemas/ip.ts";
import { inEveryPart, laneRegion, namesOf, own, through, told } from "./invariants-regions.ts";
import { type Invariant, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { type Field, type Interval, LEVEL, type Value } from "./verifier/fields.ts";
import { acceptedBy, apartIn, held, hookOf, NEW, packetIn, where } from "./verifier/held.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import { PROTOCOL } from "./verifier/words.ts";

type Target = {
  readonly name: string;
  readonly protocol: number;
  readonly address: Value;
  readonly port: number;
  readonly to: Value;
  readonly toPort: number;
};

/** Every port of every port-forward, on every interface of its uplink. */
function targetsOf(subject: Subject): readonly Target[] {
  const value = (text: string): number => Number(parseIp(text)?.value ?? 0n);
  return subject.intent.port_forwards.flatMap((forward) =>
    namesOf(subject, (place) => place.id === forward.zone && place.kind === "uplink").flatMap((name) =>
      Array.from({ length: forward.count }, (_, i) => ({
        name,
        protocol: forward.protocol === "tcp" ? PROTOCOL.tcp : PROTOCOL.udp,
        address: value(forward.address),
        port: forward.port + i,
        to: value(forward.to_address),
        toPort: forward.to_port + i,
      })),
    ),
  );
}

const point = (value: Value): Interval => ({ from: value, to: value });

/** What port-forwards make of packets, as they are sent on: by interface, both targets and the service. */
export function forwardsImage(pipeline: Pipeline, subject: Subject): Node {
  const { regions, facts } = pipeline;
  const targets = facts.family === 4 ? targetsOf(subject) : [];
  const rows = targets.map((one) => [
    point(1),
    point(regions.space.interfaces.index(one.name)),
    point(one.to),
    point(one.address),
    point(one.protocol),
    point(one.toPort),
  ]);
  return regions.rows(["dnat", "iif", "daddr", "odaddr", "proto", "dport"], rows, () => regions.arena.yes);
}

const forwardsExact: Invariant = {
  id: "HF-NATS-02",
  sentence:
    "Targets are translated exactly as the port-forwards say; from an uplink nothing else is sent on inside, whoever translated it.",
  why: "The internet finds every open port within hours; a port-forward must lead to its server and to nobody else.",
  example: "A map of port-forwards that leads to another host, or an accept of whatever has the status dnat.",
  fix: "Report it: the ruleset forwards other ports than the intent says; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline, half) => {
      if (half === "reply") return [];
      const { regions, facts } = pipeline;
      const { arena, space } = regions;
      const targets = facts.family === 4 ? targetsOf(subject) : [];
      const index = (name: string): number => space.interfaces.index(name);
      const label = (field: Field, value: Value): number => space.cut(space.level(field), point(value)).start;
      // What a packet becomes is a leaf of its own, as the ruleset's is.
      const leafOf = (to: Value, toPort: number): Node =>
        arena.leaf({
          kind: "next",
          rule: -1,
          effect: {
            sets: [
              [LEVEL.daddr, label("daddr", to)],
              [LEVEL.dport, toPort],
            ],
            free: [],
            markMask: -1,
          },
        });
      const wanted = regions.rows(
        ["iif", "daddr", "proto", "dport"],
        targets.map((one) => [point(index(one.name)), point(one.address), point(one.protocol), point(one.port)]),
        (row) => leafOf(targets[row]!.to, targets[row]!.toPort),
      );
      const first = held(pipeline, hookOf(pipeline, "prerouting"), NEW);
      const dropped = where(pipeline, first, (leaf) => leaf.kind === "drop");
      const found = arena.map(first, (id) => {
        const { effect } = arena.leafOf(id)!;
        const value = (level: number): number | undefined => effect.sets.find(([one]) => one === level)?.[1];
        const [to, toPort] = [value(space.level("daddr")), value(LEVEL.dport)];
        if (to === undefined && toPort === undefined && value(LEVEL.dnat) === undefined) return arena.next;
        if (to === undefined || toPort === undefined) return arena.either;
        return arena.leaf({
          kind: "next",
          rule: -1,
          effect: {
            sets: [
              [LEVEL.daddr, to],
              [LEVEL.dport, toPort],
            ],
            free: [],
            markMask: -1,
          },
        });
      });
      const arriving = regions.and(
        arena.not(dropped),
        arena.not(through(pipeline, "iif", ["", "lo"])),
        arena.not(laneRegion(pipeline, subject, "arriving")),
      );
      const uplinks = through(
        pipeline,
        "iif",
        namesOf(subject, (place) => place.kind === "uplink"),
      );
      const inside = through(
        pipeline,
        "oif",
        namesOf(subject, (place) => place.kind !== "uplink"),
      );
      const image = forwardsImage(pipeline, subject);
      const begun = { ...NEW, flags: 2 };
      const accepts = acceptedBy(pipeline, "forward", begun);
      const inward = regions.and(uplinks, inside, arena.not(own(pipeline, "daddr")));
      return [
        ...told("It is not translated as a port-forward says", apartIn(pipeline, arriving, found, wanted, NEW)),
        ...told("It is sent on inside", packetIn(pipeline, regions.and(inward, arena.not(image), accepts), begun)),
        ...told(
          "A port-forward's packet is not sent on",
          packetIn(pipeline, regions.and(inward, image, arena.not(accepts)), begun),
        ),
      ];
    }).map((text) => violated("HF-NATS-02", text)),
};

export const portForwardInvariants: readonly Invariant[] = [forwardsExact];
