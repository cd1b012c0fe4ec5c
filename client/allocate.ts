/**
 * Sticky addresses: a client's slot follows from its name, with linear probing, so that the same client gets the same
 * host part on every network and on every machine. What is reserved, taken or buried is skipped.
 */

import { sha256 } from "../schemas/digest.ts";
import type { Network } from "../schemas/intent.ts";
import { serverAddress } from "../schemas/intent-laws-index.ts";
import type { Inventory } from "../schemas/inventory.ts";
import { BITS, formatIp, lastOf, type Prefix, parsePrefix } from "../schemas/ip.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";

/** IPv6 networks have more hosts than any probing needs. */
const SLOTS_MAX = 1n << 32n;

/** Host parts that clients of a subnet may have: all but network, router and, in IPv4, broadcast. */
function hostsOf(subnet: Prefix): { readonly first: bigint; readonly count: bigint } {
  const size = 1n << BigInt(BITS[subnet.family] - subnet.length);
  const count = size - (subnet.family === 4 ? 3n : 2n);
  return { first: 2n, count: count > SLOTS_MAX ? SLOTS_MAX : count };
}

function slotOf(client: string, count: bigint): bigint {
  let value = 0n;
  for (const byte of sha256("holdfast/slot/v1\0", client).subarray(0, 8)) value = (value << 8n) | BigInt(byte);
  return value % count;
}

/** Every address of the network that this client cannot have. */
function takenOn(network: Network, inventory: Inventory, client: string): ReadonlySet<string> {
  const buried = inventory.tombstones.filter((stone) => stone.network === network.id && stone.client !== client);
  return new Set([
    ...inventory.clients.flatMap((one) => one.grants.flatMap((grant) => grant.addresses)),
    ...buried.map((stone) => stone.address),
    ...network.dns,
  ]);
}

/**
 * One free address for each subnet of the network, with one host part for both families. The smaller subnet decides
 * how many there are. Code cli.network_full.
 */
export function allocate(network: Network, inventory: Inventory, client: string): Result<readonly string[]> {
  const subnets = network.subnets.map((text) => parsePrefix(text)!);
  const hosts = subnets.map(hostsOf);
  let count = SLOTS_MAX;
  for (const one of hosts) if (one.count < count) count = one.count;
  const taken = takenOn(network, inventory, client);
  const start = slotOf(client, count);
  // More than taken.size tries find nothing new: each address that is taken spoils one slot at most.
  const tries = BigInt(taken.size) + 1n < count ? BigInt(taken.size) + 1n : count;
  for (let i = 0n; i < tries; i += 1n) {
    const host = 2n + ((start + i) % count);
    const addresses = subnets.map((subnet) => formatIp({ family: subnet.family, value: subnet.value + host }));
    const reserved = subnets.some((subnet, s) => {
      const value = subnet.value + host;
      return (
        value === serverAddress(subnet).value ||
        (subnet.family === 4 && value === lastOf(subnet)) ||
        taken.has(addresses[s]!)
      );
    });
    if (!reserved) return done(addresses);
  }
  return refuse("cli.network_full", network.id, `no free address in ${network.subnets.join(", ")}`);
}
