/** Laws of address space: subnets disjoint (V12), inside IPv6 is ULA of one /48 (V14), sizes and families that work. */
import { type IntentIndex, type Law, localNetwork, zoneOfInterface } from "./intent-laws-index.ts";
import {
  comparePrefix,
  covers,
  type Family,
  formatPrefix,
  hostPrefix,
  isLinkLocal,
  isUla,
  type Prefix,
  parseIp,
  parsePrefix,
} from "./ip.ts";
import { type Problem, problem } from "./problem.ts";

/** A piece of address space in use, and who uses it. */
type Space = {
  readonly prefix: Prefix;
  readonly owner: string; // "zone lan"
  readonly router: string;
  readonly uplink: boolean;
  readonly path: string;
};

function spacesOf({ intent, sides, locals }: IntentIndex): readonly Space[] {
  const found: Space[] = [];
  for (const key of ["zones", "networks"] as const) {
    for (const [i, one] of intent[key].entries()) {
      for (const [s, text] of one.subnets.entries()) {
        const prefix = parsePrefix(text);
        if (prefix === undefined) continue;
        const owner = `${key === "zones" ? "zone" : "network"} ${one.id}`;
        const uplink = "kind" in one && one.kind === "uplink";
        found.push({ prefix, owner, router: one.router, uplink, path: `${key}[${i}].subnets[${s}]` });
      }
    }
  }
  for (const local of locals) {
    if (sides.get(local.side)?.uplink !== true) continue;
    const { router, path } = local;
    found.push({ prefix: localNetwork(local), owner: `zone ${local.side}`, router, uplink: true, path });
  }
  return found;
}

/** An uplink and its neighbours may share a subnet; what providers hand out elsewhere is not ours to keep apart. */
function mayOverlap(a: Space, b: Space): boolean {
  if (a.uplink && b.uplink) return a.owner === b.owner || a.router !== b.router;
  return (a.uplink || b.uplink) && a.router !== b.router;
}

/**
 * V12: no two zones or networks of the site share an address, so a source address names its place. Prefixes overlap
 * only by holding one another, so in sorted order a few open ones are all that a prefix has to be held against.
 */
export const disjointSubnets: Law = (index) => {
  const spaces = spacesOf(index).map((space, order) => ({ ...space, order }));
  const open: (typeof spaces)[number][] = [];
  const pairs: (readonly [later: (typeof spaces)[number], earlier: (typeof spaces)[number]])[] = [];
  for (const one of spaces.sort((a, b) => comparePrefix(a.prefix, b.prefix))) {
    while (open.length > 0 && !covers(open.at(-1)!.prefix, one.prefix)) open.pop();
    const other = open.findLast((outer) => !mayOverlap(one, outer));
    if (other !== undefined) pairs.push(one.order > other.order ? [one, other] : [other, one]);
    open.push(one);
  }
  return pairs
    .sort((a, b) => a[0].order - b[0].order)
    .map(([one, other]) =>
      problem(
        "intent.overlap",
        one.path,
        `${formatPrefix(one.prefix)} of ${one.owner} overlaps ${formatPrefix(other.prefix)} of ${other.owner}: choose a free subnet.`,
      ),
    );
};

/** V14: everything behind the uplinks that has an IPv6 address has one of the site's /48. */
export const ulaOnly: Law = (index) => {
  const { intent, sides, locals } = index;
  const ula = parsePrefix(intent.ula_prefix);
  const found: Problem[] = [];
  if (intent.ula_prefix !== "" && (ula === undefined || ula.family !== 6 || ula.length !== 48 || !isUla(ula))) {
    const text = "ula_prefix must be one unique local /48, for example fd12:3456:789a::/48.";
    return [problem("intent.not_ula", "ula_prefix", text)];
  }
  const inside: { readonly prefix: Prefix; readonly path: string }[] = [
    ...spacesOf(index).filter((space) => !space.uplink),
    ...locals
      .filter((local) => sides.get(local.side)?.uplink !== true && !local.path.startsWith("networks["))
      .map((local) => ({ prefix: hostPrefix(local.ip), path: local.path })),
  ];
  for (const [r, router] of intent.routers.entries()) {
    for (const [i, route] of router.routes.entries()) {
      const prefix = parsePrefix(route.to);
      const zone = zoneOfInterface(intent, router.id, route.interface);
      if (prefix !== undefined && zone?.kind !== "uplink")
        inside.push({ prefix, path: `routers[${r}].routes[${i}].to` });
    }
  }
  for (const { prefix, path } of inside) {
    if (prefix.family !== 6 || isLinkLocal(prefix)) continue;
    if (ula === undefined) {
      const text = `${formatPrefix(prefix)}: IPv6 behind the uplinks needs the site's own prefix: set ula_prefix to a unique local /48.`;
      found.push(problem("intent.not_ula", path, text));
    } else if (!covers(ula, prefix)) {
      const text = `${formatPrefix(prefix)} is outside ${intent.ula_prefix}: use a subnet of the site's ula_prefix.`;
      found.push(problem("intent.not_ula", path, text));
    }
  }
  return found;
};

