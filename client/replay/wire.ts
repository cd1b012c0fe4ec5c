/**
 * Packets as octets. Each carries its number several times behind its headers, so that it is known wherever it comes
 * out, whole or in fragments. Formats: RFC 791, 8200, 9293, 768, 792, 4443. Checksums are right: conntrack looks.
 */
import { BITS, type Family, formatIp, type Ip } from "../../schemas/ip.ts";

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMP6 = 58;
/** Any private encryption scheme: a protocol without ports that nobody speaks (IANA). */
export const ANY = 99;

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;

/** What packets of flows are told apart by: ports, or type, code and identifier of ICMP. */
export type Ends = {
  readonly source: Ip;
  readonly target: Ip;
  readonly protocol: number; // as in the header: 1, 6, 17, 58 or anything
  readonly sport: number; // 0 for ICMP and what has no ports
  readonly dport: number;
  readonly type: number; // of ICMP, else 0
  readonly code: number;
  readonly id: number; // identifier of an echo, else 0
};

export type Shot = Ends & {
  readonly number: number;
  readonly iif: string; // "" when the router itself sends it
  readonly family: Family;
  readonly flags: number; // of TCP
  readonly mss: number; // of a SYN; 0: no option
  readonly hops: number;
  /** The packet that an ICMP error is about. */
  readonly about: Ends | undefined;
  /** Whole, in two fragments, or only the first of them. */
  readonly parts: "whole" | "two" | "first";
};

/** A packet as it came out. */
export type Seen = Ends & {
  readonly number: number; // -1: carries none
  readonly family: Family;
  readonly flags: number;
  readonly mss: number;
  readonly hops: number;
  readonly offset: number; // of a fragment, in octets
  readonly more: boolean;
  readonly about: Ends | undefined;
};

const MAGIC = [0x48, 0x46, 0x7a, 0x7a];
const UNITS = 3;

const u16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value)];

export function ipBytes({ family, value }: Ip): number[] {
  const out: number[] = [];
  for (let shift = BigInt(BITS[family]) - 8n; shift >= 0n; shift -= 8n) out.push(Number((value >> shift) & 255n));
  return out;
}

function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

function pseudo(ends: Ends, length: number): number[] {
  const addresses = [...ipBytes(ends.source), ...ipBytes(ends.target)];
  return ends.source.family === 4
    ? [...addresses, 0, ends.protocol, ...u16(length)]
    : [...addresses, ...u32(length), 0, 0, 0, ends.protocol];
}

const marked = (number: number): number[] => Array.from({ length: UNITS }, () => [...MAGIC, ...u32(number)]).flat();

type Upper = { readonly flags: number; readonly mss: number; readonly body: readonly number[] };

/** Header and body above IP, with its checksum. */
function upper(ends: Ends, { flags, mss, body }: Upper): number[] {
  const put = (bytes: number[], at: number, head: readonly number[]): number[] => {
    const sum = checksum([...head, ...bytes]);
    const value = ends.protocol === UDP && sum === 0 ? 0xffff : sum;
    [bytes[at], bytes[at + 1]] = [value >> 8, value & 255];
    return bytes;
  };
  if (ends.protocol === TCP) {
    const options = mss === 0 ? [] : [2, 4, ...u16(mss)];
    const words = 5 + options.length / 4;
    const ports = [...u16(ends.sport), ...u16(ends.dport)];
    const head = [...ports, ...u32(1000), ...u32(flags & ACK ? 1001 : 0), words << 4, flags, 0x20, 0, 0, 0, 0, 0];
    const bytes = [...head, ...options, ...body];
    return put(bytes, 16, pseudo(ends, bytes.length));
  }
  if (ends.protocol === UDP) {
    const bytes = [...u16(ends.sport), ...u16(ends.dport), ...u16(8 + body.length), 0, 0, ...body];
    return put(bytes, 6, pseudo(ends, bytes.length));
  }
  if (ends.protocol === ICMP) return put([ends.type, ends.code, 0, 0, ...u16(ends.id), 0, 1, ...body], 2, []);
  if (ends.protocol === ICMP6) {
    const bytes = [ends.type, ends.code, 0, 0, ...u16(ends.id), 0, 1, ...body];
    return put(bytes, 2, pseudo(ends, bytes.length));
  }
  return [...body];
}

