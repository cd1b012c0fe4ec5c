/**
 * From one operator to two who must agree: a card and a phone call, proposals that both sign, bundles that are reviewed
 * and signed on a machine without a network. Then what one of them alone can do, and what not.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { signStatement } from "../../agent/core/dsse.ts";
import { writeTrust } from "../../client/site/trust-files.ts";
import { readTrustDocs } from "../../client/trust-docs.ts";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import { crypto } from "../agent/operator.ts";
import type { Operator } from "./operator.ts";
import { agree, carryFile, carrySite, cosigned, dialLane, laneKey, lanePeers, makeCard, newMachine } from "./people.ts";
import { freshProgram } from "./program.ts";
import { client, editClient, homeIntent, SITE, spareIntent, writeIntent, writeInventory } from "./sites.ts";
import { addClient, firstDay, openStage, type Stage } from "./stage.ts";
import { homeWiring } from "./wiring.ts";

setDefaultTimeout(180_000);

const good = homeIntent();
let stage: Stage;
let ann: Operator;
let bob: Operator;
let lane = ""; // the router's address on it, once Bob has dialled

beforeAll(async () => {
  const program = freshProgram();
  stage = await openStage({ name: "team", program, wiring: homeWiring(["client", "operator", "second"]) });
  ann = stage.operator;
  await firstDay(stage, good);
  bob = newMachine(stage, program, "second", ann);
}, 1_800_000);
afterAll(async () => {
  bob?.remove();
  await stage.close();
});

const codes = (json: Readonly<Record<string, unknown>>): readonly string[] =>
  ((json.problems ?? []) as readonly { code: string }[]).map((one) => one.code);

/** Ends that the router has written about, and how often it has touched the kernel. */
const marks = (): readonly number[] => [stage.units.receipts().length, stage.units.mutations().length];

test("one operator becomes two: the new one's lane is believed when he arrives through it", async () => {
  const fingerprint = await makeCard(bob, "bob", "root", "admin", "recovery");
  carryFile(bob, ann, "bob.card");
  const card = ["--join", join(ann.home, "bob.card"), "--fingerprint", fingerprint];
  const proposed = await ann.ask("trust", "propose", ...card, "--class", "sensitive=2", "--yes");
  expect(proposed).toMatchObject({ exit: 8, json: { state: "waiting" } });
  await agree(stage, bob);
  const { json } = await ann.must("trust", "show");
  expect(json).toMatchObject({
    solo: false,
    operators: ["ann", "bob"],
    thresholds: { root: 2, admin: 2 },
    classes: [{ risk_class: "sensitive", threshold: 2 }],
    proposals: [],
  });
  const file = await cosigned(stage, bob, "growth.bundle", "--window", "60");
  const before = await lanePeers(stage);
  expect(await ann.ask("push", "--bundle", file, "--yes", "--no-confirm")).toMatchObject({ exit: 8 });
  expect(await lanePeers(stage)).toEqual([...before, await laneKey(bob)].sort());
  lane = await dialLane(stage, bob);
  expect(await bob.must("confirm", "--at", lane)).toMatchObject({ json: { confirmed_lane: "rescue" } });
});

test("a sensitive change with one signature is refused: nothing is burnt, and the way on is named", async () => {
  writeIntent(ann.site, spareIntent(1));
  const clients = Array.from({ length: 8 }, (_, i) => client(`c${i}`, toBase64(sha256(`c${i}`)), i + 20));
  writeInventory(ann.site, { version: 1, clients });
  const before = marks();
  const { exit, json, stdout, stderr } = await ann.ask("push", "--yes");
  expect([exit, codes(json), json.risk_class]).toEqual([3, ["trust.threshold"], "sensitive"]);
  expect(stdout + stderr).toContain("holdfast push --propose");
  expect(marks()).toEqual(before);
});

test("cosigned on a machine without a network it applies, in both names", async () => {
  const file = await cosigned(stage, bob, "spare.bundle");
  expect(await ann.must("push", "--bundle", file, "--yes")).toMatchObject({ json: { outcome: "confirmed" } });
  expect(stage.units.receipts().at(-1)?.signers).toEqual(["ann", "bob"]);
});

test("a bundle that only one has signed is refused, by whoever carries it", async () => {
  writeIntent(ann.site, spareIntent(2));
  const file = join(ann.home, "half.bundle");
  await ann.must("push", "--propose", file);
  const before = marks();
  const { exit, json } = await ann.ask("push", "--bundle", file, "--yes");
  expect([exit, codes(json)]).toEqual([3, ["trust.threshold"]]);
  expect(marks()).toEqual(before);
  writeIntent(ann.site, spareIntent(1));
});

