/** Whose fault a rollback was, what counts as a change outside, and the file of the quarantine. */
import { describe, expect, test } from "bun:test";
import { type Evidence, judge, type Marks, probeReports } from "../../agent/core/health.ts";
import { parseQuarantine, type Quarantined, quarantineText, withContent } from "../../agent/core/health-quarantine.ts";
import { ownUplinks, type Uplink, uplinkChanges } from "../../agent/core/health-uplinks.ts";
import type { Desired } from "../../schemas/desired.ts";
import { limits } from "../../schemas/limits.ts";
import { problem } from "../../schemas/problem.ts";
import { sampleDesired } from "./desireds.ts";

const desiredOf = (more: Partial<Desired> = {}): Desired => sampleDesired([], more);

/** "+- ": p passes, q fails, r was not asked. */
const marks = (text: string): Marks =>
  new Map([..."pqr"].flatMap((id, i) => (text[i] === undefined || text[i] === " " ? [] : [[id, text[i] === "+"]])));

const evidence = (cause: string, looks: string, more: Partial<Evidence> = {}): Evidence => {
  const [before = "", after = "", restored = ""] = looks.split("|");
  return {
    ...{ cause, before: marks(before), after: marks(after), restored: marks(restored), moved: [], movedSince: [] },
    ...more,
  };
};
const wan = [{ uplink: "wan0", text: "lost its carrier" }];
const failed = "probe.failed";
const expired = "confirm.window_expired";

describe("a probe", () => {
  // Looks before the first change, after the apply, after the restore: + passes, - fails.
  const table: readonly [name: string, Evidence, cause: string, fault: boolean, paths: readonly string[]][] = [
    ["fails and passes again: the generation's fault", evidence(failed, "+|-|+"), failed, true, ["p"]],
    ["fails and still fails: not its fault", evidence(failed, "+|-|-"), "probe.inconclusive", false, ["probe p"]],
    ["one of two passes again: its fault", evidence(failed, "++|--|+-"), failed, true, ["p", "probe q"]],
    [
      "passes again while an uplink came back: nothing is proven",
      evidence(failed, "+|-|+", { moved: wan, movedSince: [{ uplink: "wan0", text: "got its carrier back" }] }),
      ...(["probe.inconclusive", false, ["uplink wan0", "uplink wan0", "probe p"]] as const),
    ],
    [
      "passes again in the world in which it failed, whatever changed before: its fault",
      evidence(failed, "+|-|+", { moved: wan }),
      ...([failed, true, ["p", "uplink wan0"]] as const),
    ],
    [
      "fails because the uplink went away: not its fault, and the receipt names it",
      evidence(failed, "+|-|-", { moved: wan }),
      ...(["probe.inconclusive", false, ["uplink wan0", "probe p"]] as const),
    ],
    ["could not be asked again: nothing is proven", evidence(failed, "+|-|"), "probe.inconclusive", false, ["probe p"]],
    ["failed before: says nothing", evidence(failed, "+-|--|+-"), failed, true, ["p"]],
    ["no confirm, all well: nobody's fault", evidence(expired, "+|+|+"), expired, false, []],
    ["no confirm without any probe", evidence(expired, "||"), expired, false, []],
    ["no confirm, and the way out fails now", evidence(expired, "+|+|-"), "probe.inconclusive", false, ["probe p"]],
    [
      "no confirm, and the uplink went away",
      evidence(expired, "+|+|+", { moved: wan }),
      ...(["probe.inconclusive", false, ["uplink wan0"]] as const),
    ],
    ["no confirm, and a probe that never passed fails", evidence(expired, "-||"), expired, false, []],
    [
      "an abort is the operator's, whatever the probes say",
      evidence("confirm.aborted", "+|+|-"),
      "confirm.aborted",
      false,
      [],
    ],
    [
      "a kernel that refused speaks for itself",
      evidence("apply.kernel_refused", "+||-", { moved: wan }),
      "apply.kernel_refused",
      false,
      [],
    ],
  ];
  for (const [name, input, cause, fault, paths] of table) {
    test(name, () => {
      const verdict = judge(input, []);
      expect([verdict.cause, verdict.fault, verdict.problems.map((one) => one.path)]).toEqual([
        cause,
        fault,
        [...paths],
      ]);
      // A fault is told as one, and only then.
      expect(verdict.problems.some((one) => one.code === failed)).toBe(fault);
    });
  }

  test("every combination of looks: a fault needs before, not after, and again", () => {
    let faults = 0;
    for (const [before, after, restored] of [..."+- "].flatMap((a) =>
      [..."+- "].flatMap((b) => [..."+- "].map((c) => [a, b, c] as const)),
    )) {
      const verdict = judge(evidence(failed, `${before}|${after}|${restored}`), []);
      expect(verdict.fault).toBe(before === "+" && after === "-" && restored === "+");
      faults += verdict.fault ? 1 : 0;
    }
    expect(faults).toBe(1);
  });

  test("what was found before stays in the receipt of an expired window", () => {
    const found = [problem("apply.read_back", "x", "y")];
    expect(judge(evidence(expired, "+|+|+"), found).problems).toEqual(found);
    expect(judge(evidence("confirm.aborted", "+|+|+"), found).problems).toEqual(found);
  });

  test("the receipt tells all three looks", () => {
    expect(probeReports(evidence(failed, "+-|- |+"))).toEqual([
      { id: "p", before: "passed", after: "failed", restored: "passed" },
      { id: "q", before: "failed", after: "not_run", restored: "not_run" },
    ]);
  });
});

