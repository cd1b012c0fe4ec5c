/** Directives, confirms, requests and answers: one valid base, one change, one code. */
import { describe, expect, test } from "bun:test";
import {
  type AdmitContext,
  admitDirective,
  classThreshold,
  GENESIS,
  openAnswer,
  openConfirm,
  openRequest,
} from "../../agent/core/directive.ts";
import { equalBytes, sha256 } from "../../schemas/digest.ts";
import type { Confirm, Directive, Request } from "../../schemas/directive.ts";
import { limits } from "../../schemas/limits.ts";
import type { Answer } from "../../schemas/report.ts";
import { bytes } from "../wire/bytes.ts";
import { samples } from "../wire/samples.ts";
import {
  after,
  challenge,
  codeOf,
  crypto,
  directive,
  keyReport,
  networkId,
  operator,
  request,
  root1,
  rosterUnder,
  routerEntry,
  routerId,
  signed,
  signer,
  view,
  ZEROS,
} from "./documents.ts";

const logHead = bytes(32, 77);
const beacon = bytes(32, 78); // 100 s old
const none = new Uint8Array();

const context = (change: Partial<AdmitContext> = {}): AdmitContext => ({
  ...{ view, routerId, incarnation: 1, burnt: 0n, parent: GENESIS, keysDigest: keyReport.digest, desiredFormat: 1 },
  logDigestAt: (index) => (index === 0n ? ZEROS : index === 5n ? logHead : undefined),
  challengeIsLive: (one) => equalBytes(one, challenge),
  beaconAgeS: (one) => (equalBytes(one, beacon) ? 100 : undefined),
  ...change,
});

const admit = (change: Partial<Directive>, at: Partial<AdmitContext> = {}, ...signers: string[]): string =>
  codeOf(
    admitDirective(
      crypto,
      context(at),
      signed("directive", directive(change), ...(signers.length > 0 ? signers : ["ada"])).envelope,
    ),
  );

/** A view with this entry for the router. */
const viewWith = (change: Parameters<typeof routerEntry>[1]): AdmitContext["view"] => ({
  root: root1,
  roster: signed("roster", rosterUnder(root1, { routers: [routerEntry("router", change)] }), "ada-admin"),
});

describe("a directive is admitted", () => {
  test("with the names of those who signed, sorted", () => {
    const both = admitDirective(crypto, context(), signed("directive", directive(), "bob", "ada").envelope);
    expect(both.ok && both.value.holders).toEqual(["ada", "bob"]);
    expect(both.ok && both.value.message).toEqual(directive());
  });

  test("as a plan too", () => expect(admit({ action: "plan" })).toBe(""));

  test("up to the longest jump, and above a floor", () => {
    expect(admit({ generation: limits.generationJump })).toBe("");
    expect(admit({ generation: 2n ** 53n + 2n }, { burnt: 2n ** 53n + 1n })).toBe("");
    const floor = viewWith({ generation_floor: 5000n });
    const under = { root_digest: root1.digest, roster_digest: floor.roster.digest };
    expect(admit({ ...under, generation: 5000n }, { view: floor })).toBe("");
    expect(admit({ ...under, generation: 4999n }, { view: floor })).toBe("trust.generation_burnt");
  });

  test("over a log entry that is known", () => {
    expect(admit({ observed_log_index: 5n, observed_log_head: logHead })).toBe("");
  });
});

