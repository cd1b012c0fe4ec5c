/** WireGuard devices of the router and their peers, from networks, clients, the roster and the router's key report. */
import type { WgLink, WgPeer } from "../../../schemas/desired.ts";
import { interfaceOf } from "../../../schemas/intent.ts";
import { BITS, comparePrefix, parsePrefix } from "../../../schemas/ip.ts";
import { type Problem, problem } from "../../../schemas/problem.ts";
import type { KeyReport, Root, Roster } from "../../../schemas/trust.ts";
import { byText, sortedBy } from "./order.ts";
import { operatorRescueAddress, RESCUE, RESCUE_LINK, RESCUE_MARK, RESCUE_MTU } from "./rescue.ts";
import { familyOf, type Granted, type Scope } from "./scope.ts";

/** Addresses as /32 and /128, in the order of comparePrefix: never anything wider (V10), so no peer speaks for another. */
function hostPrefixes(addresses: readonly string[]): readonly string[] {
  const hosts = addresses.map((text) => `${text}/${BITS[familyOf(text)]}`);
  if (hosts.length < 2) return hosts;
  return hosts
    .map((text) => ({ text, prefix: parsePrefix(text)! }))
    .sort((a, b) => comparePrefix(a.prefix, b.prefix))
    .map((one) => one.text);
}

/**
 * Peers of one grant. The live key of an active client holds its addresses; a staged key can only prove that it is
 * there (reference/wireguard.md §4.1); burnt keys, and clients that are suspended or revoked, are no peers.
 */
function peersOf({ client, grant }: Granted): readonly WgPeer[] {
  if (client.state !== "active") return [];
  const live = grant.keys.filter((key) => key.state === "live").sort((a, b) => b.generation - a.generation)[0];
  const staged = grant.keys.filter((key) => key.state === "staged");
  return [
    ...(live === undefined ? [] : [{ key: live, allowedIps: hostPrefixes(grant.addresses) }]),
    ...staged.map((key) => ({ key, allowedIps: [] })),
  ].map(({ key, allowedIps }) => ({ publicKey: key.public_key, psk: key.psk, allowedIps, keepaliveS: 0 }));
}

/** One peer for each lane key of the active operators. */
function operatorPeers(root: Root, roster: Roster): readonly WgPeer[] {
  const active = roster.operators.filter((operator) => operator.status === "active");
  return [...new Set(active.map((operator) => operator.lane_key))].map((publicKey) => ({
    publicKey,
    psk: "",
    allowedIps: hostPrefixes([operatorRescueAddress(root.network_id, publicKey)]),
    keepaliveS: 0,
  }));
}

const byKey = (peers: readonly WgPeer[]): readonly WgPeer[] =>
  [...peers].sort((a, b) => byText(a.publicKey, b.publicKey));

export type LinkInput = {
  readonly scope: Scope;
  readonly root: Root;
  readonly roster: Roster;
  readonly keys: KeyReport;
  readonly rescuePort: number;
};

/** Devices sorted by name; the problems name each network whose key the report lacks. */
export function linksOf(input: LinkInput): {
  readonly links: readonly WgLink[];
  readonly problems: readonly Problem[];
} {
  const { scope, root, roster, keys, rescuePort } = input;
  const reported = new Map(keys.keys.map((key) => [key.network, key.public_key]));
  const wanted = [...scope.networks.map((network) => network.id), RESCUE];
  const problems = wanted
    .filter((id) => !reported.has(id))
    .map((id) =>
      problem("compile.key_missing", id, `The key report of ${scope.router.id} has no key for ${id}: fetch a new one.`),
    );
  const peers = new Map<string, WgPeer[]>();
  for (const granted of scope.granted) {
    const list = peers.get(granted.grant.network) ?? [];
    list.push(...peersOf(granted));
    peers.set(granted.grant.network, list);
  }
  const networks = scope.networks.map(
    (network): WgLink => ({
      name: interfaceOf(network),
      network: network.id,
      port: network.port,
      mtu: network.mtu,
      fwmark: 0,
      publicKey: reported.get(network.id) ?? "",
      peers: byKey(peers.get(network.id) ?? []),
    }),
  );
  const rescue: WgLink = {
    name: RESCUE_LINK,
    network: RESCUE,
    port: rescuePort,
    mtu: RESCUE_MTU,
    fwmark: RESCUE_MARK,
    publicKey: reported.get(RESCUE) ?? "",
    peers: byKey(operatorPeers(root, roster)),
  };
  return { links: sortedBy([...networks, rescue], (link) => link.name), problems };
}
