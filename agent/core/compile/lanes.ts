/**
 * Lanes: the paths to the router that every generation keeps open. They are stateless, so a packet that arrives was
 * admitted by the rules in force and not by an old conntrack entry (reference/rollback.md L1b); each has a counter.
 */
import type { DesiredLane, DesiredRoute, DesiredRule, NftChain, NftSet, WgLink } from "../../../schemas/desired.ts";
import { sha256Hex } from "../../../schemas/digest.ts";
import { parseIp } from "../../../schemas/ip.ts";
import { chainOf, countedDrop, setOf } from "./objects.ts";
import { sortedBy } from "./order.ts";
import { RESCUE, RESCUE_LINK, routerRescueAddress } from "./rescue.ts";
import { interfacesOf, managementNodes, type Scope } from "./scope.ts";
import { ip } from "./words.ts";

/** A lane with the rule that admits it; `name` is "" for the API on the rescue address, which the rescue lane carries. */
export type Lane = {
  readonly name: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  readonly address: string;
  readonly counter: string;
  readonly rule: string;
  /** Interfaces that decide whether an operator gets in; "*" for any. */
  readonly inputs: readonly string[];
};

export type Lanes = {
  readonly all: readonly Lane[];
  readonly udpPorts: readonly number[]; // ascending
  readonly tcpPort: number;
  readonly rescueAddress: string;
  readonly management: readonly string[]; // interfaces from which the API is reached
};

const wordOf = (text: string): string => text.replaceAll(/[^0-9A-Za-z]/g, "_");

function apiLane(scope: Scope, address: string, management: readonly string[]): Lane {
  const counter = `c_lane_api_${wordOf(address)}`;
  const family = parseIp(address)!.family;
  return {
    name: `api:${address}`,
    protocol: "tcp",
    port: scope.router.management.port,
    address,
    counter,
    rule: `${ip(family)} daddr ${address} iifname @s_manage counter name ${counter} accept`,
    inputs: management,
  };
}

/** Every lane of a router. `rescuePorts` are the reserved ports that no network of the router has. */
export function lanesOf(scope: Scope, networkId: Uint8Array, rescuePorts: readonly number[]): Lanes {
  const management = [...interfacesOf(scope, (node) => managementNodes(scope).includes(node)), RESCUE_LINK];
  const uplinks = interfacesOf(scope, (node) => node.kind === "uplink");
  const rescueAddress = routerRescueAddress(networkId, scope.router.id);
  const rescue: Lane = {
    name: RESCUE,
    protocol: "udp",
    port: rescuePorts[0]!,
    address: "",
    counter: "c_lane_rescue",
    rule: `udp dport ${rescuePorts.length === 1 ? rescuePorts[0] : `{ ${rescuePorts.join(", ")} }`} counter name c_lane_rescue accept`,
    inputs: ["*"],
  };
  const networks = scope.networks.map((network): Lane => {
    const counter = `c_lane_wg_${wordOf(network.id)}`;
    return {
      name: `wg:${network.id}`,
      protocol: "udp",
      port: network.port,
      address: "",
      counter,
      rule: `udp dport ${network.port} iifname @s_zone counter name ${counter} accept`,
      // Clients come from outside: a zone more inside the house is no other way in.
      inputs: uplinks,
    };
  });
  const api = scope.router.management.addresses.map((address) => apiLane(scope, address, management));
  const overRescue: Lane = {
    name: "",
    protocol: "tcp",
    port: scope.router.management.port,
    address: rescueAddress,
    counter: "c_lane_rescue_api",
    rule: `ip6 daddr ${rescueAddress} iifname "${RESCUE_LINK}" counter name c_lane_rescue_api accept`,
    inputs: [RESCUE_LINK],
  };
  return {
    all: [rescue, ...networks, ...api, overRescue],
    udpPorts: [...new Set([...rescuePorts, ...networks.map((lane) => lane.port)])].sort((a, b) => a - b),
    tcpPort: scope.router.management.port,
    rescueAddress,
    management,
  };
}

/** Sets that say what a lane packet looks like, and from where the API is reached. */
export function laneSets(scope: Scope, lanes: Lanes): readonly NftSet[] {
  const api = lanes.all.filter((lane) => lane.protocol === "tcp");
  const of = (family: 4 | 6): readonly string[] =>
    api.filter((lane) => parseIp(lane.address)!.family === family).map((lane) => `${lane.address} . ${lane.port}`);
  return [
    setOf("s_lane_tcp4", "ipv4_addr . inet_service", of(4)),
    setOf("s_lane_tcp6", "ipv6_addr . inet_service", of(6)),
    setOf("s_lane_udp", "inet_service", lanes.udpPorts.map(String)),
    setOf(
      "s_manage",
      "ifname",
      lanes.management.map((name) => `"${name}"`),
    ),
    setOf(
      "s_zone",
      "ifname",
      interfacesOf(scope, (node) => node.kind !== "network").map((name) => `"${name}"`),
    ),
  ];
}

