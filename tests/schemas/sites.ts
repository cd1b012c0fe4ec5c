/** A small lawful site for tests to break: two routers, every kind of zone, both classes of network, one of everything. */
import * as v from "valibot";
import { type Intent, IntentDocument, type IntentInput } from "../../schemas/intent.ts";
import { type Inventory, InventoryDocument, type InventoryInput } from "../../schemas/inventory.ts";
import { clientKeys } from "../site/fixture.ts";

export const key = (client: string, network: string, generation = 1): string =>
  clientKeys(client, network, generation).publicKey;

const intentInput: IntentInput = {
  version: 1,
  site: "test",
  ula_prefix: "fd42:1:1::/48",
  routers: [
    {
      id: "r1",
      uplinks: [
        {
          interface: "wan0",
          addresses: ["198.51.100.2/24", "2001:db8:100::2/64"],
          gateways: ["198.51.100.1", "fe80::1"],
        },
      ],
      management: { addresses: ["10.0.0.1", "fd42:1:1:1::1"], zones: ["lan", "desk", "home"] },
      addresses: [
        { interface: "lan0", cidr: "10.0.0.1/24" },
        { interface: "lan0", cidr: "fd42:1:1:1::1/64" },
        { interface: "desk0", cidr: "10.0.9.1/24" },
        { interface: "lab0", cidr: "10.0.30.1/24" },
      ],
      routes: [{ to: "10.0.1.0/24", via: "10.0.0.10", interface: "lan0" }],
      forward_v6: true,
    },
    {
      id: "r2",
      uplinks: [{ interface: "wan0", dynamic: true }],
      management: { addresses: ["10.1.0.1"], zones: ["far"] },
      addresses: [{ interface: "lan0", cidr: "10.1.0.1/24" }],
    },
  ],
  zones: [
    { id: "wan", router: "r1", kind: "uplink", interfaces: ["wan0"] },
    { id: "lan", router: "r1", kind: "internal", interfaces: ["lan0"], subnets: ["10.0.0.0/24", "fd42:1:1:1::/64"] },
    { id: "desk", router: "r1", kind: "management", interfaces: ["desk0"], subnets: ["10.0.9.0/24"] },
    { id: "lab", router: "r1", kind: "experimental", interfaces: ["lab0"], subnets: ["10.0.30.0/24"] },
    { id: "wan2", router: "r2", kind: "uplink", interfaces: ["wan0"] },
    { id: "far", router: "r2", kind: "internal", interfaces: ["lan0"], subnets: ["10.1.0.0/24"], dhcp: true },
  ],
  networks: [
    {
      id: "home",
      router: "r1",
      interface: "wgs1",
      port: 51820,
      endpoint: "vpn.example.net:51820",
      subnets: ["10.8.0.0/24", "fd42:1:1:8::/64"],
      dns: ["10.0.0.53"],
    },
    {
      id: "exp",
      router: "r1",
      port: 51821,
      endpoint: "198.51.100.2:51821",
      subnets: ["10.9.0.0/24"],
      class: "experimental",
    },
    { id: "away", router: "r2", port: 51820, endpoint: "[2001:db8::7]:51820", subnets: ["10.18.0.0/24"] },
  ],
  services: [
    { id: "dns", ports: [{ protocol: "udp", from: 53 }] },
    { id: "web", addresses: ["10.0.0.10", "fd42:1:1:1::10"], ports: [{ protocol: "tcp", from: 443, to: 444 }] },
    { id: "ping", ports: [{ protocol: "icmp" }] },
    { id: "lab-web", addresses: ["10.0.30.10"], ports: [{ protocol: "tcp", from: 80 }] },
  ],
  profiles: [
    { id: "full", reach: [{ zone: "lan", v6: true }], internet: { v4: true, v6: true }, dns: { v4: true } },
    { id: "split", reach: [{ zone: "lan" }], services: ["web"] },
    { id: "lab", reach: [{ zone: "lab" }], services: ["lab-web"] },
    { id: "none" },
    { id: "far", reach: [{ zone: "far" }] },
  ],
  constraints: [
    { network: "home", profiles: ["full", "split", "none"] },
    { network: "exp", profiles: ["lab", "none"] },
  ],
  policies: [
    { id: "lan-out", from: "lan", to: "wan" },
    { id: "lan-router", from: "lan", to: "router" },
    { id: "lab-router", from: "lab", to: "router", services: ["dns"], v6: false },
    { id: "lan-lab", from: "lan", to: "lab" },
  ],
  port_forwards: [
    {
      id: "web",
      zone: "wan",
      address: "198.51.100.2",
      protocol: "tcp",
      port: 8000,
      to_address: "10.0.0.10",
      to_port: 80,
      count: 10,
    },
    {
      id: "game",
      zone: "wan",
      address: "198.51.100.2",
      protocol: "udp",
      port: 8000,
      to_address: "10.0.0.10",
      to_port: 8000,
    },
  ],
  masquerade: [
    { from: "home", to: "wan" },
    { from: "lan", to: "wan" },
  ],
  nat66: [{ from: "home", to: "wan" }],
  probes: [
    { id: "gateway", router: "r1", kind: "ping", target: "198.51.100.1" },
    { id: "web", router: "r1", kind: "tcp", target: "10.0.0.10", port: 443 },
    { id: "tunnel", router: "r1", kind: "handshake", target: "home" },
  ],
};

