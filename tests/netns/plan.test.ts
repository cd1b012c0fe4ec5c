/**
 * Plans against a real kernel: real nft, real WireGuard devices, the real writer. Each generation is planned from
 * what was observed, performed step by step and read back; then its removals, and the read-back without surplus.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderArtifacts } from "../../agent/core/artifacts.ts";
import { normalDesired, normalObserved, scopeOf } from "../../agent/core/normal.ts";
import { isEmptyPlan, planChange } from "../../agent/core/plan.ts";
import { NO_SURPLUS, readBack, surplusOf } from "../../agent/core/read-back.ts";
import type { Plan, Step } from "../../agent/core/step.ts";
import type { Desired } from "../../schemas/desired.ts";
import { clients, link, peer, sampleDesired } from "../core/desireds.ts";
import { base } from "../core/nft-tables.ts";
import { type RemoteHost, remoteHost } from "./remote.ts";
import { makeRouter, type Router } from "./router.ts";
import { World } from "./world.ts";

setDefaultTimeout(60_000);

let world: World;
let router: Router;
let host: RemoteHost;
let owner = "";
let keys: { readonly office: string; readonly rescue: string; readonly twin: string };

beforeAll(async () => {
  world = await World.create({ name: "plan" });
  const space = await world.space("r");
  const far = await world.space("u");
  await world.link(space, "wan0", far, "eth0");
  await world.address(space, "wan0", "192.0.2.2/24");
  router = makeRouter(world, space, "dash");
  host = await remoteHost(world, space, {
    state: router.state,
    run: router.run,
    lib: router.lib,
    backend: "auto",
    runLog: join(router.folder, "run.log"),
    path: router.path,
  });
  keys = {
    office: await host.keys.makeWgKey(),
    rescue: await host.keys.makeWgKey(),
    twin: await host.keys.makeWgKey(),
  };
  owner = await host.guard.own();
}, 1_800_000);
afterAll(async () => {
  await host.close();
  world.destroy();
  router.remove();
});

let current: Desired | null = null;
let epoch = 0;

function generation(count: number, more: Partial<Desired> = {}): Desired {
  const sample = sampleDesired(clients(count), more);
  const publicKeys: Record<string, string> = {
    "hf-office": keys.office,
    "hf-rescue": keys.rescue,
    "hf-twin": keys.twin,
  };
  return { ...sample, links: sample.links.map((one) => ({ ...one, publicKey: publicKeys[one.name]! })) };
}

async function rehearse(desired: Desired, at: number): Promise<string> {
  const file = join(router.folder, "rehearsal.nft");
  writeFileSync(file, renderArtifacts(desired).find((one) => one.name === "ruleset.nft")!.text);
  const result = await host.kernel.rehearseNft(file, at);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value.listing;
}

async function perform(steps: readonly Step[], at: number): Promise<void> {
  for (const step of steps)
    expect([step, await host.kernel.perform(owner, "", step, at)]).toMatchObject([step, { ok: true }]);
}

async function planFor(next: Desired): Promise<Plan> {
  const observed = await host.kernel.observe(scopeOf(current, next));
  const expectedLkgListing = current === null ? null : await rehearse(current, epoch);
  const result = planChange({ lkg: current, next, observed, lkgEpoch: epoch, expectedLkgListing });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

/** A whole push with its confirm. Returns the plan. */
async function push(next: Desired): Promise<Plan> {
  const plan = await planFor(next);
  const scope = scopeOf(current, next);
  await perform(plan.apply, plan.epoch);
  const listing = await rehearse(next, plan.epoch);
  const surplus = surplusOf(plan);
  expect(readBack(next, surplus, await host.kernel.observe(scope), listing, scope)).toEqual([]);
  await perform(plan.afterConfirm, plan.epoch);
  const after = await host.kernel.observe(scope);
  expect(readBack(next, NO_SURPLUS, after, listing, scope)).toEqual([]);
  expect(normalObserved(after, scopeOf(next), plan.epoch)).toBe(normalDesired(next, listing, plan.epoch));
  current = next;
  epoch = plan.epoch;
  return plan;
}

