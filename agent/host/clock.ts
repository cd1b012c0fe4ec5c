/** Time since boot with suspend counted (CLOCK_BOOTTIME, through /proc/uptime), immune to the wall clock. */
import { readFileSync } from "node:fs";
import type { Clock } from "../ports.ts";

const POLL_MS = 500;

/** Milliseconds since boot, in steps of ten. */
export function bootMs(): number {
  const text = readFileSync("/proc/uptime", "latin1");
  return Math.round(Number.parseFloat(text) * 1000);
}

function bootId(): Uint8Array {
  const hex = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim().replaceAll("-", "");
  const bytes = Uint8Array.fromHex(hex);
  if (bytes.length !== 16) throw new Error("boot_id has not 16 bytes");
  return bytes;
}

export const clock: Clock = {
  bootMs,
  unixS: () => Math.floor(Date.now() / 1000),
  bootId,
  at(deadline, run) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    // Timers of the runtime stop during suspend, so no single sleep is trusted for longer than a poll.
    const look = (): void => {
      const left = deadline - bootMs();
      if (left <= 0) {
        timer = undefined;
        run();
        return;
      }
      timer = setTimeout(look, Math.min(left, POLL_MS));
    };
    timer = setTimeout(look, Math.max(0, Math.min(deadline - bootMs(), POLL_MS)));
    return () => clearTimeout(timer);
  },
};
