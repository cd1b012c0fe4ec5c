/** One case of the campaign: a site, its ruleset or a bent one, and everything that is kept when something is wrong. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { rulesetText } from "../../agent/core/nft-text.ts";
import { shotText } from "../../client/replay/wire.ts";
import { type Counts, Miss, type Random } from "../campaigns/campaign.ts";
import { bent } from "./bend.ts";
import { byReader } from "./by-reader.ts";
import { byVerifier } from "./by-verifier.ts";
import { byWalker } from "./by-walker.ts";
import { Disagreement, type Oracle, type Plan, runSite } from "./run.ts";
import { shrunk } from "./shrink.ts";
import { siteAtRandom } from "./sites.ts";

export const ORACLES: readonly Oracle[] = [
  { name: "reader", decide: byReader },
  { name: "walker", decide: byWalker },
  { name: "verifier", decide: byVerifier },
];

export const PACKETS = 120;
const folder = join(import.meta.dir, "../../out/fuzz");

export type Case = { readonly index: number; readonly random: Random; readonly seed: number };

/** The site of a case with its ruleset, which is bent in every third one. */
export function planOf({ index, random }: Omit<Case, "seed">, oracles: readonly Oracle[]): Plan {
  const site = siteAtRandom(random);
  const isBent = index % 3 === 2;
  const table = isBent ? bent(site.desired.nft, random) : site.desired.nft;
  return { site, table, isBent, packets: PACKETS, oracles, folder };
}

/** Runs one case against the oracles. A disagreement is a miss, made small where that is cheap; its ruleset is kept. */
export async function fuzzCase(at: Case): Promise<Counts> {
  const plan = planOf(at, ORACLES);
  try {
    return { ...(await runSite(plan, at.random)) };
  } catch (error) {
    if (!(error instanceof Disagreement)) throw error;
    const packets = error.acts.filter((act) => act !== "epoch").length;
    throw new Miss(await told(plan, error, at), { packets, disagreements: 1 });
  }
}

/** The disagreement with all that is needed to look into it: site, ruleset, packets. */
async function told(plan: Plan, error: Disagreement, { seed, index }: Case): Promise<string> {
  const small = await shrunk(plan, error);
  const { site, table } = small.plan;
  mkdirSync(folder, { recursive: true });
  const kept = join(folder, `${seed}-${index}.nft`);
  writeFileSync(kept, rulesetText(table, "0x00000001"));
  const before = small.error.acts.map((act) => (act === "epoch" ? "next epoch" : shotText(act)));
  return [
    small.error.message,
    `  acts: ${before.length}`,
    ...before.slice(-12).map((line) => `    ${line}`),
    `  ruleset${plan.isBent ? ", bent" : ""}: ${kept}`,
    ...(site.leases.length === 0 ? [] : [`# leases: ${JSON.stringify(site.leases)}`]),
    stringify({ intent: site.intent, inventory: site.inventory }),
  ].join("\n");
}
