/**
 * The intent: what should exist. One shape serves the YAML that people edit (absent fields take their
 * default), the canonical form that is signed, and the decoded form that a router validates again.
 *
 * This file holds shapes; the laws between fields (references, overlaps, families) are in intent-laws.ts.
 */
import * as v from "valibot";
import { limits } from "./limits.ts";
import {
  Address,
  Address4,
  AddressOrPrefix,
  Count,
  ForeignName,
  HostPort,
  InterfaceCidr,
  InterfaceName,
  Name,
  OptionalInterfaceName,
  OptionalPort,
  Port,
  PrefixText,
  SideText,
} from "./scalars.ts";

const list = <T extends v.GenericSchema>(item: T, max: number) =>
  v.optional(v.pipe(v.array(item, "must be a list"), v.maxLength(max, `must have at most ${max} entries`)), []);
const flag = v.optional(v.boolean("must be true or false"), false);
const flagOn = v.optional(v.boolean("must be true or false"), true);

export const Uplink = v.strictObject({
  interface: InterfaceName,
  addresses: list(InterfaceCidr, 16),
  gateways: list(Address, 2),
  mtu: v.optional(Count(1280, 65535), 1500),
  dynamic: flag,
});

export const Management = v.strictObject({
  addresses: v.pipe(
    v.array(Address, "must be a list"),
    v.minLength(1, "must name at least one address"),
    v.maxLength(16, "must have at most 16 entries"),
  ),
  zones: v.pipe(v.array(Name, "must be a list"), v.minLength(1, "must name at least one zone"), v.maxLength(64)),
  port: v.optional(Port, 8022),
  accept_foreign: list(ForeignName, 64),
  reassert: flag,
});

export const InterfaceAddress = v.strictObject({ interface: InterfaceName, cidr: InterfaceCidr });

export const Route = v.strictObject({
  to: PrefixText,
  via: v.optional(v.union([v.literal(""), Address], "must be an address or absent"), ""),
  interface: InterfaceName,
  metric: v.optional(Count(0, 0x7fffffff), 0),
});

export const Router = v.strictObject({
  id: Name,
  uplinks: list(Uplink, 16),
  management: Management,
  addresses: list(InterfaceAddress, 256),
  routes: list(Route, 4096),
  forward_v6: flag,
});

export const Zone = v.strictObject({
  id: Name,
  router: Name,
  kind: v.picklist(
    ["uplink", "internal", "management", "experimental"],
    "must be uplink, internal, management or experimental",
  ),
  interfaces: v.pipe(
    v.array(InterfaceName, "must be a list"),
    v.minLength(1, "must name at least one interface"),
    v.maxLength(64, "must have at most 64 entries"),
  ),
  subnets: list(PrefixText, 256),
  dhcp: flag,
});

export const Network = v.strictObject({
  id: Name,
  router: Name,
  interface: v.optional(OptionalInterfaceName, ""),
  port: Port,
  endpoint: HostPort,
  subnets: v.pipe(
    v.array(PrefixText, "must be a list"),
    v.minLength(1, "must name a subnet"),
    v.maxLength(2, "must have at most one IPv4 and one IPv6 subnet"),
  ),
  mtu: v.optional(Count(1280, 1420), 1420),
  class: v.optional(v.picklist(["production", "experimental"], "must be production or experimental"), "production"),
  dns: list(Address, 4),
  keepalive_s: v.optional(Count(0, 65535), 25),
});

export const PortRange = v.strictObject({
  protocol: v.picklist(["tcp", "udp", "icmp"], "must be tcp, udp or icmp"),
  from: v.optional(OptionalPort, 0),
  to: v.optional(OptionalPort, 0),
});

export const Service = v.strictObject({
  id: Name,
  addresses: list(AddressOrPrefix, 256),
  ports: v.pipe(
    v.array(PortRange, "must be a list"),
    v.minLength(1, "must name at least one port"),
    v.maxLength(64, "must have at most 64 entries"),
  ),
});

