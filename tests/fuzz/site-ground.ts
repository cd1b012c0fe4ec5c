/** Uplinks, zones with the router's addresses in them, and WireGuard networks of a random site. */
import type { Lease } from "../../client/replay/ground.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import type { Random } from "../campaigns/campaign.ts";
import { chance, oneOf } from "./pick.ts";

export type Zones = NonNullable<IntentInput["zones"]>;
type Uplinks = NonNullable<IntentInput["routers"][number]["uplinks"]>;

const UPLINKS = ["wan0", "wan1", "ppp0"] as const;
/** Three providers: documentation space, carrier-grade NAT, and a private network in front. */
const PROVIDERS4 = ["192.0.2", "100.64.7", "10.250.1"] as const;

export function uplinksAtRandom(random: Random): { uplinks: Uplinks; leases: Lease[] } {
  const leases: Lease[] = [];
  const uplinks = UPLINKS.slice(0, oneOf(random, [1, 1, 1, 2, 2, 3])).map((name, i) => {
    const net4 = PROVIDERS4[(i + random(3)) % 3]!.replace(/\d+$/, (last) => String((Number(last) + i) % 256));
    const four = chance(random, 9, 10);
    const six = !four || chance(random, 2, 3);
    const [long, more] = [oneOf(random, [24, 24, 28, 30]), chance(random, 1, 4)];
    const addresses = [
      ...(four ? [`${net4}.2/${long}`] : []),
      ...(four && more && long < 30 ? [`${net4}.5/${long}`] : []),
      ...(six ? [`2001:db8:${i + 1}::2/64`] : []),
    ];
    const gateways = [
      ...(four && chance(random, 9, 10) ? [`${net4}.1`] : []),
      ...(six && chance(random, 9, 10) ? [oneOf(random, [`2001:db8:${i + 1}::1`, "fe80::1"])] : []),
    ];
    const mtu = oneOf(random, [1500, 1500, 1500, 1492, 1400]);
    if (chance(random, 1, 6)) {
      leases.push({ interface: name, cidrs: addresses, gateways });
      return { interface: name, dynamic: true, mtu };
    }
    return { interface: name, addresses, gateways, mtu };
  });
  return { uplinks, leases };
}

const INSIDE = ["lan", "guest", "iot", "office", "lab"] as const;

type Inside = { zones: Zones; addresses: { interface: string; cidr: string }[]; routes: Routes };
type Routes = { to: string; via: string; interface: string; metric?: number }[];

/** Zones behind the router, with its addresses in them. */
export function insideAtRandom(random: Random): Inside {
  const count = 1 + random(4);
  const addresses: Inside["addresses"] = [];
  const routes: Routes = [];
  const zones = INSIDE.slice(0, count).map((id, i) => {
    const interfaces = [`${id}0`, ...(chance(random, 1, 4) ? [`${id}1.${10 + i}`] : [])];
    const four = chance(random, 9, 10);
    const six = !four || chance(random, 3, 5);
    const long = oneOf(random, [24, 24, 28, 16]);
    const own = random(2) === 0 ? 1n : 2n;
    const subnets: string[] = [];
    if (four) {
      subnets.push(`10.${i + 1}.0.0/${long}`);
      addresses.push({ interface: interfaces[0]!, cidr: `10.${i + 1}.0.${own}/${long}` });
    }
    if (six) {
      subnets.push(`fd00:1:0:${i + 1}::/64`);
      if (chance(random, 9, 10)) addresses.push({ interface: interfaces[0]!, cidr: `fd00:1:0:${i + 1}::${own}/64` });
    }
    if (interfaces.length > 1 && four) {
      subnets.push(`172.20.${i}.0/26`);
      addresses.push({ interface: interfaces[1]!, cidr: `172.20.${i}.1/26` });
    }
    if (four && chance(random, 1, 4)) {
      subnets.push(`172.21.${i}.0/24`);
      routes.push({ to: `172.21.${i}.0/24`, via: `10.${i + 1}.0.9`, interface: interfaces[0]! });
    }
    const kind = i === 0 ? oneOf(random, ["internal", "management"] as const) : kindAtRandom(random);
    return { id, router: "r1", kind, interfaces, subnets, dhcp: chance(random, 1, 3) };
  });
  return { zones, addresses, routes };
}

const kindAtRandom = (random: Random) =>
  oneOf(random, ["internal", "internal", "internal", "management", "experimental"] as const);

const NETWORKS = ["home", "crew", "trial"] as const;

export function networksAtRandom(random: Random, secondRescue: number): NonNullable<IntentInput["networks"]> {
  return NETWORKS.slice(0, random(4)).map((id, i) => {
    const four = chance(random, 4, 5);
    const six = !four || chance(random, 3, 5);
    const long = oneOf(random, [24, 16, 29]);
    const subnets = [
      ...(four ? [`10.${100 + i}.0.0/${long}`] : []),
      ...(six ? [`fd00:1:0:${(100 + i).toString(16)}::/64`] : []),
    ];
    const dns = [
      ...(four && chance(random, 2, 3) ? [oneOf(random, [`10.${100 + i}.0.1`, "10.1.0.5", "9.9.9.9"])] : []),
      ...(six && chance(random, 2, 3) ? [oneOf(random, [`fd00:1:0:${(100 + i).toString(16)}::1`, "2620:fe::fe"])] : []),
    ];
    return {
      id,
      router: "r1",
      port: i === 0 ? oneOf(random, [51820, 51820, secondRescue + 1]) : 51820 + i,
      endpoint: "vpn.example.net:51820",
      ...(chance(random, 1, 4) ? { interface: `wg${i}` } : {}),
      subnets,
      dns,
      mtu: oneOf(random, [1420, 1420, 1320, 1280]),
      class: chance(random, 1, 4) ? ("experimental" as const) : ("production" as const),
    };
  });
}
