/** Trials that their probes end: whose fault it was, what the router refuses from then on, and what frees it again. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../agent/host/store.ts";
import { newPlace, type Place } from "./machine.ts";
import { receiptOf } from "./operator.ts";
import { type Bundle, begin, bundleOf, push, settled, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

const probe = (id: string) => ({ id, router: "r1", kind: "ping" as const, target: "192.0.2.2", attempts: 1 });
const probes = [probe("gate"), probe("name-server")];
/** A first generation, and so many clients under probes: other content for each test. */
const good = bundleOf();
const clients = (count: number) => bundleOf(count, { probes });
const upUplink = { name: "wan0", present: true, carrier: true, addresses: ["192.0.2.9/24"], gateways: ["192.0.2.1"] };

/** True while the kernel of the machine holds the generation of so many clients. */
const holds = (count: number): boolean =>
  place.machine.kernel.links.some((link) => link.name === "hf-home" && link.peers.length === count);

let place: Place;
beforeAll(async () => {
  place = await newPlace();
  await push(place, await signedBy(place, good, {}));
});
afterAll(() => place.close());
beforeEach(() => {
  place.machine.uplinks = [upUplink];
  place.machine.passes = () => true;
});

/** Pushes it, waits for the end, and returns the last receipt with what decides in it. */
async function fate(bundle: Bundle, more: Parameters<typeof signedBy>[2] = {}) {
  const answer = await place.session.submit(await signedBy(place, bundle, more));
  if (answer.code !== "") return { code: answer.code, detail: answer.problems[0]?.detail ?? "" };
  await settled(place);
  const { outcome, cause, quarantined, probes: looks, problems } = (await place.session.receipts()).at(-1)!;
  return { outcome, cause, quarantined, looks, paths: problems.map((one) => `${one.code} ${one.path}`) };
}

describe("A23 a probe that the generation breaks", () => {
  test("A23 real fault: the same content is refused next time, force applies it, and a confirm frees it", async () => {
    place.machine.passes = (id) => id !== "gate" || !holds(1);
    expect(await fate(clients(1))).toEqual({
      ...{ outcome: "rolled_back", cause: "probe.failed", quarantined: true, paths: ["probe.failed gate"] },
      looks: [
        { id: "gate", before: "passed", after: "failed", restored: "passed" },
        { id: "name-server", before: "passed", after: "passed", restored: "passed" },
      ],
    });
    // Another directive, another generation, another window: the same content.
    const again = await fate(clients(1), { confirm_window_s: 33 });
    expect(again).toEqual({
      code: "apply.quarantined",
      detail: expect.stringMatching(
        /^this content was taken back as generation 2 by ann on [0-9]{4}-[0-9 :-]{11}: probe.failed$/,
      ),
    });
    expect(holds(1)).toBe(false);
    // A plan tells, and burns nothing.
    const plan = await place.session.submit(await signedBy(place, clients(1), { action: "plan" }));
    expect(receiptOf(plan.receipt).problems.map((one) => one.code)).toContain("apply.quarantined");
    const status = await place.session.status();
    expect(status.generation).toBe(2n);
    expect(status.quarantine).toMatchObject([{ generation: 2n, cause: "probe.failed", signers: ["ann"] }]);
    // Other content is free, and so is what is kept.
    expect((await push(place, await signedBy(place, good, {}))).outcome).toBe("unchanged");
    // A power cut and a new process forget nothing.
    await place.machine.reboot();
    await place.restart();
    expect(await fate(clients(1))).toMatchObject({ code: "apply.quarantined" });
    // By force it is tried, fails again, and stays where it is.
    expect(await fate(clients(1), { force: true })).toMatchObject({ cause: "probe.failed", quarantined: true });
    expect((await place.session.status()).quarantine).toMatchObject([{ generation: 4n }]);
    // By force and well: kept, and free.
    place.machine.passes = () => true;
    expect((await push(place, await signedBy(place, clients(1), { force: true }))).outcome).toBe("confirmed");
    expect((await place.session.status()).quarantine).toEqual([]);
  });

  test("a damaged quarantine is an empty one, said in the log", async () => {
    place.machine.passes = () => !holds(2);
    await fate(clients(2));
    const path = join(place.machine.folder, "state/quarantine");
    writeFileSync(path, readFileSync(path, "utf8").slice(1));
    expect(
      openStore({ state: join(place.machine.folder, "state"), run: join(place.machine.folder, "run") }).quarantine(),
    ).toEqual({
      entries: [],
      damaged: true,
    });
    expect((await place.session.status()).quarantine).toEqual([]);
    expect(await fate(clients(2))).toMatchObject({ cause: "probe.failed", quarantined: true });
    expect(await fate(clients(2))).toMatchObject({ code: "apply.quarantined" });
  });

  test("a quarantine that cannot be written is no lie in the receipt", async () => {
    place.machine.passes = () => !holds(3);
    const store = place.desk.parts.store as { putQuarantine: typeof place.desk.parts.store.putQuarantine };
    store.putQuarantine = () => {
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    };
    expect(await fate(clients(3))).toMatchObject({ cause: "probe.failed", quarantined: false });
  });
});

