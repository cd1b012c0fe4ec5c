/** The agent's side of the writer: what each way of being refused is called. Nothing here touches the kernel. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGuard } from "../../agent/host/guard.ts";
import { createRun, createRunLog } from "../../agent/host/run.ts";
import { createWriter } from "../../agent/host/writer.ts";

setDefaultTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), "holdfast-writer-"));
const lib = join(import.meta.dir, "../../agent/scripts");
const folders = { state: join(folder, "state"), run: join(folder, "run"), lib };
const run = createRun();
const guard = createGuard({ run, state: folders.state, runFolder: folders.run, lib, backend: "userspace" });
let owner = "";
beforeAll(async () => {
  for (const path of ["state/decision", "run"]) mkdirSync(join(folder, path), { recursive: true });
  owner = await guard.own();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (argv: readonly string[], as = owner, token = "", timeoutMs = 20_000): Promise<string> =>
  createWriter(run, createRunLog(undefined), folders, timeoutMs)(as, token, argv, "test").then((result) =>
    result.ok ? "done" : (result.problems[0]?.code ?? ""),
  );

test("a command that works, one that fails, one that hangs", async () => {
  expect(await write(["true"])).toBe("done");
  expect(await write(["false"])).toBe("apply.kernel_refused");
  expect(await write(["sleep", "30"], owner, "", 500)).toBe("apply.kernel_timeout");
  expect(await write(["true"])).toBe("done"); // the one that hung is gone, and so is its lock
});

test("another owner, a decided token, a lock that stays taken", async () => {
  expect(await write(["true"], "somebody-else")).toBe("apply.stale_owner");
  expect(await write(["true"], owner, "t1")).toBe("apply.trial_decided");
  writeFileSync(join(folder, "state/decision/t1.undecided"), "");
  expect(await write(["true"], owner, "t1")).toBe("done");
  expect(await write(["true"], owner, "confirmed:t1")).toBe("apply.trial_decided");
  const holder = Bun.spawn(["flock", join(folders.run, "writer.lock"), "sh", "-c", "echo held; exec sleep 30"], {
    stdout: "pipe",
  });
  await holder.stdout.getReader().read();
  expect(await write(["true"])).toBe("apply.writer_busy");
  holder.kill();
  await holder.exited;
});
