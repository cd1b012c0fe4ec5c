/**
 * An apply that the machine takes only in part, one that it cannot take, and a way back over a machine that changed
 * meanwhile (scenarios A18 to A21 of tests/scenarios/catalogue.ts).
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { Receipt } from "../../schemas/report.ts";
import { baseIntent, intentOf, inventoryOf } from "../agent/bundles.ts";
import { type AgentWorld, agentWorld, Relay } from "./agent-world.ts";
import { PickyNft } from "./picky-nft.ts";
import { Observer, type Snapshot } from "./state.ts";
import { type Bundle, beginTrial, idle, keep, takeBack } from "./trials.ts";
import type { Space } from "./world.ts";

setDefaultTimeout(120_000);

type Router = NonNullable<(typeof baseIntent)["routers"]>[number];
type Addresses = NonNullable<Router["addresses"]>;
type Routes = NonNullable<Router["routes"]>;

let w: AgentWorld;
let observer: Observer;
let nft: PickyNft;
let dmz: Space;

const [baseRouter] = baseIntent.routers;
const [wan, lan] = baseIntent.zones!;

/** The port-forward of the first generation leads here, so that its ruleset names it. */
const TARGET = "10.0.0.55";

type Change = {
  readonly forwardTo?: string; // "": no port-forward
  readonly addresses?: Addresses;
  readonly routes?: Routes;
  readonly policies?: typeof baseIntent.policies;
};

/** LAN and DMZ, both with management, static routes of both families into the DMZ; and what a test adds. */
function bundle(change: Change = {}): Bundle {
  const { addresses = [], routes = [], policies = baseIntent.policies ?? [], forwardTo = TARGET } = change;
  const forward = { id: "web", zone: "wan", address: "192.0.2.1", protocol: "tcp" as const, port: 8443 };
  const zone = (id: string, kind: "management" | "internal", name: string, subnets: string[]) => ({
    ...{ id, router: "r1", kind, interfaces: [name], subnets },
  });
  const spare = addresses.some((one) => one.interface === "lan2");
  const intent = intentOf({
    routers: [
      {
        ...baseRouter!,
        management: { addresses: ["10.0.0.1", "10.1.0.1"], zones: ["lan", "dmz"] },
        addresses: [
          ...(baseRouter!.addresses ?? []),
          { interface: "lan1", cidr: "10.1.0.1/24" },
          { interface: "lan1", cidr: "fd42:1:1:1::1/64" },
          ...addresses,
        ],
        routes: [
          { to: "10.50.0.0/16", via: "10.1.0.2", interface: "lan1" },
          { to: "fd42:1:1:50::/64", via: "fd42:1:1:1::2", interface: "lan1" },
          ...routes,
        ],
        forward_v6: true,
      },
    ],
    zones: [
      wan!,
      lan!,
      zone("dmz", "management", "lan1", ["10.1.0.0/24", "10.50.0.0/16", "fd42:1:1:1::/64", "fd42:1:1:50::/64"]),
      ...(spare ? [zone("spare", "internal", "lan2", ["10.2.0.0/24", "10.60.0.0/16"])] : []),
    ],
    policies: [...policies],
    port_forwards: forwardTo === "" ? [] : [{ ...forward, to_address: forwardTo, to_port: 443 }],
    ula_prefix: "fd42:1:1::/48",
    confirm: { window_s: 60, cap_s: 120 },
  });
  return { intent, inventory: inventoryOf(), networks: ["home"] };
}

async function wireDmz(): Promise<void> {
  await w.world.link(w.router, "lan1", dmz, "eth0");
  await w.world.address(dmz, "eth0", "10.1.0.2/24", "fd42:1:1:1::2/64");
}

beforeAll(async () => {
  w = await agentWorld("whole");
  dmz = await w.world.space("d");
  await wireDmz();
  await w.world.link(w.router, "lan2", dmz, "eth1");
  await w.world.must(w.router, ["ip", "link", "set", "lan2", "down"]);
  nft = await PickyNft.install(w.units);
  observer = await Observer.start(w.units);
  await keep(w, bundle());
}, 1_800_000);
afterAll(async () => {
  await observer.close();
  w.close();
});

const expectSame = async (before: Snapshot): Promise<void> => {
  const [then, now] = observer.texts(before, await observer.snapshot());
  expect(now).toBe(then);
};

/** Refused with this code: not burnt, nothing marked, no command that changes anything, the ruleset not touched. */
async function expectRefused(what: Bundle, code: string, detail: RegExp): Promise<void> {
  const seen = async () => [
    w.units.record(),
    w.units.armed(),
    w.units.mutations().length,
    await observer.nftGeneration(),
  ];
  const before = await seen();
  const { opened } = await w.session.directive(what);
  const answer = await w.session.submit(opened);
  expect([answer.code, answer.problems[0]?.detail]).toEqual([code, expect.stringMatching(detail)]);
  expect(await seen()).toEqual(before);
}

test("A19: what this kernel cannot do is refused before anything is marked", async () => {
  nft.lack("10.0.0.56");
  const needs = bundle({ forwardTo: "10.0.0.56" });
  await expectRefused(needs, "apply.ruleset_rejected", /No such file or directory/);
  nft.lack(undefined);
});

test("A19: nothing is tried when the way back does not load any more", async () => {
  nft.lack(TARGET);
  const other = bundle({ forwardTo: "" });
  await expectRefused(other, "apply.rollback_not_rehearsable", /No such file or directory/);
  nft.lack(undefined);
  await takeBack(w, await beginTrial(w, other));
});

