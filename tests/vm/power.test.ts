/**
 * A router with the compiled program, kernel WireGuard and a disk of its own, cut off its power: one life is recorded,
 * and of the disks that a cut could have left those around the decisions are booted, one of them by systemd.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../../schemas/digest.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { Session } from "../agent/operator.ts";
import { randomOf } from "../campaigns/campaign.ts";
import { takeLock } from "../netns/lock.ts";
import { begin, bundleOf, type Log, push, readLog, statusWhere } from "./operator.ts";
import { type Recording, record } from "./recording.ts";
import { buildRouterImage } from "./router-image.ts";
import { RouterMachine } from "./router-machine.ts";
import { decisionOn, readState, recordOn, type StateFolder, writeDisk, zeroFile } from "./state-disk.ts";
import { OWN_UNITS } from "./systemd-root.ts";
import { judge, untilPicture } from "./verdict.ts";
import { type Cut, cutsOf } from "./write-log.ts";

setDefaultTimeout(600_000);

let folder = "";
let release: () => void = () => {};
let recording: Recording;
let cuts: readonly Cut[] = [];

beforeAll(async () => {
  release = await takeLock();
  folder = mkdtempSync(join(tmpdir(), "holdfast-power-"));
  recording = await record(buildRouterImage(folder), folder, false);
  const [story] = recording.stories;
  const range = { from: story!.submitted, to: recording.end, parts: 0 };
  const { tried, distinct } = cutsOf(recording.entries, range, randomOf("vm", 1, 0));
  cuts = distinct;
  process.stderr.write(`power: ${recording.entries.length} writes, ${tried} cuts, ${cuts.length} distinct disks\n`);
}, 1_800_000);

afterAll(() => {
  release();
  rmSync(folder, { recursive: true, force: true });
});

type Found = { readonly after: number; readonly state: StateFolder; readonly disk: string };

/** The first of some cuts whose disk is as wished. */
function find(some: readonly Cut[], wish: (state: StateFolder) => boolean): Found {
  const disk = join(folder, "cut");
  for (const { after, overlay } of some) {
    writeDisk(recording.below, overlay, disk);
    const state = readState(disk, folder);
    if (wish(state)) return { after, state, disk };
  }
  throw new Error("no such disk among those that a cut could have left");
}

const ended = (log: Log): Receipt | undefined =>
  log.receipts.find(
    (one) => toHex(one.directive_digest) === recording.stories[0]!.directive && one.outcome !== "trial",
  );

const story = () => recording.stories[0]!;
const decided = (state: StateFolder): string => decisionOn(state, story().token);

/** Start and end of each unit on one clock, as systemd has them, and whether they run. */
async function lookAtUnits(machine: RouterMachine): Promise<void> {
  const times = async (unit: string, property: string): Promise<number> =>
    Number(await machine.must(`systemctl show --value -p ${property} ${unit}`));
  const [boot, guard, agent] = OWN_UNITS;
  expect(await machine.must(`systemctl is-active ${OWN_UNITS.join(" ")}`)).toBe("active\nactive\nactive\n");
  const restored = await times(boot, "ExecMainExitTimestampMonotonic");
  expect(restored).toBeGreaterThan(0);
  // Last good first, then the network, and the guard before the agent.
  expect(await times("machine-network", "ExecMainStartTimestampMonotonic")).toBeGreaterThan(restored);
  const guarded = await times(guard, "ExecMainStartTimestampMonotonic");
  expect(guarded).toBeGreaterThan(restored);
  expect(await times(agent, "ExecMainStartTimestampMonotonic")).toBeGreaterThan(guarded);
  // The whole control group of the agent dies; the guard is in another one, and the agent comes again.
  const guardPid = await machine.must(`systemctl show --value -p MainPID ${guard}`);
  const agentPid = await machine.must(`systemctl show --value -p MainPID ${agent}`);
  await machine.must(`rm -f /run/holdfast/holdfastd.sock; systemctl kill -s KILL ${agent}`);
  await machine.untilUp();
  expect(await machine.must(`systemctl show --value -p MainPID ${guard}`)).toBe(guardPid);
  expect(await machine.must(`systemctl show --value -p MainPID ${agent}`)).not.toBe(agentPid);
}

/**
 * Rollback knows no wall clock: with ten years forward and then ten back inside the window, it still comes when the
 * window ends by the clock of the boot, never before it, and signatures verify under any date.
 */
