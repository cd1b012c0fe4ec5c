/**
 * Bounds for senders who have not shown who they are: so many open requests and so many failures a minute for each
 * address prefix, and for all strangers together. An address that was answered lately is no stranger: neither its
 * neighbours nor a crowd elsewhere can shut it out. Places go to whoever speaks: one who keeps a request open without
 * saying it gives way to the next one.
 */
import { formatPrefix, networkOf, parseIp } from "../schemas/ip.ts";
import type { Clock } from "./ports.ts";

const FAILURES_BURST = 10;
const FAILURES_PER_S = 0.5;
const ALL_BURST = 100;
const ALL_PER_S = 10;
/** A stranger at the address of an operator has no more than the places below. */
const KNOWN_MS = 86_400_000;
const OPEN_EACH = 8;
const OPEN_STRANGERS = 48;
const OPEN_ALL = 64;
const REMEMBERED = 4096;

type Bucket = { tokens: number; atMs: number };

/** A request that holds a place. */
export type Guest = {
  /** True once all of it is here: then nobody takes its place any more. */
  arrived: boolean;
  /** Its place is taken: it need not be waited for. */
  readonly evict: () => void;
};

export type Strangers = {
  /** Takes a place for a request; undefined when there is none. The returned function frees it. */
  enter(remote: string, guest?: Guest): ((opened: boolean) => void) | undefined;
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

type Sitting = { readonly places: readonly string[]; readonly guest: Guest };

export function createStrangers(clock: Clock): Strangers {
  const sitting = new Set<Sitting>(); // the oldest first
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

  const rise = (one: Sitting): void => {
    // Its place may have been taken before.
    if (!sitting.delete(one)) return;
    for (const place of one.places) open.change(place, -1);
  };
  /** Room at that place, made by the oldest one there who has not spoken if need be. */
  const hasRoom = (place: string, most: number): boolean => {
    if (open.of(place) < most) return true;
    const silent = [...sitting].find((one) => one.places.includes(place) && !one.guest.arrived);
    if (silent === undefined) return false;
    rise(silent);
    silent.guest.evict();
    return true;
  };

  return {
    enter(remote, guest = { arrived: true, evict: () => {} }) {
      const isKnown = (known.get(remote) ?? 0) > clock.bootMs();
      const key = isKnown ? `= ${remote}` : prefixOf(remote);
      const bucket = bucketOf(prefixOf(remote));
      const spent = refill(bucket, FAILURES_PER_S, FAILURES_BURST) < 1 || refill(all, ALL_PER_S, ALL_BURST) < 1;
      if (!isKnown && spent) return undefined;
      if (!hasRoom(key, OPEN_EACH) || !(isKnown || hasRoom("strangers", OPEN_STRANGERS))) return undefined;
      if (!hasRoom("all", OPEN_ALL)) return undefined;
      const mine: Sitting = { places: isKnown ? [key, "all"] : [key, "all", "strangers"], guest };
      sitting.add(mine);
      for (const place of mine.places) open.change(place, 1);
      return (opened) => {
        rise(mine);
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
