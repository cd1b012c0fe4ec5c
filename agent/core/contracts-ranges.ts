/** Sets of addresses of one family as sorted ranges that do not touch: what contracts say about sides and services. */
import { BITS, type Family, formatIp, lastOf, type Prefix, parseIp, parsePrefix } from "../../schemas/ip.ts";

export type Range = { readonly from: bigint; readonly to: bigint };
export type Ranges = readonly Range[];

export const everyAddress = (family: Family): Ranges => [{ from: 0n, to: (1n << BigInt(BITS[family])) - 1n }];

/** Sorted; what touches or overlaps is one. */
export function union(...lists: readonly Ranges[]): Ranges {
  const merged: Range[] = [];
  for (const range of lists.flat().sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))) {
    const last = merged.at(-1);
    if (last === undefined || range.from > last.to + 1n) merged.push(range);
    else if (range.to > last.to) merged[merged.length - 1] = { from: last.from, to: range.to };
  }
  return merged;
}

/** What is in `a` and not in `b`. */
export function minus(a: Ranges, b: Ranges): Ranges {
  const cuts = union(b);
  return union(a).flatMap((range) => {
    const left: Range[] = [];
    let { from } = range;
    for (const cut of cuts) {
      if (cut.to < from) continue;
      if (cut.from > range.to) break;
      if (cut.from > from) left.push({ from, to: cut.from - 1n });
      from = cut.to + 1n;
    }
    return from <= range.to ? [...left, { from, to: range.to }] : left;
  });
}

export const both = (a: Ranges, b: Ranges): Ranges => minus(a, minus(a, b));

export const ofPrefix = (prefix: Prefix): Ranges => [{ from: prefix.value, to: lastOf(prefix) }];

/** Addresses and prefixes of a family; texts of the other one are left out. */
export function ofTexts(texts: readonly string[], family: Family): Ranges {
  return union(
    ...texts.map((text) => {
      const ip = parseIp(text);
      const prefix = ip === undefined ? parsePrefix(text) : { ...ip, length: BITS[ip.family] };
      return prefix?.family === family ? ofPrefix(prefix) : [];
    }),
  );
}

/** As the verifier reads them: `10.0.0.5`, `10.0.0.0-10.0.0.9`. */
export function textsOf(ranges: Ranges, family: Family): readonly string[] {
  const text = (value: bigint): string => formatIp({ family, value });
  return ranges.map(({ from, to }) => (from === to ? text(from) : `${text(from)}-${text(to)}`));
}
