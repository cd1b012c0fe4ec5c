/** Documents of trust on several machines: from one person to a team and back, with real key files. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  bring,
  card,
  colleagues,
  EVERY_ROLE,
  must,
  operatorsOf,
  pairOf,
  rootOf,
  rosterOf,
  thresholdsOf,
  trustFiles,
} from "./colleagues.ts";
import { enrolled } from "./enrolled.ts";

setDefaultTimeout(240_000); // each command is a process of its own

describe("from one person to a team and back", () => {
  test("solo, two of two, two of three, and solo again", async () => {
    using all = await colleagues();
    const { alice } = all;
    const [bob, carol] = [all.newcomer(), all.newcomer()];
    expect([rootOf(alice).solo, thresholdsOf(alice)]).toEqual([true, ["1/1", "1/1", "1/1"]]);

    // Two: alice proposes, bob signs and applies.
    const bobs = await card(alice, bob, "bob", ...EVERY_ROLE);
    const proposed = must(await alice.at("trust", "propose", "--join", bobs, "--yes"), 8);
    expect(proposed.stderr).toContain("+ bob: ROOT key ");
    expect(proposed.stderr).toContain("~ ADMIN threshold: 1 of 1 -> 2 of 2");
    expect(proposed.stderr).toContain("~ the site is solo no more");
    expect(proposed.stdout).toContain("ROOT of root 1, 1 needed: signed by alice; enough");
    expect(proposed.stdout).toContain("ROOT of root 2, 2 needed: signed by alice; 1 of bob missing");
    expect(trustFiles(alice, "trust/proposed")).toEqual(["root.2.dsse", "roster.2.dsse"]);
    expect(rootOf(alice).version).toBe(1);
    const doctor = must(await alice.at("doctor", "--offline"));
    expect(doctor.stdout).toMatch(/^warn +trust +trust\/proposed\/root\.2\.dsse waits: .* 1 of bob missing$/m);
    bring(alice, bob);
    const shown = must(await bob.at("trust", "show", "--json")).json();
    expect(shown.proposals).toMatchObject([
      { kind: "root", version: 2, complete: false, needs: [{ others: [] }, { role: "root", others: ["bob"] }] },
      { kind: "roster", version: 2, complete: false, needs: [{ role: "admin", threshold: 2, signed: ["alice"] }] },
    ]);
    const signed = must(await bob.at("trust", "sign", "--yes"));
    expect(signed.stderr).toContain("+ operator bob, key ");
    expect(signed.stdout).toBe("Signed. Next: holdfast trust apply.\n");
    expect(must(await bob.at("trust", "apply")).stdout).toContain("In force: root 2 and roster 2.");
    expect(trustFiles(bob, "trust/proposed")).toEqual([]);
    expect([rootOf(bob).solo, thresholdsOf(bob)]).toEqual([false, ["2/2", "2/2", "1/2"]]);
    expect(operatorsOf(bob)).toEqual(["alice active recovery", "bob active recovery"]);

    // Three: two of three are enough from now on, so bob and alice suffice for the step itself.
    bring(bob, alice);
    const carols = await card(alice, carol, "carol", ...EVERY_ROLE);
    must(await alice.at("trust", "propose", "--join", carols, "--max-class", "sensitive", "--yes"), 8);
    bring(alice, bob);
    must(await bob.at("trust", "sign", "--yes"));
    must(await bob.at("trust", "apply"));
    expect([rootOf(bob).version, thresholdsOf(bob)]).toEqual([3, ["2/3", "2/3", "1/3"]]);
    expect(operatorsOf(bob)).toContain("carol active sensitive");

    // Back: alice alone remains; the old root still asks for two of its people.
    bring(bob, alice);
    const back = ["trust", "propose", "--drop", "bob", "--drop", "carol", "--yes"];
    const alone = must(await alice.at(...back), 8);
    expect(alone.stdout).toContain("ROOT of root 3, 2 needed: signed by alice; 1 of bob, carol missing");
    expect(await alice.at("trust", "apply")).toMatchObject({ exit: 3, codes: ["trust.threshold"] });
    bring(alice, carol);
    // Carol's ADMIN key has no part in the roster of a root without her: she signs the root alone.
    must(await carol.at("trust", "sign", "--yes"));
    must(await carol.at("trust", "apply"));
    expect([rootOf(carol).solo, thresholdsOf(carol)]).toEqual([true, ["1/1", "1/1", "1/1"]]);
    expect(operatorsOf(carol)).toEqual(["alice active recovery", "bob revoked recovery", "carol revoked sensitive"]);
  });

  test("the new root and roster reach a router with the push of either operator", async () => {
    using story = await enrolled();
    const { place: alice, router } = story;
    using all = { alice, bob: new (await import("./place.ts")).Place(), [Symbol.dispose]: () => undefined };
    bring(alice, all.bob);
    await pairOf(alice, all.bob);
    must(await story.ask("push", "--yes"));
    expect(router.view?.root.message).toMatchObject({ version: 2, solo: false });
    const pushed = must(await all.bob.at("push", "--yes", "--at", router.at));
    expect(pushed.stdout).toContain("r1 runs generation 2");
    all.bob[Symbol.dispose]();
  });
});

describe("trust propose", () => {
  test("the same again is the same proposal; another one is refused and named: cli.proposal_open", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bobs = await card(alice, all.newcomer(), "bob", ...EVERY_ROLE);
    const carols = await card(alice, all.newcomer(), "carol", ...EVERY_ROLE);
    must(await alice.at("trust", "propose", "--join", bobs, "--yes"), 8);
    const before = alice.picture();
    must(await alice.at("trust", "propose", "--join", bobs, "--yes"), 8);
    expect(alice.picture()).toEqual(before);
    const other = await alice.at("trust", "propose", "--join", carols, "--yes");
    expect(other).toMatchObject({ exit: 3, codes: ["cli.proposal_open"] });
    expect(other.stderr).toContain("trust/proposed/root.2.dsse: + bob: ROOT key");
    // Nor does a solo step slip in before it: it would take the roster's number.
    expect(await alice.at("operator", "add", carols, "--yes")).toMatchObject({ exit: 3, codes: ["cli.proposal_open"] });
    expect(await alice.at("trust", "rotate", "root", "--yes")).toMatchObject({ exit: 3, codes: ["cli.proposal_open"] });
    expect(alice.picture()).toEqual(before);
  });

  test("says no to what the rules of trust refuse, before it asks for a key", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bob = all.newcomer();
    const bobs = await card(alice, bob, "bob", ...EVERY_ROLE);
    const plain = await card(alice, all.newcomer(), "dora");
    const before = alice.picture();
    const cases: readonly (readonly [words: readonly string[], exit: number, code: string])[] = [
      [["--join", bobs, "--root-threshold", "1"], 3, "trust.thresholds"],
      [["--join", bobs, "--admin-threshold", "3"], 3, "trust.thresholds"],
      [["--drop", "alice"], 3, "trust.thresholds"],
      [["--class", "sensitive=2"], 3, "trust.thresholds"],
      [["--join", plain], 3, "cli.card"],
      [["--drop", "eve"], 3, "cli.no_operator"],
      [["--class", "secret=2"], 2, "cli.usage"],
      [["--class", "sensitive=0"], 2, "cli.usage"],
      [["--root-threshold", "17"], 2, "cli.usage"],
      [["--max-class", "all", "--join", bobs], 2, "cli.usage"],
      [[], 2, "cli.usage"],
    ];
    for (const [words, exit, code] of cases) {
      const said = await alice.at("trust", "propose", ...words, "--yes");
      expect([words, said.exit, said.codes[0]]).toEqual([words, exit, code]);
    }
    expect(alice.picture()).toEqual(before);
  });

  test("asks at a terminal, and a no writes nothing: cli.declined, cli.not_a_terminal", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bobs = await card(alice, all.newcomer(), "bob", ...EVERY_ROLE);
    const before = alice.picture();
    const words = ["trust", "propose", "--join", bobs];
    expect(await alice.at(...words)).toMatchObject({ exit: 2, codes: ["cli.not_a_terminal"] });
    const no = await alice.type(
      words,
      [
        { after: "read the same letters to you? [yes/no] ", keys: "yes\r" },
        { after: "Propose and sign root 2? [yes/no] ", keys: "no\r" },
      ],
      alice.site,
    );
    expect([no.exit, no.screen.includes("cli.declined")]).toEqual([3, true]);
    expect(alice.picture()).toEqual(before);
  });

  test("classes need more people, as far as there are any", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bob = all.newcomer();
    must(await alice.at("operator", "add", await card(alice, bob, "bob"), "--max-class", "trust", "--yes"));
    must(
      await alice.at("operator", "add", await card(alice, all.newcomer(), "tom"), "--max-class", "routine", "--yes"),
    );
    expect((await alice.at("trust", "propose", "--class", "trust=3", "--yes")).codes).toEqual(["trust.thresholds"]);
    const said = must(await alice.at("trust", "propose", "--class", "sensitive=2", "--yes"));
    // A class takes at least what the ones below it take.
    expect(said.stderr).toContain("~ sensitive changes need: 1 -> 2\n  ~ trust changes need: 1 -> 2\n");
    must(await alice.at("trust", "apply"));
    expect(rootOf(alice).classes).toEqual([{ risk_class: "sensitive", threshold: 2 }]);
    // Without bob nobody could sign one any more.
    const removed = await alice.at("operator", "remove", "bob");
    expect(removed).toMatchObject({ exit: 3, codes: ["trust.thresholds", "trust.thresholds"] });
    expect(removed.stderr).toContain("1 operators may sign sensitive changes, which need 2");
    must(await alice.at("trust", "propose", "--stolen", "bob", "--class", "sensitive=1", "--yes"));
    must(await alice.at("trust", "apply"));
    expect([rootOf(alice).classes, operatorsOf(alice)]).toEqual([
      [],
      ["alice active recovery", "bob stolen trust", "tom active routine"],
    ]);
  });
});

describe("trust show", () => {
  test("says who holds what, with letters that can be read out", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bob = all.newcomer();
    await pairOf(alice, bob);
    const [there, here] = [must(await bob.at("trust", "show")), must(await alice.at("trust", "show"))];
    expect(there.stdout).toBe(here.stdout);
    expect(here.stdout).toMatch(/^Network homelab, whose trust begins with ([a-z2-7]{4}-){7}[a-z2-7]{4}$/m);
    expect(here.stdout).toMatch(/^ROOT +2 of 2 must sign\n {2}alice +([a-z2-7]{4}-){7}[a-z2-7]{4}\n {2}bob /m);
    expect(here.stdout).toContain("Root 2, roster 2; operators: alice, bob");
    expect(here.stdout).toContain("No proposal waits.");
    const made = must(await bob.at("operator", "new", "--holder", "bob", ...EVERY_ROLE, "--json")).json();
    const fingerprints = (list: unknown): readonly string[] =>
      (list as { holder?: string; role: string; fingerprint: string }[]).map((one) => one.fingerprint);
    const { keys } = must(await alice.at("trust", "show", "--json")).json();
    // The letters of bob's own command are those that alice sees.
    for (const one of fingerprints(made.keys).slice(1)) expect(fingerprints(keys)).toContain(one);
    const list = must(await alice.at("operator", "list", "--json")).json();
    expect(fingerprints(list.operators)).toContain(fingerprints(made.keys)[0]!);
  });
});

describe("trust rotate", () => {
  test("a new root key: the old file signs until it is in force", async () => {
    using all = await colleagues();
    const { alice } = all;
    const old = readFileSync(join(alice.keys, "root.key"), "utf8");
    const before = rootOf(alice).keys;
    const said = must(await alice.at("trust", "rotate", "root", "--yes"));
    expect(said.stderr).toContain("~ alice: new ROOT key ");
    expect(readFileSync(join(alice.keys, "root.1.key"), "utf8")).toBe(old);
    expect(readFileSync(join(alice.keys, "root.key"), "utf8")).not.toBe(old);
    must(await alice.at("trust", "apply"));
    const keys = rootOf(alice).keys;
    expect(keys.map((one) => one.role)).toEqual(["root", "admin", "recovery"]);
    expect(keys.map((one, i) => Buffer.compare(one.key, before[i]!.key) === 0)).toEqual([false, true, true]);
    // The new key signs what comes next.
    must(await alice.at("trust", "rotate", "admin", "--yes"));
    must(await alice.at("trust", "apply"));
    must(await alice.at("trust", "rotate", "recovery", "--yes"));
    must(await alice.at("trust", "apply"));
    expect([rootOf(alice).version, rosterOf(alice).version, rootOf(alice).escrow.length]).toEqual([4, 4, 1]);
    expect(readdirSync(alice.keys).sort()).toEqual(
      ["admin.2.key", "admin.key", "alice.key", "recovery.3.key", "recovery.key", "root.1.key", "root.key"].sort(),
    );
    expect(await alice.at("trust", "rotate", "operator", "--yes")).toMatchObject({ exit: 2, codes: ["cli.usage"] });
  });

  test("a proposal that was deleted is made again with the same new key", async () => {
    using all = await colleagues();
    const { alice } = all;
    must(await alice.at("trust", "rotate", "admin", "--yes"));
    const made = readFileSync(join(alice.keys, "admin.key"), "utf8");
    const { rmSync } = await import("node:fs");
    rmSync(join(alice.site, "trust/proposed"), { recursive: true });
    // Until then the key that was put aside goes on signing.
    const bobs = await card(alice, all.newcomer(), "bob");
    must(await alice.at("operator", "add", bobs, "--yes"));
    must(await alice.at("trust", "rotate", "admin", "--yes"));
    expect(readFileSync(join(alice.keys, "admin.key"), "utf8")).toBe(made);
    must(await alice.at("trust", "apply"));
    expect(rootOf(alice).version).toBe(2);
  });

  test("a locked key file makes a locked one, for every verb that signs", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bob = all.newcomer();
    const words = join(bob.home, "words");
    writeFileSync(words, "correct horse\n", { mode: 0o600 });
    const lock = ["--passphrase-file", words];
    must(await bob.at("operator", "new", "--holder", "bob", ...EVERY_ROLE, ...lock));
    writeFileSync(join(alice.site, "bob.card"), readFileSync(join(bob.site, "bob.card")));
    must(await alice.at("trust", "propose", "--join", "bob.card", "--yes"), 8);
    bring(alice, bob);
    expect(await bob.at("trust", "sign", "--yes")).toMatchObject({ exit: 3, codes: ["keys.passphrase_needed"] });
    must(await bob.at("trust", "sign", "--yes", ...lock));
    must(await bob.at("trust", "apply"));
    must(await bob.at("trust", "rotate", "root", "--yes", ...lock), 8);
    for (const name of readdirSync(bob.keys)) {
      expect([name, JSON.parse(readFileSync(join(bob.keys, name), "utf8")).lock]).toEqual([name, "scrypt"]);
    }
    must(await bob.at("operator", "remove", "alice", ...lock), 3); // one change at a time
    expect(existsSync(join(bob.keys, "root.2.key"))).toBe(true);
  });
});
