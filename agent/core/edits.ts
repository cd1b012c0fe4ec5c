/**
 * Edits of the two documents as data: small enough to be read, said and applied by hand. Entries are named by their
 * ids, so that an edit means the same after another one was made.
 */
import type { Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";

export type Documents = { readonly intent: Intent; readonly inventory: Inventory };

type IntentList = "policies" | "profiles" | "port_forwards" | "services";

/** One change of one list: of an entry of it, or, with the id "", of the list itself. */
export type Change = {
  readonly list: IntentList | "clients"; // clients are the inventory's, all others the intent's
  readonly id: string;
  /** Of the entry: "services", "reach", "internet.v4"; "" for the entry as a whole. */
  readonly field: string;
  readonly op: "add" | "remove" | "set";
  /** What is added, removed or set; null where an entry as a whole is removed. */
  readonly value: unknown;
};

type Fields = Readonly<Record<string, unknown>>;

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** A value under a path of keys, changed. */
function within(entry: Fields, keys: readonly string[], of: (before: unknown) => unknown): Fields {
  const [key = "", ...rest] = keys;
  const before = entry[key];
  return { ...entry, [key]: rest.length === 0 ? of(before) : within(before as Fields, rest, of) };
}

function changed(entry: Fields, { field, op, value }: Change): Fields {
  return within(entry, field.split("."), (before) => {
    if (op === "set") return value;
    const list = before as readonly unknown[];
    return op === "add" ? [...list, value] : list.filter((one) => !same(one, value));
  });
}

function changedList(list: readonly (Fields & { readonly id: string })[], change: Change): readonly unknown[] {
  if (change.id === "") return [...list, change.value];
  if (change.field === "") return list.filter((one) => one.id !== change.id);
  return list.map((one) => (one.id === change.id ? changed(one, change) : one));
}

/** The documents with changes made, one after the other. What they come to may break laws. */
export function applied(documents: Documents, changes: readonly Change[]): Documents {
  return changes.reduce(({ intent, inventory }, change): Documents => {
    const { list } = change;
    if (list === "clients") {
      const clients = changedList(inventory.clients, change) as Inventory["clients"];
      return { intent, inventory: { ...inventory, clients } };
    }
    return { intent: { ...intent, [list]: changedList(intent[list], change) }, inventory };
  }, documents);
}

/** Where a change is made, as a path of the documents before it: `policies[3].services[1]`, `policies` for a new one. */
export function pathOf({ intent, inventory }: Documents, { list, id, field, op, value }: Change): string {
  const entries: readonly (Fields & { readonly id: string })[] = list === "clients" ? inventory.clients : intent[list];
  const at = entries.findIndex((one) => one.id === id);
  if (at < 0) return list;
  const path = `${list}[${at}]`;
  if (field === "") return path;
  const held = entries[at]![field];
  const which = op === "remove" && Array.isArray(held) ? held.findIndex((one) => same(one, value)) : -1;
  return which < 0 ? `${path}.${field}` : `${path}.${field}[${which}]`;
}