/** What every base chain that sees arriving packets starts with. */
export function arriving(udp: string, tcp: string): readonly string[] {
  return [
    `udp dport @s_lane_udp fib daddr type local ${udp}`,
    `ip daddr . tcp dport @s_lane_tcp4 fib daddr type local ${tcp}`,
    `ip6 daddr . tcp dport @s_lane_tcp6 fib daddr type local ${tcp}`,
  ];
}

/** What every base chain that sees leaving packets starts with. */
export function leaving(verdict: string): readonly string[] {
  return [
    `udp sport @s_lane_udp fib saddr type local ${verdict}`,
    `ip saddr . tcp sport @s_lane_tcp4 fib saddr type local ${verdict}`,
    `ip6 saddr . tcp sport @s_lane_tcp6 fib saddr type local ${verdict}`,
  ];
}

/**
 * The lanes' own chains. What is not admitted here is dropped: a lane's port is for the lane alone, so a policy
 * towards the router cannot open the API to another zone. The router itself may ask, which proves nothing.
 */
export function laneChains(lanes: Lanes): readonly NftChain[] {
  const rules = (protocol: "tcp" | "udp"): readonly string[] => [
    'iifname "lo" accept',
    ...lanes.all.filter((lane) => lane.protocol === protocol).map((lane) => lane.rule),
    countedDrop("c_lane_denied"),
  ];
  return [chainOf("z_lane_tcp", rules("tcp")), chainOf("z_lane_udp", rules("udp"))];
}

export type LaneFacts = {
  readonly links: readonly WgLink[];
  readonly addresses: readonly { readonly interface: string; readonly cidr: string }[];
  readonly routes: readonly DesiredRoute[];
  readonly rules: readonly DesiredRule[];
};

/** The way out of answers: default routes and the rules that choose between them. */
function exits({ routes, rules }: LaneFacts): readonly unknown[] {
  return [routes.filter((route) => /\/0$/.test(route.to)), rules];
}

/** Everything that makes a lane work, as one digest. Peers are left out: they are who uses it, not what it is. */
function fingerprint(lane: Lane, scope: Scope, facts: LaneFacts): string {
  const link = facts.links.find((one) => `wg:${one.network}` === lane.name || one.network === lane.name);
  const device = link === undefined ? null : [link.name, link.port, link.mtu, link.fwmark, link.publicKey];
  const own = facts.addresses.filter((address) =>
    link === undefined ? address.cidr.split("/")[0] === lane.address : address.interface === link.name,
  );
  const uplinks = new Set(scope.router.uplinks.map((uplink) => uplink.interface));
  // Answers of an address inside the house do not leave by an uplink.
  const outside = link !== undefined || own.length === 0 || own.some((address) => uplinks.has(address.interface));
  const outer = facts.addresses.filter((address) => uplinks.has(address.interface));
  const way = outside ? [outer, exits(facts)] : [];
  const text = JSON.stringify([lane.name, lane.port, lane.address, lane.rule, lane.inputs, device, own, way]);
  return sha256Hex(`holdfast/lane/v1\n${text}`);
}

/** The lanes as the generation names them, sorted by name. */
export function desiredLanes(lanes: Lanes, scope: Scope, facts: LaneFacts): readonly DesiredLane[] {
  const named = lanes.all.filter((lane) => lane.name !== "");
  return sortedBy(named, (lane) => lane.name).map((lane) => ({
    name: lane.name,
    protocol: lane.protocol,
    port: lane.port,
    address: lane.address,
    counter: lane.counter,
    fingerprint: fingerprint(lane, scope, facts),
  }));
}

/** Where the agent listens: each management address, and the rescue address. */
export function apiOf(lanes: Lanes): readonly { address: string; port: number; lane: string }[] {
  const tcp = lanes.all.filter((lane) => lane.protocol === "tcp");
  const api = tcp.map(({ address, port, name }) => ({ address, port, lane: name === "" ? RESCUE : name }));
  return sortedBy(api, (one) => `${one.lane} ${one.address}`);
}

/**
 * The widest range of unprivileged ports without a lane port. A flow whose source port is a lane port must leave as
 * another: its answers would come to the lane, and be lost there. NAT must not choose one either when ports clash.
 */
export function portsWithoutLanes(lanePorts: readonly number[]): readonly [number, number] {
  const edges = [1023, ...lanePorts.filter((port) => port > 1023).sort((a, b) => a - b), 65536];
  let best: readonly [number, number] = [1024, 1023];
  for (let i = 1; i < edges.length; i += 1) {
    const gap = [edges[i - 1]! + 1, edges[i]! - 1] as const;
    if (gap[1] - gap[0] > best[1] - best[0]) best = gap;
  }
  return best;
}
