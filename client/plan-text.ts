/** What a router's plan says to people: its steps, its class with the reasons, and what is not as it was confirmed. */
import type { Receipt } from "../schemas/report.ts";
import { RiskClass } from "../schemas/trust.ts";

/** The least class that the router takes this change for; it says so with its plan. */
export function classOf(plan: Receipt): RiskClass {
  const word = /^risk class: ([a-z]+)$/.exec(plan.note)?.[1] ?? "";
  return RiskClass.options.find((one) => one === word) ?? "sensitive";
}

/** Why it is that class, in the router's words. */
export const riskReasons = (plan: Receipt): readonly string[] =>
  plan.problems.filter((one) => one.code === "admit.risk_class").map((one) => `${one.path}: ${one.detail}`);

/** What a plan says beside its steps: drift, and what other programs did; what would refuse the push comes first. */
function noticeText(plan: Receipt): string {
  const told = (title: string, wish: (code: string) => boolean): string => {
    const found = plan.problems.filter(({ code }) => wish(code)).map(({ path, detail }) => `  ${path}: ${detail}\n`);
    return found.length === 0 ? "" : `${title}\n${found.join("")}`;
  };
  return (
    told("This refuses the push:", (code) => code === "outside.foreign_drop" || code === "outside.unreadable") +
    told(
      "The router took this content back before; only push --force applies it:",
      (code) => code === "apply.quarantined",
    ) +
    told("The router differs from what was confirmed; this push mends it:", (code) => code === "apply.read_back") +
    told("Other programs changed since the last confirm:", (code) => code === "outside.changed")
  );
}

/** Problems that a plan tells besides its class. */
export const planNotices = (plan: Receipt) =>
  plan.problems
    .filter((one) => one.code !== "admit.risk_class")
    .map(({ code, path, detail }) => ({ code, path, detail }));

/** The plan with its class, as people get to see it. */
export function planText(plan: Receipt): string {
  const reasons = riskReasons(plan).map((reason) => `  ${reason}\n`);
  const why = reasons.length === 0 ? "" : `Risk class ${classOf(plan)}, because:\n${reasons.join("")}`;
  return plan.plan + why + noticeText(plan);
}
