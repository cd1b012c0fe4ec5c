/** What a mutant is: a ruleset that no compile made, one small change away from one that a compile did. */
import type { NftBase, NftChain, NftSet, NftTable } from "../../schemas/desired.ts";

export type Kind =
  | ("remove" | "unmatch" | "widen" | "swap" | "verdict" | "policy" | "stamp" | "untrack" | "nat")
  | ("element-less" | "element-more" | "element-wide" | "element-elsewhere" | "hole");

export type Mutant = {
  readonly kind: Kind;
  readonly where: string; // "b_forward[8]", "s_lab", or the name of a planted hole
  readonly rule: string; // the rule or element before
  readonly what: string; // and after, or what was done
  readonly make: () => NftTable;
};

/** The table with one chain changed. */
export const withChain = (nft: NftTable, name: string, change: (chain: NftChain) => NftChain): NftTable => ({
  ...nft,
  chains: nft.chains.map((chain) => (chain.name === name ? change(chain) : chain)),
});

export const withRules = (
  nft: NftTable,
  name: string,
  change: (rules: readonly string[]) => readonly string[],
): NftTable => withChain(nft, name, (chain) => ({ ...chain, rules: change(chain.rules) }));

export const withBase = (nft: NftTable, name: string, change: (base: NftBase) => NftBase): NftTable =>
  withChain(nft, name, (chain) => (chain.base === null ? chain : { ...chain, base: change(chain.base) }));

/** The table with other elements in one set; each stays once, in the order of the compiler. */
export const withElements = (
  nft: NftTable,
  name: string,
  change: (elements: readonly string[]) => readonly string[],
): NftTable => ({
  ...nft,
  sets: nft.sets.map((set): NftSet => {
    if (set.name !== name) return set;
    return { ...set, elements: [...new Set(change(set.elements))].sort() };
  }),
});

const spliced = <T>(list: readonly T[], at: number, count: number, ...more: readonly T[]): readonly T[] => [
  ...list.slice(0, at),
  ...more,
  ...list.slice(at + count),
];

/** A mutant that replaces a rule by others. */
export function ruleMutant(nft: NftTable, chain: NftChain, at: number, kind: Kind, by: readonly string[]): Mutant {
  return {
    kind,
    where: `${chain.name}[${at}]`,
    rule: chain.rules[at]!,
    what: by.length === 0 ? "removed" : by.join(" ; "),
    make: () => withRules(nft, chain.name, (rules) => spliced(rules, at, kind === "swap" ? 2 : 1, ...by)),
  };
}

/** Where a set's element is replaced by others. */
export function elementMutant(
  nft: NftTable,
  set: NftSet,
  element: string,
  kind: Kind,
  by: readonly string[],
): Mutant | undefined {
  if (by.length > 0 && by.every((one) => set.elements.includes(one))) return undefined;
  return {
    kind,
    where: set.name,
    rule: element,
    what: by.length === 0 ? "removed" : by.join(" ; "),
    make: () => withElements(nft, set.name, (elements) => [...elements.filter((one) => one !== element), ...by]),
  };
}
