/** Operators come, go and take their own keys back; a card is believed for what it proves and nothing more. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cosignStatement, openStatement, signStatement } from "../../agent/core/dsse.ts";
import { type Card, cardText } from "../../client/cards.ts";
import { fromBase64 } from "../../schemas/digest.ts";
import type { OperatorCard } from "../../schemas/trust.ts";
import {
  bring,
  card,
  colleagues,
  crypto,
  EVERY_ROLE,
  must,
  operatorsOf,
  pairOf,
  rosterOf,
  thresholdsOf,
  trustFiles,
} from "./colleagues.ts";
import { enrolled } from "./enrolled.ts";
import { FakeRouter } from "./fake-router.ts";
import { Place } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

/** The card in a file. */
function readCard(place: Place, name: string): Card {
  const text = readFileSync(join(place.site, name), "latin1").trimEnd();
  const opened = openStatement(crypto, "operator-card", fromBase64(text.replace("HOLDFAST-CARD-1 ", ""))!);
  if (!opened.ok) throw new Error("no card");
  return opened.value;
}

describe("operator new", () => {
  test("makes keys for their owner only, and a card without secrets; a repeat makes the same card", async () => {
    using all = await colleagues();
    const bob = all.newcomer();
    const said = must(await bob.at("operator", "new", "--holder", "bob", "--plain"));
    const letters = /^ {4}(([a-z2-7]{4}-){7}[a-z2-7]{4})$/m.exec(said.stdout)?.[1] ?? "";
    expect(letters).not.toBe("");
    expect(said.stdout).toContain("Next, there: holdfast operator add bob.card.");
    expect(readdirSync(bob.keys)).toEqual(["bob.key"]);
    expect((statSync(join(bob.keys, "bob.key")).mode & 0o777).toString(8)).toBe("600");
    const { seeds } = JSON.parse(readFileSync(join(bob.keys, "bob.key"), "utf8")) as { seeds: string };
    const text = bob.read("bob.card");
    expect(readCard(bob, "bob.card").message).toMatchObject({ holder: "bob", root_key: new Uint8Array() });
    expect(Buffer.from(text.slice(16), "base64").includes(Buffer.from(seeds, "base64").subarray(0, 32))).toBe(false);
    const before = bob.picture();
    const again = must(await bob.at("operator", "new", "--holder", "bob", "--plain", "--json"));
    expect(again.json()).toMatchObject({ holder: "bob", card: "bob.card", fingerprint: letters });
    expect(bob.picture()).toEqual(before);
    // Roles can be added to the person who is there; the card is another one then.
    const first = readCard(bob, "bob.card");
    must(await bob.at("operator", "new", "--holder", "bob", "--plain", "--role", "admin"));
    expect(readCard(bob, "bob.card").message.sign_key).toEqual(first.message.sign_key);
    expect([first.signers.length, readCard(bob, "bob.card").signers.length]).toEqual([1, 2]);
    // A file of somebody else is not: nothing is overwritten.
    writeFileSync(join(bob.site, "notes"), "mine");
    const other = await bob.at("operator", "new", "--holder", "bob", "--plain", "--out", "notes");
    expect([other.codes, bob.read("notes")]).toEqual([["cli.exists"], "mine"]);
  });

  test("one machine has the offline roles of one person: cli.exists", async () => {
    using all = await colleagues();
    const before = all.alice.picture();
    const said = await all.alice.at("operator", "new", "--holder", "bob", "--plain", "--role", "root");
    expect(said).toMatchObject({ exit: 3, codes: ["cli.exists"] });
    for (const [words, code] of [
      [["--holder", "recovery"], "cli.usage"],
      [["--holder", "Bob"], "cli.usage"],
      [["--holder", "bob", "--role", "king"], "cli.usage"],
      [["--plain"], "cli.usage"],
      [["--holder", "bob"], "keys.passphrase_needed"],
    ] as const) {
      expect((await all.alice.at("operator", "new", ...words)).codes).toEqual([code]);
    }
    expect(all.alice.picture()).toEqual(before);
  });

  test("a wrong passphrase leaves no new key file: keys.passphrase", async () => {
    using all = await colleagues();
    const bob = all.newcomer();
    const file = (name: string): string => {
      writeFileSync(join(bob.home, name), `${name}\n`, { mode: 0o600 });
      return join(bob.home, name);
    };
    const words = ["operator", "new", "--holder", "bob", "--role", "admin", "--passphrase-file"];
    must(await bob.at("operator", "new", "--holder", "bob", "--passphrase-file", file("right")));
    expect((await bob.at(...words, file("wrong"), "--out", "a.card")).codes).toEqual(["keys.passphrase"]);
    expect(readdirSync(bob.keys)).toEqual(["bob.key"]);
    must(await bob.at(...words, file("right"), "--out", "a.card"));
    const { lock } = JSON.parse(readFileSync(join(bob.keys, "admin.key"), "utf8")) as { lock: string };
    expect(lock).toBe("scrypt");
  });
});

