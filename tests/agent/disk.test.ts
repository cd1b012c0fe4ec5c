/**
 * A disk that refuses any step of a push: the push is refused or rolled back, or kept once its confirm was decided; the
 * log tells it, and the next push goes through. tests/faults does the same over a real kernel.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { removeFolder, temporaryFolder } from "../netns/folders.ts";
import { failingScript } from "../netns/program.ts";

setDefaultTimeout(300_000);

// Of all steps a few. A record that has its name but is not durable never holds, and the next one goes over it; a key
// report that is there but was never recorded counts: both stood in the way of everything that came after.
test("an error of the disk at some steps of every path", async () => {
  const script = await failingScript("tests/agent/disk-walks.ts");
  const argv = [process.execPath, script, "30:", "2:state sync", "1:keyreport"];
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const lines = (await child.stdout.text()).trimEnd().split("\n");
  expect(lines.slice(0, -1)).toEqual([]);
  expect(Number.parseInt(lines.at(-1) ?? "", 10)).toBeGreaterThan(9);
});

test("a state folder that is full to the last byte, and one that is read-only, while a trial stands", async () => {
  const folder = temporaryFolder("full");
  const argv = ["unshare", "-m", process.execPath, join(import.meta.dir, "disk-full.ts"), folder];
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const lines = (await child.stdout.text()).trimEnd().split("\n");
  removeFolder(folder);
  expect(lines).toEqual([
    "full: confirmed, then confirmed, kept",
    "still full: Error: upload: agent.disk_full",
    "full again: rolled_back, then rolled_back, not kept",
    // What is right in the kernel waits for nobody; the receipt follows when it can be written.
    "read-only: nothing, then rolled_back, not kept",
    "still read-only: Error: upload: agent.failure",
    "writable: confirmed, then confirmed, kept",
  ]);
});
