/**
 * Services of contracts as the fields of first packets: by address, protocol and port, and everything else. What is a
 * flow's first packet follows the kernel: conntrack begins an ICMP flow with a request only (nf_conntrack_proto_icmp.c,
 * nf_conntrack_proto_icmpv6.c); errors and neighbour discovery are no flows.
 */
import { DHCP_WORD, LANE_WORDS, portText } from "../../schemas/contract-words.ts";
import type { Contract, Intent, PortRange } from "../../schemas/intent.ts";
import type { Family } from "../../schemas/ip.ts";
import { rescuePorts } from "./compile/rescue.ts";
import { everyAddress, minus, ofTexts, type Ranges, union } from "./contracts-ranges.ts";
import type { ContractSubject } from "./contracts-sides.ts";
import type { Region, Span } from "./verifier/question.ts";

/** One kind of first packet: TCP or UDP ports, or a ping, at some targets; null: at any. */
export type Tuple = {
  readonly targets: Ranges | null;
  readonly protocol: PortRange["protocol"];
  readonly ports: Span;
  readonly sport?: number; // only from this port: DHCP
  readonly of?: string; // the service or port of the contract that it is part of
};

/** Fields of first packets beside their source and target. */
export type Piece = { readonly targets: Ranges | null; readonly fields: Partial<Region> };

const TCP = 6;
const UDP = 17;
const ICMP: Readonly<Record<Family, number>> = { 4: 1, 6: 58 };
const ECHO: Readonly<Record<Family, number>> = { 4: 8, 6: 128 };
const ECHO_REPLY: Readonly<Record<Family, number>> = { 4: 0, 6: 129 };
const REQUESTS: Readonly<Record<Family, readonly number[]>> = { 4: [8, 13, 15, 17], 6: [128, 139] };
const ALL_PORTS: Span = [0, 65535];

const others = (...without: readonly number[]): readonly number[] =>
  Array.from({ length: 256 }, (_, protocol) => protocol).filter((protocol) => !without.includes(protocol));

function laneTuples(word: string, { intent, root, router, desired }: ContractSubject, family: Family): Tuple[] {
  const ports = intent.networks.filter((network) => network.router === router).map((network) => network.port);
  const udp = (port: number): Tuple => ({ targets: null, protocol: "udp", ports: [port, port] });
  if (word === "wireguard") return ports.map(udp);
  if (word === "rescue")
    return rescuePorts(root.network_id)
      .filter((port) => !ports.includes(port))
      .map(udp);
  // The API on the rescue lane's own address is reached through that lane only.
  return desired.api
    .filter((api) => api.lane !== "rescue")
    .map(({ address, port }): Tuple => ({ targets: ofTexts([address], family), protocol: "tcp", ports: [port, port] }))
    .filter(({ targets }) => targets!.length > 0);
}

/** Servers and clients of DHCP and DHCPv6 (RFC 2131, RFC 8415) have fixed ports, in either direction. */
const DHCP: Readonly<Record<Family, readonly (readonly [sport: number, dport: number])[]>> = {
  4: [
    [68, 67],
    [67, 68],
  ],
  6: [
    [546, 547],
    [547, 546],
  ],
};

/** What a contract lets pass without asking for it. */
export function tolerated({ intent }: ContractSubject, contract: Contract, family: Family): readonly Tuple[] {
  if (!contract.services.includes(DHCP_WORD) || intent.services.some(({ id }) => id === DHCP_WORD)) return [];
  return DHCP[family].map(([sport, dport]) => ({ targets: null, protocol: "udp", ports: [dport, dport], sport }));
}

const spanOf = ({ from, to }: PortRange): Span => [from, to === 0 ? from : to];

function serviceTuples(intent: Intent, id: string, family: Family): Tuple[] {
  const service = intent.services.find((one) => one.id === id);
  if (service === undefined) return [];
  const targets = service.addresses.length === 0 ? null : ofTexts(service.addresses, family);
  if (targets?.length === 0) return [];
  return service.ports.map((port) => ({ targets, protocol: port.protocol, ports: spanOf(port) }));
}

/** What a contract names, in one family; empty when it names nothing. */
export function tuplesOf(subject: ContractSubject, contract: Contract, family: Family): readonly Tuple[] {
  return [
    ...contract.services.flatMap((id) => {
      const lane = LANE_WORDS.includes(id);
      const tuples = lane ? laneTuples(id, subject, family) : serviceTuples(subject.intent, id, family);
      return tuples.map((tuple) => ({ ...tuple, of: id }));
    }),
    ...contract.ports.map(
      (port): Tuple => ({ targets: null, protocol: port.protocol, ports: spanOf(port), of: portText(port) }),
    ),
  ];
}

/** A tuple's packets. */
export function pieceOf({ targets, protocol, ports }: Tuple, family: Family): Piece {
  if (protocol === "icmp") return { targets, fields: { icmpType: [ECHO[family]] } };
  return { targets, fields: { protocol: [protocol === "tcp" ? TCP : UDP], dport: [ports] } };
}