export const Families = v.strictObject({ v4: flag, v6: flag });

export const Reach = v.strictObject({ zone: Name, v4: flagOn, v6: flag });

const noFamilies = { v4: false, v6: false };

export const Profile = v.strictObject({
  id: Name,
  reach: list(Reach, 64),
  services: list(Name, 256),
  internet: v.optional(Families, noFamilies),
  dns: v.optional(Families, noFamilies),
});

export const Constraint = v.strictObject({ network: Name, profiles: list(Name, 256) });

export const Policy = v.strictObject({
  id: Name,
  from: Name,
  to: Name,
  services: list(Name, 256),
  v4: flagOn,
  v6: flagOn,
});

export const PortForward = v.strictObject({
  id: Name,
  zone: Name,
  address: Address4,
  protocol: v.picklist(["tcp", "udp"], "must be tcp or udp"),
  port: Port,
  to_address: Address4,
  to_port: Port,
  count: v.optional(Count(1, 4096), 1),
});

export const Masquerade = v.strictObject({ from: Name, to: Name });
export const Nat66 = v.strictObject({ from: Name, to: Name });

export const Probe = v.strictObject({
  id: Name,
  router: Name,
  kind: v.picklist(["ping", "tcp", "handshake"], "must be ping, tcp or handshake"),
  target: v.union([Address, Name], "must be an address, or a network id for a handshake probe"),
  port: v.optional(OptionalPort, 0),
  timeout_ms: v.optional(Count(100, 10_000), 1000),
  attempts: v.optional(Count(1, 10), 3),
});

/**
 * What the site asserts of itself, decided for all packets on what will be loaded. A flow's first packet decides:
 * new, a bare SYN when TCP, a request when ICMP.
 *
 * - deny: no first packet (of these services; without any: at all) from A to B is accepted, by whatever route. It may
 *   wear A's address and come from elsewhere.
 * - allow: every first packet of these services (without any: of every protocol) from A to B is accepted over the
 *   declared routes, and so are its answers. A is who it truly is: its own addresses, through its own interfaces.
 * - only: what deny says of everything but these services, and what allow says of them.
 *
 * Sides are words of contract-words.ts. Services are ids, or wireguard, rescue and management: the router's lanes.
 */
export const Contract = v.strictObject({
  id: Name,
  kind: v.picklist(["allow", "deny", "only"], "must be allow, deny or only"),
  from: SideText,
  to: SideText,
  services: list(Name, 256),
  v4: flagOn,
  v6: flagOn,
  ports: list(PortRange, 64), // services without a name, at any address of B
});

export const ConfirmPolicy = v.strictObject({
  window_s: v.optional(Count(limits.windowMinS, limits.windowMaxS), 120),
  cap_s: v.optional(Count(30, 7200), 600),
  reboot_allowed: flag,
});

export const IntentDocument = v.strictObject({
  version: v.literal(1, "must be 1"),
  site: Name,
  routers: v.pipe(v.array(Router, "must be a list"), v.minLength(1, "must name a router"), v.maxLength(64)),
  zones: list(Zone, 256),
  networks: list(Network, 256),
  services: list(Service, 4096),
  profiles: list(Profile, 256),
  constraints: list(Constraint, 256),
  policies: list(Policy, 4096),
  port_forwards: list(PortForward, 4096),
  masquerade: list(Masquerade, 256),
  nat66: list(Nat66, 256),
  probes: list(Probe, 64),
  contracts: list(Contract, 4096),
  confirm: v.optional(ConfirmPolicy, { window_s: 120, cap_s: 600, reboot_allowed: false }),
  ula_prefix: v.optional(v.union([v.literal(""), PrefixText], "must be a prefix or absent"), ""),
});

