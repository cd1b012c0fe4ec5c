/** Laws of a router: its interfaces, uplinks, addresses and routes, and at least one management path that works. */
import { interfaceOf, type Router } from "./intent.ts";
import {
  hasFamily,
  type IntentIndex,
  type Law,
  localNetwork,
  prefixesOf,
  type Side,
  zoneOfInterface,
} from "./intent-laws-index.ts";
import {
  BITS,
  contains,
  hostPrefix,
  type Ip,
  isLinkLocal,
  lastOf,
  networkOf,
  overlaps,
  parseIp,
  parsePrefix,
} from "./ip.ts";
import { type Problem, problem } from "./problem.ts";

type Use = { readonly name: string; readonly by: string; readonly path: string };

/** A kernel interface is in one zone, or is one WireGuard device; never both, never twice. */
export const oneZonePerInterface: Law = ({ intent }) =>
  intent.routers.flatMap((router) => {
    const uses: readonly Use[] = [
      ...intent.zones.flatMap((zone, z) =>
        zone.router === router.id
          ? zone.interfaces.map((name, i) => ({ name, by: `zone ${zone.id}`, path: `zones[${z}].interfaces[${i}]` }))
          : [],
      ),
      ...intent.networks.flatMap((network, n) =>
        network.router === router.id
          ? [{ name: interfaceOf(network), by: `network ${network.id}`, path: `networks[${n}].interface` }]
          : [],
      ),
    ];
    const first = new Map<string, Use>();
    return uses.flatMap((use) => {
      const before = first.get(use.name);
      if (before === undefined) first.set(use.name, use);
      return before === undefined
        ? []
        : [
            problem(
              "intent.interface",
              use.path,
              `${use.by} and ${before.by} both use interface ${use.name}: an interface is in exactly one zone; take it out of one.`,
            ),
          ];
    });
  });

/** Every interface that a router names is classified: an unclassified one is dropped by the ruleset. */
export const classifiedInterfaces: Law = ({ intent }) =>
  intent.routers.flatMap((router, r) => {
    const devices = intent.networks.filter((network) => network.router === router.id).map(interfaceOf);
    const missing = (name: string, path: string, fix: string): readonly Problem[] =>
      zoneOfInterface(intent, router.id, name) === undefined
        ? [problem("intent.interface", path, `Interface ${name} is in no zone of router ${router.id}: ${fix}`)]
        : [];
    return [
      ...router.uplinks.flatMap(({ interface: name }, u) =>
        missing(name, `routers[${r}].uplinks[${u}].interface`, "add it to a zone of kind uplink."),
      ),
      ...router.addresses.flatMap(({ interface: name }, a) =>
        devices.includes(name)
          ? [
              problem(
                "intent.address",
                `routers[${r}].addresses[${a}].interface`,
                `Interface ${name} belongs to a WireGuard network, whose address follows from its subnet: remove this address.`,
              ),
            ]
          : missing(name, `routers[${r}].addresses[${a}].interface`, "add it to a zone."),
      ),
      ...router.routes.flatMap(({ interface: name }, a) =>
        devices.includes(name) ? [] : missing(name, `routers[${r}].routes[${a}].interface`, "add it to a zone."),
      ),
    ];
  });

/** Uplink zones hold uplinks and nothing else; uplinks are nowhere else. */
export const uplinkZones: Law = ({ intent, routers }) =>
  intent.zones.flatMap((zone, z) => {
    const uplinks = routers.get(zone.router)?.uplinks.map((uplink) => uplink.interface);
    if (uplinks === undefined) return [];
    return zone.interfaces
      .map((name, i) => ({ name, path: `zones[${z}].interfaces[${i}]` }))
      .filter(({ name }) => uplinks.includes(name) !== (zone.kind === "uplink"))
      .map(({ name, path }) =>
        problem(
          "intent.uplink",
          path,
          zone.kind === "uplink"
            ? `Interface ${name} of uplink zone ${zone.id} is no uplink of router ${zone.router}: add it to the router's uplinks, or change the zone's kind.`
            : `Interface ${name} is an uplink of router ${zone.router}, but zone ${zone.id} is ${zone.kind}: move it to a zone of kind uplink.`,
        ),
      );
  });

