/** A key that takes itself back: by one person, at once, on every router that hears it, and on the others later. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStatement, signStatement } from "../../agent/core/dsse.ts";
import { bring, card, crypto, must, rootOf, rosterOf } from "./colleagues.ts";
import { type Enrolled, enrolled } from "./enrolled.ts";
import { Place } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

/** Alice's router knows bob; bob has the site. */
async function withBob(): Promise<{ story: Enrolled; alice: Place; bob: Place; [Symbol.dispose](): void }> {
  const story = await enrolled();
  const bob = new Place();
  bring(story.place, bob);
  must(await story.place.at("operator", "add", await card(story.place, bob, "bob"), "--yes"));
  must(await story.ask("push", "--yes"));
  bring(story.place, bob);
  return {
    ...{ story, alice: story.place, bob },
    [Symbol.dispose]() {
      bob[Symbol.dispose]();
      story[Symbol.dispose]();
    },
  };
}

const FILE = "trust/revoked/bob.dsse";

describe("operator revoke", () => {
  test("is signed by the key alone, told to the router, and kept in the site", async () => {
    using world = await withBob();
    const { story, bob } = world;
    const said = must(
      await bob.at("operator", "revoke", "--yes", "--reason", "left on a train", "--at", story.router.at),
    );
    expect(said.stdout).toContain("r1  heard it");
    expect(said.stdout).toContain("holdfast operator remove bob");
    expect(story.router.revocations.length).toBe(1);
    const opened = openStatement(crypto, "self-revoke", story.router.revocations[0]!);
    if (!opened.ok) throw new Error("no revocation");
    const entry = rosterOf(bob).operators.find((one) => one.holder === "bob");
    expect(opened.value.message).toMatchObject({ key: entry!.sign_key, reason: "left on a train" });
    expect(opened.value.signers).toEqual([entry!.sign_key]);
    expect(must(await bob.at("operator", "list")).stdout).toMatch(/^bob +active, took the key back /m);
    expect(must(await bob.at("doctor", "--offline", "--json")).json().findings).toContainEqual({
      ...{ state: "warn", what: "operators" },
      text: "bob took the key back: holdfast operator remove bob",
    });
    // Again, with other words: the same statement, no second file.
    const before = bob.picture();
    must(await bob.at("operator", "revoke", "--yes", "--reason", "again", "--at", story.router.at));
    expect(bob.picture()).toEqual(before);
  });

  test("asks for the name, and anything else takes nothing back: cli.declined, cli.not_a_terminal", async () => {
    using world = await withBob();
    const { story, bob } = world;
    const words = ["operator", "revoke", "--at", story.router.at];
    expect(await bob.at(...words)).toMatchObject({ exit: 2, codes: ["cli.not_a_terminal"] });
    const yes = await bob.type(words, [{ after: "Type bob to take it back: ", keys: "yes\r" }], bob.site);
    expect([yes.exit, existsSync(join(bob.site, FILE)), story.router.revocations.length]).toEqual([3, false, 0]);
    const name = await bob.type(words, [{ after: "Type bob to take it back: ", keys: "bob\r" }], bob.site);
    expect([name.exit, existsSync(join(bob.site, FILE)), story.router.revocations.length]).toEqual([0, true, 1]);
  });

  test("the only operator keeps the key, or routers would need hands: trust.no_operator", async () => {
    using story = await enrolled();
    const before = story.place.picture();
    const said = await story.ask("operator", "revoke", "--yes");
    expect(said).toMatchObject({ exit: 3, codes: ["trust.no_operator"] });
    expect((await story.ask("operator", "revoke", "--yes", "--reason", "x".repeat(201))).codes).toEqual(["cli.usage"]);
    expect([story.place.picture(), story.router.revocations]).toEqual([before, []]);
  });

  test("a key that the roster does not list has nothing to take back: cli.no_operator", async () => {
    using story = await enrolled();
    using bob = new Place();
    bring(story.place, bob);
    must(await bob.at("operator", "new", "--holder", "bob", "--plain"));
    expect((await bob.at("operator", "revoke", "--yes", "--at", story.router.at)).codes).toEqual(["cli.no_operator"]);
  });

  test("a router that is away hears it with the next push of anybody", async () => {
    using world = await withBob();
    const { story, alice, bob } = world;
    const away = await bob.at("operator", "revoke", "--yes", "--at", "127.0.0.1:1", "--json");
    expect(away).toMatchObject({ exit: 5, codes: ["link.unreachable"] });
    expect(away.json()).toMatchObject({
      file: FILE,
      routers: [{ router: "r1", heard: false, code: "link.unreachable" }],
    });
    expect(story.router.revocations.length).toBe(0);
    bring(bob, alice);
    const kinds = () => story.router.heard.map((one) => one.kind);
    const before = kinds().length;
    must(await story.ask("plan"));
    expect(story.router.revocations.length).toBe(1);
    // Before anything is asked of the change.
    const heard = kinds().slice(before);
    expect(heard.indexOf("revoke")).toBeGreaterThanOrEqual(0);
    expect(heard.indexOf("revoke")).toBeLessThan(heard.indexOf("submit"));
    // Once the router holds the roster that says the same, nothing more is sent.
    must(await alice.at("operator", "remove", "bob", "--stolen"));
    must(await story.ask("push", "--yes"));
    const told = story.router.revocations.length;
    must(await story.ask("plan"));
    expect(story.router.revocations.length).toBe(told);
  });

  test("a file that nobody signed with that key stops the push: trust.signer_unknown, trust.network", async () => {
    using world = await withBob();
    const { story, alice } = world;
    mkdirSync(join(alice.site, "trust/revoked"));
    const network_id = rootOf(alice).network_id;
    const key = rosterOf(alice).operators.find((one) => one.holder === "alice")!.sign_key;
    const mallory = crypto.signKeys();
    const put = (message: { network_id: Uint8Array; key: Uint8Array }): void => {
      const forged = signStatement(crypto, "self-revoke", { ...message, reason: "" }, [mallory]);
      writeFileSync(join(alice.site, "trust/revoked/alice.dsse"), forged.envelope);
    };
    put({ network_id, key });
    const said = await story.ask("push", "--yes");
    expect(said).toMatchObject({ exit: 3, codes: ["trust.signer_unknown"] });
    expect(said.stderr).toContain("at trust/revoked/alice.dsse ");
    put({ network_id: new Uint8Array(16), key: mallory.publicKey });
    expect((await story.ask("push", "--yes")).codes).toEqual(["trust.network"]);
    expect(story.router.revocations).toEqual([]);
  });
});
