/** Plans as text for people: drift first, then changes with + ~ -, then totals. */
import type { DesiredRoute, DesiredRule, NftTable } from "../../schemas/desired.ts";
import { toHex } from "../../schemas/digest.ts";
import type { Difference } from "./diff.ts";
import { addressLine } from "./lines.ts";
import { indexNft, type NftObject, sameObject } from "./nft-diff.ts";
import type { Change, Plan } from "./step.ts";

/** Lines of one list that a plan prints; a longer one says how many more there are. */
const MOST_LINES = 200;

const signOf = (from: unknown, to: unknown): Change["sign"] => (from === null ? "+" : to === null ? "-" : "~");

/** `mtu 1420 to 1400, ...` for the fields that differ. */
function fieldsText(fields: readonly (readonly [string, string | number, string | number])[]): string {
  const text = (value: string | number): string => (value === "" ? "none" : String(value));
  return fields
    .filter(([, from, to]) => from !== to)
    .map(([name, from, to]) => `${name} ${text(from)} to ${text(to)}`)
    .join(", ");
}

/** Names of commitments are long and say nothing to people. */
const pskText = (psk: string): string => (psk === "" ? "" : psk.slice(0, 8));

const MAIN_TABLE = 254;

/** In the words of `ip route`: what is the default is left out. */
function routeText({ to, via, interface: name, table, metric }: DesiredRoute): string {
  const gateway = via === "" ? "" : ` via ${via}`;
  const place = table === MAIN_TABLE ? "" : ` table ${table}`;
  return `${to}${gateway} dev ${name}${place}${metric === 0 ? "" : ` metric ${metric}`}`;
}

/** In the words of `ip rule`. */
function ruleText({ priority, from, fwmark, fwmask, table }: DesiredRule): string {
  const source = from === "" ? "" : ` from ${from}`;
  const mark = fwmask === 0 ? "" : ` fwmark 0x${fwmark.toString(16)}/0x${fwmask.toString(16)}`;
  return `${priority}:${source}${mark} lookup ${table}`;
}

