/**
 * Our table, loaded again after another program flushed it: only where the intent says so, and not for ever, since two
 * programs that undo each other help nobody.
 */
import { type Drift, printable } from "./drift.ts";
import type { Parts } from "./ports.ts";
import type { Standing } from "./standing.ts";

const MOST = 3;
const WITHIN_MS = 600_000;

export type Reassert = {
  /** How often since this process started. */
  count(): number;
  /** The drift, with the word that it is not mended any more. */
  told(drift: Drift): Drift;
  /** Restores the kept generation; false when it has been done too often. Call only while nothing else walks. */
  run(): Promise<boolean>;
};

export function createReassert({ host, standing }: Pick<Parts, "host"> & { readonly standing: Standing }): Reassert {
  let count = 0;
  let times: readonly number[] = [];
  const recent = (): readonly number[] => times.filter((at) => host.clock.bootMs() - at < WITHIN_MS);
  const givenUp = (): boolean => recent().length >= MOST;
  return {
    count: () => count,
    told(drift) {
      if (!drift.drift || !givenUp()) return drift;
      const word = `another program keeps removing our table: loaded again ${MOST} times in ${WITHIN_MS / 60_000} minutes, now left alone`;
      return { drift: true, detail: printable(`${word}\n${drift.detail}`, 4096) };
    },
    async run() {
      if (givenUp()) return false;
      times = [...recent(), host.clock.bootMs()];
      count += 1;
      const cause = "outside.table_lost";
      const { outcome, epoch, detail } = await host.guard.restore(cause, "");
      if (outcome === "restored" && epoch > 0) standing.update({ lkgEpoch: epoch });
      host.log("reassert", { outcome, cause, count, detail: detail.slice(0, 300) });
      return true;
    },
  };
}
