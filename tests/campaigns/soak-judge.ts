/**
 * After every round of the soak: what must be in force by what the operator did and was told, against what is. It
 * shares no code with the agent's own decisions: the desired state is proven here, the ruleset is loaded into a scratch
 * namespace here, and kernel, record, receipts and lanes are each asked by themselves.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderArtifacts } from "../../agent/core/artifacts.ts";
import { normalDesired, normalObserved, type OwnScope, observedDigest, scopeOf } from "../../agent/core/normal.ts";
import { checkChain, EMPTY_LOG } from "../../agent/core/receipts.ts";
import type { Desired } from "../../schemas/desired.ts";
import { desiredDigest } from "../../schemas/desired.ts";
import { equalBytes, toHex } from "../../schemas/digest.ts";
import type { Receipt } from "../../schemas/report.ts";
import { crypto } from "../agent/operator.ts";
import { type Begun, statusWhere } from "../netns/trials.ts";
import { Miss } from "./campaign.ts";
import type { Episode } from "./soak-episode.ts";

/** How a directive may have ended; "absent": it was never burnt. */
export type End = "confirmed" | "unchanged" | "rolled_back" | "absent";

/** One directive of a round, and what the operator may hear of it. */
export type Pushed = {
  readonly made: Pick<Begun, "opened" | "desired">;
  readonly bundle: number;
  readonly may: readonly End[];
  readonly causes: readonly string[]; // of a rollback
};

const lockout = (what: string): Miss => new Miss(what, { lockouts: 1 });
const mix = (what: string): Miss => new Miss(what, { mixes: 1 });
const wrong = (what: string): Miss => new Miss(what, { wrong_receipts: 1 });

const FINAL: readonly string[] = ["confirmed", "unchanged", "rolled_back"];

/** Takes what the log says of these directives; throws what it may not say. Returns their last receipts. */
function readLog(episode: Episode, pushed: readonly Pushed[]): readonly Receipt[] {
  const { belief, w } = episode;
  const fresh = w.units.receipts().slice(belief.log);
  const finals: Receipt[] = [];
  for (const { made, bundle, may, causes } of pushed) {
    const told = fresh.filter((one) => equalBytes(one.directive_digest, made.opened.digest));
    const ends = told.filter((one) => FINAL.includes(one.outcome));
    const others = told.filter((one) => !FINAL.includes(one.outcome));
    if (others.length > 1 || others.some((one) => one.outcome !== "trial")) {
      throw wrong(`told ${others.map((one) => `${one.outcome} ${one.cause}`).join(", ")}`);
    }
    if (ends.length > 1) throw wrong(`two ends: ${ends.map((one) => one.outcome).join(", ")}`);
    const [end] = ends;
    const outcome = (end?.outcome ?? "absent") as End;
    if (!may.includes(outcome)) throw wrong(`${outcome} ${end?.cause ?? ""}, where ${may.join(" or ")} is the truth`);
    if (outcome === "rolled_back" && !causes.includes(end!.cause)) {
      throw wrong(`cause ${end!.cause}, where ${causes.join(" or ")} is the truth`);
    }
    if (end === undefined) continue;
    finals.push(end);
    const { generation } = made.opened.message;
    if (generation > belief.burnt) belief.burnt = generation;
    if (outcome === "rolled_back") continue;
    Object.assign(belief, { kept: bundle, keptDirective: toHex(made.opened.digest), keptGeneration: generation });
  }
  const known = new Set(pushed.map(({ made }) => toHex(made.opened.digest)));
  const stray = fresh.find((one) => !known.has(toHex(one.directive_digest)));
  if (stray !== undefined) throw wrong(`a receipt about nothing that was pushed: ${stray.outcome} ${stray.cause}`);
  belief.log += fresh.length;
  return finals;
}

/** The way in: over the management address, and over the rescue lane from across the WAN. */
async function checkLanes({ w, dialRescue }: Episode, patienceMs: number): Promise<void> {
  await statusWhere(w, (status) => status.pending === null, patienceMs).catch((failure) => {
    throw lockout(`the management address: ${failure}`);
  });
  if (!(await dialRescue())) throw lockout("the rescue lane does not answer");
}

