/** A whole table read: every rule, set and map, and every reason why one cannot be. */
import type { NftChain, NftSet, NftTable } from "../../../schemas/desired.ts";
import { type Problem, problem, type Result } from "../../../schemas/problem.ts";
import type { Columns, NftType, ReadChain, ReadSet, ReadTable, Rule, Verdict } from "./ast.ts";
import { wordsOf } from "./cursor.ts";
import { tableFaults } from "./faults.ts";
import type { Interfaces, Interval } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";
import { readRule, readVerdict } from "./reader.ts";
import { type IndexOf, typesOf, valuesOf } from "./words.ts";

export type Named = { readonly names: readonly string[]; readonly wildcards: readonly string[] };

/** Names and wildcards that a table mentions, as they stand in quotes. */
export function interfacesIn({ chains, sets }: NftTable): Named {
  const found = new Set<string>();
  const scan = (text: string): void => {
    for (let open = text.indexOf('"'); open >= 0; ) {
      const close = text.indexOf('"', open + 1);
      if (close < 0) return;
      found.add(text.slice(open + 1, close));
      open = text.indexOf('"', close + 1);
    }
  };
  for (const chain of chains) for (const rule of chain.rules) scan(rule.replace(/ comment "[^"]*"/, ""));
  for (const set of sets) if (/if/.test(set.type)) for (const element of set.elements) scan(element);
  const all = [...found];
  return {
    names: all.filter((name) => !name.endsWith("*")),
    wildcards: all.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1)),
  };
}

export function indexOfNames(interfaces: Interfaces): IndexOf {
  return (name) => (name.endsWith("*") ? interfaces.under(name.slice(0, -1)) : [interfaces.index(name)]);
}

const unmodelled = (where: string, what: string): Problem => problem("verify.unmodelled", where, what);

/** Runs a reader; what it does not understand becomes a problem. */
function attempt<T>(where: string, problems: Problem[], read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Unmodelled)) throw error;
    problems.push(unmodelled(where, error.message));
    return undefined;
  }
}

/** Texts of values repeat in many sets; each is read once. */
class Values {
  readonly #known = new Map<string, Interval>();
  readonly #indexOf: IndexOf;
  constructor(indexOf: IndexOf) {
    this.#indexOf = indexOf;
  }

  read(type: NftType, text: string): Interval {
    const key = type === "ifname" || type === "ipv4_addr" || type === "ipv6_addr" ? text : `${type} ${text}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const found = valuesOf(type, text, this.#indexOf);
    if (found.length !== 1) throw new Unmodelled(`wildcard ${text} in a set`);
    this.#known.set(key, found[0]!);
    return found[0]!;
  }

  columns(types: readonly NftType[], text: string): Columns {
    if (types.length === 1) return [this.read(types[0]!, text)];
    const parts = text.split(" . ");
    if (parts.length !== types.length) throw new Unmodelled(`${parts.length} parts for ${types.length}`);
    return parts.map((part, i) => this.read(types[i]!, part));
  }
}

function readSet(set: NftSet, values: Values): ReadSet {
  const types = typesOf(set.type);
  const verdictMap = set.kind === "map" && set.value === "verdict";
  const results = set.kind === "map" && !verdictMap ? typesOf(set.value) : [];
  const columns: Columns[] = [];
  const verdicts: Verdict[] = [];
  const found: Columns[] = [];
  const knownVerdicts = new Map<string, Verdict>();
  for (const text of set.elements) {
    const cut = set.kind === "map" ? text.indexOf(" : ") : -1;
    if (set.kind === "map" && cut < 0) throw new Unmodelled(`element ${text} without a value`);
    columns.push(values.columns(types, cut < 0 ? text : text.slice(0, cut)));
    if (cut < 0) continue;
    const value = text.slice(cut + 3);
    if (!verdictMap) found.push(values.columns(results, value));
    else {
      let verdict = knownVerdicts.get(value);
      if (verdict === undefined) {
        const words = wordsOf(value);
        const read = readVerdict(words, 0);
        if (read === undefined || read.next !== words.length) throw new Unmodelled(`verdict ${value}`);
        verdict = read.verdict;
        knownVerdicts.set(value, verdict);
      }
      verdicts.push(verdict);
    }
  }
  return { name: set.name, types, texts: set.elements, columns, verdicts, results: found };
}

function readChain(chain: NftChain, indexOf: IndexOf, problems: Problem[]): ReadChain {
  const rules = chain.rules.flatMap((text, i): readonly Rule[] => {
    const rule = attempt(`${chain.name} rule ${i}`, problems, () => readRule(text, indexOf));
    return rule === undefined ? [] : [rule];
  });
  return { name: chain.name, base: chain.base, rules };
}

/** Reads a table; the problems name every chain, rule and set that the verifier does not understand. */
export function readTable(table: NftTable, interfaces: Interfaces): Result<ReadTable> {
  const problems: Problem[] = [];
  const indexOf = indexOfNames(interfaces);
  const values = new Values(indexOf);
  const chains = table.chains.map((chain) => readChain(chain, indexOf, problems));
  const sets = table.sets.flatMap((set): readonly ReadSet[] => {
    const read = attempt(`set ${set.name}`, problems, () => readSet(set, values));
    return read === undefined ? [] : [read];
  });
  const twice = (names: readonly string[]): readonly string[] => names.filter((name, i) => names.indexOf(name) !== i);
  for (const name of [...twice(chains.map((one) => one.name)), ...twice(sets.map((one) => one.name))]) {
    problems.push(unmodelled(name, "declared twice"));
  }
  const read: ReadTable = {
    chains: new Map(chains.map((chain) => [chain.name, chain])),
    sets: new Map(sets.map((set) => [set.name, set])),
  };
  if (problems.length === 0) {
    problems.push(...tableFaults(read).map(({ where, what }) => unmodelled(where, what)));
    const wildcards = interfaces.others.map(({ wildcard }) => wildcard).filter((one) => one !== "");
    for (const one of wildcards) {
      if (wildcards.some((other) => other !== one && other.startsWith(one))) {
        problems.push(unmodelled(`"${one}*"`, "interface wildcards that overlap"));
      }
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: read };
}
