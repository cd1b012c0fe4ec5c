/**
 * Contracts of intent.yaml in their short form, written out before the shapes see them: `- deny: guest -> lan`. Places
 * stay those of the file, because a value that was not written has the place of the entry that it came from.
 */
import { idOf, readShort } from "../../schemas/contract-short.ts";
import { type Problem, problem, type Result } from "../../schemas/problem.ts";
import { placed } from "./shape.ts";
import { printable, type YamlFile } from "./yaml.ts";

const KINDS = ["allow", "deny", "only"] as const;
const BESIDE = ["id", "v4", "v6"];

type Fields = Readonly<Record<string, unknown>>;

const ascii = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?").slice(0, 256);

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `only: wan -> router: [ntp]` has a second colon, which YAML refuses on one line: blanked, so that columns stay. */
export function withoutSecondColon(text: string): string {
  return text.replace(
    /^([ \t]*(?:-[ \t]+)?(?:allow|deny|only):[ \t]+[^"'#\n]*?->[^"'#\n]*?):([ \t]+[^"'#\n]*)/gm,
    "$1 $2",
  );
}

function expand(
  file: YamlFile,
  entry: unknown,
  c: number,
  taken: Set<string>,
): { value: unknown; problems: Problem[] } {
  const short = isFields(entry) ? KINDS.filter((kind) => Object.hasOwn(entry, kind)) : [];
  if (!isFields(entry) || short.length === 0) {
    return { value: entry, problems: [] };
  }
  const kind = short[0]!;
  const bad = (code: string, path: readonly (string | number)[], text: string, key = false) =>
    problem(code, placed(file, ["contracts", c, ...path], key), text);
  const problems = Object.keys(entry)
    .filter((key) => key !== kind && !BESIDE.includes(key))
    .map((key) =>
      bad(
        "intent.unknown_key",
        [key],
        `There is no key ${printable(key)} beside ${kind}. The keys here are ${BESIDE.join(", ")}.`,
        true,
      ),
    );
  const text = entry[kind];
  const read =
    typeof text === "string" ? readShort(text) : { wrong: `${kind} must be text: write it as "guest -> lan"` };
  if ("wrong" in read) {
    return { value: null, problems: [...problems, bad("intent.shape", [kind], `${ascii(read.wrong)}.`)] };
  }
  if (kind === "only" && !read.listed) {
    const said = "only needs the services that may pass, as [web, tcp/443]; for none of them write deny.";
    return { value: null, problems: [...problems, bad("intent.shape", [kind], said)] };
  }
  const { listed: _, ...asked } = read;
  const id = entry.id ?? idOf(kind, read, taken);
  if (typeof id === "string") taken.add(id);
  const flags = Object.fromEntries(
    ["v4", "v6"].filter((key) => Object.hasOwn(entry, key)).map((key) => [key, entry[key]]),
  );
  return { value: { id, kind, ...asked, ...flags }, problems };
}

/** The file with every contract in its long form. Codes intent.shape and intent.unknown_key. */
export function expandContracts(file: YamlFile): Result<YamlFile> {
  const root = file.value;
  if (!isFields(root) || !Array.isArray(root.contracts)) return { ok: true, value: file };
  const given = root.contracts.map((entry: unknown) => (isFields(entry) ? entry.id : undefined));
  const taken = new Set(given.filter((id) => typeof id === "string"));
  const done = root.contracts.map((entry: unknown, c) => expand(file, entry, c, taken));
  const problems = done.flatMap((one) => one.problems);
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, value: { ...file, value: { ...root, contracts: done.map((one) => one.value) } } };
}
