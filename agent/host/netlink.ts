/**
 * One question over raw netlink: the generation id of this namespace's nftables ruleset, which every committed
 * transaction of anybody raises by one. nft(8) has no cheap way to print it.
 */
import { dlopen, ptr } from "bun:ffi";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const NETLINK_NETFILTER = 12;
const NFT_MSG_GETGEN = (10 << 8) | 16; // subsystem nftables
const NLM_F_REQUEST = 1;
const NFTA_GEN_ID = 1;
const MSG_DONTWAIT = 0x40; // the kernel answers within send(), so there is nothing to wait for

function openLibc() {
  const names = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`, "libc.so"];
  for (const name of names) {
    try {
      return dlopen(name, {
        socket: { args: ["i32", "i32", "i32"], returns: "i32" },
        send: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
        recv: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
        close: { args: ["i32"], returns: "i32" },
      }).symbols;
    } catch {
      // the next libc
    }
  }
  throw new Error(`no libc among ${names.join(", ")}`);
}

let libc: ReturnType<typeof openLibc> | undefined;

function findGeneration(answer: Uint8Array): number {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  if (answer.length < 20 || view.getUint16(4, true) !== ((10 << 8) | 15)) throw new Error("unexpected netlink answer");
  for (let at = 20; at + 4 <= answer.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4) break;
    if ((view.getUint16(at + 2, true) & 0x3fff) === NFTA_GEN_ID && length >= 8) return view.getUint32(at + 4, false);
    at += (length + 3) & ~3;
  }
  throw new Error("netlink answer without a generation");
}

/** Generation id of the ruleset of the current network namespace. Throws when the kernel has no nftables. */
export function nftGeneration(): number {
  libc ??= openLibc();
  const fd = libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) throw new Error("no netlink socket");
  try {
    const message = new Uint8Array(20); // nlmsghdr and nfgenmsg
    const view = new DataView(message.buffer);
    view.setUint32(0, message.length, true);
    view.setUint16(4, NFT_MSG_GETGEN, true);
    view.setUint16(6, NLM_F_REQUEST, true);
    view.setUint32(8, 1, true);
    if (Number(libc.send(fd, ptr(message), message.length, 0)) !== message.length)
      throw new Error("netlink send failed");
    const answer = new Uint8Array(4096);
    const size = Number(libc.recv(fd, ptr(answer), answer.length, MSG_DONTWAIT));
    if (size <= 0) throw new Error("no netlink answer");
    return findGeneration(answer.subarray(0, size));
  } finally {
    libc.close(fd);
  }
}
