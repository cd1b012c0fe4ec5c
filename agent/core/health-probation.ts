/**
 * A kept generation that has not survived a reboot, and the file that names the way back from it. Pure: when it is
 * over, when the one before is tried, and when that one stays.
 */
import type { RecordedGeneration } from "./record.ts";
import type { Plan } from "./step.ts";

export type Phase =
  | "waiting" // for the first reboot, or for a sign of life after it
  | "trying" // the one before is in force, until the probes have said whether that helps
  | "returning"; // it did not help: the kept one is being put back

export type Probation = {
  readonly kept: RecordedGeneration;
  readonly previous: RecordedGeneration;
  readonly probes: readonly string[]; // that passed when it was confirmed
  readonly phase: Phase;
};

/**
 * Whether a generation that is being kept gets a way back. None without probes, since silence proves nothing; and none
 * when it takes a key out: a key that was revoked never comes back by itself.
 */
export function hasWayBack(plan: Pick<Plan, "afterConfirm"> | null, probes: readonly string[]): boolean {
  if (plan === null || probes.length === 0) return false;
  return !plan.afterConfirm.some((step) => step.kind === "wg.remove" || step.kind === "link.remove");
}

/** What a boot on probation has seen so far. Times on the boot clock. */
export type Boot = {
  readonly contact: boolean; // an operator got through
  readonly passed: boolean; // one of the probes passed at some look
  readonly looks: number;
  readonly nowMs: number;
  readonly deadlineMs: number;
};

/** Nothing but a whole boot without any sign of life sends the router back; a boot that is cut short counts for nothing. */
export function judgeBoot({ contact, passed, looks, nowMs, deadlineMs }: Boot): "survived" | "wait" | "fall-back" {
  if (contact || passed) return "survived";
  return nowMs >= deadlineMs && looks > 0 ? "fall-back" : "wait";
}

const HEAD = "holdfast-probation 1";
const KEYS = ["desired", "manifest", "generation", "directive"] as const;

const generationLines = (prefix: string, one: RecordedGeneration): readonly string[] =>
  KEYS.map((key) => `${prefix}_${key}=${one[key]}`);

/** The file's text: a head with the version, then key=value, closed by "end". */
export function probationText({ kept, previous, probes, phase }: Probation): string {
  const lines = [...generationLines("kept", kept), ...generationLines("previous", previous)];
  return `${[HEAD, ...lines, `probes=${probes.join(",")}`, `phase=${phase}`, "end"].join("\n")}\n`;
}

const GENERATION = ["([0-9a-f]{64})", "([0-9a-f]{64})", "(0|[1-9][0-9]{0,18})", "([0-9a-f]{64})"];
const WHOLE = new RegExp(
  `^${HEAD}\n${["kept", "previous"]
    .flatMap((prefix) => KEYS.map((key, i) => `${prefix}_${key}=${GENERATION[i]}\n`))
    .join("")}probes=([a-z][a-z0-9,-]*)\nphase=(waiting|trying|returning)\nend\n$`,
);

/** Reads the file; undefined when a byte of it is not as probationText writes it. */
export function parseProbation(text: string): Probation | undefined {
  const found = WHOLE.exec(text);
  if (found === null) return undefined;
  const generation = (from: number): RecordedGeneration => ({
    ...{ desired: found[from]!, manifest: found[from + 1]! },
    ...{ generation: BigInt(found[from + 2]!), directive: found[from + 3]! },
  });
  const phase = found[10] as Phase;
  return { kept: generation(1), previous: generation(5), probes: found[9]!.split(","), phase };
}
