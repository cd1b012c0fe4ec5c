/**
 * The first reboot of a kept generation: what counts as having survived it, when the one before is tried, which of the
 * two stays, and that power may go at every step of it.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Store } from "../../agent/ports.ts";
import { newPlace, type Place } from "./machine.ts";
import { begin, bundleOf, push, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

const probes = ["gate", "name-server"].map((id) => ({
  ...{ id, router: "r1", kind: "ping" as const, target: "192.0.2.2", attempts: 1 },
}));
const clients = (count: number) => bundleOf(count, { probes });

let place: Place;
let serial = 0; // clients of the generation that is kept: each one is content of its own
beforeAll(async () => {
  place = await newPlace();
  await push(place, await signedBy(place, bundleOf(), {}));
});
afterAll(() => place.close());
beforeEach(() => {
  place.machine.passes = () => true;
});

const store = (): Store => place.desk.parts.store;
/** Peers of the network in the kernel: which generation is in force. */
const inForce = (): number => place.machine.kernel.links.find((link) => link.name === "hf-home")?.peers.length ?? -1;
const kept = (): number => Number(store().record().lkg?.generation ?? 0n);

/** Looks and steps that are due, without waiting for the clock's next second. Sends no request: that would be contact. */
async function work(): Promise<void> {
  for (let i = 0; i < 6; i += 1) {
    place.desk.agent.probation.tick();
    await Bun.sleep(15);
  }
  // A restore lists a ruleset by nft, which takes its time.
  for (let i = 0; i < 400 && place.desk.agent.probation.falling(); i += 1) {
    place.desk.agent.probation.tick();
    await Bun.sleep(15);
  }
}

async function confirmNext(): Promise<{ readonly before: number; readonly from: number; readonly next: number }> {
  const [before, from] = [kept(), inForce()];
  serial += 1;
  expect((await push(place, await signedBy(place, clients(serial), {}))).outcome).toBe("confirmed");
  return { before, from, next: kept() };
}

async function reboot(): Promise<void> {
  await place.machine.reboot();
  await place.restart();
}

/** Nothing answers under the newest generation; under any other one everything does, if `helped`. */
function isolate(helped = true): void {
  const broken = serial;
  place.machine.passes = () => helped && inForce() !== broken;
}

describe("A24 a generation that fails only after a reboot", () => {
  test("A24 falls back at the contact deadline, counted over restarts of the agent, with receipt and quarantine", async () => {
    const { before, from, next } = await confirmNext();
    expect(store().probation()).toMatchObject({ phase: "waiting", probes: ["gate", "name-server"] });
    isolate();
    // In the boot in which it was confirmed it is not looked at.
    place.machine.pass(3600);
    await place.restart();
    await work();
    expect([kept(), inForce()]).toEqual([next, serial]);
    await reboot();
    await work();
    place.machine.pass(300);
    await place.restart();
    await work();
    place.machine.pass(290);
    await work();
    expect([kept(), inForce(), store().probation()?.phase]).toEqual([next, serial, "waiting"]);
    place.machine.pass(20);
    await work();
    expect([kept(), inForce(), store().probation()]).toEqual([before, from, undefined]);
    const receipt = (await place.session.receipts()).at(-1)!;
    expect(receipt).toMatchObject({ outcome: "rolled_back", cause: "probation.no_contact", quarantined: true });
    expect(Number(receipt.generation)).toBe(next);
    expect(receipt.probes[0]).toEqual({ id: "gate", before: "passed", after: "failed", restored: "passed" });
    // The next push follows what runs now, and the same content is refused.
    place.machine.passes = () => true;
    const { answer } = await begin(place, await signedBy(place, clients(serial), {}));
    expect(answer.code).toBe("apply.quarantined");
    expect((await place.session.status()).quarantine.at(-1)).toMatchObject({ signers: ["ann"] });
    // The next reboot starts what it fell back to, and asks nothing more of it.
    await reboot();
    place.machine.pass(3600);
    await work();
    expect([kept(), inForce()]).toEqual([before, from]);
  });

  test("A24 three brown-outs during early boot never change the generation", async () => {
    const { next } = await confirmNext();
    isolate();
    for (const seconds of [5, 300, 590]) {
      await reboot();
      await work();
      place.machine.pass(seconds);
      await work();
      expect([kept(), inForce(), store().probation()?.phase]).toEqual([next, serial, "waiting"]);
    }
    // An operator who comes in the fourth boot ends it.
    await reboot();
    expect((await place.session.status()).probation).toBe(0n);
    place.machine.pass(3600);
    await work();
    expect([kept(), inForce()]).toEqual([next, serial]);
  });

  test("one probe that passes is a sign of life, though nobody comes", async () => {
    const { next } = await confirmNext();
    expect((await place.session.status()).probation).toBe(BigInt(next));
    isolate();
    await reboot();
    await work();
    place.machine.passes = (id) => id === "gate";
    place.machine.pass(20);
    await work();
    expect(store().probation()).toBeUndefined();
    isolate();
    place.machine.pass(3600);
    await work();
    expect([kept(), inForce()]).toEqual([next, serial]);
  });

  test("where the generation before does no better, the confirmed one is put back, and nobody is blamed", async () => {
    const { next } = await confirmNext();
    const receipts = (await place.session.receipts()).length;
    isolate(false);
    await reboot();
    place.machine.pass(700);
    await work();
    expect([kept(), inForce(), store().probation()]).toEqual([next, serial, undefined]);
    expect((await place.session.receipts()).length).toBe(receipts);
    expect(
      store()
        .quarantine()
        .entries.some((one) => Number(one.generation) === next),
    ).toBe(false);
  });

  test("silence without probes proves nothing, and a key that was taken out never comes back", async () => {
    serial += 1;
    await push(place, await signedBy(place, bundleOf(serial), {}));
    expect(store().probation()).toBeUndefined();
    await confirmNext();
    expect(store().probation()).toBeDefined();
    serial -= 1;
    await push(place, await signedBy(place, clients(serial), {}));
    expect(store().probation()).toBeUndefined();
  });
});

