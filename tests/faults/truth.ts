/** What must be true once a router is idle again after a fault: one generation, one verdict, and the log says it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { normalDesired, normalObserved, observedDigest, scopeOf } from "../../agent/core/normal.ts";
import { checkChain, type LogHead } from "../../agent/core/receipts.ts";
import { desiredDigest } from "../../schemas/desired.ts";
import { equalBytes, toHex } from "../../schemas/digest.ts";
import type { Receipt } from "../../schemas/report.ts";
import { crypto } from "../agent/operator.ts";
import type { Push, Rig } from "./rig.ts";

/** The router as it was before a push. */
export type Before = { readonly kept: Push; readonly head: LogHead };

/** mix: not one generation, or not the right one. receipt: the log does not say what is. */
export type Wrong = { readonly kind: "mix" | "receipt" | "router"; readonly what: string };

const CLOSING = ["confirmed", "rolled_back", "unchanged"];

export function before(rig: Rig): Before {
  const { logIndex, logHead } = rig.w.units.record();
  if (rig.kept === undefined) throw new Error("no generation is kept yet");
  return { kept: rig.kept, head: { index: BigInt(logIndex), digest: Uint8Array.fromHex(logHead) } };
}

/** True once a confirm of the push cannot be undone: the token says so, or the record already does. */
export function isDecided(rig: Rig, push: Push | undefined): boolean {
  if (push === undefined) return false;
  const { lkg, trial } = rig.w.units.record();
  const digest = toHex(push.opened.digest);
  if (lkg?.directive === digest) return true;
  return trial?.directive === digest && existsSync(join(rig.w.units.state, "decision", `${trial.token}.confirmed`));
}

/** Differences between the kernel and exactly that generation, over everything that either generation owns. */
async function kernelWrongs(rig: Rig, runs: Push, other: Push | undefined): Promise<readonly Wrong[]> {
  const { units } = rig.w;
  const { lkgEpoch } = units.record();
  const scope = scopeOf(runs.desired, other?.desired ?? null);
  const file = join(units.state, "gen", toHex(desiredDigest(runs.desired)), "ruleset.nft");
  const rehearsed = await rig.host.kernel.rehearseNft(file, lkgEpoch);
  if (!rehearsed.ok) return [{ kind: "mix", what: `the kept ruleset does not load: ${rehearsed.problems[0]?.detail}` }];
  const want = normalDesired(runs.desired, rehearsed.value.listing, lkgEpoch).split("\n");
  const seen = normalObserved(await rig.host.kernel.observe(scope), scope, lkgEpoch).split("\n");
  const less = want.filter((line) => !seen.includes(line)).map((line) => `missing ${line}`);
  const more = seen.filter((line) => !want.includes(line)).map((line) => `surplus ${line}`);
  const order = less.length + more.length === 0 && want.join() !== seen.join() ? ["the order of rules differs"] : [];
  return [...less, ...more, ...order].slice(0, 5).map((what) => ({ kind: "mix", what }));
}

/** The entries of the log since then, and whether they follow each other. */
function newReceipts(rig: Rig, { head }: Before): { receipts: readonly Receipt[]; wrongs: readonly Wrong[] } {
  const { units } = rig.w;
  const { logIndex } = units.record();
  const envelopes: Uint8Array[] = [];
  for (let index = Number(head.index) + 1; index <= logIndex; index += 1)
    envelopes.push(new Uint8Array(readFileSync(join(units.state, "log", `${index}.dsse`))));
  const chain = checkChain(crypto, rig.w.keys.sign, head, envelopes);
  if (!chain.ok) return { receipts: [], wrongs: [{ kind: "receipt", what: JSON.stringify(chain.problems[0]) }] };
  return { receipts: chain.value.receipts.map((one) => one.message), wrongs: [] };
}

async function receiptWrongs(
  rig: Rig,
  from: Before,
  push: Push | undefined,
  confirmed: boolean,
): Promise<readonly Wrong[]> {
  const { receipts, wrongs } = newReceipts(rig, from);
  const found = [...wrongs];
  const tell = (what: string): void => void found.push({ kind: "receipt", what });
  const foreign = receipts.filter((one) => push === undefined || !equalBytes(one.directive_digest, push.opened.digest));
  if (foreign.length > 0) tell(`${foreign.length} receipts of something else: ${foreign[0]?.outcome}`);
  const closing = receipts.filter((one) => CLOSING.includes(one.outcome));
  const burnt = push !== undefined && rig.w.units.record().generation === push.opened.message.generation;
  if (closing.length !== (burnt ? 1 : 0))
    tell(`${closing.length} closing receipts of a push that was ${burnt ? "" : "not "}burnt`);
  const [end] = closing;
  if (end === undefined || push === undefined) return found;
  const wanted = confirmed ? "confirmed" : "rolled_back";
  if (end.outcome !== wanted) tell(`the receipt says ${end.outcome}, the router did ${wanted}`);
  if ((end.cause === "") !== confirmed) tell(`${end.outcome} with the cause "${end.cause}"`);
  if (end.generation !== push.opened.message.generation) tell(`generation ${end.generation}`);
  if (!equalBytes(end.desired_digest, desiredDigest(push.desired))) tell("the digest of another desired state");
  // Of a push that never began the agent has looked at nothing.
  if (end.observed_digest.some((byte) => byte !== 0)) {
    const scope = scopeOf(from.kept.desired, push.desired);
    const seen = observedDigest(await rig.host.kernel.observe(scope), scope, rig.w.units.record().lkgEpoch);
    if (!equalBytes(end.observed_digest, seen)) tell("the observed digest is not that of the kernel");
  }
  return found;
}

/** Everything that is wrong now that the router is idle. `confirmed`: the confirm was decided before the fault. */
export async function wrongs(
  rig: Rig,
  from: Before,
  push: Push | undefined,
  confirmed: boolean,
): Promise<readonly Wrong[]> {
  const { units } = rig.w;
  const record = units.record();
  const runs = confirmed && push !== undefined ? push : from.kept;
  const found: Wrong[] = [];
  if (record.lkg?.directive !== toHex(runs.opened.digest))
    found.push({
      kind: "mix",
      what: `generation ${record.lkg?.generation} is kept instead of ${runs.opened.message.generation}`,
    });
  if (record.lkg?.generation !== runs.opened.message.generation)
    found.push({ kind: "mix", what: "another number is kept" });
  found.push(...(await kernelWrongs(rig, runs, runs === push ? from.kept : push)));
  found.push(...(await receiptWrongs(rig, from, push, confirmed)));
  if (units.armed() !== undefined) found.push({ kind: "router", what: "the guard is still armed" });
  const status = await rig.w.session.status();
  if (status.drift) found.push({ kind: "mix", what: `status tells drift: ${status.drift_detail}` });
  return found;
}
