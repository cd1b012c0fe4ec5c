/** What `check --coverage` says: how much is held, and what nobody holds, by chain and set, with its line. */

import type { Origin } from "../agent/core/contracts-origin.ts";
import { type Coverage, type Holders, isHeld } from "../agent/core/coverage.ts";
import { table } from "./out.ts";
import type { Site } from "./site/site.ts";

/** Elements of one set that are listed for people; --json has all. */
const ELEMENTS_SHOWN = 8;

const MEANING = `A contract holds a rule or an element when a packet that it speaks of meets it on its way; an invariant, when one of its
packets does, or when it asks for that very text; one that is decided over a whole hook is not counted, for it leaves out
which rule decides. What nobody holds may be right, but no contract would miss it.
`;

/** Chains and maps that judge answers to flows which began under an older policy. */
const MIRROR = /^(?:z_[rq]_|p_r_|m_prof[46]_reply$|v_reply$|v_output$)/;

/** Why nobody can write a contract about a chain; "" where one can. */
function asideOf(chain: string): string {
  if (MIRROR.test(chain)) return " (answers in flows of an older policy: no contract speaks of those)";
  return chain === "b_mss" ? " (sizes of segments: no contract speaks of those)" : "";
}

function placeOf(site: Site, origin: Origin | null): string {
  if (origin === null) return "";
  if (origin.path === "") return origin.name;
  return `${origin.name}, ${site.locate({ code: "intent.policy", path: origin.path, detail: "" }).path}`;
}

/** Groups in the order in which their first member comes. */
function grouped<T>(list: readonly T[], of: (one: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) groups.set(of(one), [...(groups.get(of(one)) ?? []), one]);
  return groups;
}

const open = <T extends Holders>(list: readonly T[]): readonly T[] => list.filter((one) => !isHeld(one));

/** "r1: 96 of 308 rules are held by a contract or invariant", what that means, and the others. */
export function coverageText(site: Site, router: string, { rules, elements }: Coverage): string {
  const [openRules, openElements] = [open(rules), open(elements)];
  const count = (all: readonly unknown[], left: readonly unknown[]): string =>
    `${all.length - left.length} of ${all.length}`;
  const head =
    `${router}: ${count(rules, openRules)} rules are held by a contract or invariant, ` +
    `and ${count(elements, openElements)} elements of sets and maps.\n`;
  if (openRules.length + openElements.length === 0) return head;
  const aside = (what: string, name: string, count: number): string | undefined => {
    const why = asideOf(name);
    return why === "" ? undefined : `  ${what} ${name}: ${count}${why}\n`;
  };
  const chains = [...grouped(openRules, (one) => one.chain)].map(([chain, list]) => {
    const rows = list.map((one) => [`    ${one.rule}`, one.text, placeOf(site, one.origin)]);
    return aside("chain", chain, list.length) ?? `  chain ${chain}\n${table(rows)}`;
  });
  const sets = [...grouped(openElements, (one) => one.set)].map(([set, list]) => {
    const rows = list.slice(0, ELEMENTS_SHOWN).map((one) => [`    ${one.element}`, placeOf(site, one.origin)]);
    const more = list.length - rows.length;
    const what = /^[mv]_/.test(set) ? "map" : "set";
    const shown = `  ${what} ${set}\n${table(rows)}${more > 0 ? `    and ${more} more\n` : ""}`;
    return aside(what, set, list.length) ?? shown;
  });
  return `${head}${MEANING}Held by nobody:\n${chains.join("")}${sets.join("")}`;
}

/** For --json: every rule and element with who depends on it, and its place as "intent.yaml:12:5 policies[2]". */
export function coverageJson(site: Site, { rules, elements }: Coverage): unknown {
  const placed = <T extends { readonly origin: Origin | null }>(one: T) => ({
    ...one,
    origin: placeOf(site, one.origin),
  });
  return { rules: rules.map(placed), elements: elements.map(placed) };
}
