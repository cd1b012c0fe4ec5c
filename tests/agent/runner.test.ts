/** The runner: order, failures, answers, deadlines; and what becomes of a trial whose disk or kernel fails. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Effect, Event, Trial } from "../../agent/core/lifecycle.ts";
import type { Host, Store } from "../../agent/ports.ts";
import { createRunner, type Performer } from "../../agent/runner.ts";
import { intentOf, inventoryOf } from "./bundles.ts";
import { enrolledDesk } from "./desk.ts";
import { receiptOf } from "./operator.ts";

setDefaultTimeout(120_000);

const trial: Trial = {
  token: "t1",
  directive: "d1",
  windowMs: 60_000,
  capMs: 100_000,
  lanes: [{ name: "rescue", changed: false }],
  rebootAllowed: false,
};

const nothing: Event = {
  ...{ kind: "start", trial: null, decision: "missing", sameBoot: true, armed: "", cause: "", last: null },
};

/** A runner whose effects succeed, except as `change` says; notes what was performed. */
function makeRunner(change: (effect: Effect) => Promise<Event | undefined> | undefined = () => undefined) {
  const done: string[] = [];
  const clock = { nowMs: 10, due: [] as { atMs: number; run: () => void }[] };
  const answers: Partial<Record<Effect["kind"], Event>> = {
    arm: { kind: "prepared" },
    probe: { kind: "probed", atMs: 10 },
    "decide-confirm": { kind: "decided", decision: "confirmed", cause: "" },
    "decide-rollback": { kind: "decided", decision: "rolled-back", cause: "" },
    restore: { kind: "restored", outcome: "restored" },
    "drop-token": { kind: "closed" },
  };
  const performer: Performer = {
    async perform(effect, state) {
      const own = change(effect);
      if (own !== undefined) return own;
      done.push(
        "which" in effect
          ? `${effect.kind} ${effect.which}`
          : "as" in effect
            ? `${effect.kind} ${effect.as}`
            : effect.kind,
      );
      if (effect.kind === "run-steps")
        return effect.which === "apply" ? { kind: "applied" } : { kind: "finished", cause: "" };
      if (effect.kind === "write-record" && effect.as === "confirmed") return { kind: "recorded" };
      if (effect.kind === "judge") return { kind: "judged", cause: effect.cause };
      if (effect.kind === "arm" && state.name !== "admitted") return undefined;
      return answers[effect.kind];
    },
    causeOf: () => "agent.storage",
    look: () => undefined,
  };
  const port = {
    ...{ bootMs: () => clock.nowMs, unixS: () => 0, bootId: () => new Uint8Array(16) },
    at(atMs: number, run: () => void) {
      const entry = { atMs, run };
      clock.due.push(entry);
      return () => void clock.due.splice(clock.due.indexOf(entry), 1);
    },
  };
  const runner = createRunner(port, () => {}, performer);
  /** Time goes on; what is due then, happens. */
  const pass = (toMs: number): void => {
    clock.nowMs = toMs;
    for (const entry of [...clock.due]) {
      if (entry.atMs > toMs) continue;
      clock.due.splice(clock.due.indexOf(entry), 1);
      entry.run();
    }
  };
  return { runner, done, pass };
}

const confirm: Event = { kind: "confirm", token: "t1", holder: "ann", lane: "rescue", accepts: [], atMs: 10 };
const idle = async (runner: ReturnType<typeof makeRunner>["runner"]): Promise<void> => {
  for (let i = 0; i < 200 && runner.state().name !== "idle"; i += 1) await Bun.sleep(1);
};

