/** The whole walk of a bundle on a real router: trial, confirm, no-op, and every way in which a trial ends. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { checkChain, EMPTY_LOG } from "../../agent/core/receipts.ts";
import { sealSecrets } from "../../agent/core/secrets.ts";
import { sha256, toBase64, toHex } from "../../schemas/digest.ts";
import type { Receipt, Status } from "../../schemas/report.ts";
import { encode } from "../../schemas/wire.ts";
import { baseIntent, intentOf, inventoryOf } from "../agent/bundles.ts";
import { crypto, randomBytes, receiptOf, type Session } from "../agent/operator.ts";
import { type AgentWorld, agentWorld } from "./agent-world.ts";
import { startEcho } from "./traffic.ts";

setDefaultTimeout(60_000);

let w: AgentWorld;
let session: Session;
beforeAll(async () => {
  w = await agentWorld("agent");
  session = w.session;
}, 1_800_000);
afterAll(() => w.close());

type Bundle = Parameters<Session["directive"]>[0];
const bundle: Bundle = { intent: intentOf(), inventory: inventoryOf(), networks: ["home"] };
const clientKey = toBase64(crypto.boxKeys().publicKey);

/** Asks again until the wish holds. */
async function statusWhere(wish: (status: Status) => boolean, from: Session = session): Promise<Status> {
  for (let i = 0; i < 150; i += 1) {
    const status = await from.status().catch(() => undefined);
    if (status !== undefined && wish(status)) return status;
    await Bun.sleep(100);
  }
  throw new Error(`no such status: ${w.units.log("agent.log")}`);
}

const onTrial = (): Promise<Status> => statusWhere((status) => (status.pending?.nonce.length ?? 0) === 32);

type Started = Awaited<ReturnType<Session["directive"]>> & { readonly nonce: Uint8Array };

/** A push up to its trial. */
async function begin(what: Bundle = bundle, more: Parameters<Session["directive"]>[1] = {}): Promise<Started> {
  const made = await session.directive(what, more);
  const answer = await session.submit(made.opened);
  expect([answer.code, answer.problems]).toEqual(["", []]);
  return { ...made, nonce: (await onTrial()).pending!.nonce };
}

async function pushed(what: Bundle): Promise<Receipt> {
  const { opened, nonce } = await begin(what);
  const answer = await session.confirm(opened, nonce);
  expect([answer.code, answer.problems]).toEqual(["", []]);
  return receiptOf(answer.receipt);
}

const lastReceipt = async (): Promise<Receipt> => (await session.receipts()).at(-1)!;
const picture = (): Promise<string> =>
  w.world.must(w.router, [
    "sh",
    "-c",
    "nft -s list ruleset; ip addr; ip route show table all; wg show all dump | sed 's/\\t[0-9]*\\t[0-9]*\\t[0-9]*\\t\\([^\\t]*\\)$/ \\1/'",
  ]);

test("a first generation is tried, confirmed over the LAN and kept", async () => {
  const { opened, nonce, desired } = await begin();
  expect((await session.receipts()).at(-1)).toMatchObject({ outcome: "trial", nonce, window_s: 10, generation: 1n });
  expect(w.units.armed()?.token).toBe(toHex(nonce));
  const answer = await session.confirm(opened, nonce);
  const receipt = receiptOf(answer.receipt);
  expect(receipt).toMatchObject({ outcome: "confirmed", cause: "", confirmed_by: "ann", generation: 1n });
  expect(receipt).toMatchObject({ confirmed_lane: "api:10.0.0.1", signers: ["ann"], problems: [] });
  const status = await session.status();
  expect(status).toMatchObject({ pending: null, generation: 1n, lkg_generation: 1n, drift: false, guard_alive: true });
  expect(status.lkg_directive).toEqual(opened.digest);
  expect(status.lanes.find((lane) => lane.name === "api:10.0.0.1")?.packets).toBeGreaterThan(10n);
  expect(status.peers.map((peer) => peer.network)).toEqual(
    desired.links.flatMap((one) => one.peers.map(() => one.network)),
  );
  expect(w.units.armed()).toBe(undefined as never);
  // A confirm that comes again is told the same.
  expect(receiptOf((await session.confirm(opened, nonce)).receipt)).toEqual(receipt);
});

