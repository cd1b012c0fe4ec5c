/** The risk class that a change has by what it does to the kernel; a directive must claim at least that much. */
import type { Desired } from "../../schemas/desired.ts";
import type { RiskClass } from "../../schemas/trust.ts";
import { sameStructure } from "./nft-text.ts";
import type { Plan, Step } from "./step.ts";

const ORDER: readonly RiskClass[] = ["routine", "sensitive", "trust", "recovery"];

/**
 * Routine: peers and set elements come and go under the rules that stand. Sensitive: a link, address, route, rule,
 * sysctl, chain or set is touched, a peer of the rescue lane, a lane must be proven, or it is the first generation.
 */
export function derivedClass(
  plan: Pick<Plan, "apply" | "afterConfirm" | "lanes">,
  lkg: Desired | null,
  next: Desired,
): RiskClass {
  const sameRules = lkg !== null && sameStructure(lkg.nft, next.nft);
  const rescue = next.links.filter((link) => link.network === "rescue").map((link) => link.name);
  const isRoutine = (step: Step): boolean =>
    step.kind === "wg.peers" || step.kind === "wg.remove"
      ? !rescue.includes(step.name)
      : step.kind === "nft.load" && sameRules;
  const steps = [...plan.apply, ...plan.afterConfirm];
  return steps.every(isRoutine) && plan.lanes.every((lane) => !lane.changed) ? "routine" : "sensitive";
}

/** True when `claimed` is at least `needed`. */
export function coversClass(claimed: RiskClass, needed: RiskClass): boolean {
  return ORDER.indexOf(claimed) >= ORDER.indexOf(needed);
}
