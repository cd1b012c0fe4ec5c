/** Documents for tests of the compiler: small YAML-shaped inputs, parsed by the real schemas, with keys by name. */
import * as v from "valibot";
import type { CompileInput } from "../../agent/core/compile.ts";
import { compile, networksOf } from "../../agent/core/compile.ts";
import type { Desired } from "../../schemas/desired.ts";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import { type Intent, IntentDocument, type IntentInput } from "../../schemas/intent.ts";
import { type Inventory, InventoryDocument, type InventoryInput } from "../../schemas/inventory.ts";
import type { KeyReport, Operator, Root, Roster } from "../../schemas/trust.ts";

const bytes = (name: string, length = 32): Uint8Array => sha256(name).slice(0, length);

/** A public key that belongs to nobody: only compared, never used for a handshake. */
export function keyOf(name: string): string {
  return toBase64(sha256(`key ${name}`));
}

export const NETWORK_ID = bytes("network", 16);
const ZEROS = new Uint8Array(32);

export function rootOf(networkId: Uint8Array = NETWORK_ID): Root {
  return {
    network_id: networkId,
    network: "test",
    version: 1,
    prev_digest: ZEROS,
    keys: [],
    root_threshold: 1,
    admin_threshold: 1,
    recovery_threshold: 1,
    escrow: [],
    classes: [],
    safe_mode: { api_port: 8022, allow_icmp: true },
    solo: true,
    issued_at: 0n,
  };
}

export function operatorOf(holder: string, more: Partial<Operator> = {}): Operator {
  return {
    holder,
    sign_key: bytes(`sign ${holder}`),
    seal_key: bytes(`seal ${holder}`),
    lane_key: keyOf(`lane ${holder}`),
    max_class: "routine",
    status: "active",
    ...more,
  };
}

export function rosterOf(operators: readonly Operator[], networkId: Uint8Array = NETWORK_ID): Roster {
  return {
    network_id: networkId,
    version: 1,
    prev_digest: ZEROS,
    root_digest: ZEROS,
    operators: [...operators],
    routers: [],
    consumed_tokens: [],
    issued_at: 0n,
  };
}

/** A key report with a key for every network of the router and for the rescue lane. */
export function reportOf(intent: Intent, router: string, networkId: Uint8Array = NETWORK_ID): KeyReport {
  const networks = [...networksOf(intent, router), "rescue"];
  return {
    network_id: networkId,
    router_id: bytes(`router ${router}`, 16),
    incarnation: 1,
    version: 1,
    keys: networks.map((network) => ({ network, public_key: keyOf(`device ${router} ${network}`) })),
  };
}

export function intentOf(input: IntentInput): Intent {
  return v.parse(IntentDocument, input);
}

export function inventoryOf(input: InventoryInput): Inventory {
  return v.parse(InventoryDocument, input);
}

/** One router with its uplink, a LAN and a VPN; parts are replaced or added by the test. */
export function smallIntent(more: Partial<IntentInput> = {}): IntentInput {
  return {
    version: 1,
    site: "test",
    routers: [
      {
        id: "r1",
        uplinks: [
          {
            interface: "wan0",
            addresses: ["192.0.2.2/24", "2001:db8::2/64"],
            gateways: ["192.0.2.1", "2001:db8::1"],
          },
        ],
        management: { addresses: ["10.1.0.1"], zones: ["lan"] },
        addresses: [
          { interface: "lan0", cidr: "10.1.0.1/24" },
          { interface: "lan0", cidr: "fd00:1::1/64" },
        ],
        forward_v6: true,
      },
    ],
    zones: [
      { id: "wan", router: "r1", kind: "uplink", interfaces: ["wan0"] },
      { id: "lan", router: "r1", kind: "internal", interfaces: ["lan0"], subnets: ["10.1.0.0/24", "fd00:1::/64"] },
    ],
    networks: [
      {
        id: "home",
        router: "r1",
        port: 51820,
        endpoint: "vpn.example.net:51820",
        subnets: ["10.100.0.0/16", "fd00:100::/64"],
        dns: ["10.100.0.1", "fd00:100::1"],
      },
    ],
    services: [{ id: "web", addresses: ["10.1.0.5"], ports: [{ protocol: "tcp", from: 443 }] }],
    profiles: [
      { id: "split", reach: [{ zone: "lan", v4: true, v6: true }], dns: { v4: true, v6: true } },
      {
        id: "full",
        reach: [{ zone: "lan", v4: true, v6: true }],
        internet: { v4: true, v6: true },
        dns: { v4: true, v6: true },
      },
      { id: "none" },
    ],
    masquerade: [
      { from: "lan", to: "wan" },
      { from: "home", to: "wan" },
    ],
    nat66: [{ from: "home", to: "wan" }],
    policies: [{ id: "lan-out", from: "lan", to: "wan" }],
    ...more,
  };
}

export type ClientInput = NonNullable<InventoryInput["clients"]>[number];
export type GrantInput = NonNullable<ClientInput["grants"]>[number];

/** What client n has on the small intent's home network. */
export function grantOf(n: number, more: Partial<GrantInput> = {}): GrantInput {
  return {
    network: "home",
    profile: "split",
    addresses: [`10.100.${n >> 8}.${n & 255}`, `fd00:100::${n.toString(16)}`],
    keys: [{ generation: 1, public_key: keyOf(`client ${n}`) }],
    ...more,
  };
}

export function clientOf(n: number, more: Partial<ClientInput> = {}): ClientInput {
  return { id: `c${n}`, grants: [grantOf(n)], ...more };
}

export const clients = (count: number): InventoryInput => ({
  version: 1,
  clients: Array.from({ length: count }, (_, i) => clientOf(i + 2)),
});

/** Input of compile() for documents and the operators ann and bob. */
export function inputOf(
  intent: IntentInput,
  inventory: InventoryInput,
  more: Partial<CompileInput> = {},
): CompileInput {
  const parsed = intentOf(intent);
  const router = more.router ?? parsed.routers[0]!.id;
  return {
    intent: parsed,
    inventory: inventoryOf(inventory),
    root: rootOf(),
    roster: rosterOf([operatorOf("ann"), operatorOf("bob")]),
    keys: reportOf(parsed, router),
    router,
    ...more,
  };
}

/** The compiled generation; throws with the problems when it is refused. */
export function desiredOf(intent: IntentInput, inventory: InventoryInput, more: Partial<CompileInput> = {}): Desired {
  const result = compile(inputOf(intent, inventory, more));
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}
