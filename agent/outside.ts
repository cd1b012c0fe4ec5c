/**
 * What other programs do to this router: looked at when a change is proven, again before it is kept, and from time to
 * time. A foreign rule that may drop a lane ends a trial; every other change is told, and nothing of others is touched.
 */
import type { Desired } from "../schemas/desired.ts";
import { type Problem, problem } from "../schemas/problem.ts";
import {
  judgeOutside,
  type Outside,
  outsideChanges,
  outsideDigest,
  outsideScope,
  outsideText,
} from "./core/outside.ts";
import { printable } from "./drift.ts";
import type { Parts } from "./ports.ts";
import type { OnTrial } from "./work.ts";

/** How old a look may be that a status shows while the ruleset is the same. */
const FRESH_MS = 60_000;
/** Lines of one answer. */
const LINES_MAX = 20;

export type Look = {
  readonly text: string;
  readonly digest: Uint8Array;
  readonly problems: readonly Problem[]; // lanes in danger, and what could not be read
};

export type OutsideReport = { readonly digest: Uint8Array; readonly changed: boolean; readonly detail: string };

export type OutsideOf = {
  look(desired: Desired): Promise<Look>;
  /**
   * Looks again for a generation on trial. Returns the lanes' new dangers, which end it; other changes since the proof
   * are noted for the receipt.
   */
  recheck(work: OnTrial): Promise<readonly Problem[]>;
  /** From now on changes are told against this look. Never throws: a full disk costs the comparison, not the push. */
  keep(text: string | null): void;
  /** Lines that came and went since the last confirm, for a generation's interfaces. Looks only when it must. */
  changes(desired: Desired): Promise<readonly string[]>;
  /** For status: what differs from the last confirm. Looks only when the ruleset changed or a minute has passed. */
  report(desired: Desired): Promise<OutsideReport>;
};

const isDrop = (one: Problem): boolean => one.code === "outside.foreign_drop";

export function createOutside({ host, store }: Parts): OutsideOf {
  let last: { readonly key: string; readonly atMs: number; readonly look: Look } | undefined;

  const generation = (): number => {
    try {
      return host.outside.nftGeneration();
    } catch {
      return -1; // looked at anew each time, since nothing says that it is the same
    }
  };

  const look = async (desired: Desired): Promise<Look> => {
    const before = generation();
    const seen = await host.outside.look(outsideScope(desired));
    const outside: Outside = judgeOutside(seen, desired);
    const text = outsideText(outside);
    const found: Look = { text, digest: outsideDigest(text), problems: outside.problems };
    last = { key: keyOf(desired, before), atMs: host.clock.bootMs(), look: found };
    return found;
  };
  const keyOf = (desired: Desired, id: number): string =>
    `${id} ${desired.lanes.map((lane) => lane.fingerprint).join(" ")} ${desired.foreign?.accept.join(" ") ?? ""}`;

  const recent = async (desired: Desired): Promise<Look> => {
    const id = generation();
    const fits = last?.key === keyOf(desired, id) && host.clock.bootMs() - last.atMs < FRESH_MS && id >= 0;
    return fits && last !== undefined ? last.look : look(desired);
  };

  const changesIn = ({ text }: Look): readonly string[] => {
    const before = store.outside();
    return before === undefined ? [] : outsideChanges(before, text);
  };

  return {
    look,
    changes: async (desired) => changesIn(await recent(desired)),
    async recheck(work) {
      const { facts, desired } = work;
      const now = await look(desired);
      const drops = now.problems.filter(isDrop);
      const changes = facts.outside === null ? [] : outsideChanges(facts.outside, now.text);
      facts.outsideNow = now.text;
      facts.outsideChanges = changes.slice(0, LINES_MAX).map((line) => problem("outside.changed", "outside", line));
      return drops;
    },
    keep(text) {
      if (text === null) return;
      try {
        if (store.outside() !== text) store.putOutside(text);
      } catch (failure) {
        host.log("outside.not_kept", { detail: String(failure).slice(0, 300) });
      }
    },
    async report(desired) {
      const now = await recent(desired);
      const { digest, problems } = now;
      const lines = [...problems.map((one) => `${one.code} ${one.path}: ${one.detail}`), ...changesIn(now)];
      const more = lines.length > LINES_MAX ? [`and ${lines.length - LINES_MAX} more`] : [];
      const shown = [...lines.slice(0, LINES_MAX), ...more].map((line) => line.slice(0, 300));
      return { digest, changed: lines.length > 0, detail: printable(shown.join("\n"), 4096) };
    },
  };
}
