/**
 * A small internet around one router: a middle namespace that carries packets and answers as "the internet", remote
 * hosts behind it, and hosts in the router's local networks. The router starts as a person would hand it over: with
 * addresses and a default route, without any firewall.
 */
import type { Intent } from "../../schemas/intent.ts";
import { contains, formatIp, parseCidr, parsePrefix } from "../../schemas/ip.ts";
import type { Space, World } from "./world.ts";

export type UplinkWiring = {
  readonly interface: string;
  readonly addresses: readonly string[]; // cidr, of the router
  readonly gateways: readonly string[]; // addresses of the internet's end
};

export type LanWiring = {
  readonly name: string; // of the host's namespace
  readonly interface: string; // of the router
  readonly router: readonly string[]; // cidr
  readonly host: readonly string[]; // cidr
};

export type Wiring = {
  readonly uplinks: readonly UplinkWiring[];
  readonly lans: readonly LanWiring[];
  readonly remotes: readonly string[]; // names
};

export type Land = {
  readonly world: World;
  readonly wiring: Wiring;
  readonly net: Space;
  readonly router: Space;
  /** Remote hosts and hosts of local networks, by name. */
  readonly hosts: ReadonlyMap<string, Space>;
};

/** What answers on the internet, on the middle namespace's own loopback. */
export const INTERNET4 = "198.19.0.1";
export const INTERNET6 = "2001:db8:19::1";

/** Addresses of the n-th remote host: RFC 2544 and RFC 3849 space that no example site uses. */
export const remote4 = (index: number): string => `198.18.${index + 1}.2`;
export const remote6 = (index: number): string => `2001:db8:18:${index + 1}::2`;

const lengthOf = (cidr: string): string => cidr.slice(cidr.indexOf("/"));
const is6 = (address: string): boolean => address.includes(":");

/** The address of a list that belongs to the family; throws when there is none. */
export function ofFamily(addresses: readonly string[], family: 4 | 6): string {
  const found = addresses.find((one) => is6(one) === (family === 6));
  if (found === undefined) throw new Error(`no IPv${family} address among ${addresses.join(", ")}`);
  return found.replace(/\/.*/, "");
}

async function wireUplink(world: World, router: Space, net: Space, index: number, uplink: UplinkWiring): Promise<void> {
  await world.link(router, uplink.interface, net, `up${index}`);
  await world.address(router, uplink.interface, ...uplink.addresses);
  for (const gateway of uplink.gateways) {
    const own = uplink.addresses.find((cidr) => is6(cidr) === is6(gateway));
    if (own === undefined) throw new Error(`${uplink.interface} has no address of the family of ${gateway}`);
    await world.address(net, `up${index}`, `${gateway}${lengthOf(own)}`);
    // The first uplink is the way out until a generation says otherwise.
    if (index === 0) await world.route(router, "default", gateway);
  }
}

async function wireLan(world: World, router: Space, lan: LanWiring): Promise<Space> {
  const host = await world.space(lan.name);
  await world.link(router, lan.interface, host, "eth0");
  await world.address(router, lan.interface, ...lan.router);
  await world.address(host, "eth0", ...lan.host);
  for (const cidr of lan.router) await world.route(host, "default", cidr.replace(/\/.*/, ""));
  return host;
}

async function wireRemote(world: World, net: Space, name: string, index: number): Promise<Space> {
  const host = await world.space(name);
  await world.link(net, `far${index}`, host, "eth0");
  const middle4 = remote4(index).replace(/2$/, "1");
  const middle6 = remote6(index).replace(/2$/, "1");
  await world.address(net, `far${index}`, `${middle4}/24`, `${middle6}/64`);
  await world.address(host, "eth0", `${remote4(index)}/24`, `${remote6(index)}/64`);
  await world.route(host, "default", middle4);
  await world.route(host, "default", middle6);
  return host;
}

