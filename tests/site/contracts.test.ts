/** Contracts as people write them: the short form, its long form, and every mistake with its place. */
import { describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSite, type Site } from "../../client/site/site.ts";
import { readShort } from "../../schemas/contract-short.ts";
import { contractText } from "../../schemas/contract-words.ts";
import type { Contract } from "../../schemas/intent.ts";
import type { Result } from "../../schemas/problem.ts";

const HOMELAB = join(import.meta.dir, "../../docs/examples/homelab");
const text = readFileSync(join(HOMELAB, "intent.yaml"), "utf8");
const before = text.slice(0, text.indexOf("\ncontracts:\n") + 1);
const after = text.slice(text.indexOf("\nconfirm:\n"));
/** Line of the first entry. */
const FIRST = before.split("\n").length + 1;

function read(lines: readonly string[]): Result<Site> {
  const folder = mkdtempSync(join(tmpdir(), "contracts-"));
  try {
    cpSync(HOMELAB, folder, { recursive: true });
    writeFileSync(
      join(folder, "intent.yaml"),
      `${before}contracts:\n${lines.map((line) => `  ${line}\n`).join("")}${after}`,
    );
    return readSite(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function contractsOf(lines: readonly string[]): readonly Contract[] {
  const site = read(lines);
  if (!site.ok) throw new Error(JSON.stringify(site.problems));
  return site.value.intent.contracts;
}

function problemsOf(lines: readonly string[]): readonly string[] {
  const site = read(lines);
  return site.ok ? [] : site.problems.map((one) => `${one.code} ${one.path}`);
}

describe("the short form", () => {
  test("is the long form in fewer words", () => {
    const all = { services: [], ports: [], v4: true, v6: true };
    expect(
      contractsOf([
        "- deny: lab -> lan # a comment",
        "- only: wan -> router: [wireguard, rescue]",
        "- allow: client alice-phone -> 10.0.1.5 tcp/443",
        "- id: mine",
        "  allow: lan -> internet",
        "  v6: false",
        "- allow: fd42:5ca1:ab1e:1::/64 -> fd42:5ca1:ab1e:1::10: [nas-web, udp/1000-1999, icmp] v6",
        '- only: "friends -> lan: []"',
      ]),
    ).toEqual([
      { ...all, id: "deny-lab-lan", kind: "deny", from: "lab", to: "lan" },
      {
        ...all,
        id: "only-wan-router-wireguard-rescu",
        kind: "only",
        from: "wan",
        to: "router",
        services: ["wireguard", "rescue"],
      },
      {
        ...{ ...all, id: "allow-client-alice-phone-10-0-1", kind: "allow", from: "client alice-phone", to: "10.0.1.5" },
        ports: [{ protocol: "tcp", from: 443, to: 443 }],
      },
      { ...all, id: "mine", kind: "allow", from: "lan", to: "internet", v6: false },
      {
        ...{
          id: "allow-fd42-5ca1-ab1e-1-64-fd42",
          kind: "allow",
          from: "fd42:5ca1:ab1e:1::/64",
          to: "fd42:5ca1:ab1e:1::10",
        },
        ...{ services: ["nas-web"], v4: false, v6: true },
        ports: [
          { protocol: "udp", from: 1000, to: 1999 },
          { protocol: "icmp", from: 0, to: 0 },
        ],
      },
      { ...all, id: "only-friends-lan", kind: "only", from: "friends", to: "lan" },
    ]);
  });

  test("stands beside the long form, and gives each its own id", () => {
    const long = ["- id: deny-lab-lan", "  kind: deny", "  from: lab", "  to: lan"];
    const found = contractsOf(["- deny: lab -> lan", ...long, "- deny: lab -> lan"]);
    expect(found.map((one) => one.id)).toEqual(["deny-lab-lan-2", "deny-lab-lan", "deny-lab-lan-3"]);
  });

  test("is what contractText writes, and reads back the same", () => {
    for (const contract of contractsOf(
      text
        .slice(before.length + "contracts:\n".length, -after.length)
        .split("\n")
        .filter((line) => line.trim() !== "")
        .map((line) => line.slice(2)),
    )) {
      const { id: _, kind, ...asked } = contract;
      const again = readShort(contractText(contract).slice(kind.length + 2));
      expect("wrong" in again ? again : { ...again, listed: undefined }).toEqual({ ...asked, listed: undefined });
    }
  });
});

describe("mistakes have a place", () => {
  const at = (line: number, column: number, path: string): string =>
    `intent.yaml:${FIRST + line}:${column} contracts[${line}]${path}`;
  const rows: readonly (readonly [what: string, line: string, code: string, column: number, path: string])[] = [
    ["no arrow", "- deny: lab lan", "intent.shape", 11, ".deny"],
    ["no target", '- deny: "lab -> "', "intent.shape", 11, ".deny"],
    ["a side that is none", "- deny: lab -> 10.0.0.300", "intent.shape", 11, ".deny"],
    ["a port that is none", "- allow: lab -> lan tcp/0", "intent.shape", 12, ".allow"],
    ["a range that ends first", "- allow: lab -> lan tcp/20-10", "intent.shape", 12, ".allow"],
    ["only without services", "- only: lan -> router", "intent.shape", 11, ".only"],
    ["text that is none", "- deny: [lab, lan]", "intent.shape", 11, ".deny"],
    ["a key beside it", "- {deny: lab -> lan, form: lab}", "intent.unknown_key", 24, ".form"],
    ["two kinds", "- {deny: lab -> lan, allow: lan -> lab}", "intent.unknown_key", 6, ".deny"],
    ["nobody of that name", "- deny: lab -> lam", "intent.no_such", 5, ".to"],
    ["no such service", "- allow: lan -> lab: [htp]", "intent.no_such", 5, ".services[0]"],
    ["a lane of somebody else", "- only: wan -> lan: [rescue]", "intent.service", 5, ".services[0]"],
    ["no family", "- {deny: lab -> lan, v4: false, v6: false}", "intent.family", 5, ""],
  ];
  for (const [what, line, code, column, path] of rows) {
    test(what, () => {
      expect(problemsOf([line])).toEqual([`${code} ${at(0, column, path)}`]);
    });
  }

  test("every one of them, at once", () => {
    expect(problemsOf(["- deny: lab", "- deny: lab -> lan", "- only: a -> b"])).toEqual([
      `intent.shape ${at(0, 11, ".deny")}`,
      `intent.shape ${at(2, 11, ".only")}`,
    ]);
  });
});
