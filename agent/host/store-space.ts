/**
 * Room on the disk of the state folder. A reserve file is given up when a record, a receipt or a token meets a full
 * disk, so that what was begun can always be ended; new work is refused long before.
 */
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { failpoint } from "./failpoint.ts";

/** Some hundred records and receipts. */
const RESERVE_BYTES = 512 * 1024;
/** What new work leaves free besides the reserve: both copies of a small generation. */
const MARGIN_BYTES = 512 * 1024;

const isFull = (failure: unknown): boolean =>
  ["ENOSPC", "EDQUOT"].includes((failure as NodeJS.ErrnoException).code ?? "");

export type Space = {
  /** True when `bytes` more fit without touching the reserve. */
  room(bytes: number): boolean;
  /** Runs a write that must not fail for want of space; gives the reserve up when it does, and tries once more. */
  essential<T>(write: () => T): T;
};

export function openSpace(folder: string): Space {
  const path = join(folder, "reserve");
  const free = (): number => {
    const { bavail, bsize } = statfsSync(folder);
    return Number(bavail) * Number(bsize);
  };
  const isKept = (): boolean => existsSync(path) && statSync(path).size === RESERVE_BYTES;
  /** Blocks are really written: a sparse file reserves nothing. */
  const refill = (): void => {
    if (isKept() || free() < RESERVE_BYTES + MARGIN_BYTES) return;
    const fd = openSync(path, "w", 0o600);
    try {
      const block = new Uint8Array(64 * 1024).fill(0x55);
      for (let at = 0; at < RESERVE_BYTES; ) at += writeSync(fd, block, 0, Math.min(block.length, RESERVE_BYTES - at));
      fsyncSync(fd);
    } catch (failure) {
      rmSync(path, { force: true });
      if (!isFull(failure)) throw failure;
    } finally {
      closeSync(fd);
    }
  };
  refill();
  return {
    room(bytes) {
      refill();
      return isKept() && free() >= bytes + MARGIN_BYTES;
    },
    essential(write) {
      try {
        return write();
      } catch (failure) {
        if (!isFull(failure) || !existsSync(path)) throw failure;
        /* @__PURE__ */ failpoint("give up", path);
        rmSync(path);
        return write();
      }
    },
  };
}
