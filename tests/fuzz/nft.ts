/**
 * A concrete reader of a ruleset: one packet, one table, what nft does. Written against nft(8) and the kernel's
 * net/netfilter, for tests only; it shares no line with the compiler, nor with the readers that it helps to judge.
 *
 * A rule is read once into functions. An expression whose value a packet does not have (a port of ICMP, the mark of a
 * packet that conntrack does not know) breaks off its rule. What it cannot read is an error.
 */
import type { NftBase, NftChain, NftSet, NftTable } from "../../schemas/desired.ts";
import { type Field, fieldAt, type Key, type Matcher, matcherOf, Sets } from "./nft-fields.ts";
import { Reader } from "./nft-words.ts";
import type { Ct, Regs, Run, Verdict } from "./regs.ts";

type Step = (regs: Regs, run: Run) => boolean | string; // false: the rule ends; a string: a verdict
type Rule = { readonly text: string; readonly steps: readonly Step[] };

const knows = ({ state }: Ct): boolean => state !== "invalid" && state !== "untracked";

export class Ruleset {
  readonly #chains: ReadonlyMap<string, { readonly chain: NftChain; readonly rules: readonly Rule[] }>;
  readonly #sets: Sets;
  readonly #epoch: number;

  constructor(table: NftTable, epoch: number) {
    this.#epoch = epoch * 0x10000;
    this.#sets = new Sets(table.sets as readonly NftSet[]);
    this.#chains = new Map(
      table.chains.map((chain) => [chain.name, { chain, rules: chain.rules.map((text) => this.#read(text)) }]),
    );
  }

  /** Base chains of a hook in order. */
  base(hook: NftBase["hook"]): readonly NftChain[] {
    return [...this.#chains.values()]
      .map(({ chain }) => chain)
      .filter((chain) => chain.base?.hook === hook)
      .sort((a, b) => a.base!.priority - b.base!.priority);
  }

  /** What one base chain does with a packet. */
  judge(chain: NftChain, regs: Regs, run: Run): Verdict {
    const verdict = this.#chain(chain.name, regs, run, 0);
    if (verdict === undefined) run.trail.push(`${chain.name}: policy ${chain.base!.policy}`);
    return (verdict ?? chain.base!.policy) as Verdict;
  }

  #chain(name: string, regs: Regs, run: Run, depth: number): Verdict | undefined {
    const found = this.#chains.get(name);
    if (found === undefined || depth > 16) throw new Error(`no chain ${name}, or too deep`);
    for (const { text, steps } of found.rules) {
      const verdict = runRule(steps, regs, run);
      if (verdict === undefined) continue;
      run.trail.push(`${name}: ${text} [${verdict}]`);
      if (verdict === "accept" || verdict === "drop") return verdict;
      if (verdict === "return") return undefined;
      const [kind, target = ""] = verdict.split(" ");
      const inner = this.#chain(target, regs, run, depth + 1);
      if (inner !== undefined || kind === "goto") return inner;
    }
    return undefined;
  }

  #read(text: string): Rule {
    const reader = new Reader(text);
    const steps: Step[] = [];
    while (reader.peek() !== "") steps.push(this.#step(reader));
    return { text, steps };
  }

  #step(reader: Reader): Step {
    if (reader.take("counter")) {
      const name = reader.take("name") ? reader.next() : "";
      return (_, run) => run.counters.push(name) > 0;
    }
    for (const word of ["accept", "drop", "return"]) if (reader.take(word)) return () => word;
    for (const word of ["goto", "jump"]) {
      if (!reader.take(word)) continue;
      const target = reader.next();
      return () => `${word} ${target}`;
    }
    if (reader.take("notrack")) return (regs) => (regs.notrack = true);
    if (reader.take("limit", "rate")) {
      reader.next();
      return (_, run) => {
        run.limited = true;
        return run.limit;
      };
    }
    return this.#translation(reader) ?? this.#setting(reader) ?? flagsStep(reader) ?? this.#match(reader);
  }

  #translation(reader: Reader): Step | undefined {
    if (reader.take("masquerade")) {
      const range = reader.take("to") ? reader.next().slice(1).split("-").map(Number) : undefined;
      const ports = range === undefined ? undefined : ([range[0]!, range.at(-1)!] as const);
      return (regs) => {
        regs.nat = { kind: "masquerade", ports };
        return "accept";
      };
    }
    if (!reader.take("dnat", "ip", "to")) return undefined;
    const key = this.#key(reader);
    if (!reader.take("map")) reader.fail();
    const find = this.#sets.finder(reader.next(), key);
    return (regs) => {
      const value = find(regs);
      if (value === undefined) return false;
      const [target, port = "0"] = value.split(" . ");
      regs.nat = { kind: "dnat", target: matcherOf("ip4", target!).from as bigint, port: Number(port) };
      return "accept";
    };
  }

  #setting(reader: Reader): Step | undefined {
    if (reader.take("tcp", "option", "maxseg", "size", "set")) {
      const to = reader.next();
      if (to === "rt") reader.next();
      return (regs) => {
        const size = to === "rt" ? regs.routeMss : Number(to);
        // The kernel breaks off when there is no option, and never raises one.
        if (regs.protocol !== 6 || regs.mss === 0) return false;
        if (size < regs.mss) regs.mss = size;
        return true;
      };
    }
    const meta = reader.take("meta", "mark", "set");
    if (!meta && !reader.take("ct", "mark", "set")) return undefined;
    const value = this.#number(reader);
    return (regs) => {
      const mark = value(regs);
      if (mark === undefined) return false;
      if (meta) regs.mark = mark;
      else if (knows(regs.ct)) regs.ct.mark = mark;
      return true;
    };
  }

