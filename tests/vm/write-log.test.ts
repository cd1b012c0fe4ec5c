/** The log of writes and the cuts of it, on logs made by hand: what must survive a cut, and what may be lost. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomOf } from "../campaigns/campaign.ts";
import { cutsOf, type Entry, Overlay, readWriteLog, SECTOR } from "./write-log.ts";

const sectorsOf = (...fills: readonly number[]): Uint8Array =>
  new Uint8Array(fills.flatMap((fill) => Array.from({ length: SECTOR }, () => fill)));
const write = (sector: number, ...fills: readonly number[]): Entry => ({
  ...{ flush: false, durable: false, sector, data: sectorsOf(...fills) },
});
const FLUSH: Entry = { flush: true, durable: false, sector: 0, data: new Uint8Array() };
/** What a disk holds, as "sector=fill". */
const shown = (overlay: Overlay): string =>
  [...overlay.sectors]
    .map(([sector, bytes]) => `${sector}=${bytes[0]}`)
    .sort()
    .join(" ");
const disks = (entries: readonly Entry[], parts = 0, from = 0): readonly string[] =>
  cutsOf(entries, { from, to: entries.length, parts }, randomOf("cuts", 1, 0)).distinct.map(({ overlay }) =>
    shown(overlay),
  );

test("a write before a flush is there after it, a later one may be lost", () => {
  expect(disks([write(1, 7), FLUSH, write(1, 8)], 0, 2)).toEqual(["1=7", "1=8"]);
  expect(disks([write(1, 7), FLUSH, write(2, 8)], 0, 3)).toEqual(["1=7", "1=7 2=8"]);
});

test("without a flush any part may be lost, a write torn between its sectors too", () => {
  const found = disks([write(1, 7), write(2, 8), write(3, 9, 9)], 60, 3);
  for (const wish of ["", "1=7", "2=8", "1=7 2=8", "1=7 2=8 3=9", "1=7 2=8 3=9 4=9"]) expect(found).toContain(wish);
});

test("a write that is durable of itself survives without a flush, others before it need not", () => {
  const own: Entry = { ...write(2, 8), durable: true };
  expect(disks([write(1, 7), own], 0, 2)).toEqual(["2=8", "1=7 2=8"]);
});

test("equal disks count once, whatever the order of their writes", () => {
  const [a, b] = [new Overlay(), new Overlay()];
  a.write(write(1, 7));
  a.write(write(2, 8));
  b.write(write(2, 3));
  b.write(write(2, 8));
  expect(a.sum).not.toBe(b.sum);
  b.write(write(1, 7));
  expect(a.sum).toBe(b.sum);
  expect(disks([write(1, 7), write(1, 7), FLUSH, FLUSH])).toEqual(["", "1=7"]);
});

test("a file is read to its last whole entry, and a discard is refused", () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-log-"));
  const head = (...words: readonly bigint[]): Uint8Array => {
    const bytes = Buffer.alloc(SECTOR);
    for (const [i, word] of words.entries()) bytes.writeBigUInt64LE(word, i * 8);
    return bytes;
  };
  const path = join(folder, "log");
  const superblock = head(0x6a736677736872n, 1n, 0n, 512n);
  const first = [superblock, head(5n, 1n, 0n), sectorsOf(7), head(0n, 0n, 1n)];
  try {
    writeFileSync(path, Buffer.concat([...first, head(9n, 2n, 0n), sectorsOf(1)]));
    expect(readWriteLog(path)).toEqual([write(5, 7), FLUSH]);
    writeFileSync(path, Buffer.concat([...first, head(9n, 2n, 4n)]));
    expect(() => readWriteLog(path)).toThrow("discarded");
    writeFileSync(path, Buffer.alloc(64));
    expect(() => readWriteLog(path)).toThrow("not a log of writes");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
