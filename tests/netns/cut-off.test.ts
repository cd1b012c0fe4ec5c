/**
 * A client who is revoked while a stream of his is open, and everybody else; and an operator in a tunnel whose large
 * packets are lost on the way (scenarios A22 and A10 of tests/scenarios/catalogue.ts).
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { signStatement } from "../../agent/core/dsse.ts";
import { bootMs } from "../../agent/host/clock.ts";
import { wireGuardPrivateKey } from "../../client/keys.ts";
import { PADDING } from "../../client/trial.ts";
import { toBase64 } from "../../schemas/digest.ts";
import type { Confirm } from "../../schemas/directive.ts";
import type { Answer } from "../../schemas/report.ts";
import { baseIntent, intentOf, inventoryOf } from "../agent/bundles.ts";
import { crypto, receiptOf } from "../agent/operator.ts";
import { type AgentWorld, agentWorld, Relay } from "./agent-world.ts";
import { countEnds, type EndCounts, type Loss, lossBetween } from "./ends.ts";
import { ask } from "./reach.ts";
import { startEcho, startSender } from "./traffic.ts";
import { type Begun, type Bundle, beginTrial, idle, keep, takeBack } from "./trials.ts";
import { raiseTunnel } from "./tunnel.ts";

setDefaultTimeout(120_000);

const [STREAM, OTHERS] = [7000, 7]; // ports: what the client speaks to, and what everybody else does
const CLIENT = "10.99.0.7";
const LAN = "10.0.0.2";

let w: AgentWorld;
let counts: () => Promise<EndCounts>;

const keys = crypto.boxKeys();

const bundle = (...clients: Parameters<typeof inventoryOf>): Bundle => ({
  ...{ intent: intentOf({ confirm: { window_s: 60, cap_s: 120 } }), inventory: inventoryOf(...clients) },
  networks: ["home"],
});
const withClient = bundle([{ id: "phone", key: toBase64(keys.publicKey), address: CLIENT }]);
const without = bundle([]);

beforeAll(async () => {
  w = await agentWorld("cutoff");
  const { opened, nonce, desired } = await beginTrial(w, withClient);
  expect((await w.session.confirm(opened, nonce)).code).toBe("");
  await idle(w);
  const link = desired.links.find((one) => one.network === "home")!;
  const conf = `[Interface]
PrivateKey = ${wireGuardPrivateKey(keys)}
Address = ${CLIENT}/32
MTU = 1420

[Peer]
PublicKey = ${link.publicKey}
Endpoint = 192.0.2.1:${link.port}
AllowedIPs = 10.0.0.0/24
PersistentKeepalive = 1
`;
  await raiseTunnel(w.world, w.far, "wg0", conf);
  // The LAN host answers the client, and the world answers the LAN host.
  await w.world.route(w.lan, "default", "10.0.0.1");
  await startEcho(w.world, w.lan, { protocol: "tcp", host: LAN, port: STREAM });
  await startEcho(w.world, w.far, { protocol: "udp", host: "192.0.2.2", port: OTHERS });
  counts = await countEnds(w.world, w.router, [w.lan, w.far], OTHERS);
}, 1_800_000);
afterAll(() => w.close());

// ---- an operator whose way in is the tunnel ----

/** Management through the network, whose devices have this MTU. */
function throughTunnel(mtu: number, windowS: number): Bundle {
  const [router] = baseIntent.routers;
  const intent = intentOf({
    routers: [{ ...router!, management: { addresses: ["10.0.0.1"], zones: ["lan", "home"] } }],
    networks: [{ ...baseIntent.networks![0]!, mtu }],
    confirm: { window_s: windowS, cap_s: 120 },
  });
  return { ...withClient, intent };
}

/**
 * The way no longer carries what is larger than a tunnel of 1,280 octets sends, in neither direction; nobody is told. All
 * of it is on the far side, since the router would refuse a push past such rules on itself. Returns the way back.
 */
async function digHole(): Promise<() => Promise<void>> {
  const chain = (hook: string): string =>
    `chain ${hook} { type filter hook ${hook} device eth0 priority 0; ip protocol udp meta length > 1350 drop; };`;
  await w.world.must(w.far, ["nft", `table netdev hole { ${chain("ingress")} ${chain("egress")} }`]);
  return async () => void (await w.world.must(w.far, ["nft", "delete", "table", "netdev", "hole"]));
}

