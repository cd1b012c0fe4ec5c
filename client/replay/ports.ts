/**
 * Every interface of a router under test, from outside: what is put in, and what comes out. veth pairs are spoken to
 * by a packet socket at their other end, TUN devices by their file; what the router takes for itself is seen by raw
 * sockets, which the kernel serves behind the input hook, and raw sockets send what the router says (raw(7), packet(7)).
 */
import { formatIp, type Ip, parseIp } from "../../schemas/ip.ts";
import * as libc from "./libc.ts";
import { ANY, ICMP, ICMP6, ipBytes, packetsOf, readPacket, type Seen, type Shot, TCP, UDP } from "./wire.ts";

export type Sighting =
  | { readonly kind: "left"; readonly interface: string; readonly packet: Seen }
  | { readonly kind: "taken"; readonly packet: Seen };

/** Where a device of the router is reached. */
export type Wire = {
  readonly name: string;
  readonly peer: string; // name of the other end of a veth; "" for a TUN device
  readonly mac: Uint8Array; // of the router's side
};

const ETHERTYPE: Readonly<Record<4 | 6, number>> = { 4: 0x0800, 6: 0x86dd };
const ETHERTYPE_OWN = 0x88b5; // for experiments on one's own wire (IEEE 802)
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const SO_RCVBUFFORCE = 33;
const SOL_SOCKET = 1;
const IPPROTO_RAW = 255;
const TAKEN4 = [ICMP, TCP, UDP, ANY] as const;
const TAKEN6 = [ICMP6, TCP, UDP, ANY] as const;

const swapped = (value: number): number => ((value & 255) << 8) | (value >> 8);

/** struct sockaddr_ll, with the fields of the host in the host's order. */
function linkAddress(index: number, protocol: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, libc.AF_PACKET, true);
  view.setUint16(2, protocol, false);
  view.setInt32(4, index, true);
  bytes[11] = 6;
  return bytes;
}

/** struct sockaddr_in and sockaddr_in6 without a port. */
function inetAddress(ip: Ip, scope: number): Uint8Array {
  const bytes = new Uint8Array(ip.family === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ip.family === 4 ? libc.AF_INET : libc.AF_INET6, true);
  bytes.set(ipBytes(ip), ip.family === 4 ? 4 : 8);
  if (ip.family === 6) view.setUint32(24, scope, true);
  return bytes;
}

/** The address that a frame to a target bears: groups have their own (RFC 1112, RFC 2464). */
function macOf(target: Ip, own: Uint8Array): readonly number[] {
  const bytes = ipBytes(target);
  if (target.family === 6 && bytes[0] === 0xff) return [0x33, 0x33, ...bytes.slice(12)];
  if (target.family === 4 && (bytes[0]! & 0xf0) === 0xe0) return [1, 0, 0x5e, bytes[1]! & 127, bytes[2]!, bytes[3]!];
  return formatIp(target) === "255.255.255.255" ? [255, 255, 255, 255, 255, 255] : [...own];
}

/** Identification of packets. A fragment that waits for the rest in vain would spoil a later site's with the same one. */
let serial = 0;

export class Ports {
  readonly #wires: ReadonlyMap<string, Wire>;
  readonly #tuns: ReadonlyMap<string, number>;
  readonly #packets: number;
  readonly #indexes = new Map<string, number>(); // of the far ends
  readonly #names = new Map<number, string>();
  readonly #taken: readonly (readonly [fd: number, family: 4 | 6, protocol: number])[];
  readonly #said: Readonly<Record<4 | 6, number>>;
  readonly #bell: number; // hears what passed through the router's queue
  readonly #bellIndex: number;

