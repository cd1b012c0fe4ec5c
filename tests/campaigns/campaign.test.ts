/** The frame of the campaigns: a miss is never silent, and a case can be run again alone. */
import { afterEach, beforeEach, expect, type Mock, spyOn, test } from "bun:test";
import { type Campaign, Miss, randomOf, readOptions, runCampaign } from "./campaign.ts";

let out: Mock<typeof console.log>;
let err: Mock<typeof console.error>;

beforeEach(() => {
  out = spyOn(console, "log").mockImplementation(() => undefined);
  err = spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  out.mockRestore();
  err.mockRestore();
});

const linesOf = (spy: Mock<(...args: string[]) => void>): string[] => spy.mock.calls.map((call) => call.join(" "));

/** Draws one number for each case; cases in `bad` miss. */
function drawing(drawn: Map<number, number>, bad: readonly number[] = []): Campaign {
  return {
    name: "draw",
    size: "draws",
    cases: 20,
    one({ index, random }) {
      drawn.set(index, random(1 << 30));
      if (bad.includes(index)) throw new Miss(`case ${index} is bad`, { odd: 1 });
      return { even: 1 };
    },
    line: ({ even = 0, odd = 0 }, cases) => ({ draws: cases, even, odd }),
  };
}

test("the last line of stdout has the name and the sums; the seed is printed", async () => {
  expect(await runCampaign(drawing(new Map()), ["--seed", "5"])).toBe(0);
  expect(linesOf(out)).toEqual(["draw: draws=20 even=20 odd=0"]);
  expect(linesOf(err)).toEqual(["draw: seed 5"]);
});

test("a case alone draws what it drew among the others", async () => {
  const [all, alone] = [new Map<number, number>(), new Map<number, number>()];
  await runCampaign(drawing(all), ["--seed", "5", "--draws", "30"]);
  await runCampaign(drawing(alone), ["--seed", "5", "--only", "17"]);
  expect(all.size).toBe(30);
  expect(new Set(all.values()).size).toBe(30);
  expect([...alone]).toEqual([[17, all.get(17)!]]);
});

test("a run in parts draws what the whole run draws", async () => {
  const [all, parts] = [new Map<number, number>(), new Map<number, number>()];
  await runCampaign(drawing(all), ["--seed", "5"]);
  for (const from of ["0", "12"])
    expect(
      await runCampaign(drawing(parts), ["--seed", "5", "--from", from, "--draws", from === "0" ? "12" : "8"]),
    ).toBe(0);
  expect([...parts]).toEqual([...all]);
  expect(linesOf(out).slice(1)).toEqual(["draw: draws=12 even=12 odd=0", "draw: draws=8 even=8 odd=0"]);
});

test("other seeds and names draw other numbers; without a seed one is made up and printed", async () => {
  const draw = (name: string, seed: number): number => randomOf(name, seed, 0)(1 << 30);
  expect(draw("a", 1)).toBe(draw("a", 1));
  expect(new Set([draw("a", 1), draw("a", 2), draw("b", 1)]).size).toBe(3);
  await runCampaign(drawing(new Map()), []);
  expect(linesOf(err)[0]).toMatch(/^draw: seed \d+$/);
});

test("a miss ends in exit code 1, with a line that runs this case alone", async () => {
  expect(await runCampaign(drawing(new Map(), [3]), ["--seed", "5", "--cases", "6"])).toBe(1);
  expect(linesOf(out)).toEqual(["draw: draws=6 even=5 odd=1"]);
  expect(linesOf(err)).toContain("replay: npm run draw -- --seed 5 --only 3");
  expect(linesOf(err).join("\n")).toContain("case 3 is bad");
});

test("many misses are counted, a few are shown", async () => {
  const every = Array.from({ length: 20 }, (_, i) => i);
  expect(await runCampaign(drawing(new Map(), every), ["--seed", "5"])).toBe(1);
  expect(linesOf(err).filter((line) => line.startsWith("replay:")).length).toBe(10);
  expect(linesOf(err)).toContain("draw: 20 of 20 cases missed");
});

test("what is wrong with the whole is a miss too, and the world is always taken down", async () => {
  const downs: string[] = [];
  const whole: Campaign = {
    ...drawing(new Map()),
    miss: (line) => (line.even === 20 ? "all of them are even" : undefined),
    setUp: async () => () => void downs.push("down"),
  };
  expect(await runCampaign(whole, ["--seed", "5"])).toBe(1);
  expect(linesOf(err)).toContain("draw: all of them are even");
  expect(downs).toEqual(["down"]);
});

test("options that make no sense are told, not guessed", async () => {
  const campaign = drawing(new Map());
  const wrong = [["--seeds", "1"], ["--seed"], ["--seed", "-1"], ["--seed", "1e3"], ["--draws", "0"], ["5"]];
  for (const args of wrong) {
    expect(readOptions(campaign, args)).toBeString();
    expect(await runCampaign(campaign, args)).toBe(2);
  }
  expect(readOptions(campaign, ["--draws", "7", "--seed", "1", "--only", "2"])).toEqual({
    ...{ seed: 1, from: 0, cases: 7, only: 2 },
  });
  expect(linesOf(out)).toEqual([]);
});
