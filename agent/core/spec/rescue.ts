/**
 * The rescue lane's fixed numbers, worked out a second time from what the design says of them: ports, prefix and
 * addresses follow from the network id, so that nobody has to ask. Two workings that differ are a defect of one.
 */
import { sha256 } from "../../../schemas/digest.ts";
import type { Prefix } from "../../../schemas/ip.ts";

const FIRST_PORT = 51_819;
const SECOND = { from: 20_000, count: 30_000 } as const;

/** Network id of the lane in links. */
export const RESCUE_NETWORK = "rescue";

const wide = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);

/** The UDP ports that are reserved for the lane, the derived one last. */
export function reservedPorts(networkId: Uint8Array): readonly number[] {
  const head = new DataView(sha256("holdfast/rescue-port/v1\0", networkId).slice(0, 4).buffer).getUint32(0);
  return [FIRST_PORT, SECOND.from + (head % SECOND.count)];
}

/** The lane's own prefix, a /64. */
export function lanePrefix(networkId: Uint8Array): Prefix {
  const head = wide(Uint8Array.of(0xfd, ...sha256(networkId).slice(0, 7)));
  return { family: 6, value: head * 2n ** 64n, length: 64 };
}

function host(networkId: Uint8Array, whose: string): bigint {
  return lanePrefix(networkId).value + wide(sha256(`holdfast/rescue-host/v1\0${whose}`).slice(0, 8));
}

/** Address of the router inside the lane. */
export const routerHost = (networkId: Uint8Array, router: string): bigint => host(networkId, `router\0${router}`);

/** Address that belongs to an operator's lane key. */
export const operatorHost = (networkId: Uint8Array, laneKey: string): bigint => host(networkId, `operator\0${laneKey}`);
