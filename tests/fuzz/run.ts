/**
 * One site against the kernel: its router is built, its ruleset loaded, packets are put in one after the other, and the
 * fate of each is held against what every oracle says. In between, the policy's epoch ends, so that flows go stale.
 */

import type { Sighting } from "../../client/replay/ports.ts";
import { type Ends, type Shot, shotText } from "../../client/replay/wire.ts";
import type { NftTable } from "../../schemas/desired.ts";
import type { Random } from "../campaigns/campaign.ts";
import { Arena, Yard } from "./arena.ts";
import { decisions } from "./by-reader.ts";
import { Conntrack } from "./conntrack.ts";
import { fitting, sightingText } from "./judge.ts";
import { type Decide, fateText, type Moment, type Place } from "./oracle.ts";
import { poolsOf } from "./pools.ts";
import { Routes } from "./routes.ts";
import { Gun } from "./shots.ts";
import type { Site } from "./sites.ts";

/** An oracle under test, and what it is told of the ruleset: a test plants a fault there. */
export type Oracle = { readonly name: string; readonly decide: Decide; readonly told?: (table: NftTable) => NftTable };

export type Tally = {
  packets: number;
  forwarded: number;
  delivered: number;
  dropped: number;
  translated: number;
  six: number;
  refused: number; // questions that an oracle did not answer
  open: number; // answers that leave more than one fate
};

/** What is done to a router: a packet, or the end of a policy's epoch. */
export type Act = Shot | "epoch";

/** A packet whose fate an oracle did not foresee. */
export class Disagreement extends Error {
  readonly oracle: string;
  /** Everything up to the packet, which is the last. */
  readonly acts: readonly Act[];
  constructor(oracle: string, acts: readonly Act[], text: string) {
    super(text);
    this.oracle = oracle;
    this.acts = acts;
  }
}

export type Plan = {
  readonly site: Site;
  readonly table: NftTable; // as loaded: the site's own, or a bent one
  readonly isBent: boolean;
  readonly packets: number;
  readonly oracles: readonly Oracle[];
  readonly folder: string;
  /** What to do, when it is known already; otherwise the dice decide. */
  readonly acts?: readonly Act[];
  /** Takes a disagreement, after which that oracle is asked no more; without it the first one ends the run. */
  readonly wrong?: (found: Disagreement) => void;
};

/** Packets between two epochs. */
const EPOCH_EVERY = 60;

/** A yard serves so many sites; then others may have the lock of all worlds. */
const SITES_PER_YARD = 25;
let yard: { readonly open: Yard; sites: number } | undefined;

/** Leaves the yard: whoever runs sites calls this at the end, and after whatever went wrong. */
export function leaveYard(): void {
  yard?.open.close();
  yard = undefined;
}

/** Runs a site; throws a Disagreement at the first packet that an oracle gets wrong. */
export async function runSite(plan: Plan, random: Random): Promise<Tally> {
  if (yard !== undefined && yard.sites >= SITES_PER_YARD) leaveYard();
  yard ??= { open: await Yard.open(), sites: 0 };
  yard.sites += 1;
  try {
    const arena = await Arena.open(yard.open, plan.site, plan.folder);
    const tally = await shootAll(arena, plan, random);
    await arena.close();
    return tally;
  } catch (error) {
    // Whatever is left of the site goes with its yard.
    leaveYard();
    throw error;
  }
}

