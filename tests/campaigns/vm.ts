/**
 * `npm run vm -- --seed N --scenarios M`: power cuts of a recorded life, through apply, confirm and rollback. All cuts
 * are collapsed to what they leave in the state folder; scenario k boots the k-th of these in a seeded order and holds
 * the router to it; past the last of them the power is cut once more, somewhere on the way up. Every fifth
 * scenario is of another kind: a disk whose writes begin to fail, a router on which nothing runs any more, one that comes
 * back in 1970. Another run records another life, so `--only k` finds the like of a case and not the same bytes; the disk
 * of a case that missed is kept in out/vm.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../.ci/stale.ts";
import { takeLock } from "../netns/lock.ts";
import { type Failure, pushOnFailingDisk } from "../vm/failing-disk.ts";
import { tunnelAfter1970 } from "../vm/no-clock.ts";
import { type Recording, record } from "../vm/recording.ts";
import { buildRouterImage } from "../vm/router-image.ts";
import { RouterMachine } from "../vm/router-machine.ts";
import { readState, type StateFolder, writeDisk } from "../vm/state-disk.ts";
import { judge, keptOn } from "../vm/verdict.ts";
import { resetInTrial } from "../vm/watchdog.ts";
import { type Cut, cutsOf, readWriteLog } from "../vm/write-log.ts";
import { type Campaign, type Random, randomOf, readOptions, runCampaign } from "./campaign.ts";

type Case = { readonly cut: Cut; readonly state: StateFolder; readonly path: string };

/** Which part of a life a cut fell into. */
function pathOf({ stories }: Recording, after: number): string {
  const story = stories.findLast((one) => after >= one.submitted);
  if (story === undefined || after > story.ended) return "between";
  if (after <= story.tried) return "apply";
  return story.kept ? "confirm" : "rollback";
}

/** One cut for each content of the state folder, in a seeded order that takes turns between the paths. */
function casesOf(recording: Recording, folder: string, seed: number): readonly Case[] {
  const random = randomOf("vm", seed, 0);
  const from = recording.stories[0]?.submitted ?? 0;
  const { tried, distinct } = cutsOf(recording.entries, { from, to: recording.end, parts: 2 }, random);
  const byContent = new Map<string, Case>();
  for (const cut of distinct) {
    const disk = join(folder, "cut");
    writeDisk(recording.below, cut.overlay, disk);
    const state = readState(disk, folder);
    keptOn(recording, cut.after, state);
    const path = pathOf(recording, cut.after);
    if (!byContent.has(state.digest)) byContent.set(state.digest, { cut, state, path });
  }
  const paths = Map.groupBy(byContent.values(), ({ path }) => path);
  const sizes = [...paths].map(([path, cases]) => `${path} ${cases.length}`).join(", ");
  console.error(`vm: cuts=${tried} disks=${distinct.length} states=${byContent.size} (${sizes})`);
  const queues = [...paths.values()].map((cases) =>
    cases.map((one) => ({ one, place: random(2 ** 31) })).sort((a, b) => a.place - b.place),
  );
  const longest = Math.max(...queues.map((queue) => queue.length));
  return Array.from({ length: longest }, (_, i) => queues.flatMap((queue) => queue[i]?.one ?? [])).flat();
}

/** Boots a disk, and cuts the power again somewhere on the way up. Returns the disk that is left. */
async function cutAgain(disk: string, random: (below: number) => number): Promise<string> {
  const [before, log, left] = [join(folder, "before"), join(folder, "writes-again"), join(folder, "cut-again")];
  copyFileSync(disk, before);
  writeFileSync(log, "");
  const machine = await RouterMachine.boot(recording.image, { state: disk, log });
  try {
    await machine.untilUp();
  } finally {
    await machine.cut();
  }
  const entries = readWriteLog(log);
  const at = random(entries.length + 1);
  const { distinct } = cutsOf(entries, { from: at, to: at, parts: 2 }, random);
  const cut = distinct[random(distinct.length)];
  if (cut === undefined) throw new Error("no cut");
  writeDisk(before, cut.overlay, left);
  return left;
}

const tell = (what: string): void => console.error(`vm: ${what}`);

async function onFailingDisk(failure: Failure): Promise<void> {
  const words = `${failure.count} writes fail after ${failure.first}`;
  try {
    tell(`${words}: the push is ${await pushOnFailingDisk(recording, folder, failure)}`);
  } catch (error) {
    throw new Error(`${words}: ${(error as Error).message}`);
  }
}

/** What a power cut cannot show, in turns: every fifth scenario is one of these. */
const OTHER_EVERY = 5;
const others: readonly ((random: Random) => Promise<void>)[] = [
  (random) => onFailingDisk({ first: 60 + random(200), count: 1 + random(20) }),
  () => resetInTrial(recording, folder),
  (random) => onFailingDisk({ first: 20 + random(240), count: 400 }),
  async () => tell(`without a clock the tunnel was up after ${await tunnelAfter1970(recording, folder)} s`),
];

let recording: Recording;
let cases: readonly Case[] = [];
let folder = "";

const campaign: Campaign = {
  name: "vm",
  size: "scenarios",
  cases: 40,
  async setUp() {
    const release = await takeLock();
    folder = mkdtempSync(join(tmpdir(), "holdfast-vm-"));
    mkdirSync(join(root, "out/vm"), { recursive: true });
    const close = (): void => {
      release();
      rmSync(folder, { recursive: true, force: true });
    };
    try {
      const options = readOptions(campaign, process.argv.slice(2));
      if (typeof options === "string") throw new Error(options);
      recording = await record(buildRouterImage(folder), folder, true);
      cases = casesOf(recording, folder, options.seed);
    } catch (failure) {
      close();
      throw failure;
    }
    return close;
  },
  async one({ index, random }) {
    if (index % OTHER_EVERY === OTHER_EVERY - 1) {
      await others[Math.floor(index / OTHER_EVERY) % others.length]!(random);
      return { good: 1 };
    }
    const nth = index - Math.floor(index / OTHER_EVERY);
    const again = nth >= cases.length;
    const found = cases[nth % cases.length];
    if (found === undefined) throw new Error("no cut left anything");
    const first = join(folder, "cut");
    writeDisk(recording.below, found.cut.overlay, first);
    const disk = again ? await cutAgain(first, random) : first;
    const kept = join(root, "out/vm", `missed-${index}.ext4`);
    copyFileSync(disk, kept);
    try {
      const state = again ? readState(disk, folder) : found.state;
      await judge(recording, { disk, after: found.cut.after, state }, { push: index % 4 === 0 });
    } catch (failure) {
      const times = again ? ", and again while the router came up" : "";
      const place = `${found.path}, cut after ${found.cut.after} (${found.cut.part})${times}`;
      throw new Error(`${place}: ${(failure as Error).message}\nits disk: ${kept}`);
    }
    rmSync(kept);
    return { good: 1 };
  },
  line: ({ good = 0 }, ran) => ({ scenarios: ran, failed: ran - good }),
};

if (import.meta.main) {
  const args = process.argv.slice(2);
  const options = readOptions(campaign, args);
  const seeded = typeof options === "string" || args.includes("--seed") ? args : [...args, "--seed", `${options.seed}`];
  process.argv.splice(2, process.argv.length, ...seeded);
  process.exit(await runCampaign(campaign, seeded));
}