/** A confirm with so many octets of padding, through the tunnel over a connection of its own; undefined: no answer. */
async function confirmThrough(relay: Relay, { opened, nonce }: Begun, padding: number): Promise<Answer | undefined> {
  const message: Confirm = {
    ...{ network_id: w.site.root.message.network_id, router_id: w.site.token.router_id, incarnation: 1 },
    ...{ directive_digest: opened.digest, nonce, verdict: "commit", padding: new Uint8Array(padding) },
  };
  const confirm = signStatement(crypto, "confirm", message, [w.site.operator.sign]).envelope;
  const session = w.session.over(relay.to({ host: "10.0.0.1", timeoutMs: 4000 }));
  return session.ask({ kind: "confirm", confirm }).catch(() => undefined);
}

test("A10: a tunnel MTU that the way does not carry cannot be confirmed, and is undone", async () => {
  const relay = await Relay.start(w.world, w.far);
  const narrow = await confirmThrough(relay, await beginTrial(w, throughTunnel(1280, 60)), PADDING);
  expect([narrow?.code, receiptOf(narrow!.receipt).outcome]).toEqual(["", "confirmed"]);
  await idle(w);
  const small = w.session.over(relay.to({ host: "10.0.0.1", timeoutMs: 4000 }));
  const fill = await digHole();
  // What runs is not hurt, a whole bundle goes through: neither side sends what is too large.
  expect((await small.ask({ kind: "challenge" })).code).toBe("");
  const log = w.units.receipts().length;
  const first = await beginTrial(w, throughTunnel(1420, 10), {}, w.session);
  expect((await small.ask({ kind: "challenge" })).code).toBe("");
  expect(await confirmThrough(relay, first, PADDING)).toBe(undefined as never);
  const end = await w.units.untilReceipt((one) => one.outcome === "rolled_back", 40_000, log);
  expect(end.cause).toBe("confirm.window_expired");
  await idle(w);
  // The padding alone has noticed it: a short confirm arrives and decides, though its answer is too large to come back.
  const second = await beginTrial(w, throughTunnel(1420, 60));
  const since = w.units.receipts().length;
  await confirmThrough(relay, second, 0);
  const kept = await w.units.untilReceipt((one) => one.outcome === "confirmed", 30_000, since);
  expect(kept.directive_digest).toEqual(second.opened.digest);
  await fill();
  await idle(w);
});

// ---- a client who is revoked, and everybody else ----

/** The client's open stream. */
async function openStream() {
  const child = w.world.spawn(w.far, [process.execPath, join(import.meta.dir, "stream-child.ts"), LAN, String(STREAM)]);
  expect((await child.out.next()).value).toBe("ready");
  return {
    async stop(): Promise<{ readonly answers: number; readonly lastMs: number }> {
      child.closeStdin();
      return JSON.parse((await child.out.next()).value ?? "{}");
    },
  };
}

/** What others lost while `work` ran: a thousand packets a second from the LAN to the world and back. */
async function othersDuring(work: () => Promise<void>): Promise<Loss> {
  const before = await counts();
  const sender = await startSender(w.world, w.lan, { host: "192.0.2.2", port: OTHERS, rate: 1000 });
  await work();
  await sender.stop();
  return lossBetween(before, await counts());
}

const expectNone = ({ packets, byPolicy, onTheWay }: Loss): void => {
  expect([byPolicy, onTheWay]).toEqual([0, 0]);
  expect(packets).toBeGreaterThan(1000);
};

const reaches = async (): Promise<string> => (await ask(w.world, w.far, "tcp", LAN, STREAM, 3000)).state;

test("A22: when the revocation is taken back, new sessions work, and others have lost nothing", async () => {
  const stream = await openStream();
  const loss = await othersDuring(async () => {
    await takeBack(w, await beginTrial(w, without));
    expect(await reaches()).toBe("open");
  });
  expectNone(loss);
  expect((await stream.stop()).answers).toBeGreaterThan(0);
});

test("A22: a revoked client is dead within two seconds of the confirm, and others lose nothing", async () => {
  const stream = await openStream();
  let confirmedMs = 0;
  const loss = await othersDuring(async () => {
    expect((await keep(w, without)).outcome).toBe("confirmed");
    confirmedMs = bootMs();
    // A keepalive a second: one more would have arrived by now, if anything did.
    await Bun.sleep(3000);
  });
  expectNone(loss);
  const { answers, lastMs } = await stream.stop();
  expect(answers).toBeGreaterThan(0);
  expect(lastMs).toBeLessThan(confirmedMs + 2000);
  expect(await w.world.must(w.router, ["wg", "show", "hf-home", "peers"])).not.toContain(toBase64(keys.publicKey));
  expect(await reaches()).toBe("silent");
});
