/** A house for policy tests: a LAN, guests and an uplink around a router that holds a compiled generation. */
import type { Desired } from "../../schemas/desired.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import { clients, desiredOf, smallIntent } from "../core/compile-sites.ts";
import { type TestHost, testHost } from "./policy-host.ts";
import { applyDesired, counted, flows, loadTable } from "./policy-world.ts";
import { type Space, World } from "./world.ts";

export const INTERNET = "203.0.113.9";
export const INTERNET6 = "2001:db8:9::9";
export const WAN = "192.0.2.2";
export const WAN6 = "2001:db8::2";
export const LAN = "10.1.0.5";
export const LAN6 = "fd00:1::5";
export const GUEST = "10.2.0.5";

/** A LAN that may go out, guests that may go out, two forwards into the LAN, DNS for guests on the router. */
export function houseIntent(more: Partial<IntentInput> = {}): IntentInput {
  const small = smallIntent();
  return {
    ...small,
    routers: [
      {
        ...small.routers[0]!,
        addresses: [...small.routers[0]!.addresses!, { interface: "guest0", cidr: "10.2.0.1/24" }],
      },
    ],
    zones: [
      ...small.zones!,
      { id: "guest", router: "r1", kind: "internal", interfaces: ["guest0"], subnets: ["10.2.0.0/24"] },
    ],
    services: [...small.services!, { id: "dns", ports: [{ protocol: "udp", from: 53 }] }],
    policies: [
      { id: "lan-out", from: "lan", to: "wan" },
      { id: "guest-out", from: "guest", to: "wan" },
      { id: "guest-dns", from: "guest", to: "router", services: ["dns"] },
    ],
    masquerade: [
      { from: "lan", to: "wan" },
      { from: "guest", to: "wan" },
    ],
    nat66: [{ from: "lan", to: "wan" }],
    port_forwards: [
      { id: "web", zone: "wan", address: WAN, protocol: "tcp", port: 8443, to_address: LAN, to_port: 443 },
      { id: "game", zone: "wan", address: WAN, protocol: "udp", port: 27015, to_address: LAN, to_port: 27015 },
    ],
    ...more,
  };
}

export const house = desiredOf(houseIntent(), clients(2));

export type House = {
  readonly world: World;
  readonly space: Space; // of the router
  readonly net: TestHost;
  readonly router: TestHost;
  readonly lan: TestHost;
  readonly guest: TestHost;
  /** Loads a generation's ruleset under the next epoch. */
  readonly load: (desired: Desired) => Promise<void>;
  readonly epoch: () => number;
  readonly count: (counter: string) => Promise<number>;
  readonly flows: (...parts: readonly string[]) => Promise<readonly string[]>;
};

export async function makeHouse(name: string): Promise<House> {
  const world = await World.create({ name });
  const spaces = await Promise.all(["r", "net", "lan", "guest"].map((one) => world.space(one)));
  const [r, n, l, g] = spaces as [Space, Space, Space, Space];
  await world.link(r, "wan0", n, "eth0");
  await world.link(r, "lan0", l, "eth0");
  await world.link(r, "guest0", g, "eth0");
  await world.address(n, "eth0", "192.0.2.1/24", "2001:db8::1/64");
  await world.address(n, "lo", `${INTERNET}/32`, `${INTERNET6}/128`);
  await world.address(l, "eth0", `${LAN}/24`, `${LAN6}/64`);
  await world.address(g, "eth0", `${GUEST}/24`);
  await applyDesired(world, r, house);
  await world.route(l, "default", "10.1.0.1");
  await world.route(l, "default", "fd00:1::1");
  await world.route(g, "default", "10.2.0.1");
  await world.route(n, "default", WAN);
  const hosts = await Promise.all([n, r, l, g].map((space) => testHost(world, space)));
  const [net, router, lan, guest] = hosts as [TestHost, TestHost, TestHost, TestHost];
  let epoch = 1;
  const count = (counter: string): Promise<number> => counted(world, r, counter);
  return {
    world,
    space: r,
    net,
    router,
    lan,
    guest,
    load: async (desired) => {
      epoch += 1;
      await loadTable(world, r, desired.nft, epoch);
    },
    epoch: () => epoch,
    count,
    flows: (...parts) => flows(world, r, ...parts),
  };
}
