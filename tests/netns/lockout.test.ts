/**
 * Pushes that cut the operator off: wrong for the world, and, in the test build, generations that no honest compile
 * makes. Whatever happens to the agent meanwhile, the operator is back within the window and five seconds, the
 * kernel is what it was, and the receipt names the cause. The stages run side by side, since windows are waiting.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { bootMs } from "../../agent/host/clock.ts";
import { toHex } from "../../schemas/digest.ts";
import type { Receipt } from "../../schemas/report.ts";
import { type LockOut, lockOut, promised } from "./lockout.ts";
import { agentCopy, badProgram, freshProgram, type Program, sabotageService } from "./program.ts";
import type { Sabotage } from "./sabotage.ts";
import { API_PORT, homeIntent, lostIntent, writeIntent } from "./sites.ts";
import { SlowNft } from "./slow-nft.ts";
import { firstDay, openStage, raiseLane, type Stage } from "./stage.ts";

setDefaultTimeout(180_000);

const good = homeIntent();
const bad = (kind: Sabotage): typeof good => homeIntent({ services: [sabotageService(kind)] });
const stages: Stage[] = [];

type Results<Name extends string> = Readonly<Record<Name, LockOut>>;

async function open(name: string, program: Program): Promise<Stage> {
  const stage = await openStage({ name, program });
  stages.push(stage);
  await firstDay(stage, good);
  return stage;
}

/** The same wrong gateway four times, with four fates of the agent. */
async function lostAgents(): Promise<Results<"living" | "restarted" | "killed" | "stopped">> {
  const stage = await open("lost", freshProgram());
  const { units } = stage;
  const intent = lostIntent();
  const living = await lockOut(stage, good, { intent });
  const restarted = await lockOut(stage, good, {
    intent,
    during: async () => {
      await units.killAgent();
      await units.startAgent();
    },
  });
  const killed = await lockOut(stage, good, {
    intent,
    during: async (trial) => {
      await units.killAgent();
      await units.untilRestoredBy("guard", Number(trial.at_boot_ms));
      await units.startAgent();
    },
  });
  const stopped = await lockOut(stage, good, {
    intent,
    during: async (trial) => {
      units.signalAgent("SIGSTOP");
      await units.untilRestoredBy("guard", Number(trial.at_boot_ms));
      units.signalAgent("SIGCONT");
    },
  });
  return { living, restarted, killed, stopped };
}

/** False for a zombie too: who takes in orphans may let them wait. */
function lives(pid: number): boolean {
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
  return stat !== "" && !/\) [ZX] /.test(stat);
}

type Orphan = {
  readonly alive: boolean; // the orphaned nft, after the guard's restore
  readonly rolledBack: Receipt;
  readonly stateBefore: string;
  readonly stateAfter: string;
};

/** The agent dies while its `nft` still reads the ruleset; that one is let go only after the guard has restored. */
async function orphanNft(stage: Stage): Promise<Orphan> {
  const { units, observer, operator } = stage;
  const slow = await SlowNft.install(units);
  const before = await observer.snapshot();
  const count = units.receipts().length;
  const killedAfter = bootMs();
  writeIntent(operator.site, lostIntent());
  slow.arm();
  const pushed = operator.ask("push", "--yes");
  const pid = await slow.caught();
  await units.killAgent();
  await units.untilRestoredBy("guard", killedAfter);
  const alive = lives(pid);
  slow.release();
  await Bun.sleep(500); // five of its looks: long enough for an orphan to commit
  const [stateBefore, stateAfter] = observer.texts(before, await observer.snapshot());
  await units.startAgent();
  const rolledBack = await units.untilReceipt((one) => one.outcome === "rolled_back", 20_000, count);
  await pushed;
  return { alive, rolledBack, stateBefore, stateAfter };
}

/** An agent whose program is gone from the disk, and one that leaves an orphan. */
async function lostPrograms(): Promise<{ readonly deleted: LockOut; readonly orphan: Orphan }> {
  const program = agentCopy(freshProgram());
  const stage = await open("gone", program);
  const { units } = stage;
  const deleted = await lockOut(stage, good, {
    intent: lostIntent(),
    during: async (trial) => {
      rmSync(program.agent[0]!);
      await units.killAgent();
      await units.untilRestoredBy("guard", Number(trial.at_boot_ms));
      units.useProgram(freshProgram().agent); // hands, long after the router was back
      await units.startAgent();
    },
  });
  return { deleted, orphan: await orphanNft(stage) };
}

