/**
 * Configuration texts for people and their devices, in the words of wg-quick(8). What a client routes into its tunnel
 * is derived from the very profile that the router enforces (reference/wireguard.md U6): nobody writes AllowedIPs.
 */
import { canonicalIntent, type Intent, type Network, type Profile, type Service } from "../../schemas/intent.ts";
import { type Client, canonicalInventory, type Grant, type Inventory } from "../../schemas/inventory.ts";
import {
  BITS,
  type Family,
  formatPrefix,
  hostPrefix,
  type Prefix,
  parseIp,
  parsePrefix,
  subtract,
} from "../../schemas/ip.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { KeyReport } from "../../schemas/trust.ts";
import { operatorRescueAddress, RESCUE_MTU, routerRescueAddress } from "./compile/rescue.ts";
import { serverAddresses } from "./compile/routing.ts";
import { disjointPrefixes, FAMILIES, type Scope, scopeOf } from "./compile/scope.ts";

export type ClientConfigInput = {
  readonly intent: Intent;
  readonly inventory: Inventory;
  readonly keys: KeyReport; // of the network's router
  readonly client: string;
  readonly network: string;
  readonly privateKey: string | null; // null: the client has it; a comment says where it goes
  readonly psk: string | null;
};

export type LaneConfigInput = {
  readonly networkId: Uint8Array;
  readonly holder: string;
  readonly laneKey: string; // public half, from which the address follows
  readonly privateKey: string | null;
  readonly router: string;
  readonly routerKey: string; // of the lane, from the router's key report
  readonly endpoint: string; // host name or address, without a port
  readonly port: number;
};

const wants = (flags: { readonly v4: boolean; readonly v6: boolean }, family: Family): boolean =>
  family === 4 ? flags.v4 : flags.v6;

const everything = (family: Family): Prefix => ({ family, value: 0n, length: 0 });

function servicePrefixes(services: readonly Service[]): readonly Prefix[] {
  return services.flatMap((service) =>
    service.addresses.flatMap((text): Prefix[] => {
      const ip = parseIp(text);
      const prefix = ip === undefined ? parsePrefix(text) : { ...ip, length: BITS[ip.family] };
      return prefix === undefined ? [] : [prefix];
    }),
  );
}

type Held = { readonly client: Client; readonly grant: Grant; readonly network: Network; readonly scope: Scope };

/** What the client sends into the tunnel in one family; nothing when it has no address there. */
function routedPrefixes(held: Held, profile: Profile | undefined, family: Family): readonly Prefix[] {
  const { client, grant, network, scope } = held;
  if (!grant.addresses.some((text) => parseIp(text)?.family === family)) return [];
  const of = (prefixes: readonly Prefix[]): readonly Prefix[] => prefixes.filter((one) => one.family === family);
  const router = of(serverAddresses(network));
  const dns =
    profile !== undefined && wants(profile.dns, family)
      ? of(network.dns.map((text) => hostPrefix(parseIp(text)!)))
      : [];
  if (profile !== undefined && wants(profile.internet, family)) {
    const excludes = of(client.hints.excludes.map((text) => parsePrefix(text)!));
    // The router and its DNS stay reachable, whatever is cut out around them.
    return disjointPrefixes([...subtract([everything(family)], excludes), ...router, ...dns]);
  }
  const experimental = network.class === "experimental";
  const zones = (profile?.reach ?? [])
    .filter((reach) => wants(reach, family))
    .map((reach) => scope.nodes.find((node) => node.id === reach.zone && node.kind !== "network"))
    .filter((node) => node !== undefined)
    .filter((node) => !experimental || node.experimental || node.kind === "uplink");
  const ids = [...(profile?.services ?? []), ...client.services];
  const services = ids.map((id) => scope.services.get(id)).filter((service) => service !== undefined);
  return disjointPrefixes([
    ...router,
    ...dns,
    ...of(zones.flatMap((zone) => zone.prefixes)),
    ...of(servicePrefixes(services)),
  ]);
}

