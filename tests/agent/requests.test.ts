/** What the agent answers, and to whom, short of changing the kernel: enrolment, keys, blobs, admission, log. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { checkChain, EMPTY_LOG } from "../../agent/core/receipts.ts";
import { sealSecrets } from "../../agent/core/secrets.ts";
import { enrol, readToken } from "../../agent/enrol.ts";
import { sha256, toBase64, toHex } from "../../schemas/digest.ts";
import { encode } from "../../schemas/wire.ts";
import { intentOf, inventoryOf } from "./bundles.ts";
import { type Desk, type Enrolled, enrolledDesk, newDesk } from "./desk.ts";
import { addRouter, ask, crypto, makeSite, randomBytes, receiptOf, tokenText } from "./operator.ts";

setDefaultTimeout(120_000);

const codes = (result: { ok: true } | { ok: false; problems: readonly { code: string }[] }): readonly string[] =>
  result.ok ? [] : result.problems.map((one) => one.code);

describe("enrolment", () => {
  test("a token file is read exactly", () => {
    const { token } = makeSite();
    expect(readToken(tokenText(token))).toEqual({ ok: true, value: token });
    for (const bad of [
      "",
      "HOLDFAST-TOKEN-1 ",
      tokenText(token).slice(0, -9),
      `HOLDFAST-TOKEN-2 ${tokenText(token)}`,
    ]) {
      expect(codes(readToken(bad))).toEqual(["agent.token"]);
    }
  });

  test("a router without a token answers nobody", async () => {
    const desk = await newDesk();
    const site = makeSite();
    expect((await desk.send(randomBytes(200))).status).toBe(403);
    const request = ask(site, desk.send, { kind: "enrol" }, { seal: crypto.boxKeys().publicKey, sign: null });
    expect((await request).status).toBe(403);
    desk.close();
  });

  test("one token pins one root, makes private keys, and is taken once", async () => {
    const desk = await newDesk();
    const site = makeSite();
    const forged = { ...site.token, root_digest: randomBytes(32) };
    expect(codes(await enrol(desk.parts, forged))).toEqual(["agent.token"]);
    expect(existsSync(join(desk.folder, "state/enrol.token"))).toBe(false);
    const first = await enrol(desk.parts, site.token);
    expect(first.ok ? first.value : "").toMatch(/^([a-z2-7]{4}-){7}[a-z2-7]{4}$/);
    expect(await enrol(desk.parts, site.token)).toEqual(first);
    expect(codes(await enrol(desk.parts, makeSite().token))).toEqual(["agent.enrolled"]);
    for (const file of ["keys/sign", "keys/seal", "enrol.token"]) {
      expect(statSync(join(desk.folder, "state", file)).mode & 0o777).toBe(0o600);
    }
    desk.close();
  });

  test("the roster must name this router with its own keys", async () => {
    const desk = await newDesk();
    const site = makeSite();
    await enrol(desk.parts, site.token);
    const self = desk.agent.standing.self();
    const entry = {
      ...{ token_id: site.token.token_id, network_id: site.token.network_id, router_id: site.token.router_id },
      ...{ incarnation: 1, rescue_key: toBase64(crypto.boxKeys().publicKey), mac: new Uint8Array(32) },
      ...{ sign_key: crypto.signKeys().publicKey, seal_key: self.seal.publicKey },
    };
    const wrong = addRouter({ ...site }, entry);
    const to = { seal: self.seal.publicKey, sign: self.sign.publicKey };
    const stranger = crypto.signKeys();
    const answer = await ask(site, desk.send, { kind: "enrol", trust: [wrong.envelope] }, to, stranger);
    expect(answer.answer?.code).toBe("agent.not_named");
    // An operator's request counts only after that.
    expect((await ask(site, desk.send, { kind: "status" }, to)).status).toBe(403);
    const right = addRouter(site, { ...entry, sign_key: self.sign.publicKey });
    const enrolled = await ask(site, desk.send, { kind: "enrol", trust: [right.envelope] }, to, stranger);
    expect(enrolled.answer?.code).toBe("");
    expect(receiptOf(enrolled.answer?.receipt ?? new Uint8Array())).toMatchObject({ outcome: "enrolled", index: 1n });
    desk.close();
  });

  test("is answered again to who knows the roster, and a stranger hears nothing; the token goes when it has served", async () => {
    const { desk, site, session } = await enrolledDesk();
    const known = [site.roster.envelope];
    const answer = await ask(site, desk.send, { kind: "enrol", trust: known }, session.router, crypto.signKeys());
    expect(receiptOf(answer.answer?.receipt ?? new Uint8Array()).index).toBe(1n);
    for (const trust of [[], [site.root.envelope], [makeSite().roster.envelope]]) {
      const reply = await ask(site, desk.send, { kind: "enrol", trust }, session.router, crypto.signKeys());
      expect(reply.status).toBe(403);
    }
    expect(existsSync(join(desk.folder, "state/enrol.token"))).toBe(true);
    await session.status();
    expect(existsSync(join(desk.folder, "state/enrol.token"))).toBe(false);
    desk.close();
  });
});

describe("an enrolled router", () => {
  let enrolled: Enrolled;
  let desk: Desk;
  const bundle = { intent: intentOf(), inventory: inventoryOf(), networks: ["home"] };
  beforeAll(async () => {
    enrolled = await enrolledDesk();
    desk = enrolled.desk;
  });
  afterAll(() => desk.close());

  test("has one answer for strangers, whatever is wrong", async () => {
    const { site, session } = enrolled;
    const { router } = session;
    const stranger = crypto.signKeys();
    const status = async (...args: Parameters<typeof ask>): Promise<number> => (await ask(...args)).status;
    expect((await desk.send(new Uint8Array())).status).toBe(403);
    expect((await desk.send(crypto.seal(randomBytes(300), router.seal))).status).toBe(403);
    expect(await status(site, desk.send, {}, router, stranger)).toBe(403);
    expect(await status(site, desk.send, { router_id: randomBytes(16) }, router)).toBe(403);
    expect(await status(site, desk.send, { network_id: randomBytes(16) }, router)).toBe(403);
    expect(await status(site, desk.send, { reply_key: new Uint8Array(32) }, router)).toBe(403);
    expect(await status(site, desk.send, {}, router)).toBe(200);
  });

  test("says where it stands", async () => {
    const status = await enrolled.session.status();
    expect(status).toMatchObject({ router: "r1", generation: 0n, lkg_generation: 0n, pending: null, drift: false });
    expect(status).toMatchObject({ guard_alive: false, backend: "userspace", roster_version: 2, log_index: 1n });
    expect(status.lkg_directive).toEqual(sha256("holdfast/genesis/v1"));
  });

  test("makes a key for each network once, and the report grows only then", async () => {
    const { session } = enrolled;
    const first = await session.keys(["home"]);
    expect(first.message.keys.map((key) => key.network)).toEqual(["home", "rescue"]);
    expect((await session.keys(["home"])).digest).toEqual(first.digest);
    const more = await session.keys(["lab", "home", "lab"]);
    expect(more.message.version).toBe(first.message.version + 1);
    expect(more.message.keys).toEqual([first.message.keys[0]!, more.message.keys[1]!, first.message.keys[1]!]);
    expect((await session.status()).keys_digest).toEqual(more.digest);
  });

  test("takes blobs in parts and asks only for what it lacks", async () => {
    const { session } = enrolled;
    const blob = randomBytes(2500);
    const digest = await session.upload(blob, 1000);
    expect((await session.ask({ kind: "need_blobs", need: [digest, sha256("other")] })).missing).toEqual([
      sha256("other"),
    ]);
    const chunk = { digest: sha256("x"), size: 10, offset: 5, data: new Uint8Array(5) };
    expect((await session.ask({ kind: "put_blob", chunk })).code).toBe("blob.out_of_order");
    expect((await session.ask({ kind: "put_blob", chunk: null })).code).toBe("blob.out_of_order");
    const wrong = { digest: sha256("x"), size: 5, offset: 0, data: new Uint8Array(5) };
    expect((await session.ask({ kind: "put_blob", chunk: wrong })).code).toBe("blob.digest");
  });

  test("plans without burning anything", async () => {
    const { session } = enrolled;
    const before = await session.status();
    const { opened } = await session.directive(bundle, { action: "plan", risk_class: "routine" });
    const answer = await session.submit(opened);
    expect(answer).toMatchObject({ code: "", problems: [] });
    const receipt = receiptOf(answer.receipt);
    expect(receipt).toMatchObject({ outcome: "planned", index: 0n, note: "risk class: sensitive", signers: ["ann"] });
    expect(receipt.plan).toContain("+ link hf-home, udp 51820");
    expect(receipt.lanes.map((lane) => [lane.name, lane.changed])).toEqual([
      ["api:10.0.0.1", false],
      ["rescue", false],
      ["wg:home", false],
    ]);
    const after = await session.status();
    expect([after.generation, after.log_index]).toEqual([before.generation, before.log_index]);
    expect(readdirSync(join(desk.folder, "state/gen"))).toEqual([]);
  });

  test("refuses before burning, with the reason, and can be told again", async () => {
    const { session } = enrolled;
    const answerTo = async (more: Parameters<typeof session.directive>[1]): Promise<string> =>
      (await session.submit((await session.directive(bundle, more)).opened)).code;
    expect(await answerTo({ intent_digest: sha256("not here") })).toBe("blob.missing");
    expect(await answerTo({ desired_digest: sha256("another") })).toBe("admit.desired_differs");
    expect(await answerTo({ risk_class: "routine" })).toBe("admit.risk_class");
    expect(await answerTo({ generation: 5000n })).toBe("trust.generation_jump");
    expect(await answerTo({ challenge: randomBytes(32) })).toBe("trust.not_fresh");
    expect(await answerTo({})).toBe("guard.dead");
    // A challenge serves once, and refusals are not remembered: the same directive is judged again.
    const { opened } = await session.directive(bundle);
    expect((await session.submit(opened)).code).toBe("guard.dead");
    expect((await session.submit(opened)).code).toBe("trust.not_fresh");
    expect((await session.status()).generation).toBe(0n);
    expect(desk.parts.store.directives()).toEqual([]);
  });

  test("needs every key that the generation names", async () => {
    const { session, site } = enrolled;
    const psk = randomBytes(32);
    const commitment = toHex(sha256("holdfast/psk/v1\0", psk));
    const key = toBase64(crypto.boxKeys().publicKey);
    const inventory = inventoryOf([{ id: "ann-phone", key, address: "10.99.0.7", psk: commitment }]);
    const withPsk = { ...bundle, inventory };
    const bare = await session.directive(withPsk);
    expect((await session.submit(bare.opened)).code).toBe("apply.key_missing");
    const to = {
      ...{ networkId: site.root.message.network_id, routerId: site.token.router_id, incarnation: 1 },
      ...{ routerSeal: session.router.seal, escrow: [] },
    };
    const sealed = (list: Parameters<typeof sealSecrets>[1]): Uint8Array =>
      encode("Secrets", sealSecrets(crypto, list, to));
    const full = await session.directive(withPsk, {}, sealed([{ psk, subject: "ann-phone.1" }]));
    expect((await session.submit(full.opened)).code).toBe("guard.dead"); // nothing else is missing
    const folder = join(desk.folder, "state/keys");
    for (const copy of ["wg", "wg2"]) {
      for (const name of readdirSync(join(folder, copy))) rmSync(join(folder, copy, name));
    }
    const without = await session.directive(bundle);
    expect((await session.submit(without.opened)).code).toBe("apply.key_missing");
  });

  test("keeps a log that can be checked from its first entry", async () => {
    const { session } = enrolled;
    const { receipts } = await session.ask({ kind: "receipts", from_index: 0n, limit: 0 });
    const chain = checkChain(crypto, session.router.sign, EMPTY_LOG, receipts);
    expect(chain.ok && chain.value.index).toBe((await session.status()).log_index);
    expect((await session.ask({ kind: "receipts", from_index: 99n, limit: 5 })).receipts).toEqual([]);
  });

  test("knows no trial that it never had", async () => {
    const { session } = enrolled;
    const { opened } = await session.directive(bundle);
    expect((await session.confirm(opened, randomBytes(32))).code).toBe("confirm.unknown_trial");
  });
});

describe("an agent process that starts again", () => {
  test("stands where the last one stood", async () => {
    const { desk, session } = await enrolledDesk();
    await session.keys(["home"]);
    const before = await session.status();
    const next = await desk.again();
    const after = await session.over(next.send).status();
    expect({ ...after, uptime_ms: 0n, at_unix: 0n }).toEqual({ ...before, uptime_ms: 0n, at_unix: 0n });
    next.close();
  });

  test("counts a receipt that was written but not yet recorded", async () => {
    const { desk, session } = await enrolledDesk();
    const { store } = desk.parts;
    const before = store.record();
    desk.agent.journal.append({ outcome: "needs_hands", directive_digest: sha256("d") });
    store.writeRecord(before); // as if the power had gone between the two
    const next = await desk.again();
    expect(next.parts.store.record().logIndex).toBe(2);
    const { receipts } = await session.over(next.send).ask({ kind: "receipts", from_index: 1n, limit: 9 });
    expect(checkChain(crypto, session.router.sign, EMPTY_LOG, receipts).ok).toBe(true);
    next.close();
  });

  test("counts a key report that was written but not yet recorded", async () => {
    const { desk, session } = await enrolledDesk();
    const before = desk.parts.store.record();
    const report = await session.keys(["home"]);
    desk.parts.store.writeRecord(before);
    const next = await desk.again();
    expect((await session.over(next.send).keys(["home"])).digest).toEqual(report.digest);
    expect((await session.over(next.send).keys(["lab"])).message.version).toBe(report.message.version + 1);
    next.close();
  });

  test("tells the end of a generation that was burnt and never begun", async () => {
    const { desk, session } = await enrolledDesk();
    const bundle = { intent: intentOf(), inventory: inventoryOf(), networks: ["home"] };
    const { opened } = await session.directive(bundle);
    desk.parts.store.putDirective(toHex(opened.digest), opened.envelope);
    desk.agent.standing.update({ generation: opened.message.generation });
    const next = await desk.again();
    const over = session.over(next.send);
    const told = receiptOf((await over.submit(opened)).receipt);
    expect(told).toMatchObject({ outcome: "rolled_back", cause: "agent.restarted", generation: 1n, index: 2n });
    const third = await next.again();
    expect(third.parts.store.record().logIndex).toBe(2);
    third.close();
  });
});
