/**
 * What an old word is worth: beacons by the router's own clock, and everything that was said before, said again after a
 * reboot, over a restored disk, over a restored memory, to a replacement.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { admitDirective } from "../../agent/core/directive.ts";
import { type Opened, openStatement, signStatement } from "../../agent/core/dsse.ts";
import { toHex } from "../../schemas/digest.ts";
import type { Directive } from "../../schemas/directive.ts";
import { limits } from "../../schemas/limits.ts";
import { newPlace, type Place } from "./machine.ts";
import { crypto, receiptOf } from "./operator.ts";
import { begin, bundleOf, push, settled, signedBy } from "./trials.ts";

setDefaultTimeout(120_000);

const none = new Uint8Array();

async function beaconOf(place: Place): Promise<Opened<"beacon">> {
  const { beacon } = await place.session.ask({ kind: "beacon" });
  const opened = openStatement(crypto, "beacon", beacon);
  if (!opened.ok) throw new Error(JSON.stringify(opened.problems));
  return opened.value;
}

/** Fields of a directive that names a beacon in place of a challenge. */
const citing = (beacon: Opened<"beacon">, maxAgeS: number): Partial<Directive> => ({
  ...{ challenge: none, beacon: beacon.digest, beacon_max_age_s: maxAgeS },
});

const codeOf = async (place: Place, directive: Opened<"directive">): Promise<string> =>
  (await place.session.submit(directive)).code;

describe("a beacon", () => {
  let place: Place;
  beforeAll(async () => {
    place = await newPlace();
  });
  afterAll(() => place.close());

  test("says where the router stands, signed by the router, and counts", async () => {
    const first = await beaconOf(place);
    const status = await place.session.status();
    expect(first.signers).toEqual([place.session.router.sign]);
    const { generation, lkg_directive, log_index, log_head, root_digest, roster_digest, keys_digest } = status;
    expect(first.message).toMatchObject({
      ...{ generation, lkg_directive, log_index, log_head, root_digest, roster_digest, keys_digest },
      ...{ network_id: place.site.root.message.network_id, router_id: place.site.token.router_id, incarnation: 1 },
      ...{ boot_id: status.boot_id, number: 1n },
    });
    expect((await beaconOf(place)).message.number).toBe(2n);
  });

  test("makes a directive fresh until it is too old, whatever the challenge would say", async () => {
    const { clock } = place.desk.parts.host;
    const madeMs = clock.bootMs();
    const beacon = await beaconOf(place);
    const young = await signedBy(place, bundleOf(), { ...citing(beacon, 600), action: "plan" });
    expect(await codeOf(place, young)).toBe("");
    place.machine.pass(595 - (clock.bootMs() - madeMs) / 1000); // the proof takes its time, on a busy machine seconds
    expect(await codeOf(place, young)).toBe(""); // it is no challenge: a plan uses nothing up
    place.machine.pass(6);
    expect(await codeOf(place, young)).toBe("trust.beacon");
  });

  test("is known to the next agent process of the same boot, with its age", async () => {
    const beacon = await beaconOf(place);
    const plan = await signedBy(place, bundleOf(), { ...citing(beacon, 600), action: "plan" });
    await place.restart();
    expect(await codeOf(place, plan)).toBe("");
    expect((await beaconOf(place)).message.number).toBe(beacon.message.number + 1n);
    place.machine.pass(601);
    expect(await codeOf(place, plan)).toBe("trust.beacon");
  });

  test("is void when the note of it is damaged, and the router goes on", async () => {
    const beacon = await beaconOf(place);
    const file = join(place.desk.folder, "run/beacons");
    const text = readFileSync(file, "utf8");
    const lines = text.trimEnd().split("\n");
    const forged = [
      text.replace(/ count \d+/, " count 0"),
      text.slice(0, -1),
      `${text}${lines.at(-1)}x\n`,
      text.replace(/ (\d+)\n$/, " 99999999999999\n"),
      [...lines, ...Array(limits.beaconsOutstanding).fill(lines.at(-1))].join("\n"),
      "",
    ];
    for (const bad of forged) {
      writeFileSync(file, bad);
      await place.restart();
      const plan = await signedBy(place, bundleOf(), { ...citing(beacon, 600), action: "plan" });
      expect(await codeOf(place, plan)).toBe("trust.beacon");
    }
    expect((await beaconOf(place)).message.number).toBe(1n);
  });

  test("of another boot is void, though the run folder was kept", async () => {
    const beacon = await beaconOf(place);
    const file = join(place.desk.folder, "run/beacons");
    const kept = readFileSync(file);
    await place.machine.reboot();
    writeFileSync(file, kept);
    await place.restart();
    const plan = await signedBy(place, bundleOf(), { ...citing(beacon, 600), action: "plan" });
    expect(await codeOf(place, plan)).toBe("trust.beacon");
    expect((await beaconOf(place)).message.number).toBe(1n);
  });

  test("gives way to newer ones when too many are out", async () => {
    const first = await beaconOf(place);
    for (let i = 1; i < limits.beaconsOutstanding; i += 1) await beaconOf(place);
    const plan = await signedBy(place, bundleOf(), { ...citing(first, 600), action: "plan" });
    expect(await codeOf(place, plan)).toBe("");
    await beaconOf(place);
    expect(await codeOf(place, plan)).toBe("trust.beacon");
  });
});

