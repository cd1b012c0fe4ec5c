/** `diff`: what the site says now and a pushed generation did not, value by value; no router is asked. */
import { canonicalIntent } from "../../schemas/intent.ts";
import { canonicalInventory } from "../../schemas/inventory.ts";
import { refuse } from "../../schemas/problem.ts";
import { usageProblem } from "../args.ts";
import { type Content, keptContent } from "../content.ts";
import { type Ending, finished, refused } from "../out.ts";
import { stateFolder } from "../places.ts";
import { pushedGenerations } from "../receipts-file.ts";
import { type Context, chooseRouter, openHome } from "../session.ts";

type Plain = Readonly<Record<string, unknown>>;

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What people call an element of a list: its id, or the fields that tell it from its neighbours. */
function nameOf(item: Plain): string {
  const by = ["id", "network", "generation", "interface", "zone", "fingerprint", "protocol"].find((key) => key in item);
  const more = ["address", "cidr", "from", "to"].filter((key) => key in item && by !== "id");
  return [...(by === undefined ? [] : [by]), ...more].map((key) => String(item[key])).join(" ");
}

/** Every value under its path; lists of plain values are one value, since their order means nothing here. */
function flatten(value: unknown, path: string, into: Map<string, string>): Map<string, string> {
  if (isPlain(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, path === "" ? key : `${path}.${key}`, into);
  } else if (Array.isArray(value) && value.some(isPlain)) {
    const seen = new Map<string, number>();
    for (const item of value) {
      const name = nameOf(item as Plain);
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      flatten(item, `${path}[${name}${count === 1 ? "" : ` #${count}`}]`, into);
    }
  } else into.set(path, Array.isArray(value) ? value.join(" ") : String(value));
  return into;
}

type Change = { readonly path: string; readonly before: string | null; readonly after: string | null };

const valuesOf = ({ intent, inventory }: Pick<Content, "intent" | "inventory">): Map<string, string> =>
  flatten(canonicalInventory(inventory), "", flatten(canonicalIntent(intent), "", new Map()));

function changesBetween(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): readonly Change[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  return paths
    .map((path) => ({ path, before: before.get(path) ?? null, after: after.get(path) ?? null }))
    .filter((change) => change.before !== change.after && (change.before || change.after));
}

/** `holdfast diff [GENERATION]` */
export async function diff(context: Context): Promise<Ending> {
  const [text] = context.args.operands;
  if (text !== undefined && !/^[1-9][0-9]{0,17}$/.test(text)) {
    return refused([usageProblem("diff takes the number of a generation.")]);
  }
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { site, network } = home.value;
  if (!site.ok) return refused(site.problems);
  const router = chooseRouter(home.value, context.args.one("router"));
  if (!router.ok) return refused(router.problems);
  const folder = stateFolder(network, router.value.id, router.value.incarnation);
  const generation = text === undefined ? pushedGenerations(folder).at(-1) : BigInt(text);
  if (generation === undefined) {
    return refused(refuse("cli.no_generation", router.value.id, "nothing was pushed from this machine yet").problems);
  }
  const kept = keptContent(folder, generation);
  if (!kept.ok) return refused(kept.problems);
  const changes = changesBetween(valuesOf(kept.value), valuesOf(site.value));
  const lines = changes.flatMap(({ path, before, after }) => [
    ...(before === null ? [] : [`- ${path}: ${before}\n`]),
    ...(after === null ? [] : [`+ ${path}: ${after}\n`]),
  ]);
  const answer = lines.length === 0 ? `The site is what generation ${generation} was pushed from.\n` : lines.join("");
  return finished(answer, { router: router.value.id, generation, changes });
}
