/**
 * The first day and the days after, with the real agent, guard and command line and with packets: first trust, clients
 * and what they reach, pushes again, confirms by hand, a second machine in between, and a boot.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Operator } from "./operator.ts";
import { freshProgram } from "./program.ts";
import { ask, startServer } from "./reach.ts";
import {
  editClient,
  homeIntent,
  LAN_HOST4,
  LAN_HOST6,
  ROUTER,
  ROUTER4,
  SITE,
  spareIntent,
  WEB_PORT,
  writeIntent,
} from "./sites.ts";
import { addClient, type Enrolment, enrol, INIT_WORDS, initSite, openStage, raiseLane, type Stage } from "./stage.ts";
import { raiseTunnel } from "./tunnel.ts";
import { INTERNET4, INTERNET6 } from "./wiring.ts";

setDefaultTimeout(120_000);

const good = homeIntent();
let stage: Stage;
let operator: Operator;
let enrolment: Enrolment;
let untouched: readonly [string, string]; // kernel state before and after the enrolment

beforeAll(async () => {
  stage = await openStage({ name: "e2e", program: freshProgram() });
  ({ operator } = stage);
  await startServer(stage.world, stage.host("lan"), [LAN_HOST4, LAN_HOST6], [WEB_PORT]);
  await startServer(stage.world, stage.land.net, [INTERNET4, INTERNET6], [WEB_PORT]);
  await initSite(stage, SITE, INIT_WORDS);
}, 1_800_000);
afterAll(() => stage.close());

/** What the client's place reaches now: LAN and internet, both families. */
async function reached(): Promise<readonly string[]> {
  const hosts = [LAN_HOST4, LAN_HOST6, INTERNET4, INTERNET6];
  const found = await Promise.all(hosts.map((host) => ask(stage.world, stage.host("client"), "tcp", host, WEB_PORT)));
  return found.map(({ state, text }) => `${state} ${text}`.trim());
}

describe("first trust", () => {
  test("what init writes is a site that check proves", async () => {
    const answer = await operator.ask("check");
    expect(answer).toMatchObject({ exit: 0 });
  });

  test("both sides show one fingerprint, and no firewall is touched", async () => {
    const before = await stage.observer.snapshot();
    writeIntent(operator.site, good);
    enrolment = await enrol(stage, ROUTER, ROUTER4);
    untouched = stage.observer.texts(before, await stage.observer.snapshot());
    expect(enrolment.seenByOperator).toBe(enrolment.seenOnRouter);
    expect(untouched[1]).toBe(untouched[0]);
    expect(stage.units.receipts().map((one) => one.outcome)).toEqual(["enrolled"]);
    expect(stage.units.mutations()).toEqual([]);
  });

  test("the first push is confirmed through a lane, and the log says so", async () => {
    const { exit, json } = await operator.ask("push", "--yes");
    expect([exit, json.outcome, json.confirmed_lane]).toEqual([0, "confirmed", `api:${ROUTER4}`]);
    expect(stage.units.receipts().map((one) => one.outcome)).toEqual(["enrolled", "trial", "confirmed"]);
    expect(await operator.ask("receipts", "verify")).toMatchObject({ exit: 0, json: { verified: 3, compared: true } });
  });
});

describe("clients", () => {
  const configs = new Map<string, string>();

  test("are added here and live after one push", async () => {
    for (const [id, profile] of [
      ["alice", "full"],
      ["bob", "guest"],
      ["carol", "split"],
    ] as const)
      configs.set(id, await addClient(stage, id, profile));
    expect(await operator.ask("push", "--yes")).toMatchObject({ exit: 0, json: { outcome: "confirmed" } });
  });

  test("the LAN sees a full client by its own address, the internet sees the router's", async () => {
    const tunnel = await raiseTunnel(stage.world, stage.host("client"), "wg0", configs.get("alice")!);
    const [four, six] = tunnel.addresses.map((one) => one.replace(/\/.*/, ""));
    // Of the profile's internet only IPv4 goes through the tunnel: IPv6 leaves as it did before.
    expect(await reached()).toEqual([
      `open ${four}`,
      `open ${six}`,
      `open ${ROUTER4}`,
      expect.stringContaining("open"),
    ]);
    await tunnel.down();
  });

  test("a guest gets the internet and no LAN, even when it sends the packets", async () => {
    const greedy = configs.get("bob")!.replace(/AllowedIPs = .*/, "AllowedIPs = 0.0.0.0/0, ::/0");
    const tunnel = await raiseTunnel(stage.world, stage.host("client"), "wg0", greedy);
    expect(await reached()).toEqual(["silent", "silent", `open ${ROUTER4}`, "silent"]);
    await tunnel.down();
  });

  test("a suspended client's open flow ends with the push that suspends it, and comes back with it", async () => {
    const tunnel = await raiseTunnel(stage.world, stage.host("client"), "wg0", configs.get("carol")!);
    expect((await reached()).slice(0, 2).every((one) => one.startsWith("open"))).toBe(true);
    editClient(operator.site, "carol", (one) => ({ ...one, state: "suspended" }));
    expect(await operator.ask("push", "--yes")).toMatchObject({ exit: 0 });
    expect((await reached()).slice(0, 2)).toEqual(["silent", "silent"]);
    editClient(operator.site, "carol", (one) => ({ ...one, state: "active" }));
    expect(await operator.ask("push", "--yes")).toMatchObject({ exit: 0 });
    // The old session died with the peer; a client finds out after some seconds, or dials anew.
    await tunnel.down();
    const again = await raiseTunnel(stage.world, stage.host("client"), "wg0", configs.get("carol")!);
    expect((await reached()).slice(0, 2).every((one) => one.startsWith("open"))).toBe(true);
    await again.down();
  });
});

