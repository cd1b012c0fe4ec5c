/**
 * YAML of people, strictly: YAML 1.2 core, one document, no duplicate keys, no tags, few aliases. Every problem has
 * file:line:column; a warning of the parser is a refusal here, because nothing is skipped.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { type Problem, problem, type Result } from "../../schemas/problem.ts";

export type Segment = string | number;

export type YamlFile = {
  readonly name: string; // "intent.yaml"
  readonly document: Document.Parsed;
  readonly value: unknown; // plain objects, lists, strings, numbers, booleans, null
  /** "intent.yaml:12:5" of the node at a path, or of the nearest node above it that exists. `key`: of the key itself. */
  place(path: readonly Segment[], key?: boolean): string;
};

/** Aliases save typing; more of them than this is a bomb or a mistake. */
const ALIASES_MAX = 100;

/** ASCII of a text from a file, short enough for a problem's path. */
export function printable(text: string): string {
  const ascii = [...text].map((char) => (/[\x20-\x7e]/.test(char) ? char : "?")).join("");
  return ascii.length > 64 ? `${ascii.slice(0, 61)}...` : ascii;
}

/** "zones[2].subnets[0]" of a path. */
export function pathText(path: readonly Segment[]): string {
  return path
    .map((segment, i) => (typeof segment === "number" ? `[${segment}]` : `${i === 0 ? "" : "."}${printable(segment)}`))
    .join("");
}

/** The path of a text as laws write it; names in laws have no dots or brackets. */
export function parsePath(text: string): readonly Segment[] {
  return [...text.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, name]) =>
    index === undefined ? name! : Number(index),
  );
}

function childOf(document: Document, node: unknown, segment: Segment, key: boolean): unknown {
  const at = isAlias(node) ? node.resolve(document) : node;
  if (isSeq(at)) return typeof segment === "number" ? at.items[segment] : undefined;
  if (!isMap(at)) return undefined;
  const pair = at.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(segment));
  return key || pair?.value === null ? pair?.key : pair?.value;
}

function placer(name: string, document: Document, lines: LineCounter): YamlFile["place"] {
  return (path, key = false) => {
    let node: unknown = document.contents;
    let offset = (node as Node | null)?.range?.[0] ?? 0;
    for (const [i, segment] of path.entries()) {
      node = childOf(document, node, segment, key && i === path.length - 1);
      const start = (node as Node | null | undefined)?.range?.[0];
      if (start === undefined) break;
      offset = start;
    }
    const { line, col } = lines.linePos(offset);
    return `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
}

const KINDS: Readonly<Record<string, string>> = { DUPLICATE_KEY: "site.duplicate_key" };
const FIXES: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: "This key is there already: remove one of the two.",
  MULTIPLE_DOCS: "A file holds one document: remove the second one.",
  TAG_RESOLVE_FAILED: "Tags (words with an exclamation mark) have no meaning here: remove it.",
  RESOURCE_EXHAUSTION: "The file is nested deeper than any site: correct the brackets or the indentation.",
};

/** Reads a text; every syntax problem is listed. Codes site.bad_yaml, site.duplicate_key, site.aliases. */
export function parseYaml(name: string, bytes: Uint8Array): Result<YamlFile> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { ok: false, problems: [problem("site.bad_yaml", name, `${name} is not UTF-8 text: save it as UTF-8.`)] };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { version: "1.2", schema: "core", lineCounter: lines, prettyErrors: false });
  const found = [...document.errors, ...document.warnings].map((error): Problem => {
    const { line, col } = lines.linePos(error.pos[0]);
    const said = FIXES[error.code] ?? `${printable(error.message)}: correct the YAML here.`;
    return problem(KINDS[error.code] ?? "site.bad_yaml", `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`, said);
  });
  if (found.length > 0) return { ok: false, problems: found };
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
    return { ok: true, value: { name, document, value, place: placer(name, document, lines) } };
  } catch (error) {
    // The package says both in a ReferenceError: an alias without its anchor, and one alias too many.
    if (!(error instanceof ReferenceError)) throw error;
    const code = /alias count/i.test(error.message) ? "site.aliases" : "site.bad_yaml";
    const said = code === "site.aliases" ? "Aliases repeat more than a site needs" : printable(error.message);
    return { ok: false, problems: [problem(code, `${name}:1:1`, `${said}: write the values out.`)] };
  }
}
