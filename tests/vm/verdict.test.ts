/** The verdict on disks made by hand: what an operator was told cannot be taken back, and nothing is kept unasked. */
import { expect, test } from "bun:test";
import { emptyRecord, recordText, type StateRecord } from "../../agent/core/record.ts";
import type { Story } from "./recording.ts";
import type { StateFolder } from "./state-disk.ts";
import { keptOn } from "./verdict.ts";

const digest = "1".repeat(64);
const named = (generation: bigint) => ({ desired: digest, manifest: digest, directive: digest, generation });
const trial = { ...named(2n), epoch: 2, token: "t", deadlineMs: 1, boot: "2".repeat(32) };
const story: Story = {
  ...{ generation: 2n, token: "t", directive: digest, kept: true },
  ...{ submitted: 10, tried: 20, sent: 30, ended: 40 },
};

function disk(record: Partial<StateRecord>, decision: string): StateFolder {
  const text = recordText({ ...emptyRecord, counter: 1, root: digest, roster: digest, generation: 2n, ...record });
  const files = { "record.a": new TextEncoder().encode(text), [`decision/t.${decision}`]: new Uint8Array() };
  return { digest, files: new Map(Object.entries(files)) };
}

const kept = (after: number, state: StateFolder): bigint => keptOn({ stories: [story] }, after, state);

test("before the confirm only the old generation may be there", () => {
  expect(kept(25, disk({ lkg: named(1n), trial }, "undecided"))).toBe(1n);
  expect(() => kept(25, disk({ lkg: named(1n), trial }, "confirmed"))).toThrow("nobody had confirmed");
  expect(() => kept(25, disk({ lkg: named(2n) }, "confirmed"))).toThrow("nobody had confirmed");
});

test("while the confirm is on its way the disk decides, by token or by record", () => {
  expect(kept(35, disk({ lkg: named(1n), trial }, "undecided"))).toBe(1n);
  expect(kept(35, disk({ lkg: named(1n), trial }, "confirmed"))).toBe(2n);
  expect(kept(35, disk({ lkg: named(2n), trial }, "confirmed"))).toBe(2n);
});

test("once the operator was told, the new generation must be there", () => {
  expect(kept(40, disk({ lkg: named(2n) }, "missing"))).toBe(2n);
  expect(() => kept(40, disk({ lkg: named(1n), trial }, "undecided"))).toThrow("was confirmed to the operator");
});

test("a disk without a whole record is a miss", () => {
  const torn = { digest, files: new Map([["record.a", new TextEncoder().encode("format=1\n")]]) };
  expect(() => kept(25, torn)).toThrow("no valid record");
});