/** AllowedIPs of a client's configuration, sorted, none inside another. */
function clientAllowedIps(held: Held): readonly string[] {
  const profile = held.scope.profiles.find((one) => one.id === held.grant.profile);
  return FAMILIES.flatMap((family) => routedPrefixes(held, profile, family)).map(formatPrefix);
}

function dnsOf(held: Held): readonly string[] {
  const { client, grant, network, scope } = held;
  if (client.hints.dns.length > 0) return client.hints.dns;
  const profile = scope.profiles.find((one) => one.id === grant.profile);
  return network.dns.filter((text) => {
    const family = parseIp(text)!.family;
    const own = grant.addresses.some((address) => parseIp(address)?.family === family);
    return own && profile !== undefined && wants(profile.dns, family);
  });
}

/** Public in a name, private in a file: without the key there is only the place for it. */
const keyLine = (privateKey: string | null): string =>
  privateKey === null ? "# PrivateKey = the key that was made on this device" : `PrivateKey = ${privateKey}`;

function held(input: ClientConfigInput): Result<Held> {
  const intent = canonicalIntent(input.intent);
  const inventory = canonicalInventory(input.inventory);
  const client = inventory.clients.find((one) => one.id === input.client);
  const grant = client?.grants.find((one) => one.network === input.network);
  const network = intent.networks.find((one) => one.id === input.network);
  const scope = network === undefined ? undefined : scopeOf(intent, inventory, network.router);
  if (client === undefined || grant === undefined || network === undefined || scope === undefined) {
    const text = `Client ${input.client} has no grant on network ${input.network}: add one first.`;
    return refuse("compile.no_grant", input.client, text);
  }
  return done({ client, grant, network, scope });
}

/**
 * The wg-quick text of one client on one network. Full tunnels are all addresses without the client's excludes, as the
 * fewest prefixes (D10). Refused with compile.no_grant and compile.key_missing.
 */
export function clientConfig(input: ClientConfigInput): Result<string> {
  const found = held(input);
  if (!found.ok) return found;
  const { client, grant, network } = found.value;
  const server = input.keys.keys.find((key) => key.network === network.id);
  if (server === undefined) {
    const text = `The key report has no key for ${network.id}: fetch a new one from router ${network.router}.`;
    return refuse("compile.key_missing", network.id, text);
  }
  const addresses = grant.addresses.map((text) => formatPrefix(hostPrefix(parseIp(text)!)));
  const dns = dnsOf(found.value);
  const keepalive = client.hints.keepalive_s || network.keepalive_s;
  const lines = [
    `# ${client.id} on ${network.id}`,
    "[Interface]",
    keyLine(input.privateKey),
    `Address = ${addresses.join(", ")}`,
    ...(dns.length === 0 ? [] : [`DNS = ${dns.join(", ")}`]),
    `MTU = ${client.hints.mtu || network.mtu}`,
    "",
    "[Peer]",
    `PublicKey = ${server.public_key}`,
    ...(input.psk === null ? [] : [`PresharedKey = ${input.psk}`]),
    `Endpoint = ${network.endpoint}`,
    `AllowedIPs = ${clientAllowedIps(found.value).join(", ")}`,
    ...(keepalive === 0 ? [] : [`PersistentKeepalive = ${keepalive}`]),
  ];
  return done(`${lines.join("\n")}\n`);
}

/** The wg-quick text of an operator's end of a router's rescue lane. Only the router's own address goes in. */
export function laneConfig(input: LaneConfigInput): string {
  const { networkId, holder, laneKey, router, endpoint } = input;
  const host = endpoint.includes(":") && !endpoint.startsWith("[") ? `[${endpoint}]` : endpoint;
  const lines = [
    `# ${holder}, rescue lane of ${router}`,
    "[Interface]",
    keyLine(input.privateKey),
    `Address = ${operatorRescueAddress(networkId, laneKey)}/128`,
    `MTU = ${RESCUE_MTU}`,
    "",
    "[Peer]",
    `PublicKey = ${input.routerKey}`,
    `Endpoint = ${host}:${input.port}`,
    `AllowedIPs = ${routerRescueAddress(networkId, router)}/128`,
    "PersistentKeepalive = 25",
  ];
  return `${lines.join("\n")}\n`;
}