describe("what is told of a trial", () => {
  test("is its nonce only once its receipt is in the log", async () => {
    const place = await newPlace();
    const told: string[] = [];
    let asking = false;
    // The receipt is being written: the state is told to anybody who asks, and nobody can confirm it yet.
    place.machine.beforeCounters = async () => {
      if (asking) return;
      asking = true;
      const { pending } = await place.session.status();
      told.push(`${place.desk.agent.runner.state().name} ${pending?.nonce.length}`);
      asking = false;
    };
    const { nonce } = await begin(place, await signedBy(place, bundleOf(), {}));
    expect(told).toContain("trial 0");
    expect(nonce).toHaveLength(32);
    place.close();
  });
});

describe("what was said before", () => {
  test("is refused after a reboot: a challenge, a beacon, and the nonce of a trial", async () => {
    const place = await newPlace();
    const plain = await signedBy(place, bundleOf(), { note: "by challenge" });
    const cited = await signedBy(place, bundleOf(), { ...citing(await beaconOf(place), 600), note: "by beacon" });
    const trial = await signedBy(place, bundleOf(), { note: "on trial" });
    const { nonce } = await begin(place, trial);
    await place.machine.reboot();
    await place.restart();
    await settled(place);
    const late = await place.session.confirm(trial, nonce);
    expect(late.code).toBe("agent.power_cut");
    expect(receiptOf(late.receipt)).toMatchObject({ outcome: "rolled_back", signers: ["ann"] });
    // Its generation is burnt, so it is never judged by freshness again.
    expect(receiptOf((await place.session.submit(trial)).receipt).cause).toBe("agent.power_cut");
    expect(await codeOf(place, plain)).toBe("trust.generation_burnt");
    expect(await codeOf(place, cited)).toBe("trust.generation_burnt");
    place.close();
  });

  test("and never used is refused after a reboot for want of freshness", async () => {
    const place = await newPlace();
    const plain = await signedBy(place, bundleOf(), {});
    const cited = await signedBy(place, bundleOf(), citing(await beaconOf(place), 600));
    await place.machine.reboot();
    await place.restart();
    expect(await codeOf(place, plain)).toBe("trust.not_fresh");
    expect(await codeOf(place, cited)).toBe("trust.beacon");
    place.close();
  });

  test("to a router whose disk was put back convicts the disk: the log head is unknown there", async () => {
    const place = await newPlace();
    const state = join(place.desk.folder, "state");
    const snapshot = `${state}.snapshot`;
    await place.session.keys(["home"]);
    cpSync(state, snapshot, { recursive: true });
    const trial = await signedBy(place, bundleOf(), {});
    await begin(place, trial);
    await place.session.confirm(trial, none, "abort");
    await settled(place);
    const newer = await signedBy(place, bundleOf(), citing(await beaconOf(place), 600));
    rmSync(state, { recursive: true });
    cpSync(snapshot, state, { recursive: true });
    await place.restart();
    // The beacon is of this boot and the parent is the right one: only the log tells.
    expect(await codeOf(place, newer)).toBe("trust.log_head");
    // And the old word: its challenge died with the process that gave it.
    expect(await codeOf(place, trial)).toBe("trust.not_fresh");
    const generation = (await place.session.status()).generation;
    expect(generation).toBe(0n);
    place.close();
  });

  test("to a router whose disk was put back before its kept generation is refused by the parent", async () => {
    const place = await newPlace();
    const state = join(place.desk.folder, "state");
    await place.session.keys(["home"]);
    cpSync(state, `${state}.snapshot`, { recursive: true });
    await push(place, await signedBy(place, bundleOf(), {}));
    const newer = await signedBy(place, bundleOf(1), citing(await beaconOf(place), 600));
    rmSync(state, { recursive: true });
    cpSync(`${state}.snapshot`, state, { recursive: true });
    await place.restart();
    expect(await codeOf(place, newer)).toBe("trust.parent");
    place.close();
  });

  test("to a memory and run folder that were put back is known as done, or burnt", async () => {
    const place = await newPlace();
    const cited = citing(await beaconOf(place), 600);
    const file = join(place.desk.folder, "run/beacons");
    const kept = readFileSync(file);
    const [first, second] = [await signedBy(place, bundleOf(), cited), await signedBy(place, bundleOf(1), cited)];
    await push(place, first);
    await beaconOf(place);
    writeFileSync(file, kept);
    await place.restart();
    expect(receiptOf((await place.session.submit(first)).receipt).outcome).toBe("confirmed");
    // The same beacon, of this boot and young enough: what it was made for is over all the same.
    expect(await codeOf(place, second)).toBe("trust.generation_burnt");
    place.close();
  });

  test("to an agent whose memory was put back is refused: the disk is further than it remembers", async () => {
    const place = await newPlace();
    const directive = await signedBy(place, bundleOf(), {});
    // A second process over the same folders lives through it; the first one is the memory from before.
    const past = place.desk;
    await place.restart();
    const done = await signedBy(place, bundleOf(), {});
    await push(place, done);
    const before = place.desk.parts.store.record();
    const asked = place.session.over(past.send);
    for (const replayed of [directive, done]) {
      const { code } = await asked.submit(replayed);
      expect(code).toBe("agent.overtaken");
    }
    // Nor does any other record of it reach the disk.
    expect((await asked.ask({ kind: "keys", networks: ["lab"] })).code).toBe("agent.failure");
    const { store } = place.desk.parts;
    expect([store.overtaken(), store.record()]).toEqual([false, before]);
    place.close();
  });

  test("to the unit before is refused by its replacement, below and above the floor", async () => {
    const place = await newPlace();
    const [entry] = place.site.roster.message.routers;
    const self = place.desk.agent.standing.self();
    const base = (await signedBy(place, bundleOf(), {})).message;
    const roster = signStatement(
      crypto,
      "roster",
      {
        ...place.site.roster.message,
        version: place.site.roster.message.version + 1,
        prev_digest: place.site.roster.digest,
        routers: [
          { ...entry!, status: "superseded" },
          {
            ...entry!,
            ...{ incarnation: 2, generation_floor: 50n },
            ...{ sign_key: crypto.signKeys().publicKey, seal_key: crypto.boxKeys().publicKey },
          },
        ],
      },
      [place.site.admin],
    );
    const context = {
      ...{ view: { root: place.site.root, roster }, routerId: self.routerId, incarnation: 2, burnt: 0n },
      ...{ parent: base.parent, keysDigest: base.keys_digest, desiredFormat: base.desired_format },
      ...{ logDigestAt: () => base.observed_log_head, challengeIsLive: () => true, beaconAgeS: () => undefined },
    };
    const judge = (change: Partial<Directive>): string => {
      const signed = signStatement(crypto, "directive", { ...base, roster_digest: roster.digest, ...change }, [
        place.site.operator.sign,
      ]);
      const result = admitDirective(crypto, context, signed.envelope);
      return result.ok ? "" : (result.problems[0]?.code ?? "");
    };
    expect(judge({})).toBe("trust.incarnation");
    expect(judge({ incarnation: 2 })).toBe("trust.generation_burnt");
    expect(judge({ incarnation: 2, generation: 49n })).toBe("trust.generation_burnt");
    expect(judge({ incarnation: 2, generation: 50n })).toBe("");
    expect(judge({ incarnation: 2, generation: 50n, roster_digest: place.site.roster.digest })).toBe("trust.view");
    place.close();
  });

  test("too early is not remembered: the same directive counts once it is fresh", async () => {
    const place = await newPlace();
    // Signed over a beacon that the router has forgotten and will know again: its note was away for a while.
    const early = await signedBy(place, bundleOf(), citing(await beaconOf(place), 600));
    const file = join(place.desk.folder, "run/beacons");
    const note = readFileSync(file);
    rmSync(file);
    await place.restart();
    const before = await place.session.status();
    expect(await codeOf(place, early)).toBe("trust.beacon");
    expect(await codeOf(place, early)).toBe("trust.beacon");
    const after = await place.session.status();
    expect([after.generation, after.log_index]).toEqual([before.generation, before.log_index]);
    expect(place.desk.parts.store.directives()).toEqual([]);
    writeFileSync(file, note);
    await place.restart();
    const receipt = await push(place, early);
    expect(receipt).toMatchObject({ outcome: "confirmed", generation: 1n });
    // And from now on its one outcome is remembered, by whatever way it comes.
    expect(toHex((await place.session.submit(early)).receipt)).toBe(
      toHex(place.desk.agent.journal.newest(early.digest)?.envelope ?? none),
    );
    place.close();
  });
});
