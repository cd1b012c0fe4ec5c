/**
 * Bounds for senders who have not shown who they are: so many open requests and so many failures a minute for each
 * address prefix, and for all strangers together. An address that was answered lately is no stranger: neither its
 * neighbours nor a crowd elsewhere can shut it out.
 */
import { formatPrefix, networkOf, parseIp } from "../schemas/ip.ts";
import type { Clock } from "./ports.ts";

const FAILURES_BURST = 10;
const FAILURES_PER_S = 0.5;
const ALL_BURST = 100;
const ALL_PER_S = 10;
const KNOWN_MS = 600_000;
const OPEN_EACH = 8;
const OPEN_STRANGERS = 48;
const OPEN_ALL = 64;
const REMEMBERED = 4096;

type Bucket = { tokens: number; atMs: number };

export type Strangers = {
  /** Takes a place for a request; undefined when there is none. The returned function frees it. */
  enter(remote: string): ((opened: boolean) => void) | undefined;
};

/** IPv6 hosts have a /64 to choose addresses from. */
function prefixOf(remote: string): string {
  const ip = parseIp(remote);
  return ip?.family === 6 ? formatPrefix(networkOf({ ...ip, length: 64 })) : remote;
}

/** Forgets the oldest entries. */
function bound(map: Map<string, unknown>): void {
  for (const key of [...map.keys()].slice(0, -REMEMBERED)) map.delete(key);
}

/** Counts requests that are open now, by key. */
function createCounts() {
  const counts = new Map<string, number>();
  return {
    of: (key: string): number => counts.get(key) ?? 0,
    change(key: string, by: 1 | -1): void {
      const count = (counts.get(key) ?? 0) + by;
      if (count > 0) counts.set(key, count);
      else counts.delete(key);
    },
  };
}

export function createStrangers(clock: Clock): Strangers {
  const failures = new Map<string, Bucket>();
  const known = new Map<string, number>();
  const open = createCounts(); // known senders by address, strangers by prefix, and both sums
  const all: Bucket = { tokens: ALL_BURST, atMs: clock.bootMs() };

  const refill = (bucket: Bucket, perS: number, burst: number): number => {
    const nowMs = clock.bootMs();
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perS);
    bucket.atMs = nowMs;
    return bucket.tokens;
  };
  const bucketOf = (key: string): Bucket => {
    const bucket = failures.get(key) ?? { tokens: FAILURES_BURST, atMs: clock.bootMs() };
    failures.delete(key);
    failures.set(key, bucket); // newest last
    bound(failures);
    return bucket;
  };

  return {
    enter(remote) {
      const isKnown = (known.get(remote) ?? 0) > clock.bootMs();
      const key = isKnown ? `= ${remote}` : prefixOf(remote);
      if (open.of(key) >= OPEN_EACH || open.of("all") >= OPEN_ALL) return undefined;
      if (!isKnown && open.of("strangers") >= OPEN_STRANGERS) return undefined;
      const bucket = bucketOf(prefixOf(remote));
      const spent = refill(bucket, FAILURES_PER_S, FAILURES_BURST) < 1 || refill(all, ALL_PER_S, ALL_BURST) < 1;
      if (!isKnown && spent) return undefined;
      const places = isKnown ? [key, "all"] : [key, "all", "strangers"];
      for (const place of places) open.change(place, 1);
      return (opened) => {
        for (const place of places) open.change(place, -1);
        if (opened) {
          known.delete(remote);
          known.set(remote, clock.bootMs() + KNOWN_MS);
          bound(known);
        } else if (!isKnown) {
          bucket.tokens -= 1;
          all.tokens -= 1;
        }
      };
    },
  };
}
