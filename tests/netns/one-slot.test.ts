/**
 * One trial at a time, and one verdict of it: who comes second, who confirms twice, too late, for somebody else, or with
 * what an earlier boot gave out (scenarios A15 and A16 of tests/scenarios/catalogue.ts).
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { signStatement } from "../../agent/core/dsse.ts";
import { bootMs } from "../../agent/host/clock.ts";
import { toHex } from "../../schemas/digest.ts";
import type { Confirm } from "../../schemas/directive.ts";
import type { Receipt } from "../../schemas/report.ts";
import { intentOf, inventoryOf } from "../agent/bundles.ts";
import { crypto, makeSite, randomBytes, receiptOf } from "../agent/operator.ts";
import { type AgentWorld, agentWorld } from "./agent-world.ts";
import { Observer } from "./state.ts";
import { type Begun, type Bundle, beginTrial, idle, keep, statusWhere, takeBack } from "./trials.ts";

setDefaultTimeout(120_000);

let w: AgentWorld;
let observer: Observer;

/** The test intent with a policy more or less, which changes the ruleset; `n` is the window. */
const bundle = (n: number, more: Parameters<typeof intentOf>[0] = {}): Bundle => ({
  ...{ intent: intentOf({ ...more, confirm: { window_s: n, cap_s: 120 } }), inventory: inventoryOf() },
  networks: ["home"],
});

const closed = { policies: [] };

beforeAll(async () => {
  w = await agentWorld("oneslot", { site: makeSite([{ risk_class: "sensitive", threshold: 1 }]) });
  observer = await Observer.start(w.units);
  await keep(w, bundle(60));
}, 1_800_000);
afterAll(async () => {
  await observer.close();
  w.close();
});

/** A confirm of any content, signed by the operator. */
const confirmWith = (begun: Begun, change: Partial<Confirm>) => {
  const { site, session } = w;
  const message: Confirm = {
    ...{ network_id: site.root.message.network_id, router_id: site.token.router_id, incarnation: 1 },
    ...{ directive_digest: begun.opened.digest, nonce: begun.nonce, verdict: "commit", padding: new Uint8Array() },
    ...change,
  };
  const confirm = signStatement(crypto, "confirm", message, [site.operator.sign]).envelope;
  return session.ask({ kind: "confirm", confirm });
};

test("A15: a second operator's bundle is refused while one is pending, and the way back stays what it was", async () => {
  const before = [w.units.record(), await observer.snapshot()] as const;
  const first = await beginTrial(w, bundle(60, closed));
  const kept = before[0].lkg!;
  expect(w.units.record().lkg).toEqual(kept);
  // bob has seen the same parent.
  const made = await w.session.directive(bundle(61));
  const bobs = signStatement(crypto, "directive", made.opened.message, [w.site.bob.sign]);
  expect(toHex(bobs.message.parent)).toBe(kept.directive);
  const pending = w.units.armed();
  const ways = [w.session, w.session.over(w.local.to({ unix: `${w.units.run}/holdfastd.sock` }))];
  for (const way of ways) {
    // Over the network, and on the router itself: there is no local apply that asks nobody.
    const answer = await way.submit(bobs);
    expect([answer.code, answer.problems[0]?.detail]).toEqual([
      "apply.trial_pending",
      expect.stringMatching(/^generation 2 by ann is trial, [1-9][0-9]* s left$/),
    ]);
  }
  expect((await w.session.status()).pending?.directive_digest).toEqual(first.opened.digest);
  expect(w.units.record().lkg).toEqual(kept);
  expect(w.units.armed()).toEqual(pending!);
  expect((await takeBack(w, first)).cause).toBe("confirm.aborted");
  const [then, now] = observer.texts(before[1], await observer.snapshot());
  expect(now).toBe(then);
});

test("A16: five confirms at the same moment are one change and one receipt", async () => {
  const { opened, nonce } = await beginTrial(w, bundle(62));
  const [log, mutations] = [w.units.receipts().length, w.units.mutations().length];
  const answers = await Promise.all(Array.from({ length: 5 }, () => w.session.confirm(opened, nonce)));
  // Who asks while it is being decided may be told just that, and is told the end when he asks again.
  const told: Receipt[] = [];
  for (const answer of answers) {
    expect(["", "confirm.deciding"]).toContain(answer.code);
    const again = answer.receipt.length > 0 ? answer : await w.session.confirm(opened, nonce);
    told.push(receiptOf(again.receipt));
  }
  await idle(w);
  expect(told[0]).toMatchObject({ outcome: "confirmed", directive_digest: opened.digest });
  expect(told).toEqual(Array(5).fill(told[0]));
  expect(w.units.receipts().slice(log)).toEqual([told[0]!]);
  expect(w.units.mutations(mutations)).toEqual([]);
  expect((await w.session.status()).lkg_directive).toEqual(opened.digest);
});

test("A16: a confirm for another router, generation or boot is refused, moves no deadline, and after it all are late", async () => {
  const before = await observer.snapshot();
  // What an earlier boot gave out: its trial ended with the power.
  const earlier = await beginTrial(w, bundle(60, closed));
  await w.units.killAgent();
  await w.units.killGuard();
  await w.world.must(w.router, ["nft", "flush", "ruleset"]);
  for (const name of ["hf-home", "hf-rescue"]) await w.world.must(w.router, ["ip", "link", "del", name]);
  rmSync(w.units.run, { recursive: true });
  await w.units.powerUp();
  await idle(w);

  const begun = await beginTrial(w, bundle(10, closed));
  const armed = w.units.armed()!;
  const said = async (answer: ReturnType<typeof confirmWith>) => (await answer).code;
  expect(await said(confirmWith(begun, { router_id: randomBytes(16) }))).toBe("trust.router");
  expect(await said(confirmWith(begun, { incarnation: 2 }))).toBe("trust.incarnation");
  expect(await said(confirmWith(begun, { directive_digest: randomBytes(32) }))).toBe("confirm.unknown_trial");
  expect(await said(confirmWith(begun, { nonce: earlier.nonce }))).toBe("confirm.unknown_trial");
  const old = await w.session.confirm(earlier.opened, earlier.nonce);
  expect([old.code, receiptOf(old.receipt).outcome]).toEqual(["agent.power_cut", "rolled_back"]);
  expect(w.units.armed()).toEqual(armed);
  expect((await w.session.status()).pending?.directive_digest).toEqual(begun.opened.digest);

  // A second after the window.
  await Bun.sleep(Math.max(0, armed.deadlineMs + 1000 - bootMs()));
  const late = await w.session.confirm(begun.opened, begun.nonce);
  expect(late.code).toBe("confirm.window_expired");
  await statusWhere(w, (status) => status.pending === null);
  const end = receiptOf((await w.session.confirm(begun.opened, begun.nonce)).receipt);
  expect(end).toMatchObject({ outcome: "rolled_back", cause: "confirm.window_expired" });
  const [then, now] = observer.texts(before, await observer.snapshot());
  expect(now).toBe(then);
});
