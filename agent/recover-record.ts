/**
 * A router that lost both copies of its record finds its place again in what it signed and stored: the newest trust
 * documents, its own chained log, and the generation that the log names as kept. The scripts hold the rescue ruleset
 * until then; afterwards the kept generation is asserted.
 */
import { equalBytes, toHex } from "../schemas/digest.ts";
import type { Agent } from "./agent.ts";
import { type Opened, openStatement } from "./core/dsse.ts";
import { EPOCH_MAX } from "./core/epoch.ts";
import { emptyRecord, type RecordedGeneration, type StateRecord } from "./core/record.ts";
import { acceptRoot, acceptRoster } from "./core/trust.ts";
import { NO_DIGEST, openReceipt } from "./journal.ts";
import { quorumField } from "./past.ts";
import type { Parts } from "./ports.ts";

/** Newest root that holds by itself, and newest roster under it. */
function newestTrust({ store, crypto }: Parts): Pick<StateRecord, "root" | "roster"> | undefined {
  for (const version of [...store.documentNumbers("root")].reverse()) {
    const root = acceptRoot(crypto, null, store.document("root", version) ?? NO_DIGEST);
    if (!root.ok) continue;
    for (const number of [...store.documentNumbers("roster")].reverse()) {
      const roster = acceptRoster(crypto, root.value, null, store.document("roster", number) ?? NO_DIGEST);
      if (roster.ok) return { root: toHex(root.value.digest), roster: toHex(roster.value.digest) };
    }
  }
  return undefined;
}

/**
 * The log up to its newest entry that is signed by this router. An entry that is damaged leaves a gap, which ends the
 * log for nobody who has seen what came after it; one that the next entry does not name is not of this log.
 */
function readLog(parts: Parts, signKey: Uint8Array): readonly Opened<"receipt">[] {
  const { store } = parts;
  const log: Opened<"receipt">[] = [];
  for (const index of store.documentNumbers("receipt").toReversed()) {
    const found = openReceipt(parts, signKey, index, store.document("receipt", index) ?? NO_DIGEST);
    if (found === undefined) continue;
    const next = log.at(-1)?.message;
    if (next?.index === found.message.index + 1n && !equalBytes(next.prev, found.digest)) continue;
    log.push(found);
  }
  return log.reverse();
}

/** The generation that was kept last: told so in the log, or confirmed by a token whose receipt was not yet written. */
function keptLast(agent: Agent, log: readonly Opened<"receipt">[]): RecordedGeneration | null {
  const { store } = agent;
  const confirmed = store.tokens().filter((token) => store.decision(token) === "confirmed");
  // A generation that fell back after its first reboot was taken back after its confirm.
  const fell = (desired: Uint8Array, index: bigint): boolean =>
    log.some(
      ({ message }) =>
        message.cause === "probation.no_contact" &&
        message.index > index &&
        equalBytes(message.desired_digest, desired),
    );
  const standing = log.filter(({ message }) => !fell(message.desired_digest, message.index));
  const newest = standing.findLast(
    ({ message }) =>
      message.outcome === "confirmed" ||
      message.outcome === "unchanged" ||
      (message.outcome === "trial" && confirmed.includes(toHex(message.nonce))),
  )?.message;
  if (newest === undefined) return null;
  const directive = toHex(newest.directive_digest);
  const named = store.findGeneration(toHex(newest.desired_digest));
  if (named === undefined || store.directive(directive) === undefined) return null;
  return { ...named, generation: newest.generation, directive };
}

/** The newest kept generation that enough people signed, as far as its directive and documents are still here. */
function signedLast({ standing }: Agent, log: readonly Opened<"receipt">[]): { quorum?: string } {
  for (const { message } of log.toReversed()) {
    if (message.outcome !== "confirmed" && message.outcome !== "unchanged") continue;
    const signed = standing.directive(toHex(message.directive_digest));
    if (signed === undefined) continue;
    const view = standing.viewAt(signed.message.root_digest, signed.message.roster_digest);
    const found = quorumField(view, signed);
    if (found.quorum !== undefined) return found;
  }
  return {};
}

/** Writes a record from the evidence and asserts what it keeps. Without trust documents nothing is written. */
export async function rebuildRecord(agent: Agent): Promise<void> {
  const { host, store, standing, journal } = agent;
  const trust = newestTrust(agent);
  const report = store.documentNumbers("key-report").at(-1);
  if (trust === undefined || report === undefined) {
    host.log("record.lost", { detail: "no trust documents to start from" });
    return;
  }
  const keys = openStatement(agent.crypto, "key-report", store.document("key-report", report) ?? NO_DIGEST);
  const log = readLog(agent, standing.self().sign.publicKey);
  const lkg = keptLast(agent, log);
  const burnt = store.directives().flatMap((digest) => standing.directive(digest)?.message.generation ?? []);
  // The epoch in force is unknown: any other one will do, and a random one is another one.
  const random = new DataView(host.random(2).buffer).getUint16(0);
  store.writeRecord({
    ...emptyRecord,
    ...trust,
    keys: keys.ok ? toHex(keys.value.digest) : "",
    generation: [...burnt, ...log.map(({ message }) => message.generation)].reduce((a, b) => (a > b ? a : b), 0n),
    lkg,
    lkgEpoch: 1 + (random % EPOCH_MAX),
    logIndex: Number(log.at(-1)?.message.index ?? 0n),
    logHead: log.length === 0 ? "" : toHex(log.at(-1)?.digest ?? NO_DIGEST),
    ...signedLast(agent, log),
  });
  // A trial that nobody can name any more is over.
  for (const token of store.tokens()) {
    store.decide(token, "rolled-back");
    await host.guard.disarm(token);
    store.dropToken(token);
  }
  const restored = await host.guard.restore("agent.record_damaged", "");
  if (restored.outcome === "restored" && lkg !== null && restored.epoch > 0) {
    standing.update({ lkgEpoch: restored.epoch });
  }
  // No directive: the outcome of none has changed.
  journal.append({
    outcome: restored.outcome === "restored" ? "rolled_back" : "needs_hands",
    cause: "agent.record_damaged",
    generation: lkg?.generation ?? 0n,
  });
}
