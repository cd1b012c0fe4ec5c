/**
 * Addresses and prefixes as numbers: parse, print, compare, contain, complement.
 *
 * Strict on purpose: one text form per value (IPv4 dotted quad without leading zeros, IPv6 as
 * RFC 5952), so that text equality is value equality everywhere else.
 */

export type Family = 4 | 6;
export type Ip = { readonly family: Family; readonly value: bigint };
export type Prefix = { readonly family: Family; readonly value: bigint; readonly length: number };

export const BITS: Readonly<Record<Family, number>> = { 4: 32, 6: 128 };

function parseIp4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const n = Number(part);
    if (n > 255) return undefined;
    value = (value << 8n) | BigInt(n);
  }
  return value;
}

function parseIp6(text: string): bigint | undefined {
  if (!/^[0-9a-fA-F:]{2,39}$/.test(text)) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = (half: string): string[] => (half === "" ? [] : half.split(":"));
  const head = groups(halves[0] ?? "");
  const tail = halves.length === 2 ? groups(halves[1] ?? "") : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array<string>(halves.length === 2 ? missing : 0).fill("0"), ...tail];
  let value = 0n;
  for (const group of all) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
    value = (value << 16n) | BigInt(Number.parseInt(group, 16));
  }
  return value;
}

/** Reads one address; undefined when it is none. Accepts any legal spelling, see isCanonicalIp. */
export function parseIp(text: string): Ip | undefined {
  const four = parseIp4(text);
  if (four !== undefined) return { family: 4, value: four };
  const six = parseIp6(text);
  return six === undefined ? undefined : { family: 6, value: six };
}

/** Prints an address in its one canonical form (RFC 5952 for IPv6, without the dotted form). */
export function formatIp(ip: Ip): string {
  if (ip.family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((ip.value >> shift) & 255n)).join(".");
  const groups: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(((ip.value >> shift) & 0xffffn).toString(16));
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; ) {
    let j = i;
    while (j < 8 && groups[j] === "0") j += 1;
    if (j - i > bestLength) {
      best = i;
      bestLength = j - i;
    }
    i = Math.max(j, i + 1);
  }
  if (best < 0) return groups.join(":");
  return `${groups.slice(0, best).join(":")}::${groups.slice(best + bestLength).join(":")}`;
}

export function isCanonicalIp(text: string): boolean {
  const ip = parseIp(text);
  return ip !== undefined && formatIp(ip) === text;
}

/** Reads address/length; host bits may be set. Undefined when it is no prefix. */
export function parseCidr(text: string): (Ip & { readonly length: number }) | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const ip = parseIp(text.slice(0, slash));
  const rest = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(rest)) return undefined;
  const length = Number(rest);
  return length > BITS[ip.family] ? undefined : { ...ip, length };
}

export function mask(family: Family, length: number): bigint {
  const bits = BigInt(BITS[family]);
  return ((1n << BigInt(length)) - 1n) << (bits - BigInt(length));
}

/** The network that a cidr lies in. */
export function networkOf(cidr: Ip & { readonly length: number }): Prefix {
  return { family: cidr.family, value: cidr.value & mask(cidr.family, cidr.length), length: cidr.length };
}

/** Reads a prefix whose host bits are zero; undefined otherwise. */
export function parsePrefix(text: string): Prefix | undefined {
  const cidr = parseCidr(text);
  if (cidr === undefined) return undefined;
  const prefix = networkOf(cidr);
  return prefix.value === cidr.value ? prefix : undefined;
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix)}/${prefix.length}`;
}

export function hostPrefix(ip: Ip): Prefix {
  return { family: ip.family, value: ip.value, length: BITS[ip.family] };
}

export function contains(prefix: Prefix, ip: Ip): boolean {
  return prefix.family === ip.family && (ip.value & mask(prefix.family, prefix.length)) === prefix.value;
}

export function covers(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && contains(outer, inner);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return covers(a, b) || covers(b, a);
}

export function lastOf(prefix: Prefix): bigint {
  return prefix.value | ((1n << BigInt(BITS[prefix.family] - prefix.length)) - 1n);
}

/** Total order: family, value, length. */
export function comparePrefix(a: Prefix, b: Prefix): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return a.length - b.length;
}

function subtractOne(from: Prefix, cut: Prefix): Prefix[] {
  if (!overlaps(from, cut)) return [from];
  if (covers(cut, from)) return [];
  const length = from.length + 1;
  const bit = 1n << BigInt(BITS[from.family] - length);
  const low: Prefix = { family: from.family, value: from.value, length };
  const high: Prefix = { family: from.family, value: from.value | bit, length };
  return [...subtractOne(low, cut), ...subtractOne(high, cut)];
}

/** `base` without `cuts`, as the fewest sorted prefixes: 0.0.0.0/0 without a /24 gives 24 of them. */
export function subtract(base: readonly Prefix[], cuts: readonly Prefix[]): Prefix[] {
  let rest = [...base];
  for (const cut of cuts) rest = rest.flatMap((prefix) => subtractOne(prefix, cut));
  return rest.sort(comparePrefix);
}

const ULA: Prefix = { family: 6, value: 0xfc00n << 112n, length: 7 };
const LINK_LOCAL: Prefix = { family: 6, value: 0xfe80n << 112n, length: 10 };

/** Unique local address, RFC 4193. */
export function isUla(prefix: Prefix): boolean {
  return covers(ULA, prefix);
}

export function isLinkLocal(prefix: Prefix): boolean {
  return covers(LINK_LOCAL, prefix);
}
