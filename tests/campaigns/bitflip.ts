/**
 * `npm run bitflip -- --seed N --splices M`: every single-bit flip of one valid envelope of each kind, and M splices
 * of two valid ones, cut at random points and joined. None counts as
 * another statement, whatever kind it claims to be.
 */
import { claimedKind, openStatement } from "../../agent/core/dsse.ts";
import { verify } from "../../agent/core/verify.ts";
import { stateDigest } from "../../agent/core/verify-state.ts";
import { equalBytes } from "../../schemas/digest.ts";
import { type Good, goodEnvelopes, relatives } from "../vectors/goods.ts";
import { baseState, crypto, NOW_MS } from "../vectors/world.ts";
import { type Campaign, type Counts, Miss, type Random, runCampaign } from "./campaign.ts";

const whole: readonly Uint8Array[] = [...goodEnvelopes.map(({ bytes }) => bytes), ...relatives];

const when = { bootMs: NOW_MS, unixS: null };

/** The statement in the bytes when its signatures hold: who may sign, and whether it counts, is not even asked. */
function openedDigest(bytes: Uint8Array): Uint8Array | undefined {
  const kind = claimedKind(bytes);
  const opened = kind === undefined ? undefined : openStatement(crypto, kind, bytes);
  return opened?.ok ? opened.value.digest : undefined;
}

const digests = whole.map((bytes) => openedDigest(bytes)!);

/** Flips each bit of an envelope in turn; the whole one is accepted, so what is refused is the flip. */
function flipAll({ kind, bytes, state }: Good): Counts {
  const verdict = verify(crypto, { ...baseState, ...state }, when, bytes, kind);
  if (verdict.code !== "") throw new Error(`the valid ${kind} is refused: ${verdict.code}`);
  const flipped = bytes.slice();
  let accepted = 0;
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const [at, mask] = [bit >> 3, 1 << (bit & 7)];
    flipped[at] = flipped[at]! ^ mask;
    if (openedDigest(flipped) !== undefined) accepted += 1;
    flipped[at] = flipped[at]! ^ mask;
  }
  return { kinds: 1, flips: 8 * bytes.length, accepted };
}

/** Where a cut goes: half of them fall near a boundary that both share, where a splice has the best chance. */
function cutsOf(random: Random, a: Uint8Array, b: Uint8Array): readonly [number, number] {
  const i = random(a.length + 1);
  if (random(2) === 0) return [i, random(b.length + 1)];
  const j = Math.min(b.length, random(2) === 0 ? i : Math.max(0, b.length - (a.length - i)));
  return [i, j];
}

function joinedFrom(random: Random): Uint8Array {
  for (;;) {
    const [a, b] = [whole[random(whole.length)]!, whole[random(whole.length)]!];
    const [i, j] = cutsOf(random, a, b);
    const joined = new Uint8Array(i + b.length - j);
    joined.set(a.subarray(0, i));
    joined.set(b.subarray(j), i);
    // A cut at the ends, or between equal bytes, gives one of the two back: that is no splice.
    if (!whole.some((one) => equalBytes(one, joined))) return joined;
  }
}

function splice(random: Random): Counts {
  const joined = joinedFrom(random);
  const digest = openedDigest(joined);
  if (digest === undefined) return { splices: 1 };
  // A cut between two signatures leaves the same statement with fewer of them: its threshold decides.
  const dropped = digests.some((one) => equalBytes(one, digest));
  const verdict = verify(crypto, baseState, when, joined);
  const changes = verdict.code === "" && stateDigest(verdict.state) !== stateDigest(baseState);
  return { splices: 1, dropped: dropped ? 1 : 0, accepted: dropped && !changes ? 0 : 1 };
}

const campaign: Campaign = {
  name: "bitflip",
  size: "splices",
  cases: 100_000,
  one({ index, random }) {
    const good = goodEnvelopes[index];
    const parts = [...(good === undefined ? [] : [flipAll(good)]), splice(random)];
    const counts: Record<string, number> = {};
    for (const part of parts) {
      for (const [key, value] of Object.entries(part)) counts[key] = (counts[key] ?? 0) + value;
    }
    if ((counts.accepted ?? 0) > 0) throw new Miss(`${counts.accepted} accepted`, counts);
    return counts;
  },
  line: ({ kinds = 0, flips = 0, splices = 0, dropped = 0, accepted = 0 }) => ({
    kinds,
    flips,
    splices,
    dropped,
    accepted,
  }),
  // A replay of one case flips one kind at most.
  miss: ({ kinds = 0, splices = 0 }) =>
    kinds < Math.min(splices, goodEnvelopes.length) && splices > 1 ? `only ${kinds} kinds were flipped` : undefined,
};

if (import.meta.main) process.exit(await runCampaign(campaign, process.argv.slice(2)));
