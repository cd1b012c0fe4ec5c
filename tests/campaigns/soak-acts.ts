/** What may happen to a router in one round of the soak. */
import { killBoth, killGuard, killInConfirm, killInPush, leaveToGuard, reboot } from "./soak-deaths.ts";
import type { Episode } from "./soak-episode.ts";
import { foreignTable, fullDisk, wound } from "./soak-hands.ts";
import { type Act, abort, expire, push, race, rival, staleConfirm } from "./soak-trials.ts";

/** How often each comes, in parts of the sum. Those that wait for a clock are rarer. */
const acts: readonly (readonly [name: string, weight: number, act: Act])[] = [
  ["push", 4, push],
  ["abort", 2, abort],
  ["expire", 1, expire],
  ["race", 1, race],
  ["stale confirm", 2, staleConfirm],
  ["rival", 2, rival],
  ["kill in push", 4, killInPush],
  ["kill in confirm", 4, killInConfirm],
  ["leave to guard", 1, leaveToGuard],
  ["kill guard", 2, killGuard],
  ["kill both", 2, killBoth],
  ["reboot", 3, reboot],
  ["foreign table", 2, foreignTable],
  ["wound", 3, wound],
  ["full disk", 3, fullDisk],
];

/** One act by its weight. */
export function choose(random: Episode["random"]): (typeof acts)[number] {
  let at = random(acts.reduce((sum, [, weight]) => sum + weight, 0));
  for (const one of acts) {
    at -= one[1];
    if (at < 0) return one;
  }
  throw new Error("no act");
}