async function shootAll(arena: Arena, plan: Plan, random: Random): Promise<Tally> {
  const routes = new Routes(plan.site);
  const flows = new Conntrack();
  const gun = new Gun(random, poolsOf(plan.site, routes), flows, routes);
  const tally: Tally = {
    packets: 0,
    forwarded: 0,
    delivered: 0,
    dropped: 0,
    translated: 0,
    six: 0,
    refused: 0,
    open: 0,
  };
  const told = new Map(plan.oracles.map((oracle) => [oracle, oracle.told?.(plan.table) ?? plan.table]));
  let epoch = 1;
  await arena.load(plan.table, epoch);
  const done: Act[] = [];
  const counted = new Map<string, number>();
  for (const act of plan.acts ?? dice(gun, plan.packets)) {
    done.push(act);
    if (act === "epoch") {
      epoch += 1;
      await arena.load(plan.table, epoch);
      continue;
    }
    const shot = act;
    tally.packets += 1;
    const place: Place = { site: plan.site, table: plan.table, epoch, routes };
    const moment: Moment = { shot, view: flows.view(shot), flows };
    const sightings = arena.ports.shoot(shot);
    const strange = sightings.find((one) => one.packet.number !== shot.number);
    if (strange !== undefined) throw new Error(`nobody sent this: ${sightingText(strange)}, after ${shotText(shot)}`);
    for (const oracle of told.keys()) {
      const fates = oracle.decide({ ...place, table: told.get(oracle)! }, moment);
      if ("refused" in fates) {
        tally.refused += 1;
        continue;
      }
      if (fates.length > 1) tally.open += 1;
      const found = fitting(shot, sightings, fates);
      if (!("why" in found)) continue;
      const wrong = new Disagreement(oracle.name, [...done], complaint(oracle, place, moment, sightings, found.why));
      if (plan.wrong === undefined) throw wrong;
      plan.wrong(wrong);
      told.delete(oracle);
    }
    for (const name of learn(place, moment, sightings, done)) counted.set(name, (counted.get(name) ?? 0) + 1);
    count(tally, shot, sightings);
  }
  const kernel = await arena.counters();
  const names = [...new Set([...counted.keys(), ...kernel.keys()])].filter(
    (name) => counted.get(name) !== kernel.get(name),
  );
  if (names.length > 0) {
    const list = names
      .sort()
      .map((name) => `  ${name}: kernel ${kernel.get(name) ?? 0}, reader ${counted.get(name) ?? 0}`);
    throw new Disagreement("counters", done, ["reader and the kernel count differently", ...list].join("\n"));
  }
  return tally;
}

/** Packets as they fall, each made when the ones before it have had their effect. */
function* dice(gun: Gun, packets: number): Generator<Act> {
  for (let n = 0; n < packets; ) {
    const shot = gun.next();
    if (shot === undefined) continue;
    n += 1;
    yield shot;
    if (n % EPOCH_EVERY === 0 && n < packets) yield "epoch";
  }
}

/** What conntrack has learnt from a packet, by the reader's decision that fits; returns the counters that it went by. */
function learn(place: Place, moment: Moment, sightings: readonly Sighting[], done: readonly Act[]): readonly string[] {
  const { shot, view, flows } = moment;
  if (shot.parts === "first") return [];
  const all = decisions(place, moment);
  const found = fitting(
    shot,
    sightings,
    all.map((one) => one.fate),
  );
  if ("why" in found)
    throw new Disagreement("reader", [...done], complaint({ name: "reader" }, place, moment, sightings, found.why));
  const { fate, mark, dnat, notrack, first, counters } = all[found.at]!;
  if (notrack || view.ct.state === "untracked") return counters;
  view.remember();
  if (view.flow !== undefined) {
    if (view.ct.state !== "invalid") view.flow.mark = mark;
    return counters;
  }
  if (!first || fate.kind === "dropped") return counters;
  const seen = sightings[0]!.packet;
  const out: Ends = {
    ...shot,
    source: seen.source,
    sport: seen.sport,
    id: seen.id,
    target: fate.out.target,
    dport: fate.out.dport,
  };
  flows.confirm(shot, out, fate.kind === "forwarded" ? fate.interface : "", mark, dnat);
  return counters;
}

function count(tally: Tally, shot: Shot, sightings: readonly Sighting[]): void {
  const [first] = sightings;
  if (shot.family === 6) tally.six += 1;
  if (first === undefined) tally.dropped += 1;
  else if (first.kind === "taken") tally.delivered += 1;
  else {
    tally.forwarded += 1;
    const { source, target } = first.packet;
    if (source.value !== shot.source.value || target.value !== shot.target.value) tally.translated += 1;
  }
}

/** Everything that somebody needs to see which of the two is wrong. */
function complaint(
  oracle: Pick<Oracle, "name">,
  place: Place,
  moment: Moment,
  sightings: readonly Sighting[],
  why: string,
): string {
  const { shot, view } = moment;
  const { state, direction, mark } = view.ct;
  const [walk] = decisions(place, moment);
  const kernel = sightings.length === 0 ? "dropped" : sightings.map(sightingText).join(" and ");
  return [
    `${oracle.name} and the kernel do not agree on ${shotText(shot)}`,
    `  conntrack: ${state} ${direction} mark 0x${mark.toString(16)}, epoch ${place.epoch}`,
    `  kernel: ${kernel}`,
    `  ${oracle.name}: ${why}`,
    `  reader: ${fateText(walk!.fate)}, by`,
    ...walk!.trail.map((line) => `    ${line}`),
  ].join("\n");
}
