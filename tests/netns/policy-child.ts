/**
 * A host that a test talks through: sockets that stay open, and packets that no socket would send. Commands come as
 * JSON lines on standard input, answers leave in the same order on standard output.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { createSocket, type Socket as Udp } from "node:dgram";
import { connect, createServer, isIPv6, type Socket as Tcp } from "node:net";
import { lines } from "./lines.ts";

type Mail = { readonly text: string; readonly from: string; readonly port: number };

/** Everything that came in on one socket, and who waits for more. */
class Inbox {
  readonly mails: Mail[] = [];
  bytes = 0;
  ended = "";
  #wake: (() => void)[] = [];

  add(mail: Mail): void {
    this.mails.push(mail);
    this.bytes += mail.text.length;
    this.wake();
  }

  wake(): void {
    for (const run of this.#wake.splice(0)) run();
  }

  /** Resolves when the condition holds, or with false after the time. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    const end = performance.now() + ms;
    while (!condition()) {
      const left = end - performance.now();
      if (left <= 0) return false;
      await new Promise<void>((done) => {
        const timer = setTimeout(done, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          done();
        });
      });
    }
    return true;
  }
}

const boxes = new Map<number, Inbox>();
const udps = new Map<number, Udp>();
const tcps = new Map<number, Tcp>();
let serial = 0;

function boxOf(id: number): Inbox {
  const box = boxes.get(id);
  if (box === undefined) throw new Error(`no socket ${id}`);
  return box;
}

function open(): { id: number; box: Inbox } {
  serial += 1;
  const box = new Inbox();
  boxes.set(serial, box);
  return { id: serial, box };
}

function keep(id: number, box: Inbox, socket: Tcp): void {
  tcps.set(id, socket);
  socket.on("data", (data) =>
    box.add({ text: data.toString("latin1"), from: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 }),
  );
  socket.on("error", (failure) => {
    box.ended = failure.message;
    box.wake();
  });
  socket.on("close", () => {
    box.ended ||= "closed";
    box.wake();
  });
}

const libc = dlopen("libc.so.6", {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
});
const IPPROTO_RAW = 255; // the packet brings its own IP header (raw(7))
const SOCK_RAW = 3;
const FAMILY = { 4: 2, 6: 10 } as const;
const raws = new Map<4 | 6, number>();

function sendRaw(family: 4 | 6, hex: string, target: string): void {
  const packet = Uint8Array.fromHex(hex);
  const address = Uint8Array.fromHex(target);
  const sockaddr = new Uint8Array(family === 4 ? 16 : 28);
  sockaddr[0] = FAMILY[family];
  sockaddr.set(address, family === 4 ? 4 : 8);
  let fd = raws.get(family);
  if (fd === undefined) {
    fd = libc.symbols.socket(FAMILY[family], SOCK_RAW, IPPROTO_RAW);
    if (fd < 0) throw new Error("no raw socket");
    raws.set(family, fd);
  }
  const sent = libc.symbols.sendto(fd, ptr(packet), packet.length, 0, ptr(sockaddr), sockaddr.length);
  if (Number(sent) !== packet.length) throw new Error(`raw send: ${sent}`);
}

const acts: Record<string, (...args: never[]) => unknown> = {
  /** A UDP socket; `echo` answers every packet from the same socket. */
  udp: async (host: string, port: number, echo: boolean) => {
    const { id, box } = open();
    const socket = createSocket({ type: isIPv6(host) ? "udp6" : "udp4", ipv6Only: isIPv6(host) });
    udps.set(id, socket);
    socket.on("message", (data, from) => {
      box.add({ text: data.toString("latin1"), from: from.address, port: from.port });
      if (echo) socket.send(data, from.port, from.address, () => {});
    });
    socket.on("error", (failure) => {
      box.ended = failure.message;
    });
    await new Promise<void>((done, fail) => {
      socket.once("error", fail);
      socket.bind(port, host, done);
    });
    return { id, port: socket.address().port };
  },
  /** Sends `count` packets, each in its own turn. Errors of the local stack are not the test's business. */
  send: async (id: number, host: string, port: number, text: string, count: number) => {
    for (let i = 0; i < count; i += 1) {
      await new Promise<void>((done) => udps.get(id)?.send(text, port, host, () => done()));
    }
  },
  /** A TCP server: "echo" gives back, "sink" only counts. Connections share the server's inbox. */
  listen: async (host: string, port: number, mode: "echo" | "sink") => {
    const { id, box } = open();
    const server = createServer((socket) => {
      keep(id, box, socket);
      if (mode === "echo") socket.pipe(socket);
    });
    await new Promise<void>((done) => server.listen(port, host, done));
    return { id, port };
  },
  /** A TCP connection; the answer says whether it came about within the time. */
  connect: async (host: string, port: number, localPort: number, ms: number) => {
    const { id, box } = open();
    const socket = connect({ host, port, ...(localPort === 0 ? {} : { localPort }) });
    let up = false;
    socket.on("connect", () => {
      up = true;
      box.wake();
    });
    keep(id, box, socket);
    await box.until(() => up || box.ended !== "", ms);
    if (!up) socket.destroy();
    return { id, up, ended: box.ended };
  },
  write: (id: number, text: string, times: number) => {
    for (let i = 0; i < times; i += 1) tcps.get(id)?.write(text, "latin1");
  },
  /** Whether this many bytes had come in, before the time was over. */
  bytes: async (id: number, atLeast: number, ms: number) => {
    const box = boxOf(id);
    await box.until(() => box.bytes >= atLeast, ms);
    return box.bytes;
  },
  /** Mails since the last call, once there are `count` of them or the time is over. */
  take: async (id: number, count: number, ms: number) => {
    const box = boxOf(id);
    await box.until(() => box.mails.length >= count, ms);
    return box.mails.splice(0);
  },
  raw: (family: 4 | 6, hex: string, target: string) => sendRaw(family, hex, target),
};

process.stdout.write("ready\n");
for await (const line of lines(Bun.stdin.stream())) {
  const { name, args } = JSON.parse(line) as { name: string; args: never[] };
  try {
    process.stdout.write(`${JSON.stringify({ value: (await acts[name]?.(...args)) ?? null })}\n`);
  } catch (failure) {
    process.stdout.write(`${JSON.stringify({ failure: String(failure) })}\n`);
  }
}
process.exit(0);
