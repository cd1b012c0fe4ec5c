/**
 * The system calls that put raw packets on devices and read them back: packet sockets, raw sockets, TUN devices and
 * namespaces of the network, through bun:ffi. Numbers are those of Linux on every architecture that Bun runs on.
 *
 * A network namespace belongs to a thread, and calls through bun:ffi run on the thread of JavaScript: so within() may
 * open sockets in another namespace, and they stay there. Nothing inside within() may wait.
 */
import { dlopen, FFIType, ptr, read } from "bun:ffi";

const { i32, i64, u32, u64 } = FFIType;
const pointer = FFIType.ptr;

const libc = dlopen("libc.so.6", {
  open: { args: [pointer, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  read: { args: [i32, pointer, u64], returns: i64 },
  write: { args: [i32, pointer, u64], returns: i64 },
  ioctl: { args: [i32, u64, pointer], returns: i32 },
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, pointer, u32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
  sendto: { args: [i32, pointer, u64, i32, pointer, u32], returns: i64 },
  recvfrom: { args: [i32, pointer, u64, i32, pointer, pointer], returns: i64 },
  setns: { args: [i32, i32], returns: i32 },
  unshare: { args: [i32], returns: i32 },
  if_nametoindex: { args: [pointer], returns: u32 },
  sched_getaffinity: { args: [i32, u64, pointer], returns: i32 },
  sched_setaffinity: { args: [i32, u64, pointer], returns: i32 },
  __errno_location: { args: [], returns: pointer },
});
const call = libc.symbols;

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_PACKET = 17;
export const SOCK_RAW = 3;
export const ETH_P_ALL = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const CLONE_NEWNET = 0x40000000;
const EAGAIN = 11;

const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);
const errno = (): number => {
  const at = call.__errno_location();
  return at === null ? 0 : read.i32(at, 0);
};

function must(what: string, result: number | bigint): number {
  if (Number(result) < 0) throw new Error(`${what}: errno ${errno()}`);
  return Number(result);
}

/** Opens a file without waiting for it. */
export function openFile(path: string): number {
  const name = text(path);
  return must(`open ${path}`, call.open(ptr(name), O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

export function closeFile(fd: number): void {
  call.close(fd);
}

/** A socket that never waits. */
export function socket(family: number, type: number, protocol: number): number {
  const made = call.socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  return must(`socket ${family} ${protocol}`, made);
}

export function bindSocket(fd: number, address: Uint8Array): void {
  must("bind", call.bind(fd, ptr(address), address.length));
}

export function setOption(fd: number, level: number, name: number, value: number): void {
  const word = new Int32Array([value]);
  must(`setsockopt ${level} ${name}`, call.setsockopt(fd, level, name, ptr(word), 4));
}

/** An option that may be refused. */
export function tryOption(fd: number, level: number, name: number, value: number): void {
  const word = new Int32Array([value]);
  call.setsockopt(fd, level, name, ptr(word), 4);
}

/** Sends one packet; false when the kernel has no way for it (no route, or a firewall that says so). */
export function send(fd: number, bytes: Uint8Array, address: Uint8Array): boolean {
  return Number(call.sendto(fd, ptr(bytes), bytes.length, 0, ptr(address), address.length)) === bytes.length;
}

export function writeFile(fd: number, bytes: Uint8Array): void {
  const done = Number(call.write(fd, ptr(bytes), bytes.length));
  if (done !== bytes.length) throw new Error(`write of ${bytes.length} octets: ${done}, errno ${errno()}`);
}

const buffer = new Uint8Array(65_536);
const peer = new Uint8Array(128);
const peerLength = new Uint32Array(1);

/** One packet of a socket, with the address that it came from; undefined when there is none. */
export function receive(fd: number): { readonly bytes: Uint8Array; readonly from: Uint8Array } | undefined {
  peerLength[0] = peer.length;
  const got = Number(call.recvfrom(fd, ptr(buffer), buffer.length, 0, ptr(peer), ptr(peerLength)));
  return got < 0 ? undefined : { bytes: buffer.slice(0, got), from: peer.slice(0, peerLength[0]) };
}

/** One packet of a TUN device; undefined when there is none. */
export function readFile(fd: number): Uint8Array | undefined {
  const got = Number(call.read(fd, ptr(buffer), buffer.length));
  if (got < 0 && errno() !== EAGAIN) throw new Error(`read: errno ${errno()}`);
  return got < 0 ? undefined : buffer.slice(0, got);
}

export function indexOf(name: string): number {
  const found = call.if_nametoindex(ptr(text(name)));
  if (found === 0) throw new Error(`no interface ${name}`);
  return found;
}

/** Runs something that does not wait inside the network namespace of a path. */
export function within<T>(path: string, run: () => T): T {
  const own = openFile0("/proc/thread-self/ns/net");
  const other = openFile0(path);
  try {
    must("setns", call.setns(other, CLONE_NEWNET));
    return run();
  } finally {
    must("setns back", call.setns(own, CLONE_NEWNET));
    closeFile(other);
    closeFile(own);
  }
}

/**
 * A new network namespace without a name: it lives as long as its file, whose number this is, or somebody in it, so
 * that nothing of it outlives this process. Undefined where this user may not make one.
 */
export function newNamespace(): number | undefined {
  const own = openFile0("/proc/thread-self/ns/net");
  try {
    if (call.unshare(CLONE_NEWNET) !== 0) return undefined;
    try {
      return openFile0("/proc/thread-self/ns/net");
    } finally {
      must("setns back", call.setns(own, CLONE_NEWNET));
    }
  } finally {
    closeFile(own);
  }
}

function openFile0(path: string): number {
  const name = text(path);
  return must(`open ${path}`, call.open(ptr(name), O_CLOEXEC));
}

const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;

/** Makes conntrack of the present namespace forget every flow: IPCTNL_MSG_CT_DELETE without a tuple. */
export function forgetFlows(): void {
  const fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  try {
    for (const family of [AF_INET, AF_INET6]) {
      const message = new Uint8Array(20);
      const view = new DataView(message.buffer);
      view.setUint32(0, message.length, true);
      view.setUint16(4, (1 << 8) | 2, true);
      view.setUint16(6, 1 | 4, true); // NLM_F_REQUEST, NLM_F_ACK
      message[16] = family;
      const kernel = new Uint8Array(12);
      kernel[0] = AF_NETLINK;
      if (!send(fd, message, kernel)) throw new Error("netlink takes no message");
      const answer = receive(fd)?.bytes;
      const error = answer === undefined ? -1 : new DataView(answer.buffer).getInt32(16, true);
      if (error !== 0) throw new Error(`conntrack does not forget: ${error}`);
    }
  } finally {
    closeFile(fd);
  }
}

const TUNSETIFF = 0x400454ca;
const IFF_TUN_NO_PI = 0x1001;

/** A TUN device in the present namespace: what is written to it arrives, what leaves by it is read. */
export function openTun(name: string): number {
  const fd = openFile("/dev/net/tun");
  const request = new Uint8Array(40);
  request.set(new TextEncoder().encode(name));
  new DataView(request.buffer).setUint16(16, IFF_TUN_NO_PI, true);
  must(`TUNSETIFF ${name}`, call.ioctl(fd, BigInt(TUNSETIFF), ptr(request)));
  return fd;
}

/**
 * Keeps this thread on the processor with the number that is the first of its own. A packet's softirq runs on the
 * processor that sent it, in order: so a packet that is sent later from there arrives later.
 */
export function stayOnOneProcessor(): void {
  const set = new Uint8Array(128);
  must("sched_getaffinity", call.sched_getaffinity(0, BigInt(set.length), ptr(set)));
  const bits = [...set].flatMap((byte, i) => Array.from({ length: 8 }, (_, bit) => [i * 8 + bit, byte & (1 << bit)]));
  const mine = bits.filter(([, is]) => is !== 0).map(([number]) => number!);
  const chosen = mine[process.pid % mine.length]!;
  set.fill(0);
  set[chosen >> 3] = 1 << (chosen & 7);
  must("sched_setaffinity", call.sched_setaffinity(0, BigInt(set.length), ptr(set)));
}