describe("a directive is refused", () => {
  const refused: Readonly<Record<string, readonly [Partial<Directive>, Partial<AdmitContext>, string]>> = {
    "of another network": [{ network_id: bytes(16, 0) }, {}, "trust.network"],
    "for a sibling router": [{ router_id: bytes(16, 0) }, {}, "trust.router"],
    "for no router": [{ router_id: new Uint8Array(16) }, {}, "trust.router"],
    "for an older incarnation": [{ incarnation: 1 }, { incarnation: 2 }, "trust.incarnation"],
    "for a later incarnation": [{ incarnation: 2 }, {}, "trust.incarnation"],
    "under another root": [{ root_digest: bytes(32, 0) }, {}, "trust.view"],
    "under another roster": [{ roster_digest: bytes(32, 0) }, {}, "trust.view"],
    "with other router keys": [{ keys_digest: bytes(32, 0) }, {}, "trust.keys_digest"],
    "in another format": [{ desired_format: 2 }, {}, "trust.desired_format"],
    "with a generation that is burnt": [{ generation: 7n }, { burnt: 7n }, "trust.generation_burnt"],
    "with an older generation": [{ generation: 6n }, { burnt: 7n }, "trust.generation_burnt"],
    "with generation 0": [{ generation: 0n }, {}, "trust.generation_burnt"],
    "with a jump of 1,025": [{ generation: limits.generationJump + 1n }, {}, "trust.generation_jump"],
    "with the largest generation": [{ generation: 2n ** 64n - 1n }, {}, "trust.generation_jump"],
    "on another parent": [{ parent: bytes(32, 0) }, {}, "trust.parent"],
    "on no parent": [{ parent: ZEROS }, {}, "trust.parent"],
    "on the first parent, later": [{}, { parent: bytes(32, 1) }, "trust.parent"],
    "over an unknown log entry": [{ observed_log_index: 6n, observed_log_head: logHead }, {}, "trust.log_head"],
    "over another log entry": [{ observed_log_index: 5n, observed_log_head: bytes(32, 0) }, {}, "trust.log_head"],
    "over an empty log that is not empty": [{ observed_log_head: logHead }, {}, "trust.log_head"],
    "with a challenge that is not live": [{ challenge: bytes(32, 0) }, {}, "trust.not_fresh"],
    "with a challenge that was used": [{}, { challengeIsLive: () => false }, "trust.not_fresh"],
    "without freshness": [{ challenge: new Uint8Array() }, {}, "trust.not_fresh"],
    "with an unknown beacon": [{ challenge: none, beacon: bytes(32, 0), beacon_max_age_s: 600 }, {}, "trust.beacon"],
    "with a beacon that is too old": [{ challenge: none, beacon, beacon_max_age_s: 99 }, {}, "trust.beacon"],
    "with a beacon that may be too old": [
      { challenge: none, beacon, beacon_max_age_s: limits.beaconSensitiveAgeS + 1, risk_class: "sensitive" },
      {},
      "trust.threshold",
    ],
    "with a challenge and a beacon": [{ beacon, beacon_max_age_s: 600 }, {}, "trust.not_fresh"],
    "with an age but no beacon": [{ beacon_max_age_s: 60 }, {}, "trust.beacon"],
    "of class sensitive by one": [{ risk_class: "sensitive" }, {}, "trust.threshold"],
  };
  for (const [name, [change, at, code]] of Object.entries(refused)) {
    test(`${name}: ${code}`, () => expect(admit(change, at)).toBe(code));
  }

  test("by strangers, admins, the router, and the revoked", () => {
    for (const name of ["mallory", "ada-root", "ada-admin", "ada-recovery", "router"]) {
      expect(admit({}, {}, name)).toBe("trust.signer_unknown");
    }
    expect(admit({}, {}, "eve")).toBe("trust.signer_revoked");
    expect(admit({}, {}, "ada", "mallory")).toBe("trust.signer_unknown");
    expect(admit({}, {}, "ada", "eve")).toBe("trust.signer_revoked");
  });

  test("beyond the class of any signer", () => {
    expect(admit({ risk_class: "sensitive" }, {}, "ada", "bob")).toBe("");
    expect(admit({ risk_class: "sensitive" }, {}, "ada", "tom")).toBe("trust.class_exceeded");
    expect(admit({ risk_class: "trust" }, {}, "bob")).toBe("trust.class_exceeded");
    expect(admit({ risk_class: "recovery" }, {}, "ada")).toBe("trust.class_exceeded");
  });

  test("of a higher class by fewer people than a lower one takes", () => {
    const classes = [
      { risk_class: "sensitive", threshold: 2 },
      { risk_class: "trust", threshold: 1 },
    ] as const;
    const root = { ...root1.message, classes: [...classes] };
    expect(
      (["routine", "sensitive", "trust", "recovery"] as const).map((riskClass) => classThreshold(root, riskClass)),
    ).toEqual([1, 2, 2, 2]);
    const at = { view: { ...view, root: { ...root1, message: root } } };
    expect(admit({ risk_class: "trust" }, at, "ada")).toBe("trust.threshold");
  });

  test("and says which generation is in force when the parent is another one", () => {
    const envelope = signed("directive", directive({ parent: bytes(32, 0) }), "ada").envelope;
    const refused = admitDirective(crypto, context({ parentText: "generation 7 by bob" }), envelope);
    expect(refused.ok ? "" : refused.problems[0]?.detail).toBe(
      "the confirmed generation of this router is generation 7 by bob",
    );
  });

  test("by a unit that the roster has retired", () => {
    for (const status of ["superseded", "stolen"] as const) {
      const retired = viewWith({ status });
      expect(admit({ roster_digest: retired.roster.digest }, { view: retired })).toBe("trust.router_retired");
    }
    const replaced = viewWith({ incarnation: 2 });
    expect(admit({ roster_digest: replaced.roster.digest }, { view: replaced })).toBe("trust.router_retired");
    const unknown = viewWith({ router_id: bytes(16, 0) });
    expect(admit({ roster_digest: unknown.roster.digest }, { view: unknown })).toBe("trust.router_retired");
  });

  test("in the order of the checks: who, for whom, under what, where, how fresh", () => {
    const all: Partial<Directive> = {
      ...{ network_id: bytes(16, 0), root_digest: ZEROS, generation: 0n, parent: ZEROS, challenge: new Uint8Array() },
    };
    expect(admit(all, {}, "mallory")).toBe("trust.signer_unknown");
    expect(admit(all)).toBe("trust.network");
    expect(admit({ ...all, network_id: networkId })).toBe("trust.view");
    const placed = { ...all, network_id: networkId, root_digest: root1.digest };
    expect(admit(placed)).toBe("trust.generation_burnt");
    expect(admit({ ...placed, generation: 1n })).toBe("trust.parent");
    expect(admit({ ...placed, generation: 1n, parent: GENESIS })).toBe("trust.not_fresh");
  });

  test("a refusal asks for a live challenge only when all else is well", () => {
    const asked: string[] = [];
    const at = { challengeIsLive: () => asked.push("asked") > 0 };
    admit({ parent: ZEROS }, at);
    expect(asked).toEqual([]);
    admit({}, at);
    expect(asked).toEqual(["asked"]);
  });

  test("the genesis parent is a constant of the format", () => {
    expect(equalBytes(GENESIS, sha256("holdfast/genesis/v1"))).toBe(true);
  });
});

