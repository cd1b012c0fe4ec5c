/** What other programs do while a generation is on its way: at the push, at the proof, at the confirm, at rest. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { metricsText } from "../../agent/metrics.ts";
import type { Host } from "../../agent/ports.ts";
import { problemEntry } from "../../schemas/problem.ts";
import { nobodyElse } from "./desk.ts";
import { freshPath, newPlace, type Place } from "./machine.ts";
import { receiptOf } from "./operator.ts";
import { begin, bundleOf, confirmOver, push, settled, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

let place: Place;
beforeAll(async () => {
  place = await newPlace();
});
afterAll(() => place.close());

/** One input chain with one rule, as nft lists it. */
const rules = (table: string, ...rule: readonly object[]) => ({
  ...nobodyElse,
  nft: JSON.stringify({
    nftables: [
      { table: { family: "inet", name: table } },
      { chain: { family: "inet", table, name: "c", type: "filter", hook: "input", prio: 0, policy: "accept" } },
      { rule: { family: "inet", table, chain: "c", expr: rule } },
    ],
  }),
});
const drops = (table: string) => rules(table, { drop: null });
const counts = (table: string) => rules(table, { counter: { packets: 1, bytes: 2 } });
const windowOf = (window_s: number) => bundleOf(0, { confirm: { window_s, cap_s: 120 } });

test("a danger at the push, or what cannot be read, refuses it before anything is burnt", async () => {
  await push(place, await signedBy(place, windowOf(60), {}));
  const { generation } = await place.session.status();
  place.machine.others = drops("fw");
  const { answer } = await begin(place, await signedBy(place, windowOf(61), {}));
  expect(answer.code).toBe("outside.foreign_drop");
  expect(answer.problems[0]).toMatchObject({ path: "inet fw", detail: expect.stringContaining("rescue (udp 51819)") });
  place.machine.others = { ...nobodyElse, unreadable: [{ what: "nft", why: "nft did not answer in time" }] };
  const unread = await begin(place, await signedBy(place, windowOf(61), {}));
  expect([unread.answer.code, unread.answer.problems[0]?.path]).toEqual(["outside.unreadable", "nft"]);
  expect((await place.session.status()).generation).toBe(generation);
  place.machine.others = nobodyElse;
});

test("a danger between trial and confirm rolls back instead of keeping", async () => {
  const directive = await signedBy(place, windowOf(62), {});
  const { nonce } = await begin(place, directive);
  place.machine.others = drops("fw");
  const answer = await confirmOver(place, freshPath("api:10.0.0.1"), directive, nonce);
  const receipt = receiptOf(answer.receipt);
  expect(receipt).toMatchObject({ outcome: "rolled_back", cause: "outside.foreign_drop" });
  expect(receipt.problems.map((one) => `${one.code} ${one.path}`)).toContain("outside.foreign_drop inet fw");
  await settled(place);
  expect(await place.session.status()).toMatchObject({ outside_changed: true, drift: false });
  place.machine.others = nobodyElse;
});

test("a danger that comes during the apply ends the trial before it stands", async () => {
  const { machine, desk } = place;
  const { outside } = desk.parts.host as { outside: { look: Host["outside"]["look"] } };
  const honest = outside.look;
  outside.look = async () => (desk.agent.runner.state().name === "applying" ? drops("fw") : machine.others);
  const answer = await place.session.submit(await signedBy(place, windowOf(63), {}));
  expect(answer.code).toBe("");
  await settled(place);
  outside.look = honest;
  expect((await place.session.receipts()).at(-1)).toMatchObject({
    outcome: "rolled_back",
    cause: "outside.foreign_drop",
  });
});

test("any other change is told and kept, and the next comparison is with it", async () => {
  const directive = await signedBy(place, windowOf(64), {});
  const { nonce } = await begin(place, directive);
  place.machine.others = counts("acct");
  const receipt = receiptOf((await confirmOver(place, freshPath("api:10.0.0.1"), directive, nonce)).receipt);
  expect(receipt).toMatchObject({ outcome: "confirmed", cause: "" });
  expect(receipt.problems.map((one) => one.code)).toEqual(["outside.changed"]);
  await settled(place);
  expect(await place.session.status()).toMatchObject({ outside_changed: false, outside_detail: "" });
  // It outlives the agent.
  place.machine.others = nobodyElse;
  await place.restart();
  const { outside_changed, outside_detail } = await place.session.status();
  expect([outside_changed, outside_detail.split("\n").length]).toEqual([true, 1]);
});

test("our table is loaded again three times in ten minutes, and no more", async () => {
  const { agent } = place.desk;
  const lost = { drift: true, detail: "nft table inet holdfast is missing" };
  for (let i = 0; i < 3; i += 1) {
    expect(agent.reassert.told(lost)).toEqual(lost);
    expect(await agent.reassert.run()).toBe(true);
  }
  expect(await agent.reassert.run()).toBe(false);
  expect(agent.reassert.told(lost).detail).toContain("now left alone\nnft table");
  expect(agent.reassert.told({ drift: false, detail: "" })).toEqual({ drift: false, detail: "" });
  const status = await place.session.status();
  expect([status.reasserted, status.drift]).toEqual([3, false]);
  expect(metricsText(status)).toContain("\nholdfast_reasserted 3\n");
  expect(metricsText(status)).toContain("\nholdfast_outside_changed 1\n");
  place.machine.pass(601);
  expect(await agent.reassert.run()).toBe(true);
  expect(problemEntry("outside.table_lost")?.next).toContain("flushes");
});
