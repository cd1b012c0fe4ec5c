/**
 * A site: the Git folder with intent.yaml and inventory.yaml. Reading checks both files completely, shapes and laws,
 * and lists every problem with its place. Editing goes through the YAML document, so that comments live on.
 */
import type { Document } from "yaml";
import { contractProblems } from "../../schemas/contract-laws.ts";
import { type Intent, IntentDocument } from "../../schemas/intent.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { type Inventory, InventoryDocument } from "../../schemas/inventory.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Problem, type Result, refuse } from "../../schemas/problem.ts";
import { expandContracts, withoutSecondColon } from "./contracts.ts";
import { readCapped, replaceFile } from "./files.ts";
import { fitShape, placed } from "./shape.ts";
import { parsePath, parseYaml, type YamlFile } from "./yaml.ts";

export const INTENT = "intent.yaml";
export const INVENTORY = "inventory.yaml";

export type Site = {
  readonly folder: string;
  readonly intent: Intent;
  readonly inventory: Inventory;
  /** The files as they were read; editInventory refuses when the inventory is no longer this text. */
  readonly text: { readonly intent: string; readonly inventory: string };
  /** A problem that prove() found in these documents, with its path as "intent.yaml:12:5 zones[2]". */
  locate(problem: Problem): Problem;
};

const utf8 = new TextEncoder();

type Read<T> = { readonly file: YamlFile; readonly value: T; readonly text: string };

function readIntent(folder: string): Result<Read<Intent>> {
  const bytes = readCapped(folder, INTENT, limits.intentBytes);
  if (!bytes.ok) return bytes;
  const text = new TextDecoder().decode(bytes.value);
  const plain = withoutSecondColon(text);
  // Bytes that are no text are the parser's to refuse.
  const parsed = parseYaml(INTENT, plain === text ? bytes.value : utf8.encode(plain));
  if (!parsed.ok) return parsed;
  const file = expandContracts(parsed.value);
  if (!file.ok) return file;
  const value = fitShape(file.value, IntentDocument, "intent");
  return value.ok ? done({ file: file.value, value: value.value, text }) : value;
}

function fitInventory(bytes: Uint8Array): Result<Read<Inventory>> {
  const file = parseYaml(INVENTORY, bytes);
  if (!file.ok) return file;
  const value = fitShape(file.value, InventoryDocument, "inventory");
  return value.ok ? done({ file: file.value, value: value.value, text: new TextDecoder().decode(bytes) }) : value;
}

function readInventory(folder: string): Result<Read<Inventory>> {
  const bytes = readCapped(folder, INVENTORY, limits.inventoryBytes);
  return bytes.ok ? fitInventory(bytes.value) : bytes;
}

const at = (file: YamlFile, problems: readonly Problem[]): readonly Problem[] =>
  problems.map((one) => ({ ...one, path: placed(file, parsePath(one.path)) }));

const problemsOf = (result: Result<unknown>): readonly Problem[] => (result.ok ? [] : result.problems);

/** Reads and checks the site in a folder. Refused with every problem of both files, in the order of the files. */
export function readSite(folder: string): Result<Site> {
  const intent = readIntent(folder);
  const inventory = readInventory(folder);
  const broken = [...problemsOf(intent), ...problemsOf(inventory)];
  const found: Problem[] = [...broken];
  if (intent.ok) found.push(...at(intent.value.file, intentProblems(intent.value.value)));
  if (!intent.ok || !inventory.ok) return { ok: false, problems: found };
  const clients = inventory.value.value;
  found.push(...at(intent.value.file, contractProblems(intent.value.value, clients)));
  found.push(...at(inventory.value.file, inventoryProblems(intent.value.value, clients)));
  if (found.length > 0) return { ok: false, problems: found };
  const files = { intent: intent.value.file, inventory: inventory.value.file };
  return done({
    folder,
    intent: intent.value.value,
    inventory: clients,
    text: { intent: intent.value.text, inventory: inventory.value.text },
    locate: (one) => {
      // Laws of grants have codes of the intent and places in the inventory, so the path decides.
      const file = /^(clients|tombstones|ledger)\b/.test(one.path) ? files.inventory : files.intent;
      const known = /^(intent|inventory|contract)\./.test(one.code);
      return known ? { ...one, path: placed(file, parsePath(one.path)) } : one;
    },
  });
}

/** Keeps the writer's own habits of lists and brackets, so that an edit changes only what it means to change. */
function print(document: Document, text: string): string {
  const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
  return document.toString({
    lineWidth: 0,
    indentSeq: !/^[A-Za-z_]+:[ \t]*(#.*)?\n- /m.test(text),
    flowCollectionPadding: count(/[[{] [^\n]/g) >= count(/[[{][^\s\]}]/g),
  });
}

/**
 * Edits inventory.yaml in place: comments and order stay, the result must fit its shape, and the file is replaced
 * atomically. `since` is the text that the edit was decided on (Site.text.inventory). Codes site.changed, site.*,
 * and inventory.* when the edited file would not fit. `edit` may throw: then nothing was written.
 */
export function editInventory(folder: string, edit: (document: Document) => void, since?: string): Result<void> {
  const before = readCapped(folder, INVENTORY, limits.inventoryBytes);
  if (!before.ok) return before;
  const file = parseYaml(INVENTORY, before.value);
  if (!file.ok) return file;
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(before.value);
  if (since !== undefined && new TextDecoder().decode(before.value) !== since) {
    return refuse(
      "site.changed",
      INVENTORY,
      "inventory.yaml changed since it was read: look at it, then run this again.",
    );
  }
  edit(file.value.document);
  const after = utf8.encode(print(file.value.document, text));
  const fits = fitInventory(after);
  if (!fits.ok) return fits;
  return replaceFile(folder, INVENTORY, before.value, after);
}
