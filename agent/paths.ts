/**
 * The way that a request took, and what a confirm over it proves: the lane of the address that it was sent to, and
 * the WireGuard network that it came through. A path that was used before the apply ended proves nothing: its packets
 * may ride on what the old generation let in.
 */
import type { Desired, WgPeer } from "../schemas/desired.ts";
import { contains, parseIp, parsePrefix } from "../schemas/ip.ts";
import { newRescuePeers } from "./core/rescue-peers.ts";
import type { Clock } from "./ports.ts";

/** One TCP connection; of the unix socket everything is empty. */
export type Path = {
  readonly lane: string; // of the listening address; "" for socket, loopback, and addresses outside a generation
  readonly local: string; // listening address and port
  readonly remote: string; // address
  readonly port: number; // remote
};

export const SOCKET: Path = { lane: "", local: "", remote: "", port: 0 };

export type Paths = {
  /** Remembers that this connection was used. */
  note(path: Path): void;
  /** True when the connection, by both its ends, was not in use before that boot time. */
  isFresh(path: Path, sinceMs: number): boolean;
};

/** Longer than a connection lives without a request; later the same ends are another connection. */
const FORGET_MS = 180_000;
/** A stranger cannot fill it, since only opened requests are noted. */
const MOST = 4096;

export function createPaths(clock: Clock): Paths {
  const uses = new Map<string, { readonly firstMs: number; lastMs: number }>(); // last used last
  const keyOf = (path: Path): string => `${path.local} ${path.remote} ${path.port}`;
  const forget = (): void => {
    for (const [key, { lastMs }] of uses) {
      if (uses.size <= MOST && clock.bootMs() - lastMs < FORGET_MS) break;
      uses.delete(key);
    }
  };
  return {
    note(path) {
      forget();
      const held = uses.get(keyOf(path));
      uses.delete(keyOf(path));
      uses.set(keyOf(path), { firstMs: held?.firstMs ?? clock.bootMs(), lastMs: clock.bootMs() });
    },
    isFresh(path, sinceMs) {
      forget();
      return (uses.get(keyOf(path))?.firstMs ?? Number.POSITIVE_INFINITY) >= sinceMs;
    },
  };
}

/** True when the tunnel lets this peer use that address as its source. */
function speaksFor(peer: WgPeer, address: string): boolean {
  const ip = parseIp(address);
  return peer.allowedIps.some((text) => {
    const prefix = parsePrefix(text);
    return ip !== undefined && prefix !== undefined && contains(prefix, ip);
  });
}

/** Networks of which some peer may use that address as its source. */
function networksOf(desired: Desired, address: string): readonly string[] {
  return desired.links
    .filter((link) => link.peers.some((peer) => speaksFor(peer, address)))
    .map((link) => link.network);
}

/**
 * Whether an arrival over the rescue lane says anything about its new keys: by one of them, or there are none. That
 * an old key still works is no proof that the new roster is right.
 */
export function provesNewKey(path: Path, before: Desired | null, desired: Desired): boolean {
  const peers = newRescuePeers(before, desired);
  return peers.length === 0 || peers.some((peer) => speaksFor(peer, path.remote));
}

/** Names of the lanes that an arrival over this path proves, the carrying tunnel first. */
export function lanesProven(path: Path, desired: Desired): readonly string[] {
  if (path.lane === "") return [];
  const tunnels = networksOf(desired, path.remote).map((network) => (network === "rescue" ? network : `wg:${network}`));
  const names = new Set(desired.lanes.map((lane) => lane.name));
  return [...new Set([...tunnels, path.lane])].filter((name) => names.has(name));
}
