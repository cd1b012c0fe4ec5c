/** HF-FLOW: what must never pass between places, whatever the intent says. Sent as packets through the compiled text. */
import { contains, formatIp, type Ip, parseIp } from "../../schemas/ip.ts";
import type { Problem } from "../../schemas/problem.ts";
import type { Packet } from "./invariants-packet.ts";
import {
  type Invariant,
  type Place,
  packet,
  placesOf,
  type Subject,
  sourcesAt,
  violated,
} from "./invariants-subject.ts";
import { type Walker, walkerOf } from "./invariants-walk.ts";

/** Ports that people open: what a mistake would most likely let through. */
const TCP: readonly number[] = [22, 53, 80, 443, 3389, 5900, 8022, 8443];
const UDP: readonly number[] = [53, 123, 443, 51820];

/** Ports that this very intent speaks of: the first of each range of its services. */
function portsOf({ intent }: Subject, protocol: "tcp" | "udp"): readonly number[] {
  const named = intent.services.flatMap((service) => service.ports).filter((port) => port.protocol === protocol);
  return [...new Set([...(protocol === "tcp" ? TCP : UDP), ...named.map((port) => port.from)])];
}

/** First packets of flows between two addresses: every port above, and a ping. */
function attempts(subject: Subject, iif: string, oif: string, source: Ip, target: Ip): readonly Packet[] {
  const base = { iif, oif, source, target };
  return [
    ...portsOf(subject, "tcp").map((dport) => packet({ ...base, dport })),
    ...portsOf(subject, "udp").map((dport) => packet({ ...base, dport, protocol: "udp", syn: false })),
    packet({ ...base, protocol: "icmp", sport: 0, dport: 0, icmpType: "echo-request", syn: false }),
  ];
}

/** Hosts of a place: one that nobody names, and each that a service names, so that no service can be the hole. */
function targetsIn(place: Place, family: 4 | 6, subject: Subject): readonly Ip[] {
  const named = subject.intent.services
    .flatMap((service) => service.addresses)
    .map((text) => parseIp(text.split("/")[0]!)!)
    .filter((ip) => ip.family === family && place.subnets.some((subnet) => contains(subnet, ip)));
  return [...sourcesAt(place, family, subject).slice(-2), ...named];
}

/** Every packet between two places that the forward hook might let through. */
function leaks(subject: Subject, walker: Walker, from: Place, to: Place, change: Partial<Packet>): readonly Packet[] {
  const pairs = ([4, 6] as const).flatMap((family) =>
    sourcesAt(from, family, subject).flatMap((source) =>
      targetsIn(to, family, subject).map((target) => ({ source, target })),
    ),
  );
  const devices = from.interfaces.flatMap((iif) => to.interfaces.map((oif) => ({ iif, oif })));
  return pairs.flatMap(({ source, target }) =>
    devices.flatMap(({ iif, oif }) =>
      attempts(subject, iif, oif, source, target)
        .map((one) => ({ ...one, ...change }))
        .filter((one) => walker.hook("forward", one).some((way) => way.verdict !== "drop")),
    ),
  );
}

/** One violation per pair of places, with one packet as the proof. */
function pairViolations(
  id: string,
  subject: Subject,
  pairs: readonly (readonly [Place, Place])[],
  change: Partial<Packet> = {},
): readonly Problem[] {
  const walker = walkerOf(subject.desired.nft);
  return pairs.flatMap(([from, to]) => {
    const leak = leaks(subject, walker, from, to, change)[0];
    if (leak === undefined) return [];
    const what = `${leak.protocol} from ${formatIp(leak.source)} on ${leak.iif} to ${formatIp(leak.target)} on ${leak.oif} port ${leak.dport}`;
    return [violated(id, `${from.id} reaches ${to.id}: ${what} would pass.`)];
  });
}

const pairsOf = (subject: Subject, test: (from: Place, to: Place) => boolean): readonly (readonly [Place, Place])[] => {
  const places = placesOf(subject);
  return places.flatMap((from) => places.filter((to) => test(from, to)).map((to) => [from, to] as const));
};

const experimentalApart: Invariant = {
  id: "HF-FLOW-01",
  sentence: "Nothing experimental opens a flow into production.",
  why: "Experiments run untrusted things on purpose; isolation is what makes them free to fail.",
  example: "A forward rule that lets an experimental network reach the LAN.",
  fix: "Remove the policy, profile or service that joins them, or make the network production.",
  check: (subject) =>
    pairViolations(
      "HF-FLOW-01",
      subject,
      pairsOf(subject, (from, to) => from.experimental && !to.experimental && to.kind !== "uplink"),
    ),
};

const tunnelsApart: Invariant = {
  id: "HF-FLOW-02",
  sentence: "Clients do not reach clients: nothing passes from a WireGuard network to one, its own included.",
  why: "Each network is a domain of its own; a lost phone must not be a way to everybody's laptop.",
  example: "A policy, or a service without addresses, that lets one client open a port of another.",
  fix: "Let both reach a host of a zone instead.",
  check: (subject) =>
    pairViolations(
      "HF-FLOW-02",
      subject,
      pairsOf(subject, (from, to) => from.kind === "network" && to.kind === "network"),
    ),
};

const outsideStaysOut: Invariant = {
  id: "HF-FLOW-03",
  sentence: "From an uplink nothing passes inside that the router's own port-forwards did not translate.",
  why: "The internet finds every open port within hours, and a foreign DNAT must not become an entrance.",
  example: "A forward rule that accepts any flow with the status dnat.",
  fix: "Report it: the ruleset is open to the outside; keep the last confirmed generation.",
  check: (subject) => {
    const pairs = pairsOf(subject, (from, to) => from.kind === "uplink" && to.kind !== "uplink");
    // With somebody else's translation too: the set of our own port-forwards does not hold its original address.
    return [false, true].flatMap((dnat) => pairViolations("HF-FLOW-03", subject, pairs, { dnat }));
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
    return (["established", "related"] as const).flatMap((state) =>
      pairViolations("HF-FLOW-04", subject, closed, { state, epoch: "stale", direction: "original", syn: false }),
    );
  },
};

/** An interface that the intent does not name: new hardware, or one that was renamed. */
const unknown: Place = {
  id: "an unknown interface",
  kind: "uplink",
  experimental: false,
  interfaces: ["unknown0"],
  subnets: [],
};

const unknownIsClosed: Invariant = {
  id: "HF-FLOW-05",
  sentence: "Nothing passes from or to an interface that the intent does not name.",
  why: "A stick that somebody plugs in must not become a door; what is not classified has no policy.",
  example: "A forward rule that names only where packets go.",
  fix: "Put the interface into a zone, if it is to be used.",
  check: (subject) => {
    const places = placesOf(subject);
    const pairs = places.flatMap((place) => [[unknown, place] as const, [place, unknown] as const]);
    return pairViolations("HF-FLOW-05", subject, pairs);
  },
};

export const flowInvariants: readonly Invariant[] = [
  experimentalApart,
  tunnelsApart,
  outsideStaysOut,
  staleStaysOut,
  unknownIsClosed,
];
