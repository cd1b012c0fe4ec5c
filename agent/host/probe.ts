/** Health checks that the intent declares. They judge reachability, never secrecy or policy. */
import { connect } from "node:net";
import type { Host } from "../ports.ts";
import { bootMs } from "./clock.ts";
import type { Run } from "./run.ts";

/** WireGuard rejects a session after 180 s, so an older handshake proves nothing about now. */
const HANDSHAKE_MAX_AGE_S = 180;

type Attempt = { readonly passed: boolean; readonly detail: string };

async function ping(run: Run, target: string, timeoutMs: number): Promise<Attempt> {
  const seconds = String(Math.ceil(timeoutMs / 1000)); // busybox takes whole seconds only
  const argv = ["ping", "-n", "-q", "-c", "1", "-W", seconds, target];
  const out = await run(argv, { timeoutMs: timeoutMs + 1500 });
  return { passed: out.exit === 0, detail: out.exit === 0 ? "answered" : "no answer" };
}

function dial(host: string, port: number, timeoutMs: number): Promise<Attempt> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (passed: boolean, detail: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ passed, detail });
    };
    const timer = setTimeout(() => end(false, "no answer"), timeoutMs);
    socket.once("connect", () => end(true, "connected"));
    socket.once("error", (failure: NodeJS.ErrnoException) => end(false, failure.code ?? "failed"));
  });
}

async function handshake(run: Run, device: string): Promise<Attempt> {
  const out = await run(["wg", "show", device, "latest-handshakes"], { timeoutMs: 10_000 });
  if (out.exit !== 0) return { passed: false, detail: `${device} does not answer` };
  const last = Math.max(0, ...out.stdout.split("\n").map((line) => Number(line.split("\t")[1] ?? "0")));
  if (last === 0) return { passed: false, detail: "no peer has ever shaken hands" };
  const age = Math.abs(Math.floor(Date.now() / 1000) - last);
  return { passed: age <= HANDSHAKE_MAX_AGE_S, detail: `last handshake ${age} s ago` };
}

/** Runs a probe up to its number of attempts; the first success is enough. */
export function createProbe(run: Run): Host["probe"] {
  return async (probe, desired) => {
    const started = bootMs();
    let last: Attempt = { passed: false, detail: "not tried" };
    for (let attempt = 1; attempt <= probe.attempts; attempt += 1) {
      if (probe.kind === "ping") last = await ping(run, probe.target, probe.timeout_ms);
      else if (probe.kind === "tcp") last = await dial(probe.target, probe.port, probe.timeout_ms);
      else {
        const link = desired.links.find((one) => one.network === probe.target);
        if (link === undefined) last = { passed: false, detail: `no network ${probe.target} on this router` };
        else last = await handshake(run, link.name);
      }
      if (last.passed) break;
      // An attempt that fails at once (refused, unreachable) still has its time, or three would be one.
      const rest = started + attempt * probe.timeout_ms - bootMs();
      if (attempt < probe.attempts && rest > 0) await Bun.sleep(rest);
    }
    return { id: probe.id, passed: last.passed, detail: last.detail };
  };
}
