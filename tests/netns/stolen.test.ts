/**
 * The laptops of docs/recovery.md and docs/team.md, step by step against a running agent: one that is lost with all that
 * was on it, and one that somebody else has now.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Answer, Operator } from "./operator.ts";
import { carryFile, carrySite, dialLane, laneKey, lanePeers, makeCard, newMachine } from "./people.ts";
import { freshProgram } from "./program.ts";
import { ROUTER4, SITE, spareIntent, writeIntent } from "./sites.ts";
import { addClient, firstDay, openStage, type Stage } from "./stage.ts";
import { homeWiring } from "./wiring.ts";

setDefaultTimeout(180_000);

const program = freshProgram();
let stage: Stage;
const machines: Operator[] = [];

function machine(host: string, from: Operator): Operator {
  const made = newMachine(stage, program, host, from);
  machines.push(made);
  return made;
}

beforeAll(async () => {
  stage = await openStage({ name: "stolen", program, wiring: homeWiring(["client", "operator", "second", "third"]) });
  await firstDay(stage);
}, 1_800_000);
afterAll(async () => {
  for (const one of machines) one.remove();
  await stage.close();
});

const codes = ({ json }: Answer): readonly string[] =>
  ((json.problems ?? []) as readonly { code: string }[]).map((one) => one.code);

/** What somebody hears whom the router does not know: one word, and nothing about why. */
const STRANGER = "link.refused";

async function expectStranger(who: Operator): Promise<void> {
  const before = stage.units.receipts().length;
  for (const words of [["status"], ["push", "--yes"], ["confirm"], ["rollback"], ["receipts"]]) {
    const answer = await who.ask(...words, "--at", ROUTER4);
    expect([words[0], answer.exit, codes(answer)]).toEqual([words[0], 3, [STRANGER]]);
  }
  expect(stage.units.receipts().length).toBe(before);
}

/** A change that waits for its confirm long enough for somebody to dial in. */
async function tryOut(who: Operator, ...words: readonly string[]): Promise<void> {
  const answer = await who.ask("push", "--yes", "--no-confirm", "--window", "90", ...words);
  expect(answer).toMatchObject({ exit: 8 });
}

let ann: Operator; // at her new laptop
let bob: Operator;

describe("the only operator's laptop is lost", () => {
  test("the site and copies of the offline keys are enough, and nothing is cut before the confirm", async () => {
    const lost = stage.operator;
    const before = await lanePeers(stage);
    ann = machine("second", lost);
    const keys = join(ann.home, "config/holdfast", SITE);
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    for (const name of ["root.key", "admin.key"])
      copyFileSync(join(lost.home, "config/holdfast", SITE, name), join(keys, name));
    await makeCard(ann, "ann2");
    await ann.must("operator", "add", join(ann.home, "ann2.card"), "--yes");
    await ann.must("operator", "remove", "ann");
    await tryOut(ann, "--at", ROUTER4);
    expect((await lanePeers(stage)).filter((key) => before.includes(key))).toEqual([...before]);
    const lane = await dialLane(stage, ann);
    expect(await ann.must("confirm", "--at", lane)).toMatchObject({ json: { confirmed_lane: "rescue" } });
  });

  test("the lost key is a stranger's, its lane is gone, and the new one has the whole log", async () => {
    await expectStranger(stage.operator);
    expect(await lanePeers(stage)).toEqual([await laneKey(ann)]);
    const { json } = await ann.must("receipts", "verify");
    expect(json).toMatchObject({ verified: stage.units.receipts().length, compared: true });
  });
});

describe("a laptop is stolen", () => {
  let thief: Operator;

  test("of somebody who could push and who had a lane", async () => {
    bob = machine("third", ann);
    const fingerprint = await makeCard(bob, "bob");
    carryFile(bob, ann, "bob.card");
    await ann.must("operator", "add", join(ann.home, "bob.card"), "--fingerprint", fingerprint);
    carrySite(ann, bob);
    await tryOut(ann);
    const lane = await dialLane(stage, bob);
    await bob.must("confirm", "--at", lane);
    await addClient({ ...stage, operator: bob }, "tablet", "full");
    await bob.must("push", "--yes");
    carrySite(bob, ann);
    thief = bob.twin(stage.host("client"));
    machines.push(thief);
    expect(await thief.ask("status")).toMatchObject({ exit: 0 });
  });

  test("its owner takes the key back alone, in the middle of a trial: from then on the thief is a stranger", async () => {
    writeIntent(ann.site, spareIntent(1));
    await tryOut(ann);
    const told = await bob.must("operator", "revoke", "--reason", "left on a train", "--yes");
    expect(told.json).toMatchObject({ holder: "bob", routers: [{ router: "r1", heard: true }] });
    await expectStranger(thief);
    expect(await ann.must("confirm")).toMatchObject({ json: { outcome: "confirmed" } });
  });

  test("another operator removes it: the lane is gone in the trial already, without waiting for the confirm", async () => {
    const stolen = await laneKey(bob);
    expect(await lanePeers(stage)).toContain(stolen);
    carryFile(bob, ann, join(SITE, "trust/revoked/bob.dsse"));
    await ann.must("operator", "remove", "bob", "--stolen");
    await tryOut(ann);
    expect(await lanePeers(stage)).toEqual([await laneKey(ann)]);
    await ann.must("confirm");
    expect(await lanePeers(stage)).toEqual([await laneKey(ann)]);
    await expectStranger(thief);
    const { json } = await ann.must("operator", "list");
    const list = json.operators as readonly { holder: string; status: string }[];
    expect(Object.fromEntries(list.map((one) => [one.holder, one.status]))).toEqual({
      ann: "revoked",
      ann2: "active",
      bob: "stolen",
    });
  });

  test("who did what meanwhile is in the log, under every name", async () => {
    const signers = stage.units.receipts().flatMap((one) => one.signers);
    expect([...new Set(signers)].sort()).toEqual(["ann", "ann2", "bob"]);
    expect(await ann.must("receipts", "verify")).toMatchObject({ exit: 0, json: { compared: true } });
  });
});
