/** A change that two people have to sign: proposed as a file, shown offline, carried to the router by either. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../schemas/limits.ts";
import { encode } from "../../schemas/wire.ts";
import type { Place } from "./place.ts";
import { team } from "./team.ts";

setDefaultTimeout(240_000); // each command is a process of its own

/** A change of the intent that shows in a diff. */
function shortenWindow(place: Place): void {
  const path = join(place.site, "intent.yaml");
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace("window_s: 120", "window_s: 90"));
}

describe("push, when one signature is not enough", () => {
  test("says who else may sign and the command, and submits nothing: trust.threshold", async () => {
    using story = await team();
    const said = await story.ask(story.alice, "push", "--yes", "--note", "for bob");
    expect(said).toMatchObject({ exit: 3, stdout: "", codes: ["trust.threshold"] });
    const command = `holdfast push --propose r1.1.bundle --at ${story.router.at} --note 'for bob'`;
    expect(said.stderr).toContain(`class sensitive needs 2 holders: bob may sign too; run: ${command}\n`);
    expect(story.router.count("submit")).toBe(1); // the plan
    expect(story.router.burnt).toBe(0n);
    const json = await story.ask(story.alice, "push", "--yes", "--json");
    expect(json.json()).toMatchObject({
      exit: 3,
      risk_class: "sensitive",
      next: command.replace(" --note 'for bob'", ""),
    });
    // Carol may not even begin it.
    expect((await story.ask(story.carol, "push", "--yes")).codes).toEqual(["trust.class_exceeded"]);
  });

  test("a class that needs one holder goes through as ever", async () => {
    using story = await team();
    story.router.riskClass = "routine";
    expect(await story.ask(story.carol, "push", "--yes")).toMatchObject({ exit: 0, codes: [] });
    expect(story.router.receipts.at(-1)?.message.signers).toEqual(["carol"]);
  });

  test("a plan takes one signature, whatever the class of the change takes", async () => {
    using story = await team([{ risk_class: "routine", threshold: 2 }]);
    story.router.riskClass = "routine";
    expect(await story.ask(story.alice, "plan")).toMatchObject({ exit: 0, codes: [] });
    const said = await story.ask(story.alice, "push", "--yes");
    expect(said.stderr).toContain("class routine needs 2 holders: bob, carol may sign too");
  });
});

describe("push --propose", () => {
  test("writes a bundle that is whole, burns nothing, and says who signs next", async () => {
    using story = await team();
    const said = await story.propose("--note", "two of us");
    expect(said.stdout).toContain("class sensitive needs 2 holders: signed by alice, 1 of bob missing.\n");
    expect(said.stdout).toEndWith(`next: holdfast cosign ${story.file}\n`);
    const { message, signers } = story.directive();
    expect(signers).toHaveLength(1);
    expect(message).toMatchObject({ action: "apply", generation: 1n, risk_class: "sensitive", note: "two of us" });
    expect(message.beacon_max_age_s).toBe(86_400);
    expect(message.challenge).toHaveLength(0);
    expect(story.read().plan).toBe("Changes:\n  + a thing\n");
    expect([story.router.burnt, story.router.trial]).toEqual([0n, undefined]);
    // What is there may hold signatures: cli.exists.
    const again = await story.ask(story.alice, "push", "--propose", story.file);
    expect(again).toMatchObject({ exit: 3, codes: ["cli.exists"] });
  });

  test("a beacon is good for a week of routine, a day of anything else", async () => {
    using story = await team();
    const week = ["push", "--propose", story.file, "--max-age", String(limits.beaconAgeS)];
    expect(await story.ask(story.alice, ...week)).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    expect(existsSync(story.file)).toBe(false);
    story.router.riskClass = "routine";
    expect(await story.ask(story.alice, ...week)).toMatchObject({ exit: 0 });
    expect(story.directive().message.beacon_max_age_s).toBe(limits.beaconAgeS);
  });

  test("flags that mean nothing there are usage errors", async () => {
    using story = await team();
    for (const words of [
      ["--propose", "a", "--bundle", "b"],
      ["--bundle", "b", "--note", "late"],
      ["--bundle", "b", "--window", "60"],
      ["--propose", "a", "--no-confirm"],
      ["--max-age", "60"],
    ]) {
      expect(await story.ask(story.alice, "push", ...words)).toMatchObject({ exit: 2, codes: ["cli.usage"] });
    }
  });
});