const LONGEST: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };

/** A network has at most one subnet per family, large enough for the router and one client. */
export const networkSubnets: Law = ({ intent }) =>
  intent.networks.flatMap((network, n) => {
    const families = new Set<Family>();
    return network.subnets.flatMap((text, s): Problem[] => {
      const prefix = parsePrefix(text);
      const path = `networks[${n}].subnets[${s}]`;
      if (prefix === undefined) return [];
      const again = families.has(prefix.family);
      families.add(prefix.family);
      if (again) {
        return [problem("intent.subnet", path, `A second IPv${prefix.family} subnet: a network has one per family.`)];
      }
      if (prefix.length <= LONGEST[prefix.family]) return [];
      const most = LONGEST[prefix.family];
      return [problem("intent.subnet", path, `${text} has no room for a router and a client: use at most /${most}.`)];
    });
  });

/** A zone behind the uplinks says its subnets: sources outside them are dropped as spoofed. */
export const zoneSubnets: Law = ({ intent }) =>
  intent.zones
    .map((zone, z) => ({ zone, path: `zones[${z}]` }))
    .flatMap(({ zone, path }): Problem[] => {
      const found: Problem[] = [];
      if (zone.kind !== "uplink" && zone.subnets.length === 0) {
        const text = `Zone ${zone.id} has no subnet, so every packet from it would count as spoofed: add its subnets.`;
        found.push(problem("intent.subnet", path, text));
      }
      if (zone.kind === "uplink" && zone.dhcp) {
        found.push(problem("intent.uplink", `${path}.dhcp`, "The router answers no DHCP on an uplink: remove dhcp."));
      }
      return found;
    });

/** Tunnel MTU leaves room for WireGuard's 80 octets on the widest uplink (reference/wireguard.md F29). */
export const tunnelMtu: Law = ({ intent, routers }) =>
  intent.networks.flatMap((network, n) => {
    const uplinks = routers.get(network.router)?.uplinks ?? [];
    const widest = Math.max(...uplinks.map((uplink) => uplink.mtu));
    if (uplinks.length === 0 || network.mtu + 80 <= widest) return [];
    const text = `MTU ${network.mtu} and WireGuard's 80 octets do not fit the uplink MTU ${widest}: use at most ${widest - 80}.`;
    return [problem("intent.mtu", `networks[${n}].mtu`, text)];
  });

/** DNS servers of a network's clients: not in another WireGuard network (V13), for experimental ones not in production. */
export const dnsServers: Law = ({ intent, sides, locals }) =>
  intent.networks.flatMap((network, n) =>
    network.dns.flatMap((text, d): Problem[] => {
      const ip = parseIp(text);
      const path = `networks[${n}].dns[${d}]`;
      const side = [...sides.values()].find(
        (one) => ip !== undefined && !one.uplink && one.subnets.some((subnet) => covers(subnet, hostPrefix(ip))),
      );
      if (side === undefined || side.id === network.id) return [];
      if (side.kind === "network") {
        const fix = `${text} lies in WireGuard network ${side.id}: each network is a domain of its own; name a server elsewhere.`;
        return [problem("intent.wg_to_wg", path, fix)];
      }
      const own = locals.some((local) => local.router === network.router && local.text === text);
      if (own || side.experimental || network.class !== "experimental") return [];
      const fix = `${text} is a host of production zone ${side.id}, and network ${network.id} is experimental: name another server.`;
      return [problem("intent.experimental", path, fix)];
    }),
  );
