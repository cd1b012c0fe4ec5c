/** How many people a change takes, as the router finds out by itself: understated, cut into slices, forgotten. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../../schemas/digest.ts";
import type { Directive } from "../../schemas/directive.ts";
import { baseIntent } from "./bundles.ts";
import { newPlace, type Place } from "./machine.ts";
import { makeSite, randomBytes, receiptOf } from "./operator.ts";
import { type Bundle, bundleOf, push, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

const team = (trust = 2) =>
  makeSite([
    { risk_class: "sensitive", threshold: 2 },
    { risk_class: "trust", threshold: trust },
  ]);

const routine: Partial<Directive> = { risk_class: "routine" };

/** Signed by ann alone, or by both. */
const alone = (place: Place, bundle: Bundle, more = routine) => signedBy(place, bundle, more);
const both = (place: Place, bundle: Bundle, more: Partial<Directive> = {}) =>
  signedBy(place, bundle, more, place.site.operator.sign, place.site.bob.sign);

/** Code and detail of the refusal. */
async function refusalOf(...args: Parameters<typeof alone>): Promise<readonly string[]> {
  const [place] = args;
  const { generation } = await place.session.status();
  const { code, problems } = await place.session.submit(await alone(...args));
  expect((await place.session.status()).generation).toBe(generation);
  return [code, problems[0]?.detail ?? ""];
}

describe("two of two for what is sensitive", () => {
  test("one signature is not enough, two are, and a routine change takes one", async () => {
    const place = await newPlace(team());
    const [code, detail] = await refusalOf(place, bundleOf(2), {});
    expect([code, detail]).toEqual(["trust.threshold", "1 of 2 holders for class sensitive"]);
    expect(await refusalOf(place, bundleOf(2))).toEqual([
      "admit.risk_class",
      "the directive says routine, the change is sensitive: it is the first generation",
    ]);
    expect((await push(place, await both(place, bundleOf(2)))).signers).toEqual(["ann", "bob"]);
    expect((await push(place, await alone(place, bundleOf(3)))).signers).toEqual(["ann"]);
    place.close();
  });

  test("a higher class does not take fewer people", async () => {
    const place = await newPlace(team(1));
    const [code, detail] = await refusalOf(place, bundleOf(), { risk_class: "trust" });
    expect([code, detail]).toEqual(["trust.threshold", "1 of 2 holders for class trust"]);
    place.close();
  });

  test("what only documents say is found too, and the plan says why", async () => {
    const place = await newPlace(team());
    await push(place, await both(place, bundleOf()));
    const [home] = baseIntent.networks ?? [];
    const moved = bundleOf(0, { networks: [{ ...home!, endpoint: "vpn2.example.net:51820" }] });
    const plan = await place.session.submit(await alone(place, moved, { ...routine, action: "plan" }));
    const receipt = receiptOf(plan.receipt);
    const why = "the intent changes network ports and endpoints since generation 1";
    expect([receipt.note, receipt.steps, receipt.problems]).toEqual([
      "risk class: sensitive",
      0,
      [{ code: "admit.risk_class", path: "sensitive", detail: why }],
    ]);
    // Nothing would change in the kernel: it takes two all the same.
    expect(await refusalOf(place, moved)).toEqual([
      "admit.risk_class",
      `the directive says routine, the change is sensitive: ${why}`,
    ]);
    expect((await push(place, await both(place, moved))).outcome).toBe("unchanged");
    const accepts = { ...routine, accept_unproven: ["rescue"] };
    expect((await refusalOf(place, moved, accepts))[1]).toEndWith("it accepts lanes unproven: rescue");
    place.close();
  });
});

describe("a sensitive change in slices", () => {
  test("is refused at the slice that makes it one, after restarts and a lost record as well", async () => {
    const place = await newPlace(team());
    const signed = await both(place, bundleOf(20));
    await push(place, signed);
    const quorum = toHex(signed.digest);
    for (const left of [18, 16, 15]) await push(place, await alone(place, bundleOf(left)));
    const refused = [
      "admit.risk_class",
      "the directive says routine, the change is sensitive: 6 of 20 peers of generation 1 go",
    ];
    expect(await refusalOf(place, bundleOf(14))).toEqual(refused);
    await place.restart();
    expect(await refusalOf(place, bundleOf(14))).toEqual(refused);
    // Nobody can make the router forget what it is held against: not by uploads, not by generations.
    for (let i = 0; i < 16; i += 1) await place.session.upload(randomBytes(64));
    for (const left of [16, 17]) await push(place, await alone(place, bundleOf(left)));
    const kept = [signed.message.intent_digest, signed.message.inventory_digest].map(toHex);
    expect(kept.filter((digest) => !existsSync(join(place.desk.folder, "state/blobs", digest)))).toEqual([]);
    expect(readdirSync(join(place.desk.folder, "state/gen"))).toContain(toHex(signed.message.desired_digest));
    expect(await refusalOf(place, bundleOf(14))).toEqual(refused);
    for (const file of ["record.a", "record.b"]) writeFileSync(join(place.desk.folder, "state", file), "damaged\n");
    await place.restart();
    expect(place.desk.parts.store.record().quorum).toBe(quorum);
    expect(await refusalOf(place, bundleOf(14))).toEqual(refused);
    // Two people can, and from then on it counts from there.
    const next = await both(place, bundleOf(14));
    await push(place, next);
    expect(place.desk.parts.store.record().quorum).toBe(toHex(next.digest));
    await push(place, await alone(place, bundleOf(11)));
    place.close();
  });

  test("counts from a generation that two signed though nothing changed", async () => {
    const place = await newPlace(team());
    await push(place, await both(place, bundleOf(8)));
    await push(place, await alone(place, bundleOf(6)));
    expect((await refusalOf(place, bundleOf(5)))[0]).toBe("admit.risk_class");
    expect((await push(place, await both(place, bundleOf(6)))).outcome).toBe("unchanged");
    await push(place, await alone(place, bundleOf(5)));
    place.close();
  });

  test("is what the router takes every change for when it cannot read what two signed", async () => {
    const place = await newPlace(team());
    const signed = await both(place, bundleOf(8));
    await push(place, signed);
    await push(place, await alone(place, bundleOf(7)));
    writeFileSync(join(place.desk.folder, "state/blobs", toHex(signed.message.inventory_digest)), "damaged");
    expect(await refusalOf(place, bundleOf(6))).toEqual([
      "admit.risk_class",
      "the directive says routine, the change is sensitive: the last generation that enough people signed cannot be read, so everything may have changed",
    ]);
    place.close();
  });

  test("is nothing that a single operator feels: every generation counts from the one before", async () => {
    const place = await newPlace();
    await push(place, await signedBy(place, bundleOf(8), {}));
    for (const left of [6, 5, 4]) await push(place, await alone(place, bundleOf(left)));
    expect(place.desk.parts.store.record().quorum).toBe(place.desk.parts.store.record().lkg?.directive ?? "");
    place.close();
  });
});
