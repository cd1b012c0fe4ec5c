/**
 * The smallest shapes: names, addresses, ports, keys, digests. Messages never echo the value, so a
 * secret that lands in the wrong field is not printed.
 */
import * as v from "valibot";
import { formatPrefix, isCanonicalIp, isLinkLocal, networkOf, parseCidr, parseIp, parsePrefix } from "./ip.ts";

/** Names become nft identifiers, file names and interface suffixes. */
export const Name = v.pipe(
  v.string("must be a name"),
  v.regex(/^[a-z][a-z0-9-]{0,30}$/, "must be a name: a lower-case letter, then up to 30 of a-z, 0-9 and -"),
);

/** Linux interface name: WireGuard's own rule (wg-quick) without "=" and "+", not "." or "..", no wildcard. */
export const InterfaceName = v.pipe(
  v.string("must be an interface name"),
  v.regex(/^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,14}$/, "must be an interface name of 1 to 15 characters"),
);

/** Rules that are not ours, as the agent names them: an nft table, an iptables table, a program on an interface. */
export const ForeignName = v.pipe(
  v.string("must name foreign rules"),
  v.regex(
    /^((ip|ip6|inet|arp|bridge|netdev) (?!holdfast$)[0-9A-Za-z_./\\-]{1,64}|(iptables|ip6tables|arptables) [a-z]{1,16}|(xdp|tc) [0-9A-Za-z_.-]{1,15})$/,
    'must name foreign rules: "inet fw4", "iptables filter", "xdp wan0" or "tc wan0"',
  ),
);

export const OptionalInterfaceName = v.union([v.literal(""), InterfaceName], "must be an interface name or absent");

export const Address = v.pipe(
  v.string("must be an IP address"),
  v.check(isCanonicalIp, "must be an IPv4 or IPv6 address in canonical form (no leading zeros, lower case)"),
);

export const Address4 = v.pipe(
  Address,
  v.check((text) => parseIp(text)?.family === 4, "must be an IPv4 address"),
);

/** address/length with host bits allowed: an address on an interface. */
export const InterfaceCidr = v.pipe(
  v.string("must be address/length"),
  v.check((text) => {
    const cidr = parseCidr(text);
    return cidr !== undefined && isCanonicalIp(text.slice(0, text.indexOf("/")));
  }, "must be address/length in canonical form, for example 10.0.0.1/24"),
);

/** A prefix with zero host bits. */
export const PrefixText = v.pipe(
  v.string("must be a prefix"),
  v.check((text) => {
    const prefix = parsePrefix(text);
    return prefix !== undefined && formatPrefix(prefix) === text;
  }, "must be a prefix with zero host bits in canonical form, for example 10.0.0.0/24"),
);

export const AddressOrPrefix = v.union([Address, PrefixText], "must be an address or a prefix");

/** One side of a contract, see contract-words.ts. A name is no address and an address no name, so one text serves both. */
export const SideText = v.union(
  [v.pipe(v.string(), v.regex(/^((zone|network|client|profile) )?[a-z][a-z0-9-]{0,30}$/)), AddressOrPrefix],
  'must be a name ("lan", "client alice"), router, internet, an address or a prefix',
);

export const Port = v.pipe(
  v.number("must be a port"),
  v.integer("must be a whole port number"),
  v.minValue(1, "must be a port from 1 to 65535"),
  v.maxValue(65535, "must be a port from 1 to 65535"),
);

export const OptionalPort = v.pipe(
  v.number("must be a port or 0"),
  v.integer("must be a whole port number"),
  v.minValue(0, "must be a port from 0 to 65535"),
  v.maxValue(65535, "must be a port from 0 to 65535"),
);

/** An unsigned 32-bit number with its own bounds. */
export function Count(min: number, max: number) {
  const text = `must be a whole number from ${min} to ${max}`;
  return v.pipe(v.number(text), v.integer(text), v.minValue(min, text), v.maxValue(max, text));
}

export const U32 = Count(0, 0xffffffff);

export const U64 = v.pipe(
  v.bigint("must be a 64-bit number"),
  v.minValue(0n, "must not be negative"),
  v.maxValue(0xffffffffffffffffn, "must fit in 64 bits"),
);

/** DNS name or address, as clients dial it. */
export const HostPort = v.pipe(
  v.string("must be host:port"),
  v.regex(
    /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]+\]):[1-9][0-9]{0,4}$/,
    "must be host:port, for example vpn.example.net:51820",
  ),
  v.check((text) => Number(text.slice(text.lastIndexOf(":") + 1)) <= 65535, "must end in a port up to 65535"),
);

function isWireGuardKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text);
}

/** A 32-byte WireGuard public key in canonical base64 (the last digit has two zero bits). */
export const WireGuardKey = v.pipe(
  v.string("must be a WireGuard public key"),
  v.check(isWireGuardKey, "must be a WireGuard public key: 44 base64 characters"),
);

export const HexDigest = v.pipe(
  v.string("must be a SHA-256 in hex"),
  v.regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hex digits"),
);

export const OptionalHexDigest = v.union([v.literal(""), HexDigest], "must be 64 lower-case hex digits or absent");

// Over any buffer: the narrower type that the class has by default would refuse what the decoders hand out.
const ByteArray = Uint8Array as new (length: number) => Uint8Array;

export function Bytes(length: number) {
  return v.pipe(
    v.instance(ByteArray, `must be ${length} bytes`),
    v.check((bytes) => bytes.length === length, `must be ${length} bytes`),
  );
}

/** Absent (empty) or exactly `length` bytes. */
export function OptionalBytes(length: number) {
  return v.pipe(
    v.instance(ByteArray, `must be empty or ${length} bytes`),
    v.check((bytes) => bytes.length === 0 || bytes.length === length, `must be empty or ${length} bytes`),
  );
}

export function Blob(max: number) {
  return v.pipe(
    v.instance(ByteArray, "must be bytes"),
    v.check((bytes) => bytes.length <= max, `must be at most ${max} bytes`),
  );
}

/** Printable ASCII for people. */
export function Text(max: number) {
  return v.pipe(
    v.string("must be text"),
    v.maxLength(max, `must be at most ${max} characters`),
    v.regex(/^[\x20-\x7e]*$/, "must be printable ASCII"),
  );
}

/** Text of several lines that the router wrote (plans, details). */
export function Lines(max: number) {
  return v.pipe(
    v.string("must be text"),
    v.maxLength(max, `must be at most ${max} characters`),
    v.regex(/^[\x20-\x7e\n]*$/, "must be printable ASCII and line feeds"),
  );
}

export const DateText = v.union(
  [v.literal(""), v.pipe(v.string(), v.regex(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/))],
  "must be a date like 2026-11-24 or absent",
);

export const Code = v.union(
  [v.literal(""), v.pipe(v.string(), v.regex(/^[a-z][a-z0-9]*(\.[a-z][a-z0-9_]*)+$/), v.maxLength(64))],
  "must be a problem code or absent",
);

/** True when a prefix text is link-local IPv6; used by laws that refuse it. */
export function isLinkLocalText(text: string): boolean {
  const cidr = parseCidr(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`);
  return cidr !== undefined && isLinkLocal(networkOf(cidr));
}
