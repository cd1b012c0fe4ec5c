/** Proposals that somebody tampered with, and signatures that must not count. Nothing of it comes into force. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Opened } from "../../agent/core/dsse.ts";
import {
  bring,
  card,
  colleagues,
  EVERY_ROLE,
  forgedPair,
  must,
  pairOf,
  roleKeys,
  rootOf,
  trustFiles,
} from "./colleagues.ts";
import type { Place } from "./place.ts";

setDefaultTimeout(240_000); // each command is a process of its own

/** Puts a document where proposals are. */
function put(place: Place, one: Opened<"root"> | Opened<"roster">, version = one.message.version): void {
  mkdirSync(join(place.site, "trust/proposed"), { recursive: true });
  writeFileSync(join(place.site, `trust/proposed/${one.kind}.${version}.dsse`), one.envelope);
}

/** What show, sign and apply say of a site whose proposals are no good; none of them changes a file. */
async function refusals(place: Place): Promise<readonly string[]> {
  const before = place.picture();
  const said = [
    await place.at("trust", "show"),
    await place.at("trust", "sign", "--yes"),
    await place.at("trust", "apply"),
  ];
  expect(said.map((one) => one.exit)).toEqual([3, 3, 3]);
  // What is in force is shown all the same.
  expect(said[0]?.stdout).toContain("must sign");
  expect(place.picture()).toEqual(before);
  expect(new Set(said.map((one) => one.codes.join())).size).toBe(1);
  return said[0]!.codes;
}

/** Alice's proposal that bob joins, in the copies of both. */
async function proposed(alice: Place, bob: Place): Promise<void> {
  await card(alice, bob, "bob", ...EVERY_ROLE);
  must(await alice.at("trust", "propose", "--join", "bob.card", "--yes"), 8);
  bring(alice, bob);
}

describe("proposals that are refused", () => {
  test("one bit of the file is another: trust.bad_signature, with the file's name", async () => {
    using all = await colleagues();
    const bob = all.newcomer();
    await proposed(all.alice, bob);
    const path = join(bob.site, "trust/proposed/root.2.dsse");
    const bytes = readFileSync(path);
    bytes[Math.floor(bytes.length / 3)]! ^= 1;
    writeFileSync(path, bytes);
    expect(await refusals(bob)).toEqual(["trust.bad_signature"]);
    expect((await bob.at("trust", "sign", "--yes")).stderr).toContain("at trust/proposed/root.2.dsse ");
    writeFileSync(path, "no envelope");
    expect((await refusals(bob))[0]).toStartWith("wire.");
  });

  test("a signer who has no part in the role: trust.signer_unknown", async () => {
    using all = await colleagues();
    const { alice } = all;
    const [root, admin] = [await roleKeys(alice, "root"), await roleKeys(alice, "admin")];
    // Alice's ADMIN key cosigns the root, where it is nobody's.
    const pair = forgedPair(alice, (one) => ({ ...one, classes: [{ risk_class: "trust", threshold: 1 }] }), {
      root: [...root, ...admin],
      admin,
    });
    put(alice, pair.root);
    put(alice, pair.roster);
    expect(await refusals(alice)).toEqual(["trust.signer_unknown"]);
  });

  test("a root that makes one person enough for three: trust.thresholds", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bob = all.newcomer();
    await pairOf(alice, bob);
    const signers = { root: await roleKeys(alice, "root"), admin: await roleKeys(alice, "admin") };
    const pair = forgedPair(alice, (one) => ({ ...one, root_threshold: 1, solo: true }), signers);
    put(alice, pair.root);
    put(alice, pair.roster);
    expect(await refusals(alice)).toEqual(["trust.thresholds"]);
  });

  test("of another network, off the chain, or under another number: trust.network, trust.chain, cli.proposal", async () => {
    using all = await colleagues();
    const { alice } = all;
    const signers = { root: await roleKeys(alice, "root"), admin: await roleKeys(alice, "admin") };
    const fine = forgedPair(alice, (one) => one, signers);
    put(alice, forgedPair(alice, (one) => ({ ...one, network_id: new Uint8Array(16).fill(7) }), signers).root);
    expect(await refusals(alice)).toEqual(["trust.network"]);
    put(alice, forgedPair(alice, (one) => ({ ...one, prev_digest: new Uint8Array(32).fill(7) }), signers).root);
    expect(await refusals(alice)).toEqual(["trust.chain"]);
    rmSync(join(alice.site, "trust/proposed/root.2.dsse"));
    put(alice, forgedPair(alice, (one) => ({ ...one, version: 3 }), signers).root, 2);
    expect(await refusals(alice)).toEqual(["cli.proposal"]);
    put(alice, fine.root, 3);
    expect(await refusals(alice)).toEqual(["cli.proposal"]);
    rmSync(join(alice.site, "trust/proposed"), { recursive: true });
    // A roster of a root that is not there; a root that no roster names.
    put(alice, fine.roster);
    expect(await refusals(alice)).toEqual(["trust.view"]);
    rmSync(join(alice.site, "trust/proposed"), { recursive: true });
    put(alice, fine.root);
    expect(await alice.at("trust", "sign", "--yes")).toMatchObject({ exit: 3, codes: ["trust.view"] });
    expect(await alice.at("trust", "apply")).toMatchObject({ exit: 3, codes: ["trust.view"] });
    expect(trustFiles(alice)).toEqual(["root.1.dsse", "roster.1.dsse"]);
  });

  test("of a version that is in force: shown as overtaken, and nothing is open: cli.no_proposal", async () => {
    using all = await colleagues();
    const { alice } = all;
    mkdirSync(join(alice.site, "trust/proposed"));
    copyFileSync(join(alice.site, "trust/roster.1.dsse"), join(alice.site, "trust/proposed/roster.1.dsse"));
    const shown = must(await alice.at("trust", "show"));
    expect(shown.stdout).toContain("No proposal waits.\ntrust/proposed/roster.1.dsse was overtaken: delete it.");
    expect(await alice.at("trust", "sign", "--yes")).toMatchObject({ exit: 3, codes: ["cli.no_proposal"] });
    expect(await alice.at("trust", "apply")).toMatchObject({ exit: 3, codes: ["cli.no_proposal"] });
  });
});

