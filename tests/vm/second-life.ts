/** One more life of a recorded router: its disk before the second generation, and a verdict of what it left. */
import { join } from "node:path";
import { toHex } from "../../schemas/digest.ts";
import { randomOf } from "../campaigns/campaign.ts";
import type { Log, OnTrial } from "./operator.ts";
import type { Recording } from "./recording.ts";
import { readState, writeDisk } from "./state-disk.ts";
import { judge } from "./verdict.ts";
import { cutsOf } from "./write-log.ts";

/** What the operator did and heard in that life. */
export type Heard = {
  readonly trial: OnTrial | undefined;
  readonly sent: boolean; // the confirm
  readonly outcome: "confirmed" | "rolled_back" | ""; // "": no answer came
  readonly log: Log | undefined; // the last one that he saw
};

export const NOTHING_HEARD: Heard = { trial: undefined, sent: false, outcome: "", log: undefined };

/** The state disk while the first generation was kept and nothing was on its way. */
export function diskOfFirst(recording: Recording, folder: string): string {
  const disk = join(folder, "second-life");
  const at = recording.stories[0]!.submitted;
  const { distinct } = cutsOf(recording.entries, { from: at, to: at, parts: 0 }, randomOf("vm", 0, 0));
  writeDisk(recording.below, distinct.at(-1)!.overlay, disk);
  return disk;
}

/** Boots the disk of a life that ended and holds the router to what the operator heard; then it takes a push. */
export async function judgeLife(recording: Recording, disk: string, folder: string, heard: Heard): Promise<void> {
  const { trial, sent, outcome, log } = heard;
  const before = recording.told[0]!.log;
  const stories =
    trial === undefined
      ? []
      : [
          {
            generation: trial.directive.message.generation,
            token: toHex(trial.nonce),
            directive: toHex(trial.directive.digest),
            ...{ submitted: 0, tried: 0, kept: outcome !== "rolled_back" },
            sent: sent ? 0 : Number.POSITIVE_INFINITY,
            ended: outcome === "confirmed" ? 1 : Number.POSITIVE_INFINITY,
          },
        ];
  const life = { ...recording, stories, told: [{ after: 0, log: log ?? before }] };
  await judge(life, { disk, after: 1, state: readState(disk, folder) }, { push: true });
}
