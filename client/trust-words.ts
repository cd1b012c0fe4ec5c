/** What the next root or roster changes, in words, so that nobody signs what they have not read. */
import { classThreshold } from "../agent/core/directive.ts";
import { toHex } from "../schemas/digest.ts";
import type { Operator, RiskClass, Root, Roster, RosterRouter } from "../schemas/trust.ts";
import { keyFingerprint } from "./fingerprints.ts";
import { holdersIn, type Threshold } from "./trust-change.ts";

const ROLES: readonly Threshold[] = ["root", "admin", "recovery"];
const CLASSES: readonly RiskClass[] = ["routine", "sensitive", "trust", "recovery"];

type Held = { readonly role: string; readonly holder: string; readonly key: Uint8Array };

const heldKeys = (root: Root): readonly Held[] => [
  ...root.keys,
  ...root.escrow.map((one) => ({ ...one, role: "escrow" })),
];

function keyWords(before: Root, after: Root): readonly string[] {
  const name = (one: Held): string => `${one.role} ${one.holder} ${toHex(one.key)}`;
  const [old, now] = [new Set(heldKeys(before).map(name)), new Set(heldKeys(after).map(name))];
  const came = heldKeys(after).filter((one) => !old.has(name(one)));
  const left = heldKeys(before).filter((one) => !now.has(name(one)));
  const owns = (list: readonly Held[], { role, holder }: Held): boolean =>
    list.some((one) => one.role === role && one.holder === holder);
  const text = ({ role, key }: Held): string => `${role.toUpperCase()} key ${keyFingerprint(role, key)}`;
  return [
    ...came.map((one) => `${owns(left, one) ? "~" : "+"} ${one.holder}: ${owns(left, one) ? "new " : ""}${text(one)}`),
    ...left.filter((one) => !owns(came, one)).map((one) => `- ${one.holder}: ${text(one)}`),
  ];
}

const thresholdText = (root: Root, role: Threshold): string =>
  `${root[`${role}_threshold`]} of ${holdersIn(root.keys, role).length}`;

function thresholdWords(before: Root, after: Root): readonly string[] {
  const roles = ROLES.flatMap((role) => {
    const [was, is] = [thresholdText(before, role), thresholdText(after, role)];
    return was === is ? [] : [`~ ${role.toUpperCase()} threshold: ${was} -> ${is}`];
  });
  const classes = CLASSES.flatMap((name) => {
    const [was, is] = [classThreshold(before, name), classThreshold(after, name)];
    return was === is ? [] : [`~ ${name} changes need: ${was} -> ${is}`];
  });
  return [...roles, ...classes];
}

/** Everything that differs between two roots of one chain, a line each. */
export function rootWords(before: Root, after: Root): readonly string[] {
  const safe = ({ safe_mode: { api_port, allow_icmp } }: Root): string =>
    `port ${api_port}, ICMP ${allow_icmp ? "allowed" : "dropped"}`;
  return [
    ...keyWords(before, after),
    ...thresholdWords(before, after),
    ...(before.solo === after.solo ? [] : [after.solo ? "~ the site is solo again" : "~ the site is solo no more"]),
    ...(safe(before) === safe(after) ? [] : [`~ safe mode: ${safe(before)} -> ${safe(after)}`]),
    ...(before.network === after.network ? [] : [`~ network name: ${before.network} -> ${after.network}`]),
  ];
}

type Pair<T> = { readonly was: T | undefined; readonly is: T | undefined };

/** Entries of two lists that are not the same, by what identifies them. */
function pairs<T>(before: readonly T[], after: readonly T[], id: (one: T) => string): readonly Pair<T>[] {
  const [old, now] = [new Map(before.map((one) => [id(one), one])), new Map(after.map((one) => [id(one), one]))];
  return [...new Set([...old.keys(), ...now.keys()])].map((key) => ({ was: old.get(key), is: now.get(key) }));
}

function operatorWords({ was, is }: Pair<Operator>): readonly string[] {
  const one = is ?? was!;
  const what = `operator ${one.holder}, key ${keyFingerprint("operator", one.sign_key)}`;
  if (was === undefined) return [`+ ${what}: ${one.status}, signs up to ${one.max_class}`];
  if (is === undefined) return [`- ${what}: forgotten`];
  const keys = toHex(was.seal_key) === toHex(is.seal_key) && was.lane_key === is.lane_key;
  return [
    ...(was.status === is.status
      ? []
      : [`${is.status === "active" ? "+" : "-"} ${what}: ${was.status} -> ${is.status}`]),
    ...(was.max_class === is.max_class ? [] : [`~ ${what}: signs up to ${was.max_class} -> ${is.max_class}`]),
    ...(was.holder === is.holder ? [] : [`~ ${what}: was ${was.holder}`]),
    ...(keys ? [] : [`~ ${what}: other seal or lane key`]),
  ];
}

function routerWords({ was, is }: Pair<RosterRouter>): readonly string[] {
  const one = is ?? was!;
  const what = `router ${one.id}, incarnation ${one.incarnation}`;
  if (was === undefined) return [`+ ${what}: ${one.status}`];
  if (is === undefined) return [`- ${what}: forgotten`];
  const same = toHex(was.sign_key) === toHex(is.sign_key) && toHex(was.seal_key) === toHex(is.seal_key);
  const floors = `${was.generation_floor} -> ${is.generation_floor}`;
  return [
    ...(was.status === is.status ? [] : [`~ ${what}: ${was.status} -> ${is.status}`]),
    ...(was.generation_floor === is.generation_floor ? [] : [`~ ${what}: generation floor ${floors}`]),
    ...(same && was.id === is.id ? [] : [`~ ${what}: other name or keys`]),
  ];
}

/** Everything that differs between two rosters of one chain, a line each. */
export function rosterWords(before: Roster, after: Roster): readonly string[] {
  const operators = pairs(before.operators, after.operators, (one) => toHex(one.sign_key));
  const routers = pairs(before.routers, after.routers, (one) => `${toHex(one.router_id)} ${one.incarnation}`);
  const tokens = after.consumed_tokens.length - before.consumed_tokens.length;
  return [
    ...operators.flatMap(operatorWords),
    ...routers.flatMap(routerWords),
    ...(tokens === 0 ? [] : [`~ used tokens: ${before.consumed_tokens.length} -> ${after.consumed_tokens.length}`]),
  ];
}