describe("bundle show", () => {
  test("needs no router and no key: signatures, class, freshness, proof, diff and the claimed plan", async () => {
    using story = await team();
    shortenWindow(story.alice);
    await story.propose("--note", "shorter window");
    story.router.close();
    const said = await story.bob.at("bundle", "show", story.file);
    expect([said.exit, said.stderr]).toEqual([0, ""]);
    expect(said.stdout).toContain("class sensitive needs 2 holders: signed by alice, 1 of bob missing");
    expect(said.stdout).toContain("every law, 0 contracts and every invariant hold; desired sha256:");
    expect(said.stdout).toContain("intent against this site's files as they are now:\n");
    expect(said.stdout).toContain("  - confirm.window_s: 120\n  + confirm.window_s: 90\n");
    expect(said.stdout).toContain("inventory against this site's files as they are now:\n  no change\n");
    expect(said.stdout).toContain("as the proposer tells it");
    const json = (await story.bob.at("bundle", "show", story.file, "--json")).json();
    expect(json).toMatchObject({
      ...{ router: "r1", generation: 1, risk_class: "sensitive", signed_by: ["alice"], needed: 2, missing: 1 },
      ...{ may_sign: ["bob"], note: "shorter window", proven: true, max_age_s: 86_400, inventory_changes: [] },
    });
    expect(json.intent_changes).toEqual([{ path: "confirm.window_s", before: "120", after: "90" }]);
  });

  test("compares with the generation that it replaces, where that is kept", async () => {
    using story = await team([]);
    await story.ask(story.alice, "push", "--yes");
    shortenWindow(story.alice);
    await story.propose();
    const said = await story.alice.at("bundle", "show", story.file);
    expect(said.stdout).toContain("intent against generation 1, which it replaces:\n");
    expect(said.stdout).toContain("generation  2, after generation 1, parent ");
  });

  test("refuses a file with a part that was changed, cut, added or taken away", async () => {
    using story = await team();
    await story.propose();
    const whole = join(story.alice.home, "whole");
    copyFileSync(story.file, whole);
    const parts = story.read();
    const show = async (): Promise<readonly string[]> => {
      const said = await story.bob.at("bundle", "show", story.file);
      copyFileSync(whole, story.file);
      return [String(said.exit), ...said.codes];
    };
    expect(await show()).toEqual(["0"]);
    truncateSync(story.file, readFileSync(story.file).length - 1);
    expect((await show())[1]).toMatch(/^wire\./);
    const directive = new Uint8Array(parts.directive);
    directive[directive.length - 1]! ^= 1;
    story.spoil({ directive });
    expect(await show()).toEqual(["3", "trust.bad_signature"]);
    story.spoil({ blobs: parts.blobs.slice(1) });
    expect(await show()).toEqual(["3", "blob.missing"]);
    story.spoil({ blobs: [...parts.blobs, new Uint8Array([1])] });
    expect(await show()).toEqual(["3", "cli.bad_bundle"]);
    story.spoil({ beacon: story.router.beacon().envelope });
    expect(await show()).toEqual(["3", "trust.beacon"]);
    story.router.keys.push({ network: "lab", public_key: `${"A".repeat(42)}E=` });
    story.spoil({ key_report: story.router.keyReport().envelope });
    expect(await show()).toEqual(["3", "trust.keys_digest"]);
    story.resign({ router_id: new Uint8Array(16) });
    expect(await show()).toEqual(["3", "trust.router"]);
    story.resign({ network_id: new Uint8Array(16) });
    expect(await show()).toEqual(["3", "trust.network"]);
    story.resign({ roster_digest: new Uint8Array(32) });
    expect(await show()).toEqual(["3", "trust.view"]);
    story.resign({ beacon_max_age_s: limits.beaconAgeS });
    expect(await show()).toEqual(["3", "trust.beacon"]);
    story.resign({ desired_digest: new Uint8Array(32) });
    expect(await show()).toEqual(["3", "admit.desired_differs"]);
    expect(await story.bob.at("bundle", "show", "nowhere")).toMatchObject({ exit: 3, codes: ["site.missing_file"] });
    writeFileSync(story.file, encode("Signature", { key: new Uint8Array(32), sig: new Uint8Array(64) }));
    expect((await show())[1]).toMatch(/^wire\./);
  });
});

