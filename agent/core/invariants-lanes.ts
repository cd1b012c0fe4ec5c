/** HF-LANE, HF-MGMT: the ways in that every generation keeps open (P1). */
import type { DesiredLane } from "../../schemas/desired.ts";
import { formatIp, type Ip, parseIp } from "../../schemas/ip.ts";
import type { Problem } from "../../schemas/problem.ts";
import { rescuePorts, routerRescueAddress } from "./compile/rescue.ts";
import type { Packet } from "./invariants-packet.ts";
import {
  type Invariant,
  localAddresses,
  type Place,
  packet,
  placesOf,
  type Subject,
  sourceAt,
  stranger,
  violated,
} from "./invariants-subject.ts";
import { type Walker, type Way, walkerOf } from "./invariants-walk.ts";

/** An interface that no intent names: the rescue lane must work on a renamed uplink too. */
const UNKNOWN_INTERFACE = "renamed0";

/** Lanes by the documents: name, protocol and port. */
function wantedLanes({ intent, root, router, desired }: Subject): readonly string[] {
  const found = intent.routers.find((one) => one.id === router)!;
  const networks = intent.networks.filter((network) => network.router === router);
  const taken = new Set(networks.map((network) => network.port));
  const rescue = rescuePorts(root.network_id).find((port) => !taken.has(port));
  const { management } = found;
  return [
    `rescue udp ${rescue}`,
    ...networks.map((network) => `wg:${network.id} udp ${network.port}`),
    ...management.addresses.map((address) => `api:${address} tcp ${management.port}`),
  ].filter((lane) => !desired.lanes.some((one) => `${one.name} ${one.protocol} ${one.port}` === lane));
}

const lanesPresent: Invariant = {
  id: "HF-LANE-01",
  sentence: "The rescue lane, every WireGuard network and every management address is a lane of the generation.",
  why: "A lane that is not listed is neither kept open nor proven by the confirm, and may close unseen.",
  example: "A generation whose list of lanes lacks wg:home.",
  fix: "Report it: the compiler has lost a lane; keep the last confirmed generation.",
  check: (subject) => {
    const { desired } = subject;
    return [
      ...wantedLanes(subject).map((lane) => violated("HF-LANE-01", `No lane ${lane}: the compiler lost it.`)),
      ...desired.lanes
        .filter((lane) => !desired.nft.counters.includes(lane.counter))
        .map((lane) =>
          violated("HF-LANE-01", `Lane ${lane.name} has no counter ${lane.counter}: nothing could prove it.`),
        ),
      ...desired.lanes
        .filter((lane) => lane.protocol === "udp")
        .filter((lane) => !desired.links.some((link) => link.port === lane.port && laneOf(link.network) === lane.name))
        .map((lane) => violated("HF-LANE-01", `No device of lane ${lane.name} listens on port ${lane.port}.`)),
    ];
  },
};

const laneOf = (network: string): string => (network === "rescue" ? "rescue" : `wg:${network}`);

/** From where a lane must be open: interface, and a source that may be there. */
function entrances(
  subject: Subject,
  lane: DesiredLane,
  target: Ip,
): readonly { readonly iif: string; readonly source: Ip }[] {
  const { intent, router } = subject;
  const places = placesOf(subject);
  const at = (list: readonly Place[]) =>
    list.flatMap((place) => {
      const source = sourceAt(place, target.family, subject);
      return source === undefined ? [] : place.interfaces.map((iif) => ({ iif, source }));
    });
  if (lane.name === "rescue") {
    const zones = places.filter((place) => place.kind !== "network");
    return [...at(zones), { iif: UNKNOWN_INTERFACE, source: stranger(target.family) }];
  }
  if (lane.name.startsWith("wg:")) return at(places.filter((place) => place.kind === "uplink"));
  const zones = intent.routers.find((one) => one.id === router)!.management.zones;
  return at(places.filter((place) => zones.includes(place.id)));
}

/** Local addresses at which a lane is knocked at: its own, or one of each family. */
function targetsOf(subject: Subject, lane: DesiredLane): readonly Ip[] {
  if (lane.address !== "") return [parseIp(lane.address)!];
  const uplinks = placesOf(subject).filter((place) => place.kind === "uplink");
  const outside = uplinks.flatMap((place) => place.interfaces);
  return localAddresses(subject.desired)
    .filter((local) => outside.length === 0 || outside.includes(local.interface))
    .map((local) => local.ip);
}

/** A lane's packet as it arrives, untracked because of the notrack rule that is checked first. */
function knock(lane: DesiredLane, iif: string, source: Ip, target: Ip): Packet {
  const { protocol, port } = lane;
  return packet({ iif, source, target, protocol, dport: port, state: "untracked", targetLocal: true });
}

const said = (one: Packet): string =>
  `${one.protocol} from ${formatIp(one.source)} on ${one.iif} to ${formatIp(one.target)} port ${one.dport}`;

const open = (ways: readonly Way[]): boolean => ways.every((way) => way.verdict === "accept");

/** What a packet of a lane meets on its way in, as a sentence; undefined when it gets in. */
function closed(walker: Walker, lane: DesiredLane, arriving: Packet): string | undefined {
  const before = walker.hook("prerouting", { ...arriving, state: "new" }, true);
  if (!before.every((way) => way.notrack)) return "is tracked, so an old flow could stand for it";
  if (!open(walker.hook("prerouting", arriving, true)))
    return `may end in ${ending(walker.hook("prerouting", arriving, true))}`;
  const ways = walker.hook("input", arriving);
  if (!open(ways)) return `may end in ${ending(ways)}`;
  if (!ways.every((way) => way.counters.includes(lane.counter))) return `is not counted by ${lane.counter}`;
  return undefined;
}

