/** Rounds of the soak in which something dies: the agent, the guard, both, or the machine. */
import { rmSync } from "node:fs";
import type { Answer } from "../../schemas/report.ts";
import { receiptOf } from "../agent/operator.ts";
import { takeBack } from "../netns/trials.ts";
import type { Episode } from "./soak-episode.ts";
import type { Pushed } from "./soak-judge.ts";
import { ABORTED, type Act, another, confirmIt, rolledBack, tryAnother } from "./soak-trials.ts";

/** Killed, or silent for too long: whoever undoes the trial first says which. */
const DIED = ["agent.restarted", "agent.heartbeat_lost"];

/** Killed at any moment of a push, and started at once. */
export const killInPush: Act = async (episode) => {
  const { w, bundles, random } = episode;
  const bundle = another(episode);
  const made = await w.session.directive(bundles[bundle]!);
  const answered = w.session.submit(made.opened).catch(() => undefined);
  await Bun.sleep(random(1500));
  await w.units.killAgent();
  await answered;
  await w.units.startAgent();
  return [{ made, bundle, may: ["rolled_back", "absent"], causes: DIED }];
};

/** Killed around a confirm: whatever the operator was told is true, and silence may mean either. */
export const killInConfirm: Act = async (episode) => {
  const { w, random } = episode;
  const { begun, bundle } = await tryAnother(episode);
  const answered: Promise<Answer | undefined> = w.session.confirm(begun.opened, begun.nonce).catch(() => undefined);
  await Bun.sleep(random(200));
  await w.units.killAgent();
  const answer = await answered;
  await w.units.startAgent();
  const told = answer === undefined || answer.receipt.length === 0 ? undefined : receiptOf(answer.receipt).outcome;
  if (told !== undefined && told !== "confirmed") throw new Error(`a confirm in time is told ${told}`);
  return [{ made: begun, bundle, may: told === undefined ? ["confirmed", "rolled_back"] : [told], causes: DIED }];
};

/** Dead for so long that the guard acts. */
export const leaveToGuard: Act = async (episode) => {
  const { w, random } = episode;
  const { begun, bundle } = await tryAnother(episode);
  const stopped = random(2) === 0;
  if (stopped) w.units.signalAgent("SIGSTOP");
  else await w.units.killAgent();
  await w.units.untilDisarmed(30_000);
  if (stopped) w.units.signalAgent("SIGCONT");
  else await w.units.startAgent();
  return [rolledBack(begun, bundle, ["agent.heartbeat_lost"])];
};

/** Agent and guard die together, and come back together. */
export const killBoth: Act = async (episode) => {
  const { w } = episode;
  const { begun, bundle } = await tryAnother(episode);
  await Promise.all([w.units.killAgent(), w.units.killGuard()]);
  w.units.startGuard();
  await w.units.startAgent();
  return [rolledBack(begun, bundle, DIED)];
};

/** The guard dies in a trial and comes back; the trial has its end all the same. */
export const killGuard: Act = async (episode) => {
  const { w, random } = episode;
  const { begun, bundle } = await tryAnother(episode);
  await w.units.killGuard();
  const kept = random(2) === 0;
  const end = kept ? await confirmIt(episode, begun, bundle) : rolledBack(begun, bundle, ABORTED);
  if (!kept) await takeBack(w, begun);
  w.units.startGuard();
  return [end];
};

/** Everything that a reboot takes: processes, run folder, devices, addresses, rules and tables of everybody. */
async function losePower({ w, belief }: Episode): Promise<void> {
  const { units, world, router } = w;
  await units.killAgent();
  await units.killGuard();
  rmSync(units.run, { recursive: true, force: true });
  const script = `nft flush ruleset
for link in $(ip -o link | sed -n 's/^[0-9]*: \\(hf-[^:@]*\\).*/\\1/p'); do ip link del "$link"; done
for link in wan0 lan0; do ip link set "$link" down; ip addr flush dev "$link"; ip link set "$link" up; done
for family in -4 -6; do
  ip $family rule flush
  ip $family rule add pref 32766 lookup main
done
ip -4 rule add pref 32767 lookup default`;
  await world.must(router, ["sh", "-c", script]);
  belief.foreign.length = 0;
}

export const reboot: Act = async (episode) => {
  const { w, random } = episode;
  const pushed: Pushed[] = [];
  if (random(3) > 0) {
    const { begun, bundle } = await tryAnother(episode);
    pushed.push(rolledBack(begun, bundle, ["agent.power_cut"]));
  }
  await losePower(episode);
  await w.units.powerUp();
  return pushed;
};
