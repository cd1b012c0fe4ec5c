/** A roster that changes who gets in is tried like a ruleset: nobody's way in depends on a key that nobody has used. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { operatorRescueAddress } from "../../agent/core/compile/rescue.ts";
import type { SignKeys } from "../../agent/core/crypto.ts";
import { signStatement } from "../../agent/core/dsse.ts";
import { toBase64 } from "../../schemas/digest.ts";
import type { Directive } from "../../schemas/directive.ts";
import type { Operator } from "../../schemas/trust.ts";
import { freshPath, newPlace, type Place } from "./machine.ts";
import { ask, crypto, makeSite, nextRoster, operatorEntry, receiptOf } from "./operator.ts";
import { begin, bundleOf, confirmOver, push, settled, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

const team = () => makeSite([{ risk_class: "sensitive", threshold: 1 }]);
const trust: Partial<Directive> = { risk_class: "trust" };
const unproven: Partial<Directive> = { ...trust, accept_unproven: ["rescue"] };
const api = "api:10.0.0.1";
const typo = toBase64(crypto.boxKeys().publicKey);

/** Lane keys that the kernel lets in now, with what each may call itself. */
const peersOf = (place: Place): Readonly<Record<string, string>> => {
  const link = place.machine.kernel.links.find((one) => one.name === "hf-rescue");
  return Object.fromEntries((link?.peers ?? []).map((peer) => [peer.publicKey, peer.allowedIps.join(",")]));
};

const addressOf = (place: Place, laneKey: string): string =>
  operatorRescueAddress(place.site.root.message.network_id, laneKey);

/** An arrival through the rescue lane with that lane key. */
const withKey = (place: Place, laneKey: string) => freshPath("rescue", addressOf(place, laneKey));

/** A site with its first generation kept, and entries of its operators. */
async function start(site = makeSite()) {
  const place = await newPlace(site);
  await push(place, await signedBy(place, bundleOf(), {}));
  const ann = site.roster.message.operators[0]!;
  return { place, site, ann, bob: operatorEntry("bob", site.bob) };
}

/** A directive that brings a roster with these operators. */
async function withOperators(place: Place, operators: Operator[], more = trust, ...keys: SignKeys[]) {
  const roster = nextRoster(place.site, { operators });
  return { roster, directive: await signedBy(place, bundleOf(), more, ...keys) };
}

const codes = async (answer: ReturnType<typeof confirmOver>) => {
  const { code, problems } = await answer;
  return [code, problems.map((one) => `${one.path}: ${one.detail}`)];
};

describe("an operator more", () => {
  test("is believed when that key arrives over the rescue lane, and not before", async () => {
    const { place, ann, bob } = await start();
    const { roster, directive } = await withOperators(place, [ann, bob]);
    const { nonce } = await begin(place, directive, [roster.envelope]);
    // Both get in from the moment of the trial.
    expect(Object.keys(peersOf(place)).sort()).toEqual([ann.lane_key, bob.lane_key].sort());
    expect(await codes(confirmOver(place, freshPath(api), directive, nonce))).toEqual([
      "confirm.lane_unproven",
      ["rescue: not proven yet"],
    ]);
    expect(await codes(confirmOver(place, withKey(place, ann.lane_key), directive, nonce))).toEqual([
      "confirm.lane_unproven",
      ["rescue: an operator must arrive over it with a key that is new"],
    ]);
    const kept = await confirmOver(
      place,
      withKey(place, bob.lane_key),
      directive,
      nonce,
      "commit",
      place.site.bob.sign,
    );
    expect(receiptOf(kept.receipt)).toMatchObject({
      ...{ outcome: "confirmed", confirmed_by: "bob", confirmed_lane: "rescue" },
    });
    place.close();
  });

  test("takes the class trust, and may be waved through while an old key still works", async () => {
    const { place, ann, bob } = await start();
    const { roster, directive } = await withOperators(place, [ann, bob], { risk_class: "sensitive" });
    const answer = await place.session.submit(directive, [roster.envelope]);
    expect([answer.code, answer.problems[0]?.detail]).toEqual([
      "admit.risk_class",
      "the directive says sensitive, the change is trust: it brings other operators",
    ]);
    expect((await place.session.status()).roster_version).toBe(2);
    expect((await push(place, await signedBy(place, bundleOf(), unproven), [roster.envelope])).outcome).toBe(
      "confirmed",
    );
    place.close();
  });
});

