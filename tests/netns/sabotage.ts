/**
 * `prove` of the test build: the honest one, then damage to what it compiled. The kind is named by a service of the
 * intent (`sabotage-no-lanes`), so that command line and router spoil the same generation in the same way. Linked
 * into test programs only, see program.ts.
 */
import { prove as honest, type Proven } from "../../agent/core/prove.ts";
import { type Desired, desiredDigest, type NftChain } from "../../schemas/desired.ts";
import { done, type Result } from "../../schemas/problem.ts";

export * from "../../agent/core/prove.ts";

export type Sabotage = "no-lanes" | "default-drop" | "wrong-key" | "closed-rescue";

const withChains = (desired: Desired, change: (chain: NftChain) => readonly string[]): Desired => ({
  ...desired,
  nft: { ...desired.nft, chains: desired.nft.chains.map((chain) => ({ ...chain, rules: change(chain) })) },
});

/** Rules without those that let the lanes of these counters through. */
const withoutLanes = (desired: Desired, counters: readonly string[]): Desired =>
  withChains(desired, ({ rules }) =>
    rules.filter((rule) => !counters.some((counter) => new RegExp(`\\b${counter}\\b`).test(rule))),
  );

/** A peer key that nobody has. */
const NOBODY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const spoil: Readonly<Record<Sabotage, (desired: Desired) => Desired>> = {
  "no-lanes": (desired) => ({
    ...withoutLanes(
      desired,
      desired.lanes.map((lane) => lane.counter),
    ),
    lanes: [],
  }),
  "default-drop": (desired) =>
    withChains(desired, ({ base, rules }) => (base?.hook === "input" ? ["counter drop"] : rules)),
  "wrong-key": (desired) => ({
    ...desired,
    links: desired.links.map((link) =>
      link.network === "rescue" ? { ...link, peers: link.peers.map((peer) => ({ ...peer, publicKey: NOBODY })) } : link,
    ),
  }),
  "closed-rescue": (desired) =>
    withoutLanes(
      desired,
      desired.lanes.filter((lane) => lane.name === "rescue").map((lane) => lane.counter),
    ),
};

export function prove(input: Parameters<typeof honest>[0]): Result<Proven> {
  const result = honest(input);
  const named = input.intent.services.find((service) => service.id.startsWith("sabotage-"));
  if (!result.ok || named === undefined) return result;
  const kind = named.id.slice("sabotage-".length) as Sabotage;
  const desired = spoil[kind](result.value.desired);
  return done({ ...result.value, desired, digest: desiredDigest(desired) });
}
