/** What is mutated: the examples with their contracts, and random sites, which have none. */
import { join } from "node:path";
import type { Subject } from "../../agent/core/invariants.ts";
import { readSite } from "../../client/site/site.ts";
import { canonicalIntent } from "../../schemas/intent.ts";
import { canonicalInventory } from "../../schemas/inventory.ts";
import { randomOf } from "../campaigns/campaign.ts";
import { exampleInput, subjectOf } from "../core/invariant-subjects.ts";
import { siteAtRandom } from "../fuzz/sites.ts";
import { type Ground, groundOf, some } from "./run.ts";

const EXAMPLES = join(import.meta.dir, "../../docs/examples");

/** Mutants of one random site: sites are many, and much of each is alike. */
const OF_A_SITE = 80;

/** An example as it stands in the folder, contracts included. */
export function exampleSubject(name: "homelab" | "branch"): Subject {
  const site = readSite(join(EXAMPLES, name));
  if (!site.ok) throw new Error(JSON.stringify(site.problems));
  return { ...subjectOf(exampleInput(name)), intent: canonicalIntent(site.value.intent) };
}

export function examples(seed: number): readonly Ground[] {
  return (["homelab", "branch"] as const).map((name, i) =>
    groundOf(name, exampleSubject(name), randomOf("mutate", seed, i)),
  );
}

/** The k-th random site of a seed. */
export function randomSite(seed: number, k: number): Ground {
  const random = randomOf("mutate site", seed, k);
  const { input, desired } = siteAtRandom(random);
  const subject: Subject = {
    ...input,
    intent: canonicalIntent(input.intent),
    inventory: canonicalInventory(input.inventory),
    desired,
  };
  return some(groundOf(`site ${k}`, subject, random), OF_A_SITE, random);
}
