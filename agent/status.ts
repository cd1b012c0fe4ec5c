/** What the router says of itself: place in its chain, trial, drift, lanes with counters, peers with handshakes. */
import { DESIRED_FORMAT, type Desired } from "../schemas/desired.ts";
import type { Status } from "../schemas/report.ts";
import type { Agent } from "./agent.ts";
import { scopeOf } from "./core/normal.ts";
import type { Observed } from "./core/observed.ts";
import { isRevoked } from "./core/operators.ts";
import type { TrustView } from "./core/trust.ts";
import { type Drift, NO_DRIFT, printable } from "./drift.ts";
import { quarantineOf } from "./health.ts";
import { NO_DIGEST } from "./journal.ts";
import type { OutsideReport } from "./outside.ts";
import { hexBytes } from "./standing.ts";
import { lanesOf } from "./trial-receipt.ts";
import type { Work } from "./work.ts";

/** Peers of one answer, those that were heard last first. About 200 B each. */
const PEERS_MAX = 20_000;

const orZeros = (hex: string): Uint8Array => (hex === "" ? NO_DIGEST : hexBytes(hex));
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

const isLogged = ({ journal }: Agent, { directive }: Work): boolean =>
  journal.newest(directive.digest, "trial") !== undefined;

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
    // Only a trial that stands and is in the log can be confirmed: nobody learns of it before its receipt is safe.
    nonce: state.name === "trial" && isLogged(agent, work) ? hexBytes(work.trial.token) : new Uint8Array(),
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

const NOTHING_SEEN: OutsideReport = { digest: new Uint8Array(), changed: false, detail: "" };

/** Against the kept generation while nothing is under way, and against the one on trial once it stands. */
async function driftNow(agent: Agent, seen: Observed | undefined): Promise<Drift> {
  const { name } = agent.runner.state();
  if (agent.standing.keptDamaged()) {
    return { drift: true, detail: "the kept generation is damaged on disk; the rescue ruleset is in force" };
  }
  const [kept, work] = [agent.standing.kept(), agent.current()];
  if (seen === undefined) return NO_DRIFT;
  if (name === "trial" && work !== undefined) return agent.drift.trial(work, seen);
  return name === "idle" && kept !== null ? agent.drift.kept(kept.desired, seen) : NO_DRIFT;
}

/**
 * Everything of schemas/report.ts Status. Reads the kernel; changes nothing. Peers only when asked for: ten thousand
 * of them are a megabyte, and a push has no use for them.
 */
export async function statusOf(agent: Agent, withPeers = true): Promise<Status> {
  const { host, store, standing } = agent;
  const record = store.record();
  const kept = standing.kept();
  const desired = inForce(agent);
  const seen = desired === null ? undefined : await host.kernel.observe(scopeOf(desired, kept?.desired ?? null));
  const idle = agent.runner.state().name === "idle";
  const outside = desired === null ? NOTHING_SEEN : await agent.outside.report(desired);
  const drift = agent.reassert.told(await driftNow(agent, seen));
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
    quarantine: quarantineOf(agent),
    probation: store.probation()?.kept.generation ?? 0n,
    roster_version: standing.view()?.roster.message.version ?? 0,
    outside_digest: outside.digest,
    outside_changed: outside.changed,
    outside_detail: outside.detail,
    reasserted: agent.reassert.count(),
  };
}
