/** Usage: help of every verb, mistakes with a guess, one JSON object, silence, exit codes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { anchorOf } from "../../.ci/house.ts";
import { root } from "../../.ci/stale.ts";
import { verbHelp } from "../../client/help.ts";
import { verbs } from "../../client/usage.ts";
import { problems } from "../../schemas/problem.ts";
import { Place } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

describe("help", () => {
  test("of every verb ends with its exit codes, names every flag, and changes nothing", async () => {
    using place = new Place();
    const before = place.picture();
    const all = await Promise.all(verbs.map((verb) => place.run([...verb.name.split(" "), "--help"])));
    for (const [i, said] of all.entries()) {
      const verb = verbs[i]!;
      expect([said.exit, said.stderr]).toEqual([0, ""]);
      expect(said.stdout).toBe(verbHelp(verb));
      expect(said.stdout).toMatch(/\nEXIT STATUS\n( {2}[0-8] .+\n)+$/);
      for (const flag of verb.flags) expect(said.stdout).toContain(`--${flag.name}`);
    }
    expect(place.picture()).toEqual(before);
  });

  test("of the program and of a group is an answer; no verb at all is a mistake", async () => {
    using place = new Place();
    const [help, group, none] = await Promise.all([
      place.run(["--help"]),
      place.run(["client", "--help"]),
      place.run([]),
    ]);
    for (const verb of verbs) expect(help.stdout).toContain(`  ${verb.name}`);
    expect([help.exit, group.exit, none.exit, none.stdout]).toEqual([0, 0, 2, ""]);
    expect(group.stdout).toContain("client add NAME");
    expect(group.stdout).not.toContain("router enrol");
  });

  test("lines fit a terminal", () => {
    for (const verb of verbs) for (const line of verbHelp(verb).split("\n")) expect(line.length).toBeLessThan(121);
  });
});

const mistakes: readonly (readonly [words: string, detail: string])[] = [
  ["psuh", "There is no verb psuh. Did you mean push?"],
  ["client ad", "There is no verb client ad. Did you mean client add?"],
  ["client", "client needs a second word: add, list, show."],
  ["push --ye", "There is no flag --ye here. Did you mean --yes?"],
  ["push --yes=no", "--yes takes no value."],
  ["push --note", "--note needs a value: --note TEXT."],
  ["push --at=", "--at needs a value: --at ADDRESS."],
  ["push --window 60 --window 70", "--window is there twice."],
  ["push extra", '"extra" is one word too many.'],
  ["client show", "Something is missing: holdfast client show NAME."],
  ["completion tcsh", "completion takes bash, zsh or fish."],
  ["-x", "There is no verb -x."],
];

describe("mistakes", () => {
  for (const [words, detail] of mistakes) {
    test(words, async () => {
      using place = new Place();
      const said = await place.run(words.split(" "));
      expect(said).toMatchObject({ exit: 2, stdout: "" });
      expect(said.stderr).toBe(`error: cli.usage: ${detail}\nnext: holdfast VERB --help\n`);
    });
  }

  test("are all listed at once", async () => {
    using place = new Place();
    const said = await place.run(["client", "show", "--wat", "--site", "", "a", "b", "--json=1"]);
    expect(said.stderr.split("\n").filter((line) => line.startsWith("error: cli.usage"))).toHaveLength(4);
    expect(said.exit).toBe(2);
  });

  test("under --json are the one object", async () => {
    using place = new Place();
    const said = await place.run(["push", "--ye", "--json"]);
    expect([said.exit, said.stderr]).toEqual([2, ""]);
    expect(said.json()).toEqual({
      verb: "push",
      exit: 2,
      problems: [
        {
          code: "cli.usage",
          path: "",
          detail: "There is no flag --ye here. Did you mean --yes?",
          next: "holdfast VERB --help",
        },
      ],
    });
  });
});

describe("outside a site", () => {
  const asking = ["plan", "push", "confirm", "rollback", "status", "history", "show 1", "receipts", "doctor"];
  const alone = ["router list", "router keys", "router enrol r1 --at 192.0.2.1", "operator lane", "client add a"];
  for (const words of [...asking, ...alone]) {
    test(`${words} says so`, async () => {
      using place = new Place();
      const said = await place.run(words.split(" "));
      expect(said).toMatchObject({ exit: 3, stdout: "", codes: ["cli.no_trust"] });
    });
  }

  test("client list and check name the files", async () => {
    using place = new Place();
    for (const words of [["client", "list"], ["check"]]) {
      const said = await place.run(words);
      expect(said).toMatchObject({ exit: 3, codes: ["site.missing_file", "site.missing_file"] });
      expect(said.stderr).toContain("There is no intent.yaml here");
    }
  });
});

describe("explain", () => {
  test("prints every code of the table", async () => {
    using place = new Place();
    const all = await place.run(["explain"]);
    for (const { code, sentence } of problems) expect(all.stdout).toContain(`${code} `.slice(0, -1) && sentence);
    const said = await place.run(["explain", "confirm.window_expired"]);
    expect([said.exit, said.stderr]).toEqual([0, ""]);
    const entry = problems.find((one) => one.code === "confirm.window_expired")!;
    for (const part of [entry.code, entry.sentence, entry.safe, entry.next]) expect(said.stdout).toContain(part);
    expect((await place.run(["explain", entry.code, "--json"])).json()).toEqual({
      ...{ verb: "explain", exit: 0, problems: [], code: entry.code, sentence: entry.sentence },
      ...{ safe: entry.safe, next: entry.next, exit_code: entry.exit, status: entry.status },
    });
  });

  test("knows invariants", async () => {
    using place = new Place();
    const { invariants } = await import("../../agent/core/invariants.ts");
    const [first] = invariants;
    const said = await place.run(["explain", first!.id.toLowerCase()]);
    expect(said.exit).toBe(0);
    expect(said.stdout).toStartWith(`${first!.id}: ${first!.sentence}`);
  });

  test("guesses at an unknown one: cli.unknown_code", async () => {
    using place = new Place();
    const said = await place.run(["explain", "confirm.window_expird"]);
    expect(said).toMatchObject({ exit: 3, stdout: "", codes: ["cli.unknown_code"] });
    expect(said.stderr).toContain("Did you mean confirm.window_expired?");
  });

  test("hints that name a heading of recovery.md name one that exists", () => {
    const page = readFileSync(join(root, "docs/recovery.md"), "utf8");
    const headings = [...page.matchAll(/^## (.+)$/gm)].map((match) => anchorOf(match[1]!));
    const named = problems.flatMap(({ next }) =>
      [...next.matchAll(/docs\/recovery\.md, "([^"]+)"/g)].map((m) => m[1]!),
    );
    expect(named.length).toBeGreaterThan(2);
    for (const heading of named) expect(headings).toContain(anchorOf(heading));
  });
});

describe("the process", () => {
  const main = join(root, "client/main.ts");

  test("refuses an environment that could bring code in: cli.environment", () => {
    for (const name of ["BUN_OPTIONS", "BUN_INSPECT_CONNECT_TO"]) {
      const value = name === "BUN_OPTIONS" ? "--smol" : "/nowhere.sock";
      const said = Bun.spawnSync([process.execPath, main, "version"], {
        env: { PATH: process.env.PATH ?? "", [name]: value },
      });
      expect([name, said.exitCode, said.stdout.toString()]).toEqual([name, 3, ""]);
      expect(said.stderr.toString()).toContain(`error: cli.environment: ${name} is set\n`);
    }
  });

  test("ends quietly when nobody reads its answer to the end", () => {
    const script = `"${process.execPath}" "${main}" explain | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const said = Bun.spawnSync(["bash", "-c", script], { env: { PATH: process.env.PATH ?? "" } });
    expect(said.stderr.toString()).toBe("");
    expect(said.stdout.toString().trim().split("\n")).toHaveLength(2);
  });
});

describe("version and completion", () => {
  test("version is one line, or one object", async () => {
    using place = new Place();
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    const [text, json, flag] = await Promise.all([
      place.run(["version"]),
      place.run(["version", "--json"]),
      place.run(["--version"]),
    ]);
    expect([text.stdout, text.stderr, flag.stdout]).toEqual([`holdfast ${version}\n`, "", text.stdout]);
    expect(json.json()).toEqual({ verb: "version", exit: 0, version, desired_format: 1, problems: [] });
  });

  /** What bash would offer for the last of the words. */
  async function offered(place: Place, words: readonly string[]): Promise<readonly string[]> {
    const script = (await place.run(["completion", "bash"])).stdout;
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const line = `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const child = Bun.spawnSync(["bash", "--norc", "-c", line], { cwd: place.home });
    expect(child.stderr.toString()).toBe("");
    return child.stdout.toString().trim().split("\n");
  }

  test("bash offers verbs, second words and flags", async () => {
    using place = new Place();
    expect(await offered(place, ["holdfast", "rou"])).toEqual(["router"]);
    expect(await offered(place, ["holdfast", "client", ""])).toEqual(["add", "list", "show"]);
    expect(await offered(place, ["holdfast", "client", "add", "alice", "--pr"])).toEqual(["--profile"]);
    expect(await offered(place, ["holdfast", "push", "--accept"])).toEqual(["--accept-unproven"]);
    writeFileSync(join(place.home, "afile"), "");
    expect(await offered(place, ["holdfast", "push", "--passphrase-file", "afi"])).toEqual(["afile"]);
  });

  test("zsh and fish get a script that names every verb and parses where the shell is here", async () => {
    using place = new Place();
    for (const shell of ["zsh", "fish"]) {
      const said = await place.run(["completion", shell]);
      expect([said.exit, said.stderr]).toEqual([0, ""]);
      for (const verb of verbs) for (const word of verb.name.split(" ")) expect(said.stdout).toContain(word);
      const file = join(place.home, `script.${shell}`);
      writeFileSync(file, said.stdout);
      if (!existsSync(`/usr/bin/${shell}`)) continue;
      expect(Bun.spawnSync([shell, "-n", file]).stderr.toString()).toBe("");
    }
  });
});