describe("confirms", () => {
  const ids = { routerId, incarnation: 1 };
  const base: Confirm = { ...samples.Confirm, network_id: networkId, router_id: routerId };
  const confirm = (change: Partial<Confirm>, ...signers: string[]) =>
    openConfirm(crypto, view, ids, signed("confirm", { ...base, ...change }, ...signers).envelope);

  test("come from one active operator, for this unit", () => {
    const good = confirm({}, "tom");
    expect(good.ok && good.value.holder).toBe("tom");
    expect(codeOf(confirm({}, "ada", "tom"))).toBe("trust.one_signer");
    expect(codeOf(confirm({}, "mallory"))).toBe("trust.signer_unknown");
    expect(codeOf(confirm({}, "eve"))).toBe("trust.signer_revoked");
    expect(codeOf(confirm({ network_id: ZEROS.slice(16) }, "ada"))).toBe("trust.network");
    expect(codeOf(confirm({ router_id: ZEROS.slice(16) }, "ada"))).toBe("trust.router");
    expect(codeOf(confirm({ incarnation: 2 }, "ada"))).toBe("trust.incarnation");
    expect(codeOf(openConfirm(crypto, view, ids, signed("directive", directive(), "ada").envelope))).toBe(
      "trust.wrong_kind",
    );
  });
});