describe("signatures", () => {
  test("two keys of one person do not make two: trust.threshold", async () => {
    using all = await colleagues();
    const { alice } = all;
    const bob = all.newcomer();
    const carol = all.newcomer();
    await pairOf(alice, bob);
    // Alice and bob once agreed to a second pair of keys for alice; carol's machine only makes them.
    bring(alice, carol);
    must(await carol.at("operator", "new", "--holder", "carol", "--plain", ...EVERY_ROLE));
    const [second] = await roleKeys(carol, "root");
    const [own, theirs] = [await roleKeys(alice, "root"), await roleKeys(bob, "root")];
    const admins = [...(await roleKeys(alice, "admin")), ...(await roleKeys(bob, "admin"))];
    const both = forgedPair(
      alice,
      (one) => ({
        ...one,
        keys: [...one.keys, { role: "root" as const, key: second!.sign.publicKey, holder: "alice" }],
      }),
      { root: [...own, ...theirs], admin: admins },
    );
    put(alice, both.root);
    put(alice, both.roster);
    must(await alice.at("trust", "apply"));
    // Now both of alice's keys sign a root without bob.
    const pair = forgedPair(alice, (one) => ({ ...one, classes: [{ risk_class: "trust", threshold: 2 }] }), {
      root: [...own, second!],
      admin: admins,
    });
    expect(pair.root.signers.length).toBe(2);
    put(alice, pair.root);
    put(alice, pair.roster);
    const shown = must(await alice.at("trust", "show"));
    expect(shown.stdout).toContain("ROOT of root 3, 2 needed: signed by alice; 1 of bob missing");
    const before = alice.picture();
    expect(await alice.at("trust", "apply")).toMatchObject({ exit: 3, codes: ["trust.threshold"] });
    expect(alice.picture()).toEqual(before);
  });

  test("somebody without a key in the role cannot sign: keys.no_part, keys.missing", async () => {
    using all = await colleagues();
    const { alice } = all;
    const [bob, carol] = [all.newcomer(), all.newcomer()];
    await card(alice, bob, "bob", ...EVERY_ROLE);
    must(await alice.at("trust", "propose", "--join", "bob.card", "--yes"), 8);
    bring(alice, carol);
    const before = carol.picture();
    expect(await carol.at("trust", "sign", "--yes")).toMatchObject({ exit: 3, codes: ["keys.missing"] });
    expect(carol.picture()).toEqual(before);
    must(await carol.at("operator", "new", "--holder", "carol", "--plain", ...EVERY_ROLE));
    const stranger = await carol.at("trust", "sign", "--yes");
    expect(stranger).toMatchObject({ exit: 3, codes: ["keys.no_part"] });
    // The change is read out before the keys are looked at.
    expect(stranger.stderr).toContain("+ bob: ROOT key ");
    expect(await carol.at("trust", "propose", "--drop", "alice", "--yes")).toMatchObject({ exit: 3 });
    // The same person twice adds nothing.
    const said = must(await alice.at("trust", "sign", "--yes"), 8);
    expect(said.stdout).toContain("Signed already.");
  });

  test("off a terminal nobody is asked, and nothing is signed: cli.not_a_terminal", async () => {
    using all = await colleagues();
    const bob = all.newcomer();
    await proposed(all.alice, bob);
    const before = bob.picture();
    expect(await bob.at("trust", "sign")).toMatchObject({ exit: 2, codes: ["cli.not_a_terminal"] });
    const no = await bob.type(["trust", "sign"], [{ after: "[yes/no] ", keys: "no\r" }], bob.site);
    expect([no.exit, no.screen.includes("Sign root 2 and roster 2?")]).toEqual([3, true]);
    expect(bob.picture()).toEqual(before);
  });
});

