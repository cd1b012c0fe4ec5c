/** What differs between two contents of a site, value by value, in the words of its files. */
import { canonicalIntent } from "../schemas/intent.ts";
import { canonicalInventory } from "../schemas/inventory.ts";
import type { Content } from "./content.ts";

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

export type Change = { readonly path: string; readonly before: string | null; readonly after: string | null };

type Documents = Pick<Content, "intent" | "inventory">;

const listed = (before: unknown, after: unknown): readonly Change[] => {
  const [old, now] = [flatten(before, "", new Map()), flatten(after, "", new Map())];
  return [...new Set([...old.keys(), ...now.keys()])]
    .sort()
    .map((path) => ({ path, before: old.get(path) ?? null, after: now.get(path) ?? null }))
    .filter((change) => change.before !== change.after && (change.before || change.after));
};

/** What changed from one content to the next: values by path, null where there is none. */
export function changesBetween(
  before: Documents,
  after: Documents,
): { readonly intent: readonly Change[]; readonly inventory: readonly Change[] } {
  return {
    intent: listed(canonicalIntent(before.intent), canonicalIntent(after.intent)),
    inventory: listed(canonicalInventory(before.inventory), canonicalInventory(after.inventory)),
  };
}

/** A line for each value that goes (-) or comes (+). */
export function changeLines(changes: readonly Change[]): readonly string[] {
  return changes.flatMap(({ path, before, after }) => [
    ...(before === null ? [] : [`- ${path}: ${before}`]),
    ...(after === null ? [] : [`+ ${path}: ${after}`]),
  ]);
}
