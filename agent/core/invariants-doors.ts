/** HF-LANE-04, -05: lanes are exactly what is said to be a lane, open from where it must be and from nowhere else. */
import {
  about,
  inEveryPart,
  lanePorts,
  laneRegion,
  namesOf,
  own,
  rescueLink,
  through,
  told,
} from "./invariants-regions.ts";
import { type Invariant, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { apartIn, hookOf, packetIn, UNTRACKED, where, writtenBy } from "./verifier/held.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import { PROTOCOL } from "./verifier/words.ts";

const stateless: Invariant = {
  id: "HF-LANE-04",
  sentence:
    "Lanes and nothing else are kept from conntrack, in both directions; nothing on their way drops or translates them.",
  why: "A lane that is tracked rides on old flows; anything else that is untracked escapes the policy's memory.",
  example: "A notrack rule for a port without a look at the address, or a translation that takes a lane's port.",
  fix: "Report it: the ruleset mixes lanes with other packets; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const free = (node: Node): Node => where(pipeline, node, (leaf) => writtenBy(leaf).includes(UNTRACKED));
      const plain = (node: Node, written: string): Node =>
        where(pipeline, node, (leaf) => leaf.kind === "next" && writtenBy(leaf) === written);
      const arriving = arena.gate(arena.not(through(pipeline, "iif", [""])), laneRegion(pipeline, subject, "arriving"));
      const leaving = laneRegion(pipeline, subject, "leaving");
      const hooks = [
        ["prerouting", arriving, UNTRACKED],
        ["output", leaving, UNTRACKED],
        ["postrouting", leaving, ""],
      ] as const;
      return hooks.flatMap(([hook, region, written]) => {
        const node = hookOf(pipeline, hook);
        const others = hook === "prerouting" ? arena.not(through(pipeline, "iif", [""])) : arena.yes;
        const more = regions.and(others, arena.not(region), free(node));
        return [
          ...told(
            `A lane's packet is not left alone in ${hook}`,
            apartIn(pipeline, region, plain(node, written), arena.yes),
          ),
          ...told(`A packet of no lane is untracked in ${hook}`, packetIn(pipeline, more)),
        ];
      });
    }).map((text) => violated("HF-LANE-04", text)),
};

/** From where each lane is open: the rescue lane from everywhere, tunnels from zones, the API from management. */
function doors(pipeline: Pipeline, subject: Subject): Node {
  const { regions } = pipeline;
  const { arena } = regions;
  const { intent, router, desired } = subject;
  const ports = lanePorts(subject);
  const one = (value: number) => ({ from: value, to: value });
  const udp = (list: readonly number[]): Node =>
    regions.and(regions.one("proto", PROTOCOL.udp), regions.of("dport", list.map(one)));
  const networks = intent.networks.filter((network) => network.router === router).map((network) => network.port);
  const { management } = intent.routers.find((found) => found.id === router)!;
  const managing = namesOf(subject, (place) => management.zones.includes(place.id) && !place.experimental);
  const api = (addresses: readonly string[], names: readonly string[]): Node =>
    regions.and(
      about(pipeline, "daddr", addresses),
      regions.one("proto", PROTOCOL.tcp),
      regions.one("dport", management.port),
      through(pipeline, "iif", names),
    );
  const rescue = desired.api.filter((found) => found.lane === "rescue").map((found) => found.address);
  return [
    udp(ports.udp.filter((port) => !networks.includes(port))),
    arena.gate(
      udp(networks),
      through(
        pipeline,
        "iif",
        namesOf(subject, (place) => place.kind !== "network"),
      ),
    ),
    api(
      management.addresses.filter((address) => !rescue.includes(address)),
      [...managing, ...rescueLink(subject)],
    ),
    api(rescue, rescueLink(subject)),
    through(pipeline, "iif", ["lo"]),
  ].reduce((a, b) => arena.or(a, b));
}

const exactDoors: Invariant = {
  id: "HF-LANE-05",
  sentence:
    "The rescue ports are open from every interface, the ports of tunnels from every zone, the API from management zones and the rescue lane; each of them from nowhere else, whatever a policy says.",
  why: "A lane that is open too widely is an attack on keys; one that is open too narrowly is a lock-out.",
  example: "A policy towards the router that opens the API to another zone.",
  fix: "Report it: the ruleset opens a lane wrongly; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const lanes = regions.and(
        laneRegion(pipeline, subject, "arriving"),
        own(pipeline, "daddr"),
        arena.not(through(pipeline, "iif", [""])),
        through(pipeline, "oif", [""]),
      );
      const accepts = where(pipeline, hookOf(pipeline, "input"), (leaf) => leaf.kind === "next");
      const wanted = doors(pipeline, subject);
      const [inside, outside] = [arena.gate(lanes, wanted), arena.gate(lanes, arena.not(wanted))];
      return [
        ...told("A lane is shut", apartIn(pipeline, inside, accepts, arena.yes)),
        ...told("A lane is open", apartIn(pipeline, outside, accepts, arena.next)),
      ];
    }).map((text) => violated("HF-LANE-05", text)),
};

export const doorInvariants: readonly Invariant[] = [stateless, exactDoors];