/** Builds everything that the plan names. */
export async function wire(world: World, wiring: Wiring): Promise<Land> {
  const [net, router] = [await world.space("net"), await world.space("router")];
  await world.forward(net);
  await world.address(net, "lo", `${INTERNET4}/32`, `${INTERNET6}/128`);
  for (const [index, uplink] of wiring.uplinks.entries()) await wireUplink(world, router, net, index, uplink);
  const hosts = new Map<string, Space>();
  for (const lan of wiring.lans) hosts.set(lan.name, await wireLan(world, router, lan));
  for (const [index, name] of wiring.remotes.entries()) hosts.set(name, await wireRemote(world, net, name, index));
  return { world, wiring, net, router, hosts };
}

/** One router, one uplink, one LAN, both families: the site of docs/quickstart.md. */
export function homeWiring(remotes: readonly string[]): Wiring {
  return {
    uplinks: [
      {
        interface: "wan0",
        addresses: ["198.51.100.1/24", "2001:db8:100::1/64"],
        gateways: ["198.51.100.254", "2001:db8:100::fe"],
      },
    ],
    lans: [
      {
        name: "lan",
        interface: "lan0",
        router: ["10.0.0.1/24", "fd42:1:1:1::1/64"],
        host: ["10.0.0.10/24", "fd42:1:1:1::10/64"],
      },
    ],
    remotes,
  };
}

/** The n-th address of a prefix, as address/length. */
export function nth(prefix: string, n: number): string {
  const parsed = parsePrefix(prefix);
  if (parsed === undefined) throw new Error(`${prefix} is no prefix`);
  return `${formatIp({ family: parsed.family, value: parsed.value + BigInt(n) })}/${parsed.length}`;
}

/** Addresses inside a prefix that the intent speaks of: services, port-forwards, resolvers. */
function namedIn(intent: Intent, prefix: string): readonly string[] {
  const length = prefix.slice(prefix.indexOf("/"));
  const single = [
    ...intent.services.flatMap((service) => service.addresses),
    ...intent.port_forwards.map((forward) => forward.to_address),
    ...intent.networks.flatMap((network) => network.dns),
  ].map((one) => (one.includes("/") ? nth(one, 6).replace(/\/.*/, "") : one));
  return single.map((one) => `${one}${length}`).filter((cidr) => inside(cidr, prefix));
}

/**
 * The world that an intent speaks of: each uplink ends in the internet, and each local interface gets a host (named
 * after its zone, then zone-2, ...) with the tenth address and all that the intent names in every subnet of the zone
 * in which the router has an address there.
 */
export function wiringOf(intent: Intent, routerId: string, remotes: readonly string[]): Wiring {
  const router = intent.routers.find((one) => one.id === routerId);
  if (router === undefined) throw new Error(`no router ${routerId}`);
  const uplinks = router.uplinks.map((uplink) => ({
    interface: uplink.interface,
    addresses: uplink.addresses,
    gateways: uplink.gateways,
  }));
  const taken = new Set(uplinks.map((uplink) => uplink.interface));
  const lans = intent.zones
    .filter((zone) => zone.router === routerId)
    .flatMap((zone) => zone.interfaces.filter((name) => !taken.has(name)).map((name, index) => ({ zone, name, index })))
    .map(({ zone, name, index }): LanWiring => {
      const own = router.addresses.filter((one) => one.interface === name).map((one) => one.cidr);
      const subnets = zone.subnets.filter((subnet) => own.some((cidr) => inside(cidr, subnet)));
      const host = subnets.flatMap((subnet) => [nth(subnet, 10), ...namedIn(intent, subnet)]);
      const here = [...new Set(host)].filter((cidr) => !own.includes(cidr));
      return { name: index === 0 ? zone.id : `${zone.id}-${index + 1}`, interface: name, router: own, host: here };
    });
  return { uplinks, lans, remotes };
}

function inside(cidr: string, prefix: string): boolean {
  const [own, subnet] = [parseCidr(cidr), parsePrefix(prefix)];
  return own !== undefined && subnet !== undefined && contains(subnet, own);
}
