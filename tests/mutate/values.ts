/** Literals of nft, a little wider or a little elsewhere. */
import {
  BITS,
  formatIp,
  formatPrefix,
  lastOf,
  networkOf,
  type Prefix,
  parseIp,
  parsePrefix,
} from "../../schemas/ip.ts";

const prefixOf = (text: string): Prefix | undefined => {
  const ip = parseIp(text);
  return ip === undefined ? parsePrefix(text) : { ...ip, length: BITS[ip.family] };
};

/** The prefix with one bit less; undefined for none and for everything. */
export function wider(text: string): string | undefined {
  const prefix = prefixOf(text);
  if (prefix === undefined || prefix.length === 0) return undefined;
  const wide = networkOf({ ...prefix, length: prefix.length - 1 });
  return formatPrefix(wide);
}

/** The prefix beside it of the same length, or the next address. */
export function neighbour(text: string): string | undefined {
  const prefix = prefixOf(text);
  if (prefix === undefined || prefix.length === 0) return undefined;
  const bits = BITS[prefix.family];
  const flipped = { ...prefix, value: prefix.value ^ (1n << BigInt(bits - prefix.length)) };
  return text.includes("/") ? formatPrefix(flipped) : formatIp(flipped);
}

/** A port or a range of ports, one wider. */
export function widerPorts(text: string): string | undefined {
  const found = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (found === null) return undefined;
  const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
  return to < 65_535 ? `${from}-${to + 1}` : from > 0 ? `${from - 1}-${to}` : undefined;
}

export function nextPort(text: string): string | undefined {
  const found = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (found === null) return undefined;
  const last = Number(found[2] ?? found[1]);
  return String(last < 65_535 ? last + 1 : Number(found[1]) - 1);
}

export const isAddress = (text: string): boolean => prefixOf(text) !== undefined;
export const lastAddress = (text: string): string | undefined => {
  const prefix = prefixOf(text);
  return prefix === undefined ? undefined : formatIp({ family: prefix.family, value: lastOf(prefix) });
};
