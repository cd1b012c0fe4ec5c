/** Replacing a root: the rotation cases of the TUF conformance suite as data, and the chain around them. */
import { describe, expect, test } from "bun:test";
import { acceptRoot } from "../../agent/core/trust.ts";
import type { Root } from "../../schemas/trust.ts";
import { accepted, after, codeOf, crypto, keysOf, root1, signed, soloRoot } from "./documents.ts";

/** A root whose ROOT keys are `names` with threshold `k`; two admins, so that only k decides about solo. */
const rootOf = (k: number, names: string, change: Partial<Root> = {}): Root => ({
  ...soloRoot,
  keys: [
    ...keysOf("root", ...names.split(" ")),
    ...keysOf("admin", "x-admin", "y-admin"),
    ...keysOf("recovery", "z-recovery"),
  ],
  root_threshold: k,
  admin_threshold: 2,
  solo: k === 1,
  ...change,
});

type Hop = readonly [k: number, keys: string, signers: string, code: string];

/** First root, then hops; each hop is signed by these keys and must give this code ("" is accepted). */
const table: Readonly<Record<string, readonly [first: readonly [number, string], ...hops: Hop[]]>> = {
  "1-of-1 key rotation": [
    [1, "a"],
    [1, "b", "a b", ""],
  ],
  "1-of-1 key rotation, and a signature by a stranger": [
    [1, "a"],
    [1, "b", "a b q", "trust.signer_unknown"],
  ],
  "1-of-1 not signed with the old key": [
    [1, "a"],
    [1, "b", "b", "trust.threshold"],
  ],
  "1-of-1 not signed with the new key": [
    [1, "a"],
    [1, "b", "a", "trust.threshold"],
  ],
  "3-of-5, signed by other groups each time": [
    [3, "a b c d e"],
    [3, "a b c d e", "a b c", ""],
    [3, "a b c d e", "c d e", ""],
    [3, "a b c d e", "a b c d e", ""],
  ],
  "3-of-5, one key rotated": [
    [3, "a b c d e"],
    [3, "a b c d f", "b c d", ""],
  ],
  "3-of-5, one key rotated, enough of each by four": [
    [3, "a b c d e"],
    [3, "a b c d f", "a b e f", ""],
  ],
  "3-of-5, one key rotated, too few new ones": [
    [3, "a b c d e"],
    [3, "a b c d f", "a b e", "trust.threshold"],
  ],
  "3-of-5, all keys rotated in one step": [
    [3, "a b c d e"],
    [3, "f g h i j", "a b c f g h", ""],
  ],
  "3-of-5, all keys rotated in two steps": [
    [3, "a b c d e"],
    [3, "a b c f g", "a b c", ""],
    [3, "f g h i j", "a f g h", ""],
  ],
  "3-of-5, signed by three new ones": [
    [3, "a b c d e"],
    [3, "f g h i j", "f g h", "trust.threshold"],
  ],
  "3-of-5, signed by three old ones": [
    [3, "a b c d e"],
    [3, "f g h i j", "a b c", "trust.threshold"],
  ],
  "2-of-3 becomes 3-of-3": [
    [2, "a b c"],
    [3, "a b c", "a b c", ""],
  ],
  "2-of-3 becomes 3-of-3, new threshold not reached": [
    [2, "a b c"],
    [3, "a b c", "a b", "trust.threshold"],
  ],
  "3-of-3 becomes 2-of-3": [
    [3, "a b c"],
    [2, "a b c", "a b c", ""],
  ],
  "3-of-3 becomes 2-of-3, old threshold not reached": [
    [3, "a b c"],
    [2, "a b c", "a b", "trust.threshold"],
  ],
  "the threshold cannot be lowered first by those it lowers it for": [
    [3, "a b c d e"],
    [2, "a b c", "a b", "trust.threshold"],
  ],
  "1-of-1 becomes 2-of-2": [
    [1, "a"],
    [2, "a b", "a b", ""],
  ],
  "1-of-1 becomes 2-of-2, signed by the first alone": [
    [1, "a"],
    [2, "a b", "a", "trust.threshold"],
  ],
  "two keys of one person are one signer": [
    [2, "a b a-2"],
    [2, "a b a-2", "a a-2", "trust.threshold"],
  ],
  "two keys of one person and one of another": [
    [2, "a b a-2"],
    [2, "a b a-2", "a-2 b", ""],
  ],
  "a recovery key signs no root": [
    [2, "a b c"],
    [2, "a b c", "a b z-recovery", "trust.signer_unknown"],
  ],
  "an admin key signs no root": [
    [2, "a b c"],
    [2, "a b c", "a b x-admin", "trust.signer_unknown"],
  ],
};

describe("root rotation", () => {
  for (const [name, [[k, keys], ...hops]] of Object.entries(table)) {
    test(name, () => {
      let current = accepted(acceptRoot(crypto, null, signed("root", rootOf(k, keys), ...keys.split(" ")).envelope));
      for (const [nextK, nextKeys, signers, code] of hops) {
        const next = after(current, { keys: rootOf(nextK, nextKeys).keys, root_threshold: nextK, solo: nextK === 1 });
        const result = acceptRoot(crypto, current, signed("root", next, ...signers.split(" ")).envelope);
        expect(codeOf(result)).toBe(code);
        if (result.ok) current = result.value;
      }
    });
  }
});

