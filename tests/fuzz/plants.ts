/**
 * Faults of an oracle, planted in what it is told of the ruleset while the kernel has the true one. So they can be
 * planted in any oracle, whatever it is made of.
 */
import type { NftTable } from "../../schemas/desired.ts";

export type Plant = { readonly name: string; readonly told: (table: NftTable) => NftTable };

const withRules = (table: NftTable, change: (rule: string) => string | undefined): NftTable => ({
  ...table,
  chains: table.chains.map((chain) => ({
    ...chain,
    rules: chain.rules.map(change).filter((rule) => rule !== undefined),
  })),
});

export const plants: readonly Plant[] = [
  {
    name: "goto taken for jump",
    told: (table) => ({
      ...withRules(table, (rule) => rule.replace(/\bgoto (\w+)$/, "jump $1")),
      sets: table.sets.map((set) => ({
        ...set,
        elements: set.elements.map((element) => element.replace(/ : goto /, " : jump ")),
      })),
    }),
  },
  {
    name: "DNAT to the next port",
    told: (table) => ({
      ...table,
      sets: table.sets.map((set) => {
        if (set.name !== "m_pf4") return set;
        const next = (element: string): string => element.replace(/\d+$/, (port) => String(Number(port) + 1));
        return { ...set, elements: set.elements.map(next) };
      }),
    }),
  },
  {
    name: "related taken for established",
    told: (table) =>
      withRules(table, (rule) =>
        rule.includes("ct state related")
          ? undefined
          : rule.replace(/\bct state established/, "ct state { established, related }"),
      ),
  },
  {
    name: "anti-spoof skipped",
    told: (table) => withRules(table, (rule) => (rule.includes("counter name c_spoof") ? undefined : rule)),
  },
];
