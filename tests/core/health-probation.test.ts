/** Probation: which generation gets a way back, what a boot proves, and the file that remembers it. */
import { expect, test } from "bun:test";
import {
  type Boot,
  hasWayBack,
  judgeBoot,
  type Probation,
  parseProbation,
  probationText,
} from "../../agent/core/health-probation.ts";

const generation = (digit: string, number: bigint) => ({
  ...{ desired: digit.repeat(64), manifest: "e".repeat(64), generation: number, directive: "f".repeat(64) },
});
const probation: Probation = {
  ...{ kept: generation("a", 12n), previous: generation("b", 9n), probes: ["gate", "name-server"], phase: "waiting" },
};

test("a boot is survived by any sign of life, and failed only by a whole one without", () => {
  const silent: Boot = { contact: false, passed: false, looks: 3, nowMs: 599_999, deadlineMs: 600_000 };
  const table: readonly [Partial<Boot>, ReturnType<typeof judgeBoot>][] = [
    [{}, "wait"],
    [{ nowMs: 600_000 }, "fall-back"],
    [{ nowMs: 600_000, looks: 0 }, "wait"],
    [{ nowMs: 600_000, passed: true }, "survived"],
    [{ nowMs: 600_000, contact: true }, "survived"],
    [{ contact: true, looks: 0 }, "survived"],
    [{ passed: true }, "survived"],
  ];
  for (const [change, verdict] of table) expect(judgeBoot({ ...silent, ...change })).toBe(verdict);
});

test("no way back without a probe that passed, without a plan, or when a key or a device goes", () => {
  const address = { kind: "address.remove", address: { interface: "lan0", cidr: "10.0.0.1/24" } } as const;
  expect(hasWayBack({ afterConfirm: [address] }, ["gate"])).toBe(true);
  expect(hasWayBack({ afterConfirm: [] }, [])).toBe(false);
  expect(hasWayBack(null, ["gate"])).toBe(false);
  const peers = { kind: "wg.remove", name: "hf-home", publicKeys: ["x"] } as const;
  expect(hasWayBack({ afterConfirm: [address, peers] }, ["gate"])).toBe(false);
  expect(hasWayBack({ afterConfirm: [{ kind: "link.remove", name: "hf-home" }] }, ["gate"])).toBe(false);
});

test("the file comes back as it was written, and is nothing when a byte of it is missing or of another version", () => {
  for (const phase of ["waiting", "trying", "returning"] as const) {
    expect(parseProbation(probationText({ ...probation, phase }))).toEqual({ ...probation, phase });
  }
  const text = probationText(probation);
  for (let length = 0; length < text.length; length += 1) expect(parseProbation(text.slice(0, length))).toBeUndefined();
  for (const other of [`${text}\n`, text.replace("probation 1", "probation 2"), text.replace("waiting", "done")]) {
    expect(parseProbation(other)).toBeUndefined();
  }
});
