/**
 * The looks at probes and uplinks around a trial, the verdict after the way back, and the quarantine that follows.
 * No look ever fails a trial: what cannot be seen is no evidence.
 */
import type { Desired } from "../schemas/desired.ts";
import { equalBytes } from "../schemas/digest.ts";
import { problem } from "../schemas/problem.ts";
import type { Status } from "../schemas/report.ts";
import { judge, lost, type Marks } from "./core/health.ts";
import { type Quarantined, withContent } from "./core/health-quarantine.ts";
import { ownUplinks, type Uplink, uplinkChanges } from "./core/health-uplinks.ts";
import type { Parts } from "./ports.ts";
import { hexBytes } from "./standing.ts";
import type { OnTrial } from "./work.ts";

type Probe = Desired["probes"][number];

/** How long the probes may take after a restore: the receipt waits for them. */
const RESTORED_MS = 8000;

/** Causes that more looks can tell more about. */
const OPEN: readonly string[] = ["probe.failed", "confirm.window_expired"];

/** A look at the uplinks that takes longer is none: the way back does not wait for it. */
const LOOK_MS = 2000;

/** All probes at once, each within its own attempts. */
export async function probesNow({ host }: Parts, desired: Desired, probes: readonly Probe[]): Promise<Marks> {
  const results = await Promise.all(probes.map((probe) => host.probe(probe, desired)));
  return new Map(results.map(({ id, passed }) => [id, passed]));
}

async function uplinksNow({ host }: Parts, { before, desired }: OnTrial): Promise<readonly Uplink[] | undefined> {
  try {
    const late = Bun.sleep(LOOK_MS).then(() => undefined);
    return await Promise.race([host.uplinks(ownUplinks(before, desired)), late]);
  } catch (failure) {
    host.log("uplinks.unseen", { detail: String(failure).slice(0, 300) });
    return undefined;
  }
}

/**
 * Before the first change: how the uplinks are, and which probes pass, so that only what worked must still work. In this
 * order: an uplink that changes from the first probe on has changed during the trial.
 */
export async function lookBefore(parts: Parts, work: OnTrial): Promise<true> {
  const { looks } = work.facts;
  looks.uplinksBefore = await uplinksNow(parts, work);
  looks.before = await probesNow(parts, work.desired, work.desired.probes);
  return true;
}

/** After the apply: ids of probes that passed before and fail now. */
export async function lookAfter(parts: Parts, work: OnTrial): Promise<readonly string[]> {
  const { looks } = work.facts;
  const asked = work.desired.probes.filter(({ id }) => looks.before.get(id) === true);
  looks.after = await probesNow(parts, work.desired, asked);
  return lost(looks.before, looks.after);
}

/** When a trial ends without being kept. A second wish for the same rollback does not look again. */
export async function lookAtEnd(parts: Parts, work: OnTrial, cause: string): Promise<void> {
  const { looks } = work.facts;
  if (OPEN.includes(cause) && looks.uplinksBefore !== undefined) looks.uplinksAtEnd ??= await uplinksNow(parts, work);
}

/** Probes that passed once, again under what was restored. Attempts are cut so that the receipt comes in time. */
async function lookRestored(parts: Parts, work: OnTrial): Promise<void> {
  const { looks } = work.facts;
  const asked = work.desired.probes.flatMap((probe) => {
    if (looks.before.get(probe.id) !== true) return [];
    const attempts = Math.max(1, Math.min(probe.attempts, Math.floor(RESTORED_MS / probe.timeout_ms)));
    return [{ ...probe, attempts }];
  });
  looks.restored = await probesNow(parts, work.before ?? work.desired, asked);
}

const between = (from: readonly Uplink[] | undefined, to: readonly Uplink[] | undefined, work: OnTrial) =>
  from === undefined || to === undefined ? [] : uplinkChanges(from, to, work.before, work.desired);

/** The cause as it is told, after the restore. Content that failed for its own fault goes into quarantine first. */
export async function verdictOf(parts: Parts, work: OnTrial, cause: string): Promise<string> {
  const { facts } = work;
  const { looks } = facts;
  if (!OPEN.includes(cause)) return cause;
  if (looks.uplinksBefore === undefined && looks.before.size === 0) {
    // A process that took the trial up has nothing to compare with, so a failed probe proves nothing.
    if (cause !== "probe.failed") return cause;
    facts.problems = [problem("probe.inconclusive", "probes", "the agent ended before they could be asked again")];
    return "probe.inconclusive";
  }
  await lookRestored(parts, work);
  const uplinks = await uplinksNow(parts, work);
  const evidence = {
    ...{ cause, before: looks.before, after: looks.after, restored: looks.restored },
    moved: between(looks.uplinksBefore, looks.uplinksAtEnd, work),
    movedSince: between(looks.uplinksAtEnd, uplinks, work),
  };
  const verdict = judge(evidence, facts.problems);
  facts.problems = verdict.problems;
  if (verdict.fault) confine(parts, work, verdict.cause);
  parts.host.log("judged", { cause: verdict.cause, fault: verdict.fault });
  return verdict.cause;
}

// ---- quarantine ----

/** What the file holds; a damaged one holds nothing, and the log says so. */
function held(parts: Parts): readonly Quarantined[] {
  const { entries, damaged } = parts.store.quarantine();
  if (damaged) parts.host.log("quarantine.damaged", { detail: "read as empty" });
  return entries;
}

function write(parts: Parts, entries: readonly Quarantined[]): void {
  try {
    parts.store.putQuarantine(entries);
  } catch (failure) {
    // Then the receipt says that it is not there.
    parts.host.log("quarantine.failed", { detail: String(failure).slice(0, 300) });
  }
}

/** Puts the content of a generation into quarantine. */
export function confine(parts: Parts, { named, holders }: Pick<OnTrial, "named" | "holders">, cause: string): void {
  const { desired, generation } = named;
  const entry = { desired, generation, cause, signers: [...holders], atUnixS: parts.host.clock.unixS() };
  write(parts, withContent(held(parts), entry));
}

/** Content that was kept after all has done no harm. */
export function release(parts: Parts, { named }: OnTrial): void {
  const entries = held(parts);
  const rest = entries.filter((one) => one.desired !== named.desired);
  if (rest.length < entries.length) write(parts, rest);
}

/** The entry of that content; undefined when it is free. */
export function quarantined(parts: Parts, desired: Uint8Array): Quarantined | undefined {
  return held(parts).find((one) => equalBytes(hexBytes(one.desired), desired));
}

export const isQuarantined = (parts: Parts, desired: Uint8Array): boolean => quarantined(parts, desired) !== undefined;

/** Who, when and why, for people. */
export function quarantinedText({ generation, cause, signers, atUnixS }: Quarantined): string {
  const by = signers.length === 0 ? "" : ` by ${signers.join(", ")}`;
  const at = new Date(atUnixS * 1000).toISOString().slice(0, 16).replace("T", " ");
  return `this content was taken back as generation ${generation}${by} on ${at}: ${cause}`;
}

/** The quarantine as a status tells it. */
export function quarantineOf(parts: Parts): Status["quarantine"] {
  return held(parts).map(({ desired, generation, cause, signers, atUnixS }) => ({
    ...{ desired_digest: hexBytes(desired), generation, cause, signers: [...signers] },
    at_unix: BigInt(atUnixS),
  }));
}