describe("operator add", () => {
  test("a solo admin needs nobody: the roster is in force, and the push lets both in", async () => {
    using story = await enrolled();
    const { place: alice, router } = story;
    using bob = new Place();
    bring(alice, bob);
    const file = await card(alice, bob, "bob");
    const shown = await alice.at("operator", "add", file);
    expect(shown).toMatchObject({ exit: 2, codes: ["cli.not_a_terminal"] });
    const letters = /^ {4}([a-z2-7-]{39})$/m.exec(shown.stderr)?.[1] ?? "";
    // As it may be typed after a call.
    const typed = letters.toUpperCase().replaceAll("-", " ");
    const added = must(await alice.at("operator", "add", file, "--max-class", "sensitive", "--fingerprint", typed));
    expect(added.stdout).toContain("bob is an operator, up to sensitive, in roster 3.");
    expect(existsSync(join(alice.site, "trust/proposed"))).toBe(false);
    expect(operatorsOf(alice)).toEqual(["alice active recovery", "bob active sensitive"]);
    bring(alice, bob);
    // The router has never heard of bob; he shows the roster that alice signed, and may ask.
    must(await bob.at("status", "--at", router.at));
    expect(router.view?.roster.message.version).toBe(2);
    must(await bob.at("push", "--yes", "--at", router.at));
    expect(router.view?.roster.message.version).toBe(3);
    must(await story.ask("push", "--yes"));
    // A copy that is behind has nothing to show for dora.
    using dora = new Place();
    bring(alice, dora);
    must(await dora.at("operator", "new", "--holder", "dora", "--plain"));
    expect((await dora.at("status", "--at", router.at)).codes).toEqual(["link.refused"]);
  });

  test("a yes at a terminal; a no adds nobody", async () => {
    using all = await colleagues();
    const { alice } = all;
    const file = await card(alice, all.newcomer(), "bob");
    const words = ["operator", "add", file];
    const no = await alice.type(words, [{ after: "[yes/no] ", keys: "no\r" }], alice.site);
    expect([no.exit, operatorsOf(alice).length]).toEqual([3, 1]);
    const yes = await alice.type(
      words,
      [{ after: "read the same letters to you? [yes/no] ", keys: "yes\r" }],
      alice.site,
    );
    expect([yes.exit, operatorsOf(alice).length]).toEqual([0, 2]);
  });

  test("nobody twice: cli.operator_exists", async () => {
    using all = await colleagues();
    const { alice } = all;
    const file = await card(alice, all.newcomer(), "bob");
    must(await alice.at("operator", "add", file, "--yes"));
    expect(await alice.at("operator", "add", file, "--yes")).toMatchObject({ exit: 3, codes: ["cli.operator_exists"] });
    // Another key of the same name, while the first is active.
    copyFileSync(join(alice.site, file), join(alice.site, "old.card"));
    rmSync(join(alice.site, file));
    const second = await card(alice, all.newcomer(), "bob");
    expect((await alice.at("operator", "add", second, "--yes")).codes).toEqual(["cli.operator_exists"]);
    must(await alice.at("operator", "remove", "bob"));
    must(await alice.at("operator", "add", second, "--yes"));
    // The key that was removed never comes back.
    expect((await alice.at("operator", "add", "old.card", "--yes")).codes).toEqual(["cli.operator_exists"]);
    expect(operatorsOf(alice)).toEqual(["alice active recovery", "bob revoked recovery", "bob active recovery"]);
  });
});

