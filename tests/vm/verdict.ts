/** Boots a disk that a power cut left, and holds the router to what it may be now. */
import { toHex } from "../../schemas/digest.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { Session } from "../agent/operator.ts";
import { bundleOf, type Log, pictureIn, push, readLog, statusWhere } from "./operator.ts";
import type { Recording, Story } from "./recording.ts";
import { type Life, RouterMachine } from "./router-machine.ts";
import { decisionOn, recordOn, type StateFolder } from "./state-disk.ts";

/**
 * The generation that this disk keeps: the one of its record, or the one on trial when its token says confirmed.
 * Throws when that is not what the operator's knowledge at that moment lets it be.
 */
export function keptOn(recording: Pick<Recording, "stories">, after: number, state: StateFolder): bigint {
  const chosen = recordOn(state);
  if (chosen === undefined) throw new Error("the disk holds no valid record");
  const { lkg, trial } = chosen.record;
  const confirmed = trial !== null && decisionOn(state, trial.token) === "confirmed";
  const kept = (confirmed ? trial : lkg)?.generation ?? 0n;
  const lowest = recording.stories.findLast((one) => one.kept && after >= one.ended)?.generation ?? 1n;
  const highest = recording.stories.findLast((one) => one.kept && after > one.sent)?.generation ?? 1n;
  if (kept < lowest) throw new Error(`generation ${lowest} was confirmed to the operator, the disk keeps ${kept}`);
  if (kept > highest) throw new Error(`the disk keeps generation ${kept}, nobody had confirmed more than ${highest}`);
  return kept;
}

const fail = (what: string): never => {
  throw new Error(what);
};

/** What the log must say of a trial, whose directive may never have reached the disk. */
function checkStory(story: Story, kept: bigint, receipts: readonly Receipt[]): void {
  const own = receipts.filter((one) => toHex(one.directive_digest) === story.directive);
  const ends = own.filter(({ outcome }) => outcome !== "trial").map(({ outcome }) => outcome);
  const words = `generation ${story.generation}: ${own.map(({ outcome, cause }) => `${outcome} ${cause}`).join(", ")}`;
  if (kept === story.generation) {
    if (ends.length !== 1 || !["confirmed", "unchanged"].includes(ends[0] ?? "")) fail(`kept, but told ${words}`);
  } else if (own.length > 0 && (ends.length !== 1 || ends[0] !== "rolled_back")) fail(`undone, but told ${words}`);
}

/** The receipts that the operator had must still be there, byte for byte. */
function checkTold(recording: Recording, after: number, log: Log): void {
  const had = recording.told.findLast((one) => one.after <= after)?.log.envelopes ?? [];
  for (const [i, envelope] of had.entries()) {
    if (log.envelopes[i] !== envelope) fail(`receipt ${i + 1}, which the operator had, is gone or another one`);
  }
}

/** Waits for the kernel of a generation: routes come a moment after the interfaces that they need. */
export async function untilPicture(machine: RouterMachine, links: readonly string[], wanted: string): Promise<void> {
  const limit = performance.now() + 60_000;
  for (;;) {
    const picture = await pictureIn(machine, links);
    if (picture === wanted) return;
    if (performance.now() > limit) fail(`the kernel is not the kept generation:\n${difference(wanted, picture)}`);
    await Bun.sleep(500);
  }
}

export type Wish = {
  readonly push: boolean;
  readonly life?: Partial<Life>;
  /** More to look at while the machine lives. */
  readonly look?: (machine: RouterMachine, session: Session) => Promise<void>;
};

/** Boots `disk` and checks it; `state` is what was on it. Throws what is wrong. Returns the log of the booted router. */
export async function judge(
  recording: Recording,
  { disk, after, state }: { readonly disk: string; readonly after: number; readonly state: StateFolder },
  wish: Wish,
): Promise<Log> {
  const kept = keptOn(recording, after, state);
  const machine = await RouterMachine.boot(recording.image, { ...wish.life, state: disk });
  try {
    await machine.untilUp();
    const session = recording.session.over(machine.send);
    const status = await statusWhere(session, (one) => one.pending === null);
    if (status.lkg_generation !== kept) fail(`the disk kept ${kept}, the router keeps ${status.lkg_generation}`);
    const said = await machine.must("cat /run/holdfast/boot");
    if (!/^outcome=restored$/m.test(said)) fail(`the boot script: ${said}`);
    const wanted = recording.pictures.get(kept) ?? fail(`no picture of generation ${kept}`);
    await untilPicture(machine, recording.links, wanted);
    const log = await readLog(session);
    for (const story of recording.stories) checkStory(story, kept, log.receipts);
    checkTold(recording, after, log);
    await wish.look?.(machine, session);
    // What was looked at may have burnt generations too.
    const { generation } = await statusWhere(session, (one) => one.pending === null);
    if (wish.push) {
      await push(session, bundleOf(4));
      const now = await statusWhere(session, (one) => one.pending === null);
      if (now.lkg_generation !== generation + 1n) fail(`a push is not kept: ${now.lkg_generation}`);
    }
    return log;
  } catch (failure) {
    throw new Error(`${(failure as Error).message}\n${machine.said.slice(-15).join("\n")}`);
  } finally {
    await machine.cut();
  }
}

/** Lines that only one of two texts has. */
function difference(wanted: string, found: string): string {
  const [a, b] = [wanted.split("\n"), found.split("\n")];
  return [
    ...a.filter((line) => !b.includes(line)).map((line) => `- ${line}`),
    ...b.filter((line) => !a.includes(line)).map((line) => `+ ${line}`),
  ].join("\n");
}
