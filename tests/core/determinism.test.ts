/** What `npm run determinism` compares: one digest for one site, another for any other site. */
import { afterAll, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromFiles, fromWire, type Turn } from "../campaigns/determinism-build.ts";

const folder = mkdtempSync(join(tmpdir(), "determinism-"));
afterAll(() => rmSync(folder, { recursive: true }));
cpSync(join(import.meta.dir, "../../docs/examples/homelab"), folder, { recursive: true });

const asIs: Turn = (list) => list;
const backwards: Turn = (list) => list.toReversed();

function edit(name: string, from: string, to: string): void {
  const path = join(folder, name);
  const text = readFileSync(path, "utf8");
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

test("files and wire, and trust documents in any order, give one digest; every change gives another", () => {
  const first = fromFiles(folder, asIs);
  expect(fromWire(folder, asIs)).toBe(first);
  expect(fromFiles(folder, backwards)).toBe(first);
  const seen = new Set([first]);
  const changes = [
    ["inventory.yaml", "os: ios", "os: macos"], // only in the inventory's own bytes
    ["inventory.yaml", "profile: full", "profile: split"],
    ["intent.yaml", "window_s: 120", "window_s: 121"],
    [
      "intent.yaml",
      "          - 198.51.100.1\n          - 2001:db8:100::1",
      "          - 198.51.100.3\n          - 2001:db8:100::1",
    ],
  ] as const;
  for (const [name, from, to] of changes) {
    edit(name, from, to);
    const digest = fromFiles(folder, asIs);
    expect(fromWire(folder, asIs)).toBe(digest);
    expect(seen.has(digest)).toBe(false);
    seen.add(digest);
  }
}, 60_000);
