/** Reads what `iptables-legacy-save` prints, as chains in the form that `nft -j` gives its own. */
import type { ForeignChain } from "./outside-drops.ts";

const HOOKS: Readonly<Record<string, string>> = {
  ...{ PREROUTING: "prerouting", INPUT: "input", FORWARD: "forward", OUTPUT: "output", POSTROUTING: "postrouting" },
};
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 };
const VERDICTS: Readonly<Record<string, object>> = {
  ...{ ACCEPT: { accept: null }, DROP: { drop: null }, REJECT: { reject: null }, RETURN: { return: null } },
  ...{ QUEUE: { queue: null }, NFQUEUE: { queue: null } },
};
/** Options that only add to what a target does, or say nothing about the packet. */
const SILENT = /^--(comment|reject-with|log-\w+|set-x?mark|nflog-\w+|queue-\w+|clamp-mss-to-pmtu)$/;

const compare = (no: boolean, left: object, right: unknown): object => ({
  match: { op: no ? "!=" : "==", left, right },
});
const payload = (protocol: string, field: string): object => ({ payload: { protocol, field } });
const meta = (key: string): object => ({ meta: { key } });
const unknownMatch: object = { match: {} };

function portOf(value: string): unknown {
  const [from, to] = value.split(":");
  return to === undefined ? Number(from) : { range: [Number(from || "0"), Number(to || "65535")] };
}

const interfaceOf = (value: string): string => value.replace(/\+$/, "*");
const cidrOf = (value: string): unknown => {
  const [addr = "", len] = value.split("/");
  return len === undefined ? addr : { prefix: { addr, len: Number(len) } };
};

/** One option with its value, as a statement; undefined when it says nothing about the packet. */
function statementOf(family: string, option: string, value: string, no: boolean): object | undefined {
  switch (option) {
    case "-p":
      return compare(no, meta("l4proto"), value === "ipv6-icmp" ? "icmpv6" : value);
    case "-i":
      return compare(no, meta("iifname"), interfaceOf(value));
    case "-o":
      return compare(no, meta("oifname"), interfaceOf(value));
    case "-s":
      return compare(no, payload(family, "saddr"), cidrOf(value));
    case "-d":
      return compare(no, payload(family, "daddr"), cidrOf(value));
    case "--dport":
      return compare(no, payload("th", "dport"), portOf(value));
    case "--sport":
      return compare(no, payload("th", "sport"), portOf(value));
    case "--dports":
      return compare(no, payload("th", "dport"), { set: value.split(",").map(portOf) });
    case "--ctstate":
    case "--state":
      return compare(no, { ct: { key: "state" } }, { set: value.toLowerCase().split(",") });
    case "-j":
      return VERDICTS[value] ?? { target: value };
    case "-g":
      return { goto: { target: value } };
    case "-m":
      return undefined;
    default:
      return SILENT.test(option) ? undefined : unknownMatch;
  }
}

/** Words of a rule; a quoted one is one word. */
const wordsOf = (line: string): readonly string[] =>
  [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((found) => found[1] ?? found[2] ?? "");

function ruleOf(family: string, chains: ReadonlySet<string>, line: string): readonly unknown[] {
  const words = wordsOf(line).slice(2); // -A CHAIN
  const matches: unknown[] = [];
  const targets: unknown[] = [];
  for (let i = 0; i < words.length; ) {
    const no = words[i] === "!";
    if (no) i += 1;
    const option = words[i] ?? "";
    i += 1;
    const values: string[] = [];
    while (i < words.length && words[i] !== "!" && !words[i]!.startsWith("-")) values.push(words[i++]!);
    const statement = statementOf(family, option, values[0] ?? "", no);
    if (statement === undefined) continue;
    if (option !== "-j" && option !== "-g") matches.push(statement);
    else if (!("target" in statement)) targets.push(statement);
    else if (chains.has(values[0] ?? "")) targets.push({ jump: { target: values[0] } });
    else targets.push({ xt: { type: "target", name: values[0] } });
  }
  return [...matches, ...targets];
}

/** Chains of all tables of a dump; `family` is ip or ip6. Tables are named "iptables filter", "ip6tables raw". */
export function readLegacy(family: "ip" | "ip6", dump: string): readonly ForeignChain[] {
  const found: ForeignChain[] = [];
  const tool = family === "ip" ? "iptables" : "ip6tables";
  for (const part of dump.split(/^\*/m).slice(1)) {
    const [name = "", ...lines] = part.split("\n");
    const declared = lines.flatMap((line) => {
      const words = /^:(\S+) (\S+)/.exec(line);
      return words === null ? [] : [{ chain: words[1]!, policy: words[2]! }];
    });
    const names = new Set(declared.map((one) => one.chain));
    for (const { chain, policy } of declared) {
      const hook = policy === "-" ? "" : (HOOKS[chain] ?? "");
      const rules = lines.filter((line) => line.startsWith(`-A ${chain} `)).map((line) => ruleOf(family, names, line));
      found.push({
        ...{ table: `${tool} ${name}`, family, name: chain, hook, rules, devices: [] },
        type: name === "nat" ? "nat" : "filter",
        priority: PRIORITIES[name] ?? 0,
        policy: policy === "DROP" ? "drop" : "accept",
      });
    }
  }
  return found;
}

/** Lines of a dump that say what it does: without comments, counters and the time it was made. */
export function legacyLines(family: "ip" | "ip6", dump: string): readonly string[] {
  const tool = family === "ip" ? "iptables" : "ip6tables";
  let table = "";
  return dump.split("\n").flatMap((line) => {
    if (line.startsWith("*")) table = line.slice(1);
    if (!/^(:|-A )/.test(line)) return [];
    return [`${tool} ${table} ${line.replace(/ \[\d+:\d+\]$/, "")}`];
  });
}
