/**
 * Whether somebody else's nftables rules can drop a lane's packets. A chain is walked as a packet would: what provably
 * does not apply is passed over, what provably accepts ends the chain, and the first thing that may drop is named.
 */

import type { LanePacket } from "./outside-lanes.ts";
import { type Applies, every, fieldsOf, keyApplies, type Meeting, matchApplies } from "./outside-match.ts";

export type ForeignChain = {
  readonly table: string; // "inet fw4"; "iptables filter"
  readonly family: string; // ip, ip6, inet, netdev, bridge, arp
  readonly name: string;
  readonly hook: string; // "" when it is no base chain
  readonly type: string;
  readonly priority: number;
  readonly policy: string;
  readonly devices: readonly string[]; // of ingress and egress hooks; [] when the listing does not say
  readonly rules: readonly (readonly unknown[])[]; // statements of each rule, as nft prints them in JSON
};

/** A place that may drop a lane, in words: "chain input, rule 3 (drop)". */
export type ForeignDrop = { readonly table: string; readonly place: string; readonly lanes: readonly string[] };

/** Hooks that arriving and leaving packets of the router itself pass; forwarded ones are no lane's. */
const WAYS: Readonly<Record<string, "in" | "out">> = {
  ingress: "in",
  prerouting: "in",
  input: "in",
  output: "out",
  postrouting: "out",
  egress: "out",
};

/** Statements after which the packet goes on. A lane is not tracked, so translation does not touch it. */
const HARMLESS = [
  "counter",
  "log",
  "mangle",
  "notrack",
  "snat",
  "dnat",
  "masquerade",
  "redirect",
  "flow",
  "dup",
].concat(["ct helper", "ct timeout", "ct expectation", "last", "set", "map", "comment"]);
/** They let a packet through up to a number or a rate. */
const LIMITS = ["limit", "quota", "ct count"];
/** Targets of iptables rules, as nft shows those that it cannot translate, after which the packet goes on. */
const HARMLESS_TARGETS = ["LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CT", "DSCP", "TOS", "CHECKSUM", "CLASSIFY"];

type Walk = {
  readonly drop: string | undefined; // the first place that may drop
  readonly falls: boolean; // the packet may come back out of the chain
};

/** Chains of one table, and what is known of them for the packet that is followed: many rules lead to the same chain. */
type Chains = { readonly byName: ReadonlyMap<string, ForeignChain>; readonly walked: Map<string, Walk> };

type Verdict = { readonly kind: string; readonly target: string };

function verdictOf(statement: unknown): Verdict | undefined {
  const [kind] = Object.keys(fieldsOf(statement) ?? {});
  if (kind === undefined) return undefined;
  const target = fieldsOf(fieldsOf(statement)?.[kind])?.target;
  return { kind, target: typeof target === "string" ? target : "" };
}

/** What one verdict, which applies so, does to a packet. */
function follow(chains: Chains, meeting: Meeting, verdict: Verdict, depth: number) {
  const { kind, target } = verdict;
  if (kind === "accept") return { drop: undefined, ends: "kept" as const };
  if (kind === "continue") return { drop: undefined, ends: "goes-on" as const };
  if (kind === "return") return { drop: undefined, ends: "leaves" as const };
  if (kind !== "jump" && kind !== "goto") return { drop: kind, ends: "goes-on" as const };
  const next = chains.byName.get(target);
  if (next === undefined || depth > 32) return { drop: `${kind} ${target}`, ends: "goes-on" as const };
  const inside = chains.walked.get(target) ?? walk(chains, next, meeting, depth + 1);
  chains.walked.set(target, inside);
  const drop = inside.drop === undefined ? undefined : `${kind} ${target}: ${inside.drop}`;
  return {
    drop,
    ends: !inside.falls ? ("kept" as const) : kind === "goto" ? ("leaves" as const) : ("goes-on" as const),
  };
}

type Step = {
  readonly drop: string | undefined;
  readonly ends: "kept" | "leaves" | "goes-on";
  readonly applies: Applies;
};

