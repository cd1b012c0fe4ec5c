/** Edits of the site's two files in words: where, and what to write there. */
import { type Change, pathOf } from "../agent/core/edits.ts";
import type { Edit } from "../agent/core/edits-try.ts";
import type { Site } from "./site/site.ts";

/** What a file need not say, by the list and field that an entry goes into. */
const DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  policies: { v4: true, v6: true },
  port_forwards: { count: 1 },
  "profiles.reach": { v4: true, v6: false },
};

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A value as YAML in one line. */
function flow(value: unknown, defaults: Readonly<Record<string, unknown>> = {}): string {
  if (Array.isArray(value)) return `[${value.map((one) => flow(one)).join(", ")}]`;
  if (!isFields(value)) return String(value);
  const parts = Object.entries(value)
    .filter(([key, one]) => defaults[key] !== one && !(Array.isArray(one) && one.length === 0))
    // A port range of one.
    .filter(([key, one]) => !(key === "to" && (one === 0 || one === value.from)))
    .map(([key, one]) => `${key}: ${flow(one)}`);
  return `{ ${parts.join(", ")} }`;
}

const located = (site: Site, path: string): string => site.locate({ code: "intent.policy", path, detail: "" }).path;

/** `intent.yaml:160:5 policies[3]: remove lan-lab`. */
function changeText(site: Site, change: Change): string {
  const { list, id, field, op, value } = change;
  const what =
    op === "set"
      ? `set ${value}`
      : value === null
        ? `remove ${id}`
        : `${op} ${flow(value, DEFAULTS[field === "" ? list : `${list}.${field}`])}`;
  return `${located(site, pathOf(site, change))}: ${what}`;
}

/** One line for each change, and what it would cost. */
export function editLines(site: Site, { changes, breaks }: Edit): readonly string[] {
  return [
    ...changes.map((change) => changeText(site, change)),
    ...(breaks.length === 0 ? [] : [`then broken: ${breaks.join("; ")}`]),
  ];
}

/** What `ask --edit` ends with. */
export function editText(site: Site, edit: Edit | null, closes: boolean): string {
  if (edit === null) return `No small edit would ${closes ? "close this" : "let all of this pass"}.\n`;
  const lines = editLines(site, edit).map((line) => `  ${line}\n`);
  return `To ${closes ? "close this" : "let all of this pass"}:\n${lines.join("")}`;
}

/** For --json; null when nothing was found. */
export function editJson(site: Site, edit: Edit | null): object | null {
  if (edit === null) return null;
  const changes = edit.changes.map((one) => ({ place: located(site, pathOf(site, one)), ...one }));
  return { changes, breaks: edit.breaks };
}