describe("an uplink", () => {
  const up: Uplink = {
    ...{ name: "wan0", present: true, carrier: true, addresses: ["192.0.2.9/24"], gateways: ["192.0.2.1"] },
  };
  const text = (change: Partial<Uplink> | null, ...own: Parameters<typeof desiredOf>) =>
    uplinkChanges([up], change === null ? [] : [{ ...up, ...change }], desiredOf(...own)).map((one) => one.text);

  test("says what it lost and what replaced it", () => {
    expect(text({})).toEqual([]);
    expect(text(null)).toEqual(["went away"]);
    expect(text({ present: false, carrier: false, addresses: [], gateways: [] })).toEqual(["went away"]);
    expect(text({ carrier: false })).toEqual(["lost its carrier"]);
    expect(text({ addresses: ["192.0.2.10/24"] })).toEqual(["lost its address 192.0.2.9/24"]);
    expect(text({ gateways: ["192.0.2.2"] })).toEqual([
      "lost its default route through 192.0.2.1",
      "got a default route through 192.0.2.2",
    ]);
    expect(uplinkChanges([{ ...up, carrier: false }], [up]).map((one) => one.text)).toEqual(["got its carrier back"]);
  });

  test("an address more, another interface, and an address of the plan are no changes outside", () => {
    expect(text({ addresses: ["192.0.2.9/24", "192.0.2.10/24"] })).toEqual([]);
    expect(uplinkChanges([up], [up, { ...up, name: "wan1" }])).toEqual([]);
    const own = { addresses: [{ interface: "wan0", cidr: "192.0.2.9/24" }] };
    expect(text({ addresses: [] }, own)).toEqual([]);
    expect(text({ addresses: [] }, { addresses: [{ interface: "wan1", cidr: "192.0.2.9/24" }] })).toEqual([
      "lost its address 192.0.2.9/24",
    ]);
  });

  test("is one over which a default route of ours leads, too", () => {
    const route = { family: 4 as const, to: "0.0.0.0/0", via: "192.0.2.1", interface: "wan7", table: 254, metric: 0 };
    expect(ownUplinks(null, desiredOf({ routes: [route, { ...route, to: "10.0.0.0/8", interface: "lan0" }] }))).toEqual(
      ["wan7"],
    );
  });
});

describe("the quarantine's file", () => {
  const entry = (n: number, more: Partial<Quarantined> = {}): Quarantined => ({
    ...{ desired: n.toString(16).padStart(64, "0"), generation: BigInt(n), cause: failed },
    ...{ signers: ["ann", "bob"], atUnixS: 1_800_000_000 + n, ...more },
  });

  test("comes back as it was written, also empty and without signers", () => {
    for (const entries of [[], [entry(1)], [entry(1), entry(2, { signers: [] })]]) {
      expect(parseQuarantine(quarantineText(entries))).toEqual(entries);
    }
  });

  test("is nothing when a byte is missing, turned or too many, or when its version is unknown", () => {
    const text = quarantineText([entry(1), entry(2)]);
    for (let length = 0; length < text.length; length += 1)
      expect(parseQuarantine(text.slice(0, length))).toBeUndefined();
    for (const other of [
      `${text}\n`,
      text.replace("quarantine 1", "quarantine 2"),
      text.replace("0001 1 ", "0001 x "),
    ]) {
      expect(parseQuarantine(other)).toBeUndefined();
    }
  });

  test("holds each content once, the newest last, and forgets the oldest beyond the limit", () => {
    let entries: readonly Quarantined[] = [];
    for (let n = 1; n <= limits.quarantine + 3; n += 1) entries = withContent(entries, entry(n));
    expect([entries.length, entries[0]?.generation, entries.at(-1)?.generation]).toEqual([
      limits.quarantine,
      4n,
      BigInt(limits.quarantine + 3),
    ]);
    const again = withContent(entries, entry(10, { generation: 99n }));
    expect([again.length, again.at(-1)?.generation, again.some((one) => one.generation === 10n)]).toEqual([
      limits.quarantine,
      99n,
      false,
    ]);
  });
});
