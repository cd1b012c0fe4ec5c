/**
 * Addresses, routes, rules and kernel settings of one router. Each uplink has a routing table of its own, and each of
 * its addresses a rule that leads there: answers leave where the question came in.
 */
import type { DesiredAddress, DesiredRoute, DesiredRule } from "../../../schemas/desired.ts";
import { interfaceOf, type Network } from "../../../schemas/intent.ts";
import {
  BITS,
  comparePrefix,
  covers,
  type Family,
  formatIp,
  formatPrefix,
  hostPrefix,
  type Ip,
  networkOf,
  type Prefix,
  parseCidr,
  parsePrefix,
} from "../../../schemas/ip.ts";
import { byText } from "./order.ts";
import { MARK_MASK, RESCUE_LINK, RESCUE_MARK, RESCUE_TABLE, routerRescueAddress } from "./rescue.ts";
import { FAMILIES, type Scope } from "./scope.ts";
import { type Gateway, gatewaysOf, marksOf, staticUplinks, tablesOf } from "./uplinks.ts";

const MAIN = 254;
const RULE_FROM = 1000;
const RULE_MARK = 1050;
const RULE_RESCUE = 1100;

/** Steps between default routes: the kernel's own, and what others set without a metric, come first. */
const METRIC_STEP = 100;

/** The router's own address in a subnet of a network: its first host, or its only address. */
function serverIp(subnet: Prefix): Ip {
  const single = subnet.length === BITS[subnet.family];
  return { family: subnet.family, value: single ? subnet.value : subnet.value + 1n };
}

/** The router's own addresses in a network, as host prefixes. */
export function serverAddresses(network: Network): readonly Prefix[] {
  return network.subnets.map((text) => hostPrefix(serverIp(parsePrefix(text)!)));
}

/** Addresses that the router must have: uplinks, the intent's own, one in each subnet of each network, the lane's. */
export function addressesOf(scope: Scope, networkId: Uint8Array): readonly DesiredAddress[] {
  const found = [
    ...staticUplinks(scope).flatMap((uplink) =>
      uplink.addresses.map((cidr) => ({ interface: uplink.interface, cidr })),
    ),
    ...scope.router.addresses.map(({ interface: name, cidr }) => ({ interface: name, cidr })),
    ...scope.networks.flatMap((network) =>
      network.subnets.map((text) => {
        const subnet = parsePrefix(text)!;
        return { interface: interfaceOf(network), cidr: `${formatIp(serverIp(subnet))}/${subnet.length}` };
      }),
    ),
    { interface: RESCUE_LINK, cidr: `${routerRescueAddress(networkId, scope.router.id)}/64` },
  ];
  const unique = new Map(found.map((address) => [`${address.interface} ${address.cidr}`, address]));
  return [...unique.entries()].sort((a, b) => byText(a[0], b[0])).map(([, address]) => address);
}

type Known = { readonly prefix: Prefix; readonly via: string; readonly interface: string };

/** What is known to lie behind interfaces: connected subnets, networks, static routes, and zones that have one way. */
function knownRoutes(scope: Scope, networkId: Uint8Array): readonly Known[] {
  const connected = addressesOf(scope, networkId).map((address): Known => {
    return { prefix: networkOf(parseCidr(address.cidr)!), via: "", interface: address.interface };
  });
  const routed = scope.router.routes
    .map((route): Known => ({ prefix: parsePrefix(route.to)!, via: route.via, interface: route.interface }))
    .filter((route) => route.prefix.length > 0);
  const sure = [...connected, ...routed];
  const zones = scope.nodes
    .filter((node) => node.network === null && node.interfaces.length === 1)
    .flatMap((node) => node.prefixes.map((prefix): Known => ({ prefix, via: "", interface: node.interfaces[0]! })))
    .filter((one) => !sure.some(({ prefix }) => covers(prefix, one.prefix)));
  const unique = new Map<string, Known>();
  for (const one of [...sure, ...zones]) {
    const key = formatPrefix(one.prefix);
    if (!unique.has(key)) unique.set(key, one);
  }
  return [...unique.values()].sort((a, b) => comparePrefix(a.prefix, b.prefix));
}

const anywhere = (family: Family): string => (family === 4 ? "0.0.0.0/0" : "::/0");

function compareRoutes(a: DesiredRoute, b: DesiredRoute): number {
  const prefix = comparePrefix(parsePrefix(a.to)!, parsePrefix(b.to)!);
  return a.family - b.family || a.table - b.table || prefix || a.metric - b.metric || byText(a.interface, b.interface);
}

/**
 * Routes of the main table, of each uplink's table and of the rescue lane's. The own tables repeat what is known of the
 * inside, since a rule that leads there asks no other table first.
 */
