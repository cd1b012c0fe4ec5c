/** An agent that dies, stops or loses its record: what the next one takes up, and what its receipts say. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkChain, EMPTY_LOG } from "../../agent/core/receipts.ts";
import { desiredDigest } from "../../schemas/desired.ts";
import { toHex } from "../../schemas/digest.ts";
import type { Receipt, Status } from "../../schemas/report.ts";
import { intentOf, inventoryOf } from "../agent/bundles.ts";
import { crypto, receiptOf, type Session } from "../agent/operator.ts";
import { type AgentWorld, agentWorld } from "./agent-world.ts";

setDefaultTimeout(90_000);

let w: AgentWorld;
let session: Session;
let log: number; // receipts so far
let epochs: number[] = [];

const bundle = (window_s: number) => ({
  intent: intentOf({ confirm: { window_s, cap_s: 120 } }),
  inventory: inventoryOf(),
  networks: ["home"],
});

async function statusWhere(wish: (status: Status) => boolean): Promise<Status> {
  for (let i = 0; i < 200; i += 1) {
    const status = await session.status().catch(() => undefined);
    if (status !== undefined && wish(status)) return status;
    await Bun.sleep(100);
  }
  throw new Error(`no such status: ${w.units.log("agent.log")}`);
}

/** A push up to its trial. */
async function begin(window_s: number) {
  const made = await session.directive(bundle(window_s));
  expect((await session.submit(made.opened)).code).toBe("");
  const status = await statusWhere((one) => (one.pending?.nonce.length ?? 0) === 32);
  return { ...made, nonce: status.pending!.nonce, token: toHex(status.pending!.nonce) };
}

const verdict = (wish: Partial<Receipt>): Promise<Receipt> =>
  w.units.untilReceipt(
    (receipt) => Object.entries(wish).every(([key, value]) => receipt[key as keyof Receipt] === value),
    30_000,
    log,
  );

beforeAll(async () => {
  w = await agentWorld("death");
  session = w.session;
  const { opened, nonce } = await begin(60);
  expect(receiptOf((await session.confirm(opened, nonce)).receipt).outcome).toBe("confirmed");
}, 1_800_000);
afterAll(() => w.close());

/** Before each death: how much was told. After it: the router is as its record says, and the log holds together. */
async function around(act: () => Promise<void>): Promise<void> {
  log = w.units.receipts().length;
  await act();
  const status = await statusWhere((one) => one.pending === null);
  expect([status.drift, status.drift_detail]).toEqual([false, ""]);
  const { receipts } = await session.ask({ kind: "receipts", from_index: 1n, limit: 0 });
  expect(checkChain(crypto, w.keys.sign, EMPTY_LOG, receipts).ok).toBe(true);
  expect(w.units.armed()).toBe(undefined as never);
  const epoch = w.units.record().lkgEpoch;
  expect(epochs.slice(0, -1)).not.toContain(epoch); // no epoch of an earlier policy comes again
  if (epochs.at(-1) !== epoch) epochs = [...epochs, epoch];
}

test("killed in a trial, the guard undoes it and the next agent tells why", () =>
  around(async () => {
    const { opened, token } = await begin(61);
    const since = Number(w.units.armed() !== undefined);
    await w.units.killAgent();
    await w.units.untilDisarmed(20_000);
    expect(w.units.restoreResult().get("by")).toBe("guard");
    expect(w.units.restoreResult().get("token")).toBe(token);
    await w.units.startAgent();
    const receipt = await verdict({ outcome: "rolled_back" });
    expect(receipt).toMatchObject({ cause: "agent.heartbeat_lost", generation: opened.message.generation });
    expect(since).toBe(1);
  }));

test("killed and started at once, the new agent undoes it itself", () =>
  around(async () => {
    const { opened } = await begin(62);
    await w.units.killAgent();
    await w.units.startAgent();
    const receipt = await verdict({ outcome: "rolled_back" });
    expect(receipt).toMatchObject({ cause: "agent.restarted", directive_digest: opened.digest });
    // The outcome is remembered for whoever asks again.
    expect(receiptOf((await session.submit(opened)).receipt).index).toBe(receipt.index);
  }));

