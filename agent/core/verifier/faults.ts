/** What is understood rule by rule, but not exact where it stands: combinations, places and missing parts. */
import type { NftBase } from "../../../schemas/desired.ts";
import type { Key, ReadChain, ReadTable, Rule, Statement } from "./ast.ts";
import { PROTOCOL } from "./words.ts";

/** Low bits of the flow's mark: what a map may write. */
const LOW_MARK_LAST = 0x7fff;

export type Fault = { readonly where: string; readonly what: string };

/** Protocols whose header starts with two ports. */
const WITH_PORTS: ReadonlySet<number> = new Set([PROTOCOL.tcp, PROTOCOL.udp, 33, 132, 136]);

/** Conntrack's priority in prerouting and output: before it nothing is known of a flow. */
const CONNTRACK = -200;

/** Where the kernel translates: at fixed places, whatever the priority of a nat chain says. */
export const natPriority = (hook: NftBase["hook"]): number => (hook === "prerouting" || hook === "output" ? -100 : 100);

export function keysOf(statement: Statement): readonly Key[] {
  if ("keys" in statement) return statement.keys;
  return statement.kind === "nat" && "keys" in statement.nat ? statement.nat.keys : [];
}

function nameOf(statement: Statement): string | undefined {
  if (statement.kind === "match") return statement.set;
  if (statement.kind === "vmap" || statement.kind === "mark-map") return statement.map;
  return statement.kind === "nat" && "map" in statement.nat ? statement.nat.map : undefined;
}

/** Chains that a chain's own rules name, each once. */
function targets(table: ReadTable, chain: ReadChain): readonly ReadChain[] {
  const names = chain.rules.flatMap(({ statements }) =>
    statements.flatMap((statement) => {
      if (statement.kind === "verdict") return "chain" in statement.verdict ? [statement.verdict.chain] : [];
      if (statement.kind !== "vmap") return [];
      const verdicts = table.sets.get(statement.map)?.verdicts ?? [];
      return [...new Set(verdicts.flatMap((verdict) => ("chain" in verdict ? [verdict.chain] : [])))];
    }),
  );
  return [...new Set(names)].map((name) => table.chains.get(name)).filter((one) => one !== undefined);
}

/** Chains that a chain may lead to, itself first. */
function reached(table: ReadTable, chain: ReadChain, seen = new Set<string>()): readonly ReadChain[] {
  if (seen.has(chain.name)) return [];
  seen.add(chain.name);
  return [chain, ...targets(table, chain).flatMap((one) => reached(table, one, seen))];
}

/** Protocols that a rule has made sure of before a statement, by its own conditions. */
function protocolsBefore(rule: Rule, at: number): readonly number[] | undefined {
  for (const statement of rule.statements.slice(0, at)) {
    const bound = keysOf(statement).find((key) => key.protocol >= 0);
    if (bound !== undefined) return [bound.protocol];
    if (statement.kind === "boxes" && !statement.negated) {
      const column = statement.keys.findIndex((key) => key.field === "proto");
      if (column < 0) continue;
      return statement.boxes.flatMap((box) => {
        const { from, to } = box[column]!;
        return from === to ? [Number(from)] : [-1];
      });
    }
  }
  return undefined;
}

/** `th` loads from any protocol's header: only beside a condition on protocols that have ports is it a port. */
function thFaults(table: ReadTable, rule: Rule): readonly string[] {
  return rule.statements.flatMap((statement, i) => {
    const keys = keysOf(statement);
    if (!keys.some((key) => key.ports)) return [];
    const column = keys.findIndex((key) => key.field === "proto");
    const beside =
      column < 0
        ? undefined
        : statement.kind === "boxes"
          ? statement.boxes.map((box) => box[column]!)
          : (table.sets.get(nameOf(statement) ?? "")?.columns ?? []).map((columns) => columns[column]!);
    const known = beside?.map(({ from, to }) => (from === to ? Number(from) : -1)) ?? protocolsBefore(rule, i);
    if (known?.every((protocol) => WITH_PORTS.has(protocol)) === true) return [];
    return ["th without a protocol that has ports: of ICMP and others it would read something else"];
  });
}

function ruleFaults(table: ReadTable, rule: Rule): readonly string[] {
  const found: string[] = [];
  rule.statements.forEach((statement, i) => {
    const name = nameOf(statement);
    const set = name === undefined ? undefined : table.sets.get(name);
    if (name !== undefined && set === undefined) found.push(`@${name} is not there`);
    const keys = keysOf(statement);
    if (set !== undefined && keys.map((key) => key.type).join(" . ") !== set.types.join(" . ")) {
      found.push(`@${name} holds ${set.types.join(" . ")}, not ${keys.map((key) => key.text).join(" . ")}`);
    }
    if (set !== undefined && (statement.kind === "vmap") !== set.verdicts.length > 0 && set.columns.length > 0) {
      found.push(`@${name} is ${set.verdicts.length > 0 ? "" : "no "}map of verdicts`);
    }
    if (keys.some((key) => key.text.startsWith("ct original"))) {
      const dnat = rule.statements.slice(0, i).some((one) => keysOf(one).some((key) => key.field === "dnat"));
      if (!dnat) found.push("ct original without ct status dnat before it");
    }
    if (new Set(keys.map((key) => key.field)).size !== keys.length) found.push("an expression twice in one key");
    const next = rule.statements[i + 1];
    if (statement.kind === "mark-map") {
      const marks = set?.results.map((result) => Number(result[0]!.from)) ?? [];
      if (marks.some((mark) => mark > LOW_MARK_LAST))
        found.push(`@${name} holds marks that are not for policy routing`);
    }
    if (statement.kind === "nat" && "map" in statement.nat && set !== undefined) {
      const wide = set.results.some((result) => result.some(({ from, to }) => from !== to));
      if (wide) found.push(`dnat to a range in @${name}`);
    }
    if (statement.kind === "mark-map" && next !== undefined) found.push("a statement after a mark from a map");
    if (statement.kind === "verdict" && "chain" in statement.verdict && !table.chains.has(statement.verdict.chain)) {
      found.push(`chain ${statement.verdict.chain} is not there`);
    }
  });
  return [...found, ...thFaults(table, rule)];
}

