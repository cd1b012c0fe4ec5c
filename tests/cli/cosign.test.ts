/** A second signature: whose it may be, what it is asked for, and what never gets one. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compareBytes, sha256 } from "../../schemas/digest.ts";
import { decode, encode } from "../../schemas/wire.ts";
import { team } from "./team.ts";

setDefaultTimeout(240_000); // each command is a process of its own

describe("cosign", () => {
  test("adds one signature in its place, and says that it is enough", async () => {
    using story = await team();
    await story.propose();
    const before = story.directive();
    const said = await story.bob.at("cosign", story.file, "--yes");
    expect(said.exit).toBe(0);
    expect(said.stdout).toStartWith(
      "Signed by bob. class sensitive needs 2 holders: signed by alice, bob, complete.\n",
    );
    expect(said.stdout).toEndWith(`next: holdfast push --bundle ${story.file}\n`);
    // What was shown is what bundle show shows.
    expect(said.stderr).toContain("every invariant hold; desired sha256:");
    const after = story.directive();
    expect(after.digest).toEqual(before.digest);
    expect(after.signers).toHaveLength(2);
    expect(compareBytes(after.signers[0]!, after.signers[1]!)).toBeLessThan(0);
    expect(story.read()).toEqual({ ...story.read(), directive: after.envelope });
    const shown = await story.carol.at("bundle", "show", story.file, "--json");
    expect(shown.json()).toMatchObject({ signed_by: ["alice", "bob"], missing: 0, may_sign: [] });
  });

  test("the same person signs once: cli.already_signed; sign is the same verb", async () => {
    using story = await team([{ risk_class: "sensitive", threshold: 3 }]);
    await story.propose();
    const own = await story.alice.at("sign", story.file, "--yes");
    expect(own).toMatchObject({ exit: 3, codes: ["cli.already_signed"] });
    expect(own.stderr).toContain("alice has signed it; people are counted, not keys");
    const first = await story.bob.at("sign", story.file, "--yes", "--json");
    // Carol's class is too low, so the third signature cannot come from anybody.
    expect(first.json()).toMatchObject({
      verb: "sign",
      exit: 0,
      signed_by: ["alice", "bob"],
      missing: 1,
      may_sign: [],
    });
    expect(await story.bob.at("sign", story.file, "--yes")).toMatchObject({ codes: ["cli.already_signed"] });
  });

  test("refuses who may not sign this class, who is nobody, and what a nobody signed", async () => {
    using story = await team();
    await story.propose();
    const whole = readFileSync(story.file);
    expect(await story.carol.at("cosign", story.file, "--yes")).toMatchObject({ codes: ["trust.class_exceeded"] });
    // A key of this network that no roster lists: bob's folder with another key in his file's place.
    const path = join(story.bob.keys, "bob.key");
    const file = JSON.parse(readFileSync(path, "utf8")) as { seeds: string };
    const seeds = new Uint8Array(96).fill(7).toBase64();
    writeFileSync(path, JSON.stringify({ ...file, seeds }));
    expect(await story.bob.at("cosign", story.file, "--yes")).toMatchObject({ codes: ["trust.signer_unknown"] });
    expect(readFileSync(story.file)).toEqual(whole);
    // Carol proposes what she may not sign.
    story.router.riskClass = "sensitive";
    const low = await story.ask(story.carol, "push", "--propose", join(story.carol.home, "c.bundle"));
    expect(low).toMatchObject({ exit: 3, codes: ["trust.class_exceeded"] });
  });

  test("asks after it has shown; off a terminal, or on a no, the file stays as it is", async () => {
    using story = await team();
    await story.propose();
    const whole = readFileSync(story.file);
    expect(await story.bob.at("cosign", story.file)).toMatchObject({ exit: 2, codes: ["cli.not_a_terminal"] });
    const words = ["cosign", story.file];
    const no = await story.bob.type(words, [{ after: "[yes/no] ", keys: "n\r" }], story.bob.site);
    expect([no.exit, no.screen.includes("cli.declined")]).toEqual([3, true]);
    expect(readFileSync(story.file)).toEqual(whole);
    const question = "Sign generation 1 of r1 as bob? [yes/no] ";
    expect((await story.bob.type(words, [{ after: question, keys: "y\r" }], story.bob.site)).exit).toBe(0);
    expect(story.directive().signers).toHaveLength(2);
  });

  test("opens a key that a passphrase locks", async () => {
    using story = await team(undefined, "correct horse");
    await story.propose();
    expect(await story.bob.at("cosign", story.file, "--yes")).toMatchObject({ codes: ["keys.passphrase_needed"] });
    const words = join(story.bob.home, "words");
    writeFileSync(words, "correct horse\n", { mode: 0o600 });
    const said = await story.bob.at("cosign", story.file, "--yes", "--passphrase-file", words);
    expect([said.exit, story.directive().signers.length]).toEqual([0, 2]);
  });

  test("refuses when the file changed while the question stood: site.changed", async () => {
    using story = await team();
    await story.propose();
    const other = encode("Bundle", { ...story.read(), plan: "Nothing to do.\n" });
    const child = story.bob.type(
      ["cosign", story.file],
      [
        {
          after: "[yes/no] ",
          get keys() {
            writeFileSync(story.file, other);
            return "y\r";
          },
        },
      ],
      story.bob.site,
    );
    const said = await child;
    expect([said.exit, said.screen.includes("site.changed")]).toEqual([3, true]);
    expect(readFileSync(story.file).equals(other)).toBe(true);
  });

  test("never signs what does not hold: the proof's problems, with the screen", async () => {
    using story = await team();
    await story.propose();
    const parts = story.read();
    const intent = decode("Intent", parts.blobs[0]!);
    if (!intent.ok) throw new Error("no intent");
    const zones = intent.value.zones.slice(1); // what the others speak of is gone
    const broken = encode("Intent", { ...intent.value, zones });
    story.resign({ intent_digest: sha256(broken) }, { blobs: [broken, ...parts.blobs.slice(1)] });
    const whole = readFileSync(story.file);
    const said = await story.bob.at("cosign", story.file, "--yes");
    expect(said.exit).toBe(3);
    expect(said.codes[0]).toMatch(/^intent\./);
    expect(said.stderr).toContain("proof       does NOT hold: see the errors; nobody should sign this");
    expect(readFileSync(story.file)).toEqual(whole);
    const shown = await story.bob.at("bundle", "show", story.file, "--json");
    expect(shown.json()).toMatchObject({ exit: 3, proven: false });
    expect(await story.ask(story.bob, "push", "--bundle", story.file, "--yes")).toMatchObject({ codes: said.codes });
  });
});
