/**
 * Where the agent listens: the addresses of the generation in force and of the one on trial, or those of its
 * configuration before the first one. Each address stands alone: one that cannot be bound is tried again, and never
 * stops the others.
 */
import { chmodSync, existsSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { limits } from "../schemas/limits.ts";
import { type Arrival, createApp, type Front, refused } from "./http.ts";
import { SOCKET } from "./paths.ts";

export type Endpoint = { readonly address: string; readonly port: number; readonly lane: string };

/** A silent connection is closed after this time. */
const IDLE_S = 30;
const isLoopback = (address: string): boolean => address === "::1" || /^127\./.test(address);
const isWildcard = (address: string): boolean => address === "0.0.0.0" || address === "::";
const keyOf = ({ address, port }: Endpoint): string => `${address} ${port}`;

type Server = ReturnType<typeof Bun.serve>;

export type Listeners = {
  /** Closes what is not wanted any more, then opens what is missing. */
  update(wanted: readonly Endpoint[]): Promise<void>;
  /** Tries again what could not be bound. */
  retry(): void;
  /** Endpoints that answer now. */
  open(): readonly Endpoint[];
  close(): Promise<void>;
};

function serve(front: Front, { address, port, lane }: Endpoint): Server {
  const app = createApp(front, false);
  const known = isLoopback(address) || isWildcard(address) ? "" : lane;
  return Bun.serve({
    hostname: address,
    port,
    ipv6Only: address.includes(":"), // "::" would take the IPv4 addresses too
    idleTimeout: IDLE_S,
    maxRequestBodySize: limits.requestBytes,
    development: false, // no page with sources, whatever happens
    error: refused,
    fetch(request, server) {
      const peer = server.requestIP(request);
      const remote = (peer?.address ?? "").replace(/^::ffff:(?=[0-9.]+$)/, "");
      const path = { lane: known, local: `${address} ${port}`, remote, port: peer?.port ?? 0 };
      const arrival: Arrival = { path, extend: (seconds) => server.timeout(request, seconds) };
      return app.fetch(request, arrival);
    },
  });
}

export function createListeners(front: Front): Listeners {
  const servers = new Map<string, { readonly endpoint: Endpoint; readonly server: Server }>();
  let missing: readonly Endpoint[] = [];
  const failedOnce = new Set<string>();

  const open = (endpoint: Endpoint): boolean => {
    const key = keyOf(endpoint);
    try {
      servers.set(key, { endpoint, server: serve(front, endpoint) });
      front.log("listening", { address: endpoint.address, port: endpoint.port });
      failedOnce.delete(key);
      return true;
    } catch (failure) {
      // An address that is not there yet, or that another process holds: said once, tried every second.
      if (!failedOnce.has(key)) {
        front.log("listen.failed", { address: endpoint.address, port: endpoint.port, detail: String(failure) });
      }
      failedOnce.add(key);
      return false;
    }
  };

  return {
    async update(wanted) {
      const keys = new Map(wanted.map((endpoint) => [keyOf(endpoint), endpoint]));
      for (const [key, { endpoint, server }] of servers) {
        if (keys.get(key)?.lane === endpoint.lane) continue;
        servers.delete(key);
        // Requests that are being answered end well; nothing new is taken.
        void server.stop();
        front.log("stopped", { address: endpoint.address, port: endpoint.port });
      }
      missing = [...keys.values()].filter((endpoint) => !servers.has(keyOf(endpoint)));
      missing = missing.filter((endpoint) => !open(endpoint));
    },
    retry() {
      missing = missing.filter((endpoint) => !open(endpoint));
    },
    open: () => [...servers.values()].map(({ endpoint }) => endpoint),
    async close() {
      for (const { server } of servers.values()) await server.stop(true);
      servers.clear();
    },
  };
}

/** True when somebody answers on the socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (yes: boolean): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

/** The local door, mode 0600. Throws when another agent answers on it. */
export async function listenOnSocket(front: Front, path: string): Promise<() => Promise<void>> {
  if (existsSync(path)) {
    if (await answers(path)) throw new Error(`another agent answers on ${path}`);
    rmSync(path, { force: true }); // left by a killed one
  }
  const app = createApp(front, true);
  const umask = process.umask(0o177);
  let server: ReturnType<typeof Bun.serve>;
  try {
    server = Bun.serve({
      unix: path,
      maxRequestBodySize: limits.requestBytes,
      development: false,
      error: refused,
      fetch(request, self) {
        const arrival: Arrival = { path: SOCKET, extend: (seconds) => self.timeout(request, seconds) };
        return app.fetch(request, arrival);
      },
    });
  } finally {
    process.umask(umask);
  }
  chmodSync(path, 0o600);
  return () => server.stop(true);
}
