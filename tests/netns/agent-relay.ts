/**
 * Carries boxes from a test into a namespace: one JSON line per request on standard input, one per answer on standard
 * output. A request names its connection; equal names share one TCP connection, so that a test decides what is fresh.
 */
import { connect, type Socket } from "node:net";
import { lines } from "./lines.ts";

type Order = {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly unix: string; // path of a socket instead of host and port, or ""
  readonly connection: string; // "" for one of its own
  readonly hex: string; // the box
  readonly timeoutMs: number;
};

type Open = { readonly socket: Socket; received: Uint8Array; wake: () => void; ended: string };

const kept = new Map<string, Open>();

function open({ host, port, unix }: Order): Open {
  const socket = unix === "" ? connect({ host, port }) : connect({ path: unix });
  const one: Open = { socket, received: new Uint8Array(), wake: () => {}, ended: "" };
  socket.on("data", (data: Uint8Array) => {
    one.received = Buffer.concat([one.received, data]);
    one.wake();
  });
  const end = (why: string) => () => {
    one.ended ||= why;
    one.wake();
  };
  socket.on("error", (failure) => end(failure.message)());
  socket.on("close", end("closed"));
  return one;
}

/** One whole response with a content-length from the bytes that arrived; undefined while it is not complete. */
function response(one: Open): { status: number; hex: string } | undefined {
  const text = new TextDecoder("latin1").decode(one.received);
  const at = text.indexOf("\r\n\r\n");
  if (at < 0) return undefined;
  const head = text.slice(0, at);
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? "0");
  if (one.received.length < at + 4 + length) return undefined;
  const body = one.received.subarray(at + 4, at + 4 + length);
  one.received = one.received.subarray(at + 4 + length);
  return { status: Number(head.slice(9, 12)), hex: body.toHex() };
}

async function carry(order: Order): Promise<{ status: number; hex: string; failure: string }> {
  const known = kept.get(order.connection);
  const one = known !== undefined && known.ended === "" ? known : open(order);
  if (order.connection !== "") kept.set(order.connection, one);
  const box = Buffer.from(order.hex, "hex");
  one.socket.write(`POST /v1/box HTTP/1.1\r\nhost: router\r\ncontent-length: ${box.length}\r\n\r\n`);
  one.socket.write(box);
  const limit = performance.now() + order.timeoutMs;
  for (;;) {
    const found = response(one);
    if (found !== undefined) {
      if (order.connection === "") one.socket.destroy();
      return { ...found, failure: "" };
    }
    if (one.ended !== "" || performance.now() > limit) {
      one.socket.destroy();
      return { status: 0, hex: "", failure: one.ended || "no answer" };
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, limit - performance.now()));
      one.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

process.stdout.write("ready\n");
for await (const line of lines(Bun.stdin.stream())) {
  const order = JSON.parse(line) as Order;
  void carry(order).then((answer) => process.stdout.write(`${JSON.stringify({ id: order.id, ...answer })}\n`));
}
process.exit(0);