/** Shape of an uplink: dynamic ones get everything from outside, static ones say all of it and it fits. */
export const uplinkAddresses: Law = ({ intent, locals }) =>
  intent.routers.flatMap((router, r) =>
    router.uplinks.flatMap((uplink, u): Problem[] => {
      const path = `routers[${r}].uplinks[${u}]`;
      if (uplink.dynamic) {
        return uplink.addresses.length + uplink.gateways.length === 0
          ? []
          : [
              problem(
                "intent.uplink",
                path,
                `Uplink ${uplink.interface} is dynamic: remove its addresses and gateways, or set dynamic: false.`,
              ),
            ];
      }
      const own = locals.filter((local) => local.path.startsWith(`${path}.addresses[`)).map(localNetwork);
      const found: Problem[] = [];
      if (own.length === 0) {
        found.push(
          problem("intent.uplink", path, `Uplink ${uplink.interface} has no address: add one, or set dynamic: true.`),
        );
      }
      const families = new Set<number>();
      for (const [g, text] of uplink.gateways.entries()) {
        const ip = parseIp(text);
        if (ip === undefined) continue;
        if (families.has(ip.family)) {
          found.push(
            problem(
              "intent.uplink",
              `${path}.gateways[${g}]`,
              `A second IPv${ip.family} gateway: keep one per family.`,
            ),
          );
        }
        families.add(ip.family);
        if (isLinkLocal(hostPrefix(ip)) || own.some((prefix) => contains(prefix, ip))) continue;
        found.push(
          problem(
            "intent.uplink",
            `${path}.gateways[${g}]`,
            `Gateway ${text} is in no subnet of ${uplink.interface}: give the uplink an address in the gateway's subnet.`,
          ),
        );
      }
      return found;
    }),
  );

/** Neither the network's own address nor, in IPv4, its broadcast; point to point knows neither (RFC 3021, RFC 6164). */
function isHost(ip: Ip, length: number): boolean {
  const prefix = networkOf({ ...ip, length });
  if (length >= BITS[ip.family] - 1) return true;
  return ip.value !== prefix.value && (ip.family === 6 || ip.value !== lastOf(prefix));
}

/** The router's own addresses: each once, a host of its subnet, inside its zone, never inside a WireGuard network. */
export const localAddresses: Law = (index) => {
  const { intent, locals, sides } = index;
  const networks = intent.networks.map((network) => ({ network, subnets: prefixesOf(network.subnets) }));
  const seen = new Map<string, string>();
  return locals.flatMap((local): Problem[] => {
    const text = local.text;
    const key = `${local.router} ${text}`;
    const before = seen.get(key);
    seen.set(key, before ?? local.path);
    if (before !== undefined) {
      return [problem("intent.address", local.path, `${text} is already at ${before}: give each address once.`)];
    }
    if (local.path.startsWith("networks[")) return [];
    if (!isHost(local.ip, local.length)) {
      return [problem("intent.address", local.path, `${text} is the network or broadcast address: choose a host.`)];
    }
    const inside = networks.find(({ subnets }) => subnets.some((subnet) => contains(subnet, local.ip)));
    if (inside !== undefined) {
      return [
        problem(
          "intent.address",
          local.path,
          `${text} lies in WireGuard network ${inside.network.id}, whose address follows from its subnet: choose another.`,
        ),
      ];
    }
    const side = sides.get(local.side);
    if (side === undefined || side.uplink || side.subnets.some((subnet) => contains(subnet, local.ip))) return [];
    if (isLinkLocal(hostPrefix(local.ip))) return [];
    return [
      problem(
        "intent.address",
        local.path,
        `${text} is in no subnet of zone ${side.id}: add the subnet to the zone, or correct the address.`,
      ),
    ];
  });
};

