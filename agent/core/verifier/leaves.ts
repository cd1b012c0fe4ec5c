/** How a way through rules ends, and what it did to the packet on the way. */

/** Packets end up with these values; the fields in `free` with any value of an interval (a port that NAT chooses). */
export type Effect = {
  readonly sets: readonly (readonly [level: number, label: number])[]; // sorted by level, each level once
  readonly free: readonly (readonly [level: number, start: number, end: number])[];
  /** The packet's own mark becomes the flow's low bits under this mask; -1: it stays 0. */
  readonly markMask: number;
};

export const NO_EFFECT: Effect = { sets: [], free: [], markMask: -1 };

/**
 * next: nothing was decided, the rules go on. return: the chain is left. either: it hangs on something that is not in
 * the packet. outside: no packet is like that. yes: inside a region (outside of it is next). gap: filled in later.
 */
export type Kind = "next" | "return" | "accept" | "drop" | "either" | "outside" | "yes" | "gap";

export type Leaf = { readonly kind: Kind; readonly effect: Effect; readonly rule: number }; // rule: -1 for none

export function isNeutral({ sets, free, markMask }: Effect): boolean {
  return sets.length === 0 && free.length === 0 && markMask < 0;
}

export function effectKey({ sets, free, markMask }: Effect): string {
  return `${sets.map(([level, label]) => `${level}=${label}`).join(",")};${free.map((one) => one.join("-")).join(",")};${markMask}`;
}

/** Thrown for a combination that the diagrams cannot hold; the reader of rules names the rule. */
export class Unmodelled extends Error {}

/** First one effect, then another. */
export function compose(first: Effect, then: Effect, lowLevel: number): Effect {
  if (isNeutral(first)) return then;
  if (isNeutral(then)) return first;
  if (first.markMask >= 0 && then.markMask < 0 && then.sets.some(([level]) => level === lowLevel)) {
    throw new Unmodelled("the flow's mark is written after the packet's mark was taken from it");
  }
  const written = new Set([...then.sets, ...then.free].map(([level]) => level));
  const sets = [...first.sets.filter(([level]) => !written.has(level)), ...then.sets].sort((a, b) => a[0] - b[0]);
  const free = [...first.free.filter(([level]) => !written.has(level)), ...then.free].sort((a, b) => a[0] - b[0]);
  return { sets, free, markMask: then.markMask >= 0 ? then.markMask : first.markMask };
}
