/**
 * Whether a change of the ruleset can only admit more. Then flows of the old policy may live on under the same
 * epoch; in every other case, and whenever this cannot be seen, the epoch is bumped and every flow judged anew.
 *
 * The argument per added element: the rule that looks it up now catches packets that went on to the rest of its
 * chain before. That admits more when the rule's verdict only accepts, or when the rest of the chain accepts
 * nothing of the same family; for a negated look-up, when the rule drops. Sums of such steps only admit more too,
 * since none of the tests looks at elements.
 */
import type { NftChain, NftTable } from "../../schemas/desired.ts";
import { elementKey, sameStructure } from "./nft-text.ts";

export const EPOCH_MAX = 0xfffe; // 0xffff belongs to the rescue ruleset, 0 to foreign flows

/** The epoch after `epoch`; 0 stands for "none yet". */
export function nextEpoch(epoch: number): number {
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff) throw new Error(`epoch ${epoch} is out of range`);
  return epoch >= EPOCH_MAX ? 1 : epoch + 1;
}

const VERDICT = /(?:^|\s)(accept|drop|reject(?: with .*)?|return|(?:goto|jump) (\w+))$/;
const PURE = /(?:^|\s)(?:counter(?: name "?\w+"?)?|log(?: prefix "[^"]*")?)$/;

type Verdict = { readonly word: string; readonly target: string };

function verdictOf(rule: string): Verdict | undefined {
  const found = VERDICT.exec(rule);
  return found === null ? undefined : { word: found[1]!.split(" ")[0]!, target: found[2] ?? "" };
}

const isUnconditional = (rule: string): boolean =>
  /^(?:(?:counter(?: name "?\w+"?)?) )?(?:drop|reject.*|accept)$/.test(rule);

/** The only family that a rule can match; undefined for both. */
function familyOf(rule: string): 4 | 6 | undefined {
  const six = /(?:^|\s)(?:ip6 |icmpv6 |meta nfproto ipv6|ct (?:original|reply) ip6 )/.test(rule);
  const four = /(?:^|\s)(?:ip [sd]addr|icmp |meta nfproto ipv4|ct (?:original|reply) ip )/.test(rule);
  return six === four ? undefined : six ? 6 : 4;
}

type Chains = ReadonlyMap<string, NftChain>;

/** True for a chain that ends in accept whatever the packet is: marks and counters, then accept. */
function onlyAccepts(chains: Chains, name: string): boolean {
  const rules = chains.get(name)?.rules ?? [];
  const last = rules.at(-1);
  const rest = rules.slice(0, -1);
  return last !== undefined && isUnconditional(last) && last.endsWith("accept") && rest.every(isMark);
}

const isMark = (rule: string): boolean => /^(?:ct mark set|counter|log)\b/.test(rule) && verdictOf(rule) === undefined;

/** True when a packet of that family that reaches rule `at` of the chain is not accepted any more. */
function restDenies(chain: NftChain, at: number, family: 4 | 6 | undefined): boolean {
  for (const rule of chain.rules.slice(at)) {
    const verdict = verdictOf(rule);
    const other = familyOf(rule);
    if (family !== undefined && other !== undefined && other !== family) continue;
    if (verdict?.word === "drop" || verdict?.word === "reject") {
      if (isUnconditional(rule)) return true;
      continue;
    }
    if (verdict === undefined && PURE.test(rule)) continue;
    return false;
  }
  return chain.base?.policy === "drop";
}

/** The element's own verdict in a map of verdicts. */
function valueAdmits(value: string): boolean {
  return /^(accept|goto \w+|jump \w+)$/.test(value);
}

/** True when an element more in `set` cannot make rule `at` deny what it did not deny before. */
function ruleWidens(chains: Chains, chain: NftChain, at: number, set: string, values: readonly string[]): boolean {
  const rule = chain.rules[at]!;
  const family = familyOf(rule);
  if (new RegExp(`\\bvmap @${set}$`).test(rule)) {
    const accepting = values.every(
      (value) => value === "accept" || (value.startsWith("goto ") && onlyAccepts(chains, value.slice(5))),
    );
    return accepting || (values.every(valueAdmits) && restDenies(chain, at + 1, family));
  }
  if ((rule.match(new RegExp(`@${set}\\b`, "g")) ?? []).length !== 1) return false;
  const verdict = verdictOf(rule);
  if (verdict === undefined) return false; // a statement that does something else: mark, notrack, NAT
  const negated = new RegExp(`!= @${set}\\b`).test(rule);
  if (negated) return verdict.word === "drop" || verdict.word === "reject";
  if (verdict.word === "accept") return true;
  if (verdict.word === "goto" && onlyAccepts(chains, verdict.target)) return true;
  return (verdict.word === "goto" || verdict.word === "jump") && restDenies(chain, at + 1, family);
}

/** True when `to` admits everything that `from` admits, by construction. False also means: not known. */
export function widensOnly(from: NftTable, to: NftTable): boolean {
  if (!sameStructure(from, to)) return false;
  const chains: Chains = new Map(to.chains.map((chain) => [chain.name, chain]));
  // In a NAT hook "accept" means "not translated": nothing there is ordered by more and less.
  const nat = to.chains.filter((chain) => chain.base !== null && chain.base.type !== "filter");
  const natRules = nat.flatMap((chain) => chain.rules);
  if (natRules.some((rule) => /\b(?:goto|jump|vmap) /.test(rule))) return false;
  const before = new Map(from.sets.map((set) => [set.name, set]));
  return to.sets.every((set) => {
    const old = new Set(before.get(set.name)!.elements);
    const kept = set.elements.filter((element) => old.has(element));
    if (kept.length !== old.size) return false; // something was taken out or changed its value
    const added = set.elements.filter((element) => !old.has(element));
    if (added.length === 0) return true;
    const values = set.kind === "map" ? added.map((element) => element.slice(elementKey(set, element).length + 3)) : [];
    const uses = to.chains.flatMap((chain) =>
      chain.rules.flatMap((rule, at) => (new RegExp(`@${set.name}\\b`).test(rule) ? [{ chain, at }] : [])),
    );
    return uses.every(({ chain, at }) => !nat.includes(chain) && ruleWidens(chains, chain, at, set.name, values));
  });
}