function describe(difference: Difference): string {
  switch (difference.kind) {
    case "sysctl": {
      const { from, to, id } = difference;
      if (from !== null && to !== null) return `sysctl ${id}: ${from.value} to ${to.value}`;
      return to === null ? `sysctl ${id}` : `sysctl ${id} = ${to.value}`;
    }
    case "link": {
      const { from, to, id } = difference;
      if (from === null || to === null) return `link ${id}, udp ${(to ?? from)!.port}`;
      return `link ${id}: ${fieldsText([
        ["state", from.up ? "up" : "down", to.up ? "up" : "down"],
        ["mtu", from.mtu, to.mtu],
        ["port", from.port, to.port],
        ["fwmark", from.fwmark, to.fwmark],
        ["key", from.publicKey, to.publicKey],
      ])}`;
    }
    case "peer": {
      const { from, to, id } = difference;
      if (from === null || to === null) return `peer ${id} ${(to ?? from)!.allowedIps.join(" ")}`.trimEnd();
      return `peer ${id}: ${fieldsText([
        ["addresses", from.allowedIps.join(" "), to.allowedIps.join(" ")],
        ["preshared key", pskText(from.psk), pskText(to.psk)],
        ["keepalive", from.keepaliveS, to.keepaliveS],
      ])}`;
    }
    case "address":
      return `address ${addressLine((difference.to ?? difference.from)!)}`;
    case "route":
      if (difference.from !== null && difference.to !== null) {
        return `route ${routeText(difference.from)} to ${routeText(difference.to)}`;
      }
      return `route ${routeText((difference.to ?? difference.from)!)}`;
    case "rule":
      return `rule ${ruleText((difference.to ?? difference.from)!)}`;
  }
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

/** How often a line is in a list more than in another. */
function surplusCount(of: readonly string[], over: readonly string[]): number {
  const left = new Map<string, number>();
  for (const item of over) left.set(item, (left.get(item) ?? 0) + 1);
  return of.filter((item) => {
    const count = left.get(item) ?? 0;
    if (count > 0) left.set(item, count - 1);
    return count === 0;
  }).length;
}

function describeNft(from: NftObject, to: NftObject): string | undefined {
  const name = `nft ${to.kind === "set" ? to.set.kind : to.kind} ${to.name}`;
  if (!sameObject(from, to)) return `${name}: another definition`;
  const [old, next, what] =
    from.kind === "set" && to.kind === "set"
      ? [from.set.elements, to.set.elements, "element"]
      : from.kind === "chain" && to.kind === "chain"
        ? [from.chain.rules, to.chain.rules, "rule"]
        : [[], [], ""];
  const [coming, going] = [surplusCount(next, old), surplusCount(old, next)];
  const policy =
    from.kind === "chain" && to.kind === "chain" && from.chain.base?.policy !== to.chain.base?.policy
      ? [`policy ${from.chain.base?.policy} to ${to.chain.base?.policy}`]
      : [];
  const parts = [
    ...(coming > 0 ? [`${plural(coming, what)} in`] : []),
    ...(going > 0 ? [`${plural(going, what)} out`] : []),
    ...policy,
  ];
  if (parts.length > 0) return `${name}: ${parts.join(", ")}`;
  return old.some((item, i) => item !== next[i]) ? `${name}: another order` : undefined;
}

/** A table that comes whole is one line: its hundred parts say nothing to people. */
function wholeTable({ chains, sets }: NftTable): string {
  const elements = sets.reduce((sum, set) => sum + set.elements.length, 0);
  const parts = [plural(chains.length, "chain"), plural(sets.length, "set"), plural(elements, "element")];
  return `nft table inet holdfast: ${parts.join(", ")}`;
}

function nftChanges(from: NftTable | null, to: NftTable): readonly Change[] {
  if (from === null) return [{ sign: "+", text: wholeTable(to) }];
  const before = indexNft(from);
  const after = indexNft(to);
  const title = (object: NftObject): string =>
    `nft ${object.kind === "set" ? `${object.set.kind} ${object.name}, ${plural(object.set.elements.length, "element")}` : `${object.kind} ${object.name}`}`;
  const changes: Change[] = [];
  for (const [key, object] of after) {
    const old = before.get(key);
    if (old === undefined) changes.push({ sign: "+", text: title(object) });
    else {
      const text = describeNft(old, object);
      if (text !== undefined) changes.push({ sign: "~", text });
    }
  }
  for (const [key, object] of before) if (!after.has(key)) changes.push({ sign: "-", text: title(object) });
  return changes;
}

/** Differences, and those of the ruleset where `toNft` is given, as lines for people. */
export function changesOf(
  differences: readonly Difference[],
  fromNft: NftTable | null = null,
  toNft: NftTable | null = null,
): readonly Change[] {
  const own = differences.map((one): Change => ({ sign: signOf(one.from, one.to), text: describe(one) }));
  return toNft === null ? own : [...own, ...nftChanges(fromNft, toNft)];
}

function listText(changes: readonly Change[]): readonly string[] {
  const shown = changes.slice(0, MOST_LINES).map(({ sign, text }) => `  ${sign} ${text}`);
  const more = changes.length - shown.length;
  return more > 0 ? [...shown, `  and ${more} more`] : shown;
}

const SYMBOLS: readonly (readonly [Change["sign"], string])[] = [
  ["+", "add"],
  ["~", "change"],
  ["-", "remove"],
];

export type PlanFacts = {
  readonly windowS: number;
  readonly epochBefore: number;
  readonly sessionsReset: number;
};

/** What will be felt: sessions, peers, how the ruleset is loaded. */
function predictionText(plan: Omit<Plan, "text">, facts: PlanFacts): string {
  const written = plan.apply.reduce((sum, step) => sum + (step.kind === "wg.peers" ? step.peers.length : 0), 0);
  const nft = plan.apply.find((step) => step.kind === "nft.load");
  const ruleset =
    nft === undefined ? "ruleset untouched" : nft.mode === "delta" ? "ruleset by elements" : "ruleset replaced at once";
  const epoch = plan.epoch === facts.epochBefore ? "open flows go on" : "open flows are judged anew";
  return `${plural(facts.sessionsReset, "session")} reset, ${plural(written, "peer")} written, ${ruleset}, ${epoch}`;
}

/** The whole plan for a terminal or a receipt: plain ASCII, ends with a line feed. */
export function planText(plan: Omit<Plan, "text">, facts: PlanFacts): string {
  if (plan.apply.length === 0 && plan.afterConfirm.length === 0) {
    return "The router already holds this generation. Nothing to do.\n";
  }
  const lines: string[] = [];
  if (plan.drift.length > 0) lines.push("Changed on the router without Holdfast:", ...listText(plan.drift), "");
  if (plan.changes.length > 0) lines.push("Changes:", ...listText(plan.changes), "");
  if (plan.changes.length === 0 && plan.drift.length === 0) lines.push("Changes: only the name of the generation.", "");
  const used = SYMBOLS.filter(([sign]) => [...plan.drift, ...plan.changes].some((change) => change.sign === sign));
  if (used.length > 0) lines.push(`Legend: ${used.map(([sign, word]) => `${sign} ${word}`).join("  ")}`);
  lines.push(...plan.disruptive.map((sentence) => `Disruptive: ${sentence}`));
  const proofs = plan.lanes.filter((lane) => lane.changed).map((lane) => lane.name);
  if (proofs.length > 0) lines.push(`Lanes to prove: ${proofs.join(", ")}`);
  lines.push(`Prediction: ${predictionText(plan, facts)}`);
  const count = (sign: Change["sign"]): number => plan.changes.filter((change) => change.sign === sign).length;
  lines.push(
    `Plan: ${count("+")} add, ${count("~")} change, ${count("-")} remove. ` +
      `Reverts in ${facts.windowS} s unless confirmed. sha256:${toHex(plan.digest)}`,
  );
  return `${lines.join("\n")}\n`;
}
