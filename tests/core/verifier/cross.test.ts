/** Two readers of one ruleset, written apart, agree on every packet; a difference that is planted is found. */
import { describe, expect, test } from "bun:test";
import type { Desired, NftTable } from "../../../schemas/desired.ts";
import { readStory, storyNames } from "../../golden/golden.ts";
import { clientOf, desiredOf, smallIntent } from "../compile-sites.ts";
import { clients, sampleDesired } from "../desireds.ts";
import { branch, homelab } from "../invariant-subjects.ts";
import { randomNumbers, randomTable } from "../nft-tables.ts";
import { cross } from "./cross.ts";

const SEED = 1;

const text = (value: unknown): string =>
  JSON.stringify(value, (_, one) => (typeof one === "bigint" ? one.toString() : one));

function sites(): readonly (readonly [string, Desired])[] {
  const stories = storyNames().flatMap((name) => {
    const { desired, next } = readStory(name);
    return [[name, desired] as const, ...(next === null ? [] : [[`${name} next`, next] as const])];
  });
  const small = desiredOf(smallIntent(), {
    version: 1,
    clients: [...Array.from({ length: 20 }, (_, i) => clientOf(i + 2)), clientOf(40, { services: ["web"] })],
  });
  return [
    ...stories,
    ["small", small],
    ["sample", sampleDesired(clients(12))],
    ["homelab", homelab.desired],
    ["branch", branch.desired],
  ];
}

describe("compiled sites", () => {
  for (const [name, desired] of sites()) {
    test(`${name}: read whole, and the same verdicts as the walker's`, () => {
      const { packets, certain, found } = cross(desired, randomNumbers(`cross ${name}`, SEED, 0), 150);
      expect(found.slice(0, 3).map(text)).toEqual([]);
      expect(packets).toBe(1500);
      expect(certain).toBeGreaterThan(packets / 2);
    });
  }
});

describe("random tables", () => {
  test("agree as well", () => {
    const found = Array.from({ length: 60 }, (_, i) => {
      const random = randomNumbers("cross table", SEED, i);
      return cross(sampleDesired(clients(2), { nft: randomTable(random) }), random, 20).found;
    }).flat();
    expect(found.slice(0, 3).map(text)).toEqual([]);
  });
});

describe("a planted difference is found", () => {
  const { desired } = readStory("03_clients");
  const planted = (change: (rule: string) => string): NftTable => ({
    ...desired.nft,
    chains: desired.nft.chains.map((chain) => ({ ...chain, rules: chain.rules.map(change) })),
  });
  const differs = (told: NftTable): boolean =>
    cross(desired, randomNumbers("planted", SEED, 0), 400, { told }).found.length > 0;

  test("none without one", () => expect(differs(planted((rule) => rule))).toBe(false));

  test("a drop that is an accept", () =>
    expect(differs(planted((rule) => rule.replace("counter name c_spoof drop", "accept")))).toBe(true));

  test("a negation that is lost", () =>
    expect(differs(planted((rule) => rule.replace("iifname != @s_known", "iifname @s_known")))).toBe(true));

  test("a state that is another", () =>
    expect(differs(planted((rule) => rule.replace("ct state established ct mark", "ct state related ct mark")))).toBe(
      true,
    ));

  test("a goto that is read as a jump", () => {
    const table = (verdict: "goto" | "jump"): NftTable => ({
      counters: [],
      sets: [],
      chains: [
        { name: "z_a", base: null, rules: ["tcp dport 80 accept"] },
        {
          name: "b_f",
          base: { type: "filter", hook: "forward", priority: 0, policy: "drop" },
          rules: ["ct state invalid drop", `iifname "lan0" ${verdict} z_a`, "tcp dport 443 accept"],
        },
      ],
    });
    const site = sampleDesired([], { nft: table("goto") });
    const seen = (told: NftTable): number => cross(site, randomNumbers("goto", SEED, 0), 300, { told }).found.length;
    expect(seen(table("goto"))).toBe(0);
    expect(seen(table("jump"))).toBeGreaterThan(0);
  });
});
