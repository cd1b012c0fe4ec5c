/** The house rules over text: names, sizes, banned calls, paths of machines, pinned versions, links, problem pages. */
import { posix } from "node:path";
import { readSource } from "./source.ts";
import { everyMatch, isCode, type Rule, type Tree, type Violation } from "./tree.ts";

const LINES_MAX = 400;
const JUNK = /^(?:utils?|shared|helpers?|common|misc|lib)(?:\.\w+)*$/;

/** A drawer without a noun collects what nobody placed; a piece of code lives beside its first user. */
export const names: Rule = (tree) =>
  [...tree.keys()]
    .filter((path) => path.split("/").some((part) => JUNK.test(part)))
    .map((path) => ({ path, line: 1, what: "name it after what it holds, not utils, shared or helpers" }));

export const lengths: Rule = (tree) =>
  [...tree]
    .filter(([path]) => isCode(path) || path.startsWith("agent/scripts/"))
    .map(([path, text]) => ({ path, line: text.split("\n").length - 1, what: `longer than ${LINES_MAX} lines` }))
    .filter((violation) => violation.line > LINES_MAX);

/** Bun.write leaves an empty file when the disk is full and syncs nothing; state goes through agent/host/store. */
export const stateWrites: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path.startsWith("agent/") && path.endsWith(".ts"))
    .flatMap(([path, text]) =>
      everyMatch(
        path,
        readSource(text).code,
        /\bBun\.write\s*\(/g,
        () => "Bun.write is never for state: use the store",
      ),
    );

// Spelled in two parts, because this file is held to the rule as well.
const MACHINE = [
  ["/wo", "rk/"],
  ["/ro", "ot/"],
  ["/ho", "me/\\w+"],
  ["/tmp/", "[a-z]+\\.\\w{6}"],
  ["registry\\.", "npm"],
  ["npm", "js\\.org"],
  ["npm", "mirror"],
].map((parts) => parts.join(""));

/** Paths of somebody's machine and hosts of registries do not belong to the project. */
export const machines: Rule = (tree) => {
  // A path starts at a boundary; Bun's own virtual folder ends in the same word and is allowed.
  const pattern = new RegExp(`(?<![\\w$.-]|\\$bunfs)(?:${MACHINE.join("|")})`, "g");
  return [...tree].flatMap(([path, text]) =>
    everyMatch(path, text, pattern, (found) => `${found}: a path or host of one machine`),
  );
};

/** Versions are exact in package.json, and the lock names no host to fetch from. */
export const versions: Rule = (tree) => {
  const manifest = tree.get("package.json") ?? "{}";
  const { dependencies = {}, devDependencies = {} } = JSON.parse(manifest) as Record<string, Record<string, string>>;
  const loose = Object.entries({ ...dependencies, ...devDependencies })
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(([name, version]) => ({
      path: "package.json",
      line: manifest.slice(0, manifest.indexOf(`"${name}"`)).split("\n").length,
      what: `${name} ${version}: pin the exact version`,
    }));
  const lock = tree.get("package-lock.json") ?? "";
  const hosts = everyMatch("package-lock.json", lock, /"resolved":/g, () => "the lock names where to fetch from");
  return lock === "" ? [{ path: "package-lock.json", line: 1, what: "missing" }] : [...loose, ...hosts];
};

/** GitHub's anchor of a heading. */
export function anchorOf(heading: string): string {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`*]/g, "");
  return text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}

/** Markdown with its code blocks and code spans blanked: text in them is no link and no heading. */
function prose(text: string): string {
  const blank = (found: string): string => found.replace(/[^\n]/g, " ");
  return text.replace(/^```[\s\S]*?^```/gm, blank).replace(/`[^`\n]*`(?!\])/g, (span) => blank(span));
}

function headingsOf(text: string): Set<string> {
  const fenceless = text.replace(/^```[\s\S]*?^```/gm, "");
  return new Set([...fenceless.matchAll(/^#{1,6} (.+)$/gm)].map((match) => anchorOf(match[1] ?? "")));
}

function linkProblem(tree: Tree, from: string, target: string): string | undefined {
  const [file = "", anchor] = target.split("#");
  const to = file === "" ? from : posix.normalize(posix.join(posix.dirname(from), file)).replace(/\/$/, "");
  const isFolder = [...tree.keys()].some((path) => path.startsWith(`${to}/`));
  if (!tree.has(to) && !isFolder) return `${target} does not exist`;
  if (anchor !== undefined && !headingsOf(tree.get(to) ?? "").has(anchor)) return `${target}: no such heading`;
  return undefined;
}

/** Every relative link of README.md, docs and the other pages leads to a file, folder or heading that exists. */
export const links: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path.endsWith(".md"))
    .flatMap(([path, text]) => {
      const shown = prose(text);
      return [...shown.matchAll(/\]\((?![a-z]+:)([^)\s]+)\)/g)].flatMap((match): Violation[] => {
        const what = linkProblem(tree, path, match[1] ?? "");
        return what === undefined ? [] : [{ path, line: shown.slice(0, match.index).split("\n").length, what }];
      });
    });

/** Every problem code has its own heading in docs/problems.md, once. */
export function problemPages(tree: Tree, codes: readonly string[]): Violation[] {
  const page = tree.get("docs/problems.md") ?? "";
  const headings = [...page.matchAll(/^## (\S+)$/gm)].map((match) => match[1] ?? "");
  const missing = codes.filter((code) => headings.filter((heading) => heading === code).length !== 1);
  const unknown = headings.filter((heading) => !codes.includes(heading));
  return [
    ...missing.map((code) => ({ path: "docs/problems.md", line: 1, what: `${code} has no heading of its own` })),
    ...unknown.map((code) => ({ path: "docs/problems.md", line: 1, what: `${code} is not a problem code` })),
    ...codes
      .filter((code, index) => codes.indexOf(code) !== index)
      .map((code) => ({ path: "schemas/problem.ts", line: 1, what: `${code} is listed twice` })),
  ];
}
