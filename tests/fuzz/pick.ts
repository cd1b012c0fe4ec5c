/** Choices of a campaign's Random. */
import type { Random } from "../campaigns/campaign.ts";

export const oneOf = <T>(random: Random, list: readonly T[]): T => {
  if (list.length === 0) throw new Error("nothing to choose from");
  return list[random(list.length)]!;
};

/** True in `hits` of `all` cases. */
export const chance = (random: Random, hits: number, all: number): boolean => random(all) < hits;

/** Up to `most` different ones. */
export function some<T>(random: Random, list: readonly T[], most: number): T[] {
  const left = [...list];
  const chosen: T[] = [];
  for (let n = random(most + 1); n > 0 && left.length > 0; n -= 1) chosen.push(...left.splice(random(left.length), 1));
  return chosen;
}