type Header = { readonly hops: number; readonly id: number; readonly offset: number; readonly more: boolean };

function withHeader(ends: Ends, payload: readonly number[], { hops, id, offset, more }: Header): number[] {
  if (ends.source.family === 4) {
    const length = 20 + payload.length;
    const fragment = u16((offset >> 3) | (more ? 0x2000 : 0));
    const head = [0x45, 0, ...u16(length), ...u16(id), ...fragment, hops, ends.protocol, 0, 0];
    const bytes = [...head, ...ipBytes(ends.source), ...ipBytes(ends.target)];
    const sum = checksum(bytes);
    [bytes[10], bytes[11]] = [sum >> 8, sum & 255];
    return [...bytes, ...payload];
  }
  const addresses = [...ipBytes(ends.source), ...ipBytes(ends.target)];
  if (offset === 0 && !more) {
    return [0x60, 0, 0, 0, ...u16(payload.length), ends.protocol, hops, ...addresses, ...payload];
  }
  const extension = [ends.protocol, 0, ...u16(offset | (more ? 1 : 0)), ...u32(id)];
  const length = payload.length + extension.length;
  return [0x60, 0, 0, 0, ...u16(length), 44, hops, ...addresses, ...extension, ...payload];
}

const WHOLE = { id: 0, offset: 0, more: false };

/** The packet as it goes on the wire: one, or its fragments in order. No two packets within a minute share an `id`. */
export function packetsOf(shot: Shot, id: number): readonly Uint8Array[] {
  const inner = shot.about === undefined ? [] : innerOf(shot.about);
  const bytes = upper(shot, { flags: shot.flags, mss: shot.mss, body: [...inner, ...marked(shot.number)] });
  if (shot.parts === "whole") return [Uint8Array.from(withHeader(shot, bytes, { ...WHOLE, hops: shot.hops, id }))];
  const cut = shot.protocol === TCP ? 32 : 16; // behind the first number
  const first = withHeader(shot, bytes.slice(0, cut), { hops: shot.hops, id, offset: 0, more: true });
  const second = withHeader(shot, bytes.slice(cut), { hops: shot.hops, id, offset: cut, more: false });
  return (shot.parts === "two" ? [first, second] : [first]).map((part) => Uint8Array.from(part));
}

function innerOf(about: Ends): number[] {
  const flags = about.protocol === TCP ? SYN : 0;
  return withHeader(about, upper(about, { flags, mss: 0, body: [] }), { ...WHOLE, hops: 60 });
}

const word = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

function ipAt(bytes: Uint8Array, at: number, family: Family): Ip {
  let value = 0n;
  for (let i = 0; i < BITS[family] / 8; i += 1) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return { family, value };
}

function numberIn(bytes: Uint8Array): number {
  for (let i = 0; i + 8 <= bytes.length; i += 1) {
    if (MAGIC.every((byte, k) => bytes[i + k] === byte)) return ((word(bytes, i + 4) << 16) | word(bytes, i + 6)) >>> 0;
  }
  return -1;
}

type Head = Pick<Seen, "family" | "source" | "target" | "protocol" | "hops" | "offset" | "more"> & {
  readonly body: number;
};

/** The IP header; undefined when this is no IP packet. */
function headOf(bytes: Uint8Array): Head | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4) {
    const fragment = word(bytes, 6);
    const [source, target] = [ipAt(bytes, 12, 4), ipAt(bytes, 16, 4)];
    const rest = { offset: (fragment & 0x1fff) << 3, more: (fragment & 0x2000) !== 0, body: (bytes[0]! & 15) * 4 };
    return { family: 4, source, target, protocol: bytes[9]!, hops: bytes[8]!, ...rest };
  }
  if (version !== 6) return undefined;
  const [source, target] = [ipAt(bytes, 8, 6), ipAt(bytes, 24, 6)];
  const plain = { family: 6 as const, source, target, hops: bytes[7]! };
  if (bytes[6] !== 44) return { ...plain, protocol: bytes[6]!, offset: 0, more: false, body: 40 };
  const fragment = word(bytes, 42);
  return { ...plain, protocol: bytes[40]!, offset: fragment & 0xfff8, more: (fragment & 1) !== 0, body: 48 };
}