function checkRecord({ w, belief }: Episode, desired: Desired): void {
  const { lkg, trial, generation } = w.units.record();
  const is = [lkg?.directive, lkg?.generation, lkg?.desired, trial, generation, w.units.armed()].map(String);
  const must = [belief.keptDirective, belief.keptGeneration, toHex(desiredDigest(desired)), null, belief.burnt];
  const expected = [...must, undefined].map(String);
  if (is.join(" ") !== expected.join(" ")) throw mix(`the record says ${is.join(" ")}, not ${expected.join(" ")}`);
}

/** Everything that any bundle of this episode owns; of sysctls only what the one in force names. */
function scopeFor({ desireds }: Episode, desired: Desired): OwnScope {
  const all = scopeOf(...desireds.values());
  return { ...all, sysctls: scopeOf(desired).sysctls };
}

async function checkKernel(episode: Episode, desired: Desired): Promise<void> {
  const { host, w, belief } = episode;
  const epoch = w.units.record().lkgEpoch;
  const file = join(w.units.folder, "expected.nft");
  writeFileSync(file, renderArtifacts(desired).find((one) => one.name === "ruleset.nft")?.text ?? "");
  const rehearsed = await host.kernel.rehearseNft(file, epoch);
  if (!rehearsed.ok) throw new Error(JSON.stringify(rehearsed.problems));
  const scope = scopeFor(episode, desired);
  const is = normalObserved(await host.kernel.observe(scope), scope, epoch);
  const must = normalDesired(desired, rehearsed.value.listing, epoch);
  if (is !== must) throw mix(`the kernel is not bundle ${belief.kept}: ${firstDifference(is, must)}`);
  const tables = (await w.world.must(w.router, ["nft", "list", "tables"])).split("\n").filter(Boolean).sort();
  const expected = [...belief.foreign.map((name) => `table inet ${name}`), "table inet holdfast"].sort();
  if (tables.join() !== expected.join()) throw mix(`tables are ${tables.join()}, not ${expected.join()}`);
}

function firstDifference(is: string, must: string): string {
  const [has, wants] = [new Set(is.split("\n")), new Set(must.split("\n"))];
  const more = [...has].filter((line) => !wants.has(line)).slice(0, 3);
  const less = [...wants].filter((line) => !has.has(line)).slice(0, 3);
  return `has ${JSON.stringify(more)}, lacks ${JSON.stringify(less)}`;
}

/** The digest of the kernel in the last receipt of a round is of what the kernel holds. */
async function checkEvidence(episode: Episode, before: Desired, finals: readonly Receipt[]): Promise<void> {
  const { host, w, desireds, belief } = episode;
  const last = finals.at(-1);
  // Burnt and never begun: there was nothing to look at.
  if (last === undefined || last.observed_digest.every((byte) => byte === 0)) return;
  const kept = desireds.get(belief.kept)!;
  const scopes = [scopeOf(kept), ...[...desireds.values()].map((one) => scopeOf(before, one))];
  const epoch = w.units.record().lkgEpoch;
  for (const scope of scopes) {
    const digest = observedDigest(await host.kernel.observe(scope), scope, epoch);
    if (equalBytes(digest, last.observed_digest)) return;
  }
  throw wrong(`${last.outcome} ${last.cause}: the receipt describes another kernel`);
}

/** Longer than any way back takes on a busy machine; the promise itself is measured in tests/netns/lockout.test.ts. */
const PATIENCE_MS = 60_000;

/** Throws a Miss when something is not as the round left it. */
export async function judge(
  episode: Episode,
  pushed: readonly Pushed[],
  patienceMs: number = PATIENCE_MS,
): Promise<void> {
  const { w, desireds, belief } = episode;
  for (const { made, bundle } of pushed) desireds.set(bundle, made.desired);
  const before = desireds.get(belief.kept)!;
  await checkLanes(episode, patienceMs);
  const finals = readLog(episode, pushed);
  const { receipts } = await w.session.ask({ kind: "receipts", from_index: 1n, limit: 0 });
  const chain = checkChain(crypto, w.keys.sign, EMPTY_LOG, receipts);
  if (!chain.ok) throw wrong(JSON.stringify(chain.problems));
  if (receipts.length !== belief.log)
    throw wrong(`${receipts.length} receipts are told, ${belief.log} are on the disk`);
  const desired = desireds.get(belief.kept)!;
  checkRecord(episode, desired);
  await checkKernel(episode, desired);
  await checkEvidence(episode, before, finals);
}
