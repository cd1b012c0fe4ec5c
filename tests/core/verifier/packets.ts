/** Packets at random and at the edges of what a ruleset mentions, seeded. */
import type { Packet } from "../../../agent/core/invariants-packet.ts";
import type { Desired } from "../../../schemas/desired.ts";
import { BITS, type Family, type Ip, lastOf, parseCidr, parseIp, parsePrefix } from "../../../schemas/ip.ts";

export type Random = (below: number) => number;

/** What a site's texts mention, and the values next to it. */
export type Pool = {
  readonly interfaces: readonly string[];
  readonly addresses: Readonly<Record<Family, readonly Ip[]>>;
  readonly ports: readonly number[];
};

const EXTRA: Readonly<Record<Family, readonly string[]>> = {
  4: ["0.0.0.0", "10.255.255.254", "127.0.0.1", "203.0.113.200", "224.0.0.1", "255.255.255.255"],
  6: ["::", "::1", "fe80::1", "fe80::abcd", "ff02::1", "2001:db8:ffff::200", "fd00::5"],
};

function edges(text: string, family: Family): readonly bigint[] {
  const [from, to] = text.split("-");
  const prefix = parsePrefix(text);
  const cidr = parseCidr(text);
  const span =
    prefix !== undefined
      ? { family: prefix.family, from: prefix.value, to: lastOf(prefix) }
      : cidr !== undefined
        ? { family: cidr.family, from: cidr.value, to: cidr.value }
        : [parseIp(from ?? ""), parseIp(to ?? from ?? "")].every((ip) => ip !== undefined)
          ? { family: parseIp(from!)!.family, from: parseIp(from!)!.value, to: parseIp(to ?? from!)!.value }
          : undefined;
  if (span === undefined || span.family !== family) return [];
  const last = (1n << BigInt(BITS[family])) - 1n;
  return [span.from - 1n, span.from, span.from + 1n, span.to, span.to + 1n].filter((one) => one >= 0n && one <= last);
}

export function poolOf(desired: Desired): Pool {
  const texts = [
    ...desired.nft.chains.flatMap((chain) => chain.rules),
    ...desired.nft.sets.flatMap((set) => set.elements.slice(0, 200)),
    ...desired.addresses.map((address) => address.cidr),
    ...desired.links.flatMap((link) => link.peers.slice(0, 20).flatMap((peer) => peer.allowedIps)),
  ];
  const words = texts.flatMap((text) => text.match(/"[^"]*"|[^\s,{}()"]+/g) ?? []);
  const unique = [...new Set(words)];
  const of = (family: Family): readonly Ip[] => {
    const values = unique.flatMap((word) => [...edges(word, family)]);
    const extra = EXTRA[family].map((text) => parseIp(text)!.value);
    return [...new Set([...values, ...extra])].map((value) => ({ family, value }));
  };
  const numbers = unique.flatMap((word) => {
    const found = /^:?(\d{1,5})(?:-(\d{1,5}))?$/.exec(word);
    return found === null ? [] : [Number(found[1]), Number(found[2] ?? found[1])];
  });
  const ports = numbers.flatMap((one) => [one - 1, one, one + 1]).filter((one) => one >= 0 && one <= 65535);
  return {
    interfaces: [...new Set(words.filter((word) => word.startsWith('"')).map((word) => word.slice(1, -1))), "eth9"],
    addresses: { 4: of(4), 6: of(6) },
    ports: [...new Set([...ports, 53, 80, 443, 40_000])],
  };
}

const ICMP: Readonly<Record<Family, readonly string[]>> = {
  4: ["echo-request", "echo-reply", "destination-unreachable", "time-exceeded"],
  6: ["echo-request", "echo-reply", "packet-too-big", "nd-neighbor-solicit", "nd-router-advert", "mld-listener-query"],
};
const STATES = ["new", "new", "new", "established", "established", "related", "invalid", "untracked"] as const;

/** One packet at a hook; which fields it has there is the caller's to say. */
export function randomPacket(random: Random, pool: Pool, family: Family, local: (ip: Ip) => boolean): Packet {
  const one = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const protocol = one(["tcp", "tcp", "udp", "udp", "icmp"] as const);
  const state = one(STATES);
  const [source, target] = [one(pool.addresses[family]), one(pool.addresses[family])];
  const ports = protocol !== "icmp";
  return {
    family,
    iif: one(pool.interfaces),
    oif: one(pool.interfaces),
    source,
    target,
    protocol,
    sport: ports ? one(pool.ports) : 0,
    dport: ports ? one(pool.ports) : 0,
    icmpType: ports ? "" : one(ICMP[family]),
    syn: random(2) === 0,
    state,
    direction: state === "new" || random(2) === 0 ? "original" : "reply",
    epoch: random(2) === 0 ? "current" : "stale",
    dnat: state !== "new" && random(4) === 0,
    sourceLocal: local(source),
    targetLocal: local(target),
  };
}
