/** A small intent of one router for tests of the agent: WAN, LAN with management, one WireGuard network. */
import * as v from "valibot";
import { type Intent, IntentDocument, type IntentInput } from "../../schemas/intent.ts";
import { type Inventory, InventoryDocument, type InventoryInput } from "../../schemas/inventory.ts";

const base: IntentInput = {
  version: 1,
  site: "test",
  routers: [
    {
      id: "r1",
      uplinks: [{ interface: "wan0", addresses: ["192.0.2.1/24"], gateways: ["192.0.2.2"] }],
      management: { addresses: ["10.0.0.1"], zones: ["lan"] },
      addresses: [{ interface: "lan0", cidr: "10.0.0.1/24" }],
    },
  ],
  zones: [
    { id: "wan", router: "r1", kind: "uplink", interfaces: ["wan0"] },
    { id: "lan", router: "r1", kind: "management", interfaces: ["lan0"], subnets: ["10.0.0.0/24"] },
  ],
  networks: [
    {
      id: "home",
      router: "r1",
      port: 51820,
      endpoint: "vpn.example.net:51820",
      subnets: ["10.99.0.0/24"],
    },
  ],
  profiles: [{ id: "split", reach: [{ zone: "lan" }] }],
  constraints: [{ network: "home", profiles: ["split"] }],
  policies: [{ id: "lan-out", from: "lan", to: "wan" }],
  masquerade: [{ from: "lan", to: "wan" }],
  confirm: { window_s: 10, cap_s: 60 },
};

/** The intent with some of its parts replaced. Throws when that is no intent. */
export function intentOf(more: Partial<IntentInput> = {}): Intent {
  return v.parse(IntentDocument, { ...base, ...more });
}

export type ClientInput = {
  readonly id: string;
  readonly key: string;
  readonly address: string;
  readonly psk?: string;
};

/** Clients of network home. */
export function inventoryOf(clients: readonly ClientInput[] = []): Inventory {
  const input: InventoryInput = {
    version: 1,
    clients: clients.map(({ id, key, address, psk = "" }) => ({
      id,
      grants: [
        {
          network: "home",
          profile: "split",
          addresses: [address],
          keys: [{ generation: 1, public_key: key, psk }],
        },
      ],
    })),
  };
  return v.parse(InventoryDocument, input);
}

export const baseIntent: IntentInput = base;
