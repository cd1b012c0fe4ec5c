/** One case of the campaign: a site, its ruleset or a bent one, and everything that is kept when something is wrong. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { rulesetText } from "../../agent/core/nft-text.ts";
import { type Counts, Miss, type Random } from "../campaigns/campaign.ts";
import { bent } from "./bend.ts";
import { byWalker } from "./by-walker.ts";
import { byReader } from "./oracle.ts";
import { Disagreement, type Oracle, runSite } from "./run.ts";
import { siteAtRandom } from "./sites.ts";

export const ORACLES: readonly Oracle[] = [
  { name: "reader", decide: byReader },
  { name: "walker", decide: byWalker },
];

export const PACKETS = 120;
const folder = join(import.meta.dir, "../../out/fuzz");

export type Case = { readonly index: number; readonly random: Random; readonly seed: number };

/** Runs one case against the oracles. A disagreement is a miss; site and ruleset stay in out/fuzz. */
export async function fuzzCase(at: Case, oracles: readonly Oracle[] = ORACLES): Promise<Counts> {
  const site = siteAtRandom(at.random);
  const table = at.random(3) === 0 ? bent(site.desired.nft, at.random) : site.desired.nft;
  try {
    const { packets, ...more } = await runSite({ site, table, packets: PACKETS, oracles, folder }, at.random);
    return { packets, ...more };
  } catch (error) {
    if (!(error instanceof Disagreement)) throw error;
    const kept = join(folder, `${at.seed}-${at.index}.nft`);
    writeFileSync(kept, rulesetText(table, "0x00000001"));
    const leases = site.leases.length === 0 ? "" : `# leases: ${JSON.stringify(site.leases)}\n`;
    const documents = `${leases}${stringify({ intent: site.intent, inventory: site.inventory })}`;
    throw new Miss(`${error.message}\n  ruleset: ${kept}\n${documents}`, {
      packets: error.shot.number,
      disagreements: 1,
    });
  }
}
