/** The last resort: a router on which nothing of ours runs any more is reset in a trial, and boots what was kept. */
import { begin, bundleOf, readLog, statusWhere } from "./operator.ts";
import type { Recording } from "./recording.ts";
import { RouterMachine } from "./router-machine.ts";
import { diskOfFirst, type Heard, judgeLife } from "./second-life.ts";

/** Seconds that the device waits. Far above the second between two looks of the guard. */
const MARGIN_S = 15;
const OPEN = "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q /dev/watchdog";

/** Nothing of ours runs on, as when the machine hangs. */
const STOP = `for process in /proc/[0-9]*; do
  case $(tr '\\0' ' ' 2>/dev/null <$process/cmdline) in
    *holdfast-guard\\ --state* | /usr/bin/holdfastd*) kill -STOP \${process#/proc/} ;;
  esac
done`;

/**
 * Begins a trial whose window outlasts everything, stops agent and guard, and waits for the reset. Throws when that does
 * not come, or when the router then runs anything but what it kept before.
 */
export async function resetInTrial(recording: Recording, folder: string): Promise<void> {
  const disk = diskOfFirst(recording, folder);
  const modules = [`softdog soft_margin=${MARGIN_S}`];
  const machine = await RouterMachine.boot(recording.image, { state: disk, modules });
  let heard: Heard;
  try {
    await machine.untilUp();
    const session = recording.session.over(machine.send);
    await statusWhere(session, (one) => one.pending === null);
    // At rest nobody has it open: who stops the guard then is not punished by a reset.
    await machine.must(`test -c /dev/watchdog; ! { ${OPEN}; }`);
    const trial = await begin(session, bundleOf(2, { confirm: { window_s: 600, cap_s: 1200 } }));
    heard = { trial, sent: false, outcome: "", log: await readLog(session) };
    await machine.must(`until ${OPEN}; do sleep 0.2; done`);
    await machine.must(STOP);
    const end = await Promise.race([machine.ended, Bun.sleep((MARGIN_S + 60) * 1000).then(() => "no reset")]);
    if (end === "no reset") throw new Error("the watchdog did not reset the router");
  } finally {
    await machine.cut();
  }
  await judgeLife(recording, disk, folder, heard);
}
