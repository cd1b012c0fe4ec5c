/** A parsed YAML file held against a shape: every misfit listed, with place, path and fix. */
import * as v from "valibot";
import { type Problem, problem, type Result } from "../../schemas/problem.ts";
import { pathText, printable, type Segment, type YamlFile } from "./yaml.ts";

/** The part of valibot's run-time objects that the walk reads. */
type Shape = {
  readonly type: string;
  readonly pipe?: readonly Shape[];
  readonly wrapped?: Shape;
  readonly item?: Shape;
  readonly entries?: Readonly<Record<string, Shape>>;
};

/** The shape under pipes and defaults. */
function core(shape: Shape): Shape {
  if (shape.pipe?.[0] !== undefined && shape.pipe[0] !== shape) return core({ ...shape.pipe[0] });
  return shape.wrapped === undefined ? shape : core(shape.wrapped);
}

/** Number of single-character edits between two words (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** What somebody who wrote `key` may have meant. */
function suggestion(key: string, allowed: readonly string[]): string {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_ ]/g, "");
  const near = allowed
    .map((word) => ({ word, far: distance(plain(key.slice(0, 64)), plain(word)) }))
    .filter(({ word, far }) => far <= Math.max(1, Math.floor(word.length / 3)))
    .sort((a, b) => a.far - b.far)[0];
  return near === undefined ? `The keys here are ${allowed.join(", ")}.` : `Did you mean ${near.word}?`;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

type Unknown = { readonly path: readonly Segment[]; readonly fix: string };

/** Lists where keys belong: valibot takes an empty one for an object without keys, and nothing is skipped here. */
function lists(shape: Shape, value: unknown, path: readonly Segment[]): readonly (readonly Segment[])[] {
  const inner = core(shape);
  if (inner.entries !== undefined && Array.isArray(value)) return [path];
  if (inner.type === "array" && Array.isArray(value)) {
    return value.flatMap((item: unknown, i) => lists(inner.item as Shape, item, [...path, i]));
  }
  if (inner.entries === undefined || !isObject(value)) return [];
  return Object.entries(inner.entries).flatMap(([key, entry]) =>
    Object.hasOwn(value, key) ? lists(entry, value[key], [...path, key]) : [],
  );
}

/** Every key that no shape knows; valibot itself names only the first of an object. */
function unknownKeys(shape: Shape, value: unknown, path: readonly Segment[]): readonly Unknown[] {
  const inner = core(shape);
  if (inner.type === "array" && Array.isArray(value)) {
    return value.flatMap((item: unknown, i) => unknownKeys(inner.item as Shape, item, [...path, i]));
  }
  const { entries } = inner;
  if (entries === undefined || !isObject(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const known = Object.hasOwn(entries, key) ? entries[key] : undefined;
    if (known !== undefined) return unknownKeys(known, item, [...path, key]);
    return [{ path: [...path, key], fix: suggestion(key, Object.keys(entries)) }];
  });
}

/** "intent.yaml:12:5 zones[2].kind": where a problem is, for people and for editors. */
export function placed(file: YamlFile, path: readonly Segment[], key = false): string {
  const text = pathText(path);
  return text === "" ? file.place(path, key) : `${file.place(path, key)} ${text}`.slice(0, 512);
}

const CODES = {
  intent: { unknown: "intent.unknown_key", missing: "intent.missing_key", shape: "intent.shape" },
  inventory: { unknown: "inventory.unknown_key", missing: "inventory.missing_key", shape: "inventory.shape" },
} as const;

/**
 * The value of a file in its shape, with defaults filled in, or everything that does not fit. `stage` says
 * whose codes: <stage>.unknown_key, <stage>.missing_key, <stage>.shape.
 */
export function fitShape<T extends v.GenericSchema>(
  file: YamlFile,
  shape: T,
  stage: "intent" | "inventory",
): Result<v.InferOutput<T>> {
  const codes = CODES[stage];
  const keysWanted = (path: readonly Segment[]): Problem => {
    const what = path.length === 0 ? "The file" : printable(String(path.at(-1)));
    return problem(codes.shape, placed(file, path), `${what} must be keys with values: write them out.`);
  };
  const wrong = lists(shape as unknown as Shape, file.value, []);
  const result = v.safeParse(shape, file.value);
  if (result.success && wrong.length === 0) return { ok: true, value: result.output };
  const found: Problem[] = unknownKeys(shape as unknown as Shape, file.value, []).map(({ path, fix }) => {
    const key = printable(String(path.at(-1)));
    return problem(codes.unknown, placed(file, path, true), `There is no key ${key} here. ${fix}`);
  });
  found.push(...wrong.map(keysWanted));
  const seen = new Set<string>();
  const under = wrong.map(pathText);
  for (const issue of result.issues ?? []) {
    const path = (issue.path ?? []).map((item) => item.key as Segment);
    const text = pathText(path);
    // One sentence per value is enough; unknown keys, and what lists lack, are named above.
    if (seen.has(text) || (issue.expected === "never" && issue.type === "strict_object")) continue;
    if (under.includes(pathText(path.slice(0, -1)))) continue;
    seen.add(text);
    if (issue.type !== "strict_object") {
      found.push(problem(codes.shape, placed(file, path), `${text}: ${issue.message}.`));
    } else if (issue.received === "undefined") {
      const key = printable(String(path.at(-1)));
      found.push(problem(codes.missing, placed(file, path), `The key ${key} is missing here: add it.`));
    } else found.push(keysWanted(path));
  }
  return { ok: false, problems: found };
}
