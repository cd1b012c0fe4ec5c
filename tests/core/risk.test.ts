/** Which changes an operator may call routine. */
import { expect, test } from "bun:test";
import { planChange } from "../../agent/core/plan.ts";
import { coversClass, derivedClass } from "../../agent/core/risk.ts";
import type { Desired } from "../../schemas/desired.ts";
import { clients, nothing, observedOf, peer, sampleDesired } from "./desireds.ts";

const LISTING = "table inet holdfast {\n\tchain b_input {\n\t\tdrop\n\t}\n}\n";

function classOf(lkg: Desired | null, next: Desired): string {
  const seen = lkg === null ? nothing : observedOf(lkg, LISTING);
  const expected = lkg === null ? null : LISTING;
  const plan = planChange({ lkg, next, observed: seen, lkgEpoch: 5, expectedLkgListing: expected });
  return plan.ok ? derivedClass(plan.value, lkg, next) : "refused";
}

const few = sampleDesired(clients(3));

test("clients come and go by routine", () => {
  expect(classOf(few, sampleDesired(clients(4)))).toBe("routine");
  expect(classOf(few, sampleDesired(clients(2)))).toBe("routine");
  expect(classOf(few, few)).toBe("routine");
});

test("the ground that lanes stand on is sensitive", () => {
  expect(classOf(null, few)).toBe("sensitive");
  expect(classOf(few, { ...few, sysctls: [] })).toBe("sensitive");
  expect(classOf(few, { ...few, routes: few.routes.slice(1) })).toBe("sensitive");
  expect(classOf(few, { ...few, lanes: few.lanes.map((lane) => ({ ...lane, fingerprint: "z" })) })).toBe("sensitive");
  const chains = few.nft.chains.map((chain) => ({ ...chain, rules: [...chain.rules, "counter"] }));
  expect(classOf(few, { ...few, nft: { ...few.nft, chains } })).toBe("sensitive");
  const [office, rescue] = few.links;
  const links = [office!, { ...rescue!, peers: [...rescue!.peers, peer(60_001)] }];
  expect(classOf(few, { ...few, links })).toBe("sensitive");
});

test("a class covers itself and what is below", () => {
  expect(coversClass("routine", "sensitive")).toBe(false);
  expect(["sensitive", "trust", "recovery"].every((one) => coversClass(one as "trust", "sensitive"))).toBe(true);
});
