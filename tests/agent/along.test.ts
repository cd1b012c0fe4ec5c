/** What saves a push a question: challenges and receipts that come along, an answer that waits, a delta with a plan. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { makeDelta } from "../../client/delta.ts";
import { sha256 } from "../../schemas/digest.ts";
import { canonicalInventory } from "../../schemas/inventory.ts";
import { encode } from "../../schemas/wire.ts";
import { newPlace, type Place } from "./machine.ts";
import { receiptOf } from "./operator.ts";
import { begin, bundleOf, people, push, settled, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

describe("what comes along", () => {
  let place: Place;
  beforeAll(async () => {
    place = await newPlace();
    await push(place, await signedBy(place, bundleOf(20), {}));
  });
  afterAll(() => place.close());

  test("with a status: peers, receipts and a challenge, each only when it is asked for", async () => {
    const bare = await place.session.ask({ kind: "status" });
    expect([bare.status?.peers.length, bare.receipts.length, bare.challenge.length]).toEqual([0, 0, 0]);
    const full = await place.session.ask({ kind: "status", limit: 1, from_index: 2n, fresh: true });
    expect(full.status?.peers.length).toBeGreaterThanOrEqual(20);
    expect(full.receipts.map((one) => receiptOf(one).outcome)).toEqual(["trial", "confirmed"]);
    expect(full.challenge).toHaveLength(32);
    // It is a challenge like any other: good once.
    const plan = await signedBy(place, bundleOf(20), { action: "plan", challenge: full.challenge });
    expect((await place.session.submit(plan)).code).toBe("");
    expect((await place.session.submit(plan)).code).toBe("trust.not_fresh");
  });

  test("with a plan: the challenge of the apply; a refusal brings none", async () => {
    const plan = await signedBy(place, bundleOf(20), { action: "plan" });
    const ask = { kind: "submit" as const, directive: plan.envelope, fresh: true };
    const first = await place.session.ask(ask);
    expect([first.code, first.challenge.length]).toEqual(["", 32]);
    const again = await place.session.ask(ask);
    expect([again.code, again.challenge.length]).toEqual(["trust.not_fresh", 0]);
  });

  test("a delta before the directive that pins what it makes", async () => {
    const blobOf = (count: number): Uint8Array => encode("Inventory", canonicalInventory(people(count)));
    const [base, next] = [blobOf(20), blobOf(21)];
    const delta = {
      ...{ digest: sha256(next), size: next.length, base: sha256(base), parts: [...(makeDelta(base, next) ?? [])] },
    };
    const lacks = async () => (await place.session.ask({ kind: "need_blobs", need: [delta.digest] })).missing.length;
    expect(await lacks()).toBe(1);
    // The directive is for what is there already: only the delta is looked at first.
    const plan = await signedBy(place, bundleOf(20), { action: "plan" });
    const spoiled = { ...delta, parts: delta.parts.slice(1) };
    const bad = await place.session.ask({ kind: "submit", directive: plan.envelope, delta: spoiled });
    expect(bad.code).toBe("blob.delta");
    const other = { ...delta, base: new Uint8Array(32) };
    const missing = await place.session.ask({ kind: "submit", directive: plan.envelope, delta: other });
    expect(missing.code).toBe("blob.missing");
    expect(await lacks()).toBe(1);
    // The challenge of the directive was not used up by that.
    const good = await place.session.ask({ kind: "submit", directive: plan.envelope, delta });
    expect([good.code, receiptOf(good.receipt).outcome]).toEqual(["", "planned"]);
    expect(await lacks()).toBe(0);
  });

  test("an answer waits for its receipt, no longer than it was told, and holds nobody else up", async () => {
    const { clock } = place.desk.parts.host;
    const { log_index } = await place.session.status();
    const from_index = log_index + 1n;
    const startMs = clock.bootMs();
    const empty = await place.session.ask({ kind: "receipts", from_index, wait_s: 1 });
    expect(empty.receipts).toEqual([]);
    expect(clock.bootMs() - startMs).toBeGreaterThanOrEqual(1000);
    // What is there is not waited for.
    const there = await place.session.ask({ kind: "receipts", from_index: 1n, wait_s: 10 });
    expect(there.receipts).toHaveLength(Number(log_index));
    // On a busy machine the trial may take longer than the longest wait: then it is asked for again, but never sooner.
    const waited = async (): Promise<readonly Uint8Array[]> => {
      for (;;) {
        const sinceMs = clock.bootMs();
        const { receipts } = await place.session.ask({ kind: "receipts", from_index, wait_s: 10 });
        if (receipts.length > 0) return receipts;
        expect(clock.bootMs() - sinceMs).toBeGreaterThanOrEqual(10_000);
      }
    };
    const waiting = waited();
    const { answer } = await begin(place, await signedBy(place, bundleOf(22), {}));
    expect(answer.code).toBe("");
    expect((await waiting).map((one) => receiptOf(one).outcome)).toEqual(["trial"]);
    const directive = place.desk.agent.current()?.directive;
    if (directive === undefined) throw new Error("no trial");
    await place.session.confirm(directive, new Uint8Array(32), "abort");
    await settled(place);
  });
});
