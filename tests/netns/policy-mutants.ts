/** Rulesets that no compile makes: one rule less or another, to show that a test can fail. */
import type { Desired, NftTable } from "../../schemas/desired.ts";

const edited = (nft: NftTable, edit: (rule: string) => readonly string[]): NftTable => ({
  ...nft,
  chains: nft.chains.map((chain) => ({ ...chain, rules: chain.rules.flatMap(edit) })),
});

/** Without every rule that a pattern matches; each pattern must match one. */
export function withoutRules(desired: Desired, patterns: readonly RegExp[]): Desired {
  const all = desired.nft.chains.flatMap((chain) => chain.rules);
  for (const pattern of patterns) if (!all.some((rule) => pattern.test(rule))) throw new Error(`no rule ${pattern}`);
  const nft = edited(desired.nft, (rule) => (patterns.some((pattern) => pattern.test(rule)) ? [] : [rule]));
  return { ...desired, nft };
}

/** With the matching part of every rule replaced. */
export function replaceRule(nft: NftTable, pattern: RegExp, by: string): NftTable {
  return edited(nft, (rule) => [rule.replace(pattern, by)]);
}
