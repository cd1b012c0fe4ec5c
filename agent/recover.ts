/**
 * The first act of an agent process: count what was logged, take up the trial that the record names, and write the
 * receipts that an earlier process owed, with the cause that guard or boot script gave.
 */
import { toHex } from "../schemas/digest.ts";
import type { Agent } from "./agent.ts";
import type { Opened } from "./core/dsse.ts";
import type { Outcome, Trial } from "./core/lifecycle.ts";
import { normalListing } from "./core/nft-listing.ts";
import { laneChanges } from "./core/plan.ts";
import type { RecordedTrial } from "./core/record.ts";
import { adoptKeyReport } from "./enrol.ts";
import { holdersBehind, quorumField } from "./past.ts";
import { rebuildRecord } from "./recover-record.ts";
import { causeOfOthers } from "./trial.ts";
import { begin } from "./work.ts";

/** What the record says of a trial, made whole from the files it names; undefined when they are damaged. */
function rebuild(agent: Agent, recorded: RecordedTrial): Trial | undefined {
  const { standing, store } = agent;
  const desired = store.readGeneration(recorded);
  const directive = standing.directive(recorded.directive);
  if (desired === undefined || directive === undefined) return undefined;
  const before = standing.kept()?.desired ?? null;
  const trial: Trial = {
    token: recorded.token,
    directive: recorded.directive,
    windowMs: directive.message.confirm_window_s * 1000,
    capMs: recorded.deadlineMs,
    lanes: laneChanges(before, desired),
    rebootAllowed: desired.rebootAllowed,
  };
  const { epoch } = recorded;
  const view = standing.view();
  const holders = view === undefined ? [] : holdersBehind(view, directive);
  agent.begin(begin({ trial, directive, holders, named: recorded, desired, before, epoch, plan: null, listing: "" }));
  return trial;
}

/** A trial whose files are gone: nothing can be told of it but its end. The script asserts what is good. */
async function abandon(agent: Agent, recorded: RecordedTrial): Promise<void> {
  const { host, store, standing } = agent;
  const decision = store.decide(recorded.token, "rolled-back");
  await host.guard.restore("agent.restarted", recorded.token);
  const quorum = quorumField(standing.view(), standing.directive(recorded.directive));
  const kept = decision === "confirmed" ? { lkg: recorded, lkgEpoch: recorded.epoch, ...quorum } : {};
  standing.update({ trial: null, ...kept });
  await host.guard.disarm(recorded.token);
  store.dropToken(recorded.token);
}

/** The newest verdict of the log, for confirms and submits that come again. */
function lastOutcome(agent: Agent): Outcome | null {
  const { journal, store } = agent;
  const newest = store.record().logIndex;
  for (let index = newest; index > Math.max(0, newest - 16); index -= 1) {
    const receipt = journal.receipt(index)?.message;
    if (receipt === undefined || (receipt.outcome !== "confirmed" && receipt.outcome !== "rolled_back")) continue;
    const trial = journal.newest(receipt.directive_digest, "trial");
    return {
      token: trial === undefined ? "" : toHex(trial.message.nonce),
      directive: toHex(receipt.directive_digest),
      verdict: receipt.outcome === "confirmed" ? "confirmed" : "rolled-back",
      cause: receipt.cause,
    };
  }
  return null;
}

/** Outcomes after which a directive's story goes on. */
const isOpen = (outcome: string | undefined): boolean =>
  outcome === undefined || outcome === "trial" || outcome === "needs_hands";

/** The last burnt generation, when nothing of it is on its way and the log does not say how it ended. */
function owedReceipt(agent: Agent): void {
  const { standing, store, journal } = agent;
  const { generation, lkg, trial } = store.record();
  if (trial !== null || generation === 0n) return;
  const burnt = store
    .directives()
    .flatMap((digest) => standing.directive(digest) ?? [])
    .filter(({ message }) => message.generation === generation && message.action === "apply")
    .map((directive) => ({ directive, told: journal.newest(directive.digest)?.message.outcome }));
  // Two directives of one number: only one of them was burnt, and a receipt says which.
  if (burnt.some(({ told }) => !isOpen(told))) return;
  const known = burnt.filter(({ told }) => told !== undefined);
  for (const { directive } of known.length > 0 ? known : burnt) {
    const kept = lkg?.directive === toHex(directive.digest);
    const end = kept
      ? ({ outcome: "unchanged", cause: "" } as const)
      : ({ outcome: "rolled_back", cause: "agent.restarted" } as const);
    journal.append({ ...owedEntry(directive), ...end });
  }
}

/** Tells once that nothing whole is left to hold, which the scripts found before. */
function tellDamage({ standing, store, journal }: Agent): void {
  const { lkg } = store.record();
  if (lkg === null || !standing.keptDamaged()) return;
  // No directive: the outcome of none has changed.
  journal.append({ outcome: "needs_hands", cause: "agent.generation_damaged", generation: lkg.generation });
}

const owedEntry = ({ digest, message }: Opened<"directive">) => ({
  directive_digest: digest,
  generation: message.generation,
  parent: message.parent,
  desired_digest: message.desired_digest,
  window_s: message.confirm_window_s,
  note: message.note,
  commit: message.commit,
});

/**
 * The epoch that a script chose when it restored without us: believed only when the kernel prints the kept ruleset
 * under it.
 */
async function adoptEpoch(agent: Agent): Promise<void> {
  const { host, store, standing } = agent;
  const { lkg, lkgEpoch } = store.record();
  const result = await host.guard.lastResult();
  if (lkg === null || result?.outcome !== "restored" || result.epoch === 0 || result.epoch === lkgEpoch) return;
  if (result.lkg !== lkg.desired) return;
  const file = store.rulesetFile(lkg);
  if (file === undefined) return;
  const [live, expected] = [
    await host.kernel.observe({ links: [], addressInterfaces: [], sysctls: [] }),
    await host.kernel.rehearseNft(file, result.epoch),
  ];
  if (!expected.ok || normalListing(expected.value.listing) !== normalListing(live.nft)) return;
  standing.update({ lkgEpoch: result.epoch });
}

/** Starts the lifecycle from what is on disk. Call once, before any request is served. */
export async function recover(agent: Agent): Promise<void> {
  const { host, store, journal, runner, standing } = agent;
  if (standing.identity() !== undefined && store.damaged()) await rebuildRecord(agent);
  if (standing.identity() === undefined || store.record().roster === "") {
    const nothing = { trial: null, decision: "missing", sameBoot: true, armed: "", cause: "", last: null } as const;
    await runner.send({ kind: "start", ...nothing });
    return;
  }
  journal.adopt();
  adoptKeyReport(agent);
  const boot = toHex(host.clock.bootId());
  const named = store.record().trial;
  const trial = (named === null ? undefined : rebuild(agent, named)) ?? null;
  if (named !== null && trial === null) await abandon(agent, named);
  await adoptEpoch(agent);
  owedReceipt(agent);
  tellDamage(agent);
  const recorded = store.record().trial;
  const last = lastOutcome(agent);
  await runner.send({
    kind: "start",
    trial,
    decision: recorded === null ? "missing" : store.decision(recorded.token),
    sameBoot: recorded === null || recorded.boot === boot,
    armed: (await host.guard.armed()) ?? "",
    cause: recorded === null ? "" : await causeOfOthers(agent, recorded.token),
    last,
  });
  agent.probation.start();
  host.log("started", {
    generation: Number(store.record().generation),
    log: store.record().logIndex,
    trial: trial !== null,
  });
}
