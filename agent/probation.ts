/**
 * Probation of a kept generation through its first reboot. After a boot in which nothing that it had reached answers
 * and no operator comes, the generation before it is tried, and stays only when it reaches what the other did not.
 * Every step is a record that names one of two confirmed generations, so power may go at any of them.
 */
import { toHex } from "../schemas/digest.ts";
import { lost, type Marks, probeReports } from "./core/health.ts";
import { hasWayBack, judgeBoot, type Probation } from "./core/health-probation.ts";
import { confine, probesNow } from "./health.ts";
import type { Journal } from "./journal.ts";
import type { Parts } from "./ports.ts";
import { hexBytes, type Standing } from "./standing.ts";
import { observedNow } from "./trial-receipt.ts";
import type { OnTrial } from "./work.ts";

/** Between two looks at the probes of a boot on probation. */
const LOOK_MS = 15_000;

/** Notes of the run folder, good for the boot that they name: what was confirmed in it; when its probation began. */
const CONFIRMED = "probation.confirmed";
const SINCE = "probation.since";

const bootOf = ({ host }: Parts): string => toHex(host.clock.bootId());
const putNote = (parts: Parts, name: string, text: string): void =>
  parts.store.putNote(name, `${bootOf(parts)} ${text}`);

/** The note, when this boot wrote it. */
function noteOf(parts: Parts, name: string): string | undefined {
  const [boot, text] = parts.store.note(name)?.split(" ") ?? [];
  return boot === bootOf(parts) ? text : undefined;
}

/** Called before the record names a generation as kept. What cannot be written costs the way back, not the confirm. */
export function beginProbation(parts: Parts, { named, plan, facts }: OnTrial): void {
  const { store, host } = parts;
  const { lkg } = store.record();
  // Decided by a process that died since: it named the way back before anything counted, or nobody knows one.
  if (plan === null && store.probation()?.kept.desired === named.desired) return;
  const probes = [...facts.looks.after].flatMap(([id, passed]) => (passed ? [id] : []));
  const way = lkg !== null && lkg.desired !== named.desired && hasWayBack(plan, probes);
  try {
    if (way) putNote(parts, CONFIRMED, named.desired);
    store.putProbation(way ? { kept: named, previous: lkg, probes, phase: "waiting" } : null);
  } catch (failure) {
    host.log("probation.failed", { detail: String(failure).slice(0, 300) });
  }
}

export type ProbationWatch = {
  /** At the start of a process, once the record is whole. */
  start(): void;
  /** An operator's request was answered. */
  contact(): void;
  /** From time to time, while no trial is on its way. */
  tick(): void;
  /** True while the generation before is being tried: no push begins. */
  falling(): boolean;
};

type Kit = Parts & { readonly standing: Standing; readonly journal: Journal };
type Ways = { readonly rebind: () => Promise<void>; readonly limitMs: number };

