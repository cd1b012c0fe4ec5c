/**
 * What an intent promises, as claims about packets: who reaches what, per family, and from which address the other
 * side sees it. Computed from the intent alone, without the compiler, and then asked in the world.
 */
import type { Intent, Policy, Profile, Service, Zone } from "../../schemas/intent.ts";
import { contains, parseIp, parsePrefix } from "../../schemas/ip.ts";
import { askAll, type Question } from "./reach.ts";
import { INTERNET4, INTERNET6, type Land, ofFamily } from "./wiring.ts";
import type { Space, World } from "./world.ts";

/** A port that no service of an example names: reached only where everything is. */
export const ANY_PORT = 7000;
export const DNS_PORT = 53;

/** A place that can be asked, and what the intent calls it. */
export type Target = {
  readonly zone: string; // zone id, "internet" or "router"
  readonly address: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
};

/** Where questions come from, and what the intent knows about it. */
export type Asker = {
  readonly name: string;
  readonly zone: string; // zone or network id
  readonly profile: Profile | undefined; // of a client
  readonly services: readonly string[]; // of a client, beyond the profile
  readonly dns: readonly string[]; // resolvers that the client's network hands out
  readonly cut: boolean; // a client whose key holds no address
};

export type Claim = { readonly asker: Asker; readonly target: Target; readonly open: boolean; readonly seenAs: string };

const familyOf = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);

/** One question per target of every local host, the internet and the router. */
export function targetsOf(intent: Intent, land: Land): readonly Target[] {
  const services = intent.services.flatMap((service) =>
    service.ports.flatMap(({ protocol, from }) => (protocol === "icmp" ? [] : [{ service, protocol, port: from }])),
  );
  const local = land.wiring.lans.flatMap((lan) => {
    const zone = intent.zones.find((one) => one.interfaces.includes(lan.interface))!;
    return lan.host.flatMap((cidr): Target[] => {
      const address = cidr.replace(/\/.*/, "");
      const named = services.filter(({ service }) => names(service, address));
      return [
        { zone: zone.id, address, protocol: "tcp", port: ANY_PORT },
        ...named.map(({ protocol, port }): Target => ({ zone: zone.id, address, protocol, port })),
      ];
    });
  });
  const internet = [INTERNET4, INTERNET6].flatMap((address): Target[] =>
    (["tcp", "udp"] as const).map((protocol) => ({ zone: "internet", address, protocol, port: ANY_PORT })),
  );
  return [...local, ...internet];
}

/** The router itself, by the addresses that an asker has as its neighbours. */
export const routerTargets = (addresses: readonly string[]): readonly Target[] =>
  addresses.flatMap((address) =>
    [DNS_PORT, ANY_PORT].map((port): Target => ({ zone: "router", address, protocol: "tcp", port })),
  );

/** True when the service is meant for that address; one without addresses is meant for every address. */
function names(service: Service, address: string): boolean {
  const ip = parseIp(address)!;
  return (
    service.addresses.length === 0 ||
    service.addresses.some((one) => one === address || (one.includes("/") && contains(parsePrefix(one)!, ip)))
  );
}

const hasPort = (service: Service, target: Target): boolean =>
  service.ports.some(
    (one) => one.protocol === target.protocol && one.from <= target.port && target.port <= (one.to || one.from),
  );

function admits(intent: Intent, policy: Policy, target: Target): boolean {
  if (!(familyOf(target.address) === 4 ? policy.v4 : policy.v6)) return false;
  if (policy.services.length === 0) return true;
  return intent.services.some(
    (service) => policy.services.includes(service.id) && hasPort(service, target) && names(service, target.address),
  );
}

function profileAdmits(intent: Intent, asker: Asker, target: Target): boolean {
  const { profile } = asker;
  if (profile === undefined) return false;
  const family = familyOf(target.address) === 4 ? "v4" : "v6";
  if (target.zone === "internet") return profile.internet[family];
  if (profile.reach.some((reach) => reach.zone === target.zone && reach[family])) return true;
  if (profile.dns[family] && target.port === DNS_PORT && asker.dns.includes(target.address)) return true;
  const granted = [...profile.services, ...asker.services];
  return intent.services.some(
    (service) =>
      granted.includes(service.id) &&
      service.addresses.length > 0 && // one without addresses opens nothing by itself
      hasPort(service, target) &&
      names(service, target.address),
  );
}

/** The uplink address that hides the asker; "" when nothing does, so that no answer finds the way back. */
function hiddenBehind(intent: Intent, asker: Asker, wan: Zone, family: 4 | 6): string {
  const rules = family === 4 ? intent.masquerade : intent.nat66;
  if (!rules.some((rule) => rule.from === asker.zone && rule.to === wan.id)) return "";
  const uplink = intent.routers.flatMap((router) => router.uplinks).find((one) => one.interface === wan.interfaces[0]);
  return ofFamily(uplink?.addresses ?? [], family);
}

/** What must come out when the asker asks the target. */
export function claim(intent: Intent, asker: Asker, target: Target): Claim {
  const wan = intent.zones.find((zone) => zone.kind === "uplink")!;
  const to = target.zone === "internet" ? wan.id : target.zone;
  const policies = intent.policies.filter((policy) => policy.from === asker.zone && policy.to === to);
  const admitted =
    !asker.cut && (policies.some((one) => admits(intent, one, target)) || profileAdmits(intent, asker, target));
  if (target.zone !== "internet") return { asker, target, open: admitted || asker.zone === target.zone, seenAs: "" };
  const seenAs = admitted ? hiddenBehind(intent, asker, wan, familyOf(target.address)) : "";
  return { asker, target, open: seenAs !== "", seenAs };
}

/** Asks all claims of one place at once; a line for each that does not hold. */
export async function wrongClaims(world: World, space: Space, claims: readonly Claim[]): Promise<readonly string[]> {
  const questions = claims.map(
    ({ target }): Question => ({ protocol: target.protocol, host: target.address, port: target.port }),
  );
  const answers = await askAll(world, space, questions, 1200);
  return claims.flatMap(({ asker, target, open, seenAs }, i) => {
    const { state, text } = answers[i]!;
    const right = (state === "open") === open && (seenAs === "" || text === seenAs);
    const what = `${asker.name} to ${target.zone} ${target.protocol} ${target.address} ${target.port}`;
    return right ? [] : [`${what}: ${state} ${text}, not ${open ? `open ${seenAs}` : "shut"}`];
  });
}