test("the same intent again changes nothing and says so", async () => {
  const before = [await w.world.must(w.router, ["nft", "-s", "list", "ruleset"]), w.units.mutations().length];
  const { opened } = await session.directive(bundle);
  const receipt = receiptOf((await session.submit(opened)).receipt);
  expect(receipt).toMatchObject({ outcome: "unchanged", cause: "", steps: 0, generation: 2n });
  expect(receipt.plan).toBe("The router already holds this generation. Nothing to do.\n");
  expect([await w.world.must(w.router, ["nft", "-s", "list", "ruleset"]), w.units.mutations().length]).toEqual(before);
  expect(await session.status()).toMatchObject({ generation: 2n, lkg_generation: 2n, lkg_directive: opened.digest });
  // Delivered twice, told once.
  expect(receiptOf((await session.submit(opened)).receipt)).toEqual(receipt);
  expect((await session.status()).log_index).toBe(receipt.index);
});

test("a client comes with its preshared key as one peer and a few elements", async () => {
  const psk = randomBytes(32);
  const commitment = toHex(sha256("holdfast/psk/v1\0", psk));
  const inventory = inventoryOf([{ id: "phone", key: clientKey, address: "10.99.0.7", psk: commitment }]);
  const to = {
    ...{ networkId: w.site.root.message.network_id, routerId: w.site.token.router_id, incarnation: 1 },
    ...{ routerSeal: w.keys.seal, escrow: [] },
  };
  const secrets = encode("Secrets", sealSecrets(crypto, [{ psk, subject: "phone.1" }], to));
  const mutations = w.units.mutations().length;
  const made = await session.directive({ ...bundle, inventory }, { risk_class: "routine" }, secrets);
  expect((await session.submit(made.opened)).code).toBe("");
  const nonce = (await onTrial()).pending!.nonce;
  expect(receiptOf((await session.confirm(made.opened, nonce)).receipt).outcome).toBe("confirmed");
  expect(w.units.mutations(mutations).map((argv) => argv.slice(0, 2).join(" ").replace(/\S+\//, ""))).toEqual([
    "nft -D",
    "wg set",
  ]);
  expect(await w.world.must(w.router, ["wg", "show", "hf-home", "preshared-keys"])).toContain(psk.toBase64());
  expect(w.units.log("agent.log")).not.toContain(psk.toBase64());
});

/** The intent with another window, which is a generation of its own that changes no traffic. */
const renamed = (window_s: number): Bundle => ({
  ...bundle,
  intent: intentOf({ confirm: { window_s, cap_s: 60 } }),
});

test("a confirm over a path from before the apply, or over the socket, proves nothing", async () => {
  const old = session.over(w.fromLan.to({ host: "10.0.0.1", connection: "old" }));
  await old.status();
  const { opened, nonce } = await begin(renamed(11));
  expect((await old.confirm(opened, nonce)).code).toBe("confirm.stale_path");
  const socket = session.over(w.local.to({ unix: `${w.units.run}/holdfastd.sock` }));
  expect((await socket.confirm(opened, nonce)).code).toBe("confirm.stale_path");
  expect((await session.confirm(opened, randomBytes(32))).code).toBe("confirm.unknown_trial");
  expect(receiptOf((await session.confirm(opened, nonce)).receipt).outcome).toBe("confirmed");
});

test("without a confirm the router is as before, and late ones are told why", async () => {
  const before = await picture();
  const other = intentOf({ ...baseIntent, policies: [] });
  const { opened, nonce } = await begin({ ...bundle, intent: other });
  expect(await picture()).not.toBe(before);
  // One trial at a time.
  const second = await session.directive(renamed(12));
  expect((await session.submit(second.opened)).code).toBe("apply.trial_pending");
  await statusWhere((status) => status.pending === null);
  expect(await lastReceipt()).toMatchObject({ outcome: "rolled_back", cause: "confirm.window_expired" });
  // The restored ruleset has a fresh epoch; nothing else differs.
  const strip = (text: string): string =>
    text.replace(/0x00[0-9a-f]{2}([0-9a-f]{4})/g, "EPOCH:$1").replace(/valid_lft \w+/g, "");
  expect(strip(await picture())).toBe(strip(before));
  const late = await session.confirm(opened, nonce);
  expect([late.code, receiptOf(late.receipt).outcome]).toEqual(["confirm.window_expired", "rolled_back"]);
  const again = receiptOf((await session.submit(opened)).receipt);
  expect(again).toMatchObject({ outcome: "rolled_back", cause: "confirm.window_expired" });
  expect(await session.status()).toMatchObject({ drift: false, drift_detail: "" });
});

test("an operator takes a trial back", async () => {
  const { opened, nonce } = await begin(renamed(13));
  // The answer waits for the receipt, but not for ever.
  expect(["", "confirm.deciding"]).toContain((await session.confirm(opened, nonce, "abort")).code);
  await statusWhere((status) => status.pending === null);
  expect(await lastReceipt()).toMatchObject({ outcome: "rolled_back", cause: "confirm.aborted" });
  const again = await session.confirm(opened, nonce, "abort");
  expect([again.code, receiptOf(again.receipt).cause]).toEqual(["confirm.aborted", "confirm.aborted"]);
});

test("a new management address needs a confirm of its own, or the word that it may stay unproven", async () => {
  await w.world.address(w.lan, "eth0", "10.0.1.2/24");
  const [router] = baseIntent.routers;
  const intent = intentOf({
    routers: [
      {
        ...router!,
        management: { addresses: ["10.0.0.1", "10.0.1.1"], zones: ["lan"] },
        addresses: [...(router!.addresses ?? []), { interface: "lan0", cidr: "10.0.1.1/24" }],
      },
    ],
    zones: [baseIntent.zones![0]!, { ...baseIntent.zones![1]!, subnets: ["10.0.0.0/24", "10.0.1.0/24"] }],
  });
  const { opened, nonce } = await begin({ ...bundle, intent });
  const first = await session.confirm(opened, nonce);
  expect([first.code, first.problems.map((one) => one.path)]).toEqual(["confirm.lane_unproven", ["api:10.0.1.1"]]);
  const second = session.over(w.fromLan.to({ host: "10.0.1.1" }));
  const receipt = receiptOf((await second.confirm(opened, nonce)).receipt);
  expect(receipt).toMatchObject({ outcome: "confirmed", confirmed_lane: "api:10.0.1.1" });
  expect(receipt.lanes.filter((lane) => lane.proven).map((lane) => lane.name)).toEqual([
    "api:10.0.0.1",
    "api:10.0.1.1",
  ]);
  // And back, and there again without a proof of the new lane; then back for good: nothing listens there any more.
  expect((await pushed(bundle)).outcome).toBe("confirmed");
  const unproven = await begin({ ...bundle, intent }, { accept_unproven: ["api:10.0.1.1"] });
  expect(receiptOf((await session.confirm(unproven.opened, unproven.nonce)).receipt).outcome).toBe("confirmed");
  expect((await pushed(bundle)).outcome).toBe("confirmed");
  const gone = w.fromLan.to({ host: "10.0.1.1", timeoutMs: 1000 });
  expect((await gone(new Uint8Array(9))).status).toBe(0);
});

test("a probe that passed before the apply must pass after it; one that failed before is no reason", async () => {
  await w.world.address(w.far, "lo", "198.51.100.1/32");
  const probe = (id: string, target: string) => ({ id, router: "r1", kind: "ping" as const, target, attempts: 1 });
  const probes = [probe("up", "198.51.100.1"), probe("gone", "198.51.100.99")];
  const [router] = baseIntent.routers;
  const uplinks = [{ ...router!.uplinks![0]!, gateways: ["192.0.2.77"] }];
  const made = await session.directive({ ...bundle, intent: intentOf({ routers: [{ ...router!, uplinks }], probes }) });
  expect((await session.submit(made.opened)).code).toBe("");
  await statusWhere((status) => status.pending === null);
  const receipt = await lastReceipt();
  expect(receipt).toMatchObject({ outcome: "rolled_back", cause: "probe.failed" });
  expect(receipt.problems.map((one) => [one.code, one.path])).toEqual([["probe.failed", "up"]]);
});

test("a UDP port that another program holds refuses the push before anything is burnt", async () => {
  const echo = await startEcho(w.world, w.router, { protocol: "udp", host: "192.0.2.1", port: 51999 });
  const lab = {
    ...baseIntent.networks![0]!,
    id: "lab",
    port: 51999,
    endpoint: "vpn.example.net:51999",
    subnets: ["10.98.0.0/24"],
  };
  const intent = intentOf({ networks: [...baseIntent.networks!, lab], constraints: [] });
  const made = await session.directive({ ...bundle, intent, networks: ["home", "lab"] });
  const { generation } = await session.status();
  expect((await session.submit(made.opened)).code).toBe("apply.port_taken");
  expect((await session.status()).generation).toBe(generation);
  echo.stop();
});

test("the machine itself is told by the socket", async () => {
  const text = await w.units.agentCommand("status", "--local");
  const { generation } = await session.status();
  expect(text).toContain(`holdfast_generation ${generation}\n`);
  expect(text).toContain('holdfast_peers{network="rescue"} 1\n');
});

test("the log tells all of it, chained and signed", async () => {
  const { receipts } = await session.ask({ kind: "receipts", from_index: 1n, limit: 0 });
  const chain = checkChain(crypto, w.keys.sign, EMPTY_LOG, receipts);
  expect(chain.ok ? chain.value.receipts.length : chain.problems).toBe(Number((await session.status()).log_index));
});
