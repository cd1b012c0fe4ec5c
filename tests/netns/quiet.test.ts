/**
 * What must not be felt: the same intent again and again, under a thousand packets a second; and one client
 * more among a thousand that are connected. Counted by nft before and after the policy, by the kernel's own
 * monitors, by the run log, and by every client's session.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import sodium from "libsodium-wrappers";
import { normalListing } from "../../agent/core/nft-listing.ts";
import type { ObservedPeer } from "../../agent/ports.ts";
import { type Crowd, startCrowd } from "./crowd.ts";
import { countEnds, type EndCounts, lengthenQueue } from "./ends.ts";
import { freshProgram } from "./program.ts";
import { client, clientAddresses, homeIntent, LAN_HOST4, ROUTER4, writeInventory } from "./sites.ts";
import { addClient, firstDay, openStage, type Stage } from "./stage.ts";
import type { Observer, Snapshot } from "./state.ts";
import { type SenderReport, startEcho, startSender } from "./traffic.ts";
import { raiseTunnel } from "./tunnel.ts";
import { INTERNET4 } from "./wiring.ts";

setDefaultTimeout(300_000);

/** The full size is 100: `RE_PUSHES=100 bun test tests/netns/quiet.test.ts`, ten minutes of two busy processors. */
const RE_PUSHES = Number(process.env.RE_PUSHES ?? 20);
const CROWD = 1000;

type Quiet = {
  readonly outcomes: readonly string[];
  readonly exits: readonly number[];
  readonly reports: readonly SenderReport[];
  readonly counts: EndCounts;
  readonly generations: readonly [number, number];
  readonly monitor: readonly string[];
  readonly mutations: readonly (readonly string[])[];
  readonly plan: string; // of the last receipt
};

/** Lines of `ip monitor` in the router while `work` runs. */
async function monitored(stage: Stage, work: () => Promise<void>): Promise<readonly string[]> {
  const { world, land } = stage;
  const child = world.spawn(land.router, ["ip", "monitor", "link", "address", "route", "rule"]);
  const seen: string[] = [];
  const reading = (async () => {
    for (let line = await child.out.next(); line.done !== true; line = await child.out.next()) seen.push(line.value);
  })();
  // A link of our own shows that the monitor hears before it is trusted to be silent. It may not listen yet.
  const heard = (): boolean => seen.some((line) => line.startsWith("Deleted") && line.includes("witness"));
  while (!heard()) {
    await world.must(land.router, ["ip", "link", "add", "witness", "type", "veth", "peer", "name", "witness2"]);
    await world.must(land.router, ["ip", "link", "del", "witness"]);
    await Bun.sleep(100);
  }
  await Bun.sleep(200);
  seen.length = 0;
  await work();
  child.kill();
  await reading;
  return seen;
}

async function rePush(stage: Stage): Promise<Quiet> {
  const { world, land, operator, observer, units, host } = stage;
  const conf = await addClient(stage, "alice", "full");
  await operator.must("push", "--yes");
  await raiseTunnel(world, host("client"), "wg0", conf);
  await lengthenQueue(world, land.router, "hf-home");
  // From the LAN to the internet through kernels alone; and through the tunnel, whose ends are programs.
  const [routed, tunnelled] = [7, 8];
  await startEcho(world, land.net, { protocol: "udp", host: INTERNET4, port: routed });
  await startEcho(world, host("lan"), { protocol: "udp", host: LAN_HOST4, port: tunnelled });
  const counts = await countEnds(world, land.router, [host("lan"), land.net], routed, [tunnelled]);
  const senders = [
    await startSender(world, host("lan"), { host: INTERNET4, port: routed, rate: 1000 }),
    await startSender(world, host("client"), { host: LAN_HOST4, port: tunnelled, rate: 1000 }),
  ];
  const generation = await observer.nftGeneration();
  const mutations = units.mutations().length;
  const logged = units.receipts().length;
  const exits: number[] = [];
  const monitor = await monitored(stage, async () => {
    for (let i = 0; i < RE_PUSHES; i += 1) exits.push((await operator.ask("push", "--yes")).exit);
  });
  const generations = [generation, await observer.nftGeneration()] as const;
  const reports = await Promise.all(senders.map((sender) => sender.stop()));
  const receipts = units.receipts().slice(logged);
  return {
    outcomes: receipts.map((one) => one.outcome),
    exits,
    reports,
    counts: await counts(),
    generations,
    monitor,
    mutations: units.mutations(mutations),
    plan: receipts.at(-1)?.plan ?? "",
  };
}

type Grown = {
  readonly before: readonly ObservedPeer[];
  readonly after: readonly ObservedPeer[]; // right after the push
  readonly beaten: readonly ObservedPeer[]; // after every old client has sent once more
  readonly mutations: readonly (readonly string[])[];
  readonly loaded: string; // the nft text that was loaded
  readonly facts: { readonly gone: readonly string[]; readonly come: readonly string[] };
};

const homePeers = ({ observed }: Snapshot): readonly ObservedPeer[] =>
  observed.links.find((link) => link.name === "hf-home")?.peers ?? [];

/** The device's peers after everybody was heard once more. A keepalive is a datagram: one that is lost is said again. */
async function beatAll(
  crowd: Crowd,
  observer: Observer,
  since: readonly ObservedPeer[],
): Promise<readonly ObservedPeer[]> {
  const floor = new Map(since.map((peer) => [peer.publicKey, peer.rxBytes]));
  const unheard = (peer: ObservedPeer): boolean => peer.rxBytes <= (floor.get(peer.publicKey) ?? -1);
  let peers: readonly ObservedPeer[] = since;
  for (let i = 0; i < 5 && peers.some(unheard); i += 1) {
    await crowd.beat();
    await Bun.sleep(500);
    peers = homePeers(await observer.snapshot());
  }
  return peers;
}

