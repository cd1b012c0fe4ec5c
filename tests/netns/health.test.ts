/**
 * Probes and the outside world around a trial on a real router: a generation that breaks a probe, an upstream and a lease
 * that go away between two looks, power that goes three times while it comes back, and a reboot after which nothing works.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import type { Receipt, Status } from "../../schemas/report.ts";
import { baseIntent, intentOf, inventoryOf } from "../agent/bundles.ts";
import { receiptOf, type Session } from "../agent/operator.ts";
import { type AgentWorld, agentWorld } from "./agent-world.ts";

setDefaultTimeout(120_000);

let w: AgentWorld;
let session: Session;
beforeAll(async () => {
  w = await agentWorld("health");
  session = w.session;
}, 1_800_000);
afterAll(() => w.close());

type Bundle = Parameters<Session["directive"]>[0];
const bundleOf = (more: Parameters<typeof intentOf>[0] = {}): Bundle => ({
  ...{ intent: intentOf(more), inventory: inventoryOf(), networks: ["home"] },
});

const FAR = "192.0.2.2";
const PORT = 8080;
const gate = { id: "gate", router: "r1", kind: "tcp" as const, target: FAR, port: PORT, attempts: 2, timeout_ms: 500 };

/** Asks again until the wish holds. */
async function statusWhere(wish: (status: Status) => boolean): Promise<Status> {
  for (let i = 0; i < 300; i += 1) {
    const status = await session.status().catch(() => undefined);
    if (status !== undefined && wish(status)) return status;
    await Bun.sleep(100);
  }
  throw new Error(`no such status: ${w.units.log("agent.log")}`);
}

async function submit(bundle: Bundle, more: Parameters<Session["directive"]>[1] = {}) {
  const { opened } = await session.directive(bundle, more);
  const { code, problems } = await session.submit(opened);
  return { opened, code, detail: problems[0]?.detail ?? "" };
}

/** A push up to its end without a confirm. */
async function ended(bundle: Bundle, more: Parameters<Session["directive"]>[1] = {}): Promise<Receipt> {
  const count = (await session.receipts()).length;
  expect(await submit(bundle, more)).toMatchObject({ code: "" });
  await statusWhere((status) => status.pending === null);
  const receipt = (await session.receipts()).slice(count).at(-1);
  if (receipt === undefined) throw new Error(`no receipt: ${w.units.log("agent.log")}`);
  return receipt;
}

async function kept(bundle: Bundle, more: Parameters<Session["directive"]>[1] = {}): Promise<Receipt> {
  const { opened, code } = await submit(bundle, more);
  expect(code).toBe("");
  const { pending } = await statusWhere((status) => (status.pending?.nonce.length ?? 0) === 32);
  const answer = await session.confirm(opened, pending!.nonce);
  expect([answer.code, answer.problems]).toEqual(["", []]);
  return receiptOf(answer.receipt);
}

const told = (receipt: Receipt): readonly string[] => receipt.problems.map((one) => `${one.path} ${one.detail}`);

const onRouter = (...words: readonly string[]): string[] => w.world.argv(w.router, ["ip", ...words]);
const lease = (verb: string, address: string): string[] => onRouter("addr", verb, address, "dev", "wan0");
const leaseRoute = (gateway: string): string[] =>
  onRouter("route", "replace", "default", "via", gateway, "dev", "wan0", "metric", "700");

/** A server across the WAN, which runs these commands at the first connection, before it says a word. */
function serveFar(...commands: readonly string[][]) {
  const act = `for (const one of ${JSON.stringify(commands)}) Bun.spawnSync(one);`;
  const code = `Bun.listen({ hostname: "${FAR}", port: ${PORT}, socket: { open() { ${act} console.log("open"); }, data() {} } }); console.log("ready");`;
  return w.world.spawn(w.far, [process.execPath, "-e", code]);
}

test("A23 a generation that breaks a probe is its own fault, and the same content is refused without force", async () => {
  expect((await kept(bundleOf())).outcome).toBe("confirmed");
  await w.world.address(w.far, "lo", "198.51.100.1/32");
  const [router] = baseIntent.routers;
  const uplinks = [{ ...router!.uplinks![0]!, gateways: ["192.0.2.77"] }];
  const beyond = { ...gate, kind: "ping" as const, target: "198.51.100.1", port: 0 };
  const broken = bundleOf({ routers: [{ ...router!, uplinks }], probes: [beyond] });
  const receipt = await ended(broken);
  expect(receipt).toMatchObject({ outcome: "rolled_back", cause: "probe.failed", quarantined: true });
  expect(receipt.probes).toEqual([{ id: "gate", before: "passed", after: "failed", restored: "passed" }]);
  expect(told(receipt)).toEqual(["gate passed before the apply, failed after it, and passes again after the restore"]);
  const mutations = w.units.mutations().length;
  expect(await submit(broken)).toMatchObject({
    code: "apply.quarantined",
    detail: expect.stringContaining("probe.failed"),
  });
  expect(w.units.mutations().length).toBe(mutations);
  expect((await session.status()).quarantine.map((one) => one.cause)).toEqual(["probe.failed"]);
  expect(await ended(broken, { force: true })).toMatchObject({ cause: "probe.failed", quarantined: true });
});

