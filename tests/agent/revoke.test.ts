/** A key that takes itself back: at once, for good, whoever brings its word; a trial that it began goes on without it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SignKeys } from "../../agent/core/crypto.ts";
import { signStatement } from "../../agent/core/dsse.ts";
import { openStore } from "../../agent/host/store.ts";
import type { Parts } from "../../agent/ports.ts";
import { createRevocations } from "../../agent/revocations.ts";
import { sha256 } from "../../schemas/digest.ts";
import type { Request } from "../../schemas/directive.ts";
import { limits } from "../../schemas/limits.ts";
import type { SelfRevoke } from "../../schemas/trust.ts";
import { freshPath, newPlace, type Place } from "./machine.ts";
import { ask, crypto, makeSite, nextRoster, type Reply, receiptOf } from "./operator.ts";
import { begin, bundleOf, confirmOver, push, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

const team = () => makeSite([{ risk_class: "trust", threshold: 1 }]);

/** The word of a key about itself, or about `change.key`. */
function wordOf(place: Place, keys: SignKeys, change: Partial<SelfRevoke> = {}): Uint8Array {
  const message = { network_id: place.site.root.message.network_id, key: keys.publicKey, reason: "lost", ...change };
  return signStatement(crypto, "self-revoke", message, [keys]).envelope;
}

const send = (place: Place, request: Partial<Request>, by: SignKeys): Promise<Reply> =>
  ask(place.site, place.desk.send, request, place.session.router, by);

const revoke = (place: Place, word: Uint8Array, by: SignKeys): Promise<Reply> =>
  send(place, { kind: "revoke", revoke: word }, by);

