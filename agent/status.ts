/** What the router says of itself: place in its chain, trial, drift, lanes with counters, peers with handshakes. */
import { DESIRED_FORMAT, type Desired } from "../schemas/desired.ts";
import type { Status } from "../schemas/report.ts";
import type { Agent } from "./agent.ts";
import { normalListing } from "./core/nft-listing.ts";
import { scopeOf } from "./core/normal.ts";
import type { Observed } from "./core/observed.ts";
import { isRevoked } from "./core/operators.ts";
import { NO_SURPLUS, readBack } from "./core/read-back.ts";
import type { TrustView } from "./core/trust.ts";
import { NO_DIGEST } from "./journal.ts";
import { hexBytes } from "./standing.ts";
import { lanesOf } from "./trial-receipt.ts";

/** Peers of one answer, those that were heard last first. About 200 B each. */
const PEERS_MAX = 20_000;

const orZeros = (hex: string): Uint8Array => (hex === "" ? NO_DIGEST : hexBytes(hex));
const printable = (text: string, most: number): string => text.replace(/[^\x20-\x7e\n]/g, "?").slice(0, most);

export type Drift = { readonly drift: boolean; readonly detail: string };

/** Rehearsals of the kept ruleset, and the comparison of a listing that has not changed since. */
export function createDrift(agent: Agent): (desired: Desired, seen: Observed) => Promise<Drift> {
  let rehearsed: { readonly key: string; readonly listing: string } | undefined;
  let compared: { readonly key: string; readonly equal: boolean } | undefined;
  return async (desired, seen) => {
    const { lkg, lkgEpoch } = agent.store.record();
    if (lkg === null) return { drift: false, detail: "" };
    const key = `${lkg.desired} ${lkgEpoch}`;
    if (rehearsed?.key !== key) {
      const file = agent.store.rulesetFile(lkg);
      const result = file === undefined ? undefined : await agent.host.kernel.rehearseNft(file, lkgEpoch);
      if (result === undefined || !result.ok) return { drift: true, detail: "the kept ruleset does not load" };
      rehearsed = { key, listing: result.value.listing };
    }
    const { listing } = rehearsed;
    const place = `${key} ${seen.nftGeneration}`;
    if (compared?.key !== place) {
      compared = { key: place, equal: normalListing(seen.nft) === normalListing(listing) };
    }
    // Equal listings need no second look line by line.
    const problems = readBack(desired, NO_SURPLUS, compared.equal ? { ...seen, nft: listing } : seen, listing);
    const detail = problems.slice(0, 20).map((one) => `${one.path} ${one.detail}`);
    return { drift: problems.length > 0, detail: printable(detail.join("\n"), 4096) };
  };
}

function peersOf(desired: Desired, seen: Observed, nowUnixS: number): Status["peers"] {
  const networks = new Map(desired.links.map((link) => [link.name, link.network]));
  return seen.links
    .flatMap((link) =>
      link.peers.map((peer) => ({
        network: networks.get(link.name) ?? link.name,
        public_key: peer.publicKey,
        endpoint: printable(peer.endpoint, 64),
        // 0 means never, so one that was just now counts as a second.
        handshake_age_s: peer.handshakeUnixS === 0 ? 0n : BigInt(Math.max(1, nowUnixS - peer.handshakeUnixS)),
        rx_bytes: BigInt(peer.rxBytes),
        tx_bytes: BigInt(peer.txBytes),
      })),
    )
    .sort((a, b) => Number(a.handshake_age_s || 1n << 60n) - Number(b.handshake_age_s || 1n << 60n))
    .slice(0, PEERS_MAX);
}

function pendingOf(agent: Agent): Status["pending"] {
  const state = agent.runner.state();
  const work = agent.current();
  if (!("trial" in state) || work === undefined) return null;
  const nowMs = agent.host.clock.bootMs();
  const endMs = state.name === "trial" ? state.deadlineMs : work.trial.capMs;
  return {
    directive_digest: work.directive.digest,
    generation: work.named.generation,
    remaining_ms: BigInt(Math.max(0, Math.floor(endMs - nowMs))),
    author: work.holders[0] ?? "",
    // Only a trial that stands can be confirmed.
    nonce: state.name === "trial" ? hexBytes(work.trial.token) : new Uint8Array(),
  };
}

/** Keys that took themselves back and that the roster still calls active. */
function revokedNow(view: TrustView | undefined): Uint8Array[] {
  const active = (view?.roster.message.operators ?? []).filter((one) => one.status === "active");
  return active.flatMap(({ sign_key }) => (view !== undefined && isRevoked(view, sign_key) ? [sign_key] : []));
}

/** The generation whose rules answer now: the one on trial once it is applied, else the kept one. */
function inForce(agent: Agent): Desired | null {
  const { name } = agent.runner.state();
  const trying = ["probing", "trial", "confirming", "keeping"].includes(name);
  return (trying ? agent.current()?.desired : undefined) ?? agent.standing.kept()?.desired ?? null;
}

/**
 * Everything of schemas/report.ts Status. Reads the kernel; changes nothing. Peers only when asked for: ten thousand
 * of them are a megabyte, and a push has no use for them.
 */
export async function statusOf(
  agent: Agent,
  driftOf: ReturnType<typeof createDrift>,
  withPeers = true,
): Promise<Status> {
  const { host, store, standing } = agent;
  const record = store.record();
  const kept = standing.kept();
  const desired = inForce(agent);
  const seen = desired === null ? undefined : await host.kernel.observe(scopeOf(desired, kept?.desired ?? null));
  const idle = agent.runner.state().name === "idle";
  const damaged = { drift: true, detail: "the kept generation is damaged on disk; the rescue ruleset is in force" };
  const drift: Drift = standing.keptDamaged()
    ? damaged
    : idle && kept !== null && seen !== undefined
      ? await driftOf(kept.desired, seen)
      : { drift: false, detail: "" };
  const work = agent.current();
  const changed = new Set(work?.trial.lanes.flatMap((lane) => (lane.changed ? [lane.name] : [])));
  return {
    router: standing.routerName(),
    incarnation: standing.self().incarnation,
    agent_version: agent.version,
    boot_id: host.clock.bootId(),
    uptime_ms: BigInt(host.clock.bootMs()),
    root_digest: orZeros(record.root),
    roster_digest: orZeros(record.roster),
    keys_digest: orZeros(record.keys),
    generation: record.generation,
    lkg_generation: record.lkg?.generation ?? 0n,
    lkg_directive: standing.parent(),
    lkg_desired: record.lkg === null ? new Uint8Array() : hexBytes(record.lkg.desired),
    log_index: BigInt(record.logIndex),
    log_head: orZeros(record.logHead),
    pending: pendingOf(agent),
    drift: drift.drift,
    drift_detail: drift.detail,
    guard_alive: await host.guard.alive(),
    desired_format: DESIRED_FORMAT,
    backend: host.kernel.backend,
    lanes:
      desired === null
        ? []
        : await lanesOf(
            agent,
            desired,
            (name) => !idle && changed.has(name),
            (name) => !idle && work?.facts.proven.has(name) === true,
          ),
    peers: !withPeers || desired === null || seen === undefined ? [] : peersOf(desired, seen, host.clock.unixS()),
    at_unix: BigInt(host.clock.unixS()),
    lkg_intent: kept?.directive.message.intent_digest ?? new Uint8Array(),
    lkg_inventory: kept?.directive.message.inventory_digest ?? new Uint8Array(),
    revoked: revokedNow(standing.view()),
    roster_version: standing.view()?.roster.message.version ?? 0,
  };
}
