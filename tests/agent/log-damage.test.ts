/** A log that the disk did not keep as it was written: what is damaged is set aside, and the router goes on. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkChain } from "../../agent/core/receipts.ts";
import { newPlace, type Place } from "./machine.ts";
import { crypto } from "./operator.ts";
import { bundleOf, push, settled, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

let place: Place;
beforeEach(async () => {
  place = await newPlace();
  for (const count of [1, 2]) await push(place, await signedBy(place, bundleOf(count), {}));
});
afterEach(() => place.close());

const entry = (index: number): string => join(place.desk.folder, "state/log", `${index}.dsse`);

/** The next agent process, after something was done to the folder of the one before. */
async function after(damage: () => void) {
  const before = place.desk.parts.store.record();
  damage();
  await place.restart();
  await settled(place);
  return { before, now: place.desk.parts.store.record() };
}

/** A push is taken and kept, and its receipts follow the entry that the record named. */
async function goesOn(index: number, head: string): Promise<void> {
  const receipt = await push(place, await signedBy(place, bundleOf(3), {}));
  expect(receipt).toMatchObject({ outcome: "confirmed", index: BigInt(index) + 2n });
  const known = { index: BigInt(index), digest: Uint8Array.fromHex(head) };
  const { receipts } = await place.session.ask({ kind: "receipts", from_index: known.index + 1n, limit: 0 });
  const chain = checkChain(crypto, place.session.router.sign, known, receipts);
  expect(chain.ok && chain.value.receipts.map(({ message }) => message.outcome)).toEqual(["trial", "confirmed"]);
}

describe("the entry after the last one", () => {
  for (const [what, bytes] of [
    ["of zeros", new Uint8Array(300)],
    ["without anything in it", new Uint8Array()],
  ] as const)
    test(`${what} is set aside`, async () => {
      const next = place.desk.parts.store.record().logIndex + 1;
      const { before, now } = await after(() => writeFileSync(entry(next), bytes));
      expect([now.logIndex, now.logHead]).toEqual([before.logIndex, before.logHead]);
      expect(new Uint8Array(readFileSync(`${entry(next)}.damaged`))).toEqual(bytes);
      await goesOn(before.logIndex, before.logHead);
    });

  test("that belongs to another place of the log is set aside", async () => {
    const next = place.desk.parts.store.record().logIndex + 1;
    const copy = readFileSync(entry(next - 1));
    const { before } = await after(() => writeFileSync(entry(next), copy));
    expect(existsSync(`${entry(next)}.damaged`)).toBe(true);
    await goesOn(before.logIndex, before.logHead);
  });
});

describe("both records are lost as well, and of the log", () => {
  const loseRecords = (): void => {
    for (const file of ["a", "b"]) writeFileSync(join(place.desk.folder, "state", `record.${file}`), "format=1\n");
  };

  test("an entry in the middle: the log goes on after the newest one", async () => {
    const { before, now } = await after(() => {
      loseRecords();
      truncateSync(entry(3), 40);
    });
    expect(now).toMatchObject({ lkg: before.lkg!, generation: before.generation, logIndex: before.logIndex + 1 });
    expect((await place.session.receipts(BigInt(now.logIndex))).at(-1)).toMatchObject({
      ...{ cause: "agent.record_damaged", prev: Uint8Array.fromHex(before.logHead) },
    });
    await goesOn(now.logIndex, now.logHead);
  });

  test("the newest entry: what was confirmed before it is kept", async () => {
    const { before, now } = await after(() => {
      loseRecords();
      truncateSync(entry(place.desk.parts.store.record().logIndex), 40);
    });
    // Nothing says any more that the second generation was confirmed, so the log says that it is not in force.
    expect(now).toMatchObject({ lkg: { generation: 1n }, generation: before.generation });
    const told = await place.session.receipts(BigInt(before.logIndex));
    expect(told.map(({ generation, cause }) => `${generation} ${cause}`)).toEqual([
      "1 agent.record_damaged",
      "2 agent.restarted",
    ]);
    expect(existsSync(`${entry(before.logIndex)}.damaged`)).toBe(true);
    await goesOn(now.logIndex, now.logHead);
  });
});