async function growCrowd(stage: Stage): Promise<Grown> {
  await sodium.ready;
  const { world, operator, observer, units, host } = stage;
  const keys = Array.from({ length: CROWD }, () => sodium.randombytes_buf(32));
  writeInventory(operator.site, {
    version: 1,
    clients: keys.map((key, i) => client(`c${i}`, sodium.crypto_scalarmult_base(key).toBase64(), i + 2)),
  });
  await operator.must("push", "--yes");
  const serverKey = (await observer.snapshot()).observed.links.find((link) => link.name === "hf-home")!.publicKey;
  const privateKeys = keys.map((key) => key.toBase64());
  const crowd: Crowd = await startCrowd(world, host("client"), { host: ROUTER4, port: 51820, serverKey, privateKeys });
  await beatAll(crowd, observer, homePeers(await observer.snapshot()));
  const before = await observer.snapshot();
  const mutations = units.mutations().length;
  await addClient(stage, "late-comer", "full");
  await operator.must("push", "--yes");
  const after = await observer.snapshot();
  const loaded = readFileSync(join(units.run, "step.nft"), "utf8");
  const beaten = await beatAll(crowd, observer, homePeers(after));
  crowd.stop();
  const [old, now] = [before, after].map(({ observed }) => new Set(normalListing(observed.nft).split("\n")));
  return {
    before: homePeers(before),
    after: homePeers(after),
    beaten,
    mutations: units.mutations(mutations),
    loaded,
    facts: { gone: [...old!].filter((fact) => !now!.has(fact)), come: [...now!].filter((fact) => !old!.has(fact)) },
  };
}

const stages: Stage[] = [];
let quiet: Promise<Quiet>;
let grown: Promise<Grown>;

beforeAll(async () => {
  const open = async (name: string): Promise<Stage> => {
    const stage = await openStage({ name, program: freshProgram() });
    stages.push(stage);
    await firstDay(stage, homeIntent());
    return stage;
  };
  quiet = open("repush").then(rePush);
  grown = open("crowd").then(growCrowd);
  await Promise.allSettled([quiet, grown]);
}, 1_800_000);
afterAll(async () => {
  for (const stage of stages) await stage.close();
});

describe(`the same intent ${RE_PUSHES} times under a thousand packets a second`, () => {
  test("every push ends well, and its receipt says that there was nothing to do", async () => {
    const { exits, outcomes, plan } = await quiet;
    expect(exits).toEqual(Array(RE_PUSHES).fill(0));
    expect(outcomes).toEqual(Array(RE_PUSHES).fill("unchanged"));
    expect(plan).toContain("Nothing to do");
  });

  test("loses no packet", async () => {
    const { reports, counts } = await quiet;
    for (const { sent, seconds } of reports) expect(sent / seconds).toBeGreaterThan(900);
    expect(counts.sent).toBeGreaterThan(reports[0]!.sent);
    expect(counts.arrived).toBe(counts.sent);
    expect(counts.entered).toBeGreaterThan(counts.sent);
    expect(counts.left).toBe(counts.entered);
  });

  test("leaves the nft generation alone, ip monitor silent and the run log empty", async () => {
    const { generations, monitor, mutations } = await quiet;
    expect(generations[1]).toBe(generations[0]);
    expect(monitor).toEqual([]);
    expect(mutations).toEqual([]);
  });
});

describe("one client more among a thousand live ones", () => {
  const [four, six] = clientAddresses(CROWD + 2);

  test("writes one peer", async () => {
    const { before, after, mutations } = await grown;
    expect(before.length).toBe(CROWD);
    expect(after.length).toBe(CROWD + 1);
    const writes = mutations.filter((argv) => argv.includes("peer"));
    expect(writes.length).toBe(1);
    expect(writes[0]!.filter((word) => word === "peer").length).toBe(1);
    const known = new Set(before.map((peer) => peer.publicKey));
    const fresh = after.find((peer) => !known.has(peer.publicKey));
    expect(fresh?.allowedIps).toEqual([`${four}/32`, `${six}/128`]);
    expect(writes[0]).toContain(fresh!.publicKey);
  });

  test("writes only that client's elements", async () => {
    const { mutations, loaded, facts } = await grown;
    // Two commands in all: the elements and the peer.
    expect(mutations.length).toBe(2);
    const mine = (text: string): boolean => text.includes(four) || text.includes(`${six} `) || text.endsWith(six);
    expect(facts.come.filter((fact) => !mine(fact) && !fact.startsWith("set s_marker"))).toEqual([]);
    expect(facts.gone.filter((fact) => !fact.startsWith("set s_marker"))).toEqual([]);
    expect(facts.come.filter(mine).length).toBeGreaterThan(0);
    expect(loaded.split("\n").filter((line) => /^(flush|delete chain|table)/.test(line))).toEqual([]);
  });

  test("disturbs no handshake: everybody goes on in the session that was there", async () => {
    const { before, after, beaten } = await grown;
    const later = new Map(after.map((peer) => [peer.publicKey, peer]));
    const last = new Map(beaten.map((peer) => [peer.publicKey, peer]));
    expect(before.filter((peer) => peer.handshakeUnixS === 0)).toEqual([]);
    for (const peer of before) {
      const [next, end] = [later.get(peer.publicKey)!, last.get(peer.publicKey)!];
      for (const one of [next, end])
        expect([one.handshakeUnixS, one.endpoint]).toEqual([peer.handshakeUnixS, peer.endpoint]);
      // 32 bytes more: a keepalive that the old session's key opened.
      expect(end.rxBytes).toBeGreaterThanOrEqual(next.rxBytes + 32);
    }
  });
});
