/** What a lane looks like to a ruleset that is not ours: its packets, both ways, and the interfaces they may use. */
import type { Desired } from "../../schemas/desired.ts";
import { type Family, parseIp } from "../../schemas/ip.ts";

/** Packets that arrive for a lane, or the same the other way round when it answers. */
export type LanePacket = {
  readonly lane: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number; // ours
  readonly family: Family;
  readonly address: string; // ours; "" for every local address
};

const both: readonly Family[] = [4, 6];

/** Every lane of a generation in each family that it has; the management port inside the rescue lane is one too. */
export function lanePackets(desired: Desired): readonly LanePacket[] {
  const lanes = desired.lanes.flatMap(({ name, protocol, port, address }) =>
    (address === "" ? both : [parseIp(address)?.family ?? 4]).map((family): LanePacket => {
      return { lane: name, protocol, port, family, address };
    }),
  );
  const inside = desired.api
    .filter(({ address }) => !desired.lanes.some((lane) => lane.address === address))
    .map(({ address, port, lane }): LanePacket => {
      return { lane, protocol: "tcp", port, family: parseIp(address)?.family ?? 4, address };
    });
  return [...lanes, ...inside];
}

/**
 * Interfaces that the generation knows, sorted: those of its links, addresses and routes, and every name that its rules
 * compare an interface with. The loopback is none: nobody arrives there from outside.
 */
export function laneInterfaces(desired: Desired): readonly string[] {
  const named = desired.nft.sets
    .filter((set) => /\bifname\b|\b[io]ifname\b/.test(set.type))
    .flatMap((set) => set.elements.flatMap((element) => [...element.matchAll(/"([^"]+)"/g)].map((found) => found[1]!)));
  const all = [
    ...desired.links.map((link) => link.name),
    ...desired.addresses.map((address) => address.interface),
    ...desired.routes.map((route) => route.interface),
    ...named,
  ];
  return [...new Set(all)].filter((name) => name !== "lo").sort();
}
