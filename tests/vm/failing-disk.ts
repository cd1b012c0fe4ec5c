/** A disk that begins to fail: from some write on every request ends with an input/output error (QEMU's blkdebug). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStatement } from "../../agent/core/dsse.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { Session } from "../agent/operator.ts";
import { crypto } from "../agent/operator.ts";
import { begin, bundleOf, pictureIn, readLog, statusWhere } from "./operator.ts";
import type { Recording } from "./recording.ts";
import { RouterMachine } from "./router-machine.ts";
import { diskOfFirst, type Heard, judgeLife, NOTHING_HEARD } from "./second-life.ts";

const EIO = 5;

/** Rules of blkdebug: a state for each write, and errors in the states from `first` to `first + count`. */
export function rules(first: number, count: number): string {
  const end = first + count;
  const steps = Array.from({ length: end }, (_, i) => i + 1).map(
    (state) => `[set-state]\nevent = "pwritev"\nstate = "${state}"\nnew_state = "${state + 1}"\n`,
  );
  const errors = Array.from({ length: count }, (_, i) => first + 1 + i).map(
    (state) =>
      `[inject-error]\nevent = "pwritev"\niotype = "write"\nstate = "${state}"\nerrno = "${EIO}"\nonce = "on"\n`,
  );
  return [...steps, ...errors].join("\n");
}

/** Pushes the second generation as far as it goes. */
async function pushSecond(session: Session): Promise<Heard> {
  const log = await readLog(session);
  const trial = await begin(session, bundleOf(2)).catch(() => undefined);
  if (trial === undefined) return { ...NOTHING_HEARD, log };
  const seen = await readLog(session).catch(() => log);
  const answer = await session.confirm(trial.directive, trial.nonce).catch(() => undefined);
  const opened = answer === undefined ? undefined : openStatement(crypto, "receipt", answer.receipt);
  const outcome: Receipt["outcome"] | "" = opened?.ok === true ? opened.value.message.outcome : "";
  return {
    ...{ trial, sent: true, log: seen },
    outcome: outcome === "confirmed" || outcome === "rolled_back" ? outcome : "",
  };
}

export type Failure = { readonly first: number; readonly count: number };

/**
 * Boots the disk of the first generation, lets `count` writes fail after the `first` ones, and pushes. While the disk
 * fails the kernel must hold one whole generation; afterwards, on a disk that is well, the router must keep what the
 * operator heard. Returns what became of the push.
 */
export async function pushOnFailingDisk(recording: Recording, folder: string, failure: Failure): Promise<string> {
  const disk = diskOfFirst(recording, folder);
  const config = join(folder, "blkdebug");
  writeFileSync(config, rules(failure.first, failure.count));
  const machine = await RouterMachine.boot(recording.image, {
    state: disk,
    disk: [
      ...["-blockdev", `driver=file,filename=${disk},node-name=below`],
      ...["-blockdev", `driver=blkdebug,image=below,config=${config},node-name=state`],
    ],
  });
  let heard: Heard = NOTHING_HEARD;
  try {
    const up = await machine.untilUp(90_000).then(
      () => true,
      () => false,
    );
    // A disk that fails in the boot may leave no agent; the scripts hold the rescue ruleset or the generation then.
    if (up) {
      const session = recording.session.over(machine.send);
      await statusWhere(session, () => true, 60_000).catch(() => undefined);
      heard = await pushSecond(session).catch(() => NOTHING_HEARD);
      await statusWhere(session, (one) => one.pending === null, 60_000).catch(() => undefined);
      const picture = await pictureIn(machine, recording.links);
      const whole = [1n, 2n].filter((one) => recording.pictures.get(one) === picture);
      if (heard.outcome === "confirmed" && !whole.includes(2n)) throw new Error(`confirmed, but it runs\n${picture}`);
      if (whole.length === 0) throw new Error(`the kernel holds no whole generation:\n${picture}`);
    }
  } finally {
    await machine.cut();
  }
  // As every boot of a distribution does before it mounts a disk that had errors.
  Bun.spawnSync(["e2fsck", "-fy", disk], { stdout: "ignore", stderr: "ignore" });
  await judgeLife(recording, disk, folder, heard);
  return heard.trial === undefined ? "not begun" : heard.outcome === "" ? "no answer" : heard.outcome;
}
