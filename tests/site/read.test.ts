/** Reading a site: every problem of both files, each with file:line:column, path and fix. */
import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSite } from "../../client/site/site.ts";
import { problem } from "../../schemas/problem.ts";

const HOMELAB = join(import.meta.dir, "../../docs/examples/homelab");
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The homelab example with one of its files changed. */
function siteWith(change: { intent?: (text: string) => string; inventory?: (text: string) => string }): string {
  const folder = mkdtempSync(join(tmpdir(), "site-"));
  folders.push(folder);
  cpSync(HOMELAB, folder, { recursive: true });
  for (const [key, edit] of Object.entries(change)) {
    const path = join(folder, `${key}.yaml`);
    writeFileSync(path, edit(readFileSync(path, "utf8")));
  }
  return folder;
}

/** "code path" of each problem, in order. */
function problemsOf(folder: string): readonly string[] {
  const site = readSite(folder);
  return site.ok ? [] : site.problems.map((one) => `${one.code} ${one.path}`);
}

/** Line number of the first line that holds a text. */
const lineOf = (folder: string, file: string, text: string): number =>
  readFileSync(join(folder, file), "utf8")
    .split("\n")
    .findIndex((line) => line.includes(text)) + 1;

const detailOf = (folder: string, code: string): string => {
  const site = readSite(folder);
  return (site.ok ? [] : site.problems).find((one) => one.code === code)?.detail ?? "";
};

describe("places", () => {
  test("a broken law is at its value", () => {
    const folder = siteWith({ intent: (text) => text.replace("10.101.0.0/24", "10.0.0.0/16") });
    const line = lineOf(folder, "intent.yaml", "10.0.0.0/16");
    expect(problemsOf(folder)).toContain(`intent.overlap intent.yaml:${line}:9 networks[1].subnets[0]`);
  });

  test("a law of the inventory is at its value there", () => {
    const folder = siteWith({ inventory: (text) => text.replace("10.100.44.9", "10.100.17.5") });
    const line = lineOf(folder, "inventory.yaml", "- 10.100.17.5");
    expect(problemsOf(folder)).toEqual([
      `inventory.tombstone inventory.yaml:${line}:13 clients[3].grants[0].addresses[0]`,
    ]);
  });

  test("a misspelt key is at the key, and the fix names the right one", () => {
    const folder = siteWith({ intent: (text) => text.replace("    endpoint:", "    end-point:") });
    const line = lineOf(folder, "intent.yaml", "end-point");
    expect(problemsOf(folder)).toEqual([
      `intent.unknown_key intent.yaml:${line}:5 networks[0].end-point`,
      `intent.missing_key intent.yaml:${lineOf(folder, "intent.yaml", "- id: home")}:5 networks[0].endpoint`,
    ]);
    expect(detailOf(folder, "intent.unknown_key")).toContain("Did you mean endpoint?");
  });

  test("a key that resembles nothing gets the list", () => {
    const folder = siteWith({ inventory: (text) => text.replace("    owner: alice", "    xyzzy: alice") });
    expect(problemsOf(folder)).toEqual([
      `inventory.unknown_key inventory.yaml:${lineOf(folder, "inventory.yaml", "xyzzy")}:5 clients[0].xyzzy`,
    ]);
    expect(detailOf(folder, "inventory.unknown_key")).toContain("id, owner, state, grants");
  });

  test("a missing key is at the object that lacks it", () => {
    const folder = siteWith({ inventory: (text) => text.replace("        profile: full\n", "") });
    const line = lineOf(folder, "inventory.yaml", "- network: home");
    expect(problemsOf(folder)).toEqual([`inventory.missing_key inventory.yaml:${line}:9 clients[0].grants[0].profile`]);
  });

  test("a wrong value says what would be right, and one sentence is enough", () => {
    const folder = siteWith({
      intent: (text) => text.replace("port: 51821", "port: 51821.5").replace("kind: internal", "kind: inside"),
      inventory: (text) => text.replace("state: suspended", "state: sleeping"),
    });
    const at = (file: string, text: string, column: number): string =>
      `${file}:${lineOf(folder, file, text)}:${column}`;
    expect(problemsOf(folder)).toEqual([
      `intent.shape ${at("intent.yaml", "kind: inside", 11)} zones[1].kind`,
      `intent.shape ${at("intent.yaml", "port: 51821.5", 11)} networks[1].port`,
      `inventory.shape ${at("inventory.yaml", "sleeping", 12)} clients[8].state`,
    ]);
    expect(detailOf(folder, "inventory.shape")).toContain("active, suspended or revoked");
  });

  test("the value itself is not repeated: a secret in the wrong field stays there", () => {
    const secret = "cHJpdmF0ZSBrZXkgb2Ygc29tZWJvZHkgdW5sdWNreQ==";
    const folder = siteWith({ inventory: (text) => text.replace("    owner: alice", `    owner: [${secret}]`) });
    expect(detailOf(folder, "inventory.shape")).toContain("must be text");
    expect(JSON.stringify(readSite(folder))).not.toContain(secret);
  });

  test("problems of both files come together, laws of the intent too", () => {
    const folder = siteWith({
      intent: (text) => text.replace("window_s: 120", "window_s: 900"),
      inventory: (text) => text.replace("version: 1", "version: 2"),
    });
    expect(problemsOf(folder).map((one) => one.split(" ")[0])).toEqual(["inventory.shape", "intent.window"]);
  });

  test("locate gives a place to problems that prove() finds", () => {
    const site = readSite(HOMELAB);
    if (!site.ok) throw new Error("the example is lawful");
    const line = lineOf(HOMELAB, "intent.yaml", "- id: lan-lab");
    expect(site.value.locate(problem("contract.undecided", "policies[1]", "x")).path).toBe(
      `intent.yaml:${line}:5 policies[1]`,
    );
    expect(site.value.locate(problem("inventory.date", "clients[0]", "x")).path).toMatch(/^inventory\.yaml:6:5 /);
    expect(site.value.locate(problem("intent.family", "clients[0]", "x")).path).toMatch(/^inventory\.yaml:6:5 /);
    const other = problem("invariant.violated", "HF-LANE-01", "x");
    expect(site.value.locate(other)).toBe(other);
  });

  test("a contract's reference is looked up in both files", () => {
    const contract = "contracts:\n  - id: c\n    kind: deny\n    from: alice-phone\n    to: nobody\n";
    const folder = siteWith({ intent: (text) => text.replace("contracts:\n", contract) });
    const line = lineOf(folder, "intent.yaml", "to: nobody");
    expect(problemsOf(folder)).toEqual([`intent.no_such intent.yaml:${line}:9 contracts[0].to`]);
  });
});

