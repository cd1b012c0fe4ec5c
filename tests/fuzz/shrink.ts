/** A disagreement made small: fewer packets before it, and fewer things in its site, as long as it stays one. */
import type { Random } from "../campaigns/campaign.ts";
import { Disagreement, type Plan, runSite } from "./run.ts";
import { type Draft, lawful, siteOf } from "./sites.ts";

/** Runs that are spent on it; each is a router that is built. */
const TRIES = 40;
/** And no more time than this. */
const PATIENCE_MS = 40_000;

type Small = { readonly plan: Plan; readonly error: Disagreement };

/** Replays ask no dice. */
const none: Random = () => {
  throw new Error("a replay asks for a number");
};

/** The disagreement of the same oracle that these acts come to; undefined when there is none, or none can be tried. */
async function again(plan: Plan, oracle: string): Promise<Disagreement | undefined> {
  try {
    await runSite(plan, none);
  } catch (error) {
    if (error instanceof Disagreement && error.oracle === oracle) return error;
  }
  return undefined;
}

const LISTS = [
  "policies",
  "port_forwards",
  "masquerade",
  "nat66",
  "networks",
  "services",
  "profiles",
  "zones",
] as const;

/** Documents with one list empty or without one of its things. */
function* smaller(draft: Draft): Generator<Draft> {
  const copy = (): Draft => structuredClone(draft);
  const lists = (one: Draft): unknown[][] => [
    one.inventory.clients ?? [],
    ...LISTS.map((name) => (one.intent[name] ?? []) as unknown[]),
  ];
  for (const [l, list] of lists(draft).entries()) {
    const cuts = list.length > 1 ? [undefined, ...list.keys()] : [...list.keys()];
    for (const cut of cuts) {
      const next = copy();
      const target = lists(next)[l]!;
      target.splice(cut ?? 0, cut === undefined ? target.length : 1);
      yield next;
    }
  }
}

export async function shrunk(plan: Plan, error: Disagreement): Promise<Small> {
  let small: Small = { plan: { ...plan, acts: error.acts }, error };
  let tries = TRIES;
  const until = performance.now() + PATIENCE_MS;
  const attempt = async (next: Plan): Promise<boolean> => {
    tries = performance.now() < until ? tries - 1 : 0;
    if (tries === 0) return false;
    const found = await again(next, error.oracle);
    if (found === undefined) return false;
    small = { plan: { ...next, acts: found.acts }, error: found };
    return true;
  };
  // Halves, quarters and so on of what came before the packet.
  for (let piece = small.error.acts.length - 1; piece >= 1 && tries > TRIES / 2; piece = Math.floor(piece / 2)) {
    for (let at = 0; at < small.error.acts.length - 1 && tries > TRIES / 2; ) {
      const { acts } = small.error;
      const shorter = [...acts.slice(0, at), ...acts.slice(Math.min(at + piece, acts.length - 1))];
      if (!(await attempt({ ...small.plan, acts: shorter }))) at += piece;
    }
  }
  // A bent ruleset is not its site's any more, so its site stays as it is.
  for (let better = !plan.isBent; better && tries > 0; ) {
    better = false;
    const { site } = small.plan;
    for (const draft of smaller(structuredClone({ intent: site.intent, inventory: site.inventory }) as Draft)) {
      if (tries <= 0) break;
      const clean = lawful(draft);
      if (clean === undefined) continue;
      const next = siteOf(clean, site.leases, site.input.root.network_id);
      if (!(await attempt({ ...small.plan, site: next, table: next.desired.nft }))) continue;
      better = true;
      break;
    }
  }
  return small;
}