test("a generation before that is damaged is never tried; found damaged on the way, the confirmed one is put back", async () => {
  const { before, next } = await confirmNext();
  const { previous } = store().probation()!;
  const whole = store().probation()!;
  isolate();
  await reboot();
  const mortal = store() as { -readonly [K in keyof Store]: Store[K] };
  const { readGeneration } = mortal;
  mortal.readGeneration = (one) => (one.desired === previous.desired ? undefined : readGeneration(one));
  place.machine.pass(700);
  await work();
  expect([kept(), store().probation()]).toEqual([next, undefined]);
  // The process before had begun to try it.
  mortal.writeRecord({ ...mortal.record(), lkg: previous });
  mortal.putProbation({ ...whole, phase: "trying" });
  expect(kept()).toBe(before);
  place.desk.agent.probation.start();
  await work();
  expect([kept(), inForce(), store().probation()]).toEqual([next, serial, undefined]);
  await place.restart();
});

/** A process that dies at the n-th durable or mutating call of its kind, and does nothing more. */
function dying(store: Store, deathAt: number): { died(): boolean } {
  let calls = 0;
  const step = (): void => {
    calls += 1;
    if (calls >= deathAt) throw new Error("killed");
  };
  const mortal = store as { -readonly [K in keyof Store]: Store[K] };
  const { putProbation, writeRecord, putQuarantine, putDocument } = store;
  mortal.putProbation = (probation) => [step(), putProbation(probation)][1] as undefined;
  mortal.writeRecord = (next) => [step(), writeRecord(next)][1] as undefined;
  mortal.putQuarantine = (entries) => [step(), putQuarantine(entries)][1] as undefined;
  mortal.putDocument = (...args) => [step(), putDocument(...args)][1] as undefined;
  return { died: () => calls >= deathAt };
}

/** Looks until the process is dead or the probation over. */
async function untilDeadOrOver(mortal: { died(): boolean }): Promise<boolean> {
  for (let i = 0; i < 1500 && !mortal.died() && store().probation() !== undefined; i += 1) {
    place.desk.agent.probation.tick();
    await Bun.sleep(10);
  }
  return mortal.died();
}

/** Seven durable steps either way. Some of them here, and each way once to its end. */
for (const [name, helped, points] of [
  ["the one before helps", true, [1, 4, 7]],
  ["the one before does no better", false, [2, 5]],
] as const) {
  test(`A24 a process that dies at any step of the way back leaves one of the two, and its successor ends it: ${name}`, async () => {
    let { before, from, next } = await confirmNext();
    const probation = store().probation()!;
    let deaths = 0;
    for (const deathAt of [...points, 8]) {
      isolate(helped);
      await reboot();
      place.machine.pass(700);
      const died = await untilDeadOrOver(dying(store(), deathAt));
      deaths += died ? 1 : 0;
      // Without a successor: what the record names is whole, and one of the two.
      expect([before, next]).toContain(kept());
      await place.machine.reboot();
      expect(inForce()).toBe(kept() === next ? serial : from);
      await place.restart();
      place.machine.pass(700);
      await work();
      expect(store().probation()).toBeUndefined();
      expect([kept(), inForce()]).toEqual(helped ? [before, from] : [next, serial]);
      const told = (await place.session.receipts()).filter((one) => one.cause === "probation.no_contact");
      expect(told.filter((one) => Number(one.generation) === next).length).toBe(helped ? 1 : 0);
      if (deathAt === 8) break;
      if (helped) {
        ({ before, from, next } = await confirmNext());
      } else {
        // As it was after the confirm: nothing else has changed.
        store().putProbation(probation);
      }
    }
    // There is no eighth step: that round went through.
    expect(deaths).toBe(points.length);
  }, 120_000);
}
