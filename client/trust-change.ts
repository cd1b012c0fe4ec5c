/**
 * The next root and roster when people come, go or change keys, as values. Nothing is signed here, and what comes out
 * is held to the rules of trust before anybody signs it.
 */
import { classThreshold } from "../agent/core/directive.ts";
import { coversClass } from "../agent/core/risk.ts";
import { equalBytes, toHex } from "../schemas/digest.ts";
import { type Problem, problem } from "../schemas/problem.ts";
import type { Operator, OperatorCard, RiskClass, Root, Roster } from "../schemas/trust.ts";

export type Threshold = "root" | "admin" | "recovery";

export type RootChange = {
  readonly join: readonly OperatorCard[];
  readonly drop: readonly string[]; // holders
  readonly thresholds: Partial<Readonly<Record<Threshold, number>>>;
  readonly classes: Root["classes"]; // threshold 1: as if it were not listed
};

const ROLES: readonly Threshold[] = ["root", "admin", "recovery"];

type RoleKeys = Root["keys"];

/** Keys that a card has for a place in a root. */
export function cardKeys(card: OperatorCard): RoleKeys {
  const { holder, root_key, admin_key, recovery_key } = card;
  const keys: RoleKeys = [
    { role: "root", key: root_key, holder },
    { role: "admin", key: admin_key, holder },
    { role: "recovery", key: recovery_key, holder },
  ];
  return keys.filter(({ key }) => key.length > 0);
}

/** People who hold a key of the role. */
export function holdersIn(keys: RoleKeys, role: Threshold): readonly string[] {
  return [...new Set(keys.filter((one) => one.role === role).map((one) => one.holder))].sort();
}

/**
 * What is wanted, or the present threshold as far as the number of people allows: more than half of those who hold root
 * or admin, so that no two groups can sign two different successors.
 */
function thresholdFor(role: Threshold, before: number, people: number, wanted: number | undefined): number {
  if (wanted !== undefined) return wanted;
  const least = role === "recovery" ? 1 : Math.floor(people / 2) + 1;
  return Math.max(1, Math.min(people, Math.max(least, before)));
}

/** A card's keys take the place of what its holder has in the same roles. */
function withCard(root: Pick<Root, "keys" | "escrow">, card: OperatorCard): Pick<Root, "keys" | "escrow"> {
  const added = cardKeys(card);
  const replaced = (one: RoleKeys[number]): boolean =>
    one.holder === card.holder && added.some(({ role }) => role === one.role);
  const hasEscrow = card.escrow_key.length > 0;
  const escrow = hasEscrow ? [...root.escrow.filter((one) => one.holder !== card.holder)] : [...root.escrow];
  if (hasEscrow) escrow.push({ key: card.escrow_key, holder: card.holder });
  return { keys: [...root.keys.filter((one) => !replaced(one)), ...added], escrow };
}

const rank = (role: Threshold): number => ROLES.indexOf(role);
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Root N+1 of a change, unsigned. */
export function nextRoot(
  before: { readonly message: Root; readonly digest: Uint8Array },
  change: RootChange,
  issuedAt: bigint,
): Root {
  const held = before.message;
  const joined = change.join.reduce(withCard, held);
  const stays = ({ holder }: { readonly holder: string }): boolean => !change.drop.includes(holder);
  const keys = joined.keys.filter(stays).sort((a, b) => rank(a.role) - rank(b.role) || byText(a.holder, b.holder));
  const threshold = (role: Threshold): number =>
    thresholdFor(role, held[`${role}_threshold`], holdersIn(keys, role).length, change.thresholds[role]);
  const [root, admin, recovery] = [threshold("root"), threshold("admin"), threshold("recovery")];
  const classes = new Map([...held.classes, ...change.classes].map((one) => [one.risk_class, one.threshold]));
  return {
    ...held,
    version: held.version + 1,
    prev_digest: before.digest,
    keys,
    root_threshold: root,
    admin_threshold: admin,
    recovery_threshold: recovery,
    escrow: joined.escrow.filter(stays).sort((a, b) => byText(a.holder, b.holder)),
    classes: [...classes].flatMap(([risk_class, count]) => (count === 1 ? [] : [{ risk_class, threshold: count }])),
    solo: root === 1 || admin === 1,
    issued_at: issuedAt,
  };
}

/** The entry of a new operator. */
export function operatorEntry(card: OperatorCard, maxClass: RiskClass): Operator {
  const { holder, sign_key, seal_key, lane_key } = card;
  return { holder, sign_key, seal_key, lane_key, max_class: maxClass, status: "active" };
}

/**
 * Operators after some left. Their entries stay, so that nobody can bring the keys back under another name, and what is
 * marked stolen is never marked less.
 */
export function withoutHolders(
  operators: readonly Operator[],
  gone: ReadonlyMap<string, "revoked" | "stolen">,
): Operator[] {
  return operators.map((one) => {
    const status = gone.get(one.holder);
    return status === undefined || one.status === "stolen" ? one : { ...one, status };
  });
}

/** Changes of the site and of its operators; a recovery asks for other keys. */
const ORDINARY: readonly RiskClass[] = ["routine", "sensitive", "trust"];

/** Classes that the active operators could not sign any more, however they agree. No operator at all is another fault. */
export function unreachableClasses(root: Root, operators: readonly Operator[]): readonly Problem[] {
  if (operators.every((one) => one.status !== "active")) return [];
  const named = root.classes.some((one) => one.risk_class === "recovery") ? (["recovery"] as const) : [];
  return [...ORDINARY, ...named].flatMap((riskClass) => {
    const threshold = classThreshold(root, riskClass);
    const able = operators.filter((one) => one.status === "active" && coversClass(one.max_class, riskClass));
    const people = new Set(able.map((one) => one.holder)).size;
    if (people >= threshold) return [];
    const detail = `${people} operators may sign ${riskClass} changes, which need ${threshold}`;
    return [problem("trust.thresholds", `root.classes ${riskClass}`, detail)];
  });
}

/** The same document, whenever it was made. */
export function sameButTime<M extends Root | Roster>(encoded: (message: M) => Uint8Array, a: M, b: M): boolean {
  const plain = (message: M): Uint8Array => encoded({ ...message, issued_at: 0n });
  return equalBytes(plain(a), plain(b));
}

/** The operator's entry with this sign key. */
export function entryOf(operators: readonly Operator[], signKey: Uint8Array): Operator | undefined {
  return operators.find((one) => toHex(one.sign_key) === toHex(signKey));
}
