/**
 * What the campaign `faults` does at random, once each by name: a disk that refuses, a disk that is really full, tools
 * that lie and are missing, an agent that cannot start.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { receiptOf } from "../agent/operator.ts";
import { meetTool } from "./broken.ts";
import { failAt, kernelEvents } from "./disk.ts";
import { goOn } from "./kill.ts";
import { Rig } from "./rig.ts";
import { before, wrongs } from "./truth.ts";

setDefaultTimeout(300_000);

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open("faultstest");
}, 1_800_000);
afterAll(() => rig.close());

describe("a disk that refuses", () => {
  test("to make a confirm's record durable: the decision stands and is written again", async () => {
    expect(await failAt(rig, { path: "confirm", point: "state sync", nth: 1 }, "EIO")).toEqual([]);
  });
});

describe("tools", () => {
  test("an nft that lies when the trial is undone: hands are asked for, and it is undone when nft works again", async () => {
    expect(await meetTool(rig, "nft", "lie", "rollback")).toEqual([]);
  });
});

describe("an agent that crashes whenever it starts", () => {
  test("the guard fires all the same, and the next boot loads what was kept", async () => {
    const { units } = rig.w;
    const from = before(rig);
    const trial = await rig.begin();
    const good = units.program;
    units.useProgram(["sh", "-c", "exit 70"]);
    await units.killAgent();
    await expect(units.startAgent()).rejects.toThrow("does not listen");
    await units.untilDisarmed(60_000);
    expect(units.restoreResult().get("by")).toBe("guard");
    await rig.cutPower();
    expect(await units.boot()).toBe(0);
    units.startGuard();
    await expect(units.startAgent()).rejects.toThrow("does not listen");
    const { lkg } = units.record();
    expect(lkg?.generation).toBe(from.kept.opened.message.generation);
    units.useProgram(good);
    await units.startAgent();
    await rig.idle();
    expect(await wrongs(rig, from, trial, false)).toEqual([]);
    expect(await goOn(rig)).toEqual([]);
  });
});

// Last: from here on the state folder is another file system, which only the router sees.
describe("a state folder of its own", () => {
  const SIZE = "6m";

  /** Runs a shell script in the router, with the state folder as $1. */
  const inRouter = (script: string): Promise<string> =>
    rig.w.world.must(rig.w.router, ["sh", "-c", script, "sh", rig.w.units.state]);

  async function statusWhere(wish: (status: Awaited<ReturnType<typeof rig.w.session.status>>) => boolean) {
    const limit = performance.now() + 60_000;
    while (performance.now() < limit) {
      const status = await rig.w.session.status().catch(() => undefined);
      if (status !== undefined && wish(status)) return status;
      await Bun.sleep(50);
    }
    throw new Error(`no such status: ${rig.w.units.log("agent.log")}`);
  }

  async function beginTrial() {
    const push = await rig.sign();
    await rig.submit(push);
    const { pending } = await statusWhere((status) => (status.pending?.nonce.length ?? 0) === 32);
    return { ...push, nonce: pending!.nonce };
  }

  const verdicts = async (from: bigint): Promise<readonly string[]> =>
    (await rig.w.session.receipts(from)).map((receipt) => receipt.outcome);

  /** What the kernel should be, by the agent's own look at it, and by nothing else. */
  const settled = () => statusWhere((status) => status.pending === null && status.guard_alive);

  beforeAll(async () => {
    await rig.w.units.killAgent();
    await rig.w.units.killGuard();
    await inRouter(
      `mkdir -m 0700 "$1.own" && mount -t tmpfs -o size=${SIZE},mode=0700 tmpfs "$1.own" && cp -a "$1/." "$1.own/" && mount --move "$1.own" "$1"`,
    );
    rig.w.units.startGuard();
    await rig.w.units.startAgent();
    await settled();
  });

  test("full to the last byte after the trial began: it is confirmed, and the receipts are written", async () => {
    const trial = await beginTrial();
    const { log_index } = await rig.w.session.status();
    await inRouter('cat /dev/zero >"$1/filler" 2>/dev/null; echo >>"$1/more" 2>/dev/null && exit 1; :');
    expect(receiptOf((await rig.confirm(trial)).receipt).outcome).toBe("confirmed");
    expect(await settled()).toMatchObject({ lkg_directive: trial.opened.digest, drift: false });
    expect(await verdicts(log_index + 1n)).toEqual(["confirmed"]);
    rig.nowKept(trial);
  });

  test("still full: new work is refused, and the kernel hears nothing", async () => {
    const events = await kernelEvents(rig, async () => {
      await expect(rig.sign()).rejects.toThrow("agent.disk_full");
    });
    expect(events).toEqual([]);
  });

  test("with room again: a trial is rolled back on a full disk as well", async () => {
    await inRouter('rm "$1/filler"');
    const trial = await beginTrial();
    const { lkg_directive, log_index } = await rig.w.session.status();
    await inRouter('cat /dev/zero >"$1/filler" 2>/dev/null; :');
    await rig.confirm(trial, "abort");
    expect(await settled()).toMatchObject({ lkg_directive, drift: false });
    expect(await verdicts(log_index + 1n)).toEqual(["rolled_back"]);
    await inRouter('rm "$1/filler"');
  });

  test("read-only in a trial: the kernel is put back at once, and the receipt follows when it can be written", async () => {
    const trial = await beginTrial();
    const { log_index } = await rig.w.session.status();
    await inRouter('mount -o remount,ro "$1"');
    const since = rig.w.units.restoreResult().get("at_ms");
    await rig.confirm(trial, "abort");
    const limit = performance.now() + 60_000;
    while (rig.w.units.restoreResult().get("at_ms") === since && performance.now() < limit) await Bun.sleep(50);
    expect(rig.w.units.restoreResult().get("outcome")).toBe("restored");
    expect(await verdicts(log_index + 1n)).toEqual([]);
    await inRouter('mount -o remount,rw "$1"');
    expect(await settled()).toMatchObject({ drift: false });
    expect(await verdicts(log_index + 1n)).toEqual(["rolled_back"]);
    expect(existsSync(join(rig.w.units.run, "guard.armed"))).toBe(false);
  });

  test("read-only before a push: refused, and the kernel hears nothing", async () => {
    await inRouter('mount -o remount,ro "$1"');
    const events = await kernelEvents(rig, async () => {
      await expect(rig.sign()).rejects.toThrow("agent.failure");
    });
    expect(events).toEqual([]);
    await inRouter('mount -o remount,rw "$1"');
    const trial = await beginTrial();
    expect(receiptOf((await rig.confirm(trial)).receipt).outcome).toBe("confirmed");
  });
});