const fingerprint = "0000000000000000000000000000000000000000000000000000000000000001";

const inventoryInput: InventoryInput = {
  version: 1,
  clients: [
    {
      id: "ann",
      owner: "ann",
      grants: [
        {
          network: "home",
          profile: "full",
          addresses: ["10.8.0.2", "fd42:1:1:8::2"],
          keys: [
            { generation: 1, public_key: key("ann", "home"), psk: "a".repeat(64) },
            { generation: 2, public_key: key("ann", "home", 2), state: "staged", origin: "operator" },
          ],
          configs: ["ann.home.1"],
        },
        {
          network: "exp",
          profile: "lab",
          addresses: ["10.9.0.2"],
          keys: [{ generation: 1, public_key: key("ann", "exp") }],
        },
      ],
      hints: { os: "linux", dns: ["10.0.0.53"], mtu: 1400, keepalive_s: 15, excludes: ["192.0.2.0/24"] },
      expires: "2028-02-29",
    },
    {
      id: "ben",
      state: "suspended",
      grants: [
        {
          network: "home",
          profile: "split",
          addresses: ["10.8.0.3"],
          keys: [{ generation: 1, public_key: key("ben", "home") }],
        },
      ],
      services: ["ping"],
    },
    {
      id: "cat",
      state: "revoked",
      grants: [{ network: "home", profile: "split", addresses: ["10.8.0.4"] }],
    },
    {
      id: "dan",
      grants: [
        {
          network: "away",
          profile: "far",
          addresses: ["10.18.0.2"],
          keys: [{ generation: 1, public_key: key("dan", "away") }],
        },
      ],
    },
  ],
  tombstones: [{ network: "home", address: "10.8.0.9", client: "eve", since: "2026-01-31" }],
  ledger: [{ fingerprint, kind: "ssh", reference: "old laptop", reason: "lost", since: "2026-01-31" }],
};

/** Lists and fields that a test may write to. */
export type Loose<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer I)[] ? Loose<I>[] : Loose<T[K]> };

/** The lawful intent, with every default filled in, after `change` has broken it; still of the right shape. */
export function intentWith(change: (intent: Loose<Intent>) => void = () => undefined): Intent {
  const intent = structuredClone(v.parse(IntentDocument, intentInput));
  change(intent as Loose<Intent>);
  return v.parse(IntentDocument, intent);
}

export function inventoryWith(change: (inventory: Loose<Inventory>) => void = () => undefined): Inventory {
  const inventory = structuredClone(v.parse(InventoryDocument, inventoryInput));
  change(inventory as Loose<Inventory>);
  return v.parse(InventoryDocument, inventory);
}
