/** Laws of who reaches what: policies, profiles on networks, NAT. Experimental stays apart, tunnels never meet. */
import type { Policy, Profile, Service } from "./intent.ts";
import { hasEgress, hasFamily, type IntentIndex, type Law, type Side } from "./intent-laws-index.ts";
import { addressPrefix, coversTcp } from "./intent-laws-ports.ts";
import { type Family, overlaps, parseIp } from "./ip.ts";
import { type Problem, problem } from "./problem.ts";

const FAMILIES: readonly Family[] = [4, 6];
const wants = (flags: { readonly v4: boolean; readonly v6: boolean }, family: Family): boolean =>
  family === 4 ? flags.v4 : flags.v6;

/** True when a service can mean a host of a production zone. */
function reachesProduction(index: IntentIndex, router: string, service: Service): boolean {
  const production = [...index.sides.values()].filter(
    (side) => side.kind === "zone" && side.router === router && !side.uplink && !side.experimental,
  );
  if (service.addresses.length === 0) return production.length > 0;
  const hosts = service.addresses.map(addressPrefix).filter((prefix) => prefix !== undefined);
  return production.some((side) => side.subnets.some((subnet) => hosts.some((host) => overlaps(subnet, host))));
}

function toRouter(index: IntentIndex, policy: Policy, from: Side, path: string): readonly Problem[] {
  const management = index.routers.get(from.router)?.management;
  if (management === undefined || management.zones.includes(from.id)) return [];
  const services = policy.services.map((id) => index.services.get(id)).filter((service) => service !== undefined);
  const opens = policy.services.length === 0 || services.some((service) => coversTcp(service, management.port));
  if (!opens) return [];
  const code = from.experimental ? "intent.experimental" : "intent.policy";
  const text = `${from.id} would reach the management port ${management.port}, but is no management zone: name services without it.`;
  return [problem(code, `${path}.services`, text)];
}

function policyProblems(index: IntentIndex, policy: Policy, path: string): readonly Problem[] {
  const from = index.sides.get(policy.from);
  const found: Problem[] = [];
  if (!policy.v4 && !policy.v6) {
    found.push(problem("intent.family", path, "The policy allows no family: set v4 or v6 to true, or remove it."));
  }
  if (from === undefined) return found;
  if (policy.to === "router") return [...found, ...toRouter(index, policy, from, path)];
  const to = index.sides.get(policy.to);
  if (to === undefined) return found;
  if (from.kind === "network" && to.kind === "network") {
    const text = `${policy.from} and ${policy.to} are WireGuard networks: each is a domain of its own; let both reach a zone instead.`;
    found.push(problem("intent.wg_to_wg", `${path}.to`, text));
  } else if (from.id === to.id) {
    found.push(
      problem("intent.policy", `${path}.to`, `From and to are both ${to.id}: a zone reaches itself; remove it.`),
    );
  } else if (from.uplink) {
    const text = `${policy.from} is an uplink: from outside, only port-forwards lead inside; write one, or a policy to router.`;
    found.push(problem("intent.policy", `${path}.from`, text));
  }
  for (const [s, id] of policy.services.entries()) {
    const hosts = (index.services.get(id)?.addresses ?? []).map(addressPrefix).filter((one) => one !== undefined);
    const meet = hosts.some((host) => to.subnets.some((subnet) => overlaps(subnet, host)));
    if (to.uplink || hosts.length === 0 || meet) continue;
    const text = `Service ${id} has no address in ${to.id}, so the policy lets nothing pass: correct one of them.`;
    found.push(problem("intent.policy", `${path}.services[${s}]`, text));
  }
  if (from.experimental && !to.experimental && !to.uplink) {
    const text = `${policy.from} is experimental and never reaches production ${policy.to}: remove the policy.`;
    found.push(problem("intent.experimental", `${path}.to`, text));
  }
  return found;
}

/** Policies: families that exist, no wg-to-wg (V13), nothing inward from uplinks, experimental apart. */
export const policies: Law = (index) =>
  index.intent.policies.flatMap((policy, p) => policyProblems(index, policy, `policies[${p}]`));

