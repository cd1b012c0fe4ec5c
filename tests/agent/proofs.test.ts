/** A push needs no second proof of what its plan has proven, and never takes another's. */
import { expect, test } from "bun:test";
import { prove } from "../../agent/core/prove.ts";
import { createProofs } from "../../agent/proofs.ts";
import { sha256 } from "../../schemas/digest.ts";
import { refuse } from "../../schemas/problem.ts";
import { exampleInput } from "../core/invariant-subjects.ts";

const good = prove(exampleInput("homelab"));
const site = ["intent", "inventory", "keys", "root", "roster"].map((name) => sha256(name));
const others = site.map((_, i) => site.with(i, sha256("another")));

function counting() {
  const proofs = createProofs();
  let made = 0;
  const ask = (digests: readonly Uint8Array[], router = "r1", result = good) =>
    proofs.of(digests, router, () => {
      made += 1;
      return result;
    });
  return { ask, made: () => made };
}

test("plan and push are one proof, the push after them another", () => {
  const { ask, made } = counting();
  expect([ask(site), ask(site)]).toEqual([good, good]);
  expect(made()).toBe(1);
  ask(site);
  expect(made()).toBe(2);
});

test("whatever it is over, another one is another proof", () => {
  const { ask, made } = counting();
  for (const digests of others) {
    ask(site);
    ask(digests);
  }
  expect(made()).toBe(2 * others.length);
  ask(others[0]!, "r2");
  expect(made()).toBe(2 * others.length + 1);
});

test("a refusal is not remembered", () => {
  const { ask, made } = counting();
  const refused = refuse("invariant.violated", "HF-LANE-01", "closed");
  expect(ask(site, "r1", refused)).toBe(refused);
  expect(ask(site)).toBe(good);
  expect(made()).toBe(2);
});
