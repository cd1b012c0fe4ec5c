/** Deaths of the agent, and of the scripts that it runs, at every passing of every point of each path. */
import { receiptOf } from "../agent/operator.ts";
import { type Passing, passings } from "./points.ts";
import type { OnTrial, Push, Rig } from "./rig.ts";
import { type Before, before, isDecided, type Wrong, wrongs } from "./truth.ts";

/** What the router is doing when it dies. keys: it makes keys for a new network; nothing is pushed. */
export const PATHS = ["apply", "confirm", "rollback", "keys"] as const;
export type Path = (typeof PATHS)[number];

export type Place = Passing & { readonly path: Path };

/** agent: init starts it again. router: everything is gone and boots. */
export type Restart = "agent" | "router";

/** One walk of a path. */
export type Walk = {
  readonly from: Before;
  /** What is pushed, as soon as it is signed. */
  push: Push | undefined;
  /** The path itself. Throws when the agent dies or refuses. */
  go(): Promise<void>;
};

let spare = 0;

/** Goes up to where the path begins. */
export async function walkTo(rig: Rig, path: Path): Promise<Walk> {
  const from = before(rig);
  const trial: OnTrial | undefined = path === "confirm" || path === "rollback" ? await rig.begin() : undefined;
  const walk: Walk = {
    from,
    push: trial,
    async go() {
      if (path === "keys") {
        spare += 1;
        await rig.w.session.keys([`spare${spare}`]);
      } else if (trial === undefined) {
        walk.push = await rig.sign();
        await rig.submit(walk.push);
        await rig.standing(walk.push);
      } else {
        await rig.confirm(trial, path === "confirm" ? "commit" : "abort");
        await rig.idle();
      }
    },
  };
  return walk;
}

/** What a walk left is undone, or remembered as what runs now. */
export async function settle(rig: Rig, { push }: Walk): Promise<void> {
  if (push === undefined) return;
  if (rig.newest(push) === "trial") await rig.undo(push);
  if (isDecided(rig, push)) rig.nowKept(push);
}

/** Every passing of every path, from one run of each that goes well. */
export async function matrix(rig: Rig): Promise<readonly Place[]> {
  const all: Place[] = [];
  for (const path of PATHS) {
    const walk = await walkTo(rig, path);
    const trace = await rig.trace(() => walk.go());
    await settle(rig, walk);
    all.push(...passings(trace).map((passing) => ({ ...passing, path })));
  }
  return all;
}

/** The next push is accepted and confirmed, and nothing of the one before lies about any more. */
export async function goOn(rig: Rig): Promise<readonly Wrong[]> {
  await rig.keep();
  const left = rig.leftovers();
  return left.length === 0 ? [] : [{ kind: "router", what: `left over: ${left.slice(0, 5).join(" ")}` }];
}

/** Dies at that place, starts again, and tells what is wrong afterwards. */
export async function killAt(rig: Rig, { path, point, nth }: Place, restart: Restart): Promise<readonly Wrong[]> {
  const { units } = rig.w;
  const walk = await walkTo(rig, path);
  rig.arm("kill", { point, nth });
  const died = units.agentEnded().then(() => true);
  const gone = walk.go().then(
    () => false,
    // An answer that does not come: the death itself may take a moment longer to be seen.
    () => Promise.race([died, Bun.sleep(20_000).then(() => false)]),
  );
  const dead = await Promise.race([died, gone]);
  rig.disarm();
  if (!dead) {
    await settle(rig, walk);
    return [{ kind: "router", what: `${path} does not pass "${point}" ${nth} times` }];
  }
  const confirmed = isDecided(rig, walk.push);
  if (restart === "router") {
    await rig.cutPower();
    await units.powerUp();
  } else await units.startAgent();
  await rig.idle();
  const found = [...(await wrongs(rig, walk.from, walk.push, confirmed))];
  if (walk.push !== undefined && isDecided(rig, walk.push)) rig.nowKept(walk.push);
  // Whoever asks again is told the same.
  const told = rig.closing(walk.push);
  if (walk.push !== undefined && told !== "") {
    const again = receiptOf((await rig.w.session.submit(walk.push.opened)).receipt).outcome;
    if (again !== told) found.push({ kind: "receipt", what: `the answer says ${again}, the log ${told}` });
  }
  return [...found, ...(await goOn(rig))];
}