describe("A23 a probe that fails for a cause outside", () => {
  const inconclusive = { outcome: "rolled_back", cause: "probe.inconclusive", quarantined: false };

  test("A23 the uplink loses its carrier while it is applied: inconclusive, named, not quarantined", async () => {
    let down = false;
    place.machine.passes = () => {
      if (holds(4)) down = true;
      if (down) place.machine.uplinks = [{ ...upUplink, carrier: false, gateways: [] }];
      return !down;
    };
    expect(await fate(clients(4))).toMatchObject({
      ...inconclusive,
      paths: [
        ...["probe.inconclusive uplink wan0", "probe.inconclusive uplink wan0"],
        ...["probe.inconclusive probe gate", "probe.inconclusive probe name-server"],
      ],
    });
    expect(
      (await place.session.receipts())
        .at(-1)!
        .problems.map((one) => one.detail)
        .slice(0, 2),
    ).toEqual(["lost its carrier during the trial", "lost its default route through 192.0.2.1 during the trial"]);
    // The cable is in again: the same content goes through without force.
    place.machine.uplinks = [upUplink];
    place.machine.passes = () => true;
    expect((await push(place, await signedBy(place, clients(4), {}))).outcome).toBe("confirmed");
  });

  test("A23 the uplink changes with the first probe: it was another one before the trial", async () => {
    let down = false;
    place.machine.passes = () => {
      // The probe itself still passes; what comes with it is no part of how things were.
      place.machine.uplinks = [{ ...upUplink, carrier: false }];
      if (holds(7)) down = true;
      return !down;
    };
    expect(await fate(clients(7))).toMatchObject({
      ...inconclusive,
      paths: expect.arrayContaining(["probe.inconclusive uplink wan0"]),
    });
    place.machine.uplinks = [upUplink];
    place.machine.passes = () => true;
  });

  test("A23 the far side goes away, which no look at an uplink shows: the way back does not help, so inconclusive", async () => {
    let gone = false;
    place.machine.passes = (id) => {
      if (holds(5)) gone = true;
      return id !== "gate" || !gone;
    };
    expect(await fate(clients(5))).toMatchObject({
      ...inconclusive,
      looks: [
        { id: "gate", before: "passed", after: "failed", restored: "failed" },
        { id: "name-server", before: "passed", after: "passed", restored: "passed" },
      ],
    });
  });

  test("A23 another lease in the window, and nobody can confirm: the expired window is inconclusive", async () => {
    const { nonce, answer } = await begin(place, await signedBy(place, clients(6), {}));
    expect([answer.code, nonce.length]).toEqual(["", 32]);
    place.machine.uplinks = [{ ...upUplink, addresses: ["198.51.100.9/24"], gateways: ["198.51.100.1"] }];
    place.machine.pass(3600);
    await settled(place);
    const receipt = (await place.session.receipts()).at(-1)!;
    expect(receipt).toMatchObject(inconclusive);
    expect(receipt.problems.map((one) => `${one.path} ${one.detail}`)).toEqual([
      "uplink wan0 lost its address 192.0.2.9/24 during the trial",
      "uplink wan0 lost its default route through 192.0.2.1 during the trial",
      "uplink wan0 got a default route through 198.51.100.1 during the trial",
    ]);
  });

  test("a window that expires while all is well blames nobody and refuses nothing", async () => {
    await begin(place, await signedBy(place, clients(7), {}));
    place.machine.pass(3600);
    await settled(place);
    expect((await place.session.receipts()).at(-1)).toMatchObject({
      ...{ outcome: "rolled_back", cause: "confirm.window_expired", quarantined: false, problems: [] },
    });
  });

  test("an uplink that cannot be looked at is no evidence: the probes alone decide", async () => {
    place.machine.passes = () => !holds(9);
    const mute = { ...place.machine.host(), uplinks: () => Promise.reject(new Error("ip: no answer")) };
    place.desk = await place.desk.again(mute);
    place.session = place.session.over(place.desk.send);
    expect(await fate(clients(9))).toMatchObject({ cause: "probe.failed", quarantined: true });
  });

  test("a process that ends between the restore and the last look leaves the trial inconclusive", async () => {
    let failed = false;
    place.machine.passes = () => {
      failed ||= holds(8);
      return !failed;
    };
    const { probe: ask } = place.machine.host();
    // Once the way back is walked, no probe ever answers this process.
    const mute = {
      ...place.machine.host(),
      probe: async (...args: Parameters<NonNullable<typeof ask>>) => {
        if (failed && !holds(8)) await new Promise(() => {});
        return ask!(...args);
      },
    };
    place.desk = await place.desk.again(mute);
    place.session = place.session.over(place.desk.send);
    expect((await place.session.submit(await signedBy(place, clients(8), {}))).code).toBe("");
    await place.desk.agent.runner.until(
      (state) => state.name === "judging",
      place.desk.parts.host.clock.bootMs() + 20_000,
    );
    await place.restart();
    await settled(place);
    expect((await place.session.receipts()).at(-1)).toMatchObject({ ...inconclusive, problems: [{ path: "probes" }] });
  });

  test("a process that takes the trial up has nothing to compare with, and blames nobody", async () => {
    await begin(place, await signedBy(place, clients(10), {}));
    place.machine.passes = () => false;
    await place.restart();
    await settled(place);
    expect((await place.session.receipts()).at(-1)).toMatchObject({
      ...{ cause: "agent.restarted", quarantined: false, probes: [] },
    });
  });
});