export type Intent = v.InferOutput<typeof IntentDocument>;
export type IntentInput = v.InferInput<typeof IntentDocument>;
export type Router = Intent["routers"][number];
export type Zone = Intent["zones"][number];
export type Network = Intent["networks"][number];
export type Service = Intent["services"][number];
export type Profile = Intent["profiles"][number];
export type Policy = Intent["policies"][number];
export type PortForward = Intent["port_forwards"][number];
export type Probe = Intent["probes"][number];
export type PortRange = v.InferOutput<typeof PortRange>;
export type Contract = Intent["contracts"][number];

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const sorted = (list: readonly string[]): string[] => [...list].sort(byText);
const sortedBy = <T>(list: readonly T[], key: (item: T) => string): T[] =>
  [...list].sort((a, b) => byText(key(a), key(b)));

const canonicalPorts = (ports: readonly PortRange[]): PortRange[] =>
  sortedBy(ports, (port) => `${port.protocol} ${port.from} ${port.to}`).map((port) => ({
    ...port,
    to: port.to === 0 ? port.from : port.to,
  }));

/** The kernel name of a network's interface: named, or hf-<id> cut to 15 characters. */
export function interfaceOf(network: { readonly id: string; readonly interface: string }): string {
  return network.interface === "" ? `hf-${network.id}`.slice(0, 15) : network.interface;
}

/** The one order that is signed: every list sorted by id or value, names filled in. Code-unit order, no locale. */
export function canonicalIntent(intent: Intent): Intent {
  return {
    ...intent,
    routers: sortedBy(intent.routers, (router) => router.id).map((router) => ({
      ...router,
      uplinks: sortedBy(router.uplinks, (uplink) => uplink.interface).map((uplink) => ({
        ...uplink,
        addresses: sorted(uplink.addresses),
        gateways: sorted(uplink.gateways),
      })),
      management: {
        ...router.management,
        addresses: sorted(router.management.addresses),
        zones: sorted(router.management.zones),
        accept_foreign: sorted(router.management.accept_foreign),
      },
      addresses: sortedBy(router.addresses, (address) => `${address.interface} ${address.cidr}`),
      routes: sortedBy(router.routes, (route) => `${route.to} ${route.interface} ${route.via} ${route.metric}`),
    })),
    zones: sortedBy(intent.zones, (zone) => zone.id).map((zone) => ({
      ...zone,
      interfaces: sorted(zone.interfaces),
      subnets: sorted(zone.subnets),
    })),
    networks: sortedBy(intent.networks, (network) => network.id).map((network) => ({
      ...network,
      interface: interfaceOf(network),
      subnets: sorted(network.subnets),
    })),
    services: sortedBy(intent.services, (service) => service.id).map((service) => ({
      ...service,
      addresses: sorted(service.addresses),
      ports: canonicalPorts(service.ports),
    })),
    profiles: sortedBy(intent.profiles, (profile) => profile.id).map((profile) => ({
      ...profile,
      reach: sortedBy(profile.reach, (reach) => reach.zone),
      services: sorted(profile.services),
    })),
    constraints: sortedBy(intent.constraints, (constraint) => constraint.network).map((constraint) => ({
      ...constraint,
      profiles: sorted(constraint.profiles),
    })),
    policies: sortedBy(intent.policies, (policy) => policy.id).map((policy) => ({
      ...policy,
      services: sorted(policy.services),
    })),
    port_forwards: sortedBy(intent.port_forwards, (forward) => forward.id),
    masquerade: sortedBy(intent.masquerade, (nat) => `${nat.from} ${nat.to}`),
    nat66: sortedBy(intent.nat66, (nat) => `${nat.from} ${nat.to}`),
    probes: sortedBy(intent.probes, (probe) => probe.id),
    contracts: sortedBy(intent.contracts, (contract) => contract.id).map((contract) => ({
      ...contract,
      services: sorted(contract.services),
      ports: canonicalPorts(contract.ports),
    })),
  };
}