/** Generations that no compile makes, watched from the management address. */
async function badRules(): Promise<Results<"no-lanes" | "default-drop">> {
  const stage = await open("rules", await badProgram());
  return {
    "no-lanes": await lockOut(stage, good, { intent: bad("no-lanes") }),
    "default-drop": await lockOut(stage, good, { intent: bad("default-drop") }),
  };
}

/** The same for an operator who comes through the rescue lane. */
async function badLane(): Promise<Results<"wrong-key" | "closed-rescue">> {
  const stage = await open("lane", await badProgram());
  const address = await raiseLane(stage);
  // An upstream that blocks the API: the rescue lane is the only way in, and only it can confirm.
  const text = `table inet upstream { chain forward { type filter hook forward priority 0; tcp dport ${API_PORT} drop; }; };\n`;
  await stage.world.must(stage.land.net, ["nft", "-f", "-"], { stdin: text });
  return {
    "wrong-key": await lockOut(stage, good, { intent: bad("wrong-key"), address, words: ["--at", address] }),
    "closed-rescue": await lockOut(stage, good, { intent: bad("closed-rescue"), address, words: ["--at", address] }),
  };
}

let agents: ReturnType<typeof lostAgents>;
let programs: ReturnType<typeof lostPrograms>;
let rules: ReturnType<typeof badRules>;
let lane: ReturnType<typeof badLane>;

/** `next` once `first` is over, however it ended. */
const after = <T>(first: Promise<unknown>, next: () => Promise<T>): Promise<T> => first.then(next, next);

beforeAll(async () => {
  // Two at a time: with more, two processors are no world that a promise about seconds can be measured in.
  agents = lostAgents();
  rules = badRules();
  programs = after(agents, lostPrograms);
  lane = after(rules, badLane);
  await Promise.allSettled([programs, lane]);
}, 1_800_000);
afterAll(async () => {
  for (const stage of stages) await stage.close();
});

/** What holds for every lock-out. */
function expectUndone(lockedOut: LockOut, cause: string): void {
  expect(lockedOut.stateAfter).toBe(lockedOut.stateBefore);
  expect(lockedOut.backBootMs).toBeLessThanOrEqual(promised(lockedOut));
  expect(lockedOut.rolledBack.cause).toBe(cause);
  expect(lockedOut.rolledBack.directive_digest).toEqual(lockedOut.trial.directive_digest);
  expect(toHex(lockedOut.rolledBack.observed_digest)).not.toBe(toHex(lockedOut.trial.observed_digest));
}

describe("a gateway that does not exist", () => {
  test("A1: is undone when the window ends, and the command line says so", async () => {
    const { living } = await agents;
    expectUndone(living, "confirm.window_expired");
    expect(living.push.exit).toBe(4);
    expect(living.backBootMs).toBeGreaterThanOrEqual(Number(living.trial.deadline_boot_ms) - 100);
  });

  test("is undone at once by an agent that starts again", async () => {
    const { restarted } = await agents;
    expectUndone(restarted, "agent.restarted");
    expect(restarted.backBootMs).toBeLessThan(Number(restarted.trial.deadline_boot_ms));
  });

  test("is undone by the guard when the agent is killed", async () => {
    expectUndone((await agents).killed, "agent.heartbeat_lost");
  });

  test("A3: is undone by the guard when the agent is stopped, and stays undone when it goes on", async () => {
    expectUndone((await agents).stopped, "agent.heartbeat_lost");
  });

  test("A2: is undone by the guard when the agent is killed and its program deleted", async () => {
    expectUndone((await programs).deleted, "agent.heartbeat_lost");
  });

  test("an nft that was still reading when the agent died never commits", async () => {
    const { orphan } = await programs;
    expect(orphan.alive).toBe(false);
    expect(orphan.stateAfter).toBe(orphan.stateBefore);
    expect(orphan.rolledBack.cause).toBe("agent.heartbeat_lost");
  });
});

describe("a generation that no honest compile makes", () => {
  test("without lanes", async () => expectUndone((await rules)["no-lanes"], "confirm.window_expired"));

  test("with an input chain that drops everything", async () =>
    expectUndone((await rules)["default-drop"], "confirm.window_expired"));

  test("A9: with a wrong key on the rescue lane", async () =>
    expectUndone((await lane)["wrong-key"], "confirm.window_expired"));

  test("without the rescue port, though the session through it was up", async () =>
    expectUndone((await lane)["closed-rescue"], "confirm.window_expired"));
});