const kinds = (steps: readonly Step[]): readonly string[] => steps.map((step) => step.kind);

test("the first generation is built from nothing, and then there is nothing to do", async () => {
  const first = generation(40);
  const plan = await push(first);
  expect(plan.epoch).toBe(1);
  expect(isEmptyPlan(await planFor(first))).toBe(true);
});

test("one client more is one peer and a delta, under the same epoch", async () => {
  const plan = await push(generation(41));
  expect(kinds(plan.apply)).toEqual(["nft.load", "wg.peers"]);
  expect(plan.apply[0]).toMatchObject({ mode: "delta" });
  expect(plan.epoch).toBe(1);
});

test("one client less denies in the trial and leaves after the confirm", async () => {
  const plan = await push(generation(39));
  expect(kinds(plan.apply)).toEqual(["nft.load"]);
  expect(kinds(plan.afterConfirm)).toEqual(["wg.remove"]);
  expect(plan.epoch).toBe(2);
});

test("everything that can change in place changes in place", async () => {
  const before = generation(39);
  const [office, rescue] = before.links;
  const [a, b, ...rest] = office!.peers;
  // Addresses change hands, one peer loses its last one, keepalive comes.
  const peers = [
    { ...a!, allowedIps: b!.allowedIps, keepaliveS: 25 },
    { ...b!, allowedIps: a!.allowedIps },
    { ...rest[0]!, allowedIps: [] },
    ...rest.slice(1),
  ];
  const chains = before.nft.chains.map((one) =>
    one.name === "b_input" ? base("b_input", "input", 5, one.rules) : one,
  );
  await push({
    ...before,
    sysctls: [{ key: "net.ipv4.ip_forward", value: "1" }],
    links: [{ ...office!, mtu: 1380, fwmark: 0x77, peers }, rescue!],
    addresses: [{ interface: "hf-office", cidr: "10.100.0.2/16" }, before.addresses[1]!],
    routes: [
      { ...before.routes[0]!, via: "192.0.2.3" },
      { ...before.routes[1]!, metric: 50 },
    ],
    rules: [
      { ...before.rules[0]!, priority: 1001 },
      { ...before.rules[0]!, from: "", fwmark: 1, fwmask: 1 },
    ],
    nft: { ...before.nft, counters: [...before.nft.counters, "c_new"].sort(), chains },
  });
});

test("a twin takes over and the old device goes after the confirm", async () => {
  const sample = sampleDesired(clients(5));
  const next = generation(5, {
    links: [sample.links[1]!, link("hf-twin", 51830, clients(5))],
    addresses: [sample.addresses[1]!, { interface: "hf-twin", cidr: "10.100.0.1/16" }],
    routes: [sample.routes[1]!],
    rules: [],
  });
  const plan = await push(next);
  expect(kinds(plan.afterConfirm)).toContain("link.remove");
});

test("what others change is found and put right", async () => {
  const next = current!;
  const run = (words: string) => world.must(router.space, words.split(" "));
  await run("ip link set dev hf-twin mtu 1300");
  await run("ip addr add 10.55.0.1/24 dev hf-twin");
  await run("ip -6 route del fd12::/64 dev hf-rescue table 101");
  await run(`wg set hf-twin peer ${peer(1).publicKey} remove`);
  await run("nft add chain inet holdfast z_foreign");
  const plan = await push(next);
  expect(plan.drift.map((change) => `${change.sign} ${change.text.split(" ").slice(0, 2).join(" ")}`)).toEqual([
    ...["~ link hf-twin:", "+ address hf-twin", "- peer hf-twin", "- route fd12::/64", "~ nft table"],
  ]);
  expect(plan.changes).toEqual([]);
});