/** A profile reaches zones, in families that they have; not the whole of an uplink, which is what internet says. */
export const profileReach: Law = (index) =>
  index.intent.profiles.flatMap((profile, p) =>
    profile.reach.flatMap((reach, i): Problem[] => {
      const path = `profiles[${p}].reach[${i}]`;
      const side = index.sides.get(reach.zone);
      if (side === undefined) return [];
      if (side.kind === "network") {
        const text = `${reach.zone} is a WireGuard network: clients do not reach clients; name a zone.`;
        return [problem("intent.wg_to_wg", `${path}.zone`, text)];
      }
      if (side.uplink) {
        return [
          problem("intent.internet", `${path}.zone`, `${reach.zone} is an uplink: use internet: { v4: true } instead.`),
        ];
      }
      if (!reach.v4 && !reach.v6) {
        return [problem("intent.family", path, "The reach has no family: set v4 or v6 to true, or remove it.")];
      }
      return FAMILIES.filter((family) => wants(reach, family) && !hasFamily(side, family)).map((family) =>
        problem(
          "intent.family",
          `${path}.v${family}`,
          `Zone ${side.id} has no IPv${family} subnet: add one, or set v${family}: false.`,
        ),
      );
    }),
  );

/** Services of clients lead past the router, never to it: one that names its own addresses would do nothing. */
export function routerServices(index: IntentIndex, services: readonly string[], path: string): readonly Problem[] {
  return services.flatMap((id, s): Problem[] => {
    const local = index.locals.find((one) => index.services.get(id)?.addresses.includes(one.text));
    if (local === undefined) return [];
    const text = `Service ${id} names ${local.text}, which is the router: open it with a policy from the network to router instead.`;
    return [problem("intent.service", `${path}[${s}]`, text)];
  });
}

export const profileServices: Law = (index) =>
  index.intent.profiles.flatMap((profile, p) => routerServices(index, profile.services, `profiles[${p}].services`));

function internetProblems(index: IntentIndex, profile: Profile, network: Side, path: string): readonly Problem[] {
  const { intent } = index;
  const zones = [...index.sides.values()].filter((side) => side.router === network.router && side.uplink);
  return FAMILIES.filter((family) => wants(profile.internet, family)).flatMap((family): Problem[] => {
    const pair = `Profile ${profile.id} gives network ${network.id} the IPv${family} internet`;
    const exits = zones.filter((zone) => hasEgress(index, zone.id, family));
    if (exits.length === 0) {
      const text = `${pair}, but no uplink of router ${network.router} has IPv${family}: add a gateway, or another profile.`;
      return [problem("intent.internet", path, text)];
    }
    const list = family === 4 ? intent.masquerade : intent.nat66;
    if (list.some((nat) => nat.from === network.id && exits.some((zone) => zone.id === nat.to))) return [];
    const key = family === 4 ? "masquerade" : "nat66";
    const text = `${pair}, but its private addresses cannot leave: add { from: ${network.id}, to: ${exits[0]!.id} } to ${key}.`;
    return [problem(family === 4 ? "intent.internet" : "intent.nat66", path, text)];
  });
}

/** Families in which a profile lets a client do anything. */
export function profileFamilies(profile: Profile): readonly Family[] {
  return FAMILIES.filter(
    (family) =>
      wants(profile.internet, family) ||
      wants(profile.dns, family) ||
      profile.reach.some((reach) => wants(reach, family)),
  );
}

