/**
 * What a root and a roster must be in themselves, whoever signed them. Every public key stands once over all roles
 * and both documents, has one spelling, and thresholds count people.
 */
import { fromBase64, toHex } from "../../schemas/digest.ts";
import { type Problem, problem } from "../../schemas/problem.ts";
import type { Root, Roster, RosterRouter } from "../../schemas/trust.ts";
import type { Crypto } from "./crypto.ts";

export type Role = Root["keys"][number]["role"];

/** The people among `signers` who hold a key of `role`: two keys of one person count once. */
export function holdersOf(root: Root, role: Role, signers: readonly Uint8Array[]): ReadonlySet<string> {
  const signed = new Set(signers.map(toHex));
  return new Set(root.keys.filter((key) => key.role === role && signed.has(toHex(key.key))).map((key) => key.holder));
}

type PlacedKey = { readonly path: string; readonly key: Uint8Array; readonly curve: "sign" | "box" };

function rootKeys(root: Root): PlacedKey[] {
  return [
    ...root.keys.map(({ key }, i) => ({ path: `root.keys[${i}]`, key, curve: "sign" as const })),
    ...root.escrow.map(({ key }, i) => ({ path: `root.escrow[${i}]`, key, curve: "box" as const })),
  ];
}

function rosterKeys(roster: Roster): PlacedKey[] {
  const pair = (path: string, one: { readonly sign_key: Uint8Array; readonly seal_key: Uint8Array }): PlacedKey[] => [
    { path: `${path}.sign_key`, key: one.sign_key, curve: "sign" },
    { path: `${path}.seal_key`, key: one.seal_key, curve: "box" },
  ];
  return [
    ...roster.operators.flatMap((one, i): PlacedKey[] => {
      const lane = fromBase64(one.lane_key) ?? new Uint8Array();
      const path = `roster.operators[${i}]`;
      return [...pair(path, one), { path: `${path}.lane_key`, key: lane, curve: "box" }];
    }),
    ...roster.routers.flatMap((one, i) => pair(`roster.routers[${i}]`, one)),
  ];
}

/** Weak keys and keys that stand twice; `known` are keys of the other document, checked before. */
function keyProblems(crypto: Crypto, keys: readonly PlacedKey[], known: readonly PlacedKey[] = []): Problem[] {
  const places = new Map(known.map(({ key, path }) => [toHex(key), path]));
  return keys.flatMap(({ path, key, curve }) => {
    const admitted = curve === "sign" ? crypto.admitsSignKey(key) : crypto.admitsBoxKey(key);
    if (!admitted) return [problem("trust.key_inadmissible", path, `no ${curve} key that may be used`)];
    const before = places.get(toHex(key));
    places.set(toHex(key), path);
    return before === undefined ? [] : [problem("trust.key_reused", path, `also at ${before}`)];
  });
}

/** The second and later ones of what may stand once. */
function repeats<T>(path: string, list: readonly T[], name: (item: T) => string): Problem[] {
  const seen = new Set<string>();
  return list.flatMap((item, i) => {
    const key = name(item);
    if (seen.has(key)) return [problem("trust.repeated", `${path}[${i}]`, "stands twice")];
    seen.add(key);
    return [];
  });
}

function thresholdProblem(root: Root, role: Role, threshold: number): Problem | undefined {
  const everyone = root.keys.map((key) => key.key);
  const people = holdersOf(root, role, everyone).size;
  const path = `root.${role}_threshold`;
  if (threshold > people) return problem("trust.thresholds", path, `${threshold} of ${people} holders cannot sign`);
  // Two disjoint groups could otherwise sign two different successors.
  if (role !== "recovery" && 2 * threshold <= people) {
    return problem("trust.thresholds", path, `${threshold} of ${people} holders is not more than half`);
  }
  return undefined;
}

/** Everything wrong with a root: thresholds, solo flag, keys, classes. */
export function rootProblems(crypto: Crypto, root: Root): readonly Problem[] {
  const thresholds = [
    thresholdProblem(root, "root", root.root_threshold),
    thresholdProblem(root, "admin", root.admin_threshold),
    thresholdProblem(root, "recovery", root.recovery_threshold),
  ].filter((found) => found !== undefined);
  const alone = root.root_threshold === 1 || root.admin_threshold === 1;
  const solo =
    root.solo === alone
      ? []
      : [problem("trust.solo", "root.solo", alone ? "one signer is enough, so it must be set" : "it must be lifted")];
  const classes = repeats("root.classes", root.classes, (one) => one.risk_class);
  return [...thresholds, ...solo, ...keyProblems(crypto, rootKeys(root)), ...classes];
}

/** Incarnations of one unit: the active one is the latest, and there is one of it. */
function incarnationProblems(routers: readonly RosterRouter[]): Problem[] {
  const unit = (one: RosterRouter): string => toHex(one.router_id);
  const active = routers.filter((one) => one.status === "active");
  const overtaken = routers.flatMap((one, i) => {
    const later = routers.some((other) => unit(other) === unit(one) && other.incarnation > one.incarnation);
    if (one.status !== "active" || !later) return [];
    return [problem("trust.decreases", `roster.routers[${i}]`, "a later incarnation is listed")];
  });
  return [
    ...repeats("roster.routers", routers, (one) => `${unit(one)} ${one.incarnation}`),
    ...repeats("active roster.routers", active, (one) => one.id),
    ...overtaken,
  ];
}

/** Everything wrong with a roster under its root: keys, entries that repeat, no operator left. */
export function rosterProblems(crypto: Crypto, root: Root, roster: Roster): readonly Problem[] {
  const active = roster.operators.some((one) => one.status === "active");
  return [
    ...keyProblems(crypto, rosterKeys(roster), rootKeys(root)),
    ...incarnationProblems(roster.routers),
    ...repeats("roster.consumed_tokens", roster.consumed_tokens, toHex),
    ...(active ? [] : [problem("trust.no_operator", "roster.operators", "no active operator")]),
  ];
}

/** What went back from one roster to the next: units, floors and used tokens only grow. */
export function backwards(before: Roster, after: Roster): readonly Problem[] {
  const name = (one: RosterRouter): string => `${toHex(one.router_id)} ${one.incarnation}`;
  const next = new Map(after.routers.map((one) => [name(one), one]));
  const routers = before.routers.flatMap((old): Problem[] => {
    const now = next.get(name(old));
    const path = `roster.routers ${old.id}`;
    if (now === undefined) return [problem("trust.decreases", path, "a unit is missing; mark it superseded instead")];
    const sameKeys = toHex(now.sign_key) === toHex(old.sign_key) && toHex(now.seal_key) === toHex(old.seal_key);
    if (!sameKeys || now.id !== old.id) {
      return [problem("trust.router_changed", path, "name and keys of an incarnation are fixed")];
    }
    if (now.generation_floor < old.generation_floor) return [problem("trust.decreases", path, "the floor is lower")];
    const returned = old.status !== "active" && now.status === "active";
    return returned ? [problem("trust.decreases", path, "a retired unit cannot return")] : [];
  });
  const tokens = new Set(after.consumed_tokens.map(toHex));
  const lost = before.consumed_tokens.some((token) => !tokens.has(toHex(token)));
  return [
    ...routers,
    ...(lost ? [problem("trust.decreases", "roster.consumed_tokens", "a used token is missing")] : []),
  ];
}
