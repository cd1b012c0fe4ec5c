/** Addresses and ports that a site's packets are made of: from intent, inventory and what is on the router. */
import { operatorRescueAddress } from "../../agent/core/compile/rescue.ts";
import { interfacesOf } from "../../client/replay/ground.ts";
import { TCP, UDP } from "../../client/replay/wire.ts";
import { formatIp, type Ip, lastOf, parseIp, parsePrefix } from "../../schemas/ip.ts";
import type { Routes } from "./routes.ts";
import type { Site } from "./sites.ts";

export type Pools = {
  readonly interfaces: readonly string[];
  /** Who may truly be behind an interface. */
  readonly behind: ReadonlyMap<string, readonly Ip[]>;
  readonly own: readonly Ip[]; // of the router, without link-local ones
  readonly hosts: readonly Ip[]; // inside, clients among them
  readonly strangers: readonly Ip[];
  readonly odd: readonly Ip[];
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
  readonly forwards: readonly {
    readonly zone: string;
    readonly address: Ip;
    readonly protocol: number;
    readonly port: number;
  }[];
  readonly uplinks: readonly string[];
};

export const ip = (text: string): Ip => parseIp(text)!;
export const STRANGERS = [
  "203.0.113.200",
  "8.8.8.8",
  "9.9.9.9",
  "2001:db8:ffff::200",
  "2620:fe::fe",
  "2606:4700::1111",
].map(ip);
const ODD = [
  ...["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "224.0.0.251", "240.0.0.1", "255.255.255.255", "169.254.3.3"],
  ...["::", "::1", "::ffff:808:808", "fe80::5", "fe80::f0", "fe80::f1", "ff02::1", "ff02::2", "ff02::fb", "ff05::2"],
  ...["192.168.77.7", "10.99.0.1", "172.16.9.9", "100.64.9.9", "fd00:1:0:99::1", "fd00:2::1"],
].map(ip);

/** Hosts of a subnet at its edges and in the places that services and routes name. */
function hostsOf(text: string): Ip[] {
  const prefix = parsePrefix(text)!;
  const { family, value } = prefix;
  const last = lastOf(prefix);
  const near = [0n, 5n, 6n, 8n, 9n, 11n, 12n].map((n) => value + n);
  const all = [...near, last - 1n, last, last + 1n];
  return all.map((one) => ({ family, value: one }));
}

const around = (ports: readonly number[]): number[] => [
  ...new Set(ports.flatMap((port) => [port - 1, port, port + 1]).filter((port) => port > 0 && port < 65_536)),
];

/** What a site's packets are made of. */
export function poolsOf(site: Site, routes: Routes): Pools {
  const { intent, inventory, desired, input } = site;
  const zones = intent.zones ?? [];
  const networks = intent.networks ?? [];
  const behind = new Map<string, Ip[]>();
  for (const zone of zones) {
    const hosts = zone.kind === "uplink" ? STRANGERS : (zone.subnets ?? []).flatMap(hostsOf);
    for (const name of zone.interfaces) behind.set(name, [...hosts]);
  }
  const clients = (inventory.clients ?? []).flatMap((client) => client.grants ?? []);
  for (const link of desired.links) {
    const addresses = clients
      .filter((grant) => grant.network === link.network)
      .flatMap((grant) => grant.addresses.map(ip));
    behind.set(link.name, addresses);
  }
  const operators = input.roster.operators.map(({ lane_key }) =>
    ip(operatorRescueAddress(input.root.network_id, lane_key)),
  );
  behind.set("hf-rescue", operators);
  for (const { interface: name, gateways = [] } of intent.routers[0]!.uplinks ?? []) {
    behind.get(name)?.push(...gateways.map(ip));
  }
  const services = (intent.services ?? []).flatMap((service) => service.ports);
  const edges = (protocol: string): number[] =>
    services
      .filter((port) => port.protocol === protocol)
      .flatMap((port) => [port.from ?? 0, port.to ?? port.from ?? 0]);
  const lanes = desired.lanes.map((lane) => lane.port);
  const rescue = desired.nft.sets.find((set) => set.name === "s_lane_udp")!.elements.map(Number);
  const forwards = (intent.port_forwards ?? []).flatMap((forward) =>
    [...new Set([0, (forward.count ?? 1) - 1, forward.count ?? 1])].map((i) => ({
      zone: forward.zone,
      address: ip(forward.address),
      protocol: forward.protocol === "tcp" ? TCP : UDP,
      port: forward.port + i,
    })),
  );
  return {
    interfaces: interfacesOf(site).map((device) => device.name),
    behind,
    own: routes.own.map((one) => one.ip).filter((one) => !formatIp(one).startsWith("fe80")),
    hosts: [
      ...zones.flatMap((zone) => (zone.subnets ?? []).flatMap(hostsOf)),
      ...networks.flatMap((one) => one.subnets.flatMap(hostsOf)),
      ...clients.flatMap((grant) => grant.addresses.map(ip)),
    ],
    strangers: STRANGERS,
    odd: ODD,
    tcp: around([...edges("tcp"), 22, 443, 8022, ...forwards.map((forward) => forward.port)]),
    udp: around([...edges("udp"), 53, 67, 68, 546, 547, 123, ...lanes, ...rescue, ...forwards.map((one) => one.port)]),
    forwards,
    uplinks: zones.filter((zone) => zone.kind === "uplink").flatMap((zone) => zone.interfaces),
  };
}