describe("a laptop is gone", () => {
  test("the only operator: new keys and the ADMIN key from the drawer", async () => {
    using story = await enrolled();
    const { place: alice, router } = story;
    must(await story.ask("push", "--yes"));
    using laptop = new Place();
    bring(alice, laptop); // from Git
    mkdirSync(laptop.keys, { recursive: true, mode: 0o700 });
    for (const name of ["root.key", "admin.key", "recovery.key"]) {
      copyFileSync(join(alice.keys, name), join(laptop.keys, name));
    }
    must(await laptop.at("operator", "new", "--holder", "alice2", "--plain"));
    must(await laptop.at("operator", "add", "alice2.card", "--yes"));
    must(await laptop.at("operator", "remove", "alice", "--stolen"));
    must(await laptop.at("push", "--yes", "--at", router.at));
    expect(operatorsOf(laptop)).toEqual(["alice stolen recovery", "alice2 active recovery"]);
    expect((await story.ask("status")).codes).toEqual(["link.refused"]);
    expect((await story.ask("push", "--yes")).codes).toEqual(["link.refused"]);
  });

  test("one of a team of three: the others remove it, and its owner comes back with a new card", async () => {
    using all = await colleagues();
    const { alice } = all;
    const [bob, carol, laptop] = [all.newcomer(), all.newcomer(), all.newcomer()];
    await pairOf(alice, bob);
    must(await alice.at("trust", "propose", "--join", await card(alice, carol, "carol", ...EVERY_ROLE), "--yes"), 8);
    bring(alice, bob);
    must(await bob.at("trust", "sign", "--yes"));
    must(await bob.at("trust", "apply"));
    bring(bob, alice);
    // Bob's laptop is stolen, with every key of his on it.
    must(await alice.at("trust", "propose", "--stolen", "bob", "--yes"), 8);
    bring(alice, carol);
    must(await carol.at("trust", "sign", "--yes"));
    must(await carol.at("trust", "apply"));
    bring(carol, alice);
    bring(carol, laptop);
    must(await alice.at("trust", "propose", "--join", await card(alice, laptop, "bob", ...EVERY_ROLE), "--yes"), 8);
    bring(alice, laptop);
    // Bob signs as one of the next root; the one in force asks for carol as well.
    expect(must(await laptop.at("trust", "sign", "--yes"), 8).stdout).toContain("signed by alice; 1 of carol missing");
    expect(await laptop.at("trust", "apply")).toMatchObject({ exit: 3, codes: ["trust.threshold"] });
    bring(laptop, carol);
    must(await carol.at("trust", "sign", "--yes"));
    must(await carol.at("trust", "apply"));
    expect(operatorsOf(carol)).toEqual([
      ...["alice active recovery", "bob stolen recovery", "bob active recovery", "carol active recovery"],
    ]);
    expect(thresholdsOf(carol)).toEqual(["2/3", "2/3", "1/3"]);
  });
});

describe("hostile cards", () => {
  test("each is refused, and nothing is written", async () => {
    using all = await colleagues();
    using elsewhere = new Place();
    await elsewhere.init();
    const { alice } = all;
    const bob = all.newcomer();
    const own = readCard(alice, await card(alice, bob, "bob", ...EVERY_ROLE));
    const mallory = crypto.signKeys();
    const put = (name: string, text: string): string => {
      writeFileSync(join(alice.site, name), text);
      return name;
    };
    const forged = (change: Partial<OperatorCard>, ...keys: (typeof mallory)[]): string =>
      cardText(signStatement(crypto, "operator-card", { ...own.message, ...change }, [mallory, ...keys]));
    const none = { root_key: new Uint8Array(), admin_key: new Uint8Array(), recovery_key: new Uint8Array() };
    must(await elsewhere.at("operator", "new", "--holder", "eve", "--plain"));
    copyFileSync(join(elsewhere.site, "eve.card"), join(alice.site, "eve.card"));
    const bare = { ...none, escrow_key: new Uint8Array(), sign_key: mallory.publicKey };
    const cases: readonly (readonly [file: string, code: string])[] = [
      ["eve.card", "trust.network"],
      // Bob's keys on a card that mallory signed, alone or beside her own.
      [put("stolen.card", forged({})), "trust.card_proof"],
      [
        put("root.card", forged({ ...none, sign_key: mallory.publicKey, root_key: own.message.root_key })),
        "trust.card_proof",
      ],
      [put("more.card", cardText(cosignStatement(crypto, own, mallory))), "trust.card_proof"],
      [
        put("twice.card", forged({ ...bare, lane_key: Buffer.from(own.message.seal_key).toString("base64") })),
        "trust.key_reused",
      ],
      [put("weak.card", forged({ ...bare, seal_key: new Uint8Array(32) })), "trust.key_inadmissible"],
      [put("name.card", forged({ ...bare, holder: "root" })), "cli.card"],
      [put("text.card", "HOLDFAST-CARD-1 !!!!\n"), "cli.card"],
      [put("token.card", "HOLDFAST-TOKEN-1 AAAA\n"), "cli.card"],
      [put("flip.card", alice.read("bob.card").replace(/.{9}$/m, "AAAAAAAAA")), "cli.card"],
      ["nobody.card", "site.missing_file"],
    ];
    const before = alice.picture();
    for (const [file, code] of cases) {
      const said = await alice.at("operator", "add", file, "--yes");
      expect([file, said.exit, said.codes[0]]).toEqual([file, 3, code === "cli.card" ? said.codes[0] : code]);
      if (code === "cli.card") expect(said.codes[0]).toMatch(/^(cli\.card|wire\.|trust\.bad_signature)/);
      const join = await alice.at("trust", "propose", "--join", file, "--yes");
      expect([file, join.exit]).toEqual([file, 3]);
    }
    const letters = ["--fingerprint", "aaaa-bbbb-cccc-dddd"];
    expect((await alice.at("operator", "add", "bob.card", ...letters)).codes).toEqual(["cli.card_fingerprint"]);
    expect((await alice.at("trust", "propose", "--join", "bob.card", ...letters)).codes).toEqual([
      "cli.card_fingerprint",
    ]);
    expect(alice.picture()).toEqual(before);
  });
});