describe("a key that takes itself back", () => {
  test("counts for nothing from the answer on, through a restart, and may say it again", async () => {
    const place = await newPlace(team());
    const { bob, operator } = place.site;
    const word = wordOf(place, bob.sign);
    expect((await send(place, { kind: "status" }, bob.sign)).status).toBe(200);
    expect((await revoke(place, word, bob.sign)).answer).toMatchObject({ code: "", problems: [] });
    for (let process = 0; process < 2; process += 1) {
      expect((await send(place, { kind: "status" }, bob.sign)).status).toBe(403);
      expect((await send(place, { kind: "beacon" }, bob.sign)).status).toBe(403);
      expect((await place.session.status()).revoked).toEqual([bob.sign.publicKey]);
      // Who did not hear the answer asks again; anybody may bring the word.
      expect((await revoke(place, word, bob.sign)).answer?.code).toBe("");
      expect((await revoke(place, word, operator.sign)).answer?.code).toBe("");
      expect(readdirSync(join(place.desk.folder, "state/trust")).filter((name) => name.startsWith("revoke."))).toEqual([
        "revoke.1.dsse",
      ]);
      // Its directives are refused, whoever carries them, and alone or with another's signature.
      for (const keys of [[bob.sign], [bob.sign, operator.sign]]) {
        const directive = await signedBy(place, bundleOf(), {}, ...keys);
        expect((await place.session.submit(directive)).code).toBe("trust.signer_revoked");
      }
      await place.restart();
    }
    place.close();
  });

  test("is believed only from itself, for this network", async () => {
    const place = await newPlace(team());
    const { bob, operator } = place.site;
    const stranger = crypto.signKeys();
    const code = async (word: Uint8Array): Promise<string | undefined> =>
      (await revoke(place, word, operator.sign)).answer?.code;
    expect(await code(wordOf(place, operator.sign, { key: bob.sign.publicKey }))).toBe("trust.signer_unknown");
    expect(await code(wordOf(place, stranger))).toBe("trust.signer_unknown");
    expect(await code(wordOf(place, bob.sign, { network_id: new Uint8Array(16) }))).toBe("trust.network");
    expect(await code(place.site.roster.envelope)).toBe("trust.wrong_kind");
    expect((await revoke(place, wordOf(place, bob.sign), stranger)).status).toBe(403);
    expect((await place.session.status()).revoked).toEqual([]);
    place.close();
  });

  test("is heard while its own directive is on the way, and nothing is burnt", async () => {
    const place = await newPlace(team());
    const { bob } = place.site;
    const directive = await signedBy(place, bundleOf(), {}, bob.sign);
    const submitted = place.session.submit(directive);
    // It is admitted and proven by then; the ruleset is being rehearsed.
    while (!existsSync(join(place.desk.folder, "run/rehearse.nft"))) await Bun.sleep(1);
    await revoke(place, wordOf(place, bob.sign), bob.sign);
    expect((await submitted).problems).toEqual([
      { code: "trust.signer_revoked", path: "directive.signatures[0]", detail: "the operator took the key back" },
    ]);
    expect((await place.session.status()).generation).toBe(0n);
    place.close();
  });

  test("leaves its trial to the others: it can neither confirm nor abort it", async () => {
    const place = await newPlace(team());
    const { bob, operator } = place.site;
    const directive = await signedBy(place, bundleOf(), {}, bob.sign);
    const { nonce } = await begin(place, directive);
    await revoke(place, wordOf(place, bob.sign), bob.sign);
    const status = await place.session.status();
    expect(status.pending).toMatchObject({ generation: 1n, author: "bob" });
    // Its own requests are a stranger's; in another's hands its word is refused by name.
    for (const verdict of ["commit", "abort"] as const) {
      const answer = await confirmOver(place, freshPath("api:10.0.0.1"), directive, nonce, verdict, bob.sign);
      expect(answer.code).toBe("trust.signer_revoked");
    }
    expect(place.desk.agent.runner.state().name).toBe("trial");
    const kept = await confirmOver(place, freshPath("api:10.0.0.1"), directive, nonce, "commit", operator.sign);
    expect(receiptOf(kept.receipt)).toMatchObject({ outcome: "confirmed", confirmed_by: "ann" });
    place.close();
  });

  test("is no longer shown once a roster says the same, and stays revoked when one forgets it", async () => {
    const place = await newPlace(team());
    const { bob } = place.site;
    await revoke(place, wordOf(place, bob.sign), bob.sign);
    const { operators } = place.site.roster.message;
    const [ann, other] = operators;
    const listed = nextRoster(place.site, { operators: [ann!, { ...other!, status: "revoked" }] });
    await push(place, await signedBy(place, bundleOf(), {}), [listed.envelope]);
    expect((await place.session.status()).revoked).toEqual([]);
    const forgot = nextRoster(place.site, { operators });
    const again = await signedBy(place, bundleOf(), { risk_class: "trust", accept_unproven: ["rescue"] });
    await push(place, again, [forgot.envelope]);
    expect((await place.session.status()).revoked).toEqual([bob.sign.publicKey]);
    expect((await send(place, { kind: "status" }, bob.sign)).status).toBe(403);
    place.close();
  });
});

test("as many keys are remembered as a roster can have operators; what goes first is none of them", () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-revoke-"));
  const parts = { store: openStore({ state: join(folder, "state"), run: folder }), crypto } as unknown as Parts;
  const site = makeSite();
  const word = (keys: SignKeys): Uint8Array =>
    signStatement(
      crypto,
      "self-revoke",
      { network_id: site.root.message.network_id, key: keys.publicKey, reason: "" },
      [keys],
    ).envelope;
  const keys = Array.from({ length: limits.selfRevocations + 2 }, (_, i) => crypto.signKeys(sha256(`key ${i}`)));
  const first = keys[0]!;
  const [entry] = site.roster.message.operators;
  const roster = { ...site.roster.message, operators: [{ ...entry!, sign_key: first.publicKey }] };
  const revocations = createRevocations(parts);
  for (const one of keys) revocations.add(one.publicKey, word(one), roster);
  const expected = keys.filter((_, i) => i !== 1 && i !== 2).map((one) => one.publicKey);
  expect(revocations.keys()).toEqual(expected);
  expect(createRevocations(parts).keys()).toEqual(expected);
  rmSync(folder, { recursive: true, force: true });
});
