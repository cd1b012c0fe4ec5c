/** Sets and maps over interfaces, addresses and clients. A client is elements here, and nothing anywhere else. */
import type { NftSet } from "../../../schemas/desired.ts";
import { type Family, formatPrefix, isUla, overlaps, type Prefix, parseIp, parsePrefix } from "../../../schemas/ip.ts";
import type { Root, Roster } from "../../../schemas/trust.ts";
import { boxText, pingRanges, rangeText, serviceBoxes } from "./boxes.ts";
import { mapOf, setOf } from "./objects.ts";
import { profileChain } from "./policy.ts";
import { operatorRescueAddress, RESCUE_LINK, rescuePrefix } from "./rescue.ts";
import { disjointPrefixes, FAMILIES, insidePrefixes, interfacesOf, type Node, type Scope, type Seat } from "./scope.ts";
import { markElements } from "./uplinks.ts";
import { quoted, type Way } from "./words.ts";

const addr = (family: Family): string => `ipv${family}_addr`;

/** Addresses of one family with their seat. */
function seatsOf(scope: Scope, family: Family): readonly { readonly address: string; readonly seat: Seat }[] {
  return scope.seats.flatMap((seat) =>
    seat.addresses.filter((one) => one.family === family).map(({ text }) => ({ address: text, seat })),
  );
}

/** Interfaces by what may come from them. */
function interfaceSets(scope: Scope): readonly NftSet[] {
  const names = (name: string, pick: (node: Node) => boolean, more: readonly string[] = []): NftSet =>
    setOf(name, "ifname", [...interfacesOf(scope, pick), ...more].map(quoted));
  return [
    names("s_uplink", (node) => node.kind === "uplink"),
    names("s_lan", (node) => node.kind !== "network" && node.kind !== "uplink"),
    names("s_dhcp", (node) => node.dhcp),
    names("s_tunnel", (node) => node.kind === "network", [RESCUE_LINK]),
    names("s_walled", (node) => !node.open && node.kind !== "network"),
    // Interfaces whose sources are listed; of all others only this is known, that nobody listed is behind them.
    names("s_guarded", (node) => !node.open, [RESCUE_LINK]),
    names("s_known", () => true, [RESCUE_LINK]),
    names("s_lab", (node) => node.experimental),
    names("s_lab_out", (node) => node.experimental || node.kind === "uplink"),
  ];
}

const PRIVATE4 = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"].map((text) => parsePrefix(text)!);

const isPrivate = (prefix: Prefix): boolean =>
  prefix.family === 6 ? isUla(prefix) : PRIVATE4.some((one) => overlaps(one, prefix));

/** Who may be behind which interface, and what must not leave as it is. */
function sourceSets(scope: Scope, operators: readonly string[], lane: Prefix): readonly NftSet[] {
  return FAMILIES.flatMap((family) => {
    const seats = seatsOf(scope, family).flatMap(({ address, seat }) =>
      seat.node.interfaces.map((name) => `${address} . ${quoted(name)}`),
    );
    const rescue = family === 6 ? operators.map((address) => `${address} . ${quoted(RESCUE_LINK)}`) : [];
    const walled = scope.nodes
      .filter((node) => !node.open && node.kind !== "network")
      .flatMap((node) =>
        node.prefixes
          .filter((prefix) => prefix.family === family)
          .flatMap((prefix) => node.interfaces.map((name) => `${formatPrefix(prefix)} . ${quoted(name)}`)),
      );
    const inside = insidePrefixes(scope.nodes, family);
    // Operators are behind their lane, and nowhere else either.
    const guarded = family === 6 ? disjointPrefixes([...inside, lane]) : inside;
    const own = scope.nodes.filter((node) => !node.open && node.prefixes.some((prefix) => prefix.family === family));
    return [
      setOf(`s_src${family}`, `${addr(family)} . ifname`, [...seats, ...rescue]),
      setOf(`s_lan${family}`, `${addr(family)} . ifname`, walled, { interval: true }),
      setOf(`s_inside${family}`, addr(family), guarded.map(formatPrefix), { interval: true }),
      setOf(`s_leak${family}`, addr(family), inside.filter(isPrivate).map(formatPrefix), { interval: true }),
      ...own.map((node) =>
        setOf(
          `s_net${family}_${node.word}`,
          addr(family),
          node.prefixes.filter((prefix) => prefix.family === family).map(formatPrefix),
          { interval: true },
        ),
      ),
    ];
  });
}