describe("the chain of roots", () => {
  const next = (change: Partial<Root>): string =>
    codeOf(acceptRoot(crypto, root1, signed("root", after(root1, change), "ada-root").envelope));

  test("takes the next version and nothing else", () => {
    expect(next({})).toBe("");
    expect(next({ version: 3 })).toBe("trust.chain");
    expect(next({ version: 1 })).toBe("trust.chain");
    expect(next({ prev_digest: soloRoot.prev_digest })).toBe("trust.chain");
    expect(codeOf(acceptRoot(crypto, root1, root1.envelope))).toBe("trust.chain");
  });

  test("stays in its network", () => {
    expect(next({ network_id: new Uint8Array(16) })).toBe("trust.network");
  });

  test("starts at 1 with nothing before it, or later with something", () => {
    const first = (change: Partial<Root>): string =>
      codeOf(acceptRoot(crypto, null, signed("root", { ...soloRoot, ...change }, "ada-root").envelope));
    expect(first({})).toBe("");
    expect(first({ prev_digest: root1.digest })).toBe("trust.chain");
    expect(first({ version: 2 })).toBe("trust.chain");
    expect(first({ version: 2, prev_digest: root1.digest })).toBe("");
  });

  test("a first root needs its own threshold", () => {
    const stranger = signed("root", soloRoot, "mallory");
    expect(codeOf(acceptRoot(crypto, null, stranger.envelope))).toBe("trust.signer_unknown");
    const alone = signed("root", rootOf(2, "a b c"), "a");
    expect(codeOf(acceptRoot(crypto, null, alone.envelope))).toBe("trust.threshold");
  });
});

describe("the rules of a root", () => {
  const weak = new Uint8Array(32);
  const [rootKey, adminKey, recoveryKey] = soloRoot.keys;
  const cases: Readonly<Record<string, readonly [Root, string, string]>> = {
    "more signers than holders": [rootOf(3, "a b"), "a b", "trust.thresholds"],
    "more signers than people, with keys enough": [rootOf(2, "a a-2 a-3"), "a a-2", "trust.thresholds"],
    "two groups that could sign two successors": [rootOf(2, "a b c d"), "a b", "trust.thresholds"],
    "the same for admins": [
      rootOf(2, "a b", { keys: [...rootOf(2, "a b").keys, ...keysOf("admin", "v-admin", "w-admin")] }),
      "a b",
      "trust.thresholds",
    ],
    "a role without keys": [{ ...soloRoot, keys: [rootKey!, adminKey!] }, "ada-root", "trust.thresholds"],
    "one signer without the solo flag": [{ ...soloRoot, solo: false }, "ada-root", "trust.solo"],
    "one admin without the solo flag": [
      rootOf(2, "a b", { keys: [...keysOf("root", "a", "b"), adminKey!, recoveryKey!], admin_threshold: 1 }),
      "a b",
      "trust.solo",
    ],
    "the solo flag kept with two": [rootOf(2, "a b", { solo: true }), "a b", "trust.solo"],
    "a key of small order": [
      { ...soloRoot, keys: [rootKey!, adminKey!, { ...recoveryKey!, key: weak }] },
      "ada-root",
      "trust.key_inadmissible",
    ],
    "an escrow key of small order": [
      { ...soloRoot, escrow: [{ key: weak, holder: "ada" }] },
      "ada-root",
      "trust.key_inadmissible",
    ],
    "one key in two roles": [
      { ...soloRoot, keys: [rootKey!, adminKey!, { ...recoveryKey!, key: rootKey!.key }] },
      "ada-root",
      "trust.key_reused",
    ],
    "one key twice in a role": [{ ...soloRoot, keys: [...soloRoot.keys, rootKey!] }, "ada-root", "trust.key_reused"],
    "an escrow key twice": [
      { ...soloRoot, escrow: [...soloRoot.escrow, ...soloRoot.escrow] },
      "ada-root",
      "trust.key_reused",
    ],
    "two thresholds for one class": [
      { ...soloRoot, classes: [...soloRoot.classes, { risk_class: "routine", threshold: 1 }] },
      "ada-root",
      "trust.repeated",
    ],
  };
  for (const [name, [root, signers, code]] of Object.entries(cases)) {
    test(`${name}: ${code}`, () => {
      expect(codeOf(acceptRoot(crypto, null, signed("root", root, ...signers.split(" ")).envelope))).toBe(code);
    });
  }

  test("all problems are told, not the first", () => {
    const bad = signed("root", { ...soloRoot, solo: false, escrow: [{ key: weak, holder: "ada" }] }, "ada-root");
    const result = acceptRoot(crypto, null, bad.envelope);
    expect(result.ok ? [] : result.problems.map((one) => [one.code, one.path])).toEqual([
      ["trust.solo", "root.solo"],
      ["trust.key_inadmissible", "root.escrow[0]"],
    ]);
  });
});