const ending = (ways: readonly Way[]): string => {
  const bad = ways.find((way) => way.verdict !== "accept");
  return `${bad?.verdict} of chain ${bad?.chain}`;
};

const lanesReachable: Invariant = {
  id: "HF-LANE-02",
  sentence:
    "A packet of a lane is taken before any other rule, untracked, counted, from everywhere it must be able to come.",
  why: "A tracked or dropped lane packet lets a confirm ride on an old flow, or locks the operator out.",
  example: "A drop of invalid packets that stands before the lane's accept.",
  fix: "Report it: the ruleset closes a lane; keep the last confirmed generation.",
  check: (subject) => {
    const walker = walkerOf(subject.desired.nft);
    return subject.desired.lanes.flatMap((lane): readonly Problem[] => {
      const knocks = targetsOf(subject, lane).flatMap((target) =>
        entrances(subject, lane, target).map(({ iif, source }) => knock(lane, iif, source, target)),
      );
      // A management address of a family that no management zone has is reached through the rescue lane alone.
      return knocks.flatMap((one) => {
        const reason = closed(walker, lane, one);
        return reason === undefined ? [] : [violated("HF-LANE-02", `Lane ${lane.name}: ${said(one)} ${reason}.`)];
      });
    });
  },
};

const lanesAnswer: Invariant = {
  id: "HF-LANE-03",
  sentence: "What a lane answers leaves untracked, unfiltered and untranslated.",
  why: "An answer that is tracked or translated makes the next packet of the lane look like part of a flow.",
  example: "A masquerade rule that comes before the lane's accept.",
  fix: "Report it: the ruleset swallows a lane's answers; keep the last confirmed generation.",
  check: (subject) => {
    const walker = walkerOf(subject.desired.nft);
    const uplinks = placesOf(subject).filter((place) => place.kind === "uplink");
    return subject.desired.lanes.flatMap((lane) =>
      targetsOf(subject, lane).flatMap((source): readonly Problem[] =>
        uplinks
          .flatMap((place) => place.interfaces)
          .flatMap((oif) => {
            const { protocol, port } = lane;
            const target = stranger(source.family);
            const leaving = packet({ oif, source, target, protocol, sport: port, sourceLocal: true, syn: false });
            const raw = walker.hook("output", leaving);
            const hooks = [...raw, ...walker.hook("postrouting", leaving, true)];
            if (raw.every((way) => way.notrack) && open(hooks)) return [];
            const reason = open(hooks) ? "is tracked" : `may end in ${ending(hooks)}`;
            return [
              violated("HF-LANE-03", `Lane ${lane.name}: its answer from ${formatIp(source)} on ${oif} ${reason}.`),
            ];
          }),
      ),
    );
  },
};

const managementListens: Invariant = {
  id: "HF-MGMT-01",
  sentence: "The agent listens on every management address and on the rescue address, each an address of the router.",
  why: "A confirm must arrive somewhere; an address that is on no interface never answers.",
  example: "A management address that no interface of the generation has.",
  fix: "Give the router the address, or name another one in management.addresses.",
  check: ({ intent, root, router, desired }) => {
    const { management } = intent.routers.find((one) => one.id === router)!;
    const wanted = [...management.addresses, routerRescueAddress(root.network_id, router)];
    const local = new Set(localAddresses(desired).map((one) => formatIp(one.ip)));
    const missing = wanted.filter(
      (address) => !desired.api.some((api) => api.address === address && api.port === management.port),
    );
    const away = desired.api.map((api) => api.address).filter((address) => !local.has(address));
    const strange = desired.api
      .map((api) => api.lane)
      .filter((lane) => !desired.lanes.some((one) => one.name === lane));
    return [
      ...missing.map((address) =>
        violated("HF-MGMT-01", `The agent would not listen on ${address} port ${management.port}.`),
      ),
      ...away.map((address) =>
        violated("HF-MGMT-01", `${address} is on no interface: nobody could reach the agent there.`),
      ),
      ...strange.map((lane) =>
        violated("HF-MGMT-01", `The agent would listen for lane ${lane}, which does not exist.`),
      ),
    ];
  },
};

const managementOnlyFrom: Invariant = {
  id: "HF-MGMT-02",
  sentence: "The API is reached from management zones and the rescue lane only, never from anything experimental.",
  why: "Whoever reaches the API can try keys and exhaust it; experiments are trusted with nothing.",
  example: "A policy from a lab to the router that includes the API's port.",
  fix: "Name the zone in management.zones, or keep its policies off the management port.",
  check: (subject) => {
    const { intent, router, desired } = subject;
    const walker = walkerOf(desired.nft);
    const { management } = intent.routers.find((one) => one.id === router)!;
    const allowed = (place: Place): boolean => management.zones.includes(place.id) && !place.experimental;
    const outsiders = placesOf(subject).filter((place) => !allowed(place));
    return desired.api.flatMap(({ address, port }) =>
      outsiders.flatMap((place) =>
        place.interfaces.flatMap((iif): readonly Problem[] => {
          const target = parseIp(address)!;
          const source = sourceAt(place, target.family, subject) ?? stranger(target.family);
          const states = ["untracked", "new"] as const;
          const passes = states.some((state) => {
            const one = packet({ iif, source, target, dport: port, state, targetLocal: true });
            return [...walker.hook("input", one)].some((way) => way.verdict !== "drop");
          });
          if (!passes) return [];
          return [
            violated(
              "HF-MGMT-02",
              `${place.id} reaches the API at ${address} through ${iif}, but is no management zone.`,
            ),
          ];
        }),
      ),
    );
  },
};

export const laneInvariants: readonly Invariant[] = [
  lanesPresent,
  lanesReachable,
  lanesAnswer,
  managementListens,
  managementOnlyFrom,
];
