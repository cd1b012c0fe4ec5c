/** HF-RULE: the form of the ruleset, so that what was proven is what is loaded. */
import type { NftChain, NftTable } from "../../schemas/desired.ts";
import { limits } from "../../schemas/limits.ts";
import type { Problem } from "../../schemas/problem.ts";
import { type Invariant, violated } from "./invariants-subject.ts";

const FINAL_DROP = /^counter name (\S+) drop$/;

function finalDrop(chain: NftChain): readonly Problem[] {
  const last = chain.rules.at(-1) ?? "";
  const found: string[] = [];
  if (chain.base?.policy !== "drop") found.push(`chain ${chain.name} has policy ${chain.base?.policy}, not drop.`);
  if (!FINAL_DROP.test(last)) found.push(`chain ${chain.name} does not end in a counted drop, but in "${last}".`);
  return found.map((text) => violated("HF-RULE-01", `The ${text}`));
}

/** The chains that say the last word about what comes in and what is forwarded: earlier ones may pass packets on. */
function lastChains(nft: NftTable): readonly (readonly [hook: string, last: NftChain | undefined])[] {
  return (["input", "forward"] as const).map((hook) => {
    const chains = nft.chains.filter((chain) => chain.base?.hook === hook && chain.base.type === "filter");
    return [hook, chains.sort((a, b) => a.base!.priority - b.base!.priority).at(-1)];
  });
}

const dropByDefault: Invariant = {
  id: "HF-RULE-01",
  sentence: "Input and forward have the policy drop, and each ends in a drop that is counted.",
  why: "What nobody thought of must be refused, and be seen.",
  example: "A forward chain with policy accept.",
  fix: "Report it: the compiler must close both hooks; keep the last confirmed generation.",
  check: ({ desired }) =>
    lastChains(desired.nft).flatMap(([hook, last]): readonly Problem[] =>
      last === undefined ? [violated("HF-RULE-01", `There is no ${hook} chain.`)] : finalDrop(last),
    ),
  reads: ({ desired }) =>
    lastChains(desired.nft).flatMap(([, last]) =>
      last === undefined ? [] : [{ chain: last.name, rule: last.rules.length - 1 }],
    ),
};

const NAME = /^[smvzpcb]_[A-Za-z0-9_]{1,120}$/;
const targets = (text: string): readonly string[] =>
  [...text.matchAll(/\b(?:goto|jump) (\S+)/g)].map((match) => match[1]!);

/** Names that rules use and the table does not have. */
function loose(nft: NftTable): readonly string[] {
  const chains = new Set(nft.chains.map((chain) => chain.name));
  const sets = new Set(nft.sets.map((set) => set.name));
  const texts = [
    ...nft.chains.flatMap((chain) => chain.rules),
    ...nft.sets.filter((set) => set.value === "verdict").flatMap((set) => set.elements),
  ];
  return texts.flatMap((text) => [
    ...targets(text).filter((name) => !chains.has(name)),
    ...[...text.matchAll(/@(\w+)/g)].map((match) => match[1]!).filter((name) => !sets.has(name)),
    ...[...text.matchAll(/\bcounter name (\S+)/g)]
      .map((match) => match[1]!)
      .filter((name) => !nft.counters.includes(name)),
  ]);
}

/** Rules and elements stay inside their place: no text that closes a block, starts a statement or another line. */
function escapes(nft: NftTable): readonly string[] {
  const balanced = (text: string): boolean => /^[^{}]*(\{[^{}]*\}[^{}]*)*$/.test(text);
  const rules = nft.chains.flatMap((chain) => chain.rules).filter((text) => /[\n;#\\]/.test(text) || !balanced(text));
  const elements = nft.sets.flatMap((set) => set.elements).filter((text) => /[\n;#\\{},]/.test(text));
  return [...rules, ...elements];
}

const ownNames: Invariant = {
  id: "HF-RULE-02",
  sentence: "Every name carries its prefix and exists, and no text leaves the place where it stands.",
  why: "Names that nft reserves, or a rule that closes its chain, would load as something else than was proven.",
  example: "A chain named fwd, or a rule with a brace too many.",
  fix: "Report it: the compiler wrote a text that is not a rule; keep the last confirmed generation.",
  check: ({ desired: { nft } }) => {
    const names = [...nft.counters, ...nft.sets.map((set) => set.name), ...nft.chains.map((chain) => chain.name)];
    // Sets and chains may share a name in nft; here they never do, so that a name says what it is.
    const twice = names.filter((name, i) => names.indexOf(name) !== i);
    return [
      ...names
        .filter((name) => !NAME.test(name))
        .map((name) => violated("HF-RULE-02", `${name} is no name of Holdfast's.`)),
      ...twice.map((name) => violated("HF-RULE-02", `${name} is there twice.`)),
      ...loose(nft).map((name) => violated("HF-RULE-02", `${name} is used, but not there.`)),
      ...escapes(nft).map((text) => violated("HF-RULE-02", `"${text.slice(0, 80)}" leaves its place.`)),
    ];
  },
};

const withinLimits: Invariant = {
  id: "HF-RULE-03",
  sentence: "Sets hold each element once, and all together no more than the limit.",
  why: "A load that runs out of memory or time fails half way through a maintenance window.",
  example: "A site whose services and clients multiply into two million elements.",
  fix: "Use prefixes and ranges in services, or fewer grants.",
  check: ({ desired: { nft } }) => {
    const total = nft.sets.reduce((sum, set) => sum + set.elements.length, 0);
    if (total > limits.nftElements) {
      return [violated("HF-RULE-03", `${total} elements, at most ${limits.nftElements}: use prefixes and ranges.`)];
    }
    return nft.sets
      .filter((set) => new Set(set.elements).size !== set.elements.length)
      .map((set) => violated("HF-RULE-03", `Set ${set.name} holds an element twice.`));
  },
};

const windowInside: Invariant = {
  id: "HF-CONF-01",
  sentence: "The generation carries the intent's confirm window and cap, and the window fits.",
  why: "The guard counts these seconds; a longer window than signed keeps a lock-out longer than promised.",
  example: "A window of 900 s under a cap of 600 s.",
  fix: "Raise confirm.cap_s or lower confirm.window_s.",
  check: ({ intent: { confirm }, desired }) => {
    const same = desired.windowS === confirm.window_s && desired.capS === confirm.cap_s;
    const fits = desired.windowS >= limits.windowMinS && desired.windowS <= desired.capS;
    return [
      ...(same
        ? []
        : [violated("HF-CONF-01", `Window ${desired.windowS} s and cap ${desired.capS} s are not the intent's.`)]),
      ...(fits ? [] : [violated("HF-CONF-01", `Window ${desired.windowS} s does not fit cap ${desired.capS} s.`)]),
    ];
  },
};

export const ruleInvariants: readonly Invariant[] = [dropByDefault, ownNames, withinLimits, windowInside];