export function routesOf(scope: Scope, networkId: Uint8Array): readonly DesiredRoute[] {
  const tables = tablesOf(scope);
  const gateways = gatewaysOf(scope);
  const byDefault = (gateway: Gateway, table: number, metric: number): DesiredRoute => ({
    family: gateway.family,
    to: anywhere(gateway.family),
    via: gateway.via,
    interface: gateway.interface,
    table,
    metric,
  });
  const metricOf = (gateway: Gateway): number => (gateway.rank + 1) * METRIC_STEP;
  const own = gateways.flatMap(({ family, interface: name }) => [
    { family, table: tables.get(name)! },
    { family, table: RESCUE_TABLE },
  ]);
  const unique = [...new Map(own.map((one) => [`${one.family} ${one.table}`, one])).values()];
  const known = knownRoutes(scope, networkId);
  return [
    ...scope.router.routes.map((route): DesiredRoute => {
      const { to, via, interface: name, metric } = route;
      return { family: parsePrefix(to)!.family, to, via, interface: name, table: MAIN, metric };
    }),
    ...gateways.map((gateway) => byDefault(gateway, MAIN, metricOf(gateway))),
    ...gateways.map((gateway) => byDefault(gateway, tables.get(gateway.interface)!, 0)),
    ...gateways.map((gateway) => byDefault(gateway, RESCUE_TABLE, metricOf(gateway))),
    ...unique.flatMap(({ family, table }) =>
      known
        .filter(({ prefix }) => prefix.family === family)
        .map(
          ({ prefix, via, interface: name }): DesiredRoute => ({
            family,
            to: formatPrefix(prefix),
            via,
            interface: name,
            table,
            metric: 0,
          }),
        ),
    ),
  ].sort(compareRoutes);
}

/** First the way back by source address and by the uplink that a flow came from, then the lane's own table for what has no source yet. */
export function rulesOf(scope: Scope): readonly DesiredRule[] {
  const tables = tablesOf(scope);
  const gateways = gatewaysOf(scope);
  const bySource = staticUplinks(scope).flatMap((uplink) =>
    uplink.addresses.flatMap((cidr): DesiredRule[] => {
      const ip = parseCidr(cidr)!;
      const reachable = gateways.some((one) => one.interface === uplink.interface && one.family === ip.family);
      if (!reachable) return [];
      const from = `${formatIp(ip)}/${BITS[ip.family]}`;
      return [
        { family: ip.family, priority: RULE_FROM, from, fwmark: 0, fwmask: 0, table: tables.get(uplink.interface)! },
      ];
    }),
  );
  const rescue = FAMILIES.filter((family) => gateways.some((gateway) => gateway.family === family)).map(
    (family): DesiredRule => ({
      family,
      priority: RULE_RESCUE,
      from: "",
      fwmark: RESCUE_MARK,
      fwmask: MARK_MASK,
      table: RESCUE_TABLE,
    }),
  );
  const marks = marksOf(scope);
  const byMark = gateways.flatMap((gateway): DesiredRule[] => {
    const mark = marks.get(gateway.interface);
    if (mark === undefined) return [];
    const table = tables.get(gateway.interface)!;
    return [{ family: gateway.family, priority: RULE_MARK, from: "", fwmark: mark, fwmask: MARK_MASK, table }];
  });
  return [...bySource, ...byMark, ...rescue].sort(
    (a, b) => a.family - b.family || a.priority - b.priority || byText(a.from, b.from) || a.fwmark - b.fwmark,
  );
}

/** An interface name inside a sysctl key: sysctl(8) writes its dots as slashes. */
const keyPart = (name: string): string => name.replaceAll(".", "/");

/**
 * Kernel settings in the order in which they must be written: uplinks keep listening to router advertisements before
 * forwarding would make them deaf, and forwarding comes last.
 */
export function sysctlsOf(scope: Scope): readonly { readonly key: string; readonly value: string }[] {
  const { uplinks, forward_v6: six } = scope.router;
  const set = (key: string, value: string) => ({ key, value });
  return [
    ...uplinks
      .filter((uplink) => uplink.dynamic && six)
      .map((uplink) => set(`net.ipv6.conf.${keyPart(uplink.interface)}.accept_ra`, "2")),
    // With two ways out a packet may rightly come in where its answer would not leave.
    ...(uplinks.length > 1
      ? uplinks.map((uplink) => set(`net.ipv4.conf.${keyPart(uplink.interface)}.rp_filter`, "2"))
      : []),
    set("net.ipv4.conf.all.promote_secondaries", "1"),
    set("net.ipv4.conf.all.src_valid_mark", "1"),
    set("net.ipv4.ip_forward", "1"),
    set("net.ipv6.conf.all.forwarding", six ? "1" : "0"),
  ];
}