describe("the runner", () => {
  test("performs a trial and its confirm in order, and answers each sender once", async () => {
    const { runner, done } = makeRunner();
    await runner.send(nothing);
    expect(await runner.send({ kind: "submit", trial })).toMatchObject({ status: "accepted" });
    expect(await runner.send(confirm)).toMatchObject({ status: "confirmed", code: "" });
    await idle(runner);
    expect(done).toEqual([
      ...["create-token", "write-record trial", "arm", "run-steps apply", "probe", "arm", "receipt"],
      ...["decide-confirm", "write-record confirmed", "run-steps after-confirm"],
      ...["receipt", "write-record cleared", "disarm", "drop-token"],
    ]);
    expect(await runner.send(confirm)).toMatchObject({ status: "confirmed" });
    runner.close();
  });

  test("ends a trial at its deadline", async () => {
    const { runner, done, pass } = makeRunner();
    await runner.send(nothing);
    await runner.send({ kind: "submit", trial });
    await runner.until((state) => state.name === "trial", 0);
    while (runner.state().name !== "trial") await Bun.sleep(1);
    pass(60_009);
    await Bun.sleep(5);
    expect(runner.state().name).toBe("trial");
    pass(60_010);
    await idle(runner);
    expect(done.slice(-8)).toEqual([
      ...["decide-rollback", "restore", "disarm", "judge"],
      ...["receipt", "write-record cleared", "disarm", "drop-token"],
    ]);
    expect(runner.state()).toMatchObject({ last: { verdict: "rolled-back", cause: "confirm.window_expired" } });
    runner.close();
  });

  test("stops long work for an abort of that trial, and for no other", async () => {
    const { runner } = makeRunner((effect) => {
      if (effect.kind !== "run-steps" || effect.which !== "apply") return undefined;
      return (async () => {
        while (!runner.interrupted("t1")) await Bun.sleep(1);
        return undefined;
      })();
    });
    await runner.send(nothing);
    await runner.send({ kind: "submit", trial });
    const other = runner.send({ kind: "abort", token: "t9", cause: "confirm.aborted" });
    await Bun.sleep(10);
    expect(runner.state().name).toBe("applying");
    const answer = runner.send({ kind: "abort", token: "t1", cause: "confirm.aborted" });
    expect(await other).toMatchObject({ status: "refused", code: "confirm.unknown_trial" });
    expect(await answer).toMatchObject({ status: "accepted" });
    await idle(runner);
    expect(runner.state()).toMatchObject({ last: { verdict: "rolled-back", cause: "confirm.aborted" } });
    runner.close();
  });

  test("drops what waits behind a failed effect, and does the closing again until it stands", async () => {
    let failures = 1;
    const { runner, done } = makeRunner((effect) => {
      if (effect.kind !== "disarm" || failures === 0) return undefined;
      failures -= 1;
      return Promise.reject(new Error("no"));
    });
    await runner.send(nothing);
    await runner.send({ kind: "submit", trial });
    await runner.send(confirm);
    while (runner.state().name !== "idle") await Bun.sleep(20); // a tick later
    expect(done.slice(-6)).toEqual([
      "receipt",
      "write-record cleared",
      "receipt",
      "write-record cleared",
      "disarm",
      "drop-token",
    ]);
    runner.close();
  });
});

describe("a machine that fails", () => {
  const bundle = { intent: intentOf(), inventory: inventoryOf(), networks: ["home"] };
  const livingGuard = (host: Host): Partial<Host> => ({ guard: { ...host.guard, alive: async () => true } });

  test("a disk that fails before the first change ends the trial there", async () => {
    const first = await enrolledDesk();
    const desk = await first.desk.again(livingGuard(first.desk.parts.host));
    const store = desk.parts.store as { createToken: Store["createToken"] };
    store.createToken = () => {
      throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
    };
    const session = first.session.over(desk.send);
    const { opened } = await session.directive(bundle);
    expect((await session.submit(opened)).code).toBe("");
    await desk.agent.runner.until((state) => state.name === "idle", desk.parts.host.clock.bootMs() + 5000);
    expect((await session.receipts()).at(-1)).toMatchObject({ outcome: "rolled_back", cause: "agent.storage" });
    expect(receiptOf((await session.submit(opened)).receipt).cause).toBe("agent.storage");
    desk.close();
  });

  test("a restore that fails calls for hands once, and goes on trying", async () => {
    const first = await enrolledDesk();
    const desk = await first.desk.again(livingGuard(first.desk.parts.host));
    const session = first.session.over(desk.send);
    const { opened } = await session.directive(bundle);
    await session.submit(opened);
    // On this desk the writer cannot be owned, and the restore cannot run.
    for (let i = 0; i < 40 && (await session.receipts()).length < 2; i += 1) await Bun.sleep(100);
    await Bun.sleep(1200);
    expect((await session.receipts()).map((one) => [one.outcome, one.cause])).toEqual([
      ["enrolled", ""],
      ["needs_hands", "agent.failure"],
    ]);
    const status = await session.status();
    expect(status.pending).toMatchObject({ generation: 1n, author: "ann", nonce: new Uint8Array() });
    desk.close();
  });

  test("a kernel that does not answer is said, and the agent lives on", async () => {
    const first = await enrolledDesk();
    const { host } = first.desk.parts;
    const observe = async (): Promise<never> => {
      throw new Error("nft list table: Operation not permitted");
    };
    const desk = await first.desk.again({ kernel: { ...host.kernel, observe } });
    const session = first.session.over(desk.send);
    const { opened } = await session.directive(bundle);
    expect((await session.submit(opened)).code).toBe("agent.failure");
    expect((await session.status()).router).toBe("r1");
    desk.close();
  });
});
