/** The state of a verifier: what an accepted file changes in it, what a refused one does not, and its one text. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { verify } from "../../agent/core/verify.ts";
import { openState, parseState, stateDigest, stateText } from "../../agent/core/verify-state.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import { codeOf } from "../trust/documents.ts";
import * as bases from "./bases.ts";
import { signRaw } from "./raw.ts";
import * as world from "./world.ts";
import { ann, directiveOf } from "./written.ts";

setDefaultTimeout(240_000);

describe("what an accepted file changes", () => {
  const at = { bootMs: world.NOW_MS, unixS: null };
  const judge = (state: typeof world.baseState, bytes: Uint8Array, bootMs = at.bootMs) =>
    verify(world.crypto, state, { ...at, bootMs }, bytes);

  test("a directive burns its generation and challenge; the same again is known, another waits", () => {
    const first = judge(world.baseState, bases.directiveBase.envelope);
    expect(first.state).toMatchObject({
      generation: "8",
      challenges: [],
      trial: {
        ...bases.trial,
        ...{ nonce: "", deadline_ms: world.NOW_MS + 120_000 },
      },
    });
    expect(judge(first.state, bases.directiveBase.envelope)).toEqual({ code: "", problems: [], state: first.state });
    const other = bases.signedDirective({ generation: 9n, note: "other" });
    expect(judge(first.state, other.envelope).code).toBe("apply.trial_pending");
    expect(judge(first.state, other.envelope, world.NOW_MS + 120_000).code).toBe("trust.not_fresh");
  });

  test("a plan uses the challenge up and burns nothing", () => {
    const plan = judge(world.baseState, bases.signedDirective({ action: "plan" }).envelope);
    expect(plan.state).toEqual({ ...world.baseState, challenges: [] });
  });

  test("directive, trial receipt, confirm, receipt: the kept generation is the new parent", () => {
    const burnt = judge(world.baseState, bases.directiveBase.envelope).state;
    const trial = world.receiptAfter(world.logHead, {
      ...{ outcome: "trial", directive_digest: bases.directiveBase.digest, generation: 8n },
      ...{ nonce: bases.trialNonce, deadline_boot_ms: BigInt(bases.trial.deadline_ms) },
    });
    const told = judge(burnt, trial.envelope);
    expect(told.state.trial).toEqual(bases.trial);
    const confirm = world.signed("confirm", bases.confirm(), "bob").envelope;
    const kept = judge(told.state, confirm);
    expect(kept.state).toMatchObject({ parent: bases.trial.directive, trial: null });
    const end = world.receiptAfter(trial, { outcome: "confirmed", directive_digest: bases.directiveBase.digest });
    const logged = judge(kept.state, end.envelope);
    expect(logged.state.log).toMatchObject({ index: "5", head: end.digest.toHex() });
    expect(judge(logged.state, end.envelope).state).toEqual(logged.state);
    const abort = world.signed("confirm", bases.confirm({ verdict: "abort", nonce: world.ZEROS }), "ann").envelope;
    expect(judge(told.state, abort).state).toMatchObject({ parent: world.baseState.parent, trial: null });
  });

  test("a root waits for the roster that is made under it", () => {
    const waiting = judge(world.baseState, bases.root2.envelope);
    expect(waiting.state).toEqual({ ...world.baseState, roots: [bases.root2.envelope.toBase64()] });
    const roster = world.signed(
      "roster",
      { ...world.after(world.roster2), root_digest: bases.root2.digest },
      ...["ann admin", "bob admin"],
    );
    expect(judge(world.baseState, roster.envelope).code).toBe("trust.view");
    expect(judge(waiting.state, roster.envelope).state).toEqual({
      ...world.baseState,
      root: bases.root2.envelope.toBase64(),
      roster: roster.envelope.toBase64(),
    });
    // What is held or came before is no change.
    for (const old of [world.root1, world.roster2, world.roster1]) {
      expect(judge(world.baseState, old.envelope)).toEqual({ code: "", problems: [], state: world.baseState });
    }
  });

  test("root, roster and directive count in their order; in any other one the rest is refused and can come again", () => {
    const under = { root_digest: bases.root2.digest };
    const roster = world.signed("roster", { ...world.after(world.roster2), ...under }, "ann admin", "bob admin");
    const directive = bases.signedDirective({ ...under, roster_digest: roster.digest });
    const files = [bases.root2, roster, directive].map((one) => one.envelope);
    const run = (state: typeof world.baseState, order: readonly number[]) =>
      order.reduce((at_, i) => judge(at_, files[i]!).state, state);
    const end = run(world.baseState, [0, 1, 2]);
    expect(end).toMatchObject({ roster: roster.envelope.toBase64(), generation: "8" });
    for (const order of [
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      const halfway = run(world.baseState, order);
      expect([order, halfway.generation]).toEqual([order, "7"]);
      expect(run(halfway, [0, 1, 2])).toEqual(end);
    }
  });

  test("a key that took itself back signs nothing any more, and may say so again", () => {
    const revoke = world.signed("self-revoke", bases.selfRevoke(), "bob").envelope;
    const revoked = judge(world.baseState, revoke);
    expect(revoked.state.revoked).toEqual([bases.selfRevoke().key.toHex()]);
    expect(judge(revoked.state, revoke).state).toEqual(revoked.state);
    expect(judge(revoked.state, bases.directiveBase.envelope).code).toBe("trust.signer_revoked");
    const carried = world.signed("request", bases.request({ kind: "revoke", revoke }), "ann").envelope;
    expect(judge(world.baseState, carried).state).toEqual(revoked.state);
  });

  test("a submit does what its directive does, a confirm what its confirm does", () => {
    const inside = { kind: "submit", directive: bases.directiveBase.envelope } as const;
    const submit = world.signed("request", bases.request(inside), "ann").envelope;
    expect(judge(world.baseState, submit).state).toEqual(judge(world.baseState, bases.directiveBase.envelope).state);
    const confirm = world.signed("confirm", bases.confirm(), "ann").envelope;
    const asked = world.signed("request", bases.request({ kind: "confirm", confirm }), "ann").envelope;
    expect(judge(world.baseState, asked).code).toBe("confirm.unknown_trial");
  });

  test("an enrolment ends with the roster that names this router", () => {
    const state = { ...world.baseState, ...bases.notEnrolled, token: bases.tokenText };
    const enrol = (trust: Uint8Array[]): Uint8Array =>
      world.signed("request", bases.request({ kind: "enrol", trust }), "throw-away").envelope;
    expect(judge(state, enrol([])).state).toEqual(state);
    expect(judge(state, enrol([world.roster2.envelope])).state.roster).toBe(world.baseState.roster);
    expect(judge(state, enrol([world.roster1.envelope])).code).toBe("agent.not_named");
  });

  test("an envelope of no known kind is refused for its bytes, or as no kind", () => {
    expect(judge(world.baseState, Uint8Array.of(10)).code).toBe("wire.truncated");
    expect(judge(world.baseState, signRaw("spell", directiveOf(), ann)).code).toBe("trust.wrong_kind");
  });
});

describe("the state of a verifier", () => {
  test("has one digest, whatever the layout of its file", () => {
    const text = stateText(world.baseState);
    const turned = Object.fromEntries(Object.entries(world.baseState).toReversed());
    const again = parseState(JSON.stringify(turned, null, 4));
    expect(again.ok && stateText(again.value)).toBe(text);
    expect(stateDigest(world.baseState)).toBe(sha256Hex(text.trimEnd()));
  });

  test("is refused when it is not one", () => {
    const texts = ["", "[]", "{}", JSON.stringify({ ...world.baseState, more: 1 })];
    for (const text of texts) expect(codeOf(parseState(text))).toBe("cli.verify_state");
    const change = { root: world.roster1.envelope.toBase64() };
    expect(codeOf(openState(world.crypto, { ...world.baseState, ...change }))).toBe("trust.wrong_kind");
  });
});
