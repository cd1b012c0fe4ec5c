/**
 * Traffic inside a namespace: an echo server, or a sender that counts. Run by `bun`, one JSON line per event.
 *   echo udp|tcp HOST PORT
 *   send HOST PORT RATE SIZE [BIND-PORT]   until standard input closes; then waits 700 ms for late answers
 */
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";

const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const kind = (host: string): "udp4" | "udp6" => (isIPv6(host) ? "udp6" : "udp4");

function echoUdp(host: string, port: number): void {
  const socket = createSocket({ type: kind(host), recvBufferSize: 4 << 20 });
  socket.on("message", (message, from) => socket.send(message, from.port, from.address, () => {}));
  socket.bind(port, host, () => say({ ready: true }));
}

function echoTcp(host: string, port: number): void {
  Bun.listen({ hostname: host, port, socket: { data: (socket, bytes) => void socket.write(bytes) } });
  say({ ready: true });
}

/** Paces by the clock, not by timer ticks: late ticks send what is due, so the rate holds under load. */
function send(host: string, port: number, rate: number, size: number, bindPort: number): void {
  const socket = createSocket({ type: kind(host), recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
  const buffer = Buffer.alloc(Math.max(size, 16));
  const seen = new Set<number>();
  let sent = 0;
  let duplicates = 0;
  let errors = 0;
  let longestGapMs = 0;
  let last = 0;
  let started = 0;
  socket.on("message", (message) => {
    const now = performance.now();
    const sequence = Number(message.readBigUInt64BE(0));
    if (seen.has(sequence)) duplicates += 1;
    seen.add(sequence);
    longestGapMs = Math.max(longestGapMs, now - (last === 0 ? started : last));
    last = now;
  });
  socket.on("error", () => {
    errors += 1;
  });
  socket.bind(bindPort, () => {
    started = performance.now();
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - started) / 1000) * rate) - sent;
      for (let i = 0; i < Math.min(due, 500); i += 1) {
        const packet = Buffer.from(buffer);
        packet.writeBigUInt64BE(BigInt(sent), 0);
        sent += 1;
        socket.send(packet, port, host, (failure) => {
          if (failure) errors += 1;
        });
      }
    }, 1);
    say({ ready: true, port: socket.address().port });
    process.stdin.on("end", () => {
      clearInterval(timer);
      const ended = performance.now();
      setTimeout(() => {
        longestGapMs = Math.max(longestGapMs, ended - (last === 0 ? started : last));
        const lost: number[] = [];
        for (let i = 0; i < sent && lost.length < 50; i += 1) if (!seen.has(i)) lost.push(i);
        const seconds = (ended - started) / 1000;
        say({ sent, received: seen.size, duplicates, errors, longestGapMs, seconds, firstLost: lost });
        process.exit(0);
      }, 700);
    });
    process.stdin.resume();
  });
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === "echo" && rest[0] === "udp") echoUdp(rest[1] ?? "", Number(rest[2]));
else if (mode === "echo" && rest[0] === "tcp") echoTcp(rest[1] ?? "", Number(rest[2]));
else if (mode === "send")
  send(rest[0] ?? "", Number(rest[1]), Number(rest[2]), Number(rest[3]), Number(rest[4] ?? "0"));
else throw new Error(`unknown mode ${mode}`);
