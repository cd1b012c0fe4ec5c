/** Names of failpoints, and what is to happen at which passing of one. */

/**
 * The purpose of what is written, without the numbers and digests of this one time, and the step:
 * `gen/ruleset.nft renamed` for one. Both records are one purpose: which of them is next says nothing.
 */
export function pointName(step: string, target: string): string {
  const purpose = target
    .replace(/^.*\/(state|run)(\/|$)/, "")
    .replace(/^record\.[ab]$/, "record")
    .replace(/[0-9a-f]{32,}(\.new)?\//g, "")
    .replace(/[0-9a-f]{32,}/g, "*")
    .replace(/^(keys\/wg2?)\/.*/, "$1/*")
    .replace(/\b\d+\b/g, "N");
  return `${purpose === "" ? "state" : purpose} ${step}`;
}

export type Action = "kill" | "ENOSPC" | "EROFS" | "EIO";

/** A place in a path: the n-th passing of a point, from 1. */
export type Passing = { readonly point: string; readonly nth: number };

/** Every passing of a trace, in order. Of the agent's beats, which come when they come, only the first counts. */
export function passings(trace: readonly string[]): readonly Passing[] {
  const counts = new Map<string, number>();
  const found: Passing[] = [];
  for (const point of trace) {
    const nth = (counts.get(point) ?? 0) + 1;
    counts.set(point, nth);
    if (nth === 1 || !point.startsWith("agent.alive ")) found.push({ point, nth });
  }
  return found;
}
