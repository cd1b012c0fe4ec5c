/**
 * A packet's way through the compiled table. Independent of the compiler: it reads the rules that will be loaded, as
 * text, and knows only nft's semantics. What it does not know, a limit for one, may match or not: then every way is
 * walked, and an invariant must hold on all of them.
 */
import type { NftBase, NftChain, NftTable } from "../../schemas/desired.ts";
import {
  Elements,
  hasFlow,
  isField,
  matchesLiteral,
  type Packet,
  readField,
  tokensOf,
  type Value,
} from "./invariants-packet.ts";

/** How one way through the base chains of a hook ended, and what it did. */
export type Way = {
  readonly verdict: "accept" | "drop" | "nat";
  readonly notrack: boolean;
  readonly counters: readonly string[]; // named counters that counted
  readonly chain: string; // where it ended
};

type Rule = {
  /** true: matches, false: does not, undefined: either. */
  readonly matches: boolean | undefined;
  readonly verdict: string; // "", "accept", "drop", "return", "nat", "goto x", "jump x"
  readonly notrack: boolean;
  readonly counters: readonly string[];
  /** The element of a verdict map that it found. */
  readonly entry: Entry | null;
};

/** An element of a verdict map. */
export type Entry = { readonly set: string; readonly element: string };

/** Hears of every rule that applied, or may have, and that did something an invariant could see. */
export type Watch = (chain: string, rule: number, entry: Entry | null) => void;

/** More ways than this in one chain and the text is not what this reader was written for. */
const WAYS_MAX = 64;
const DEPTH_MAX = 16;

const and = (a: boolean | undefined, b: boolean | undefined): boolean | undefined =>
  a === false || b === false ? false : a === undefined || b === undefined ? undefined : true;

type Reader = { at: number; readonly tokens: readonly string[] };

/** `a . b @set`, `a != { x, y }`, `a vmap @map`: the match, and the verdict of a verdict map. */
function readMatch(
  reader: Reader,
  packet: Packet,
  elements: Elements,
): { matches: boolean | undefined; verdict: string; entry?: Entry } {
  const names: string[] = [];
  for (let token = reader.tokens[reader.at] ?? ""; isField(token); token = reader.tokens[reader.at] ?? "") {
    names.push(token);
    reader.at += 1;
    if (reader.tokens[reader.at] !== ".") break;
    reader.at += 1;
  }
  const values = names.map((name) => readField(name, packet));
  const next = (): string => reader.tokens[reader.at++] ?? "";
  let operand = next();
  const map = operand === "vmap";
  const negated = operand === "!=";
  if (map || negated || operand === "==") operand = next();
  if (values.some((value) => value === undefined)) return { matches: false, verdict: "" };
  const known = values as readonly Value[];
  if (operand.startsWith("@")) {
    const found = elements.find(operand.slice(1), names, known);
    if (map) {
      const set = operand.slice(1);
      const entry = { set, element: elements.text(set, names, known, found ?? "") };
      return { matches: found === undefined ? undefined : found !== null, verdict: found ?? "", entry };
    }
    if (found === undefined) return { matches: undefined, verdict: "" };
    return { matches: (found !== null) !== negated, verdict: "" };
  }
  const literals = operand.startsWith("{") ? operand.slice(1, -1).split(",") : [operand];
  const results = literals.map((literal) =>
    known.length === 1 ? matchesLiteral(known[0]!, literal.trim()) : undefined,
  );
  if (results.includes(undefined)) return { matches: undefined, verdict: "" };
  return { matches: results.includes(true) !== negated, verdict: "" };
}

/** `ct mark & MASK == VALUE`: the epoch, or any other bits, which are not known here. */
function readMark(reader: Reader, packet: Packet): boolean | undefined {
  const [, , , mask, operator, value] = reader.tokens.slice(reader.at, reader.at + 6);
  reader.at += 6;
  if (!hasFlow(packet)) return false;
  if (mask !== "0xffff0000" || value !== "$HF_EPOCH") return undefined;
  return (packet.epoch === "current") === (operator === "==");
}