describe("a roster with a mistyped lane key", () => {
  test("cannot be confirmed, rolls back to the old keys, and is mended by the next roster", async () => {
    const { place, site, ann } = await start();
    const before = peersOf(place);
    const { roster, directive } = await withOperators(place, [{ ...ann, lane_key: typo }]);
    const { nonce } = await begin(place, directive, [roster.envelope]);
    // The old key gets in as before, each at an address of its own; but that proves nothing of the new one.
    expect(peersOf(place)).toEqual({ ...before, [typo]: `${addressOf(place, typo)}/128` });
    for (const path of [freshPath(api), withKey(place, ann.lane_key)]) {
      expect((await confirmOver(place, path, directive, nonce)).code).toBe("confirm.lane_unproven");
    }
    place.machine.pass(11);
    await settled(place);
    expect(receiptOf((await place.session.submit(directive)).receipt)).toMatchObject({
      ...{ outcome: "rolled_back", cause: "confirm.window_expired" },
    });
    expect(peersOf(place)).toEqual(before);
    // The roster is a fact that the admins signed; the way in is that of the kept generation.
    expect(await place.session.status()).toMatchObject({ roster_version: 3, roster_digest: roster.digest });
    // A small change under it would bring the same key: it is no routine, and needs the same proof.
    const small = await signedBy(place, bundleOf(1), { risk_class: "routine" });
    expect((await place.session.submit(small)).code).toBe("admit.risk_class");
    const again = await signedBy(place, bundleOf(1), trust);
    const second = await begin(place, again);
    expect((await confirmOver(place, freshPath(api), again, second.nonce)).code).toBe("confirm.lane_unproven");
    await confirmOver(place, freshPath(api), again, second.nonce, "abort");
    await settled(place);
    // With the key that the kept generation has, nothing is new.
    const mended = nextRoster(site, { operators: [ann] });
    await push(place, await signedBy(place, bundleOf(1), { risk_class: "routine" }), [mended.envelope]);
    expect(peersOf(place)).toEqual(before);
    place.close();
  });

  test("is mended after a reboot in the middle of the trial as well", async () => {
    const { place, site, ann } = await start();
    const before = peersOf(place);
    const { roster, directive } = await withOperators(place, [{ ...ann, lane_key: typo }]);
    await begin(place, directive, [roster.envelope]);
    await place.machine.reboot();
    expect(peersOf(place)).toEqual(before);
    await place.restart();
    await settled(place);
    const mended = nextRoster(site, { operators: [ann] });
    await push(place, await signedBy(place, bundleOf(1), { risk_class: "routine" }), [mended.envelope]);
    place.close();
  });
});

describe("the last holder who gets in", () => {
  test("cannot be replaced without a proof", async () => {
    const { place, ann } = await start();
    const { roster, directive } = await withOperators(place, [{ ...ann, lane_key: typo }], unproven);
    expect((await place.session.submit(directive, [roster.envelope])).code).toBe("trust.last_holder");
    expect((await place.session.status()).roster_version).toBe(2);
    // With the proof it can.
    const proven = await signedBy(place, bundleOf(), trust);
    const { nonce } = await begin(place, proven, [roster.envelope]);
    const kept = await confirmOver(place, withKey(place, typo), proven, nonce);
    expect(receiptOf(kept.receipt).outcome).toBe("confirmed");
    expect(Object.keys(peersOf(place))).toEqual([typo]);
    place.close();
  });

  test("is not one who took his own key back", async () => {
    const { place, site, ann, bob } = await start(team());
    const { roster, directive } = await withOperators(place, [{ ...ann, lane_key: typo }, bob], unproven);
    const word = { network_id: site.root.message.network_id, key: site.bob.sign.publicKey, reason: "lost" };
    const revoke = signStatement(crypto, "self-revoke", word, [site.bob.sign]).envelope;
    expect((await place.session.ask({ kind: "revoke", revoke })).code).toBe("");
    expect((await place.session.submit(directive, [roster.envelope])).code).toBe("trust.last_holder");
    place.close();
  });

  test("is one whose key stays, when another's is mistyped", async () => {
    const { place, ann, bob } = await start(team());
    const { roster, directive } = await withOperators(place, [{ ...ann, lane_key: typo }, bob], unproven);
    expect((await push(place, directive, [roster.envelope])).outcome).toBe("confirmed");
    place.close();
  });
});