test("A23 an upstream that goes away between two looks, and another lease: inconclusive, by name, no quarantine", async () => {
  for (const argv of [lease("add", "192.0.2.50/24"), leaseRoute(FAR)]) expect(Bun.spawnSync(argv).exitCode).toBe(0);
  const server = serveFar(lease("add", "192.0.2.60/24"), leaseRoute("192.0.2.3"), lease("del", "192.0.2.50/24"), [
    "ip",
    "link",
    "set",
    "eth0",
    "down",
  ]);
  expect((await server.out.next()).value).toBe("ready");
  const watched = bundleOf({ probes: [gate], confirm: { window_s: 11, cap_s: 60 } });
  const receipt = await ended(watched);
  expect(receipt).toMatchObject({ outcome: "rolled_back", cause: "probe.inconclusive", quarantined: false });
  expect(receipt.probes).toEqual([{ id: "gate", before: "passed", after: "failed", restored: "failed" }]);
  expect(told(receipt)).toEqual([
    "uplink wan0 lost its carrier during the trial",
    "uplink wan0 lost its address 192.0.2.50/24 during the trial",
    `uplink wan0 lost its default route through ${FAR} during the trial`,
    "uplink wan0 got a default route through 192.0.2.3 during the trial",
    "probe gate passed before the apply, failed after it, and still fails after the restore",
  ]);
  server.kill();
  await server.exited;
  await w.world.must(w.far, ["ip", "link", "set", "eth0", "up"]);
  const again = serveFar();
  expect((await again.out.next()).value).toBe("ready");
  // The very same content, without force.
  expect((await kept(watched)).outcome).toBe("confirmed");
  again.kill();
});

test("A24 three brown-outs during early boot never change the generation", async () => {
  const before = w.units.record();
  const rules = await w.world.must(w.router, ["nft", "-s", "list", "ruleset"]);
  await w.units.killAgent();
  await w.units.killGuard();
  // As the kernel is after power came back: nothing of ours.
  for (const ms of [20, 120, 400]) {
    await w.world.must(w.router, ["nft", "flush", "ruleset"]);
    await w.units.brownOut(ms);
  }
  await w.units.powerUp();
  const status = await statusWhere(() => true);
  expect([status.lkg_generation, status.pending]).toEqual([before.lkg!.generation, null]);
  const after = w.units.record();
  expect([after.lkg, after.generation, after.logIndex]).toEqual([before.lkg, before.generation, before.logIndex]);
  const strip = (text: string): string => text.replace(/0x00[0-9a-f]{2}([0-9a-f]{4})/g, "EPOCH:$1");
  expect(strip(await w.world.must(w.router, ["nft", "-s", "list", "ruleset"]))).toBe(strip(rules));
  // What was refused is refused still.
  expect(status.quarantine.length).toBe(1);
});

test("A24 a generation that reaches nothing after its reboot falls back to the one before, which does", async () => {
  // Two gateways; one of them will not be there after the reboot.
  await w.world.address(w.far, "eth0", "192.0.2.77/24");
  const [router] = baseIntent.routers;
  const uplinks = [{ ...router!.uplinks![0]!, gateways: ["192.0.2.77"] }];
  const beyond = { ...gate, kind: "ping" as const, target: "198.51.100.1", port: 0, timeout_ms: 1000 };
  const previous = w.units.record().lkg!;
  // The way of both lanes changes with the gateway, and nobody comes over them here.
  const unproven = { accept_unproven: ["rescue", "wg:home"] };
  const fragileBundle = bundleOf({ routers: [{ ...router!, uplinks }], probes: [beyond] });
  expect((await kept(fragileBundle, unproven)).outcome).toBe("confirmed");
  const fragile = w.units.record().lkg!;
  expect(await session.status()).toMatchObject({ probation: fragile.generation });
  const count = w.units.receipts().length;
  writeFileSync(w.units.config, "backend: userspace\nprobation_s: 6\n");
  await w.units.killAgent();
  await w.units.killGuard();
  await w.world.must(w.far, ["ip", "addr", "del", "192.0.2.77/24", "dev", "eth0"]);
  await w.world
    .must(w.router, ["sh", "-c", "nft flush ruleset; ip route del default table all; ip neigh flush dev wan0"])
    .catch(() => "");
  rmSync(w.units.run, { recursive: true }); // as power leaves a folder in memory
  await w.units.powerUp();
  expect(w.units.record().lkg).toEqual(fragile);
  // Nobody asks the router anything; its own log tells.
  const receipt = await w.units.untilReceipt((one) => one.cause === "probation.no_contact", 90_000, count);
  expect(receipt).toMatchObject({ outcome: "rolled_back", generation: fragile.generation, quarantined: true });
  expect(receipt.probes).toEqual([{ id: "gate", before: "passed", after: "failed", restored: "passed" }]);
  expect(w.units.record().lkg).toEqual(previous);
  const routes = await w.world.must(w.router, ["ip", "route", "show", "table", "all"]);
  expect([routes.includes("via 192.0.2.77"), routes.includes("via 192.0.2.2 ")]).toEqual([false, true]);
  const status = await statusWhere((one) => one.probation === 0n);
  expect(status).toMatchObject({ lkg_generation: previous.generation, drift: false, pending: null });
});