async function jumpInWindow(machine: RouterMachine, session: Session): Promise<void> {
  const trial = await begin(session, bundleOf(3, { confirm: { window_s: 10, cap_s: 300 } }));
  const told = (await readLog(session)).receipts.find((one) => toHex(one.nonce) === toHex(trial.nonce));
  const deadline = Number(told?.deadline_boot_ms);
  const real = Number(await machine.must("date +%s"));
  for (const years of [10, -10]) await machine.must(`date -s @${real + years * 31_557_600}; sleep 1`);
  const undecided = `/var/lib/holdfast/decision/${toHex(trial.nonce)}.undecided`;
  const up = await machine.must(`while [ -e ${undecided} ]; do sleep 0.1; done; cat /proc/uptime`, 120_000);
  const lateMs = Number.parseFloat(up) * 1000 - deadline;
  process.stderr.write(`power: the rollback came ${Math.round(lateMs)} ms after the end of the window\n`);
  expect(lateMs).toBeGreaterThan(-200);
  expect(lateMs).toBeLessThan(15_000); // a busy machine; an idle one takes less than two seconds
  await statusWhere(session, (one) => one.pending === null);
  const { receipts } = await readLog(session);
  expect(receipts.at(-1)).toMatchObject({ outcome: "rolled_back", cause: "confirm.window_expired" });
  expect(Number(receipts.at(-1)?.at_unix)).toBeLessThan(real - 9 * 31_557_600);
}

test("every disk that a cut around the confirm leaves keeps what the operator was told", () => {
  // Throws for a file system that does not replay; the campaign goes through all of them.
  const near = cuts.filter(({ after }) => after >= story().sent && after <= story().ended);
  expect(near.length).toBeGreaterThan(5);
  const kept = near.map((cut) => {
    const { state } = find([cut], () => true);
    const { lkg, trial } = recordOn(state)!.record;
    return trial !== null && decided(state) === "confirmed" ? trial.generation : (lkg?.generation ?? 0n);
  });
  // The old one, then the new one, and never back.
  expect(kept).toEqual([...kept].sort((a, b) => Number(a - b)));
  expect(kept[0]).toBe(1n);
  expect(kept.at(-1)).toBe(2n);
});

test("a cut before the confirm: systemd boots the old generation, without a clock of its own", async () => {
  const before = cuts.filter(({ after }) => after <= story().sent).toReversed();
  const found = find(before, (state) => recordOn(state)?.record.trial !== null && decided(state) === "undecided");
  const log = await judge(recording, found, {
    push: false,
    life: { init: "/start-systemd", devices: ["-rtc", "base=1970-01-01T00:00:00"] },
    look: async (machine) => {
      await lookAtUnits(machine);
      // No battery: the clock starts from what the guard wrote, so no peer has seen a later handshake of ours.
      const floor = Number(new TextDecoder().decode(found.state.files.get("clock")));
      expect(floor).toBeGreaterThan(1_700_000_000);
      expect(Number(await machine.must("date +%s"))).toBeGreaterThan(floor);
    },
  });
  expect(ended(log)).toMatchObject({ outcome: "rolled_back", cause: "agent.power_cut" });
});

test("a cut between token and record: the confirmed generation is booted from its second copy, whatever the date", async () => {
  const found = find(
    cuts.filter(({ after }) => after > story().sent),
    (state) => recordOn(state)?.record.lkg?.generation === 1n && decided(state) === "confirmed",
  );
  // One of the two copies of that generation is nothing but zeros, which the boot script must not take for it.
  const desired = recordOn(found.state)!.record.trial!.desired;
  zeroFile(found.disk, `gen/${desired}/ruleset.nft`, folder);
  const log = await judge(recording, found, { push: false, look: jumpInWindow });
  expect(ended(log)?.outcome).toBe("confirmed");
});

test("both copies of the kept generation are lost: the rescue ruleset lets the operator in, who pushes again", async () => {
  const found = find(cuts.slice(-1), () => true);
  const { desired } = recordOn(found.state)!.record.lkg!;
  for (const copy of ["gen", "gen2"]) zeroFile(found.disk, `${copy}/${desired}/ruleset.nft`, folder);
  const machine = await RouterMachine.boot(recording.image, { state: found.disk });
  try {
    await machine.untilUp();
    expect(await machine.must("cat /run/holdfast/boot")).toMatch(/^outcome=rescue$/m);
    const listing = await machine.must("nft list table inet holdfast; ip -o link show hf-rescue");
    expect(listing).toContain("c_rescue_api");
    const session = recording.session.over(machine.send);
    await statusWhere(session, () => true); // it may not listen yet
    const { receipts } = await readLog(session);
    expect(receipts.at(-1)).toMatchObject({ outcome: "needs_hands", cause: "agent.generation_damaged" });
    await push(session, bundleOf(2));
    await untilPicture(machine, recording.links, recording.pictures.get(2n)!);
  } catch (failure) {
    throw new Error(`${(failure as Error).message}\n${machine.said.slice(-15).join("\n")}`);
  } finally {
    await machine.cut();
  }
});
