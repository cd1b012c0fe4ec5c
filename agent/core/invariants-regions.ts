/** Regions of packets that several invariants speak of, from the documents alone. */
import { rescuePorts, routerRescueAddress } from "./compile/rescue.ts";
import { modelOf } from "./invariants-model.ts";
import { type Place, placesOf, type Subject } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import type { Half } from "./verifier/fields.ts";
import { hookOf } from "./verifier/held.ts";
import { Unmodelled } from "./verifier/leaves.ts";
import { withRoom } from "./verifier/model.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import type { Family, Packet } from "./verifier/question.ts";
import { addressesOf, PROTOCOL } from "./verifier/words.ts";

const PARTS: readonly (readonly [Family, Half])[] = [
  [4, "original"],
  [4, "reply"],
  [6, "original"],
  [6, "reply"],
];

const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;

/** What is wrong in each family and half; nothing where the verifier cannot read the generation, which HF-RULE-04 says. */
export function inEveryPart(
  subject: Subject,
  find: (pipeline: Pipeline, half: Half) => readonly string[],
): readonly string[] {
  const model = modelOf(subject);
  if (!model.ok) return [];
  return PARTS.flatMap(([family, half]) => {
    try {
      return withRoom(model.value, family, half, (pipeline) => find(pipeline, half));
    } catch (error) {
      if (error instanceof Unmodelled) return [];
      throw error;
    }
  });
}

/** Why the verifier cannot read the generation, or cannot build its hooks; nothing when it can. */
export function unread(subject: Subject): readonly string[] {
  const model = modelOf(subject);
  if (!model.ok) return model.problems.map((one) => `${one.path}: ${one.detail}`);
  return PARTS.flatMap(([family, half]) => {
    try {
      return withRoom(model.value, family, half, (pipeline) => {
        for (const hook of HOOKS) hookOf(pipeline, hook);
        return [];
      });
    } catch (error) {
      if (error instanceof Unmodelled) return [`IPv${family}: ${error.message}`];
      throw error;
    }
  });
}

/** Packets that come in through, or leave by, one of these interfaces. */
export function through(pipeline: Pipeline, field: "iif" | "oif", names: readonly string[]): Node {
  const { regions } = pipeline;
  const indexes = [...new Set(names)].map((name) => regions.space.interfaces.index(name));
  return regions.of(
    field,
    indexes.map((index) => ({ from: index, to: index })),
  );
}

/** Packets from or to one of these addresses; texts of the other family are none. */
export function about(pipeline: Pipeline, field: "saddr" | "daddr", texts: readonly string[]): Node {
  const { regions, facts } = pipeline;
  const found = texts.flatMap((text) => addressesOf(text, facts.family) ?? []);
  return regions.of(field, found);
}

/** From or to the router itself. */
export const own = (pipeline: Pipeline, field: "saddr" | "daddr"): Node =>
  pipeline.regions.of(field, pipeline.facts.local);

/** Interfaces of the router's places; the rescue lane's is `rescue`. */
export function namesOf(subject: Subject, pick: (place: Place) => boolean): readonly string[] {
  return placesOf(subject)
    .filter(pick)
    .flatMap((place) => place.interfaces);
}

export const rescueLink = ({ desired }: Subject): readonly string[] =>
  desired.links.filter((link) => link.network === "rescue").map((link) => link.name);

/** Interfaces of the generation: those of its places, and the rescue lane's. */
export const knownNames = (subject: Subject): readonly string[] => [
  ...namesOf(subject, () => true),
  ...rescueLink(subject),
];

export type LanePorts = {
  readonly udp: readonly number[];
  readonly api: readonly string[]; // addresses
  readonly apiPort: number;
};

/** Ports and addresses that are lanes, by the documents: both rescue ports where no network has them. */
export function lanePorts({ intent, root, router }: Subject): LanePorts {
  const networks = intent.networks.filter((network) => network.router === router).map((network) => network.port);
  const { management } = intent.routers.find((one) => one.id === router)!;
  return {
    udp: [...new Set([...rescuePorts(root.network_id), ...networks])],
    api: [...management.addresses, routerRescueAddress(root.network_id, router)],
    apiPort: management.port,
  };
}

/** Packets of a lane as they arrive at the router, or leave it. */
export function laneRegion(pipeline: Pipeline, subject: Subject, way: "arriving" | "leaving"): Node {
  const { regions } = pipeline;
  const { arena } = regions;
  const [address, port] = way === "arriving" ? (["daddr", "dport"] as const) : (["saddr", "sport"] as const);
  const ports = lanePorts(subject);
  const one = (value: number) => ({ from: value, to: value });
  const udp = regions.and(regions.one("proto", PROTOCOL.udp), regions.of(port, ports.udp.map(one)));
  const api = regions.and(
    about(pipeline, address, ports.api),
    regions.one("proto", PROTOCOL.tcp),
    regions.one(port, ports.apiPort),
  );
  return arena.gate(own(pipeline, address), arena.or(udp, api));
}

/** A packet in one line, for a violation. */
export function said(packet: Packet): string {
  const ports = packet.dport === 0 && packet.sport === 0 ? "" : ` port ${packet.sport} to ${packet.dport}`;
  const flags = packet.flags === "" ? "" : ` ${packet.flags}`;
  const icmp = packet.icmpType === 0 ? "" : ` type ${packet.icmpType}`;
  const way = [packet.iif === "" ? "" : ` in ${packet.iif}`, packet.oif === "" ? "" : ` out ${packet.oif}`].join("");
  const flow = `${packet.state}${packet.direction === "reply" ? " reply" : ""}, epoch ${packet.epoch}`;
  return `protocol ${packet.protocol}${icmp}${flags} from ${packet.source} to ${packet.target}${ports}${way} (${flow})`;
}

/** A violation as a sentence, where there is a packet that shows it. */
export const told = (what: string, packet: Packet | null): readonly string[] =>
  packet === null ? [] : [`${what}: ${said(packet)}.`];
