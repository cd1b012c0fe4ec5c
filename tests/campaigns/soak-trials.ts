/** Rounds of the soak in which a trial has an end that somebody wished: kept, taken back, left alone, in dispute. */
import { bootMs } from "../../agent/host/clock.ts";
import { receiptOf } from "../agent/operator.ts";
import { type Begun, beginTrial, idle, takeBack } from "../netns/trials.ts";
import type { Episode } from "./soak-episode.ts";
import type { End, Pushed } from "./soak-judge.ts";

/** What happens in one round, and which ends of what was pushed the operator may be told. */
export type Act = (episode: Episode) => Promise<readonly Pushed[]>;

export const ABORTED = ["confirm.aborted"];

export const rolledBack = (made: Pushed["made"], bundle: number, causes: readonly string[]): Pushed => ({
  ...{ made, bundle, may: ["rolled_back"], causes },
});

/** Any bundle but the one in force. */
export const another = ({ bundles, belief, random }: Episode): number =>
  (belief.kept + 1 + random(bundles.length - 1)) % bundles.length;

/** A trial of another bundle than the one in force. */
export async function tryAnother(episode: Episode): Promise<{ readonly begun: Begun; readonly bundle: number }> {
  const bundle = another(episode);
  return { begun: await beginTrial(episode.w, episode.bundles[bundle]!), bundle };
}

/** Confirms; what the router said must come true. */
export async function confirmIt({ w }: Episode, begun: Begun, bundle: number): Promise<Pushed> {
  const answer = await w.session.confirm(begun.opened, begun.nonce);
  if (answer.code !== "") throw new Error(`not confirmed: ${answer.code}`);
  await idle(w);
  return { made: begun, bundle, may: ["confirmed"], causes: [] };
}

/** The same bundle is no trial at all. */
export const push: Act = async (episode) => {
  const { w, bundles, belief, random } = episode;
  const bundle = random(bundles.length);
  if (bundle !== belief.kept) {
    return [await confirmIt(episode, await beginTrial(w, bundles[bundle]!), bundle)];
  }
  const made = await w.session.directive(bundles[bundle]!);
  const { code } = await w.session.submit(made.opened);
  if (code !== "") throw new Error(`refused: ${code}`);
  return [{ made, bundle, may: ["unchanged"], causes: [] }];
};

export const abort: Act = async (episode) => {
  const { begun, bundle } = await tryAnother(episode);
  await takeBack(episode.w, begun);
  return [rolledBack(begun, bundle, ABORTED)];
};

export const expire: Act = async (episode) => {
  const { begun, bundle } = await tryAnother(episode);
  await idle(episode.w);
  return [rolledBack(begun, bundle, ["confirm.window_expired"])];
};

/** A confirm within a tenth of a second of the deadline: one of the two wins, and the operator is told which. */
export const race: Act = async (episode) => {
  const { w, random } = episode;
  const { begun, bundle } = await tryAnother(episode);
  const deadlineMs = w.units.armed()?.deadlineMs ?? 0;
  await Bun.sleep(Math.max(0, deadlineMs - 100 + random(200) - bootMs()));
  const answer = await w.session.confirm(begun.opened, begun.nonce);
  const told = answer.receipt.length === 0 ? undefined : receiptOf(answer.receipt).outcome;
  const may: readonly End[] = told === "confirmed" || told === "rolled_back" ? [told] : ["confirmed", "rolled_back"];
  return [{ made: begun, bundle, may, causes: ["confirm.window_expired"] }];
};

/** With the nonce of a trial that is over, and after that one's own end. */
export const staleConfirm: Act = async (episode) => {
  const { w } = episode;
  const first = await tryAnother(episode);
  await takeBack(w, first.begun);
  const second = await tryAnother(episode);
  const stale = await w.session.confirm(second.begun.opened, first.begun.nonce);
  if (stale.code !== "confirm.unknown_trial") throw new Error(`a stale nonce is told "${stale.code}"`);
  const late = await w.session.confirm(first.begun.opened, first.begun.nonce);
  if (late.code !== "confirm.aborted") throw new Error(`a late confirm is told "${late.code}"`);
  const kept = await confirmIt(episode, second.begun, second.bundle);
  return [rolledBack(first.begun, first.bundle, ABORTED), kept];
};

/** Somebody else pushes meanwhile, on the same parent: refused, and never burnt. */
export const rival: Act = async (episode) => {
  const { w, bundles } = episode;
  const [ours, theirs] = [another(episode), another(episode)];
  const made = await w.session.directive(bundles[theirs]!);
  const begun = await beginTrial(w, bundles[ours]!);
  const answer = await w.session.submit(made.opened);
  if (answer.code !== "apply.trial_pending") throw new Error(`the second is told "${answer.code}"`);
  const absent: Pushed = { made, bundle: theirs, may: ["absent"], causes: [] };
  return [await confirmIt(episode, begun, ours), absent];
};
