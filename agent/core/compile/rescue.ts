/**
 * The rescue lane's fixed numbers. All derive from the network id and from names, so that a router, an operator's
 * laptop and a person with the trust documents find the same lane without asking anybody.
 */
import { sha256 } from "../../../schemas/digest.ts";
import { formatIp, type Prefix } from "../../../schemas/ip.ts";

/** Interface, and network id in links and key reports. */
export const RESCUE_LINK = "hf-rescue";
export const RESCUE = "rescue";

/** The smallest MTU that IPv6 allows: inside every path that carries IPv6 at all, tunnel overhead included or not. */
export const RESCUE_MTU = 1280;

/** Mark of the packets that carry the lane, and the routing table that they alone use. Below 16 bits, see epoch. */
export const RESCUE_MARK = 0x4846;
export const MARK_MASK = 0xffff; // of every mark that a rule asks for
export const RESCUE_TABLE = 51819;

const FIRST_PORT = 51819;
const SECOND_FROM = 20_000;
const SECOND_COUNT = 30_000;

function number(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/**
 * The two UDP ports that are reserved for the lane: 51819, and one from 20,000 to 49,999 out of the network id. The
 * device listens on the first one that no network of the router has.
 */
export function rescuePorts(networkId: Uint8Array): readonly [number, number] {
  const digest = sha256("holdfast/rescue-port/v1\0", networkId);
  return [FIRST_PORT, SECOND_FROM + Number(number(digest.subarray(0, 4)) % BigInt(SECOND_COUNT))];
}

/** The lane's own /64: fd and the first seven bytes of SHA-256(network id), a unique local prefix of RFC 4193. */
export function rescuePrefix(networkId: Uint8Array): Prefix {
  const head = (0xfdn << 56n) | number(sha256(networkId).subarray(0, 7));
  return { family: 6, value: head << 64n, length: 64 };
}

function hostAddress(networkId: Uint8Array, role: "operator" | "router", name: string): string {
  const host = number(sha256(`holdfast/rescue-host/v1\0${role}\0${name}`).subarray(0, 8));
  return formatIp({ family: 6, value: rescuePrefix(networkId).value | host });
}

/**
 * Address of an operator inside the lane. It belongs to the lane key (base64), not to its holder: a new key takes no
 * address from the old one, so both get in until one of them has proven itself.
 */
export function operatorRescueAddress(networkId: Uint8Array, laneKey: string): string {
  return hostAddress(networkId, "operator", laneKey);
}

/** Address of a router inside the lane: the agent listens there too. */
export function routerRescueAddress(networkId: Uint8Array, router: string): string {
  return hostAddress(networkId, "router", router);
}
