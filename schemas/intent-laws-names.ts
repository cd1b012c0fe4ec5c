/** Laws of names: unique where they must be, not reserved, and every reference leads to something of its router. */
import { interfaceOf } from "./intent.ts";
import { type IntentIndex, type Law, RESERVED_NAMES } from "./intent-laws-index.ts";
import { type Problem, problem } from "./problem.ts";

type Named = { readonly text: string; readonly path: string };

/** Every second and later use of a text. */
function repeats(list: readonly Named[], what: string): readonly Problem[] {
  const first = new Map<string, string>();
  return list.flatMap(({ text, path }) => {
    const before = first.get(text);
    if (before === undefined) first.set(text, path);
    return before === undefined
      ? []
      : [problem("intent.duplicate", path, `${what} ${text} is already at ${before}: remove or rename one of them.`)];
  });
}

const idsOf = (list: readonly { readonly id: string }[], key: string): readonly Named[] =>
  list.map(({ id }, i) => ({ text: id, path: `${key}[${i}].id` }));

const textsOf = (list: readonly string[], path: string): readonly Named[] =>
  list.map((text, i) => ({ text, path: `${path}[${i}]` }));

/** Ids are unique; zones and networks share one space, because policies name both. */
export const uniqueIds: Law = ({ intent }) => [
  ...repeats(idsOf(intent.routers, "routers"), "router"),
  ...repeats([...idsOf(intent.zones, "zones"), ...idsOf(intent.networks, "networks")], "zone or network"),
  ...repeats(idsOf(intent.services, "services"), "service"),
  ...repeats(idsOf(intent.profiles, "profiles"), "profile"),
  ...repeats(idsOf(intent.policies, "policies"), "policy"),
  ...repeats(idsOf(intent.port_forwards, "port_forwards"), "port forward"),
  ...repeats(idsOf(intent.probes, "probes"), "probe"),
  ...repeats(idsOf(intent.contracts, "contracts"), "contract"),
  ...repeats(
    intent.constraints.map(({ network }, i) => ({ text: network, path: `constraints[${i}].network` })),
    "constraint of network",
  ),
  ...repeats(
    intent.masquerade.map(({ from, to }, i) => ({ text: `${from} to ${to}`, path: `masquerade[${i}]` })),
    "masquerade from",
  ),
  ...repeats(
    intent.nat66.map(({ from, to }, i) => ({ text: `${from} to ${to}`, path: `nat66[${i}]` })),
    "nat66 from",
  ),
];

/** A list that means a set says each thing once; otherwise two spellings of one intent would differ in their digest. */
export const uniqueValues: Law = ({ intent }) => [
  ...intent.routers.flatMap((router, r) => [
    ...repeats(
      router.uplinks.map((uplink, u) => ({ text: uplink.interface, path: `routers[${r}].uplinks[${u}].interface` })),
      "uplink",
    ),
    ...repeats(textsOf(router.management.addresses, `routers[${r}].management.addresses`), "address"),
    ...repeats(textsOf(router.management.zones, `routers[${r}].management.zones`), "zone"),
    ...repeats(textsOf(router.management.accept_foreign, `routers[${r}].management.accept_foreign`), "foreign rules"),
    ...repeats(
      router.routes.map(({ to, metric }, i) => ({
        text: `${to} metric ${metric}`,
        path: `routers[${r}].routes[${i}]`,
      })),
      "route to",
    ),
  ]),
  ...intent.networks.flatMap((network, n) => repeats(textsOf(network.dns, `networks[${n}].dns`), "address")),
  ...intent.services.flatMap((service, s) => [
    ...repeats(textsOf(service.addresses, `services[${s}].addresses`), "address"),
    ...repeats(
      service.ports.map((port, p) => ({
        text: `${port.protocol} ${port.from} ${port.to === 0 ? port.from : port.to}`,
        path: `services[${s}].ports[${p}]`,
      })),
      "port",
    ),
  ]),
  ...intent.profiles.flatMap((profile, p) => [
    ...repeats(
      profile.reach.map(({ zone }, i) => ({ text: zone, path: `profiles[${p}].reach[${i}].zone` })),
      "zone",
    ),
    ...repeats(textsOf(profile.services, `profiles[${p}].services`), "service"),
  ]),
  ...intent.constraints.flatMap((one, c) => repeats(textsOf(one.profiles, `constraints[${c}].profiles`), "profile")),
  ...intent.policies.flatMap((policy, p) => repeats(textsOf(policy.services, `policies[${p}].services`), "service")),
];

