/**
 * Notices within two seconds that somebody else changed the ruleset, and within a minute everything else. It reports:
 * to the log, and through status. It acts in two cases only: a foreign rule that may drop a lane ends the trial, and a
 * flushed table of ours is loaded again where the intent says so.
 */
import type { Desired } from "../schemas/desired.ts";
import type { Agent } from "./agent.ts";
import { scopeOf } from "./core/normal.ts";
import type { Drift } from "./drift.ts";
import type { OnTrial } from "./work.ts";

const LOOK_MS = 1000;
/** What raises no ruleset generation is found at the latest after this. */
const FULL_MS = 60_000;
/** A ruleset that never rests costs at most this share of the time. */
const REST = 5;

type Scene = {
  readonly key: string;
  readonly desired: Desired;
  readonly work: OnTrial | undefined; // on trial
};

/** What is in force, in the states that last; undefined while something is under way. */
function sceneOf(agent: Agent): Scene | undefined {
  const state = agent.runner.state();
  if (state.name === "trial") {
    const work = agent.current();
    return work === undefined ? undefined : { key: `trial ${work.trial.token}`, desired: work.desired, work };
  }
  const { lkg, lkgEpoch } = agent.store.record();
  const kept = state.name === "idle" && lkg !== null ? agent.standing.kept() : null;
  if (lkg === null || kept === null) return undefined;
  return { key: `kept ${lkg.directive} ${lkgEpoch}`, desired: kept.desired, work: undefined };
}

/** Says each state of things once. */
function createTeller(agent: Agent) {
  let drift = "";
  let outside = "";
  let failed = "";
  return {
    drift(now: Drift, stage: string): void {
      if (now.detail === drift) return;
      drift = now.detail;
      if (now.drift) agent.host.log("drift", { stage, detail: now.detail.slice(0, 600) });
      else agent.host.log("drift.gone", { stage });
    },
    outside(detail: string, stage: string): void {
      if (detail === outside) return;
      outside = detail;
      if (detail === "") agent.host.log("outside.as_confirmed", { stage });
      else agent.host.log("outside.changed", { stage, detail: detail.slice(0, 600) });
    },
    failure(detail: string): void {
      if (detail !== failed && detail !== "") agent.host.log("watch.failed", { detail });
      failed = detail;
    },
  };
}

/** A trial that a foreign rule may cut off is not worth its window: it ends now. */
async function voidTrial(agent: Agent, work: OnTrial): Promise<void> {
  const drops = await agent.outside.recheck(work);
  if (drops.length === 0) return;
  work.facts.problems = drops;
  await agent.runner.send({ kind: "abort", token: work.trial.token, cause: "outside.foreign_drop" });
}

/** In its turn, so that no push walks meanwhile; it may have found another state by then. */
function loadAgain(agent: Agent, key: string): Promise<boolean> {
  return agent.inTurn(async () => {
    if (sceneOf(agent)?.key !== key) return false;
    const { nft } = await agent.host.kernel.observe({ links: [], addressInterfaces: [], sysctls: [] });
    return nft === "" && (await agent.reassert.run());
  });
}

export function startWatch(agent: Agent): () => void {
  const { host } = agent;
  const tell = createTeller(agent);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let seenKey = "";
  let dueMs = 0;
  let restMs = 0;

  const look = async (scene: Scene, generation: number): Promise<void> => {
    const { key, desired, work } = scene;
    const begun = host.clock.bootMs();
    const seen = await host.kernel.observe(scopeOf(desired, work?.before ?? null));
    const drift = work === undefined ? await agent.drift.kept(desired, seen) : agent.drift.trial(work, seen);
    const outside = await agent.outside.report(desired);
    // What went on meanwhile may be what was seen.
    if (sceneOf(agent)?.key !== key) return;
    const stage = work === undefined ? "kept" : "trial";
    tell.drift(agent.reassert.told(drift), stage);
    tell.outside(outside.detail, stage);
    seenKey = `${key} ${generation}`;
    const now = host.clock.bootMs();
    [dueMs, restMs] = [now + FULL_MS, now + REST * (now - begun)];
    if (work !== undefined) await voidTrial(agent, work);
    else if (seen.nft === "" && desired.foreign?.reassert === true && (await loadAgain(agent, key))) seenKey = "";
  };

  const tick = async (): Promise<void> => {
    const scene = sceneOf(agent);
    if (scene === undefined) return;
    const generation = host.outside.nftGeneration();
    const now = host.clock.bootMs();
    const changed = seenKey !== `${scene.key} ${generation}`;
    const newScene = !seenKey.startsWith(scene.key);
    if (newScene || (changed && now >= restMs) || now >= dueMs) await look(scene, generation);
  };

  let stopped = false;
  const again = (): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      tick()
        .then(() => tell.failure(""))
        .catch((failure) => tell.failure(String(failure).slice(0, 300)))
        .finally(again);
    }, LOOK_MS);
  };
  again();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