/** `tcp flags syn / syn,rst` and `tcp flags & (fin | syn | rst | ack) != syn`: both ask for a bare SYN. */
function readFlags(reader: Reader, packet: Packet): boolean | undefined {
  const rest = reader.tokens.slice(reader.at + 2);
  if (rest[0] === "syn" && rest[1] === "/") {
    reader.at += 5;
    return packet.protocol === "tcp" && packet.syn;
  }
  const bare = rest[0] === "&" && rest[3] === "syn" && (rest[2] === "!=" || rest[2] === "==");
  reader.at += bare ? 6 : 3;
  if (packet.protocol !== "tcp") return false;
  return bare ? packet.syn === (rest[2] === "==") : undefined;
}

const NAT = ["masquerade", "dnat", "snat", "redirect"];

/** Reads one rule against a packet. A rule that does not match has no effect, wherever its counter stands. */
export function readRule(tokens: readonly string[], packet: Packet, elements: Elements): Rule {
  const reader: Reader = { at: 0, tokens };
  let matches: boolean | undefined = true;
  let verdict = "";
  let notrack = false;
  let entry: Entry | null = null;
  const counters: string[] = [];
  while (reader.at < reader.tokens.length && verdict === "" && matches !== false) {
    const token = reader.tokens[reader.at] ?? "";
    const second = reader.tokens[reader.at + 1] ?? "";
    if (token === "ct" && second === "mark") {
      if (reader.tokens[reader.at + 2] === "set") {
        const end = reader.tokens.findIndex((one, i) => i > reader.at && /^(accept|drop|goto|jump|return)$/.test(one));
        reader.at = end < 0 ? reader.tokens.length : end;
      } else matches = and(matches, readMark(reader, packet));
    } else if (token === "tcp" && second === "flags") matches = and(matches, readFlags(reader, packet));
    else if (token === "tcp" && second === "option") reader.at = reader.tokens.length;
    else if (isField(token)) {
      const found = readMatch(reader, packet, elements);
      matches = and(matches, found.matches);
      verdict = found.verdict;
      entry = found.entry ?? null;
    } else if (token === "counter") {
      if (second === "name") counters.push(reader.tokens[reader.at + 2] ?? "");
      reader.at += second === "name" ? 3 : 1;
    } else if (token === "notrack") {
      notrack = true;
      reader.at += 1;
    } else if (token === "accept" || token === "drop" || token === "return") verdict = token;
    else if (token === "goto" || token === "jump") verdict = `${token} ${second}`;
    else if (NAT.includes(token)) verdict = "nat";
    else {
      matches = and(matches, undefined);
      reader.at += token === "limit" ? 3 : 1;
    }
  }
  return { matches, verdict, notrack, counters, entry };
}

type State = { readonly notrack: boolean; readonly counters: readonly string[] };
/** "return": the chain ended without a verdict. */
type End = State & { readonly verdict: "accept" | "drop" | "nat" | "return"; readonly chain: string };
/** "next": the rule is done, and the chain goes on. */
type Step = State & { readonly verdict: End["verdict"] | "next"; readonly chain: string };

/** Sends packets through one table. */
export class Walker {
  /** Whoever wants to know by which rules packets went; nobody, as a rule. */
  watch: Watch | null = null;
  readonly #chains: ReadonlyMap<string, NftChain>;
  readonly #tokens = new Map<string, readonly string[]>(); // of each rule's text, split once
  readonly #elements: Elements;

  constructor(table: NftTable) {
    this.#chains = new Map(table.chains.map((chain) => [chain.name, chain]));
    this.#elements = new Elements(table.sets);
  }

