/**
 * What a guest wrote to its disk, in order, and what a power cut may leave of it: everything up to the last flush, and
 * of the later writes any part. Reads the log of QEMU's blklogwrites, which has the format of Linux's dm-log-writes.
 */
import { readFileSync } from "node:fs";

const MAGIC = 0x6a736677736872n;
const FLUSH = 1n;
const FUA = 2n;
const DISCARD = 4n;
export const SECTOR = 512;

export type Entry = {
  readonly flush: boolean;
  readonly durable: boolean; // of itself, without a later flush
  readonly sector: number;
  readonly data: Uint8Array; // whole sectors; empty for a flush
};

/** All entries of a log file. Throws when it is none, or when it says that data were thrown away. */
export function readWriteLog(path: string): readonly Entry[] {
  const bytes = readFileSync(path);
  if (bytes.length < 32 || bytes.readBigUInt64LE(0) !== MAGIC) throw new Error(`${path} is not a log of writes`);
  const unit = bytes.readUInt32LE(24);
  const entries: Entry[] = [];
  // The count of the first sector is written now and then, so the end of the file counts.
  for (let at = unit; at + 32 <= bytes.length; ) {
    const [sector, count, flags] = [0, 8, 16].map((offset) => bytes.readBigUInt64LE(at + offset));
    if (sector === undefined || count === undefined || flags === undefined) throw new Error("no entry");
    if ((flags & DISCARD) !== 0n) throw new Error("the guest discarded sectors, which this log cannot replay");
    const length = Number(count) * unit;
    const data = bytes.subarray(at + unit, at + unit + length);
    if (data.length < length) break;
    entries.push({
      flush: (flags & FLUSH) !== 0n,
      durable: (flags & FUA) !== 0n,
      sector: (Number(sector) * unit) / SECTOR,
      data: new Uint8Array(data),
    });
    at += unit + length;
  }
  return entries;
}

/** Sectors that differ from the disk below, with a sum that is equal for equal contents. */
export class Overlay {
  readonly sectors = new Map<number, Uint8Array>();
  sum = 0n;

  static #digest(sector: number, bytes: Uint8Array | undefined): bigint {
    return bytes === undefined ? 0n : Bun.hash.wyhash(bytes, BigInt(sector));
  }

  set(sector: number, bytes: Uint8Array): void {
    this.sum ^= Overlay.#digest(sector, this.sectors.get(sector)) ^ Overlay.#digest(sector, bytes);
    this.sectors.set(sector, bytes);
  }

  /** The first `sectors` of a write, all of it when absent. */
  write({ sector, data }: Entry, sectors = data.length / SECTOR): void {
    for (let i = 0; i < sectors; i += 1) this.set(sector + i, data.subarray(i * SECTOR, (i + 1) * SECTOR));
  }

  copy(): Overlay {
    const other = new Overlay();
    for (const [sector, bytes] of this.sectors) other.sectors.set(sector, bytes);
    other.sum = this.sum;
    return other;
  }
}

export type Cut = {
  readonly after: number; // entries of the log that were written when the power went
  readonly part: string; // of the writes after the last flush: "all", "none", or the number of a random one
  readonly overlay: Overlay;
};

/**
 * Cuts after every entry from `from` to `to`, each in two plain forms and `parts` random ones, in which any write after
 * the last flush is lost, whole, or torn between two sectors. A disk that was left before is left out.
 * Also how many cuts there were before that.
 */
export function cutsOf(
  entries: readonly Entry[],
  range: { readonly from: number; readonly to: number; readonly parts: number },
  random: (below: number) => number,
): { readonly tried: number; readonly distinct: readonly Cut[] } {
  const durable = new Overlay();
  let pending: Entry[] = [];
  const seen = new Set<bigint>();
  const distinct: Cut[] = [];
  let tried = 0;
  const tear = (): Overlay => {
    const overlay = durable.copy();
    for (const entry of pending) {
      const fate = random(4);
      if (fate > 1) overlay.write(entry);
      else if (fate === 1) overlay.write(entry, random(1 + entry.data.length / SECTOR));
    }
    return overlay;
  };
  const all = (): Overlay => {
    const overlay = durable.copy();
    for (const entry of pending) overlay.write(entry);
    return overlay;
  };
  for (let after = 0; after <= Math.min(range.to, entries.length); after += 1) {
    const entry = after === 0 ? undefined : entries[after - 1];
    if (entry?.flush === true) {
      for (const one of pending) durable.write(one);
      pending = [];
    }
    if (entry?.durable === true) durable.write(entry);
    else if (entry !== undefined && entry.data.length > 0) pending.push(entry);
    if (after < range.from) continue;
    const forms: [string, () => Overlay][] = [
      ["none", () => durable.copy()],
      ["all", all],
      ...Array.from({ length: range.parts }, (_, i): [string, () => Overlay] => [String(i), tear]),
    ];
    for (const [part, make] of forms) {
      tried += 1;
      const overlay = make();
      if (seen.has(overlay.sum)) continue;
      seen.add(overlay.sum);
      distinct.push({ after, part, overlay });
    }
  }
  return { tried, distinct };
}
