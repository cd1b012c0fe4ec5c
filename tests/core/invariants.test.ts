/** Each invariant: it holds on both examples, and each way to break what it guards is found and named. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { checkInvariants, invariants } from "../../agent/core/invariants.ts";
import { decidedBreaks } from "./invariant-breaks-decided.ts";
import { equivalenceBreaks } from "./invariant-breaks-equivalence.ts";
import { laneBreaks } from "./invariant-breaks-lanes.ts";
import { peerBreaks } from "./invariant-breaks-peers.ts";
import { ruleBreaks } from "./invariant-breaks-rules.ts";
import { branch, homelab, rules, unwall } from "./invariant-subjects.ts";

setDefaultTimeout(60_000); // the first proof of a process makes everything warm

const breaks = { ...laneBreaks, ...peerBreaks, ...ruleBreaks, ...decidedBreaks, ...equivalenceBreaks };

describe("catalogue", () => {
  test("both examples keep every invariant", () => {
    expect(checkInvariants(homelab)).toEqual([]);
    expect(checkInvariants(branch)).toEqual([]);
  });

  test("every invariant can fail, and every entry explains itself", () => {
    expect(Object.keys(breaks).sort()).toEqual(invariants.map((one) => one.id).sort());
    expect(new Set(invariants.map((one) => one.id)).size).toBe(invariants.length);
    for (const one of invariants) {
      expect(one.id).toMatch(/^HF-[A-Z]{4}-[0-9]{2}$/);
      for (const text of [one.sentence, one.why, one.example, one.fix]) expect(text).toMatch(/^[A-Za-z].*\.$/s);
    }
  });

  test("a violation has the code invariant.violated, the id as its path, and names the object", () => {
    const [found] = checkInvariants(rules((d) => unwall(d, "lab0", 'oifname "lan0" goto c_stamp')));
    expect(found).toMatchObject({ code: "invariant.violated", path: "HF-FLOW-01" });
    expect(found?.detail).toContain("lab reaches lan");
    expect(found?.detail).toContain("in lab0 out lan0");
  });
});

for (const [id, list] of Object.entries(breaks)) {
  describe(id, () => {
    const invariant = invariants.find((one) => one.id === id);
    for (const [what, subject] of list) {
      test(what, () => {
        const found = invariant?.check(subject()) ?? [];
        expect(found.length).toBeGreaterThan(0);
        for (const one of found) expect(one).toMatchObject({ code: "invariant.violated", path: id });
      });
    }
  });
}