/** Verdicts of a rule in order: one of its own, or those of a verdict map's elements that may be met. */
function stepsOf(chains: Chains, meeting: Meeting, rule: readonly unknown[], depth: number): Step[] {
  let applies: Applies = "yes";
  const steps: Step[] = [];
  const take = (verdict: Verdict, how: Applies): void => {
    if (how !== "no") steps.push({ ...follow(chains, meeting, verdict, depth), applies: how });
  };
  for (const statement of rule) {
    if (applies === "no") return [];
    const verdict = verdictOf(statement);
    if (verdict === undefined) take({ kind: "a statement that cannot be read", target: "" }, applies);
    else if (verdict.kind === "match") applies = every([applies, matchApplies(meeting, fieldsOf(statement)?.match)]);
    else if (LIMITS.includes(verdict.kind)) applies = every([applies, "maybe"]);
    else if (verdict.kind === "vmap") {
      const { key, data } = fieldsOf(fieldsOf(statement)?.vmap) ?? {};
      const elements = fieldsOf(data)?.set;
      if (!Array.isArray(elements)) take({ kind: "verdict map", target: "" }, every([applies, "maybe"]));
      else {
        for (const element of elements) {
          const [value, what] = Array.isArray(element) ? element : [undefined, undefined];
          const one = verdictOf(what) ?? { kind: "verdict map", target: "" };
          take(one, every([applies, keyApplies(meeting, key, value)]));
        }
      }
    } else if (verdict.kind === "xt") {
      const { type, name } = fieldsOf(fieldsOf(statement)?.xt) ?? {};
      if (type === "match") applies = every([applies, "maybe"]);
      else if (typeof name !== "string" || !HARMLESS_TARGETS.includes(name)) {
        take({ kind: `xt ${typeof name === "string" ? name : "of an unknown kind"}`, target: "" }, applies);
      }
    } else if (!HARMLESS.includes(verdict.kind)) take(verdict, applies);
  }
  return steps;
}

function walk(chains: Chains, chain: ForeignChain, meeting: Meeting, depth = 0): Walk {
  let falls = false;
  for (const [i, rule] of chain.rules.entries()) {
    for (const { drop, ends, applies } of stepsOf(chains, meeting, rule, depth)) {
      if (drop !== undefined) return { drop: `rule ${i + 1} (${drop})`, falls: true };
      if (ends === "leaves") falls = true;
      if (ends !== "goes-on" && applies === "yes") return { drop: undefined, falls };
    }
  }
  return { drop: undefined, falls: true };
}

/** A base chain for one packet. */
function dropOf(chains: Chains, chain: ForeignChain, meeting: Meeting): string | undefined {
  const { drop, falls } = walk(chains, chain, meeting);
  if (drop !== undefined) return drop;
  return falls && chain.policy === "drop" ? "its policy is drop" : undefined;
}

/** True when packets of this family pass chains of that one. ARP carries IPv4, bridges and devices carry all. */
const meets = (family: string, packet: LanePacket): boolean =>
  family === "ip" || family === "arp" ? packet.family === 4 : family !== "ip6" || packet.family === 6;

/**
 * True where no lane's packet comes by: other hooks, translation, which lanes never take part in because they are not
 * tracked, and devices that are no lane's.
 */
function isAside(chain: ForeignChain, interfaces: readonly string[]): boolean {
  if (!(chain.hook in WAYS) || chain.type === "nat") return true;
  return chain.devices.length > 0 && !chain.devices.some((name) => interfaces.includes(name));
}

/** Our chains take lanes out of tracking at priority -300 of prerouting and output. */
const untrackedAt = ({ hook, priority }: ForeignChain): boolean =>
  hook === "input" || hook === "postrouting" || ((hook === "prerouting" || hook === "output") && priority > -300);

/** Every place of these chains that may drop a lane, tables and chains in the order of the listing. */
export function dropsOf(
  chains: readonly ForeignChain[],
  packets: readonly LanePacket[],
  interfaces: readonly string[],
): readonly ForeignDrop[] {
  const found = new Map<string, { table: string; place: string; lanes: Set<string> }>();
  for (const chain of chains) {
    if (isAside(chain, interfaces)) continue;
    const own = new Map(chains.filter((one) => one.table === chain.table).map((one) => [one.name, one]));
    for (const packet of packets) {
      if (!meets(chain.family, packet)) continue;
      const way = WAYS[chain.hook] ?? "in";
      const drop = dropOf({ byName: own, walked: new Map() }, chain, {
        packet,
        way,
        interfaces,
        untracked: untrackedAt(chain),
      });
      if (drop === undefined) continue;
      const place = `chain ${chain.name}, ${drop}`;
      const key = `${chain.table} ${place}`;
      const held = found.get(key) ?? { table: chain.table, place, lanes: new Set() };
      found.set(key, held);
      held.lanes.add(`${packet.lane} (${packet.protocol} ${packet.port})`);
    }
  }
  return [...found.values()].map(({ table, place, lanes }) => ({ table, place, lanes: [...lanes] }));
}
