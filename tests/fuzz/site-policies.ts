/** Services, policies and port-forwards of a random site. */
import type { IntentInput } from "../../schemas/intent.ts";
import type { Random } from "../campaigns/campaign.ts";
import { chance, oneOf, some } from "./pick.ts";
import type { Ground } from "./site-clients.ts";

export type Services = NonNullable<IntentInput["services"]>;
type Ports = Services[number]["ports"];

const TCP = [22, 80, 443, 444, 8022, 8080] as const;
const UDP = [53, 67, 123, 443, 2049, 51820] as const;

function portsAtRandom(random: Random): Ports {
  const ports: Ports = [];
  if (chance(random, 3, 4)) {
    const from = oneOf(random, TCP);
    ports.push(
      chance(random, 1, 3)
        ? { protocol: "tcp", from, to: from + oneOf(random, [1, 40, 9000]) }
        : { protocol: "tcp", from },
    );
  }
  if (chance(random, 1, 2)) ports.push({ protocol: "udp", from: oneOf(random, UDP) });
  if (chance(random, 1, 3) || ports.length === 0) ports.push({ protocol: "icmp" });
  return ports;
}

/** Hosts and prefixes inside, in both families. */
function addressesAtRandom(random: Random, ground: Ground): string[] {
  const places = ground.inside.flatMap((zone) => zone.subnets ?? []);
  const one = (): string => {
    const subnet = oneOf(random, places);
    const six = subnet.includes(":");
    const head = subnet.replace(/\/\d+$/, "");
    const host = (n: number): string => (six ? `${head}${n.toString(16)}` : head.replace(/\d+$/, String(n)));
    return oneOf(random, [host(5), host(6), host(12), subnet, `${host(8)}/${six ? 126 : 30}`]);
  };
  return [...new Set(Array.from({ length: random(3) }, one))];
}

export function servicesAtRandom(random: Random, ground: Ground): Services {
  const list = Array.from({ length: 2 + random(5) }, (_, i) => ({
    id: `svc${i}`,
    addresses: addressesAtRandom(random, ground),
    ports: portsAtRandom(random),
  }));
  return [
    ...list,
    {
      id: "dns",
      ports: [
        { protocol: "udp", from: 53 },
        { protocol: "tcp", from: 53 },
      ],
    },
  ];
}

export function policiesAtRandom(
  random: Random,
  ground: Ground,
  services: Services,
): Pick<IntentInput, "policies" | "port_forwards"> {
  const sides = [...ground.inside, ...ground.outside, ...ground.networks].map((one) => one.id);
  const open = services.filter((service) => (service.addresses ?? []).length === 0).map((service) => service.id);
  const policies = Array.from({ length: 3 + random(8) }, (_, i) => {
    const to = oneOf(random, [...sides, ...ground.outside.map((one) => one.id), "router", "router"]);
    const known = to === "router" || chance(random, 1, 2) ? open : services.map((service) => service.id);
    return {
      id: `pol${i}`,
      from: oneOf(random, sides),
      to,
      services: to === "router" || chance(random, 1, 2) ? some(random, known, 3) : [],
      v4: chance(random, 5, 6),
      v6: chance(random, 2, 3),
    };
  });
  const targets = ground.inside.flatMap((zone) => (zone.subnets ?? []).filter((subnet) => !subnet.includes(":")));
  const forwards = Array.from({ length: random(4) }, (_, i) => {
    const address = ground.publicOnes.find((one) => !one.includes(":"));
    if (address === undefined || targets.length === 0) return undefined;
    const host = oneOf(random, targets).replace(/\d+\/\d+$/, String(oneOf(random, [5, 6, 12])));
    return {
      id: `pf${i}`,
      zone: oneOf(random, ground.outside).id,
      address: oneOf(
        random,
        ground.publicOnes.filter((one) => !one.includes(":")),
      ),
      protocol: oneOf(random, ["tcp", "udp"] as const),
      port: oneOf(random, [8443, 2222, 53, 27015 + i * 10, 60_000]),
      to_address: host,
      to_port: oneOf(random, [443, 22, 53, 27015]),
      count: oneOf(random, [1, 1, 4]),
    };
  });
  return { policies, port_forwards: forwards.filter((one) => one !== undefined) };
}
