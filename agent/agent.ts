/** The agent as one object: what it stands on, its log, its lifecycle, and the generation on its way. */
import { fromHex } from "../schemas/digest.ts";
import { type Beacons, createBeacons } from "./beacons.ts";
import { type Challenges, createChallenges } from "./challenges.ts";
import type { Event, State } from "./core/lifecycle.ts";
import { createJournal, type Journal } from "./journal.ts";
import type { Parts } from "./ports.ts";
import { createRunner, type Runner } from "./runner.ts";
import { createStanding, type Standing } from "./standing.ts";
import { createEffects } from "./trial.ts";
import type { OnTrial } from "./work.ts";

export type Agent = Parts & {
  readonly standing: Standing;
  readonly journal: Journal;
  readonly runner: Runner;
  readonly challenges: Challenges;
  readonly beacons: Beacons;
  /** The generation on its way, or the last one of this process. */
  current(): OnTrial | undefined;
  begin(work: OnTrial): void;
  /** Housekeeping once a generation is closed. */
  closed(): void;
};

/** Blobs and files that a restart, a rollback or a late copy may still ask for. */
function prune(parts: Parts, standing: Standing): void {
  const { store } = parts;
  const { lkg, trial, quorum } = store.record();
  const kept = [lkg, trial].filter((one) => one !== null);
  const directives = [...kept.map((one) => one.directive), ...(quorum === "" ? [] : [quorum])];
  const messages = directives.flatMap((digest) => standing.directive(digest)?.message ?? []);
  const blobs = messages.flatMap((one) =>
    [one.intent_digest, one.inventory_digest, one.secrets_digest].map((digest) => digest.toHex()),
  );
  const generations = [...kept.map((one) => one.desired), ...messages.map((one) => one.desired_digest.toHex())];
  store.prune({ generations, blobs, directives });
}

/** Codes that failures carry when the host or the store throws. */
function causeOf(failure: unknown): string {
  const { code } = failure as NodeJS.ErrnoException;
  return typeof code === "string" && fromHex(code) === undefined ? "agent.storage" : "agent.failure";
}

export type Hooks = { readonly rebind: () => Promise<void> };

export function createAgent(parts: Parts, hooks: Hooks): Agent {
  const standing = createStanding(parts);
  const journal = createJournal(parts, standing);
  let current: OnTrial | undefined;
  // The guard may decide while this process is stopped: the token says so, nobody else would.
  const look = (state: State): Event | undefined => {
    if (state.name !== "trial" || parts.store.decision(state.trial.token) === "undecided") return undefined;
    return { kind: "failed", cause: "agent.heartbeat_lost" };
  };
  const agent: Agent = {
    ...parts,
    standing,
    journal,
    challenges: createChallenges(parts.host.clock, parts.host.random),
    beacons: createBeacons(parts, standing),
    current: () => current,
    begin(work) {
      current = work;
    },
    closed() {
      try {
        prune(parts, standing);
      } catch (failure) {
        // Old files cost room only; the next closing tries again.
        parts.host.log("prune.failed", { detail: String(failure).slice(0, 300) });
      }
    },
    runner: createRunner(parts.host.clock, parts.host.log, {
      perform: (effect, state) => perform(effect, state),
      causeOf,
      look,
    }),
  };
  const perform = createEffects({
    ...agent,
    interrupted: agent.runner.interrupted,
    rebind: hooks.rebind,
  });
  return agent;
}