function routeProblems(index: IntentIndex, router: Router, r: number): readonly Problem[] {
  const { intent, locals } = index;
  return router.routes.flatMap((route, i): Problem[] => {
    const path = `routers[${r}].routes[${i}]`;
    const to = parsePrefix(route.to);
    const device = intent.networks.find((one) => one.router === router.id && interfaceOf(one) === route.interface);
    if (device !== undefined || to === undefined) {
      const text = `A route into WireGuard network ${device?.id} never carries a packet: peers hold host addresses only. Remove it.`;
      return device === undefined ? [] : [problem("intent.route", `${path}.interface`, text)];
    }
    const found: Problem[] = [];
    for (const network of intent.networks) {
      if (!prefixesOf(network.subnets).some((subnet) => subnet.length <= to.length && overlaps(subnet, to))) continue;
      const text = `${route.to} lies in WireGuard network ${network.id}: the route would take its clients away. Remove it.`;
      found.push(problem("intent.route", `${path}.to`, text));
    }
    const via = route.via === "" ? undefined : parseIp(route.via);
    if (via === undefined) return found;
    if (via.family !== to.family) {
      const text = `${route.via} and ${route.to} are of two families: name a gateway of the route's family.`;
      return [...found, problem("intent.route", `${path}.via`, text)];
    }
    const zone = zoneOfInterface(intent, router.id, route.interface);
    const near = [
      ...prefixesOf(zone?.subnets ?? []),
      ...locals.filter((local) => local.router === router.id && local.side === zone?.id).map(localNetwork),
    ];
    if (zone !== undefined && !isLinkLocal(hostPrefix(via)) && !near.some((prefix) => contains(prefix, via))) {
      const text = `${route.via} is in no subnet of interface ${route.interface}: name a neighbour, or correct the interface.`;
      found.push(problem("intent.route", `${path}.via`, text));
    }
    return found;
  });
}

/** Routes lead through neighbours, and never into a WireGuard device (V15). */
export const routes: Law = (index) => index.intent.routers.flatMap((router, r) => routeProblems(index, router, r));

/** True when a host of `side` can open the router's address: an uplink only its own, insiders any of their family. */
function opens(index: IntentIndex, side: Side, router: string, ip: Ip): boolean {
  const local = index.locals.find(
    (one) => one.router === router && one.ip.family === ip.family && one.ip.value === ip.value,
  );
  if (local === undefined) return false;
  return side.uplink ? local.side === side.id : hasFamily(side, ip.family);
}

/** Management is at addresses of the router, from places that may manage, and at least one pair of them works (P1). */
export const management: Law = (index) =>
  index.intent.routers.flatMap((router, r): Problem[] => {
    const path = `routers[${r}].management`;
    const found: Problem[] = [];
    const sides = router.management.zones
      .map((id) => index.sides.get(id))
      .filter((side) => side !== undefined && side.router === router.id && !side.experimental);
    for (const [z, id] of router.management.zones.entries()) {
      if (index.sides.get(id)?.experimental !== true) continue;
      const text = `${id} is experimental and never carries management: name a production zone or network.`;
      found.push(problem("intent.experimental", `${path}.zones[${z}]`, text));
    }
    let works = false;
    for (const [a, text] of router.management.addresses.entries()) {
      const ip = parseIp(text);
      if (ip === undefined) continue;
      const own = index.locals.find((one) => one.router === router.id && one.text === text);
      if (own === undefined) {
        const fix = `${text} is no address of router ${router.id}: add it to its addresses or to an uplink, or name another.`;
        found.push(problem("intent.management", `${path}.addresses[${a}]`, fix));
      } else if (index.sides.get(own.side)?.experimental === true) {
        const fix = `${text} is an address in experimental ${own.side}: management listens on production addresses only.`;
        found.push(problem("intent.experimental", `${path}.addresses[${a}]`, fix));
      }
      works ||= sides.some((side) => opens(index, side!, router.id, ip));
    }
    if (!works && found.length === 0) {
      const text = `No management zone of router ${router.id} can open any management address: name a zone and an address that it reaches.`;
      found.push(problem("intent.management", path, text));
    }
    return found;
  });

/** Management zones exist to manage from; a zone of that kind that nobody may manage from is a mistake. */
export const managementZones: Law = ({ intent, routers }) =>
  intent.zones.flatMap((zone, z) => {
    const named = routers.get(zone.router)?.management.zones;
    if (zone.kind !== "management" || named === undefined || named.includes(zone.id)) return [];
    const text = `Zone ${zone.id} is of kind management, but router ${zone.router} takes no management from it: add it to management.zones.`;
    return [problem("intent.management", `zones[${z}].kind`, text)];
  });
