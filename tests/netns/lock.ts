/**
 * One lock for all suites that use namespaces or virtual machines on this machine: they share two things that
 * have no namespace, the processor and the patience of timeouts. Held by a child whose standard input is ours,
 * so it goes when this process goes, however that happens. Suites that watch no clock need no lock: .ci/test.ts lets
 * them run beside the others, and says so in HOLDFAST_BESIDE.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lines } from "./lines.ts";

const LOCK = join(tmpdir(), "holdfast-worlds.lock");

let holders = 0;
let held: Promise<() => void> | undefined;

async function hold(): Promise<() => void> {
  const child = Bun.spawn(["flock", "-w", "1800", LOCK, "sh", "-c", "echo locked; exec cat"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const told = setTimeout(() => process.stderr.write(`waiting for ${LOCK}\n`), 5000);
  const first = await lines(child.stdout).next();
  clearTimeout(told);
  if (first.value !== "locked") throw new Error(`${LOCK} stays taken`);
  return () => void child.stdin.end();
}

/** Waits for the lock; worlds of one process share it. Returns the release. */
export async function takeLock(): Promise<() => void> {
  if (process.env.HOLDFAST_BESIDE === "1") return () => {};
  holders += 1;
  held ??= hold();
  const end = await held;
  return () => {
    holders -= 1;
    if (holders > 0) return;
    held = undefined;
    end();
  };
}
