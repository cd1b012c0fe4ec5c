/**
 * One generation on its way: what it was made of and what became known since. After a restart the same object is
 * rebuilt from the record, without plan and listing.
 */
import type { Desired } from "../schemas/desired.ts";
import type { Problem } from "../schemas/problem.ts";
import type { Opened } from "./core/dsse.ts";
import type { Marks } from "./core/health.ts";
import type { Uplink } from "./core/health-uplinks.ts";
import type { Trial } from "./core/lifecycle.ts";
import type { RecordedGeneration } from "./core/record.ts";
import type { Plan } from "./core/step.ts";
import type { RestoreResult } from "./ports.ts";

/** What does not change while a generation is on its way. */
export type Work = {
  readonly trial: Trial;
  readonly directive: Opened<"directive">;
  readonly holders: readonly string[]; // who signed
  readonly named: RecordedGeneration;
  readonly desired: Desired;
  readonly before: Desired | null; // kept when it began
  readonly epoch: number;
  readonly plan: Plan | null; // null after a restart
  readonly listing: string; // what the ruleset prints when it is in force; "" after a restart
};

/** What was seen of probes and uplinks. Filled in look by look; a process that takes up a trial has seen nothing. */
export type Looks = {
  before: Marks;
  after: Marks;
  restored: Marks;
  uplinksBefore: readonly Uplink[] | undefined; // undefined: not looked, or the kernel did not answer
  uplinksAtEnd: readonly Uplink[] | undefined;
};

const noLooks = (): Looks => ({
  ...{ before: new Map(), after: new Map(), restored: new Map() },
  ...{ uplinksBefore: undefined, uplinksAtEnd: undefined },
});

/** What becomes known on the way. */
type Facts = {
  appliedAtMs: number; // 0 while it is not applied
  readonly proven: Set<string>;
  confirmedBy: string;
  confirmedLane: string;
  problems: readonly Problem[];
  restored: RestoreResult | undefined;
  readonly looks: Looks;
  outside: string | null; // what other programs had done when it was proven, as core/outside.ts writes it; null after a restart
  outsideNow: string | null; // the newest look
  outsideChanges: readonly Problem[]; // between the two
};

export type OnTrial = Work & { readonly facts: Facts };

export const begin = (work: Work): OnTrial => ({
  ...work,
  facts: {
    ...{ appliedAtMs: 0, proven: new Set<string>(), confirmedBy: "", confirmedLane: "" },
    ...{ problems: [], restored: undefined, looks: noLooks() },
    ...{ outside: null, outsideNow: null, outsideChanges: [] },
  },
});
