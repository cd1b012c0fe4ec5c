/**
 * `bun .ci/json-schema.ts [--check]`: docs/schema/*.schema.json from the valibot shapes of the files that
 * people edit, so that an editor completes and checks them. Only shapes cross over: laws between fields, and
 * checks that are code, stay with `holdfast check`; their sentence is kept as the description.
 */

import { IntentDocument } from "../schemas/intent.ts";
import { InventoryDocument } from "../schemas/inventory.ts";
import { publish } from "./stale.ts";

/** The part of valibot's run-time objects that the walk reads. */
type Node = {
  readonly kind: string;
  readonly type: string;
  readonly message?: unknown;
  readonly requirement?: unknown;
  readonly description?: string;
  readonly pipe?: readonly Node[];
  readonly entries?: Readonly<Record<string, Node>>;
  readonly item?: Node;
  readonly wrapped?: Node;
  readonly default?: unknown;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
};

export type JsonSchema = { [key: string]: unknown };

const sentence = (node: Node): JsonSchema => (typeof node.message === "string" ? { description: node.message } : {});

/** One pipe action; `of` is the JSON type it narrows, because a length is items for a list. */
function action(node: Node, of: unknown): JsonSchema {
  const wanted = node.requirement;
  switch (node.type) {
    case "regex":
      return { pattern: (wanted as RegExp).source, ...sentence(node) };
    case "integer":
      return { type: "integer" };
    case "min_value":
      return { minimum: wanted };
    case "max_value":
      return { maximum: wanted };
    case "min_length":
      return of === "array" ? { minItems: wanted } : { minLength: wanted };
    case "max_length":
      return of === "array" ? { maxItems: wanted } : { maxLength: wanted };
    case "description":
      return { description: node.description };
    case "check":
      return sentence(node);
    default:
      throw new Error(`no JSON Schema for the action ${node.type}`);
  }
}

function object(node: Node): JsonSchema {
  const entries = Object.entries(node.entries ?? {});
  const required = entries.filter(([, entry]) => entry.type !== "optional").map(([key]) => key);
  return {
    type: "object",
    additionalProperties: false,
    ...(required.length > 0 ? { required } : {}),
    properties: Object.fromEntries(entries.map(([key, entry]) => [key, toJsonSchema(entry)])),
  };
}

function bare(node: Node): JsonSchema {
  switch (node.type) {
    case "strict_object":
      return object(node);
    case "array":
      return { type: "array", items: toJsonSchema(node.item as Node) };
    case "string":
    case "number":
    case "boolean":
      return { type: node.type };
    case "picklist":
      return { type: "string", enum: node.options };
    case "literal":
      return { const: node.literal };
    case "union":
      return { anyOf: (node.options as readonly Node[]).map(toJsonSchema), ...sentence(node) };
    case "nullable":
      return { anyOf: [toJsonSchema(node.wrapped as Node), { type: "null" }] };
    case "optional": {
      const fallback = node.default === undefined ? {} : { default: node.default };
      return { ...toJsonSchema(node.wrapped as Node), ...fallback };
    }
    default:
      throw new Error(`no JSON Schema for the shape ${node.type}`);
  }
}

/** JSON Schema (draft 2020-12) of a valibot schema; throws on a kind that it does not know, never guesses. */
export function toJsonSchema(schema: object): JsonSchema {
  const node = schema as Node;
  if (node.pipe === undefined) return bare(node);
  const [first, ...rest] = node.pipe;
  let result = toJsonSchema({ ...(first as Node) });
  for (const step of rest) result = { ...result, ...action(step, result.type) };
  return result;
}

/** The short form of contracts is read before the shape, so the shape does not know it. */
function withShortContracts(schema: JsonSchema): JsonSchema {
  const properties = schema.properties as Record<string, JsonSchema>;
  const contracts = properties.contracts!;
  const { required, ...items } = contracts.items as JsonSchema;
  const short = (description: string): JsonSchema => ({ type: "string", description });
  const known = items.properties as Record<string, JsonSchema>;
  const added = {
    allow: short("short form: client alice -> 10.0.1.5 tcp/443"),
    deny: short("short form: guest -> lan"),
    only: short("short form: wan -> router: [wireguard, rescue]"),
  };
  const either = [{ required }, ...Object.keys(added).map((key) => ({ required: [key] }))];
  const entry = { ...items, properties: { ...known, ...added }, anyOf: either };
  return { ...schema, properties: { ...properties, contracts: { ...contracts, items: entry } } };
}

function page(title: string, schema: JsonSchema): string {
  const head = { $schema: "https://json-schema.org/draft/2020-12/schema", title };
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`;
}

export function main(args: readonly string[]): number {
  const files = new Map([
    ["docs/schema/intent.schema.json", page("Holdfast intent.yaml", withShortContracts(toJsonSchema(IntentDocument)))],
    ["docs/schema/inventory.schema.json", page("Holdfast inventory.yaml", toJsonSchema(InventoryDocument))],
  ]);
  return publish(files, args, "npm run generate");
}

if (import.meta.main) process.exit(main(process.argv.slice(2)));