describe("a trial by hand", () => {
  test("waits, keeps a second machine out, is confirmed once, and says the same when confirmed again", async () => {
    writeIntent(operator.site, spareIntent(1));
    expect(await operator.ask("push", "--yes", "--no-confirm")).toMatchObject({ exit: 8, json: { outcome: "trial" } });
    const pending = stage.units.armed();
    const other = operator.twin(stage.host("client"));
    writeIntent(other.site, spareIntent(2));
    const second = await other.ask("push", "--yes");
    expect(second.exit).toBe(3);
    expect(JSON.stringify(second.json.problems)).toContain("apply.trial_pending");
    expect(stage.units.armed()).toEqual(pending);
    other.remove();
    const count = stage.units.receipts().length;
    // Five at once: one change, and all are told the same.
    const confirms = await Promise.all(Array.from({ length: 5 }, () => operator.ask("confirm")));
    expect(confirms.filter((one) => one.exit === 0).length).toBeGreaterThanOrEqual(1);
    expect(stage.units.receipts().length).toBe(count + 1);
    expect(stage.units.receipts().at(-1)?.outcome).toBe("confirmed");
  });

  test("ends at its deadline; a confirm after it is told so", async () => {
    writeIntent(operator.site, spareIntent(3));
    const before = await stage.observer.snapshot();
    const count = stage.units.receipts().length;
    expect(await operator.ask("push", "--yes", "--no-confirm")).toMatchObject({ exit: 8 });
    const ended = await stage.units.untilReceipt((one) => one.outcome === "rolled_back", 20_000, count);
    expect(ended.cause).toBe("confirm.window_expired");
    const [was, is] = stage.observer.texts(before, await stage.observer.snapshot());
    expect(is).toBe(was);
    const late = await operator.ask("confirm");
    expect(late.exit).not.toBe(0);
    writeIntent(operator.site, spareIntent(1));
  });

  test("is ended at once by rollback", async () => {
    writeIntent(operator.site, spareIntent(4));
    expect(await operator.ask("push", "--yes", "--no-confirm")).toMatchObject({ exit: 8 });
    const answer = await operator.ask("rollback");
    expect(answer.exit).toBe(0);
    expect(stage.units.receipts().at(-1)).toMatchObject({ outcome: "rolled_back", cause: "confirm.aborted" });
    writeIntent(operator.site, spareIntent(1));
  });

  test("confirmed through the rescue lane, the lane's own counter has seen it", async () => {
    const address = await raiseLane(stage);
    writeIntent(operator.site, spareIntent(5));
    const { exit, json } = await operator.ask("push", "--yes", "--at", address);
    expect([exit, json.outcome, json.confirmed_lane]).toEqual([0, "confirmed", "rescue"]);
    const lanes = json.lanes as readonly { name: string; packets: number }[];
    expect(lanes.find((lane) => lane.name === "rescue")?.packets).toBeGreaterThan(0);
  });
});

describe("a boot", () => {
  test("brings the last confirmed generation up without the agent, and the agent adopts it", async () => {
    const before = await stage.observer.snapshot();
    await stage.units.killAgent();
    await stage.units.killGuard();
    await stage.world.must(stage.land.router, ["nft", "delete", "table", "inet", "holdfast"]);
    await stage.world.must(stage.land.router, ["ip", "link", "del", "hf-home"]);
    expect(await stage.units.boot()).toBe(0);
    const [was, is] = stage.observer.texts(before, await stage.observer.snapshot());
    expect(is).toBe(was);
    const writes = stage.units.mutations().length;
    stage.units.startGuard();
    await stage.units.startAgent();
    const { json } = await operator.must("status");
    expect(json.drift).toBe(false);
    expect(stage.units.mutations(writes)).toEqual([]);
    expect(readFileSync(join(stage.units.run, "boot"), "utf8")).toContain("outcome=restored");
  });

  test("the story of all that is in the log, signed and chained", async () => {
    const { json } = await operator.must("receipts", "verify");
    expect(json.verified).toBe(stage.units.receipts().length);
  });
});