describe("what is not YAML as Holdfast reads it", () => {
  const intent = (edit: (text: string) => string): readonly string[] => problemsOf(siteWith({ intent: edit }));

  test("a key twice", () => {
    expect(intent((text) => `${text}site: other\n`)).toEqual([
      expect.stringContaining("site.duplicate_key intent.yaml:"),
    ]);
  });

  test("every syntax problem has its place", () => {
    const found = intent((text) => text.replace("site: homelab", "site: 'homelab").replace("zones:", "zones: ]"));
    expect(found.length).toBeGreaterThan(0);
    for (const one of found) expect(one).toMatch(/^site\.(bad_yaml|duplicate_key) intent\.yaml:\d+:\d+$/);
  });

  test("a tag, a second document, a tab", () => {
    expect(intent((text) => text.replace("site: homelab", "site: !secret homelab"))[0]).toBe(
      "site.bad_yaml intent.yaml:5:7",
    );
    expect(intent((text) => `${text}---\nsite: x\n`)[0]).toMatch(/^site\.bad_yaml intent\.yaml:\d+:1$/);
    expect(intent((text) => text.replace("  window_s", "\twindow_s"))[0]).toMatch(/^site\.bad_yaml/);
  });

  test("a merge key is an unknown key", () => {
    expect(intent((text) => text.replace("confirm:\n", "confirm:\n  <<: { cap_s: 700 }\n"))).toEqual([
      expect.stringMatching(/^intent\.unknown_key intent\.yaml:\d+:3 confirm\.<<$/),
    ]);
  });

  test("few aliases are fine, a bomb is refused", () => {
    const few = (text: string): string =>
      text.replace("- 10.0.0.1\n", "- &gate 10.0.0.1\n").replace("target: 198.51.100.1", "target: *gate");
    expect(intent(few)).toEqual([]);
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 9; i += 1)
      lines.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(", ")}]`,
      );
    expect(intent(() => `${lines.join("\n")}\n`)).toEqual(["site.aliases intent.yaml:1:1"]);
  });

  test("an alias without its anchor", () => {
    expect(intent((text) => text.replace("site: homelab", "site: *nothing"))[0]).toMatch(/^site\.bad_yaml/);
  });

  test("nesting without end", () => {
    expect(intent(() => "[".repeat(200_000))[0]).toMatch(/^site\.bad_yaml intent\.yaml:\d+:\d+$/);
  });

  test("a prototype is a key like any other", () => {
    expect(intent((text) => `${text}__proto__: { site: x }\n`)).toEqual([
      expect.stringMatching(/^intent\.unknown_key .* __proto__$/),
    ]);
  });

  test("an empty file, a list, a word", () => {
    for (const text of ["", "# nothing\n", "- 1\n", "word\n"]) {
      expect(intent(() => text)).toEqual(["intent.shape intent.yaml:1:1"]);
    }
  });

  test("a list where keys belong, empty or not", () => {
    for (const list of ["[]", "[x]"]) {
      expect(intent((text) => text.replace(/^confirm:\n( .*\n)+/m, `confirm: ${list}\n`))).toEqual([
        expect.stringMatching(/^intent\.shape intent\.yaml:\d+:10 confirm$/),
      ]);
    }
  });

  test("bytes that are no text", () => {
    const folder = siteWith({});
    writeFileSync(join(folder, "intent.yaml"), new Uint8Array([0x73, 0xff, 0xfe]));
    expect(problemsOf(folder)).toEqual(["site.bad_yaml intent.yaml"]);
  });
});

describe("files", () => {
  test("missing files are named, both", () => {
    const folder = mkdtempSync(join(tmpdir(), "site-"));
    folders.push(folder);
    expect(problemsOf(folder)).toEqual(["site.missing_file intent.yaml", "site.missing_file inventory.yaml"]);
    expect(problemsOf(join(folder, "no"))).toEqual([
      "site.missing_file intent.yaml",
      "site.missing_file inventory.yaml",
    ]);
  });

  test("a folder or a loop in place of a file", () => {
    const folder = siteWith({});
    for (const name of ["intent.yaml", "inventory.yaml"]) rmSync(join(folder, name));
    mkdirSync(join(folder, "intent.yaml"));
    symlinkSync("inventory.yaml", join(folder, "inventory.yaml"));
    expect(problemsOf(folder)).toEqual(["site.unreadable intent.yaml", "site.unreadable inventory.yaml"]);
  });

  test("a file over its limit is not parsed", () => {
    const folder = siteWith({ intent: (text) => `${text}# ${"x".repeat(1024 * 1024)}\n` });
    expect(problemsOf(folder)).toEqual(["site.too_large intent.yaml"]);
  });
});
