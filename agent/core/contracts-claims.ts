/** What a contract claims of packets, and how its questions are put together. */
import type { Family } from "../../schemas/ip.ts";
import { type Ranges, textsOf } from "./contracts-ranges.ts";
import type { Ground, Side } from "./contracts-sides.ts";
import type { Question, Region } from "./verifier/question.ts";

/** A question with the end that every packet of it must have. */
export type Claim = {
  readonly question: Question;
  /**
   * "dropped" is kept also where no such packet exists; "accepted" needs one; "nobody": no packet may be there at all;
   * "lands": what is accepted has become what `lands` says.
   */
  readonly must: "dropped" | "accepted" | "nobody" | "lands";
  readonly lands?: { readonly target: string; readonly shift: number };
  /** For a violation: what is being said of the packet. */
  readonly about: "excess" | "missing" | "answer" | "route";
  /** Narrower questions whose packets people know better than those that wear somebody else's address. */
  readonly nicer?: readonly Question[];
};

export type Sides = { readonly from: Side; readonly to: Side; readonly ground: Ground };

/** Narrower by addresses; null when none is left. */
export function aim(
  region: Partial<Region>,
  key: "source" | "target",
  ranges: Ranges,
  family: Family,
): Partial<Region> {
  return { ...region, [key]: { in: textsOf(ranges, family) } };
}

export function regionOf(parts: readonly Partial<Region>[], way: Region["way"], family: Family): Region {
  return Object.assign({ way, family }, ...parts) as Region;
}

/** Fields of every first packet. */
export const FIRST = { flow: "first" as const };

/** Nobody who truly is there wears an address of the router. */
export const OUTSIDE_LIES = { sourceLocal: false };