/** Chains that lead back to themselves. */
function loops(table: ReadTable): readonly Fault[] {
  const state = new Map<string, "open" | "done">();
  const found: Fault[] = [];
  const visit = (chain: ReadChain): void => {
    state.set(chain.name, "open");
    for (const next of targets(table, chain)) {
      const known = state.get(next.name);
      if (known === "open") found.push({ where: next.name, what: "a chain that leads back to itself" });
      else if (known === undefined) visit(next);
    }
    state.set(chain.name, "done");
  };
  for (const chain of table.chains.values()) if (!state.has(chain.name)) visit(chain);
  return found;
}

const writes = (statement: Statement): boolean =>
  statement.kind === "mark" || statement.kind === "mark-map" || statement.kind === "packet-mark";

/** What may stand in a base chain of a hook. */
function placeFaults(table: ReadTable, chain: ReadChain): readonly string[] {
  const { type, hook, priority } = chain.base!;
  const statements = reached(table, chain).flatMap((one) => one.rules.flatMap((rule) => rule.statements));
  const early = (hook === "prerouting" || hook === "output") && priority <= CONNTRACK;
  const keys = statements.flatMap(keysOf);
  const found: string[] = [];
  if (type === "route") found.push("a chain of type route");
  if (type === "nat" && hook !== "prerouting" && hook !== "postrouting") found.push(`nat in ${hook}`);
  if (early && (keys.some((key) => key.tracked || key.field === "state") || statements.some(writes))) {
    found.push("conntrack is asked before it has seen the packet");
  }
  if (!early && statements.some(({ kind }) => kind === "notrack")) found.push("notrack after conntrack");
  if (type !== "nat" && statements.some(({ kind }) => kind === "nat")) found.push("nat outside of a nat chain");
  if (type === "nat" && priority !== natPriority(hook))
    found.push(`a nat chain at ${priority}: NAT is at ${natPriority(hook)}`);
  if (type === "nat" && statements.some(writes)) found.push("marks in a nat chain");
  for (const { nat } of statements.filter((one) => one.kind === "nat")) {
    if ((nat.kind === "dnat") !== (hook === "prerouting")) found.push(`${nat.kind} in ${hook}`);
  }
  if (hook === "prerouting" && keys.some((key) => key.field === "oif")) found.push("oifname before routing");
  if (hook !== "prerouting" && statements.some(({ kind }) => kind === "packet-mark"))
    found.push("a packet's mark after routing");
  if (hook === "postrouting" && statements.some(writes)) found.push("marks in postrouting");
  return found;
}

/** Every fault of a table whose rules were all read. */
export function tableFaults(table: ReadTable): readonly Fault[] {
  const chains = [...table.chains.values()];
  const rules = chains.flatMap((chain) =>
    chain.rules.flatMap((rule, i) =>
      ruleFaults(table, rule).map((what) => ({ where: `${chain.name} rule ${i}`, what })),
    ),
  );
  const maps = [...table.sets.values()].flatMap((set) =>
    [...new Set(set.verdicts.flatMap((verdict) => ("chain" in verdict ? [verdict.chain] : [])))]
      .filter((name) => !table.chains.has(name))
      .map((name) => ({ where: `map ${set.name}`, what: `chain ${name} is not there` })),
  );
  const found = [...rules, ...maps, ...loops(table)];
  if (found.length > 0) return found;
  const bases = chains.filter((chain) => chain.base !== null);
  const places = bases.flatMap((chain) => placeFaults(table, chain).map((what) => ({ where: chain.name, what })));
  const ties = bases.filter((chain, i) =>
    bases.some(
      (other, j) => j < i && other.base!.hook === chain.base!.hook && other.base!.priority === chain.base!.priority,
    ),
  );
  const nats = (["prerouting", "postrouting"] as const).filter(
    (hook) => bases.filter((chain) => chain.base!.type === "nat" && chain.base!.hook === hook).length > 1,
  );
  const statements = chains.flatMap((chain) => chain.rules.flatMap((rule) => rule.statements));
  const keys = statements.flatMap(keysOf);
  const conntrack =
    bases.some((chain) => chain.base!.type === "nat") ||
    keys.some((key) => key.tracked || key.field === "state") ||
    statements.some((one) => one.kind === "notrack" || writes(one));
  const ports = keys.some((key) => key.field === "sport" || key.field === "dport" || key.field === "icmp");
  return [
    ...places,
    ...ties.map((chain) => ({ where: chain.name, what: "two base chains of one hook with one priority" })),
    ...nats.map((hook) => ({ where: hook, what: "more than one nat chain in a hook" })),
    // Connection tracking puts fragments together; without it later fragments have no header to look at.
    ...(ports && !conntrack ? [{ where: "table", what: "ports without conntrack: fragments have none" }] : []),
  ];
}
