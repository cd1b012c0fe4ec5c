/** Builders of the objects of a table. Elements are sorted here, so nobody else has to think of it. */
import type { NftBase, NftChain, NftSet } from "../../../schemas/desired.ts";
import { sortedTexts } from "./order.ts";

type Options = { readonly interval?: boolean };

export function setOf(name: string, type: string, elements: Iterable<string>, options: Options = {}): NftSet {
  return { name, kind: "set", type, value: "", interval: options.interval === true, elements: sortedTexts(elements) };
}

/** Elements are `key : value`. */
export function mapOf(name: string, type: string, value: string, elements: Iterable<string>): NftSet {
  return { name, kind: "map", type, value, interval: false, elements: sortedTexts(elements) };
}

export function chainOf(name: string, rules: readonly string[]): NftChain {
  return { name, base: null, rules };
}

export function baseOf(
  name: string,
  hook: NftBase["hook"],
  priority: number,
  rules: readonly string[],
  options: { readonly type?: NftBase["type"]; readonly policy?: NftBase["policy"] } = {},
): NftChain {
  const { type = "filter", policy = "accept" } = options;
  return { name, base: { type, hook, priority, policy }, rules };
}

/** A drop that is counted. */
export const countedDrop = (counter: string): string => `counter name ${counter} drop`;
