/**
 * Bent rulesets: the compiler closes every chain and never jumps where it can go, so much of what nft can do never
 * happens in its rulesets. A table with rules left out, exchanged or sent elsewhere still loads, and an oracle has to
 * say of it what the kernel does. Names and sets stay, so that nothing dangles.
 */
import type { NftChain, NftTable } from "../../schemas/desired.ts";
import type { Random } from "../campaigns/campaign.ts";
import { oneOf } from "./pick.ts";

type Bend = (rules: string[], random: Random) => void;

const leaveOut: Bend = (rules, random) => void rules.splice(random(rules.length), 1);
const openEnd: Bend = (rules) => void rules.pop();
const exchange: Bend = (rules, random) => {
  const at = random(Math.max(1, rules.length - 1));
  rules.push(...rules.splice(at, 2).reverse(), ...rules.splice(at));
};
const jumpInstead: Bend = (rules) => {
  for (const [i, rule] of rules.entries()) rules[i] = rule.replace(/\bgoto (\w+)$/, "jump $1");
};
const comeBack: Bend = (rules, random) => {
  const at = random(rules.length);
  rules[at] = rules[at]!.replace(/(counter name \w+ )?drop$/, "return");
};
const turnOver: Bend = (rules, random) => {
  const at = random(rules.length);
  const rule = rules[at]!;
  rules[at] = rule.includes(" != ") ? rule.replace(" != ", " ") : rule.replace(/ @(s_\w+)/, " != @$1");
};

const BENDS: readonly Bend[] = [
  leaveOut,
  leaveOut,
  openEnd,
  openEnd,
  openEnd,
  exchange,
  jumpInstead,
  comeBack,
  turnOver,
];

/** NAT stays as it is: the test has to know a flow's answers. Negation of a NAT rule would translate everything. */
const bendable = (chain: NftChain): boolean =>
  chain.rules.length > 0 && chain.base?.type !== "nat" && chain.name !== "c_stamp";

type Open = { readonly name: string; readonly rules: string[] };

/**
 * One chain accepts what comes to its end, and the chains that it leads to lose their own ends: what falls out of them
 * comes back only where they were jumped to.
 */
function fallThrough(table: NftTable, chains: readonly Open[], random: Random): void {
  const leads = (chain: Open): readonly string[] => {
    const text = chain.rules.join("\n");
    const maps = [...text.matchAll(/\bvmap @(\w+)/g)].map((found) => found[1]);
    const elements = table.sets.filter((set) => maps.includes(set.name)).flatMap((set) => set.elements);
    return [text, ...elements].flatMap((one) => [...one.matchAll(/\b(?:goto|jump) (\w+)/g)].map((found) => found[1]!));
  };
  const inner = (chain: Open): readonly string[] => leads(chain).filter((name) => name !== "c_stamp");
  const callers = chains.filter((chain) => inner(chain).length > 0);
  if (callers.length === 0) return;
  const caller = oneOf(random, callers);
  if (/\bdrop$/.test(caller.rules.at(-1) ?? "")) caller.rules.pop();
  caller.rules.push("accept");
  for (const name of new Set(inner(caller))) chains.find((chain) => chain.name === name)?.rules.pop();
}

/** A table with a few rules bent. */
export function bent(table: NftTable, random: Random): NftTable {
  const chains = table.chains.map((chain) => ({ ...chain, rules: [...chain.rules] }));
  if (random(4) > 0) fallThrough(table, chains, random);
  for (let n = 1 + random(6); n > 0; n -= 1) {
    const targets = chains.filter(bendable);
    if (targets.length > 0) oneOf(random, BENDS)(oneOf(random, targets).rules, random);
  }
  return { ...table, chains };
}
