/** The intent of the world in wiring.ts (homeWiring), as a person would write it, with short windows for tests. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { IntentInput } from "../../schemas/intent.ts";
import type { InventoryInput } from "../../schemas/inventory.ts";
import { limits } from "../../schemas/limits.ts";

export type ClientInput = NonNullable<InventoryInput["clients"]>[number];

export const SITE = "homelab";
export const ROUTER = "r1";
export const ROUTER4 = "198.51.100.1";
export const ROUTER6 = "2001:db8:100::1";
export const GATEWAY4 = "198.51.100.254";
export const LAN_HOST4 = "10.0.0.10";
export const LAN_HOST6 = "fd42:1:1:1::10";
export const API_PORT = 8022;
export const WEB_PORT = 7000; // what the profiles let in
export const WINDOW_MS = limits.windowMinS * 1000;

/** One router, one LAN, one client network, profiles for everything, the LAN only, and the internet only. */
export function homeIntent(change: Partial<IntentInput> = {}): IntentInput {
  return {
    version: 1,
    site: SITE,
    routers: [
      {
        id: ROUTER,
        uplinks: [
          {
            interface: "wan0",
            addresses: [`${ROUTER4}/24`, `${ROUTER6}/64`],
            gateways: [GATEWAY4, "2001:db8:100::fe"],
          },
        ],
        management: { addresses: [ROUTER4], zones: ["wan"] },
        addresses: [
          { interface: "lan0", cidr: "10.0.0.1/24" },
          { interface: "lan0", cidr: "fd42:1:1:1::1/64" },
        ],
        forward_v6: true,
      },
    ],
    zones: [
      { id: "wan", router: ROUTER, kind: "uplink", interfaces: ["wan0"] },
      {
        id: "lan",
        router: ROUTER,
        kind: "internal",
        interfaces: ["lan0"],
        subnets: ["10.0.0.0/24", "fd42:1:1:1::/64"],
      },
    ],
    networks: [
      {
        id: "home",
        router: ROUTER,
        port: 51820,
        endpoint: `${ROUTER4}:51820`,
        subnets: ["10.8.0.0/20", "fd42:1:1:8::/64"],
      },
    ],
    profiles: [
      {
        id: "full",
        reach: [{ zone: "lan", v4: true, v6: true }],
        internet: { v4: true },
      },
      { id: "guest", internet: { v4: true } },
      { id: "split", reach: [{ zone: "lan", v4: true, v6: true }] },
    ],
    policies: [{ id: "lan-out", from: "lan", to: "wan" }],
    masquerade: [
      { from: "home", to: "wan" },
      { from: "lan", to: "wan" },
    ],
    confirm: { window_s: limits.windowMinS, cap_s: 60 },
    ula_prefix: "fd42:1:1::/48",
    ...change,
  };
}

/** The good intent with one static route more: it differs, and harms nobody. */
export function spareIntent(n: number): IntentInput {
  const intent = homeIntent();
  const [router] = intent.routers;
  const route = { to: `10.77.${n}.0/24`, via: LAN_HOST4, interface: "lan0" };
  return { ...intent, routers: [{ ...router!, routes: [route] }] };
}

/** The same router with a next hop that does not exist: valid, and wrong for the world. */
export function lostIntent(): IntentInput {
  const intent = homeIntent();
  const [router] = intent.routers;
  const [uplink] = router!.uplinks!;
  const gateways = ["198.51.100.253", "2001:db8:100::fd"];
  return { ...intent, routers: [{ ...router!, uplinks: [{ ...uplink!, gateways }] }] };
}

export function writeIntent(folder: string, intent: IntentInput): void {
  writeFileSync(join(folder, "intent.yaml"), stringify(intent));
}

export function writeInventory(folder: string, inventory: InventoryInput): void {
  writeFileSync(join(folder, "inventory.yaml"), stringify(inventory));
}

/** Changes one client of the inventory file, as an editor would. Throws when it is not there. */
export function editClient(folder: string, id: string, change: (one: ClientInput) => ClientInput): void {
  const inventory = parse(readFileSync(join(folder, "inventory.yaml"), "utf8")) as InventoryInput;
  if (!inventory.clients?.some((one) => one.id === id)) throw new Error(`no client ${id}`);
  writeInventory(folder, {
    ...inventory,
    clients: inventory.clients.map((one) => (one.id === id ? change(one) : one)),
  });
}

/** The n-th client address of the network, v4 and v6; n from 2. */
export const clientAddresses = (n: number): [string, string] => [
  `10.8.${n >> 8}.${n & 255}`,
  `fd42:1:1:8::${n.toString(16)}`,
];

/** An active client with one live key. */
export function client(
  id: string,
  publicKey: string,
  n: number,
  profile = "full",
): NonNullable<InventoryInput["clients"]>[number] {
  return {
    id,
    grants: [
      { network: "home", profile, addresses: clientAddresses(n), keys: [{ generation: 1, public_key: publicKey }] },
    ],
  };
}
