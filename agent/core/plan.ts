/**
 * Ordered steps from what the kernel holds to the next generation, made before break: what comes and what denies
 * happens in the trial, what goes waits for the confirm. Unchanged peers and fields are never written, since a
 * written peer drops packets and a written device re-binds (reference/wireguard.md F4, F5, F7, F18).
 */
import { type Desired, desiredText, type NftTable, type WgPeer } from "../../schemas/desired.ts";
import { sha256, sha256Hex } from "../../schemas/digest.ts";
import { done, type Problem, problem, type Result } from "../../schemas/problem.ts";
import { RESCUE } from "./compile/rescue.ts";
import { type Difference, desiredState, diffStates, type LinkState, observedState, type State } from "./diff.ts";
import { EPOCH_MAX, nextEpoch, widensOnly } from "./epoch.ts";
import { disruptions } from "./nft-diff.ts";
import { normalListing } from "./nft-listing.ts";
import { deltaText, fullText, markerOf, sameStructure } from "./nft-text.ts";
import { scopeOf } from "./normal.ts";
import { changesOf, planText } from "./render.ts";
import { newRescuePeers } from "./rescue-peers.ts";
import type { LaneChange, PeerWrite, Plan, Step } from "./step.ts";

export type PlanInput = {
  readonly lkg: Desired | null; // null: nothing of ours yet
  readonly next: Desired;
  readonly observed: Parameters<typeof observedState>[0];
  readonly lkgEpoch: number; // the epoch in force, 0 before the first generation
  readonly expectedLkgListing: string | null; // rehearsal of the LKG ruleset under lkgEpoch
  /** Keys of peers that go in the trial already, since a thief has them. All others wait for the confirm. */
  readonly stolen?: readonly string[];
};

/**
 * Which lanes of `next` must be proven by a confirm of their own: those that work differently than before, the rescue
 * lane when an operator's key on it is new, and new management addresses of a router that has a generation. Other new
 * lanes have nothing to lose (docs/decisions/0005-which-lanes-need-proof.md, 0008-trust-updates-are-trials.md).
 */
export function laneChanges(lkg: Desired | null, next: Desired): readonly LaneChange[] {
  const before = new Map((lkg?.lanes ?? []).map((lane) => [lane.name, lane.fingerprint]));
  return next.lanes.map(({ name, fingerprint }) => {
    const old = before.get(name);
    const fresh = lkg !== null && name.startsWith("api:");
    const otherKeys = name === RESCUE && newRescuePeers(lkg, next).length > 0;
    return { name, changed: old === undefined ? fresh : old !== fingerprint || otherKeys };
  });
}

type Ways = { readonly lkg: State; readonly seen: State; readonly next: State };

/** What no order of steps can do without cutting live sessions. */
function refusals({ lkg, seen, next }: Ways): readonly Problem[] {
  const confirmed = new Map(lkg.links.map((link) => [link.name, link]));
  const live = new Map(seen.links.map((link) => [link.name, link]));
  const found: Problem[] = [];
  for (const link of next.links) {
    // A device without a key is no server yet: an interrupted apply made it.
    const device = live.get(link.name);
    const base = confirmed.get(link.name) ?? (device === undefined || device.publicKey === "" ? undefined : device);
    if (base === undefined) continue;
    if (base.publicKey !== link.publicKey) {
      found.push(problem("plan.key_in_place", link.name, `${base.publicKey} to ${link.publicKey}`));
    }
    if (base.port !== link.port) found.push(problem("plan.port_in_place", link.name, `${base.port} to ${link.port}`));
  }
  const names = new Set(next.links.map((link) => link.name));
  for (const old of seen.links.filter((link) => !names.has(link.name))) {
    const taker = next.links.find((link) => link.port === old.port);
    if (taker !== undefined) found.push(problem("plan.port_taken", taker.name, `udp ${old.port} of ${old.name}`));
  }
  return found;
}

/** One new or changed device, without its peers. */
function linkSteps(from: LinkState | null, to: LinkState): { readonly early: readonly Step[]; readonly up: boolean } {
  const { name, mtu, port, fwmark, publicKey } = to;
  if (from === null) {
    const device: Step = { kind: "wg.device", name, publicKey, port, fwmark: fwmark === 0 ? null : fwmark };
    return { early: [{ kind: "link.add", name, mtu }, device], up: true };
  }
  const device: Step = {
    kind: "wg.device",
    name,
    publicKey: from.publicKey === publicKey ? null : publicKey,
    port: from.port === port ? null : port,
    fwmark: from.fwmark === fwmark ? null : fwmark,
  };
  const written = device.publicKey !== null || device.port !== null || device.fwmark !== null;
  const early: Step[] = written ? [device] : [];
  if (from.mtu !== mtu) early.push({ kind: "link.mtu", name, mtu });
  return { early, up: !from.up };
}

const sameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

function peerWrite(from: WgPeer | null, to: WgPeer): PeerWrite {
  return {
    publicKey: to.publicKey,
    psk: (from?.psk ?? "") === to.psk ? null : to.psk,
    allowedIps: from !== null && sameList(from.allowedIps, to.allowedIps) ? null : to.allowedIps,
    keepaliveS: (from?.keepaliveS ?? 0) === to.keepaliveS ? null : to.keepaliveS,
    endpoint: null, // clients roam: writing one would overwrite where they are (F16)
  };
}

type PeerDifference = Extract<Difference, { kind: "peer" }>;

/**
 * Writes of one device. Who gains a prefix comes first: adding a prefix takes it from its old peer in one act (F1),
 * so a moved address is never without a peer; peers that only lose come last.
 */
function peerSteps(name: string, peers: readonly PeerDifference[]): readonly Step[] {
  const gains = ({ from, to }: PeerDifference): boolean =>
    (to?.allowedIps ?? []).some((prefix) => !(from?.allowedIps ?? []).includes(prefix));
  const written = peers.filter((peer) => peer.to !== null);
  const ordered = [...written.filter(gains), ...written.filter((peer) => !gains(peer))];
  if (ordered.length === 0) return [];
  return [{ kind: "wg.peers", name, peers: ordered.map(({ from, to }) => peerWrite(from, to!)) }];
}

type NftPlan = { readonly step: Step | null; readonly epoch: number; readonly disruptive: readonly string[] };

function planNft({ lkg, next, observed, lkgEpoch, expectedLkgListing }: PlanInput): NftPlan {
  const marker = markerOf(sha256Hex(desiredText(next)));
  const known =
    lkg !== null && expectedLkgListing !== null && normalListing(observed.nft) === normalListing(expectedLkgListing);
  const from: NftTable | null = lkg?.nft ?? null;
  const disruptive = disruptions(from, next.nft);
  if (known && from !== null) {
    const markerFrom = markerOf(sha256Hex(desiredText(lkg)));
    const delta = sameStructure(from, next.nft) ? deltaText(from, next.nft, markerFrom, marker) : null;
    if (delta === "") return { step: null, epoch: lkgEpoch, disruptive };
    if (delta !== null && widensOnly(from, next.nft)) {
      return { step: { kind: "nft.load", mode: "delta", text: delta }, epoch: lkgEpoch, disruptive };
    }
  }
  const wraps = lkgEpoch >= EPOCH_MAX ? ["the policy epoch wraps to 1; flows that old may count as current"] : [];
  return {
    step: { kind: "nft.load", mode: "full", text: fullText(next.nft, from, marker) },
    epoch: nextEpoch(lkgEpoch),
    disruptive: [...disruptive, ...wraps],
  };
}

/** Removals of peers, device by device. */
function peerRemovals(peers: readonly PeerDifference[]): readonly Step[] {
  return [...new Set(peers.map((peer) => peer.link))].map((name) => {
    const publicKeys = peers.filter((peer) => peer.link === name).map((peer) => peer.from!.publicKey);
    return { kind: "wg.remove", name, publicKeys };
  });
}

/** Steps of the trial. */
function applySteps(work: readonly Difference[], nft: Step | null, stolen: readonly PeerDifference[]): readonly Step[] {
  const steps: Step[] = [];
  const links = work.flatMap((one) =>
    one.kind === "link" && one.to !== null ? [{ name: one.id, ...linkSteps(one.from, one.to) }] : [],
  );
  for (const one of work) {
    if (one.kind === "sysctl" && one.to !== null) steps.push({ kind: "sysctl.set", ...one.to });
  }
  steps.push(...links.flatMap((link) => link.early));
  for (const one of work) {
    if (one.kind === "address" && one.to !== null) steps.push({ kind: "address.add", address: one.to });
  }
  steps.push(...links.filter((link) => link.up).map(({ name }): Step => ({ kind: "link.up", name })));
  if (nft !== null) steps.push(nft);
  steps.push(...peerRemovals(stolen));
  const peers = work.filter((one) => one.kind === "peer");
  for (const name of new Set(peers.map((peer) => peer.link))) {
    steps.push(
      ...peerSteps(
        name,
        peers.filter((peer) => peer.link === name),
      ),
    );
  }
  for (const one of work) {
    if (one.kind === "route" && one.to !== null) steps.push({ kind: "route.add", route: one.to });
  }
  for (const one of work) if (one.kind === "rule" && one.to !== null) steps.push({ kind: "rule.add", rule: one.to });
  return steps;
}