  /** Base chains of a hook in the order in which a packet meets them. */
  base(hook: NftBase["hook"]): readonly NftChain[] {
    return [...this.#chains.values()]
      .filter((chain) => chain.base?.hook === hook)
      .sort((a, b) => a.base!.priority - b.base!.priority);
  }

  /**
   * Every way of a packet through the base chains of a hook, up to the first drop or translation. NAT chains see only
   * packets of which `nat` says so: the first of a flow, never an untracked one.
   */
  hook(hook: NftBase["hook"], packet: Packet, nat = false): readonly Way[] {
    let ways: readonly Way[] = [{ verdict: "accept", notrack: false, counters: [], chain: "" }];
    for (const chain of this.base(hook).filter(({ base }) => nat || base!.type !== "nat")) {
      ways = ways.flatMap((way) => {
        if (way.verdict !== "accept") return [way];
        return this.#chain(chain, packet, way, 0).map((end): Way => {
          const verdict = end.verdict === "return" ? chain.base!.policy : end.verdict;
          return { verdict, notrack: end.notrack, counters: end.counters, chain: end.chain };
        });
      });
    }
    return ways;
  }

  #split(text: string): readonly string[] {
    const known = this.#tokens.get(text) ?? tokensOf(text);
    this.#tokens.set(text, known);
    return known;
  }

  #chain(chain: NftChain, packet: Packet, state: State, depth: number): readonly End[] {
    if (depth > DEPTH_MAX) return anything(chain.name);
    const ends: End[] = [];
    let going: readonly State[] = [{ notrack: state.notrack, counters: state.counters }];
    for (const [index, text] of chain.rules.entries()) {
      const rule = readRule(this.#split(text), packet, this.#elements);
      if (rule.matches === false) continue;
      if (rule.verdict !== "" || rule.notrack || rule.counters.length > 0) this.watch?.(chain.name, index, rule.entry);
      const next: State[] = rule.matches === undefined ? [...going] : [];
      for (const one of going) {
        const after = { notrack: one.notrack || rule.notrack, counters: [...one.counters, ...rule.counters] };
        for (const { verdict, ...end } of this.#verdict(rule.verdict, chain, packet, after, depth)) {
          if (verdict === "next") next.push({ notrack: end.notrack, counters: end.counters });
          else ends.push({ ...end, verdict });
        }
      }
      going = next;
      if (going.length === 0) return ends;
      if (going.length + ends.length > WAYS_MAX) return [...ends, ...anything(chain.name)];
    }
    return [...ends, ...going.map((one): End => ({ ...one, verdict: "return", chain: chain.name }))];
  }

  #verdict(verdict: string, chain: NftChain, packet: Packet, state: State, depth: number): readonly Step[] {
    if (verdict === "") return [{ ...state, verdict: "next", chain: chain.name }];
    if (verdict === "accept" || verdict === "drop" || verdict === "nat" || verdict === "return") {
      return [{ ...state, verdict, chain: chain.name }];
    }
    const [kind = "", name = ""] = verdict.split(" ");
    const target = this.#chains.get(name);
    if (target === undefined) return anything(name);
    const ends = this.#chain(target, packet, state, depth + 1);
    // A jump comes back to the next rule; after a goto, the end of the target is the end of this chain too.
    return ends.map((end): Step => (end.verdict === "return" && kind === "jump" ? { ...end, verdict: "next" } : end));
  }
}

const walkers = new WeakMap<NftTable, Walker>();

/** The walker of a table, made once: sets of many clients take longer to read than to walk. */
export function walkerOf(table: NftTable): Walker {
  const known = walkers.get(table) ?? new Walker(table);
  walkers.set(table, known);
  return known;
}

/** What may come of a text that this reader cannot follow: everything, so that no invariant passes on it. */
function anything(chain: string): readonly End[] {
  const lost = { notrack: false, counters: [], chain };
  return (["accept", "drop", "nat"] as const).map((verdict) => ({ ...lost, verdict }));
}