/** "router" and "internet" are words of the language, "rescue" is the lane that no intent owns. */
export const reservedNames: Law = ({ intent }) => {
  const named = [
    ...idsOf(intent.routers, "routers"),
    ...idsOf(intent.zones, "zones"),
    ...idsOf(intent.networks, "networks"),
    ...idsOf(intent.profiles, "profiles"),
    ...idsOf(intent.services, "services"),
  ].filter(({ text }) => RESERVED_NAMES.includes(text));
  const interfaces = [
    ...intent.zones.flatMap((zone, z) => textsOf(zone.interfaces, `zones[${z}].interfaces`)),
    ...intent.networks.map((network, n) => ({ text: interfaceOf(network), path: `networks[${n}].interface` })),
  ].filter(({ text }) => ["hf-rescue", "lo", ".", ".."].includes(text));
  return [...named, ...interfaces].map(({ text, path }) =>
    problem("intent.reserved_name", path, `${text} has a fixed meaning here: choose another name.`),
  );
};

type Reference = { readonly path: string; readonly what: string; readonly name: string; readonly known: boolean };

function references(index: IntentIndex): readonly Reference[] {
  const { intent } = index;
  const found: Reference[] = [];
  const name = (path: string, what: string, text: string, table: ReadonlyMap<string, unknown>, also = ""): void => {
    found.push({ path, what, name: text, known: table.has(text) || (also !== "" && text === also) });
  };
  const all = (path: string, what: string, list: readonly string[], table: ReadonlyMap<string, unknown>): void => {
    for (const [i, text] of list.entries()) name(`${path}[${i}]`, what, text, table);
  };
  for (const [r, router] of intent.routers.entries()) {
    all(`routers[${r}].management.zones`, "zone or network", router.management.zones, index.sides);
  }
  for (const [i, zone] of intent.zones.entries()) name(`zones[${i}].router`, "router", zone.router, index.routers);
  for (const [i, one] of intent.networks.entries()) name(`networks[${i}].router`, "router", one.router, index.routers);
  for (const [i, profile] of intent.profiles.entries()) {
    for (const [k, reach] of profile.reach.entries()) {
      // A network here is not unknown but forbidden (V13); the experimental and wg-to-wg laws say so.
      name(`profiles[${i}].reach[${k}].zone`, "zone", reach.zone, index.sides);
    }
    all(`profiles[${i}].services`, "service", profile.services, index.services);
  }
  for (const [i, constraint] of intent.constraints.entries()) {
    name(`constraints[${i}].network`, "network", constraint.network, index.networks);
    all(`constraints[${i}].profiles`, "profile", constraint.profiles, index.profiles);
  }
  for (const [i, policy] of intent.policies.entries()) {
    name(`policies[${i}].from`, "zone or network", policy.from, index.sides);
    name(`policies[${i}].to`, "zone or network", policy.to, index.sides, "router");
    all(`policies[${i}].services`, "service", policy.services, index.services);
  }
  for (const [i, one] of intent.port_forwards.entries()) {
    name(`port_forwards[${i}].zone`, "zone", one.zone, index.zones);
  }
  for (const key of ["masquerade", "nat66"] as const) {
    for (const [i, nat] of intent[key].entries()) {
      name(`${key}[${i}].from`, "zone or network", nat.from, index.sides);
      name(`${key}[${i}].to`, "zone", nat.to, index.zones);
    }
  }
  for (const [i, probe] of intent.probes.entries()) {
    name(`probes[${i}].router`, "router", probe.router, index.routers);
    if (probe.kind === "handshake") name(`probes[${i}].target`, "network", probe.target, index.networks);
  }
  return found;
}

/** Every reference names a thing that exists. */
export const knownReferences: Law = (index) =>
  references(index)
    .filter((one) => !one.known)
    .map((one) =>
      problem("intent.no_such", one.path, `There is no ${one.what} ${one.name}: add it, or correct the name.`),
    );

/** What is joined on one router is of that router. */
export const sameRouter: Law = (index) => {
  const { intent, sides, networks } = index;
  const routerOf = (id: string): string | undefined => sides.get(id)?.router;
  const found: Problem[] = [];
  const same = (path: string, a: string, b: string, of: string | undefined): void => {
    const other = routerOf(b);
    if (of === undefined || other === undefined || of === other) return;
    found.push(
      problem(
        "intent.other_router",
        path,
        `${b} is on router ${other}, ${a} is on ${of}: name one of the same router.`,
      ),
    );
  };
  for (const [r, router] of intent.routers.entries()) {
    for (const [z, zone] of router.management.zones.entries()) {
      same(`routers[${r}].management.zones[${z}]`, router.id, zone, router.id);
    }
  }
  for (const [i, policy] of intent.policies.entries()) {
    same(`policies[${i}].to`, policy.from, policy.to, routerOf(policy.from));
  }
  for (const key of ["masquerade", "nat66"] as const) {
    for (const [i, nat] of intent[key].entries()) same(`${key}[${i}].to`, nat.from, nat.to, routerOf(nat.from));
  }
  for (const [i, probe] of intent.probes.entries()) {
    if (probe.kind === "handshake" && networks.has(probe.target)) {
      same(`probes[${i}].target`, probe.id, probe.target, probe.router);
    }
  }
  return found;
};
