/**
 * One life of a router with every write to its disk logged: enrolled, a first generation kept, a second one tried and
 * confirmed, and when wished a third one whose window runs out. What the operator knew at which entry of the log is
 * remembered, since that is what a power cut must not make untrue.
 */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../../schemas/digest.ts";
import type { Session } from "../agent/operator.ts";
import type { Image } from "./image.ts";
import {
  begin,
  bundleOf,
  enrolMachine,
  keep,
  type Log,
  type OnTrial,
  pictureIn,
  push,
  readLog,
  statusWhere,
} from "./operator.ts";
import { makeStateDisk } from "./router-image.ts";
import { RouterMachine } from "./router-machine.ts";
import { type Entry, readWriteLog } from "./write-log.ts";

/** A trial of the recorded life; all numbers are entries of the log that were written at that moment. */
export type Story = {
  readonly generation: bigint;
  readonly token: string;
  readonly directive: string; // digest
  readonly submitted: number;
  readonly tried: number; // the operator saw the trial
  readonly sent: number; // just before the confirm was sent; the same as `tried` for one whose window ran out
  readonly ended: number; // the operator had the verdict
  readonly kept: boolean;
};

export type Recording = {
  readonly image: Image;
  readonly below: string; // the disk before the first entry
  readonly entries: readonly Entry[];
  readonly session: Session;
  readonly links: readonly string[]; // devices of any generation
  readonly pictures: ReadonlyMap<bigint, string>; // the kernel while that generation was kept
  readonly stories: readonly Story[];
  /** The logs that the operator had, and when. */
  readonly told: readonly { readonly after: number; readonly log: Log }[];
  readonly end: number;
};

/** Records a life in `folder`. The machine is cut at the end. */
export async function record(image: Image, folder: string, withRollback: boolean): Promise<Recording> {
  const [below, state, log] = [join(folder, "below"), join(folder, "recorded"), join(folder, "writes")];
  makeStateDisk(below);
  copyFileSync(below, state);
  await Bun.write(log, "");
  const machine = await RouterMachine.boot(image, { state, log });
  const count = (): number => readWriteLog(log).length;
  const told: { after: number; log: Log }[] = [];
  const pictures = new Map<bigint, string>();
  const stories: Story[] = [];
  try {
    await machine.untilUp();
    const session = await enrolMachine(machine);
    const first = await push(session, bundleOf(1));
    const { links } = first;
    const ask = async (): Promise<void> => void told.push({ log: await readLog(session), after: count() });
    const settled = (generation: bigint) =>
      statusWhere(session, (one) => one.pending === null && one.lkg_generation === generation);
    await settled(1n);
    pictures.set(1n, await pictureIn(machine, links));
    await machine.must("sync");
    await ask();

    const tell = async (trial: OnTrial, times: Pick<Story, "submitted" | "tried" | "sent">, kept: boolean) => {
      const { message, digest } = trial.directive;
      const named = { generation: message.generation, token: toHex(trial.nonce), directive: toHex(digest) };
      stories.push({ ...named, ...times, ended: count(), kept });
    };
    const submitted = count();
    const second = await begin(session, bundleOf(2));
    const tried = count();
    await ask();
    const sent = count();
    await keep(session, second);
    await tell(second, { submitted, tried, sent }, true);
    await settled(2n);
    await ask();
    pictures.set(2n, await pictureIn(machine, links));

    if (withRollback) {
      const before = count();
      const third = await begin(session, bundleOf(3));
      const seen = count();
      await ask();
      await settled(2n);
      await tell(third, { submitted: before, tried: seen, sent: seen }, false);
      await ask();
    }
    const end = count();
    await machine.cut();
    return { image, below, entries: readWriteLog(log), session, links, pictures, stories, told, end };
  } catch (failure) {
    throw new Error(`${(failure as Error).stack}\n${machine.said.slice(-30).join("\n")}`);
  } finally {
    await machine.cut();
  }
}