test("killed after the token said confirmed, the generation is kept", () =>
  around(async () => {
    const { opened, token } = await begin(63);
    await w.units.killAgent();
    renameSync(
      join(w.units.state, "decision", `${token}.undecided`),
      join(w.units.state, "decision", `${token}.confirmed`),
    );
    await w.units.startAgent();
    expect(await verdict({ outcome: "confirmed" })).toMatchObject({ cause: "", directive_digest: opened.digest });
    expect((await session.status()).lkg_directive).toEqual(opened.digest);
  }));

test("stopped through the guard's patience, it learns that it lost and stays a good agent", () =>
  around(async () => {
    const { opened, nonce } = await begin(64);
    w.units.signalAgent("SIGSTOP");
    await w.units.untilDisarmed(25_000);
    w.units.signalAgent("SIGCONT");
    expect(await verdict({ outcome: "rolled_back" })).toMatchObject({ cause: "agent.heartbeat_lost" });
    const late = await session.confirm(opened, nonce);
    expect([late.code, receiptOf(late.receipt).outcome]).toEqual(["agent.heartbeat_lost", "rolled_back"]);
  }));

test("without power in a trial, the boot script loads what was kept and the agent adopts it", () =>
  around(async () => {
    const { opened } = await begin(65);
    await w.units.killAgent();
    await w.units.killGuard();
    await w.world.must(w.router, ["nft", "flush", "ruleset"]);
    await w.world.must(w.router, ["ip", "link", "del", "hf-home"]);
    rmSync(w.units.run, { recursive: true });
    await w.units.powerUp();
    expect(await verdict({ outcome: "rolled_back" })).toMatchObject({
      cause: "agent.power_cut",
      directive_digest: opened.digest,
    });
  }));

test("a trial whose files are gone is over all the same", () =>
  around(async () => {
    const { opened, desired } = await begin(67);
    await w.units.killAgent();
    const name = toHex(desiredDigest(desired));
    for (const copy of ["gen", "gen2"]) rmSync(join(w.units.state, copy, name), { recursive: true });
    await w.units.startAgent();
    const receipt = await verdict({ outcome: "rolled_back" });
    expect(receipt).toMatchObject({ cause: "agent.restarted", directive_digest: opened.digest });
  }));

test("killed at any moment of a push, it has one end: told and undone, or never begun", async () => {
  for (const [i, delayMs] of [0, 120, 260, 500, 900, 1400].entries()) {
    await around(async () => {
      const before = await statusWhere((status) => status.guard_alive);
      const { opened } = await session.directive(bundle(80 + i));
      const answered = session.submit(opened).catch(() => undefined);
      await Bun.sleep(delayMs);
      await w.units.killAgent();
      await answered;
      await w.units.startAgent();
      const after = await statusWhere((status) => status.pending === null);
      const again = await session.submit(opened);
      if (after.generation === before.generation) expect(again.code).toBe("trust.not_fresh");
      else expect(receiptOf(again.receipt)).toMatchObject({ outcome: "rolled_back", cause: "agent.restarted" });
      expect(after.lkg_directive).toEqual(before.lkg_directive);
    });
  }
});

test("with both records damaged, it finds its place in its own log", () =>
  around(async () => {
    const before = await session.status();
    await w.units.killAgent();
    for (const file of ["record.a", "record.b"]) writeFileSync(join(w.units.state, file), "format=1\ncounter=7\n");
    await w.units.killGuard();
    expect(await w.units.boot()).toBe(4); // the rescue ruleset, with the API and the rescue lane open
    w.units.startGuard();
    await w.units.startAgent();
    const receipt = await verdict({ cause: "agent.record_damaged" });
    expect(receipt).toMatchObject({ outcome: "rolled_back", index: before.log_index + 1n });
    const after = await statusWhere(() => true); // it listens once it has found its place
    expect(after).toMatchObject({
      generation: before.generation,
      lkg_generation: before.lkg_generation,
      lkg_directive: before.lkg_directive,
      roster_digest: before.roster_digest,
      keys_digest: before.keys_digest,
    });
    epochs = [];
    // And goes on from there.
    const { opened, nonce } = await begin(66);
    expect(receiptOf((await session.confirm(opened, nonce)).receipt).outcome).toBe("confirmed");
  }));

test("a second agent in the same folders ends, and the first one goes on", async () => {
  const out = await w.world.exec(w.router, [
    ...[process.execPath, join(import.meta.dir, "../../agent/main.ts"), "run", ...w.units.folders],
  ]);
  expect(out.exit).toBe(1);
  expect(out.stderr).toContain("another agent answers");
  expect((await session.status()).guard_alive).toBe(true);
});