describe("push --bundle", () => {
  test("refuses a bundle with too few signatures before anybody is asked: trust.threshold", async () => {
    using story = await team();
    await story.propose();
    const asked = story.router.heard.length;
    const said = await story.ask(story.bob, "push", "--bundle", story.file, "--yes");
    expect(said).toMatchObject({ exit: 3, codes: ["trust.threshold"] });
    expect(said.stderr).toContain(`run: holdfast cosign ${story.file}\n`);
    expect(story.router.heard.length).toBe(asked);
  });

  test("with enough signatures applies, whoever carries it; delivered again it is the same effect", async () => {
    using story = await team();
    await story.propose("--note", "together");
    expect(await story.bob.at("cosign", story.file, "--yes")).toMatchObject({ exit: 0 });
    // A router that lost its copy of the blobs gets them from the file.
    story.router.blobs.clear();
    const said = await story.ask(story.carol, "push", "--bundle", story.file, "--yes");
    expect([said.exit, said.stdout]).toEqual([0, "r1 runs generation 1, confirmed through api:127.0.0.1.\n"]);
    const last = story.router.receipts.at(-1)!.message;
    expect(last).toMatchObject({ signers: ["alice", "bob"], confirmed_by: "carol", note: "together" });
    for (const who of [story.carol, story.bob]) {
      const again = await story.ask(who, "push", "--bundle", story.file, "--yes");
      expect([again.exit, again.stdout]).toEqual([0, said.stdout]);
    }
    expect(story.router.receipts.map((one) => one.message.outcome)).toEqual(["enrolled", "trial", "confirmed"]);
    // Its content is kept where it was carried from.
    expect((await story.ask(story.carol, "show", "1", "--json")).json()).toMatchObject({ kept: true });
  });

  test("tells early that it is stale, and by whom: trust.parent", async () => {
    using story = await team();
    await story.propose();
    await story.bob.at("cosign", story.file, "--yes");
    story.router.riskClass = "routine";
    await story.ask(story.carol, "push", "--yes", "--note", "quick one");
    const submits = story.router.count("submit");
    const said = await story.ask(story.bob, "push", "--bundle", story.file, "--yes");
    expect(said).toMatchObject({ exit: 3, codes: ["trust.parent"] });
    expect(said.stderr).toContain("carol came first: generation 1 of r1 is confirmed, through api:127.0.0.1.\n");
    expect(said.stderr).toContain("  note    quick one\n");
    expect(said.stderr).toContain("holdfast push --propose FILE");
    expect(story.router.count("submit")).toBe(submits);
  });

  test("tells early that the router restarted or the beacon grew old: trust.beacon", async () => {
    using story = await team();
    await story.propose("--max-age", "60");
    await story.bob.at("cosign", story.file, "--yes");
    story.router.uptimeS += 61;
    const old = await story.ask(story.bob, "push", "--bundle", story.file, "--yes");
    expect(old).toMatchObject({ exit: 3, codes: ["trust.beacon"] });
    expect(old.stderr).toContain("proposed 1 min 1 s ago, good for 1 min 0 s");
    story.router.boot = new Uint8Array(16).fill(1);
    const said = await story.ask(story.bob, "push", "--bundle", story.file, "--yes");
    expect(said).toMatchObject({ exit: 3, codes: ["trust.beacon"] });
    expect(said.stderr).toContain("the router restarted since it was proposed");
    expect(story.router.burnt).toBe(0n);
  });
});
