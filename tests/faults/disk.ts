/** System errors of the disk at every step that makes something durable. */

import { goOn, type Place, settle, walkTo } from "./kill.ts";
import type { Action } from "./points.ts";
import type { Rig } from "./rig.ts";
import { isDecided, type Wrong, wrongs } from "./truth.ts";

export const ERRORS = ["ENOSPC", "EROFS", "EIO"] as const satisfies readonly Action[];

/** True when the step before which the point lies is one that a disk can refuse. */
export const isDiskStep = ({ point }: Place): boolean =>
  / (write|flush|sync|rename|link|replace|remove|drop|disarm|confirmed|rolled-back)$/.test(point);

/** Everything that touches links, addresses, routes, rules or rulesets during the work, as the kernel tells it. */
export async function kernelEvents(rig: Rig, work: () => Promise<unknown>): Promise<readonly string[]> {
  const { world, router } = rig.w;
  const said: string[] = [];
  const watch = async (argv: readonly string[]) => {
    // What nft has to say about events that it cannot show is no event.
    const child = world.spawn(router, ["sh", "-c", 'exec stdbuf -oL "$@" 2>/dev/null', "sh", ...argv]);
    void (async () => {
      for (;;) {
        const line = await child.out.next();
        if (line.done === true) return;
        said.push(line.value);
      }
    })();
    return child;
  };
  const children = [
    await watch(["ip", "monitor", "link", "address", "route", "rule"]),
    await watch(["nft", "monitor"]),
  ];
  const generation = async () =>
    (await rig.host.kernel.observe({ links: [], addressInterfaces: [], sysctls: [] })).nftGeneration;
  const before = await generation();
  await work();
  if ((await generation()) !== before) said.push("the ruleset has another generation");
  for (const child of children) child.kill();
  await Promise.all(children.map((child) => child.exited));
  return said;
}

/** The step is refused by the disk once; tells what is wrong when all is quiet again. */
export async function failAt(rig: Rig, { path, point, nth }: Place, error: Action): Promise<readonly Wrong[]> {
  const walk = await walkTo(rig, path);
  const found: Wrong[] = [];
  rig.arm(error, { point, nth });
  let ended = false;
  const died = rig.w.units.agentEnded().then(() => {
    ended = true;
  });
  const going = walk.go().catch(() => {});
  const events = await kernelEvents(rig, () => Promise.race([died, going]));
  rig.disarm();
  if (ended) {
    found.push({ kind: "router", what: `the agent died: ${rig.w.units.log("agent.log").slice(-300)}` });
    await rig.w.units.startAgent();
  }
  if (!rig.hit) found.push({ kind: "router", what: `${path} does not pass "${point}" ${nth} times` });
  if (walk.push !== undefined && rig.newest(walk.push) === "trial" && !isDecided(rig, walk.push))
    await settle(rig, walk);
  await rig.idle();
  const confirmed = isDecided(rig, walk.push);
  if (path !== "confirm" && confirmed) found.push({ kind: "mix", what: "kept without a confirm" });
  const refused = walk.push === undefined || rig.w.units.record().generation !== walk.push.opened.message.generation;
  if (refused && events.length > 0) found.push({ kind: "mix", what: `refused, but the kernel tells ${events[0]}` });
  found.push(...(await wrongs(rig, walk.from, walk.push, confirmed)));
  if (confirmed && walk.push !== undefined) rig.nowKept(walk.push);
  return [...found, ...(await goOn(rig))];
}