export function createProbation(kit: Kit, { rebind, limitMs }: Ways): ProbationWatch {
  const { host, store, standing, journal } = kit;
  let watching: { sinceMs: number; looks: number; nextMs: number } | undefined;
  let busy = false;
  let falling = false;

  const over = (why: string): void => {
    watching = undefined;
    falling = false;
    host.log("probation.over", { why });
    try {
      store.putProbation(null);
    } catch (failure) {
      // The file stays, and the next boot is one on probation again.
      host.log("probation.failed", { detail: String(failure).slice(0, 300) });
    }
  };

  /** An operator's tunnel that came up since the devices were made, which was in this boot. */
  const hasHandshake = async (generation: Probation["kept"]): Promise<boolean> => {
    const links = store.readGeneration(generation)?.links.filter((one) => one.network === "rescue") ?? [];
    const scope = { links: links.map((one) => one.name), addressInterfaces: [], sysctls: [] };
    const seen = await host.kernel.observe(scope);
    return seen.links.some((link) => link.peers.some((peer) => peer.handshakeUnixS > 0));
  };

  const probesOf = async ({ probes }: Probation, generation: Probation["kept"]): Promise<Marks> => {
    const desired = store.readGeneration(generation);
    const named = store.readGeneration(store.probation()?.kept ?? generation)?.probes ?? [];
    if (desired === undefined) return new Map();
    return probesNow(
      kit,
      desired,
      named.filter(({ id }) => probes.includes(id)),
    );
  };

  /** Makes the record name it, and asserts that by the script. True when it is in force. */
  const assert = async (generation: Probation["kept"], cause: string): Promise<boolean> => {
    standing.update({ lkg: generation });
    const restored = await host.guard.restore(cause, "").catch((failure: unknown): undefined => {
      host.log("restore.failed", { detail: String(failure).slice(0, 300) });
    });
    if (restored === undefined) return false;
    if (restored.outcome === "restored" && restored.epoch > 0) standing.update({ lkgEpoch: restored.epoch });
    await rebind();
    return restored.outcome === "restored";
  };

  const tell = async (probation: Probation, restored: Marks): Promise<void> => {
    const { kept, previous } = probation;
    const before: Marks = new Map(probation.probes.map((id) => [id, true]));
    const after: Marks = new Map(probation.probes.map((id) => [id, false]));
    const holders = journal.newest(hexBytes(kept.directive))?.message.signers ?? [];
    confine(kit, { named: kept, holders }, "probation.no_contact");
    const detail = `passed when generation ${kept.generation} was confirmed, failed after its reboot`;
    const desired = store.readGeneration(previous) ?? null;
    journal.append({
      ...{ outcome: "rolled_back", cause: "probation.no_contact", generation: kept.generation },
      directive_digest: hexBytes(kept.directive),
      desired_digest: hexBytes(kept.desired),
      observed_digest: await observedNow(kit, store.record().lkgEpoch, desired),
      problems: lost(before, after).map((id) => ({ code: "probation.no_contact", path: `probe ${id}`, detail })),
      probes: probeReports({ before, after, restored }),
      quarantined: store.quarantine().entries.some((one) => one.desired === kept.desired),
    });
  };

  /** From whatever phase the file names to its end. Throws or returns early when it must be repeated. */
  const fallBack = async (): Promise<void> => {
    let probation = store.probation();
    if (probation === undefined) return over("nothing to fall back to");
    const { kept, previous, phase } = probation;
    const whole = store.readGeneration(previous) !== undefined;
    if (!whole && phase === "waiting") return over("the generation before is damaged");
    if (whole && phase !== "returning") {
      // The same content may have been pushed again since: what is kept now is what there is to come back to.
      if (phase === "waiting") probation = { ...probation, kept: store.record().lkg ?? kept, phase: "trying" };
      store.putProbation(probation);
      falling = true;
      host.log("probation.trying", { generation: Number(previous.generation) });
      if (await assert(previous, "probation.no_contact")) {
        const marks = await probesOf(probation, previous);
        if ([...marks.values()].includes(true)) {
          await tell(probation, marks);
          return over("the generation before stays");
        }
      }
    }
    if (phase !== "returning") store.putProbation({ ...probation, phase: "returning" });
    // It does no better: then the world outside is to blame, and what was confirmed is put back.
    if (await assert(probation.kept, "probe.inconclusive")) over("the generation before does no better");
  };

  /** One look of a boot on probation. */
  const look = async (state: NonNullable<typeof watching>): Promise<void> => {
    const probation = store.probation();
    if (probation === undefined) {
      watching = undefined;
      return;
    }
    const marks = await probesOf(probation, probation.kept);
    const contact = await hasHandshake(probation.kept);
    state.looks += 1;
    // An operator may have come meanwhile.
    if (watching !== state) return;
    const nowMs = host.clock.bootMs();
    const verdict = judgeBoot({
      ...{ contact, passed: [...marks.values()].includes(true), looks: state.looks },
      ...{ nowMs, deadlineMs: state.sinceMs + limitMs },
    });
    if (verdict === "survived") return over(contact ? "an operator came" : "a probe passed");
    state.nextMs = Math.min(nowMs + LOOK_MS, Math.max(nowMs, state.sinceMs + limitMs));
    if (verdict === "fall-back") await fallBack();
  };

  return {
    start() {
      const probation = store.probation();
      const { lkg } = store.record();
      if (probation === undefined) return;
      // What was begun is ended, also where probation was switched off since.
      falling = probation.phase !== "waiting";
      if (falling || limitMs === 0) return;
      if (lkg?.desired !== probation.kept.desired) return over("another generation is kept");
      if (noteOf(kit, CONFIRMED) === probation.kept.desired) return;
      // A process that starts again in the same boot goes on counting.
      const note = Number(noteOf(kit, SINCE) ?? "");
      const sinceMs = Number.isFinite(note) && note > 0 ? note : host.clock.bootMs();
      putNote(kit, SINCE, String(sinceMs));
      watching = { sinceMs, looks: 0, nextMs: 0 };
      host.log("probation.watching", {
        generation: Number(probation.kept.generation),
        boot: toHex(host.clock.bootId()),
      });
    },
    contact() {
      if (watching !== undefined && !falling) over("an operator came");
    },
    tick() {
      if (busy) return;
      const due = watching !== undefined && host.clock.bootMs() >= watching.nextMs;
      if (!falling && !due) return;
      busy = true;
      const work = falling || watching === undefined ? fallBack() : look(watching);
      void work
        .catch((failure) => host.log("probation.failed", { detail: String(failure).slice(0, 300) }))
        .finally(() => {
          busy = false;
        });
    },
    falling: () => falling,
  };
}
