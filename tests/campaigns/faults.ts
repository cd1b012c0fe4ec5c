/**
 * `npm run faults -- --seed N --points M [--from f | --only k]`: a router dies at every point at which something becomes durable
 * or the kernel changes, and is started again; its disk refuses each step that it can refuse; its tools lie, hang and
 * are missing. Afterwards it must run exactly the generation that was decided, say so in one receipt, and take the next
 * push. Every point of every path comes before any of them comes again; without --points all of them come.
 */
import { MOMENTS, type Moment, meetTool } from "../faults/broken.ts";
import { ERRORS, failAt, isDiskStep } from "../faults/disk.ts";
import { killAt, matrix, PATHS, type Place } from "../faults/kill.ts";
import { Rig } from "../faults/rig.ts";
import { FAULTS, type Fault, type Tool } from "../faults/tools.ts";
import type { Wrong } from "../faults/truth.ts";
import { Miss, type Random, randomOf, runCampaign } from "./campaign.ts";

const NAME = "faults";

/** A case: what it is called, whether it is the first of its kind, and how it is run. */
type Case = {
  readonly what: string;
  readonly point: string;
  readonly again: boolean;
  run(random: Random): Promise<readonly Wrong[]>;
};

let rig: Rig;
let places: readonly Place[] = [];
let cases: readonly Case[] | undefined;
const passed = new Set<string>();

const nameOf = ({ path, point, nth }: Place): string => `${path}: "${point}" ${nth}`;

const deaths = (): readonly Case[] =>
  places.map((place) => ({
    what: `killed in ${nameOf(place)}`,
    point: place.point,
    again: place.nth > 1,
    run: (random) => killAt(rig, place, random(2) === 0 ? "agent" : "router"),
  }));

const diskErrors = (): readonly Case[] =>
  places.filter(isDiskStep).map((place) => ({
    what: `the disk fails in ${nameOf(place)}`,
    point: place.point,
    again: place.nth > 1,
    run: (random) => failAt(rig, place, ERRORS[random(ERRORS.length)]!),
  }));

const broken = (tool: Tool, fault: Fault, moment: Moment): Case => ({
  what: `${tool} does ${fault} in ${moment}`,
  point: `${tool} ${fault}`,
  again: false,
  run: () => meetTool(rig, tool, fault, moment),
});

const brokenTools = (): readonly Case[] =>
  (["nft", "ip", "wg"] as const).flatMap((tool) =>
    FAULTS.flatMap((fault) => MOMENTS.map((moment) => broken(tool, fault, moment))),
  );

/**
 * First passings before the others, otherwise shuffled by the seed and each case's own name: a path that was walked
 * with one passing more or less, as a timer has it, leaves the others where they were, for --only and --from.
 */
function inOrder(seed: number): readonly Case[] {
  const drawn = [...deaths(), ...diskErrors(), ...brokenTools()].map((one) => {
    return { one, at: randomOf(`${NAME} ${one.what}`, seed, -1)(2 ** 32) };
  });
  return drawn.sort((a, b) => Number(a.one.again) - Number(b.one.again) || a.at - b.at).map(({ one }) => one);
}

/** How often each point is passed in each path. */
function tellMatrix(): void {
  const points = [...new Set(places.map(({ point }) => point))];
  console.log(`passings of ${points.length} points in ${PATHS.join(", ")}: ${places.length} places`);
  for (const point of points) {
    const times = PATHS.map((path) => places.filter((place) => place.path === path && place.point === point).length);
    console.log(`${times.map((count) => String(count).padStart(4)).join("")}  ${point}`);
  }
}

const has = (wrongs: readonly Wrong[], kind: Wrong["kind"]): number =>
  wrongs.some((one) => one.kind === kind) ? 1 : 0;

process.exitCode = await runCampaign(
  {
    name: NAME,
    size: "points",
    cases: 700,
    setUp: async () => {
      rig = await Rig.open(NAME);
      places = await matrix(rig);
      tellMatrix();
      return () => rig.close();
    },
    one: async ({ index, random, seed }) => {
      cases ??= inOrder(seed);
      const { what, point, run } = cases[index % cases.length]!;
      const since = performance.now();
      const wrongs = await run(random);
      console.error(`${NAME}: ${what}: ${((performance.now() - since) / 1000).toFixed(1)} s`);
      passed.add(point);
      if (wrongs.length === 0) return {};
      const detail = wrongs.map((one) => `${one.kind}: ${one.what}`).join("; ");
      throw new Miss(`${what}: ${detail}`, { mixes: has(wrongs, "mix"), wrong_receipts: has(wrongs, "receipt") });
    },
    line: (sums, runs) => ({
      points: passed.size,
      runs,
      mixes: sums.mixes ?? 0,
      wrong_receipts: sums.wrong_receipts ?? 0,
    }),
  },
  process.argv.slice(2),
);
