/** The failpoints of a test that holds the agent in its own process: it sets the plan, and reads what was passed. */
import { type Passing, pointName } from "./points.ts";

type Plan = Passing & { readonly code: string };

let plan: Plan | undefined;
let passed = 0;
let trace: string[] = [];

/** From now on that passing throws this system error, once. */
export function failOnce(at: Plan | undefined): void {
  [plan, passed] = [at, 0];
}

/** True once it was thrown. */
export const wasThrown = (): boolean => plan !== undefined && passed >= plan.nth;

/** Points since the last call. */
export function takeTrace(): readonly string[] {
  const taken = trace;
  trace = [];
  return taken;
}

export function failpoint(step: string, target: string): void {
  const name = pointName(step, target);
  trace.push(name);
  if (plan === undefined || name !== plan.point) return;
  passed += 1;
  if (passed === plan.nth) throw Object.assign(new Error(`${plan.code}: failpoint`), { code: plan.code });
}
