/** The agent as one object: what it stands on, its log, its lifecycle, and the generation on its way. */
import { fromHex } from "../schemas/digest.ts";
import { type Beacons, createBeacons } from "./beacons.ts";
import { type Challenges, createChallenges } from "./challenges.ts";
import type { Event, State } from "./core/lifecycle.ts";
import { createDrift, type DriftOf } from "./drift.ts";
import { createJournal, type Journal } from "./journal.ts";
import { createOutside, type OutsideOf } from "./outside.ts";
import type { Parts } from "./ports.ts";
import { createProbation, type ProbationWatch } from "./probation.ts";
import { createProofs, type Proofs } from "./proofs.ts";
import { createReassert, type Reassert } from "./reassert.ts";
import { createRunner, type Performer, type Runner } from "./runner.ts";
import { createStanding, type Standing } from "./standing.ts";
import { createEffects } from "./trial.ts";
import type { OnTrial } from "./work.ts";

export type Agent = Parts & {
  readonly standing: Standing;
  readonly journal: Journal;
  readonly runner: Runner;
  readonly challenges: Challenges;
  readonly beacons: Beacons;
  readonly proofs: Proofs;
  readonly drift: DriftOf;
  readonly outside: OutsideOf;
  readonly reassert: Reassert;
  /** One after the other: walks of bundles, and what must not meet one. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** The generation on its way, or the last one of this process. */
  current(): OnTrial | undefined;
  begin(work: OnTrial): void;
  readonly probation: ProbationWatch;
  /** Housekeeping once a generation is closed. */
  closed(): void;
};

/** Blobs and files that a restart, a rollback or a late copy may still ask for. */
function prune(parts: Parts, standing: Standing): void {
  const { store } = parts;
  const { lkg, trial, quorum } = store.record();
  const probation = store.probation();
  const waiting = probation === undefined ? [] : [probation.kept, probation.previous];
  const kept = [lkg, trial, ...waiting].filter((one) => one !== null);
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

export type Hooks = {
  readonly rebind: () => Promise<void>;
  readonly probationS?: number; // 0: no generation is ever on probation; 600 when absent
};

const PROBATION_S = 600;

export function createAgent(parts: Parts, hooks: Hooks): Agent {
  const standing = createStanding(parts);
  const journal = createJournal(parts, standing);
  let current: OnTrial | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  // The guard may decide while this process is stopped: the token says so, nobody else would.
  const look = (state: State): Event | undefined => {
    if (state.name === "idle") agent.probation.tick();
    if (state.name !== "trial" || parts.store.decision(state.trial.token) === "undecided") return undefined;
    return { kind: "failed", cause: "agent.heartbeat_lost" };
  };
  const agent: Agent = {
    ...parts,
    standing,
    journal,
    probation: createProbation(
      { ...parts, standing, journal },
      { rebind: hooks.rebind, limitMs: (hooks.probationS ?? PROBATION_S) * 1000 },
    ),
    challenges: createChallenges(parts.host.clock, parts.host.random),
    beacons: createBeacons(parts, standing),
    proofs: createProofs(),
    drift: createDrift(parts),
    outside: createOutside(parts),
    reassert: createReassert({ ...parts, standing }),
    inTurn(work) {
      const next = turn.then(work);
      // Its sender is told; the next one has its turn all the same.
      turn = next.catch(() => {});
      return next;
    },
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
  const perform: Performer["perform"] = createEffects({
    ...agent,
    interrupted: agent.runner.interrupted,
    rebind: hooks.rebind,
  });
  return agent;
}