/** Grants and profiles of clients: one source, the same as AllowedIPs. */
function clientSets(scope: Scope): readonly NftSet[] {
  const withDns = new Map(scope.profiles.map((profile) => [profile.id, profile.dns]));
  return FAMILIES.flatMap((family) => {
    const seats = seatsOf(scope, family);
    const services = seats.map(({ address, seat }) => ({
      address,
      list: seat.services.map((id) => scope.services.get(id)).filter((service) => service !== undefined),
    }));
    const boxes = services.flatMap(({ address, list }) =>
      serviceBoxes(list, family).map((box) => ({
        element: `${address} . ${boxText(family, box)}`,
        single: box.from === box.to && box.ports[0] === box.ports[1],
      })),
    );
    const pings = services.flatMap(({ address, list }) =>
      pingRanges(list, family).map((range) => ({
        element: `${address} . ${rangeText(family, range)}`,
        single: range.from === range.to,
      })),
    );
    const those = (list: typeof boxes, single: boolean): readonly string[] =>
      list.filter((one) => one.single === single).map((one) => one.element);
    const dns = seats.filter(({ seat }) => {
      const flags = withDns.get(seat.profile);
      return flags !== undefined && (family === 4 ? flags.v4 : flags.v6);
    });
    const servers = scope.nodes.flatMap((node) =>
      (node.network?.dns ?? [])
        .filter((text) => parseIp(text)?.family === family)
        .flatMap((text) =>
          ["tcp", "udp"].map((protocol) => `${text} . ${quoted(node.interfaces[0]!)} . ${protocol} . 53`),
        ),
    );
    const profiles = (way: Way): readonly string[] =>
      seats
        .filter(({ seat }) => withDns.has(seat.profile))
        .map(({ address, seat }) => `${address} : goto ${profileChain(way, seat.profile)}`);
    const a = addr(family);
    const tuple = `${a} . ${a} . inet_proto . inet_service`;
    return [
      // Most grants are one port of one host. Refilling ten thousand of them takes seconds in an interval set
      // (measured: 5.4 s of system time), and none in a hash.
      setOf(`s_grant${family}`, tuple, those(boxes, true)),
      setOf(`s_grant_wide${family}`, tuple, those(boxes, false), { interval: true }),
      setOf(`s_grant_ping${family}`, `${a} . ${a}`, those(pings, true)),
      setOf(`s_grant_ping_wide${family}`, `${a} . ${a}`, those(pings, false), { interval: true }),
      setOf(
        `s_dns_client${family}`,
        a,
        dns.map(({ address }) => address),
      ),
      setOf(`s_dns${family}`, `${a} . ifname . inet_proto . inet_service`, servers),
      mapOf(`m_prof${family}`, a, "verdict", profiles("original")),
      mapOf(`m_prof${family}_reply`, a, "verdict", profiles("reply")),
    ];
  });
}

/** Port-forwards as the map that translates and the set that admits exactly its image. */
function forwardSets(scope: Scope): readonly NftSet[] {
  const entries = scope.intent.port_forwards.flatMap((forward) => {
    const zone = scope.nodes.find((node) => node.id === forward.zone && node.kind === "uplink");
    return (zone?.interfaces ?? []).flatMap((name) =>
      Array.from({ length: forward.count }, (_, i) => ({
        forward,
        name,
        port: forward.port + i,
        to: forward.to_port + i,
      })),
    );
  });
  return [
    mapOf(
      "m_pf4",
      "ipv4_addr . inet_service . inet_proto . ifname",
      "ipv4_addr . inet_service",
      entries.map(
        ({ forward, name, port, to }) =>
          `${forward.address} . ${port} . ${forward.protocol} . ${quoted(name)} : ${forward.to_address} . ${to}`,
      ),
    ),
    setOf(
      "s_pf4",
      "typeof ip daddr . ct original ip daddr . meta l4proto . th dport . iifname",
      entries.map(
        ({ forward, name, to }) =>
          `${forward.to_address} . ${forward.address} . ${forward.protocol} . ${to} . ${quoted(name)}`,
      ),
    ),
  ];
}

/** Pairs of interfaces whose flows leave under the router's address. */
function natSets(scope: Scope): readonly NftSet[] {
  const pairs = (list: readonly { readonly from: string; readonly to: string }[]): readonly string[] =>
    list.flatMap(({ from, to }) => {
      const source = scope.nodes.find((node) => node.id === from);
      const exit = scope.nodes.find((node) => node.id === to && node.kind === "uplink");
      return (source?.interfaces ?? []).flatMap((a) =>
        (exit?.interfaces ?? []).map((b) => `${quoted(a)} . ${quoted(b)}`),
      );
    });
  return [
    setOf("s_masq4", "ifname . ifname", pairs(scope.intent.masquerade)),
    setOf("s_masq6", "ifname . ifname", pairs(scope.intent.nat66)),
  ];
}

/** What judges packets of an interface: originals to others, their replies, originals to the router, its replies. */
function dispatchMaps(scope: Scope): readonly NftSet[] {
  const to = (name: string, prefix: string, more: readonly string[] = []): NftSet =>
    mapOf(name, "ifname", "verdict", [
      ...scope.nodes.flatMap((node) => node.interfaces.map((one) => `${quoted(one)} : goto ${prefix}_${node.word}`)),
      ...more,
    ]);
  return [
    to("v_orig", "z_o"),
    to("v_reply", "z_r"),
    to("v_input", "z_i", [`${quoted(RESCUE_LINK)} : goto z_i_rescue`]),
    to("v_output", "z_q", [`${quoted(RESCUE_LINK)} : goto z_q_rescue`]),
  ];
}

/** Every set and map that is not about lanes, policies or profiles. */
export function elementSets(scope: Scope, root: Root, roster: Roster): readonly NftSet[] {
  const operators = roster.operators
    .filter((operator) => operator.status === "active")
    .map((operator) => operatorRescueAddress(root.network_id, operator.lane_key));
  return [
    ...interfaceSets(scope),
    ...sourceSets(scope, operators, rescuePrefix(root.network_id)),
    ...clientSets(scope),
    ...forwardSets(scope),
    ...natSets(scope),
    ...dispatchMaps(scope),
    mapOf("m_uplink", "ifname", "mark", markElements(scope)),
  ];
}
