/** Each story comes to exactly the files in its folder, and keeps the lines that it is about. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import { folder, outcomes, readStory, storyNames } from "./golden.ts";

for (const name of storyNames()) {
  describe(name, () => {
    const story = readStory(name);
    const files = outcomes(story);
    const lines = files
      .get("ruleset.nft")!
      .split("\n")
      .map((line) => line.trim());

    test("breaks no law", () => {
      const { intent, inventory } = story.input;
      expect([...intentProblems(intent), ...inventoryProblems(intent, inventory)]).toEqual([]);
    });

    for (const [file, text] of files) {
      test(`${file} is as recorded`, () => expect(text).toBe(readFileSync(join(folder, name, file), "utf8")));
    }

    test("holds the lines that the story is about", () => {
      expect(story.must.length).toBeGreaterThan(0);
      expect(story.must.filter((part) => !lines.some((line) => line.includes(part)))).toEqual([]);
      expect(story.never.filter((part) => lines.some((line) => line.includes(part)))).toEqual([]);
    });

    test("every base chain starts with the lanes", () => {
      for (const chain of story.desired.nft.chains.filter((one) => one.base !== null)) {
        const side = ["output", "postrouting"].includes(chain.base!.hook) ? "sport" : "dport";
        expect(chain.rules.slice(0, 3).map((rule) => rule.split(" local ")[0])).toEqual(
          side === "dport"
            ? [
                "udp dport @s_lane_udp fib daddr type",
                "ip daddr . tcp dport @s_lane_tcp4 fib daddr type",
                "ip6 daddr . tcp dport @s_lane_tcp6 fib daddr type",
              ]
            : [
                "udp sport @s_lane_udp fib saddr type",
                "ip saddr . tcp sport @s_lane_tcp4 fib saddr type",
                "ip6 saddr . tcp sport @s_lane_tcp6 fib saddr type",
              ],
        );
      }
    });

    test("input and forward deny by policy, and say so in a counted last rule", () => {
      const denying = story.desired.nft.chains.filter((chain) => ["b_input", "b_forward"].includes(chain.name));
      expect(denying.map((chain) => [chain.base?.policy, chain.rules.at(-1)])).toEqual([
        ["drop", "counter name c_drop_input drop"],
        ["drop", "counter name c_drop_forward drop"],
      ]);
    });
  });
}
