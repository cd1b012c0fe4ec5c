/** Finds every rule in a schema, with values that may break it; the tests see to it that one of them does. */
import type * as v from "valibot";

export type Step = string | number;

/** One thing that a schema demands at one place. */
export type Rule = {
  readonly path: readonly Step[];
  readonly type: string; // "regex", "max_value", "strict_object", …; "union" stands for any of its branches
  readonly requirement: unknown;
  readonly breakers: readonly unknown[]; // values for the place; MISSING takes the key away
};

export const MISSING = Symbol("missing");

/** What this file reads of valibot's objects. */
type Node = {
  readonly kind: "schema" | "validation";
  readonly type: string;
  readonly pipe?: readonly Node[];
  readonly wrapped?: Node;
  readonly item?: Node;
  readonly entries?: Readonly<Record<string, Node>>;
  readonly requirement?: unknown;
  readonly message?: unknown;
};

const WRONG_TYPE: Readonly<Record<string, readonly unknown[]>> = {
  string: [5],
  number: ["5"],
  boolean: [1],
  bigint: [5],
  instance: ["bytes"],
  array: [{}],
  picklist: ["unspecified"],
  literal: [2],
  union: ["\u0000!", 7],
};

const TEXTS = ["!", "\u0000", "::1", "a.example:99999", "10.0.0.1/24"];

/** Values that break what comes after the type in a pipe; `valid` is a value that fits. */
function breakersOf(action: Node, valid: unknown): readonly unknown[] {
  const { type, requirement } = action;
  if (type === "integer") return [1.5];
  if (type === "min_value") return [typeof requirement === "bigint" ? requirement - 1n : Number(requirement) - 1];
  if (type === "max_value") return [typeof requirement === "bigint" ? requirement + 1n : Number(requirement) + 1];
  if (type === "min_length") return [[]];
  if (type === "max_length") {
    const most = requirement as number;
    return [Array.isArray(valid) ? Array.from({ length: most + 1 }, () => valid[0]) : "x".repeat(most + 1)];
  }
  if (!(valid instanceof Uint8Array)) return TEXTS;
  const most = /at most (\d+) bytes/.exec(String(action.message))?.[1];
  return [new Uint8Array(most === undefined ? valid.length + 1 : Number(most) + 1)];
}

const isOptional = (node: Node): boolean => node.type === "optional";

function objectRules(node: Node, path: readonly Step[], valid: Record<string, unknown>): Rule[] {
  return Object.entries(node.entries ?? {}).flatMap(([key, entry]): Rule[] => {
    const place = [...path, key];
    const gone: Rule = { path: place, type: "strict_object", requirement: undefined, breakers: [MISSING] };
    return [...(isOptional(entry) ? [] : [gone]), ...walk(entry, place, valid[key])];
  });
}

function walk(node: Node, path: readonly Step[], valid: unknown): Rule[] {
  if (node.wrapped !== undefined) return walk(node.wrapped, path, valid);
  const [head, ...actions] = node.pipe ?? [];
  if (head !== undefined) {
    const after = actions.map((action) => ({
      ...{ path, type: action.type, requirement: action.requirement, breakers: breakersOf(action, valid) },
    }));
    // The head of a pipe is a schema with its own pipe, or the very object that carries this one.
    return [...(head.pipe === node.pipe ? own(head, path, valid) : walk(head, path, valid)), ...after];
  }
  return own(node, path, valid);
}

function own(node: Node, path: readonly Step[], valid: unknown): Rule[] {
  if (node.type === "strict_object") {
    const extra: Rule = { path: [...path, "extra"], type: "strict_object", requirement: undefined, breakers: [1] };
    return [extra, ...objectRules(node, path, valid as Record<string, unknown>)];
  }
  const breakers = WRONG_TYPE[node.type];
  if (breakers === undefined) throw new Error(`no way to break ${node.type} is known`);
  const type: Rule = { path, type: node.type, requirement: undefined, breakers };
  if (node.type !== "array") return [type];
  return [type, ...walk(node.item!, [...path, 0], (valid as readonly unknown[])[0])];
}

/** Every rule of a schema; `valid` must fit it and have no empty list. */
export function rulesOf(schema: v.GenericSchema, valid: unknown): readonly Rule[] {
  return walk(schema as unknown as Node, [], valid);
}

/** A copy of `value` with another value at `path`. */
export function replaced(value: unknown, path: readonly Step[], by: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return by;
  if (Array.isArray(value)) return value.map((one, i) => (i === step ? replaced(one, rest, by) : one));
  const copy = { ...(value as Record<string, unknown>) };
  if (rest.length === 0 && by === MISSING) delete copy[step];
  else copy[step] = replaced(copy[step], rest, by);
  return copy;
}
