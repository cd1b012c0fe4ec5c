/**
 * Many live WireGuard clients behind one socket. The first line of standard input is the job; then every line makes
 * each client send one keepalive through the session that it has. One JSON line of answer for each.
 */
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import sodium from "libsodium-wrappers";
import { lines } from "./lines.ts";
import { type Initiation, initiate, type Session } from "./noise.ts";

type Job = { host: string; port: number; serverKey: string; privateKeys: string[] };

const FLIGHT = 16; // handshakes at once: far below what makes a server ask for cookies
const PATIENCE_MS = 5000;

await sodium.ready;
const input = lines(Bun.stdin.stream());
const job = JSON.parse((await input.next()).value ?? "{}") as Job;
const server = Uint8Array.fromBase64(job.serverKey);
const socket = createSocket({ type: isIPv6(job.host) ? "udp6" : "udp4", recvBufferSize: 4 << 20 });
const waiting = new Map<number, { start: Initiation; done: (session: Session) => void }>();
const sessions: Session[] = [];

socket.on("message", (message) => {
  if (message[0] !== 2) return;
  const index = message.readUInt32LE(8);
  const one = waiting.get(index);
  const session = one?.start.finish(message);
  if (one === undefined || session === undefined) return;
  waiting.delete(index);
  one.done(session);
});
await new Promise<void>((resolve) => socket.bind(0, resolve));

const send = (packet: Uint8Array): void => socket.send(packet, job.port, job.host, () => {});

async function connect(index: number): Promise<void> {
  const key = Uint8Array.fromBase64(job.privateKeys[index]!);
  const start = initiate(key, server, new Uint8Array(32), index + 1);
  const { promise, resolve, reject } = Promise.withResolvers<Session>();
  waiting.set(index + 1, { start, done: resolve });
  send(start.packet);
  const timer = setTimeout(() => reject(new Error(`client ${index} got no response`)), PATIENCE_MS);
  const session = await promise;
  clearTimeout(timer);
  send(session.keepalive()); // the server counts the handshake only now
  sessions.push(session);
}

let next = 0;
await Promise.all(
  Array.from({ length: FLIGHT }, async () => {
    for (let index = next++; index < job.privateKeys.length; index = next++) await connect(index);
  }),
);
process.stdout.write(`${JSON.stringify({ live: sessions.length })}\n`);
for await (const _line of input) {
  for (const [index, session] of sessions.entries()) {
    send(session.keepalive());
    if (index % 50 === 49) await Bun.sleep(5);
  }
  process.stdout.write(`${JSON.stringify({ beaten: sessions.length })}\n`);
}
process.exit(0);
