/** Commands in the pages are commands of the tools: every verb and every flag that a page shows exists. */
import { describe, expect, test } from "bun:test";
import { root } from "../.ci/stale.ts";
import { readTree } from "../.ci/tree.ts";
import { problems } from "../schemas/problem.ts";
import { freshProgram } from "./netns/program.ts";

const tree = readTree(root);
const pages = [...tree].filter(([path]) => path === "README.md" || /^docs\/[^/]+\.md$/.test(path));

type Shown = { readonly page: string; readonly words: readonly string[] };

/** Lines of code blocks, and code spans, that call one of the two programs. */
function shownCommands(page: string, text: string): readonly Shown[] {
  const blocks = [...text.matchAll(/^```[a-z]*\n([\s\S]*?)^```/gm)].flatMap((match) => (match[1] ?? "").split("\n"));
  const spans = [...text.replace(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");
  return [...blocks, ...spans]
    .map((line) =>
      line
        .trim()
        .replace(/^[$#] /, "")
        .replace(/\s+#.*$/, ""),
    )
    .filter((line) => /^holdfastd? [a-z]/.test(line))
    .map((line) => ({ page, words: line.split(/\s+/) }));
}

const commands = pages.flatMap(([page, text]) => shownCommands(page, text));

const helps = new Map<string, { readonly code: number; readonly text: string }>();

/** What `--help` of the longest known verb in the words says. */
function helpOf(words: readonly string[]): { readonly code: number; readonly text: string } {
  const [program = ""] = words[0] === "holdfastd" ? freshProgram().agent : freshProgram().cli;
  const verb = words.slice(1).filter((word, i) => i < 2 && /^[a-z]+$/.test(word));
  const key = [program, ...verb].join(" ");
  const known = helps.get(key);
  if (known !== undefined) return known;
  const done = Bun.spawnSync([program, ...verb, "--help"], { cwd: "/" });
  const said = { code: done.exitCode, text: done.stdout.toString() + done.stderr.toString() };
  helps.set(key, said);
  return said;
}

describe("commands in the pages", () => {
  test("are found at all", () => {
    expect(commands.length).toBeGreaterThan(20);
    expect(new Set(commands.map((command) => command.words.slice(0, 2).join(" "))).size).toBeGreaterThan(8);
  });

  test("name verbs that the programs have, with flags that their help lists", () => {
    const wrong = commands.flatMap(({ page, words }) => {
      const help = helpOf(words);
      const line = `${page}: ${words.join(" ")}`;
      if (help.code !== 0) return [`${line}: no such verb`];
      const flags = words.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0] ?? "");
      return flags.filter((flag) => !help.text.includes(flag)).map((flag) => `${line}: no flag ${flag}`);
    });
    expect(wrong).toEqual([]);
  }, 60_000);

  test("a verb and a flag that do not exist would be noticed", () => {
    expect(helpOf(["holdfast", "frobnicate"]).code).not.toBe(0);
    expect(helpOf(["holdfast", "push"]).text.includes("--frobnicate")).toBe(false);
  });
});

describe("hints of the tools", () => {
  test("name verbs and flags that exist", () => {
    const wrong = problems.flatMap(({ code, next }) =>
      [...next.matchAll(/\b(holdfastd? [a-z]+)((?: [a-z]+)?)((?: --[a-z-]+)*)/g)].flatMap((match) => {
        const [, verb = "", second = "", flags = ""] = match;
        const help = helpOf([...verb.split(" "), ...second.trim().split(" ").filter(Boolean)]);
        const alone = help.code === 0 ? help : helpOf(verb.split(" "));
        if (alone.code !== 0) return [`${code}: ${verb}`];
        return flags.split(" ").filter((flag) => flag !== "" && !alone.text.includes(flag));
      }),
    );
    expect(wrong).toEqual([]);
  }, 60_000);

  test("that point into a page point to a heading that exists", () => {
    const sources = [...tree].filter(([path]) => /^(agent|client|schemas)\/.*\.ts$/.test(path));
    const hints = sources.flatMap(([path, text]) =>
      [...text.matchAll(/docs\/([a-z]+\.md), "([^"]+)"/g)].map((match) => ({
        path,
        page: match[1],
        heading: match[2] ?? "",
      })),
    );
    const dead = hints.filter(({ page, heading }) => {
      const headings = [...(tree.get(`docs/${page}`) ?? "").matchAll(/^#{1,6} (.+)$/gm)].map((match) => match[1]);
      return !headings.includes(heading);
    });
    expect(hints.length).toBeGreaterThan(3);
    expect(dead).toEqual([]);
  });
});