  /** `bell` names the two ends of a wire that carries nothing but the question whether all before it has passed. */
  constructor(
    router: string,
    outside: string,
    wires: readonly Wire[],
    tuns: ReadonlyMap<string, number>,
    bell: { readonly inside: string; readonly outside: string },
  ) {
    this.#wires = new Map(wires.map((wire) => [wire.name, wire]));
    this.#tuns = tuns;
    const raw = (family: number, protocol: number): number => libc.socket(family, libc.SOCK_RAW, protocol);
    this.#packets = libc.within(outside, () => {
      for (const { name, peer } of wires.filter((wire) => wire.peer !== "")) {
        const index = libc.indexOf(peer);
        this.#indexes.set(name, index);
        this.#names.set(index, name);
      }
      this.#indexes.set("", libc.indexOf(bell.outside));
      const fd = raw(libc.AF_PACKET, swapped(libc.ETH_P_ALL));
      libc.setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
      // Not for the root of a user namespace, who has no such crowd of packets.
      libc.tryOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
      return fd;
    });
    this.#bellIndex = this.#indexes.get("")!;
    const { taken, said, heard } = libc.within(router, () => {
      const heard = raw(libc.AF_PACKET, swapped(ETHERTYPE_OWN));
      libc.bindSocket(heard, linkAddress(libc.indexOf(bell.inside), ETHERTYPE_OWN));
      const four = TAKEN4.map((protocol) => [raw(libc.AF_INET, protocol), 4, protocol] as const);
      const six = TAKEN6.map((protocol) => [raw(libc.AF_INET6, protocol), 6, protocol] as const);
      const said = { 4: raw(libc.AF_INET, IPPROTO_RAW), 6: raw(libc.AF_INET6, IPPROTO_RAW) };
      return { taken: [...four, ...six], said, heard };
    });
    this.#taken = taken;
    this.#said = said;
    this.#bell = heard;
  }

  /** Sends a packet on its way and returns what came of it, and of packets before it that were kept somewhere. */
  shoot(shot: Shot): readonly Sighting[] {
    serial = (serial % 65_000) + 1;
    for (const bytes of packetsOf(shot, serial)) this.#put(shot, bytes);
    this.settle();
    return this.#look();
  }

  #put(shot: Shot, bytes: Uint8Array): void {
    if (shot.iif === "") {
      const fd = this.#said[shot.family];
      // A packet with its own header is routed by the address that its socket is bound to.
      libc.bindSocket(fd, inetAddress(shot.source, this.#scope(shot)));
      libc.send(fd, bytes, inetAddress(shot.target, this.#scope(shot)));
      return;
    }
    const tun = this.#tuns.get(shot.iif);
    if (tun !== undefined) {
      libc.writeFile(tun, bytes);
      return;
    }
    const wire = this.#wires.get(shot.iif);
    if (wire === undefined) throw new Error(`no interface ${shot.iif}`);
    const type = ETHERTYPE[shot.family];
    const frame = new Uint8Array([...macOf(shot.target, wire.mac), 2, 0, 0, 0, 1, 1, type >> 8, type & 255, ...bytes]);
    const sent = libc.send(this.#packets, frame, linkAddress(this.#indexes.get(shot.iif)!, type));
    if (!sent) throw new Error(`${shot.iif} takes no packets`);
  }

  #scope({ family, source }: Shot): number {
    return family === 6 && formatIp(source).startsWith("fe80") ? 1 : 0;
  }

  /** Waits until everything that was put in has come out: twice through the queue, as a forwarded packet goes. */
  settle(): void {
    const frame = new Uint8Array(60);
    frame.fill(255, 0, 6);
    [frame[12], frame[13]] = [ETHERTYPE_OWN >> 8, ETHERTYPE_OWN & 255];
    for (let round = 0; round < 2; round += 1) {
      libc.send(this.#packets, frame, linkAddress(this.#bellIndex, ETHERTYPE_OWN));
      const until = performance.now() + 5000;
      while (libc.receive(this.#bell) === undefined) {
        if (performance.now() > until) throw new Error("the kernel does not pass a frame on within five seconds");
      }
    }
  }

  #look(): readonly Sighting[] {
    const seen: Sighting[] = [];
    for (let got = libc.receive(this.#packets); got !== undefined; got = libc.receive(this.#packets)) {
      const name = this.#names.get(new DataView(got.from.buffer).getInt32(4, true));
      const packet = readPacket(got.bytes.subarray(14));
      if (name !== undefined && packet !== undefined) seen.push({ kind: "left", interface: name, packet });
    }
    for (const [name, fd] of this.#tuns) {
      for (let got = libc.readFile(fd); got !== undefined; got = libc.readFile(fd)) {
        const packet = readPacket(got);
        if (packet !== undefined) seen.push({ kind: "left", interface: name, packet });
      }
    }
    for (const [fd, family, protocol] of this.#taken) {
      for (let got = libc.receive(fd); got !== undefined; got = libc.receive(fd)) {
        const packet = family === 4 ? readPacket(got.bytes) : readTaken6(got.bytes, got.from, protocol);
        if (packet !== undefined) seen.push({ kind: "taken", packet });
      }
    }
    return seen;
  }

  close(): void {
    for (const fd of [this.#packets, this.#bell, this.#said[4], this.#said[6]]) libc.closeFile(fd);
    for (const [fd] of this.#taken) libc.closeFile(fd);
    for (const fd of this.#tuns.values()) libc.closeFile(fd);
  }
}

/** A raw IPv6 socket gives no header: one is put in front again, with what its address says, and "::" as the target. */
function readTaken6(payload: Uint8Array, from: Uint8Array, protocol: number): Seen | undefined {
  const head = new Uint8Array(40);
  head[0] = 0x60;
  head[6] = protocol;
  head.set(from.subarray(8, 24), 8);
  head.set(ipBytes(parseIp("::")!), 24);
  return readPacket(new Uint8Array([...head, ...payload]));
}
