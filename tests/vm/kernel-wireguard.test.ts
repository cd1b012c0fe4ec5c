/** The contract of the host, once more on a kernel with its own WireGuard: the same suite inside a virtual machine. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { takeLock } from "../netns/lock.ts";
import { buildImage } from "./image.ts";
import { boot } from "./machine.ts";

/** The guest's whole life: one suite, its output on the console, power off. */
const START = `export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=dumb NO_COLOR=1
mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp; ip link set lo up
cd /checkout
bun test --timeout=600000 -t 'kernel back-end' ./tests/netns/host.test.ts 2>&1 | cat
echo "GUEST DONE"
exec busybox poweroff -f
`;

let folder = "";
let release: () => void = () => {};
const said: string[] = [];

beforeAll(async () => {
  release = await takeLock();
  folder = mkdtempSync(join(tmpdir(), "holdfast-vm-"));
  const machine = boot(buildImage(folder, START));
  for (let line = await machine.console.next(); line.done !== true; line = await machine.console.next()) {
    said.push(line.value);
  }
  await machine.exited;
}, 900_000);

afterAll(() => {
  release();
  rmSync(folder, { recursive: true, force: true });
});

describe("a machine whose kernel has WireGuard", () => {
  test("boots, runs the suite to its end and powers off", () => {
    expect(said.filter((line) => line.includes("GUEST DONE")).length).toBe(1);
    expect(said.filter((line) => /no module|Kernel panic/.test(line))).toEqual([]);
  });

  test("passes the whole contract of the kernel back-end", () => {
    const verdicts = said.flatMap(
      (line) => /\((pass|fail|skip)\) (the kernel back-end > .*?)(?: \[|$)/.exec(line)?.slice(1, 3) ?? [],
    );
    const names = verdicts.filter((_, i) => i % 2 === 1);
    const failed = said.filter((line) => line.includes("(fail)"));
    expect(failed).toEqual([]);
    expect(names.length).toBeGreaterThanOrEqual(17);
    expect(names).toContain("the kernel back-end > is the back-end that was asked for");
    expect(verdicts.filter((word) => word === "skip" || word === "fail")).toEqual([]);
  });
});