describe("requests", () => {
  const open = (change: Partial<Request>, enrolled: boolean, ...signers: string[]) =>
    openRequest(crypto, enrolled ? view : null, routerId, signed("request", request(change), ...signers).envelope);

  test("come from one active operator of this network, to this router", () => {
    const good = open({}, true, "ada");
    expect(good.ok && good.value.holder).toBe("ada");
    expect(codeOf(open({}, true, "ada", "bob"))).toBe("trust.one_signer");
    expect(codeOf(open({}, true, "mallory"))).toBe("trust.signer_unknown");
    expect(codeOf(open({}, true, "eve"))).toBe("trust.signer_revoked");
    expect(codeOf(open({ network_id: bytes(16, 0) }, true, "ada"))).toBe("trust.network");
    expect(codeOf(open({ router_id: bytes(16, 0) }, true, "ada"))).toBe("trust.router");
  });

  test("to enrol may come from anybody, in nobody's name, to this router", () => {
    for (const enrolled of [true, false]) {
      const good = open({ kind: "enrol" }, enrolled, "throw-away");
      expect(good.ok && good.value.holder).toBe("");
      expect(codeOf(open({ kind: "enrol", router_id: bytes(16, 0) }, enrolled, "throw-away"))).toBe("trust.router");
    }
    expect(codeOf(open({ kind: "enrol" }, true, "a", "b"))).toBe("trust.one_signer");
  });

  test("to take a key back come from an operator, revoked ones too, and from nobody else", () => {
    const self = { ...view, revoked: [signer("ada").publicKey] };
    const revoke = signed("request", request({ kind: "revoke" }), "ada").envelope;
    const holderOf = (name: string, at = self) => {
      const envelope = signed("request", request({ kind: "revoke" }), name).envelope;
      const opened = openRequest(crypto, at, routerId, envelope);
      return opened.ok ? opened.value.holder : codeOf(opened);
    };
    expect([holderOf("ada"), holderOf("eve"), holderOf("bob")]).toEqual(["ada", "eve", "bob"]);
    expect([holderOf("mallory"), holderOf("router")]).toEqual(["trust.signer_unknown", "trust.signer_unknown"]);
    expect(codeOf(openRequest(crypto, null, routerId, revoke))).toBe("trust.not_enrolled");
    const status = signed("request", request({ kind: "status" }), "ada").envelope;
    expect(codeOf(openRequest(crypto, self, routerId, status))).toBe("trust.signer_revoked");
  });

  test("of an operator who is new show the roster that names them, signed by the admins", () => {
    const operators = [...view.roster.message.operators, operator("nia")];
    const roster = after(view.roster, { operators });
    const named = signed("roster", roster, "ada-admin").envelope;
    const gone = signed("roster", after(view.roster, { operators: operators.slice(1) }), "ada-admin").envelope;
    const holderOf = (trust: readonly Uint8Array[], name = "nia", at = view) => {
      const envelope = signed("request", request({ kind: "status", trust: [...trust] }), name).envelope;
      const opened = openRequest(crypto, at, routerId, envelope);
      return opened.ok ? opened.value.holder : codeOf(opened);
    };
    expect([holderOf([named]), holderOf([root1.envelope, named])]).toEqual(["nia", "nia"]);
    const unknown = "trust.signer_unknown";
    expect(holderOf([])).toBe(unknown);
    expect(holderOf([named], "mallory")).toBe(unknown);
    // By somebody who is no admin, from another past, and cut in two.
    expect(holderOf([signed("roster", roster, "nia").envelope])).toBe(unknown);
    expect(holderOf([signed("roster", { ...roster, prev_digest: bytes(32, 3) }, "ada-admin").envelope])).toBe(unknown);
    expect(holderOf([named.slice(0, -1)])).toBe(unknown);
    // Nobody comes back by it: not who is revoked, not who took the key back.
    const eve = signed("roster", after(view.roster, { operators: [operator("eve")] }), "ada-admin").envelope;
    expect(holderOf([eve], "eve")).toBe("trust.signer_revoked");
    expect(holderOf([named], "nia", { ...view, revoked: [signer("nia").publicKey] })).toBe("trust.signer_revoked");
    // Who is known needs no papers, good or bad.
    expect(holderOf([gone], "ada")).toBe("ada");
  });

  test("of every other kind are refused before enrolment", () => {
    const kinds = ["challenge", "need_blobs", "put_blob", "submit", "confirm", "status", "receipts", "keys"] as const;
    for (const kind of kinds) expect(codeOf(open({ kind }, false, "ada"))).toBe("trust.not_enrolled");
  });
});

describe("answers", () => {
  const asked = signed("request", request(), "ada");
  const base: Answer = {
    ...samples.Answer,
    ...{ request_digest: asked.digest, nonce: asked.message.nonce, router_id: routerId, status: null },
  };
  const answer = (change: Partial<Answer>, key: Uint8Array | null, ...signers: string[]): string =>
    codeOf(openAnswer(crypto, key, asked, signed("answer", { ...base, ...change }, ...signers).envelope));
  const router = signer("router").publicKey;

  test("are this router's, to this request", () => {
    expect(answer({}, router, "router")).toBe("");
    expect(answer({}, router, "mallory")).toBe("trust.signer_unknown");
    expect(answer({}, router, "router", "mallory")).toBe("trust.one_signer");
    expect(answer({ request_digest: bytes(32, 0) }, router, "router")).toBe("trust.answer_mismatch");
    expect(answer({ nonce: bytes(16, 0) }, router, "router")).toBe("trust.answer_mismatch");
    expect(answer({ router_id: bytes(16, 0) }, router, "router")).toBe("trust.answer_mismatch");
  });

  test("to an enrolment may come under a key that is still to be checked", () => {
    expect(answer({}, null, "anybody")).toBe("");
    expect(answer({ nonce: bytes(16, 0) }, null, "anybody")).toBe("trust.answer_mismatch");
  });
});
