/** Profiles, constraints and clients of a random site. */
import type { IntentInput } from "../../schemas/intent.ts";
import type { InventoryInput } from "../../schemas/inventory.ts";
import type { Random } from "../campaigns/campaign.ts";
import { keyOf } from "../core/compile-sites.ts";
import { chance, oneOf, some } from "./pick.ts";

type Zones = NonNullable<IntentInput["zones"]>;
type Networks = NonNullable<IntentInput["networks"]>;
type Profiles = NonNullable<IntentInput["profiles"]>;
type Services = NonNullable<IntentInput["services"]>;
type Clients = NonNullable<InventoryInput["clients"]>;

/** What the rest of a site stands on. */
export type Ground = {
  readonly inside: Zones;
  readonly outside: Zones;
  readonly networks: Networks;
  readonly locals: readonly string[]; // the router's addresses inside
  readonly publicOnes: readonly string[]; // its static addresses outside
  readonly six: boolean;
};

const profilesAtRandom = (random: Random, ground: Ground, services: Services): Profiles =>
  Array.from({ length: 2 + random(3) }, (_, i) => ({
    id: `prof${i}`,
    reach: some(random, ground.inside, 3).map((zone) => ({
      zone: zone.id,
      v4: (zone.subnets ?? []).some((one) => !one.includes(":")) && chance(random, 5, 6),
      v6: ground.six && (zone.subnets ?? []).some((one) => one.includes(":")) && chance(random, 2, 3),
    })),
    services: some(
      random,
      services.map((service) => service.id),
      2,
    ),
    internet: { v4: chance(random, 1, 2), v6: ground.six && chance(random, 1, 3) },
    dns: { v4: chance(random, 1, 2), v6: ground.six && chance(random, 1, 3) },
  }));

/** A profile for the same network without the families that it lacks. */
function fitting(profile: Profiles[number], network: Networks[number]): Profiles[number] {
  const [four, six] = [false, true].map((is) => network.subnets.some((one) => one.includes(":") === is));
  const [dns4, dns6] = [false, true].map((is) => (network.dns ?? []).some((one) => one.includes(":") === is));
  return {
    ...profile,
    id: `${profile.id}-${network.id}`,
    reach: (profile.reach ?? [])
      .map((reach) => ({ ...reach, v4: reach.v4 === true && four === true, v6: reach.v6 === true && six === true }))
      .filter((reach) => reach.v4 || reach.v6),
    internet: { v4: profile.internet?.v4 === true && four === true, v6: profile.internet?.v6 === true && six === true },
    dns: { v4: profile.dns?.v4 === true && dns4 === true, v6: profile.dns?.v6 === true && dns6 === true },
  };
}

export function clientsAtRandom(
  random: Random,
  ground: Ground,
  services: Services,
): { profiles: Profiles; constraints: NonNullable<IntentInput["constraints"]>; clients: Clients } {
  const bases = profilesAtRandom(random, ground, services);
  const profiles = ground.networks.flatMap((network) => bases.map((profile) => fitting(profile, network)));
  const clients = Array.from({ length: ground.networks.length === 0 ? 0 : 2 + random(7) }, (_, i) => ({
    id: `c${i}`,
    state: oneOf(random, ["active", "active", "active", "active", "suspended", "revoked"] as const),
    services: some(
      random,
      services.map((service) => service.id),
      2,
    ),
    grants: [...new Set([oneOf(random, ground.networks), ...some(random, ground.networks, 1)])].map((network) => ({
      network: network.id,
      profile: `${oneOf(random, bases).id}-${network.id}`,
      addresses: network.subnets.map((subnet) => {
        const head = subnet.replace(/\/\d+$/, "");
        return subnet.includes(":") ? `${head}${(i + 2).toString(16)}` : head.replace(/\d+$/, String(i + 2));
      }),
      keys: chance(random, 9, 10)
        ? [{ generation: 1, public_key: keyOf(`${network.id} ${i}`) }]
        : [{ generation: 1, public_key: keyOf(`${network.id} ${i}`), state: "burnt" as const }],
    })),
  }));
  const constraints = ground.networks
    .filter(() => chance(random, 1, 4))
    .map((network) => ({ network: network.id, profiles: bases.map((profile) => `${profile.id}-${network.id}`) }));
  return { profiles, constraints, clients };
}