function upperAt(bytes: Uint8Array, at: number, protocol: number): Omit<Ends, "source" | "target"> {
  const none = { protocol, sport: 0, dport: 0, type: 0, code: 0, id: 0 };
  if (protocol === TCP || protocol === UDP) return { ...none, sport: word(bytes, at), dport: word(bytes, at + 2) };
  if (protocol !== ICMP && protocol !== ICMP6) return none;
  return { ...none, type: bytes[at] ?? 0, code: bytes[at + 1] ?? 0, id: word(bytes, at + 4) };
}

/** The option that a SYN names its segment size with; 0 without one. */
function mssAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + 12] ?? 0) >> 4 > 5 && bytes[at + 20] === 2 ? word(bytes, at + 22) : 0;
}

/** Reads a packet that came out; undefined when it is no IP packet. */
export function readPacket(bytes: Uint8Array): Seen | undefined {
  const head = headOf(bytes);
  if (head === undefined) return undefined;
  const { body, ...rest } = head;
  const first = head.offset === 0;
  const ends = first ? upperAt(bytes, body, head.protocol) : { ...upperAt(bytes, 0, 0), protocol: head.protocol };
  const error = first && isError(head.protocol, ends.type);
  const tcp = first && head.protocol === TCP;
  return {
    ...rest,
    ...ends,
    number: numberIn(bytes),
    flags: tcp ? bytes[body + 13]! & 0x17 : 0,
    mss: tcp ? mssAt(bytes, body) : 0,
    about: error ? endsOf(bytes.subarray(body + 8)) : undefined,
  };
}

/** The packet inside an ICMP error. */
function endsOf(bytes: Uint8Array): Ends | undefined {
  const head = headOf(bytes);
  if (head === undefined) return undefined;
  return { source: head.source, target: head.target, ...upperAt(bytes, head.body, head.protocol) };
}

export function isError(protocol: number, type: number): boolean {
  return protocol === ICMP ? [3, 4, 5, 11, 12].includes(type) : protocol === ICMP6 && type >= 1 && type <= 4;
}

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };

/** `udp 10.1.0.5:53 -> 192.0.2.2:4000`. */
export function endsText(ends: Ends): string {
  const at = (ip: Ip, port: number): string =>
    ends.protocol === TCP || ends.protocol === UDP ? `[${formatIp(ip)}]:${port}` : formatIp(ip);
  const more =
    ends.protocol === ICMP || ends.protocol === ICMP6 ? ` type ${ends.type} code ${ends.code} id ${ends.id}` : "";
  const name = PROTOCOLS[ends.protocol] ?? `protocol ${ends.protocol}`;
  return `${name}${more} ${at(ends.source, ends.sport)} -> ${at(ends.target, ends.dport)}`;
}

export function shotText(shot: Shot): string {
  const flags = [SYN, ACK, FIN, RST]
    .map((bit, i) => (shot.flags & bit ? ["syn", "ack", "fin", "rst"][i] : ""))
    .join(" ");
  const about = shot.about === undefined ? "" : ` about (${endsText(shot.about)})`;
  const parts = shot.parts === "whole" ? "" : `, ${shot.parts === "two" ? "two fragments" : "first fragment only"}`;
  const from = shot.iif === "" ? "from the router" : `in by ${shot.iif}`;
  return `#${shot.number} ${endsText(shot)}${about} ${flags.trim()} hops ${shot.hops}, ${from}${parts}`.replace(
    / {2,}/g,
    " ",
  );
}
