/** A push and what can become of it: every outcome, every exit code, and what is sent on the way. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../schemas/limits.ts";
import { body } from "./answers.ts";
import { enrolled } from "./enrolled.ts";
import { Way } from "./way.ts";

setDefaultTimeout(240_000); // each command is a process of its own

describe("push", () => {
  test("plans, applies, confirms over new connections, and says one sentence", async () => {
    using story = await enrolled();
    const said = await story.ask("push", "--yes", "--note", "first day");
    expect([said.exit, said.stdout]).toEqual([0, "r1 runs generation 1, confirmed through api:127.0.0.1.\n"]);
    expect(said.stderr).toContain("Changes:\n  + a thing");
    expect(story.router.receipts.map((one) => one.message.outcome)).toEqual(["enrolled", "trial", "confirmed"]);
    expect(story.router.receipts.at(-1)?.message.note).toBe("first day");
    // Every request of the story came from a port of its own.
    const ports = story.router.heard.map((one) => one.port);
    expect(new Set(ports).size).toBe(ports.length);
    expect(readFileSync(join(story.place.state, "r1/head"), "utf8")).toStartWith("index=3\n");
    const again = await story.json("push", "--yes");
    expect(again.json()).toMatchObject({
      verb: "push",
      exit: 0,
      generation: 2,
      outcome: "confirmed",
      router: "r1",
      problems: [],
    });
    // What the router holds already is not sent again.
    expect(story.router.heard.filter((one) => one.kind === "put_blob")).toHaveLength(2);
  });

  test("with nothing to do asks nobody and is done", async () => {
    using story = await enrolled();
    story.router.steps = 0;
    const said = await story.ask("push");
    expect([said.exit, said.stdout]).toEqual([
      0,
      "Nothing to do: r1 already holds this, and calls it generation 1 now.\n",
    ]);
  });

  test("asks first: off a terminal that is a usage error, and nothing is burnt", async () => {
    using story = await enrolled();
    expect(await story.ask("push")).toMatchObject({ exit: 2, stdout: "", codes: ["cli.not_a_terminal"] });
    const words = ["push", "--at", story.router.at];
    const no = await story.place.type(words, [{ after: "[yes/no] ", keys: "n\r" }], story.place.site);
    expect([no.exit, no.screen.includes("cli.declined")]).toEqual([3, true]);
    expect(story.router.burnt).toBe(0n);
    const yes = await story.place.type(
      words,
      [{ after: "Apply generation 1 to r1? [yes/no] ", keys: "y\r" }],
      story.place.site,
    );
    expect(yes.exit).toBe(0);
    expect(story.router.burnt).toBe(1n);
  });

  test("--expect refuses another plan, and takes the right one: cli.plan_differs", async () => {
    using story = await enrolled();
    const plan = await story.json("plan");
    expect(plan.json()).toMatchObject({
      verb: "plan",
      exit: 0,
      generation: 1,
      steps: 3,
      window_s: 120,
      lanes_to_prove: [],
    });
    expect((await story.ask("push", "--yes", "--expect", "sha256:00")).codes).toEqual(["cli.plan_differs"]);
    expect(story.router.burnt).toBe(0n);
    const digest = String(plan.json().plan_digest);
    expect((await story.ask("push", "--yes", "--expect", `sha256:${digest}`)).exit).toBe(0);
  });

  test("a plan says what would refuse the push, what it mends, and what other programs changed", async () => {
    using story = await enrolled();
    story.router.notices = [
      { code: "outside.changed", path: "outside", detail: "+ nft inet fw4 {}" },
      { code: "outside.foreign_drop", path: "inet fw4", detail: "chain input, its policy is drop" },
      { code: "apply.read_back", path: "drift", detail: "link hf-home mtu is 1400, not 1420" },
    ];
    expect((await story.ask("plan")).stdout).toEndWith(`This refuses the push:
  inet fw4: chain input, its policy is drop
The router differs from what was confirmed; this push mends it:
  drift: link hf-home mtu is 1400, not 1420
Other programs changed since the last confirm:
  outside: + nft inet fw4 {}
`);
    expect((await story.json("plan")).json()).toMatchObject({ notices: story.router.notices });
  });

  test("--no-confirm leaves it pending, and confirm keeps it", async () => {
    using story = await enrolled();
    expect(await story.ask("confirm")).toMatchObject({ exit: 3, codes: ["confirm.unknown_trial"] });
    const said = await story.json("push", "--yes", "--no-confirm", "--window", "60");
    expect(said.json()).toMatchObject({ exit: 8, outcome: "trial", generation: 1, remaining_ms: 60_000 });
    expect(await story.ask("push", "--yes")).toMatchObject({ exit: 3, codes: ["apply.trial_pending"] });
    const status = await story.ask("status");
    expect(status.stdout).toContain(
      "generation 1 by alice is on trial, 60 s left: holdfast confirm, or holdfast rollback",
    );
    const confirmed = await story.json("confirm");
    expect(confirmed.json()).toMatchObject({ verb: "confirm", exit: 0, outcome: "confirmed", confirmed_by: "alice" });
    // Once more is the same answer.
    expect((await story.json("confirm")).json()).toMatchObject({ exit: 0, outcome: "confirmed", generation: 1 });
  });

  test("rollback ends a trial at once, and has nothing to say without one", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes", "--no-confirm");
    const said = await story.ask("rollback");
    expect(said.exit).toBe(0);
    expect(said.stdout).toStartWith("r1 took generation 1 back and runs what it ran before. confirm.aborted:");
    // A confirm that comes too late is told so.
    expect((await story.json("confirm")).json()).toMatchObject({
      exit: 4,
      outcome: "rolled_back",
      cause: "confirm.aborted",
    });
    expect(await story.ask("rollback")).toMatchObject({ exit: 3, codes: ["confirm.unknown_trial"] });
  });

  test("a trial that the router undoes is exit 4 with the cause", async () => {
    using story = await enrolled();
    story.router.lanes = [{ name: "api:127.0.0.1", changed: true, proven: false, packets: 0n }];
    let looks = 0;
    story.router.instead = (kind) => {
      if (kind === "status" && story.router.trial !== undefined) looks += 1;
      if (looks === 3 && story.router.trial !== undefined) story.router.end("rolled_back", "confirm.window_expired");
      return undefined;
    };
    const said = await story.ask("push", "--yes");
    expect(said.exit).toBe(4);
    expect(said.stdout).toBe(
      "r1 took generation 1 back and runs what it ran before. confirm.window_expired: Nobody confirmed the trial within its window.\n",
    );
    expect(said.codes).toContain("confirm.window_expired");
    // Which lane it was stuck at, and what was tried there.
    expect(said.stderr).toContain("not proven yet from here: api:127.0.0.1; trying until the window ends\n");
    expect(said.codes).toContain("link.unreachable");
  });

  test("a router that cannot go back is exit 6", async () => {
    using story = await enrolled();
    story.router.instead = (kind) => {
      if (kind === "confirm") story.router.end("needs_hands", "apply.read_back");
      return undefined;
    };
    const said = await story.json("push", "--yes");
    expect(said.json()).toMatchObject({ exit: 6, outcome: "needs_hands", cause: "apply.read_back" });
  });

  test("a lane that has to be proven is dialled by its own address; one that is accepted is not needed", async () => {
    using story = await enrolled();
    const { router } = story;
    // A second address of the router, at the management port of the intent.
    using way = new Way(router.server.port!, () => false, "127.0.0.2");
    router.lanes = [{ name: "api:127.0.0.2", changed: true, proven: false, packets: 0n }];
    const text = story.place
      .read("intent.yaml")
      .replaceAll("zones: [wan, lan]", `zones: [wan, lan]\n      port: ${way.port}`);
    writeFileSync(join(story.place.site, "intent.yaml"), text);
    router.instead = (kind) => {
      if (kind === "confirm" && way.ports.length > 0) router.trial!.lanes = [];
      return undefined;
    };
    expect((await story.ask("push", "--yes")).exit).toBe(0);
    expect(way.ports).toHaveLength(1);
    router.lanes = [{ name: "api:127.0.0.3", changed: true, proven: false, packets: 0n }];
    router.instead = () => undefined;
    expect((await story.ask("push", "--yes", "--accept-unproven", "api:127.0.0.3")).exit).toBe(0);
  });

  test("content in quarantine is told by plan and status, and refused without --force: apply.quarantined", async () => {
    using story = await enrolled();
    const plan = (await story.json("plan")).json();
    await story.ask("push", "--yes", "--no-confirm");
    const digest = story.router.trial!.directive.message.desired_digest;
    story.router.end("rolled_back", "probe.failed");
    const entry = { desired_digest: digest, generation: 1n, cause: "probe.failed", signers: ["alice"] };
    story.router.quarantine = [{ ...entry, at_unix: 1_700_000_000n }];
    expect((await story.json("plan")).json()).toMatchObject({ exit: 0, plan_digest: plan.plan_digest });
    expect((await story.ask("plan")).stdout).toContain(
      "only push --force applies it:\n  quarantine: taken back before\n",
    );
    expect((await story.ask("status")).stdout).toMatch(
      /^refuses +the content of generation 1 by alice: probe.failed on 2023-11-14 22:13 /m,
    );
    expect((await story.json("status")).json()).toMatchObject({ quarantine: [{ generation: 1, signers: ["alice"] }] });
    expect(await story.ask("push", "--yes")).toMatchObject({ exit: 3, codes: ["apply.quarantined"] });
    expect(story.router.burnt).toBe(1n);
    expect((await story.ask("push", "--yes", "--force")).exit).toBe(0);
    expect(story.router.lkg?.message).toMatchObject({ generation: 2n, force: true });
  });

  test("--accept-unproven goes into the directive; a name that is no lane is a usage error", async () => {
    using story = await enrolled();
    expect((await story.ask("push", "--yes", "--accept-unproven", "home")).codes).toEqual(["cli.usage"]);
    await story.ask("push", "--yes", "--accept-unproven", "wg:home", "--accept-unproven", "rescue");
    expect(story.router.lkg?.message.accept_unproven).toEqual(["wg:home", "rescue"]);
    for (const words of [
      ["--window", "9"],
      ["--window", "4000"],
      ["--note", "ä"],
      ["--note", "x".repeat(limits.noteChars + 1)],
    ]) {
      expect(await story.ask("push", ...words)).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    }
  });

  test("a site with a mistake asks nobody", async () => {
    using story = await enrolled();
    const before = story.router.heard.length;
    const path = join(story.place.site, "intent.yaml");
    writeFileSync(path, story.place.read("intent.yaml").replace("zone: lan", "zone: lna"));
    const said = await story.ask("push", "--yes");
    expect(said.exit).toBe(3);
    expect(said.stderr).toMatch(/^error: intent\.no_such at intent\.yaml:\d+:\d+ profiles\[0\]\.reach\[0\]\.zone: /m);
    expect(story.router.heard.length).toBe(before);
  });

  test("the router's own refusal is listed as it came, unknown codes too", async () => {
    using story = await enrolled();
    const problems = [
      { code: "guard.dead", path: "holdfast-guard", detail: "no sign of life" },
      { code: "apply.of_tomorrow", path: "x", detail: "y" },
    ];
    story.router.instead = (kind) => (kind === "submit" ? body({ code: "guard.dead", problems }) : undefined);
    const said = await story.json("push", "--yes");
    expect(said.codes).toEqual(["guard.dead", "apply.of_tomorrow"]);
    expect(said.exit).toBe(3);
  });

  test("in a Git site warns about what is not committed, and records the commit when all is", async () => {
    using story = await enrolled();
    const git = (...words: string[]): string =>
      Bun.spawnSync(["git", "-c", "user.name=a", "-c", "user.email=a@example.net", ...words], {
        cwd: story.place.site,
        env: { ...story.place.environment },
      })
        .stdout.toString()
        .trim();
    git("init", "-q");
    const dirty = await story.ask("push", "--yes");
    expect(dirty.stderr).toContain("warning: not committed: .gitignore, intent.yaml, inventory.yaml");
    expect(story.router.lkg?.message.commit).toBe("");
    git("add", "-A");
    git("commit", "-q", "-m", "site");
    const clean = await story.ask("push", "--yes");
    expect(clean.stderr).not.toContain("warning");
    expect(story.router.lkg?.message.commit).toBe(git("rev-parse", "HEAD"));
    const shown = await story.json("show", "2");
    expect(shown.json()).toMatchObject({ commit: git("rev-parse", "HEAD"), kept: true });
    // A hostile repository cannot make the CLI run a program.
    mkdirSync(join(story.place.site, "x"));
    writeFileSync(join(story.place.site, "x/run"), "#!/bin/sh\ntouch ../ran\n", { mode: 0o755 });
    git("config", "core.fsmonitor", "x/run");
    await story.ask("plan");
    expect(await Bun.file(join(story.place.home, "ran")).exists()).toBe(false);
  });
});

describe("rollback --to", () => {
  test("pushes the content of a kept generation as a new one", async () => {
    using story = await enrolled();
    await story.ask("push", "--yes");
    const first = story.router.lkg!.message;
    const path = join(story.place.site, "intent.yaml");
    writeFileSync(path, story.place.read("intent.yaml").replace("window_s: 120", "window_s: 60"));
    await story.ask("push", "--yes");
    expect(story.router.lkg?.message.intent_digest).not.toEqual(first.intent_digest);
    const said = await story.ask("rollback", "--to", "1", "--yes");
    expect(said.stdout).toBe("r1 runs generation 3, confirmed through api:127.0.0.1.\n");
    expect(story.router.lkg?.message).toMatchObject({
      ...{ intent_digest: first.intent_digest, inventory_digest: first.inventory_digest },
      ...{ desired_digest: first.desired_digest, confirm_window_s: 120, note: "content of generation 1" },
    });
  });

  test("refuses what is not kept here, damaged, or no number: cli.no_generation, receipts.damaged", async () => {
    using story = await enrolled();
    expect(await story.ask("rollback", "--to", "7", "--yes")).toMatchObject({ exit: 3, codes: ["cli.no_generation"] });
    expect(await story.ask("rollback", "--to", "last")).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    await story.ask("push", "--yes");
    const entry = join(story.place.state, "r1/generations/1.json");
    const { intent } = JSON.parse(readFileSync(entry, "utf8")) as { intent: string };
    writeFileSync(join(story.place.state, "r1/blobs", intent), "spoiled");
    expect((await story.ask("rollback", "--to", "1", "--yes")).codes).toEqual(["receipts.damaged"]);
  });
});

describe("lost on the way", () => {
  test("a router that answers nowhere: link.unreachable, exit 5", async () => {
    using story = await enrolled();
    story.router.close();
    for (const words of [["push", "--yes"], ["status"], ["confirm"], ["history"]]) {
      expect(await story.ask(...words)).toMatchObject({ exit: 5, stdout: "", codes: ["link.unreachable"] });
    }
    // What is kept here can still be read.
    expect(await story.place.at("history", "--offline")).toMatchObject({ exit: 0 });
  });

  test("a lost reply to the submit is no outcome: the trial is found and confirmed", async () => {
    using story = await enrolled();
    let submits = 0;
    let cut = false;
    story.router.instead = (kind) => {
      if (kind === "submit") submits += 1;
      cut = kind === "submit" && submits >= 2; // the first one is the plan
      return undefined;
    };
    // A way that hangs up instead of giving the answer.
    using way = new Way(story.router.server.port!, () => cut);
    const said = await story.place.at("push", "--yes", "--at", `127.0.0.1:${way.port}`);
    expect([said.exit, submits]).toEqual([0, 4]);
    expect(said.stdout).toBe("r1 runs generation 1, confirmed through api:127.0.0.1.\n");
    expect(story.router.receipts.map((one) => one.message.outcome)).toEqual(["enrolled", "trial", "confirmed"]);
  });

  test("a router that has no place for the submit burns nothing: link.busy, exit 5", async () => {
    using story = await enrolled();
    let submits = 0;
    story.router.instead = (kind) => {
      if (kind === "submit") submits += 1;
      return kind === "submit" && submits >= 2 ? new Response("busy", { status: 429 }) : undefined;
    };
    const said = await story.ask("push", "--yes");
    expect(said).toMatchObject({ exit: 5, stdout: "", codes: ["link.busy"] });
    expect(story.router.burnt).toBe(0n);
  });
});

describe("documents of trust", () => {
  test("a newer roster travels with the push", async () => {
    using story = await enrolled();
    await story.place.at("operator", "new", "--holder", "bob", "--plain");
    expect((await story.place.at("operator", "add", "bob.card", "--yes")).exit).toBe(0);
    const push = ["push", "--yes", "--as", "alice"];
    expect((await story.ask(...push)).exit).toBe(0);
    expect(story.router.view?.roster.message.version).toBe(3);
    // A site without it is behind now: cli.trust_behind.
    const { rmSync } = await import("node:fs");
    rmSync(join(story.place.site, "trust/roster.3.dsse"));
    expect(await story.ask(...push)).toMatchObject({ exit: 3, codes: ["cli.trust_behind"] });
  });
});