/** Steps once the generation is kept: callers before callees, so that nothing is missed while it goes. */
function lateSteps(work: readonly Difference[]): readonly Step[] {
  const gone = work.filter((one) => one.to === null);
  const peers = gone.filter((one) => one.kind === "peer");
  const steps = gone.flatMap((one): Step[] => {
    if (one.kind === "rule") return [{ kind: "rule.remove", rule: one.from! }];
    if (one.kind === "route") return [{ kind: "route.remove", route: one.from! }];
    if (one.kind === "address") return [{ kind: "address.remove", address: one.from! }];
    if (one.kind === "link") return [{ kind: "link.remove", name: one.id }];
    if (one.kind === "sysctl") return [{ kind: "sysctl.set", key: one.id, value: "" }];
    return [];
  });
  const order = ["rule.remove", "route.remove", "wg.remove", "address.remove", "link.remove", "sysctl.set"];
  return [...steps, ...peerRemovals(peers)].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** SHA-256 over epoch and steps in order; the text form is JSON in the key order of this file. */
function planDigest(epoch: number, apply: readonly Step[], afterConfirm: readonly Step[]): Uint8Array {
  return sha256(`holdfast/plan/v1\n${JSON.stringify({ epoch, apply, afterConfirm })}\n`);
}

/** True when there is nothing to do: no trial, no epoch, no kernel write. */
export function isEmptyPlan(plan: Plan): boolean {
  return plan.apply.length === 0 && plan.afterConfirm.length === 0;
}

/**
 * Plans the way to `next`. The same input always gives the same plan. Refuses what would cut live sessions:
 * plan.key_in_place, plan.port_in_place, plan.port_taken.
 */
export function planChange(input: PlanInput): Result<Plan> {
  const { lkg, next, observed } = input;
  const scope = scopeOf(lkg, next);
  const ways: Ways = {
    lkg: desiredState(lkg),
    seen: observedState(observed, scope),
    next: desiredState(next),
  };
  const refused = refusals(ways);
  if (refused.length > 0) return { ok: false, problems: refused };
  const work = diffStates(ways.seen, ways.next);
  const nft = planNft(input);
  const thieves = input.stolen ?? [];
  const stolen = work.filter(
    (one): one is PeerDifference =>
      one.kind === "peer" && one.to === null && thieves.includes(one.from?.publicKey ?? ""),
  );
  const apply = applySteps(work, nft.step, stolen);
  const afterConfirm = lateSteps(work.filter((one) => !stolen.some((peer) => peer === one)));
  const plan = {
    apply,
    afterConfirm,
    epoch: nft.epoch,
    disruptive: nft.disruptive,
    drift: driftOf(input),
    changes: changesOf(diffStates(ways.lkg, ways.next), lkg?.nft ?? null, next.nft),
    lanes: laneChanges(lkg, next),
    digest: planDigest(nft.epoch, apply, afterConfirm),
  };
  const sessionsReset = countResets(ways.seen, apply);
  return done({ ...plan, text: planText(plan, { windowS: next.windowS, epochBefore: input.lkgEpoch, sessionsReset }) });
}

/** What others changed of what the last confirmed generation owns. */
function driftOf({ lkg, observed, expectedLkgListing }: PlanInput): Plan["drift"] {
  if (lkg === null) return [];
  const own = changesOf(diffStates(desiredState(lkg), observedState(observed, scopeOf(lkg))));
  if (expectedLkgListing === null || normalListing(observed.nft) === normalListing(expectedLkgListing)) return own;
  return [...own, observed.nft === "" ? { sign: "-", text: "nft table" } : { sign: "~", text: "nft table" }];
}

/** Live peers whose sessions end in the trial: their device gets a key or another port, or must come up again. */
function countResets(seen: State, apply: readonly Step[]): number {
  const hit = new Set(
    apply.flatMap((step) =>
      step.kind === "wg.device" && (step.publicKey !== null || step.port !== null) ? [step.name] : [],
    ),
  );
  return seen.links.filter((link) => hit.has(link.name)).reduce((sum, link) => sum + link.peers.length, 0);
}