test("a routine change needs one of them, whichever", async () => {
  carrySite(ann, bob);
  await addClient({ ...stage, operator: bob }, "laptop", "full");
  expect(await bob.must("push", "--yes")).toMatchObject({ json: { outcome: "confirmed", risk_class: "routine" } });
  expect(stage.units.receipts().at(-1)?.signers).toEqual(["bob"]);
  carrySite(bob, ann);
});

test("a sensitive change in routine slices is stopped at the slice that makes it one", async () => {
  const suspend = (id: string): void => editClient(ann.site, id, (one) => ({ ...one, state: "suspended" }));
  for (const id of ["c0", "c1"]) suspend(id);
  expect(await ann.must("push", "--yes")).toMatchObject({ json: { risk_class: "routine", outcome: "confirmed" } });
  const before = marks();
  for (const id of ["c2", "c3"]) suspend(id);
  const { exit, json } = await ann.ask("push", "--yes");
  expect([exit, codes(json), json.risk_class]).toEqual([3, ["trust.threshold"], "sensitive"]);
  expect(marks()).toEqual(before);
  for (const id of ["c2", "c3"]) editClient(ann.site, id, ({ state: _, ...one }) => one);
});

test("two push at once: one wins, the other is told who, what, and how to go on", async () => {
  carrySite(ann, bob);
  await addClient(stage, "phone", "full");
  await addClient({ ...stage, operator: bob }, "tablet", "full");
  expect(await ann.ask("push", "--yes", "--no-confirm", "--note", "a phone")).toMatchObject({ exit: 8 });
  const lost = await bob.ask("push", "--yes");
  expect(lost.exit).toBe(3);
  expect(lost.json).toMatchObject({ came_first: { holders: ["ann"], outcome: "trial", note: "a phone" } });
  const { stderr } = await bob.type(["push", "--yes"]);
  for (const words of ["ann came first", "a phone", "holdfast status --wait", "git pull", "holdfast push"])
    expect(stderr).toContain(words);
  await ann.must("confirm");
  // Decided by now: the same answer, in the past tense; and on top of it the change goes through.
  expect(await bob.ask("push", "--yes")).toMatchObject({ exit: 0 });
  carrySite(ann, bob);
});

/** A roster of Ann's site in which one lane key is wrong, signed by everybody who has to. */
function mistype(holder: string): void {
  const chain = readTrustDocs(crypto, ann.site);
  if (!chain.ok) throw new Error(JSON.stringify(chain.problems));
  const held = chain.value.view.roster;
  const version = held.message.version + 1;
  const lane_key = toBase64(crypto.boxKeys().publicKey);
  const operators = held.message.operators.map((one) => (one.holder === holder ? { ...one, lane_key } : one));
  const admins = [ann, bob].map((machine) => {
    const file = readFileSync(join(machine.home, "config/holdfast", SITE, "admin.key"), "utf8");
    return crypto.signKeys(Uint8Array.fromBase64((JSON.parse(file) as { seeds: string }).seeds));
  });
  const next = { ...held.message, version, prev_digest: held.digest, operators };
  writeTrust(ann.site, "roster", version, signStatement(crypto, "roster", next, admins).envelope);
}

test("a roster with a mistyped lane key goes back by itself, and the other lane carries all the while", async () => {
  const before = await lanePeers(stage);
  const state = await stage.observer.snapshot();
  await dialLane(stage, ann);
  mistype("bob");
  const file = await cosigned(stage, bob, "typo.bundle");
  const count = stage.units.receipts().length;
  expect(await ann.ask("push", "--bundle", file, "--yes", "--no-confirm")).toMatchObject({ exit: 8 });
  expect((await lanePeers(stage)).filter((key) => before.includes(key))).toEqual([...before]);
  // Ann's way in is as good as before, and says nothing about Bob's new key: nobody can confirm it.
  const arrived = await ann.ask("confirm", "--at", lane);
  expect([arrived.exit, codes(arrived.json)]).toEqual([4, ["confirm.window_expired", "confirm.lane_unproven"]]);
  const ended = await stage.units.untilReceipt((one) => one.outcome === "rolled_back", 30_000, count);
  expect(ended.cause).toBe("confirm.window_expired");
  const [was, is] = stage.observer.texts(state, await stage.observer.snapshot());
  expect(is).toBe(was);
  expect(await lanePeers(stage)).toEqual(before);
});