describe("operator remove and list", () => {
  test("a removed key stays listed, stolen is never less, and the last one stays: trust.no_operator", async () => {
    using all = await colleagues();
    const { alice } = all;
    must(await alice.at("operator", "add", await card(alice, all.newcomer(), "bob"), "--yes"));
    expect((await alice.at("operator", "remove", "eve")).codes).toEqual(["cli.no_operator"]);
    must(await alice.at("operator", "remove", "bob", "--stolen"));
    expect(operatorsOf(alice)[1]).toBe("bob stolen recovery");
    const before = alice.picture();
    const again = must(await alice.at("operator", "remove", "bob"));
    expect(again.stdout).toContain("bob is stolen already.");
    expect(await alice.at("operator", "remove", "alice")).toMatchObject({ exit: 3, codes: ["trust.no_operator"] });
    expect(alice.picture()).toEqual(before);
    const list = must(await alice.at("operator", "list"));
    expect(list.stdout).toMatch(/^alice +active +recovery +root admin recovery escrow +([a-z2-7]{4}-){7}[a-z2-7]{4}$/m);
    expect(list.stdout).toMatch(/^bob +stolen +recovery +- +[a-z2-7-]{39}$/m);
  });

  test("several admins: the roster waits, exit 8, and a repeat is the same proposal", async () => {
    using all = await colleagues();
    const { alice } = all;
    const [bob, carol] = [all.newcomer(), all.newcomer()];
    await pairOf(alice, bob);
    const file = await card(alice, carol, "carol");
    const said = must(await alice.at("operator", "add", file, "--yes"), 8);
    expect(said.stdout).toContain("roster 3 waits for signatures in trust/proposed/roster.3.dsse:");
    expect(said.stdout).toContain("ADMIN of root 2, 2 needed: signed by alice; 1 of bob missing");
    const before = alice.picture();
    expect(must(await alice.at("operator", "add", file, "--yes", "--json"), 8).json()).toMatchObject({
      ...{ verb: "operator add", exit: 8, holder: "carol", state: "waiting", version: 3 },
      needs: [{ role: "admin", signed: ["alice"], others: ["bob"] }],
    });
    expect(alice.picture()).toEqual(before);
    expect((await alice.at("operator", "remove", "bob")).codes).toEqual(["cli.proposal_open"]);
    bring(alice, bob);
    // The same change by the other admin completes it as well as trust sign would.
    copyFileSync(join(carol.site, "carol.card"), join(bob.site, "carol.card"));
    must(await bob.at("operator", "add", "carol.card", "--yes"));
    expect([trustFiles(bob, "trust/proposed"), rosterOf(bob).version]).toEqual([[], 3]);
  });

  test("several admins: router enrol waits for the second signature, and goes on after it", async () => {
    using all = await colleagues();
    using router = new FakeRouter();
    const { alice } = all;
    const bob = all.newcomer();
    await pairOf(alice, bob);
    const words = ["router", "enrol", "r1", "--at", router.at];
    const first = alice.at(...words);
    const token = join(alice.site, "r1.token");
    while (!existsSync(token)) await Bun.sleep(10);
    const letters = router.takeToken(token);
    expect((await first).codes).toEqual(["cli.not_a_terminal"]);
    const waits = must(await alice.at(...words, "--fingerprint", letters), 8);
    expect(waits.stdout).toContain("then holdfast router enrol r1 again");
    const before = alice.picture();
    // Neither the router nor a person is asked again while it waits.
    const asked = router.heard.length;
    must(await alice.at(...words), 8);
    expect([router.heard.length, alice.picture()]).toEqual([asked, before]);
    bring(alice, bob);
    const signed = must(await bob.at("trust", "sign", "--yes"));
    expect(signed.stderr).toContain("+ router r1, incarnation 1: active");
    must(await bob.at("trust", "apply"));
    bring(bob, alice);
    expect(must(await alice.at(...words, "--json")).json()).toMatchObject({ router: "r1", roster: 3 });
    expect([existsSync(token), router.view?.roster.message.version]).toEqual([false, 3]);
    // The router knows both from its first day.
    must(await bob.at("status", "--at", router.at));
  });
});