  /** `(ct mark & M) | $HF_EPOCH | N`, `ct mark & M`, or a look-up in a map. */
  #number(reader: Reader): (regs: Regs) => number | undefined {
    if (fieldAt(reader.tokens, reader.at) !== undefined) {
      const key = this.#key(reader);
      if (!reader.take("map")) reader.fail();
      const find = this.#sets.finder(reader.next(), key);
      return (regs) => {
        const found = find(regs);
        return found === undefined ? undefined : Number(found);
      };
    }
    const terms: ((regs: Regs) => number | undefined)[] = [];
    do terms.push(this.#term(reader));
    while (reader.take("|"));
    return (regs) =>
      terms.reduce<number | undefined>((sum, term) => {
        const value = term(regs);
        return sum === undefined || value === undefined ? undefined : (sum | value) >>> 0;
      }, 0);
  }

  #term(reader: Reader): (regs: Regs) => number | undefined {
    const marked = (mask: number) => (regs: Regs) => (knows(regs.ct) ? (regs.ct.mark & mask) >>> 0 : undefined);
    const group = /^\(ct mark & (0x[0-9a-f]+)\)$/.exec(reader.peek());
    if (group !== null) {
      reader.next();
      return marked(Number(group[1]));
    }
    if (reader.take("ct", "mark", "&")) return marked(Number(reader.next()));
    const value = this.#literal(reader.next());
    if (Number.isNaN(value)) reader.fail();
    return () => value;
  }

  #literal(text: string): number {
    return text === "$HF_EPOCH" ? this.#epoch >>> 0 : Number(text);
  }

  #key(reader: Reader): Key {
    const fields: Field[] = [];
    do {
      const found = fieldAt(reader.tokens, reader.at);
      if (found === undefined) reader.fail();
      fields.push(found.field);
      reader.at += found.words;
    } while (reader.take("."));
    return fields;
  }

  #match(reader: Reader): Step {
    if (reader.peek() === "ct" && reader.peek(1) === "mark") return this.#markMatch(reader);
    const key = this.#key(reader);
    if (reader.take("vmap")) {
      const find = this.#sets.finder(reader.next(), key);
      return (regs) => find(regs) ?? false;
    }
    const negated = reader.take("!=");
    if (!negated) reader.take("==");
    const operand = reader.next();
    if (operand.startsWith("@")) {
      const find = this.#sets.finder(operand, key);
      const has = (regs: Regs): boolean => key.every((field) => field.read(regs) !== undefined);
      return (regs) => has(regs) && (find(regs) !== undefined) !== negated;
    }
    const field = key[0]!;
    if (key.length !== 1 || operand === "") reader.fail();
    const texts = operand.startsWith("{") ? operand.slice(1, -1).split(",") : [operand];
    const matchers = texts.map((text): Matcher => matcherOf(field.kind, text.trim()));
    return (regs) => {
      const value = field.read(regs);
      if (value === undefined) return false;
      return matchers.some((one) => value >= one.from && value <= one.to) !== negated;
    };
  }

  /** `ct mark V`, `ct mark & M == V`, `ct mark & M != V`. */
  #markMatch(reader: Reader): Step {
    reader.at += 2;
    const mask = reader.take("&") ? Number(reader.next()) : 0xffffffff;
    const negated = reader.take("!=");
    if (!negated) reader.take("==");
    const value = this.#literal(reader.next());
    if (Number.isNaN(value)) reader.fail();
    return (regs) => knows(regs.ct) && ((regs.ct.mark & mask) >>> 0 === value >>> 0) !== negated;
  }
}

const FLAGS: Readonly<Record<string, number>> = { fin: 1, syn: 2, rst: 4, ack: 16 };
const bits = (text: string): number =>
  (text.match(/[a-z]+/g) ?? []).reduce((sum, word) => {
    const bit = FLAGS[word];
    if (bit === undefined) throw new Error(`no TCP flag ${word}`);
    return sum | bit;
  }, 0);

/** `tcp flags syn / syn,rst`, `tcp flags & (fin | syn) != syn`. */
function flagsStep(reader: Reader): Step | undefined {
  if (!reader.take("tcp", "flags")) return undefined;
  const masked = reader.take("&");
  const first = bits(reader.next());
  if (!masked) {
    if (!reader.take("/")) reader.fail();
    const mask = bits(reader.next());
    return (regs) => regs.protocol === 6 && (regs.flags & mask) === first;
  }
  const negated = reader.take("!=");
  if (!negated) reader.take("==");
  const value = bits(reader.next());
  return (regs) => regs.protocol === 6 && ((regs.flags & first) === value) !== negated;
}

function runRule(steps: readonly Step[], regs: Regs, run: Run): string | undefined {
  for (const step of steps) {
    const result = step(regs, run);
    if (result === false) return undefined;
    if (typeof result === "string") return result;
  }
  return undefined;
}
