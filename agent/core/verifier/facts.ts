/**
 * What a router's own addresses, devices and routes say about packets of one family. An address that the generation
 * does not know (a dynamic uplink's, a link-local one) is stood in for by one that nothing mentions: whatever is
 * proven of it holds of every address that the ruleset does not name.
 */
import type { Desired, DesiredRule } from "../../../schemas/desired.ts";
import { type Family, lastOf, networkOf, type Prefix, parseCidr, parseIp, parsePrefix } from "../../../schemas/ip.ts";
import type { OwnAddresses } from "./chains.ts";
import type { Interval, Value } from "./fields.ts";
import { addressesOf } from "./words.ts";

const MAIN_TABLE = 254;

export type Route = { readonly prefix: Prefix; readonly interface: string; readonly metric: number };

export type Device = { readonly name: string; readonly allowed: readonly Interval[] };

export type Facts = OwnAddresses & {
  readonly family: Family;
  /** Targets that are delivered here without being an address: groups, broadcasts, and IPv6's routers of a subnet. */
  readonly groups: readonly Interval[];
  /** Interfaces whose addresses the generation does not set: routes that it does not know may lead there. */
  readonly dynamic: readonly string[];
  /** Those with no address of the other family either, and no known subnet: any subnet may be on them. */
  readonly unmanaged: readonly string[];
  readonly forwarding: boolean;
  readonly devices: readonly Device[];
  readonly tables: ReadonlyMap<number, readonly Route[]>;
  readonly rules: readonly DesiredRule[];
  readonly main: number;
};

/** Stand-ins of addresses that are not known: documentation space, and link-local. */
const STAND_IN: Readonly<Record<Family, (n: number) => string>> = {
  4: (n) => `203.0.113.${250 - n}`,
  6: (n) => `2001:db8:fffe::${(0x250 + n).toString(16)}`,
};
const OWN_LINK_LOCAL = "fe80::1:0:0:1";

const LOOPBACK: Readonly<Record<Family, string>> = { 4: "127.0.0.0/8", 6: "::1" };
const GROUPS: Readonly<Record<Family, readonly string[]>> = { 4: ["224.0.0.0/4", "255.255.255.255"], 6: ["ff00::/8"] };

/** The kernel's switch of forwarding. */
const FORWARDING: Readonly<Record<Family, string>> = { 4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding" };

const intervalOf = (text: string, family: Family): Interval | undefined => addressesOf(text, family);

function narrow(value: bigint, family: Family): Value {
  return family === 4 ? Number(value) : value;
}

/** The facts of one family; `named` are the interfaces that the ruleset names. */
export function factsOf(desired: Desired, family: Family, named: readonly string[]): Facts {
  const own = desired.addresses.flatMap(({ interface: name, cidr }) => {
    const parsed = parseCidr(cidr);
    return parsed?.family === family ? [{ name, value: narrow(parsed.value, family), network: networkOf(parsed) }] : [];
  });
  const links = new Set(desired.links.map((link) => link.name));
  const dynamic = named
    .filter((name) => name !== "lo" && !links.has(name) && !own.some((one) => one.name === name))
    .sort();
  const standIns = dynamic.map((name, i) => ({ name, value: intervalOf(STAND_IN[family](i), family)!.from }));
  const api = desired.api.flatMap(({ address }) => {
    const ip = parseIp(address);
    return ip?.family === family ? [narrow(ip.value, family)] : [];
  });
  const single = [...own.map((one) => one.value), ...standIns.map((one) => one.value), ...api];
  const linkLocal = family === 6 ? [intervalOf(OWN_LINK_LOCAL, 6)!] : [];
  const broadcasts =
    family === 4
      ? own.filter(({ network }) => network.length < 31).map(({ network }) => narrow(lastOf(network), 4))
      : [];
  // A router answers to the lowest address of each of its subnets (RFC 4291 2.6.1; the kernel below a length of 127).
  const anycast =
    family === 6 ? own.filter(({ network }) => network.length < 127).map(({ network }) => network.value) : [];
  const tables = new Map<number, Route[]>();
  const add = (table: number, route: Route): void => {
    tables.set(table, [...(tables.get(table) ?? []), route]);
  };
  for (const { name, network } of own) add(MAIN_TABLE, { prefix: network, interface: name, metric: 0 });
  for (const route of desired.routes) {
    const prefix = parsePrefix(route.to);
    if (route.family === family && prefix !== undefined)
      add(route.table, { prefix, interface: route.interface, metric: route.metric });
  }
  // What the tables of uplinks say lies behind an interface lies there for the main table too, whoever set it up.
  const bare = dynamic.filter((name) => !desired.addresses.some((address) => address.interface === name));
  const behind = desired.routes.flatMap((route) => {
    const prefix = parsePrefix(route.to);
    const known =
      route.family === family && prefix !== undefined && prefix.length > 0 && bare.includes(route.interface);
    return known ? [{ prefix, interface: route.interface, metric: 0 }] : [];
  });
  for (const route of behind) add(MAIN_TABLE, route);
  return {
    family,
    local: [
      intervalOf(LOOPBACK[family], family)!,
      ...linkLocal,
      ...[...new Set(single)].map((value) => ({ from: value, to: value })),
    ],
    leaving: leavingAddresses(desired, family, own, standIns),
    groups: [
      ...GROUPS[family].map((text) => intervalOf(text, family)!),
      ...[...broadcasts, ...anycast].map((value) => ({ from: value, to: value })),
    ],
    dynamic,
    unmanaged: bare.filter((name) => !behind.some((route) => route.interface === name)),
    forwarding: desired.sysctls.find(({ key }) => key === FORWARDING[family])?.value !== "0",
    devices: desired.links.map(({ name, peers }) => ({
      name,
      allowed: peers.flatMap((peer) => peer.allowedIps.flatMap((text) => intervalOf(text, family) ?? [])),
    })),
    tables,
    rules: [...desired.rules].filter((rule) => rule.family === family).sort((a, b) => a.priority - b.priority),
    main: MAIN_TABLE,
  };
}

type Own = { readonly name: string; readonly value: Value; readonly network: Prefix };

/** The kernel leaves by the address whose subnet has the next hop, else by the first of the interface. */
function leavingAddresses(
  desired: Desired,
  family: Family,
  own: readonly Own[],
  standIns: readonly { readonly name: string; readonly value: Value }[],
): ReadonlyMap<string, Value> {
  const found = new Map<string, Value>();
  for (const { name, value } of [...own, ...standIns]) if (!found.has(name)) found.set(name, value);
  for (const { interface: name, via } of desired.routes.filter(
    (route) => route.family === family && route.via !== "",
  )) {
    const hop = parseIp(via);
    const near = own.find(
      (one) =>
        one.name === name && hop !== undefined && hop.value >= one.network.value && hop.value <= lastOf(one.network),
    );
    if (near !== undefined) found.set(name, near.value);
  }
  return found;
}

/** Address texts of the generation whose edges a space of IPv6 must know before anything is built. */
export function edgesOf(facts: Facts): readonly bigint[] {
  const intervals = [
    ...facts.local,
    ...facts.groups,
    ...facts.devices.flatMap((device) => device.allowed),
    ...[...facts.leaving.values()].map((value) => ({ from: value, to: value })),
    ...[...facts.tables.values()].flat().map(({ prefix }) => ({ from: prefix.value, to: lastOf(prefix) })),
    ...facts.rules.flatMap((rule) => intervalOf(rule.from, facts.family) ?? []),
  ];
  return intervals.flatMap(({ from, to }) => [BigInt(from), BigInt(to) + 1n]);
}
