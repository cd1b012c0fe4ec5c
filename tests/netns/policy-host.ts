/** Hosts around a router under test: their sockets, and packets with any source that they like. */
import { join } from "node:path";
import { parseIp } from "../../schemas/ip.ts";
import type { Space, World } from "./world.ts";

export type Mail = { readonly text: string; readonly from: string; readonly port: number };

export type UdpSocket = {
  readonly port: number;
  readonly send: (host: string, port: number, text?: string, count?: number) => Promise<void>;
  /** Packets since the last call; waits for `count` of them at most `ms`. */
  readonly take: (count?: number, ms?: number) => Promise<readonly Mail[]>;
};

export type TcpSocket = {
  readonly up: boolean;
  readonly ended: string;
  readonly write: (text: string, times?: number) => Promise<void>;
  /** Bytes received so far, once there are `atLeast` or the time is over. */
  readonly bytes: (atLeast: number, ms?: number) => Promise<number>;
};

export type TestHost = {
  readonly udp: (host: string, port?: number, echo?: boolean) => Promise<UdpSocket>;
  readonly listen: (host: string, port: number, mode?: "echo" | "sink") => Promise<TcpSocket>;
  readonly connect: (host: string, port: number, options?: { localPort?: number; ms?: number }) => Promise<TcpSocket>;
  readonly raw: (packet: Packet) => Promise<void>;
};

const NO_ANSWER_MS = 400;
const ANSWER_MS = 5000;

/** Starts the host's process. Calls run one after the other. */
export async function testHost(world: World, space: Space): Promise<TestHost> {
  const child = world.spawn(space, [process.execPath, join(import.meta.dir, "policy-child.ts")]);
  if ((await child.out.next()).value !== "ready") throw new Error(`host ${space.name} did not start`);
  let last: Promise<unknown> = Promise.resolve();
  const call = <T>(name: string, ...args: unknown[]): Promise<T> => {
    const next = last.then(async () => {
      child.write(`${JSON.stringify({ name, args })}\n`);
      const { value, failure } = JSON.parse((await child.out.next()).value ?? '{"failure":"host is gone"}');
      if (failure !== undefined) throw new Error(`${space.name}: ${name}: ${failure}`);
      return value as T;
    });
    last = next.catch(() => {});
    return next;
  };
  const tcp = ({ id, up = true, ended = "" }: { id: number; up?: boolean; ended?: string }): TcpSocket => ({
    up,
    ended,
    write: (text, times = 1) => call("write", id, text, times),
    bytes: (atLeast, ms = ANSWER_MS) => call("bytes", id, atLeast, ms),
  });
  return {
    udp: async (host, port = 0, echo = false) => {
      const made = await call<{ id: number; port: number }>("udp", host, port, echo);
      return {
        port: made.port,
        send: (to, toPort, text = "x", count = 1) => call("send", made.id, to, toPort, text, count),
        take: (count = 1, ms = ANSWER_MS) => call("take", made.id, count, ms),
      };
    },
    listen: async (host, port, mode = "echo") => tcp(await call("listen", host, port, mode)),
    connect: async (host, port, { localPort = 0, ms = ANSWER_MS } = {}) =>
      tcp(await call("connect", host, port, localPort, ms)),
    raw: (packet) => call("raw", packet.family, packet.bytes.toHex(), packet.target.toHex()),
  };
}

/** True when one packet is answered by an echo server. */
export async function answers(socket: UdpSocket, host: string, port: number): Promise<boolean> {
  await socket.take(0, 0);
  await socket.send(host, port, "hello");
  return (await socket.take(1, NO_ANSWER_MS)).some((mail) => mail.text === "hello");
}

/** An IP packet as octets, with the address to hand it to. */
export type Packet = { readonly family: 4 | 6; readonly bytes: Uint8Array; readonly target: Uint8Array };

export function addressBytes(text: string): Uint8Array {
  const ip = parseIp(text)!;
  return Uint8Array.fromHex(ip.value.toString(16).padStart(ip.family === 4 ? 8 : 32, "0"));
}

const u16 = (value: number): number[] => [value >> 8, value & 255];

/** Internet checksum, RFC 1071. */
function checksum(...parts: readonly (Uint8Array | readonly number[])[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += (part[i]! << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

function packet(from: string, to: string, protocol: number, payload: Uint8Array, hops = 64): Packet {
  const family = from.includes(":") ? 6 : 4;
  const [source, target] = [addressBytes(from), addressBytes(to)];
  // The kernel fills in the checksum of an IPv4 header itself (raw(7)).
  const head =
    family === 4
      ? [0x45, 0, ...u16(20 + payload.length), 0, 1, 0, 0, hops, protocol, 0, 0, ...source, ...target]
      : [0x60, 0, 0, 0, ...u16(payload.length), protocol, hops, ...source, ...target];
  return { family, target, bytes: new Uint8Array([...head, ...payload]) };
}

/** A UDP packet from any address and port. */
export function udpPacket(from: string, fromPort: number, to: string, toPort: number, text = "forged"): Packet {
  const data = new TextEncoder().encode(text);
  const length = 8 + data.length;
  const head = [...u16(fromPort), ...u16(toPort), ...u16(length)];
  const pseudo = [...addressBytes(from), ...addressBytes(to), 0, 17, ...u16(length)];
  const sum = checksum(pseudo, head, [0, 0], data);
  return packet(from, to, 17, new Uint8Array([...head, ...u16(sum), ...data]));
}

/** A TCP segment without data, with the given flags octet (SYN 2, ACK 16, RST 4, FIN 1). */
export function tcpPacket(from: string, fromPort: number, to: string, toPort: number, flags: number): Packet {
  const head = [...u16(fromPort), ...u16(toPort), 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0x20, 0];
  const pseudo = [...addressBytes(from), ...addressBytes(to), 0, 6, ...u16(20)];
  const sum = checksum(pseudo, head, [0, 0, 0, 0]);
  return packet(from, to, 6, new Uint8Array([...head, ...u16(sum), 0, 0]));
}

/** ICMP port unreachable about a packet (RFC 792), from any address. */
export function unreachable4(from: string, to: string, about: Packet): Packet {
  const quoted = about.bytes.slice(0, 28);
  // The quoted header must be sound, or conntrack does not look at it.
  const sum = checksum(quoted.slice(0, 10), quoted.slice(12, 20));
  quoted.set(u16(sum), 10);
  const body = [3, 3, 0, 0, 0, 0, 0, 0, ...quoted];
  body.splice(2, 2, ...u16(checksum(body)));
  return packet(from, to, 1, new Uint8Array(body));
}

/** ICMPv6 of a type with an empty body (RFC 4861: neighbours send with hop limit 255, others cannot). */
export function icmp6Packet(from: string, to: string, type: number, hops: number): Packet {
  const body = [type, 0, 0, 0, ...Array<number>(20).fill(0)];
  const pseudo = [...addressBytes(from), ...addressBytes(to), 0, 0, 0, body.length, 0, 0, 0, 58];
  body.splice(2, 2, ...u16(checksum(pseudo, body)));
  return packet(from, to, 58, new Uint8Array(body), hops);
}
