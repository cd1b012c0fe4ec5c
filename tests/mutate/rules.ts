/** Mutants of rules and of base chains: removed, widened, exchanged, turned around. */
import type { NftChain, NftTable } from "../../schemas/desired.ts";
import { type Kind, type Mutant, ruleMutant, withBase } from "./mutant.ts";
import { joined, type Part, partsOf } from "./split.ts";
import { isAddress, wider, widerPorts } from "./values.ts";

/** A list in braces as its elements, or the one word as such. */
const literals = (operand: string): readonly string[] =>
  operand.startsWith("{")
    ? operand
        .slice(1, -1)
        .split(",")
        .map((one) => one.trim())
    : [operand];

const braces = (list: readonly string[]): string => (list.length === 1 ? list[0]! : `{ ${list.join(", ")} }`);

const STATES = ["new", "established", "related", "invalid"];
const NEXT: Readonly<Record<string, string>> = {
  original: "reply",
  reply: "original",
  ipv4: "ipv6",
  ipv6: "ipv4",
  tcp: "udp",
  udp: "tcp",
};

/** Conditions that hold for a little more than this one; of a negated one, that leave out a little less. */
function wideningsOf(text: string, interfaces: readonly string[]): readonly string[] {
  const found = /^(.*?) (!= |== )?(\{[^}]*\}|\S+)$/.exec(text);
  if (found === null || text.includes(" . ") || /^(tcp flags|limit|ct mark|ct status|fib)/.test(text)) return [];
  const [, keys = "", operator = "", operand = ""] = found;
  if (operand.startsWith("@")) return [];
  const list = literals(operand);
  const put = (values: readonly string[]): string => `${keys} ${operator}${braces(values)}`;
  const replaced = (of: (one: string) => string | undefined): readonly string[] =>
    list.flatMap((one, i) => {
      const by = of(one);
      return by === undefined ? [] : [put([...list.slice(0, i), by, ...list.slice(i + 1)])];
    });
  if (operator === "!= ") return list.length > 1 ? list.map((_, i) => put(list.filter((_, at) => at !== i))) : [];
  if (/^[io]ifname/.test(keys)) {
    const other = interfaces.find((name) => !list.includes(`"${name}"`));
    return other === undefined ? [] : [put([...list, `"${other}"`])];
  }
  if (keys === "ct state") {
    const more = STATES.filter((state) => !list.includes(state));
    return more.length === 0 ? [] : [put([...list, more[0]!])];
  }
  if (NEXT[operand] !== undefined) return [put([NEXT[operand]!])];
  if (isAddress(list[0]!)) return replaced(wider);
  // A hop limit is an octet.
  return keys === "ip6 hoplimit" ? [put(["254-255"])] : replaced(widerPorts);
}

/** Verdicts in place of one; chains of the same kind stand in for the one that a goto names. */
function otherVerdicts(text: string, chains: readonly string[]): readonly string[] {
  if (text === "accept") return ["drop"];
  if (text === "drop") return ["accept"];
  const [word = "", target = ""] = text.split(" ");
  if (word !== "goto" && word !== "jump") return [];
  const kind = target.slice(0, 4);
  const other = chains.find((name) => name !== target && name.startsWith(kind));
  return ["accept", "drop", ...(other === undefined ? [] : [`${word} ${other}`])];
}

/** Statements that write: marks, notrack, translations. */
function otherActs(text: string): readonly (readonly [Kind, string])[] {
  if (text === "notrack") return [["untrack", ""]];
  if (text.startsWith("ct mark set (")) {
    const without = (part: string): readonly (readonly [Kind, string])[] =>
      text.includes(part) ? [["stamp", text.replace(part, "")]] : [];
    const origin = text.includes("0x00008000") ? [] : ([["stamp", `${text} | 0x00008000`]] as const);
    return [["stamp", ""], ...without(" | $HF_EPOCH"), ...without(" | 0x00008000"), ...origin];
  }
  if (/^(ct|meta) mark set/.test(text)) return [["stamp", ""]];
  const ports = /^masquerade to :(\d+-\d+)$/.exec(text);
  if (ports !== null)
    return [
      ["nat", "masquerade"],
      ["nat", `masquerade to :${widerPorts(ports[1]!)}`],
      ["nat", ""],
    ];
  if (/^(masquerade|dnat|snat)/.test(text)) return [["nat", ""]];
  return [];
}

const without = (parts: readonly Part[], at: number, by: string): string =>
  joined(parts.map((part, i) => (i === at ? { ...part, text: by } : part)).filter(({ text }) => text !== ""));

/** Every mutant of one rule, the exchange with the rule after it included. */
function ofRule(nft: NftTable, chain: NftChain, at: number, interfaces: readonly string[]): readonly Mutant[] {
  const parts = partsOf(chain.rules[at]!);
  const chains = nft.chains.filter(({ base }) => base === null).map(({ name }) => name);
  // Chains are declared before who calls them: only those may be called.
  const callable = chains.slice(0, chains.indexOf(chain.name) < 0 ? chains.length : chains.indexOf(chain.name));
  const one = (kind: Kind, ...by: readonly string[]): Mutant => ruleMutant(nft, chain, at, kind, by);
  const changed = parts.flatMap(({ kind, text }, i): readonly Mutant[] => {
    const by = (of: Kind, changed: string): readonly Mutant[] => {
      const rule = without(parts, i, changed);
      return rule === "" ? [] : [one(of, rule)];
    };
    if (kind === "match") {
      return [...by("unmatch", ""), ...wideningsOf(text, interfaces).flatMap((wide) => by("widen", wide))];
    }
    return [
      ...otherVerdicts(text, callable).flatMap((verdict) => by("verdict", verdict)),
      ...otherActs(text).flatMap(([of, act]) => by(of, act)),
    ];
  });
  const next = chain.rules[at + 1];
  return [one("remove"), ...changed, ...(next === undefined ? [] : [one("swap", next, chain.rules[at]!)])];
}

/** Every mutant of the chains of a table. `interfaces`: names that a condition on an interface may be widened by. */
export function ruleMutants(nft: NftTable, interfaces: readonly string[]): readonly Mutant[] {
  return nft.chains.flatMap((chain) => {
    const policy: readonly Mutant[] =
      chain.base === null
        ? []
        : [
            {
              kind: "policy",
              where: chain.name,
              rule: `policy ${chain.base.policy}`,
              what: chain.base.policy === "drop" ? "policy accept" : "policy drop",
              make: () =>
                withBase(nft, chain.name, (base) => ({ ...base, policy: base.policy === "drop" ? "accept" : "drop" })),
            },
          ];
    return [...policy, ...chain.rules.flatMap((_, at) => ofRule(nft, chain, at, interfaces))];
  });
}
