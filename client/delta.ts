/**
 * The difference between two blobs, small when little changed: ranges of the old one that stand in the new one, found
 * by a rolling hash over short windows (the way of rsync), and the bytes between them.
 */
import type { DeltaPart } from "../schemas/directive.ts";
import { limits } from "../schemas/limits.ts";

/** Bytes of a window. A change costs about two of them beside its own bytes. */
const WINDOW = 32;
const FACTOR = 0x01000193;
/** FACTOR^(WINDOW-1), to take the first byte of a window out of its hash. */
const LAST = Array.from({ length: WINDOW - 1 }).reduce<number>((product) => Math.imul(product, FACTOR), 1);

function hashAt(bytes: Uint8Array, at: number): number {
  let hash = 0;
  for (let i = at; i < at + WINDOW; i += 1) hash = (Math.imul(hash, FACTOR) + bytes[i]!) | 0;
  return hash;
}

/** Where each window of the base starts, by hash; the first of equals. */
function windowsOf(base: Uint8Array): Map<number, number> {
  const found = new Map<number, number>();
  for (let at = 0; at + WINDOW <= base.length; at += WINDOW) {
    const hash = hashAt(base, at);
    if (!found.has(hash)) found.set(hash, at);
  }
  return found;
}

type Match = { readonly from: number; readonly to: number; readonly length: number }; // offsets in base and next

/** The longest equal range around base[from] and next[to], not before `floor` of next; 0 long when they differ. */
function grow(base: Uint8Array, next: Uint8Array, from: number, to: number, floor: number): Match {
  let end = 0;
  while (from + end < base.length && to + end < next.length && base[from + end] === next[to + end]) end += 1;
  let start = 0;
  while (from - start > 0 && to - start > floor && base[from - start - 1] === next[to - start - 1]) start += 1;
  return { from: from - start, to: to - start, length: end + start };
}

/**
 * Parts that make `next` of `base` (agent/core/delta.ts applies them); undefined when that takes more parts or bytes
 * than one request may carry, so that the whole blob should be sent.
 */
export function makeDelta(base: Uint8Array, next: Uint8Array): readonly DeltaPart[] | undefined {
  const windows = windowsOf(base);
  const parts: DeltaPart[] = [];
  let copied: Match = { from: 0, to: 0, length: 0 };
  let bytes = 0;
  /** Ends the part of `copied` with what follows it until `to`. */
  const close = (to: number): void => {
    const data = next.slice(copied.to + copied.length, to);
    if (copied.length + data.length > 0) parts.push({ offset: copied.from, length: copied.length, data });
    bytes += data.length;
  };
  const takes = (match: Match): boolean => match.length >= WINDOW;
  let hash = 0;
  let hashed = -1; // where `hash` is of
  for (let at = 0; at + WINDOW <= next.length; ) {
    hash =
      hashed === at - 1 && at > 0
        ? (Math.imul(hash - Math.imul(next[at - 1]!, LAST), FACTOR) + next[at + WINDOW - 1]!) | 0
        : hashAt(next, at);
    hashed = at;
    const from = windows.get(hash);
    const floor = copied.to + copied.length;
    const match = from === undefined ? undefined : grow(base, next, from, at, floor);
    if (match === undefined || !takes(match)) {
      at += 1;
      continue;
    }
    close(match.to);
    if (parts.length >= limits.deltaParts || bytes > limits.chunkBytes) return undefined;
    copied = match;
    at = match.to + match.length;
  }
  close(next.length);
  return parts.length <= limits.deltaParts && bytes <= limits.chunkBytes ? parts : undefined;
}
