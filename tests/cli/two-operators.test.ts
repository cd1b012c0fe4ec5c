/** Two homes, one router, one moment: one push wins, and the other is told who, what and how to go on. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { Place } from "./place.ts";
import { type Team, team } from "./team.ts";

setDefaultTimeout(240_000); // each command is a process of its own

/** Lets somebody push in the moment before the router hears the n-th submit of the other. */
function pushBefore(story: Team, submit: number, who: Place, ...words: readonly string[]): void {
  let heard = 0;
  story.router.instead = async (kind) => {
    if (kind !== "submit") return undefined;
    heard += 1;
    if (heard === submit) await story.ask(who, "push", "--yes", ...words);
    return undefined;
  };
}

describe("the one who comes second", () => {
  test("hears of a trial that is pending: who, what, how long, and how to rebase", async () => {
    using story = await team([]);
    await story.ask(story.alice, "push", "--yes", "--no-confirm", "--note", "open the printer", "--window", "60");
    const said = await story.ask(story.bob, "push", "--yes");
    expect(said).toMatchObject({ exit: 3, stdout: "", codes: ["apply.trial_pending"] });
    const screen = said.stderr.split("\n");
    expect(screen.length).toBeLessThan(24);
    expect(screen.slice(0, 9)).toEqual([
      "alice came first: generation 1 of r1 is on trial, 60 s left.",
      "  note    open the printer",
      "  Changes:",
      "    + a thing",
      "Your push changed nothing and used no generation. To go on:",
      "  holdfast status --wait   until it is decided",
      "  git pull                 brings that change into this site",
      "  holdfast plan            shows what is left of yours",
      "  holdfast push",
    ]);
    const json = (await story.ask(story.bob, "push", "--yes", "--json")).json();
    expect(json.came_first).toMatchObject({
      ...{ generation: 1, holders: ["alice"], outcome: "trial", remaining_ms: 60_000, note: "open the printer" },
      plan: "Changes:\n  + a thing\n",
    });
    // Whoever began it is not told to pull.
    const own = await story.ask(story.alice, "plan");
    expect(own.stderr).toStartWith("Your own push came first: generation 1 of r1 is on trial, 60 s left.\n");
    expect(own.stderr).not.toContain("git pull");
  });

  test("between plan and apply: the router knows the other's generation already: trust.generation_burnt", async () => {
    using story = await team([]);
    const git = (...words: string[]): string =>
      Bun.spawnSync(["git", "-c", "user.name=a", "-c", "user.email=a@example.net", ...words], {
        cwd: story.alice.site,
        env: { ...story.alice.environment },
      })
        .stdout.toString()
        .trim();
    for (const words of [
      ["init", "-q"],
      ["add", "-A"],
      ["commit", "-q", "-m", "site"],
    ])
      git(...words);
    pushBefore(story, 2, story.alice, "--note", "first");
    const said = await story.ask(story.bob, "push", "--yes");
    expect(said).toMatchObject({ exit: 3, stdout: "", codes: ["trust.generation_burnt"] });
    expect(said.stderr).toContain(
      `alice came first: generation 1 of r1 is confirmed, through api:127.0.0.1.\n  note    first\n  commit  ${git("rev-parse", "HEAD")}\n`,
    );
    expect(said.stderr).not.toContain("status --wait");
    expect(story.router.receipts.at(-1)?.message).toMatchObject({ generation: 1n, signers: ["alice"] });
    // And then it is a push like any other.
    story.router.instead = () => undefined;
    expect((await story.ask(story.bob, "push", "--yes")).stdout).toBe(
      "r1 runs generation 2, confirmed through api:127.0.0.1.\n",
    );
  });

  test("is told when the first one was taken back", async () => {
    using story = await team([]);
    let submits = 0;
    story.router.instead = async (kind) => {
      if (kind === "submit") submits += 1;
      if (kind === "submit" && submits === 2) {
        await story.ask(story.alice, "push", "--yes", "--no-confirm");
        await story.ask(story.alice, "rollback");
      }
      return undefined;
    };
    const said = await story.ask(story.bob, "push", "--yes");
    expect(said.codes).toEqual(["trust.generation_burnt"]);
    expect(said.stderr).toContain("alice came first: generation 1 of r1 was tried and taken back (confirm.aborted).\n");
  });

  test("with a bundle, while a trial is pending; a proposal that was overtaken is not even written", async () => {
    using story = await team();
    await story.propose();
    await story.bob.at("cosign", story.file, "--yes");
    story.router.riskClass = "routine";
    await story.ask(story.carol, "push", "--yes", "--no-confirm");
    const said = await story.ask(story.bob, "push", "--bundle", story.file, "--yes");
    expect(said).toMatchObject({ exit: 3, codes: ["apply.trial_pending"] });
    expect(said.stderr).toContain("carol came first: generation 1 of r1 is on trial, 120 s left.\n");
    await story.ask(story.carol, "confirm");
    let asked = false;
    story.router.instead = async (kind) => {
      if (kind === "beacon" && !asked) {
        asked = true;
        await story.ask(story.carol, "push", "--yes");
      }
      return undefined;
    };
    const late = await story.ask(story.alice, "push", "--propose", join(story.alice.home, "late.bundle"));
    expect(late).toMatchObject({ exit: 3, codes: ["trust.parent"] });
    expect(late.stderr).toContain("carol came first: generation 2 of r1 is confirmed");
  });
});

test("a plan of many lines is cut on that screen", async () => {
  using story = await team([]);
  story.router.planText = `Changes:\n${Array.from({ length: 40 }, (_, i) => `  + peer ${i}\n`).join("")}`;
  await story.ask(story.alice, "push", "--yes", "--no-confirm");
  const said = await story.ask(story.bob, "push", "--yes");
  expect(said.stderr).toContain("    + peer 10\n  and 29 lines more: holdfast show\n");
});