describe("trust apply", () => {
  test("a run that was cut after the root is finished by the next: cli.trust_half", async () => {
    using all = await colleagues();
    const bob = all.newcomer();
    await proposed(all.alice, bob);
    must(await bob.at("trust", "sign", "--yes"));
    copyFileSync(join(bob.site, "trust/proposed/root.2.dsse"), join(bob.site, "trust/root.2.dsse"));
    const half = await bob.at("trust", "show");
    expect(half).toMatchObject({ exit: 3, codes: ["cli.trust_half"] });
    expect(half.stderr).toContain("next: holdfast trust apply finishes what was cut");
    must(await bob.at("trust", "apply"));
    expect([rootOf(bob).version, trustFiles(bob, "trust/proposed")]).toEqual([2, []]);
    // Without the proposals nobody can guess the roster.
    rmSync(join(bob.site, "trust/roster.2.dsse"));
    expect(await bob.at("trust", "apply")).toMatchObject({ exit: 3, codes: ["cli.trust_half"] });
  });

  test("a roster of that number came from another copy of the site: nothing of the pair is applied", async () => {
    using all = await colleagues();
    const { alice } = all;
    const [bob, other] = [all.newcomer(), all.newcomer()];
    must(await alice.at("trust", "propose", "--join", await card(alice, bob, "bob", ...EVERY_ROLE), "--yes"), 8);
    bring(alice, bob);
    must(await bob.at("trust", "sign", "--yes"));
    cpSync(alice.keys, other.keys, { recursive: true });
    must(await other.at("operator", "new", "--holder", "dora", "--plain"));
    must(await other.at("operator", "add", "dora.card", "--yes"));
    copyFileSync(join(other.site, "trust/roster.2.dsse"), join(bob.site, "trust/roster.2.dsse"));
    expect(await bob.at("trust", "apply")).toMatchObject({ exit: 3, codes: ["trust.view"] });
    expect(trustFiles(bob)).toEqual(["root.1.dsse", "roster.1.dsse", "roster.2.dsse"]);
    expect(trustFiles(bob, "trust/proposed")).toEqual(["root.2.dsse", "roster.2.dsse"]);
  });
});
