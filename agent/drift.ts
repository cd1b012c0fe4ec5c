/** Whether the kernel still holds what the generation in force says, compared line by line only when something changed. */
import type { Desired } from "../schemas/desired.ts";
import { normalListing } from "./core/nft-listing.ts";
import { type OwnScope, scopeOf } from "./core/normal.ts";
import type { Observed } from "./core/observed.ts";
import { NO_SURPLUS, readBack, type Surplus, surplusOf } from "./core/read-back.ts";
import type { Parts } from "./ports.ts";
import type { OnTrial } from "./work.ts";

export type Drift = { readonly drift: boolean; readonly detail: string };

export const NO_DRIFT: Drift = { drift: false, detail: "" };

export type DriftOf = {
  /** The kept generation against what was seen. */
  kept(desired: Desired, seen: Observed): Promise<Drift>;
  /** A generation on trial, which may still have what goes only after the confirm. */
  trial(work: OnTrial, seen: Observed): Drift;
};

export const printable = (text: string, most: number): string => text.replace(/[^\x20-\x7e\n]/g, "?").slice(0, most);

/** What a generation is compared with. */
type Expected = {
  readonly desired: Desired;
  readonly surplus: Surplus;
  readonly listing: string;
  readonly scope: OwnScope;
};

/** Rehearsals of the kept ruleset, and the comparison of a listing that has not changed since. */
export function createDrift(parts: Parts): DriftOf {
  let rehearsed: { readonly key: string; readonly listing: string } | undefined;
  let compared: { readonly key: string; readonly equal: boolean } | undefined;

  const compare = (key: string, { desired, surplus, listing, scope }: Expected, seen: Observed): Drift => {
    const place = `${key} ${seen.nftGeneration}`;
    if (compared?.key !== place) {
      compared = { key: place, equal: normalListing(seen.nft) === normalListing(listing) };
    }
    // Equal listings need no second look line by line.
    const problems = readBack(desired, surplus, compared.equal ? { ...seen, nft: listing } : seen, listing, scope);
    const detail = problems.slice(0, 20).map((one) => `${one.path} ${one.detail}`);
    return { drift: problems.length > 0, detail: printable(detail.join("\n"), 4096) };
  };

  return {
    async kept(desired, seen) {
      const { lkg, lkgEpoch } = parts.store.record();
      if (lkg === null) return NO_DRIFT;
      const key = `${lkg.desired} ${lkgEpoch}`;
      if (rehearsed?.key !== key) {
        const file = parts.store.rulesetFile(lkg);
        const result = file === undefined ? undefined : await parts.host.kernel.rehearseNft(file, lkgEpoch);
        if (result === undefined || !result.ok) return { drift: true, detail: "the kept ruleset does not load" };
        rehearsed = { key, listing: result.value.listing };
      }
      const { listing } = rehearsed;
      return compare(key, { desired, surplus: NO_SURPLUS, listing, scope: scopeOf(desired) }, seen);
    },
    trial({ trial, desired, before, plan, listing }, seen) {
      // After a restart nothing stays on trial, so there is always a plan to compare with.
      if (plan === null) return NO_DRIFT;
      const scope = scopeOf(before, desired);
      return compare(trial.token, { desired, surplus: surplusOf(plan), listing, scope }, seen);
    },
  };
}