/** A push that ends by itself while it is applied; then the next one is taken at once. */
async function failed(what: Bundle): Promise<Receipt> {
  const before = await observer.snapshot();
  const log = w.units.receipts().length;
  const { opened } = await w.session.directive(what);
  expect((await w.session.submit(opened)).code).toBe("");
  const end = await w.units.untilReceipt((one) => one.outcome === "rolled_back", 30_000, log);
  await idle(w);
  expect(w.units.receipts().slice(log)).toEqual([end]); // no trial: it never stood
  expect(w.units.armed()).toBe(undefined as never);
  await expectSame(before);
  await takeBack(w, await beginTrial(w, bundle({ policies: [] })));
  await expectSame(before);
  return end;
}

test("A18: an unreachable route takes the ruleset back with it", async () => {
  const end = await failed(
    bundle({
      addresses: [{ interface: "lan2", cidr: "10.2.0.1/24" }],
      routes: [{ to: "10.60.0.0/16", via: "10.2.0.2", interface: "lan2" }], // lan2 is down
      policies: [],
    }),
  );
  expect([end.cause, end.problems[0]?.path]).toEqual(["apply.kernel_refused", "route.add"]);
});

test("A18: a ruleset that fails takes addresses and routes back with it", async () => {
  nft.failNextLoad();
  const mutations = w.units.mutations().length;
  const end = await failed(
    bundle({
      addresses: [{ interface: "lan1", cidr: "10.1.0.7/24" }],
      routes: [{ to: "10.50.7.0/24", via: "10.1.0.2", interface: "lan1" }],
      policies: [],
    }),
  );
  expect([end.cause, end.problems[0]?.path]).toEqual(["apply.kernel_refused", "nft.load"]);
  const done = w.units.mutations(mutations).map((argv) => argv.join(" "));
  expect(done.some((line) => line.includes("address-add"))).toBe(true);
});

test("A20: an interface that was deleted and made anew has its addresses, routes and rules again after the rollback", async () => {
  const before = await observer.snapshot();
  const begun = await beginTrial(w, bundle({ policies: [] }));
  await w.world.must(w.router, ["ip", "link", "del", "lan1"]);
  await wireDmz();
  await takeBack(w, begun);
  await expectSame(before);
  const routes = await Promise.all(
    ["-4", "-6"].map((family) => w.world.must(w.router, ["ip", family, "route", "show", "dev", "lan1"])),
  );
  expect(routes[0]).toContain("10.50.0.0/16 via 10.1.0.2");
  expect(routes[1]).toContain("fd42:1:1:50::/64 via fd42:1:1:1::2");
  // The rules speak of the new device: its lane counts what arrives, and lets it in.
  const fromDmz = w.session.over((await Relay.start(w.world, dmz)).to({ host: "10.1.0.1" }));
  const packets = async (): Promise<bigint> =>
    (await fromDmz.status()).lanes.find((lane) => lane.name === "api:10.1.0.1")?.packets ?? 0n;
  const first = await packets();
  expect(await packets()).toBeGreaterThan(first);
});

test("A21: one address takes another's place in its subnet without a moment of neither, there and back", async () => {
  await w.world.must(w.router, ["ip", "link", "set", "lan2", "up"]);
  const withAddress = (cidr: string): Bundle => bundle({ addresses: [{ interface: "lan2", cidr }] });
  await keep(w, withAddress("10.2.0.1/24"));
  const before = await observer.snapshot();
  // Somebody makes the kernel drop every later address of a subnet together with the first.
  const spoil = async (): Promise<void> => {
    const keys = ["all", "default", "lan2"].map((name) => `net.ipv4.conf.${name}.promote_secondaries=0`);
    await w.world.must(w.router, ["sysctl", "-qw", ...keys]);
  };
  const child = join(import.meta.dir, "address-child.ts");
  const sampler = w.world.spawn(w.router, [process.execPath, child, "lan2", "10.2.0.1", "10.2.0.5"]);
  await sampler.out.next();
  const monitor = w.world.spawn(w.router, ["ip", "-o", "-4", "monitor", "address"]);
  const held = async (): Promise<string> => w.world.must(w.router, ["ip", "-o", "-4", "addr", "show", "dev", "lan2"]);

  await spoil();
  const begun = await beginTrial(w, withAddress("10.2.0.5/24"));
  expect(await held()).toContain("10.2.0.5/24");
  await spoil();
  await takeBack(w, begun);
  await w.world.must(w.router, ["sysctl", "-qw", "net.ipv4.conf.lan2.promote_secondaries=0"]);
  await expectSame(before);
  expect(await held()).not.toContain("10.2.0.5/24");

  await spoil();
  const kept = await keep(w, withAddress("10.2.0.5/24"));
  expect(kept.outcome).toBe("confirmed");
  expect(await held()).not.toContain("10.2.0.1/24");
  sampler.closeStdin();
  const { samples, neither } = JSON.parse((await sampler.out.next()).value ?? "{}");
  expect(neither).toBe(0);
  expect(samples).toBeGreaterThan(500);
  // What lies between two looks, the kernel itself tells: every address that came and went, in order.
  monitor.kill("SIGTERM");
  const there = new Set(["10.2.0.1/24"]);
  let changes = 0;
  for (let line = await monitor.out.next(); line.done !== true; line = await monitor.out.next()) {
    const cidr = /lan2\s+inet (\S+)/.exec(line.value)?.[1];
    if (cidr === undefined) continue;
    changes += 1;
    if (line.value.startsWith("Deleted")) there.delete(cidr);
    else there.add(cidr);
    expect(there.size).toBeGreaterThan(0);
  }
  expect(changes).toBeGreaterThanOrEqual(4);
});
