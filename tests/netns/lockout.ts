/**
 * One push that cuts the operator off, and everything that is measured about the way back: when the lane fell
 * silent, when it answered again, and whether the kernel is what it was.
 */
import type { IntentInput } from "../../schemas/intent.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { Answer } from "./operator.ts";
import { Watch } from "./reach.ts";
import { API_PORT, ROUTER4, writeIntent } from "./sites.ts";
import type { Stage } from "./stage.ts";

export type LockOut = {
  readonly push: Answer;
  readonly trial: Receipt;
  readonly rolledBack: Receipt;
  readonly cutBootMs: number; // the lane was silent for the first time
  readonly backBootMs: number; // packets passed both ways again
  readonly stateBefore: string;
  readonly stateAfter: string;
};

export type LockOutOptions = {
  readonly intent: IntentInput; // valid, and it cuts the operator off
  readonly address?: string; // of the lane that is watched; the management address when absent
  readonly words?: readonly string[]; // more words for push
  /** What goes wrong besides, once the trial stands. Runs while the command line still tries to confirm. */
  readonly during?: (trial: Receipt) => Promise<void>;
};

/** Pushes, waits for the end, and leaves the site's intent as it was before. */
export async function lockOut(stage: Stage, good: IntentInput, options: LockOutOptions): Promise<LockOut> {
  const { operator, units, observer, world } = stage;
  const count = units.receipts().length;
  const before = await observer.snapshot();
  const watch = new Watch(world, operator.space, options.address ?? ROUTER4, API_PORT);
  try {
    await watch.until((one) => one.state === "open", 5000);
    writeIntent(operator.site, options.intent);
    const pushed = operator.ask("push", "--yes", ...(options.words ?? []));
    const trial = await units.untilReceipt((one) => one.outcome === "trial", 30_000, count);
    const cut = await watch.until((one) => one.state === "silent", 5000);
    await options.during?.(trial);
    const back = await watch.until((one) => one.state !== "silent" && one.atBootMs > cut.atBootMs, 40_000);
    const rolledBack = await units.untilReceipt((one) => one.outcome === "rolled_back", 30_000, count);
    await units.untilDisarmed(10_000);
    const push = await pushed;
    const [stateBefore, stateAfter] = observer.texts(before, await observer.snapshot());
    return {
      push,
      trial,
      rolledBack,
      cutBootMs: cut.atBootMs,
      backBootMs: back.atBootMs,
      stateBefore,
      stateAfter,
    };
  } finally {
    watch.stop();
    writeIntent(operator.site, good);
  }
}

/** The boot time by which the operator must be back: window and five seconds (design §1, P1). */
export const promised = (lockedOut: LockOut): number => Number(lockedOut.trial.deadline_boot_ms) + 5000;