/** What is wrong with giving a network's clients this profile (V11); `path` is where the pair is written. */
export function pairProblems(
  index: IntentIndex,
  networkId: string,
  profileId: string,
  path: string,
): readonly Problem[] {
  const network = index.sides.get(networkId);
  const profile = index.profiles.get(profileId);
  if (network === undefined || network.kind !== "network" || profile === undefined) return [];
  const router = index.routers.get(network.router);
  const found: Problem[] = [];
  for (const family of profileFamilies(profile)) {
    if (hasFamily(network, family)) continue;
    const text = `Profile ${profile.id} uses IPv${family}, but network ${network.id} has no IPv${family} subnet: add one, or another profile.`;
    found.push(problem("intent.family", path, text));
  }
  if (profileFamilies(profile).includes(6) && router !== undefined && !router.forward_v6) {
    const text = `Profile ${profile.id} uses IPv6, but router ${router.id} does not forward it: set forward_v6: true.`;
    found.push(problem("intent.family", path, text));
  }
  found.push(...internetProblems(index, profile, network, path));
  const dns = index.networks.get(networkId)?.dns.map((text) => parseIp(text)?.family) ?? [];
  for (const family of FAMILIES.filter((one) => wants(profile.dns, one) && !dns.includes(one))) {
    const text = `Profile ${profile.id} gives DNS over IPv${family}, but network ${networkId} names no such server: add one to its dns.`;
    found.push(problem("intent.family", path, text));
  }
  for (const { zone } of profile.reach) {
    const side = index.sides.get(zone);
    if (side === undefined || side.kind === "network") continue;
    if (side.router !== network.router) {
      const text = `Profile ${profile.id} reaches zone ${zone} of router ${side.router}, network ${network.id} is on ${network.router}: use a profile of one router.`;
      found.push(problem("intent.other_router", path, text));
    } else if (network.experimental && !side.experimental && !side.uplink) {
      const text = `Network ${network.id} is experimental, but profile ${profile.id} reaches production zone ${zone}: use another profile.`;
      found.push(problem("intent.experimental", path, text));
    }
  }
  return [...found, ...serviceIsolation(index, network, profile.services, `Profile ${profile.id} gives`, path)];
}

/** Services handed to an experimental network's clients lie outside production. */
export function serviceIsolation(
  index: IntentIndex,
  network: Side,
  services: readonly string[],
  giver: string,
  path: string,
): readonly Problem[] {
  if (!network.experimental) return [];
  return services.flatMap((id): Problem[] => {
    const service = index.services.get(id);
    if (service === undefined || !reachesProduction(index, network.router, service)) return [];
    const text = `${giver} experimental network ${network.id} service ${id}, which can be a production host: remove it, or give it other addresses.`;
    return [problem("intent.experimental", path, text)];
  });
}

/** V11 for every pair that a constraint allows; the inventory laws judge the other pairs that grants use. */
export const allowedPairs: Law = (index) =>
  index.intent.constraints.flatMap(({ network, profiles }, c) =>
    profiles.flatMap((profile, p) => pairProblems(index, network, profile, `constraints[${c}].profiles[${p}]`)),
  );

/** NAT leads out of an uplink that has the family; NAT66 only as written here, and only with IPv6 egress (V14). */
export const nat: Law = (index) =>
  (["masquerade", "nat66"] as const).flatMap((key) =>
    index.intent[key].flatMap(({ from, to }, i): Problem[] => {
      const family: Family = key === "masquerade" ? 4 : 6;
      const path = `${key}[${i}]`;
      const code = family === 4 ? "intent.masquerade" : "intent.nat66";
      const source = index.sides.get(from);
      const exit = index.zones.get(to);
      if (source === undefined || exit === undefined) return [];
      const found: Problem[] = [];
      if (exit.kind !== "uplink") found.push(problem(code, `${path}.to`, `${to} is no uplink zone: name one.`));
      else if (!hasEgress(index, to, family)) {
        const text = `Uplink zone ${to} has no IPv${family} gateway: add one to its uplink, or remove this entry.`;
        found.push(problem(code, `${path}.to`, text));
      }
      if (source.uplink)
        found.push(problem(code, `${path}.from`, `${from} is an uplink itself: name what lies behind it.`));
      else if (!hasFamily(source, family)) {
        const text = `${from} has no IPv${family} subnet: add one, or remove this entry.`;
        found.push(problem(code, `${path}.from`, text));
      }
      if (family === 6 && index.routers.get(source.router)?.forward_v6 === false) {
        const text = `Router ${source.router} does not forward IPv6: set forward_v6: true.`;
        found.push(problem(code, path, text));
      }
      return found;
    }),
  );
