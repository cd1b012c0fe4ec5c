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

describe("the page for operators of a router", () => {
  const page = tree.get("docs/operating.md") ?? "";
  const recovery = tree.get("docs/recovery.md") ?? "";

  /** Programs of the init systems, which are not ours to run here. */
  const THEIRS: readonly string[] = ["systemctl restart", "rc-service", "journalctl -u"];

  test("shows no command that is neither ours nor one of an init system with a unit of ours", () => {
    const blocks = [page, recovery].flatMap((text) => [...text.matchAll(/^```[a-z]*\n([\s\S]*?)^```/gm)]);
    const lines = blocks.flatMap((match) => (match[1] ?? "").split("\n")).filter((line) => line.trim() !== "");
    const units = ["holdfast-boot", "holdfast-guard", "holdfastd"];
    const strange = lines.filter((line) => {
      if (/^holdfastd? [a-z]/.test(line)) return false;
      const theirs = THEIRS.find((one) => line.startsWith(`${one} `));
      return theirs === undefined || !units.includes(line.split(" ").at(-1) ?? "");
    });
    expect(lines.length).toBeGreaterThan(20);
    expect(strange).toEqual([]);
  });

  test("names metrics, units, paths, problem codes and fields that exist", () => {
    const spans = [...page.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");
    const metrics = spans.filter((one) => one.startsWith("holdfast_"));
    const source = tree.get("agent/metrics.ts") ?? "";
    expect(metrics.length).toBeGreaterThan(4);
    expect(metrics.filter((one) => !source.includes(`"${one.slice("holdfast_".length)}"`))).toEqual([]);

    const codes = spans.filter((one) => /^(agent|apply|confirm|probe|guard)\.[a-z_]+$/.test(one));
    const known = new Set(problems.map((one) => one.code));
    const fields = new Set(["confirm.window_s", "confirm.cap_s", "confirm.reboot_allowed"]);
    expect(codes.filter((one) => !known.has(one) && !fields.has(one))).toEqual([]);
    const schema = tree.get("docs/intent.md") ?? "";
    expect([...fields].filter((one) => !schema.includes(`\`${one}\``))).toEqual([]);

    const usage = tree.get("agent/main.ts") ?? "";
    const folders = ["/var/lib/holdfast", "/run/holdfast", "/usr/lib/holdfast", "/etc/holdfast/holdfastd.yaml"];
    expect(folders.filter((one) => !page.includes(`\`${one}\``) || !usage.includes(`"${one}"`))).toEqual([]);
    const install = tree.get("agent/install.ts") ?? "";
    for (const folder of ["/etc/systemd/system", "/etc/init.d"]) {
      expect(page).toContain(`\`${folder}\``);
      expect(install).toContain(`"${folder.slice(1)}"`);
    }
  });

  test("says of each init system that has units here that it is one", () => {
    const rows = [...page.matchAll(/^\| (systemd|OpenRC|procd)\b.*\|$/gm)].map((match) => match[1]?.toLowerCase());
    const shipped = [...tree.keys()].flatMap((path) => /^agent\/scripts\/units\/([a-z]+)\//.exec(path)?.[1] ?? []);
    expect([...new Set(shipped)].sort()).toEqual(rows.sort() as string[]);
  });

  test("and links lead to headings", () => {
    const links = [page, recovery].flatMap((text) => [...text.matchAll(/\]\(([a-z]+\.md)#([a-z-]+)\)/g)]);
    const slug = (heading: string): string =>
      heading
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, "")
        .replaceAll(" ", "-");
    const dead = links.filter(([, file = "", anchor]) => {
      const headings = [...(tree.get(`docs/${file}`) ?? "").matchAll(/^#{1,6} (.+)$/gm)];
      return !headings.some((match) => slug(match[1] ?? "") === anchor);
    });
    expect(links.length).toBeGreaterThan(0);
    expect(dead.map(([text]) => text)).toEqual([]);
  });
});