/** What answers a piece: ports exchanged, a reply for a request. */
export function answerOf({ fields }: Piece, family: Family): Partial<Region> {
  const { dport, icmpType, ...rest } = fields;
  return {
    ...rest,
    ...(dport === undefined ? {} : { sport: dport }),
    ...(icmpType === undefined ? {} : { icmpType: [ECHO_REPLY[family]] }),
  };
}

/** Every first packet, whatever its protocol. */
export function everyPiece(family: Family): readonly Piece[] {
  return [
    { targets: null, fields: { protocol: others(ICMP[family]) } },
    { targets: null, fields: { icmpType: REQUESTS[family] } },
  ];
}

/** For allow without services: what people speak, as pieces that have answers. */
export function plainPieces(family: Family): readonly Piece[] {
  return [
    { targets: null, fields: { protocol: others(ICMP[family]) } },
    { targets: null, fields: { icmpType: [ECHO[family]] } },
  ];
}

/** The same, with packets that have ports apart. */
export function portedPieces(family: Family): readonly Piece[] {
  const [ported, bare] = [[TCP, UDP], { targets: null, fields: { protocol: others(ICMP[family], TCP, UDP) } }];
  return [
    { targets: null, fields: { protocol: ported } },
    bare,
    { targets: null, fields: { icmpType: [ECHO[family]] } },
  ];
}

/** Ports from which the router begins no flow of its own: it listens there. */
export const freePorts = ({ desired }: ContractSubject): readonly Span[] =>
  portsWithout([...desired.lanes, ...desired.api].map(({ port }) => [port, port]));

/** Ports that none of the spans has. */
function portsWithout(spans: readonly Span[]): readonly Span[] {
  const left: Span[] = [];
  let next = ALL_PORTS[0];
  for (const [from, to] of [...spans].sort((a, b) => a[0] - b[0])) {
    if (from > next) left.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  return next <= ALL_PORTS[1] ? [...left, [next, ALL_PORTS[1]]] : left;
}

/** First packets at a set of targets that none of the tuples is. */
function piecesWithout(targets: Ranges | null, tuples: readonly Tuple[], family: Family): readonly Piece[] {
  const spans = (protocol: "tcp" | "udp"): readonly Span[] =>
    portsWithout(tuples.filter((one) => one.protocol === protocol).map((one) => one.ports));
  const ping = tuples.some((one) => one.protocol === "icmp");
  const pieces: Piece[] = [];
  const named = (["tcp", "udp"] as const).filter((protocol) => tuples.some((one) => one.protocol === protocol));
  const numbers = named.map((protocol) => (protocol === "tcp" ? TCP : UDP));
  pieces.push({ targets, fields: { protocol: others(ICMP[family], ...numbers) } });
  for (const [i, protocol] of named.entries()) {
    const dport = spans(protocol);
    if (dport.length > 0) pieces.push({ targets, fields: { protocol: [numbers[i]!], dport } });
  }
  for (const { ports, sport } of tuples) {
    if (sport === undefined) continue;
    const others = portsWithout([[sport, sport]]);
    pieces.push({ targets, fields: { protocol: [UDP], dport: [ports], sport: others } });
  }
  const requests = REQUESTS[family].filter((type) => !(ping && type === ECHO[family]));
  pieces.push({ targets, fields: { icmpType: requests } });
  return pieces;
}

/** Every first packet that is none of the tuples: the targets are cut where the tuples change. */
export function complement(tuples: readonly Tuple[], family: Family): readonly Piece[] {
  if (tuples.every((one) => one.targets === null)) return piecesWithout(null, tuples, family);
  const everywhere = tuples.filter((one) => one.targets === null);
  const slices = new Map<string, { targets: Ranges; tuples: readonly Tuple[] }>();
  const edges = [...new Set(tuples.flatMap((one) => (one.targets ?? []).flatMap(({ from, to }) => [from, to + 1n])))];
  edges.sort((a, b) => (a < b ? -1 : 1));
  for (const [i, from] of edges.slice(0, -1).entries()) {
    const inside = tuples.filter(
      (one) => one.targets === null || one.targets.some((r) => r.from <= from && from <= r.to),
    );
    const key = inside.map((one) => tuples.indexOf(one)).join(" ");
    const before = slices.get(key)?.targets ?? [];
    slices.set(key, { targets: union(before, [{ from, to: edges[i + 1]! - 1n }]), tuples: inside });
  }
  const covered = union(...[...slices.values()].map((slice) => slice.targets));
  const rest = minus(everyAddress(family), covered);
  return [
    ...piecesWithout(rest, everywhere, family),
    ...[...slices.values()].flatMap((slice) => piecesWithout(slice.targets, slice.tuples, family)),
  ];
}
