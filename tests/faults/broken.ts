/** Tools that lie, hang or are missing while the agent applies, while it restores, and while the guard does. */
import { receiptOf } from "../agent/operator.ts";
import { goOn } from "./kill.ts";
import type { Push, Rig } from "./rig.ts";
import type { Fault, Tool } from "./tools.ts";
import { before, type Wrong, wrongs } from "./truth.ts";

/** Who meets the broken tool. */
export const MOMENTS = ["apply", "rollback", "guard"] as const;
export type Moment = (typeof MOMENTS)[number];

/** Longer than any time limit of agent and scripts that the tool can run into, one after the other. */
const PATIENCE_MS = 300_000;

async function until(wish: () => boolean, what: string): Promise<void> {
  const limit = performance.now() + PATIENCE_MS;
  while (!wish()) {
    if (performance.now() > limit) throw new Error(what);
    await Bun.sleep(50);
  }
}

/**
 * A push meets the tool; then the tool works again. Whatever happened meanwhile, the generation that was kept before
 * runs, and the log says how the push ended.
 */
export async function meetTool(rig: Rig, tool: Tool, fault: Fault, moment: Moment): Promise<readonly Wrong[]> {
  const { units } = rig.w;
  const from = before(rig);
  const found: Wrong[] = [];
  let push: Push;
  if (moment === "apply") {
    push = await rig.sign();
    rig.tools.break(tool, fault);
    await rig.submit(push);
  } else {
    const trial = await rig.begin();
    push = trial;
    rig.tools.break(tool, fault);
    if (moment === "guard") await units.killAgent();
    else void rig.confirm(trial, "abort").catch(() => {});
  }
  await until(() => rig.tools.called, `nobody called ${tool}`);
  const told = (): boolean => ["rolled_back", "needs_hands"].includes(rig.newest(push));
  // A guard has no log of its own: its restore ends, well or not.
  const since = Number(units.restoreResult().get("at_ms") ?? 0);
  const restored = (): boolean => Number(units.restoreResult().get("at_ms") ?? 0) > since;
  await until(moment === "guard" ? restored : told, `no end with ${tool} that does ${fault}`);
  rig.tools.mend(tool);
  if (moment === "guard") {
    await units.untilDisarmed(PATIENCE_MS);
    await units.startAgent();
  }
  await rig.idle(PATIENCE_MS);
  found.push(...(await wrongs(rig, from, push, false)));
  const { cause } = receiptOf((await rig.w.session.submit(push.opened)).receipt);
  const causes: Readonly<Record<Moment, RegExp>> = {
    apply: /^apply\.(read_back|kernel_refused|kernel_timeout)$/,
    rollback: /^confirm\.aborted$/,
    guard: /^agent\.(heartbeat_lost|restarted)$/,
  };
  if (!causes[moment].test(cause)) found.push({ kind: "receipt", what: `the cause is ${cause}` });
  return [...found, ...(await goOn(rig))];
}
