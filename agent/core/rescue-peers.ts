/**
 * Operators on the rescue lane, from one generation to the next. A new key is believed only when somebody arrives with
 * it; until then the lane must not depend on it.
 */
import type { Desired, WgPeer } from "../../schemas/desired.ts";
import { isRevoked } from "./operators.ts";
import type { TrustView } from "./trust.ts";

const peersOf = (desired: Desired): readonly WgPeer[] =>
  desired.links.filter((link) => link.network === "rescue").flatMap((link) => link.peers);

/** Peers of the rescue lane with a key that it did not have; none for a first generation, which has nothing to lose. */
export function newRescuePeers(before: Desired | null, next: Desired): readonly WgPeer[] {
  if (before === null) return [];
  const known = new Set(peersOf(before).map((peer) => peer.publicKey));
  return peersOf(next).filter((peer) => !known.has(peer.publicKey));
}

/** True when some active operator of `view` reaches `before` with the lane key that the roster still has. */
export function keepsHolder(before: Desired, view: TrustView): boolean {
  const known = new Set(peersOf(before).map((peer) => peer.publicKey));
  return view.roster.message.operators.some(
    (one) => one.status === "active" && !isRevoked(view, one.sign_key) && known.has(one.lane_key),
  );
}

/** Lane keys that somebody else has: they go in the trial already. */
export function stolenLaneKeys(view: TrustView): readonly string[] {
  return view.roster.message.operators.filter((one) => one.status === "stolen").map((one) => one.lane_key);
}