describe("an operator who goes", () => {
  test("keeps the lane until the confirm", async () => {
    const { place, ann, bob } = await start(team());
    const { roster, directive } = await withOperators(place, [ann, { ...bob, status: "revoked" }]);
    const { nonce } = await begin(place, directive, [roster.envelope]);
    expect(Object.keys(peersOf(place)).sort()).toEqual([ann.lane_key, bob.lane_key].sort());
    // Nothing on the lane is new, so any lane proves it.
    expect(receiptOf((await confirmOver(place, freshPath(api), directive, nonce)).receipt).outcome).toBe("confirmed");
    await settled(place);
    expect(Object.keys(peersOf(place))).toEqual([ann.lane_key]);
    place.close();
  });

  test("loses it at once when the laptop is stolen, and the word of its key with the roster", async () => {
    const { place, site, ann, bob } = await start(team());
    const { roster, directive } = await withOperators(place, [ann, { ...bob, status: "stolen" }]);
    await begin(place, directive, [roster.envelope]);
    expect(Object.keys(peersOf(place))).toEqual([ann.lane_key]);
    const thief = () => ask(site, place.desk.send, { kind: "status" }, place.session.router, site.bob.sign);
    expect((await thief()).status).toBe(403);
    // A rollback brings the tunnel of the kept generation back, and none of the thief's authority.
    await confirmOver(place, freshPath(api), directive, new Uint8Array(32), "abort");
    await settled(place);
    expect(Object.keys(peersOf(place)).sort()).toEqual([ann.lane_key, bob.lane_key].sort());
    expect((await thief()).status).toBe(403);
    place.close();
  });
});

describe("two at once", () => {
  test("the second is told whose trial it is, and then on what to build", async () => {
    const { place, site } = await start(team());
    const first = await signedBy(place, bundleOf(1), { risk_class: "routine" });
    const second = await signedBy(place, bundleOf(2), { risk_class: "routine", generation: 3n }, site.bob.sign);
    const { nonce } = await begin(place, first);
    const pending = await place.session.submit(second);
    expect([pending.code, pending.problems[0]?.path]).toEqual(["apply.trial_pending", "trial"]);
    expect(pending.problems[0]?.detail).toMatch(/^generation 2 by ann is trial, ([1-9]|10) s left$/);
    expect((await confirmOver(place, freshPath(api), first, nonce)).code).toBe("");
    await settled(place);
    const stale = await place.session.submit(second);
    expect([stale.code, stale.problems[0]?.detail]).toEqual([
      "trust.parent",
      "the confirmed generation of this router is generation 2 by ann",
    ]);
    expect((await push(place, await signedBy(place, bundleOf(2), {}, site.bob.sign))).signers).toEqual(["bob"]);
    place.close();
  });

  test("of two that arrive together one is tried, and the other hears of it", async () => {
    const { place, site } = await start(team());
    const first = await signedBy(place, bundleOf(1), { risk_class: "routine" });
    const second = await signedBy(place, bundleOf(2), { risk_class: "routine", generation: 3n }, site.bob.sign);
    const answers = await Promise.all([place.session.submit(first), place.session.submit(second)]);
    expect(answers.map((answer) => answer.code)).toEqual(["", "apply.trial_pending"]);
    expect(answers[1]?.problems[0]?.detail).toStartWith("generation 2 by ann is ");
    place.close();
  });
});
