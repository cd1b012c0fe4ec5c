/**
 * Holds the schemas to the wire: every field of every message has a key in its shape, every key a field, and the
 * kinds fit. A field that one side does not know would be lost or invented between signing and checking.
 */
import type { EnumValue, Field } from "./proto.ts";
import type { Violation } from "./tree.ts";

/** The part of valibot's run-time objects that the comparison reads. */
type Node = {
  readonly type: string;
  readonly pipe?: readonly Node[];
  readonly wrapped?: Node;
  readonly item?: Node;
  readonly entries?: Readonly<Record<string, Node>>;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
};

type Wire = {
  readonly messages: ReadonlyMap<string, readonly Field[]>;
  readonly enums: ReadonlyMap<string, readonly EnumValue[]>;
};

/** The schema under pipes, defaults and absence. */
function core(node: Node): Node {
  if (node.pipe?.[0] !== undefined && node.pipe[0] !== node) return core({ ...node.pipe[0] });
  return node.wrapped === undefined ? node : core(node.wrapped);
}

/** What the values of a schema are on the wire; several for a union. */
function kindsOf(node: Node): Set<string> {
  const inner = core(node);
  if (inner.type === "union") return new Set((inner.options as readonly Node[]).flatMap((one) => [...kindsOf(one)]));
  if (inner.type === "literal") return new Set([typeof inner.literal]);
  if (inner.type === "strict_object") return new Set(["object"]);
  if (inner.type === "picklist") return new Set((inner.options ?? []).map((word) => typeof word));
  return new Set([inner.type === "instance" ? "bytes" : inner.type]);
}

const KINDS: Readonly<Record<string, string>> = {
  string: "string",
  bytes: "bytes",
  bool: "boolean",
  uint32: "number",
  uint64: "bigint",
  message: "object",
};

function fieldProblem(field: Field, schema: Node, wire: Wire): string | undefined {
  const outer = core(schema);
  if (field.repeated !== (outer.type === "array")) return field.repeated ? "must be a list" : "must not be a list";
  const one = core(field.repeated ? (outer.item as Node) : schema);
  if (field.type === "enum") {
    const words = (wire.enums.get(field.of ?? "") ?? []).slice(1).map((value) => value.word);
    const options = one.type === "picklist" ? (one.options ?? []) : undefined;
    if (options === undefined) return `must be a picklist of ${field.of}`;
    const odd = options.filter((word) => !words.includes(String(word)));
    return odd.length === 0 ? undefined : `${odd.join(", ")}: not in enum ${field.of}`;
  }
  const kinds = kindsOf(one);
  const wanted = KINDS[field.type] ?? "";
  return kinds.size === 1 && kinds.has(wanted)
    ? undefined
    : `is ${field.type} on the wire, ${[...kinds]} in the schema`;
}

/** Every difference between the messages and the shapes, both ways. */
export function shapeDifferences(wire: Wire, shapes: Readonly<Record<string, object>>): Violation[] {
  const found: Violation[] = [];
  const report = (what: string): void => void found.push({ path: "schemas/wire.ts", line: 1, what });
  for (const name of Object.keys(shapes)) if (!wire.messages.has(name)) report(`${name}: no such message`);
  for (const [name, fields] of wire.messages) {
    const shape = shapes[name] as Node | undefined;
    if (shape === undefined) {
      report(`${name}: message without a shape`);
      continue;
    }
    const entries = core(shape).type === "strict_object" ? (core(shape).entries ?? {}) : undefined;
    if (entries === undefined) {
      report(`${name}: a shape is a strictObject`);
      continue;
    }
    const keys = new Set(fields.map((field) => field.key));
    for (const key of Object.keys(entries)) if (!keys.has(key)) report(`${name}.${key}: key without a field`);
    for (const field of fields) {
      const schema = entries[field.key];
      const what = schema === undefined ? "field without a key" : fieldProblem(field, schema, wire);
      if (what !== undefined) report(`${name}.${field.key}: ${what}`);
    }
  }
  return found;
}
