/** How a directive ended, in one sentence and one exit code. */
import type { Problem } from "../schemas/problem.ts";
import { problemEntry } from "../schemas/problem.ts";
import type { Receipt } from "../schemas/report.ts";
import type { Ending, ExitCode } from "./out.ts";

/** Fields of a receipt under --json. */
export function receiptFields(receipt: Receipt): Readonly<Record<string, unknown>> {
  const { outcome, generation, index, cause, steps, lanes, confirmed_by, confirmed_lane, at_unix, note } = receipt;
  const { probes, quarantined } = receipt;
  return {
    ...{ outcome, generation, index, cause, steps, confirmed_by, confirmed_lane, at_unix, note },
    lanes: lanes.map(({ name, changed, proven, packets }) => ({ name, changed, proven, packets })),
    ...{ probes: probes.map((one) => ({ ...one })), quarantined },
    receipt_problems: receipt.problems.map(({ code, path, detail }) => ({ code, path, detail })),
  };
}

/** Why, in the words of the table. */
function causeSentence(cause: string): string {
  const sentence = problemEntry(cause)?.sentence ?? "";
  return sentence === "" ? cause : `${cause}: ${sentence}`;
}

const EXITS: Readonly<Record<Receipt["outcome"], ExitCode>> = {
  planned: 0,
  refused: 3,
  trial: 8,
  confirmed: 0,
  rolled_back: 4,
  unchanged: 0,
  needs_hands: 6,
  enrolled: 0,
};

/** The sentence of an outcome; `router` is its name in the intent. */
export function outcomeSentence(router: string, receipt: Receipt): string {
  const { outcome, generation, cause, confirmed_lane } = receipt;
  switch (outcome) {
    case "confirmed":
      return `${router} runs generation ${generation}, confirmed through ${confirmed_lane === "" ? "a lane" : confirmed_lane}.`;
    case "unchanged":
      return `Nothing to do: ${router} already holds this, and calls it generation ${generation} now.`;
    case "rolled_back":
      return `${router} took generation ${generation} back and runs what it ran before. ${causeSentence(cause)}`;
    case "needs_hands":
      return `${router} could not go back by itself and needs hands. ${causeSentence(cause)}`;
    case "trial":
      return `Generation ${generation} is on trial on ${router}.`;
    case "refused":
      return `${router} refused generation ${generation}. ${causeSentence(cause)}`;
    case "planned":
      return `${router} planned generation ${generation}; nothing was changed.`;
    case "enrolled":
      return `${router} is enrolled.`;
  }
}

/** The end of a push, confirm or rollback. What led to a rollback follows as problems. */
export function outcomeEnding(router: string, receipt: Receipt, tried: readonly Problem[] = []): Ending {
  const fields = { router, ...receiptFields(receipt) };
  const good = EXITS[receipt.outcome] === 0;
  const cause = {
    code: receipt.cause,
    path: router,
    detail: problemEntry(receipt.cause)?.sentence ?? "see the receipt",
  };
  const problems = good ? [] : [...(receipt.cause === "" ? [] : [cause]), ...receipt.problems, ...tried];
  return {
    exit: EXITS[receipt.outcome],
    answer: outcomeSentence(router, receipt),
    fields,
    problems: distinct(problems),
  };
}

function distinct(problems: readonly Problem[]): readonly Problem[] {
  const seen = new Set<string>();
  return problems.filter((one) => {
    const key = `${one.code} ${one.path}`;
    return !seen.has(key) && seen.add(key);
  });
}
