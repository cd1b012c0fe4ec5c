/**
 * Questions and answers inside a namespace, one JSON line per event. Run by `bun`.
 *   serve HOST[,HOST...] PORT[,PORT...]   tells every peer, over TCP and UDP, from which address it is seen
 *   ask TIMEOUT-MS QUESTIONS              a JSON list of { protocol, host, port, bindPort }; all at once
 *   watch HOST PORT                       dials TCP every 100 ms; one line whenever what it finds changes
 *   flows HOST PORT RATE FIRST-PORT LAST-PORT   one UDP packet from each port in turn, until standard input closes
 */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { isIPv6, connect as netConnect } from "node:net";

const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const kind = (host: string): "udp4" | "udp6" => (isIPv6(host) ? "udp6" : "udp4");
const bootMs = (): number => Math.round(Number.parseFloat(readFileSync("/proc/uptime", "latin1")) * 1000);

function serveOn(host: string, port: number): Promise<void> {
  Bun.listen({
    hostname: host,
    port,
    socket: {
      open: (socket) => {
        socket.end(`${socket.remoteAddress}\n`);
      },
      data: () => {},
    },
  });
  const socket = createSocket({ type: kind(host), recvBufferSize: 4 << 20 });
  socket.on("message", (_message, from) => socket.send(`${from.address}\n`, from.port, from.address, () => {}));
  return new Promise((resolve) => socket.bind(port, host, resolve));
}

async function serve(hosts: readonly string[], ports: readonly number[]): Promise<void> {
  for (const host of hosts) for (const port of ports) await serveOn(host, port);
  say({ ready: true });
}

type Found = { state: string; text: string };

/** "open" with the peer's text, "closed" when refused (packets pass both ways), "silent" when nothing comes back. */
function dial(host: string, port: number, timeoutMs: number, bindPort = 0): Promise<Found> {
  return new Promise((resolve) => {
    let text = "";
    let open = false;
    const socket = netConnect({ host, port, ...(bindPort === 0 ? {} : { localPort: bindPort }) });
    const end = (state: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ state, text: text.trim() });
    };
    const timer = setTimeout(() => end(open ? "open" : "silent"), timeoutMs);
    socket.on("connect", () => {
      open = true;
    });
    socket.on("data", (bytes) => {
      text += bytes.toString();
    });
    socket.on("close", () => end(open ? "open" : "closed"));
    socket.on("error", (failure: NodeJS.ErrnoException) =>
      end(failure.code === "ECONNREFUSED" || failure.code === "ECONNRESET" ? "closed" : "silent"),
    );
  });
}

function askUdp(host: string, port: number, timeoutMs: number, bindPort: number): Promise<Found> {
  return new Promise((resolve) => {
    const socket = createSocket(kind(host));
    const end = (state: string, text: string): void => {
      clearTimeout(timer);
      socket.close();
      resolve({ state, text });
    };
    const timer = setTimeout(() => end("silent", ""), timeoutMs);
    socket.once("message", (message) => end("open", message.toString().trim()));
    socket.once("error", () => end("closed", ""));
    socket.bind(bindPort, () => socket.send("who am I\n", port, host, () => {}));
  });
}

type Question = { protocol: "tcp" | "udp"; host: string; port: number; bindPort?: number };

const answer = ({ protocol, host, port, bindPort }: Question, timeoutMs: number): Promise<Found> =>
  protocol === "tcp" ? dial(host, port, timeoutMs, bindPort) : askUdp(host, port, timeoutMs, bindPort ?? 0);

/** Attempts overlap, so that a silent one does not hide that the next was answered. */
function watch(host: string, port: number): void {
  let last = "";
  let newest = 0;
  let started = 0;
  const attempt = async (): Promise<void> => {
    started += 1;
    const mine = started;
    const { state } = await dialUntilOpen(host, port);
    if (mine < newest) return;
    newest = mine;
    if (state !== last) say({ state, atBootMs: bootMs() });
    last = state;
  };
  setInterval(() => void attempt(), 100);
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
}

function dialUntilOpen(host: string, port: number): Promise<{ state: string }> {
  return new Promise((resolve) => {
    const socket = netConnect({ host, port });
    const end = (state: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ state });
    };
    const timer = setTimeout(() => end("silent"), 500);
    socket.on("connect", () => end("open"));
    socket.on("error", (failure: NodeJS.ErrnoException) => end(failure.code === "ECONNREFUSED" ? "closed" : "silent"));
  });
}

/** Every packet is a flow of its own. Reports what was sent and which answers came back. */
function flows(host: string, port: number, rate: number, first: number, last: number): void {
  let sent = 0;
  let answered = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - started) / 1000) * rate) - sent;
    for (let i = 0; i < Math.min(due, 50); i += 1) {
      const socket = createSocket(kind(host));
      socket.on("message", () => {
        answered += 1;
        socket.close();
      });
      socket.on("error", () => {});
      const from = first + (sent % (last - first + 1));
      sent += 1;
      socket.bind(from, () => socket.send("new flow\n", port, host, () => {}));
      setTimeout(() => {
        try {
          socket.close();
        } catch {
          // answered and closed before
        }
      }, 2000).unref();
    }
  }, 5);
  say({ ready: true });
  process.stdin.on("end", () => {
    clearInterval(timer);
    setTimeout(() => {
      say({ sent, answered });
      process.exit(0);
    }, 700);
  });
  process.stdin.resume();
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === "serve") await serve((rest[0] ?? "").split(","), (rest[1] ?? "").split(",").map(Number));
else if (mode === "ask") {
  const questions = JSON.parse(rest[1] ?? "[]") as Question[];
  say(await Promise.all(questions.map((one) => answer(one, Number(rest[0])))));
  process.exit(0);
} else if (mode === "watch") watch(rest[0] ?? "", Number(rest[1]));
else if (mode === "flows") flows(rest[0] ?? "", Number(rest[1]), Number(rest[2]), Number(rest[3]), Number(rest[4]));
else throw new Error(`unknown mode ${mode}`);
