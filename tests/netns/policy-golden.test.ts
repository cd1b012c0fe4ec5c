/** Every golden ruleset in the real kernel: loads, loads again to the same table, and leads to the next one. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { normalListing } from "../../agent/core/nft-listing.ts";
import { markerOf, rulesetText } from "../../agent/core/nft-text.ts";
import { desiredText } from "../../schemas/desired.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import { outcomes, readStory, storyNames } from "../golden/golden.ts";
import { takeLock } from "./lock.ts";

let folder = "";
let release = (): void => {};
beforeAll(async () => {
  release = await takeLock();
  folder = mkdtempSync(join(tmpdir(), "hf-golden-"));
}, 1_800_000);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  release();
});

/** Loads the texts one after the other in one new namespace and lists the table. */
function listing(...texts: readonly string[]): string {
  const files = texts.map((text, i) => {
    const file = join(folder, `${i}.nft`);
    writeFileSync(file, text);
    return file;
  });
  const script =
    'for f in "$@"; do nft -D HF_EPOCH=0x00070000 -f "$f" || exit 1; done; nft -s list table inet holdfast';
  const ran = Bun.spawnSync(["unshare", "-n", "sh", "-c", script, "sh", ...files]);
  expect(ran.stderr.toString()).toBe("");
  return normalListing(ran.stdout.toString());
}

for (const name of storyNames()) {
  test(name, () => {
    const story = readStory(name);
    const files = outcomes(story);
    const text = files.get("ruleset.nft")!;
    const once = listing(text);
    expect(once).toContain('counter name "c_lane_rescue" accept');
    expect(listing(text, text)).toBe(once);
    if (story.next === null) return;
    const marker = markerOf(sha256Hex(desiredText(story.next)));
    expect(listing(text, files.get("next.nft")!)).toBe(listing(rulesetText(story.next.nft, marker)));
  });
}
