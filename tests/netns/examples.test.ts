/**
 * The two sites of docs/examples, pushed to a router in the world that they speak of and asked with packets: every
 * zone, every client's every key, every family, against what the intent says. Only keys and the names of endpoints
 * are replaced, since the world has no DNS and nobody has the private halves.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import sodium from "libsodium-wrappers";
import { readSite } from "../../client/site/site.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Inventory } from "../../schemas/inventory.ts";
import { ANY_PORT, type Asker, type Claim, claim, DNS_PORT, routerTargets, targetsOf, wrongClaims } from "./matrix.ts";
import { freshProgram } from "./program.ts";
import { askAll, startServer } from "./reach.ts";
import { writeIntent, writeInventory } from "./sites.ts";
import { enrol, initSite, openStage, type Stage } from "./stage.ts";
import { raiseTunnel } from "./tunnel.ts";
import { INTERNET4, INTERNET6, nth, remote4, wiringOf } from "./wiring.ts";
import type { Space } from "./world.ts";

setDefaultTimeout(180_000);

const CLIENTS = ["client1", "client2", "client3"] as const; // places to dial in from, side by side
const folder = join(import.meta.dir, "../../docs/examples");

const bare = (cidr: string): string => cidr.replace(/\/.*/, "");

/** A client's key of a grant, with the private half that the test made for it. */
type Login = {
  readonly client: string;
  readonly network: string;
  readonly addresses: readonly string[];
  readonly privateKey: string;
  readonly asker: Asker;
};

type Found = {
  readonly site: string;
  readonly zones: readonly string[]; // claims of local hosts that do not hold
  readonly clients: readonly string[]; // claims of clients that do not hold
  readonly forwards: readonly string[]; // port-forwards and what the world saw
  readonly claims: number;
  readonly open: number; // of the claims
};

/** The same inventory with keys whose private halves are known; preshared keys go, fingerprints follow. */
function withKeys(inventory: Inventory, intent: Intent): { readonly inventory: Inventory; readonly logins: Login[] } {
  const logins: Login[] = [];
  const burnt = new Map<string, string>();
  const clients = inventory.clients.map((client) => ({
    ...client,
    grants: client.grants.map((grant) => ({
      ...grant,
      keys: grant.keys.map((key) => {
        const secret = sodium.randombytes_buf(32);
        const raw = sodium.crypto_scalarmult_base(secret);
        burnt.set(sha256Hex(Uint8Array.fromBase64(key.public_key)), sha256Hex(raw));
        const live = client.state === "active" && key.state === "live";
        logins.push({
          client: `${client.id}.${key.generation}`,
          network: grant.network,
          addresses: grant.addresses,
          privateKey: secret.toBase64(),
          asker: {
            name: `${client.id}.${key.generation} on ${grant.network}`,
            zone: grant.network,
            profile: intent.profiles.find((one) => one.id === grant.profile),
            services: client.services,
            dns: intent.networks.find((one) => one.id === grant.network)?.dns ?? [],
            cut: !live,
          },
        });
        return { ...key, public_key: raw.toBase64(), psk: "" };
      }),
    })),
  }));
  const ledger = inventory.ledger.map((one) => ({
    ...one,
    fingerprint: burnt.get(one.fingerprint) ?? one.fingerprint,
  }));
  return { inventory: { ...inventory, clients, ledger }, logins };
}

/** A client that sends everything into its tunnel, whatever it may: the router is to judge, not the client. */
function greedyConfig(login: Login, intent: Intent, serverKey: string, routerAddress: string): string {
  const network = intent.networks.find((one) => one.id === login.network)!;
  const addresses = login.addresses.map((one) => `${one}/${one.includes(":") ? 128 : 32}`).join(", ");
  return `[Interface]
PrivateKey = ${login.privateKey}
Address = ${addresses}
MTU = 1280

[Peer]
PublicKey = ${serverKey}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = ${routerAddress}:${network.port}
`;
}

/** Claims of local hosts: everything but their own zone. */
function zoneClaims(intent: Intent, stage: Stage, targets: Parameters<typeof claim>[2][]): Map<string, Claim[]> {
  const found = new Map<string, Claim[]>();
  for (const lan of stage.land.wiring.lans) {
    const zone = intent.zones.find((one) => one.interfaces.includes(lan.interface))!;
    const asker: Asker = { name: lan.name, zone: zone.id, profile: undefined, services: [], dns: [], cut: false };
    const own = lan.router.map(bare);
    const others = [...targets.filter((target) => target.zone !== zone.id), ...routerTargets(own)];
    found.set(
      lan.name,
      others.map((target) => claim(intent, asker, target)),
    );
  }
  return found;
}

/** What the internet sees through each port-forward, and the port after it. `standing` are ports with a server. */
async function askForwards(
  intent: Intent,
  stage: Stage,
  from: Space,
  standing: readonly number[],
): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const one of intent.port_forwards) {
    const last = one.count - 1;
    const host = stage.land.wiring.lans.find((lan) => lan.host.some((cidr) => cidr.startsWith(`${one.to_address}/`)));
    if (host === undefined) throw new Error(`no host has ${one.to_address}`);
    const ports = [one.port, one.port + last, one.port + last + 1];
    const served = [...new Set([one.to_port, one.to_port + last])].filter((port) => !standing.includes(port));
    const space = stage.host(host.name);
    const server = served.length === 0 ? undefined : await startServer(stage.world, space, [one.to_address], served);
    const questions = ports.map((port) => ({ protocol: one.protocol, host: one.address, port }));
    const answers = await askAll(stage.world, from, questions);
    server?.stop();
    lines.push(`${one.id}: ${answers.map((answer) => `${answer.state} ${answer.text}`.trim()).join(", ")}`);
  }
  return lines;
}

/** The router's own addresses in one client network, or in all of them. */
function firstHosts(intent: Intent, network?: string): readonly string[] {
  const subnets = intent.networks
    .filter((one) => network === undefined || one.id === network)
    .flatMap((one) => one.subnets);
  return subnets.map((subnet) => bare(nth(subnet, 1)));
}

/** Pushes the example to its world and asks everything. */
async function exercise(site: string, router: string, management: string): Promise<Found> {
  await sodium.ready;
  const read = readSite(join(folder, site));
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  const { intent, inventory: given } = read.value;
  const wiring = wiringOf(intent, router, [...CLIENTS, "operator"]);
  const stage = await openStage({ name: site, program: freshProgram(), wiring, site });
  stages.push(stage);
  const { world, observer, operator, land } = stage;
  const { inventory, logins } = withKeys(given, intent);
  // init writes an intent of its own first; the example's files then take its place.
  const [uplink] = wiring.uplinks;
  const [lan] = wiring.lans;
  await initSite(stage, site, [
    ...["--router", router, "--uplink", uplink!.interface, "--address", uplink!.addresses[0]!],
    ...["--gateway", uplink!.gateways[0]!, "--lan", lan!.interface, "--lan-subnet", "10.99.99.0/24", "--plain"],
  ]);
  writeIntent(operator.site, intent);
  writeInventory(operator.site, inventory);
  await enrol(stage, router, management);
  await operator.must("push", "--yes");

  const targets = targetsOf(intent, land);
  const ports = (zone: string): number[] => [
    ...new Set(targets.filter((one) => one.zone === zone).map((one) => one.port)),
  ];
  for (const lan of land.wiring.lans) {
    const zone = intent.zones.find((one) => one.interfaces.includes(lan.interface))!;
    await startServer(world, stage.host(lan.name), lan.host.map(bare), ports(zone.id));
  }
  await startServer(world, land.net, [INTERNET4, INTERNET6], [ANY_PORT]);
  const own = [...land.wiring.lans.flatMap((lan) => lan.router.map(bare)), ...firstHosts(intent)];
  await startServer(world, land.router, own, [DNS_PORT, ANY_PORT]);

  const locals = zoneClaims(intent, stage, [...targets]);
  const zones: string[] = [];
  for (const [name, claims] of locals) zones.push(...(await wrongClaims(world, stage.host(name), claims)));

  const links = (await observer.snapshot()).observed.links;
  const clients: string[] = [];
  const asked: Claim[] = [...locals.values()].flat();
  const waiting = [...logins];
  const dialIn = async (place: string): Promise<void> => {
    for (let login = waiting.shift(); login !== undefined; login = waiting.shift()) {
      const port = intent.networks.find((one) => one.id === login?.network)!.port;
      const serverKey = links.find((link) => link.port === port)!.publicKey;
      const space = stage.host(place);
      const tunnel = await raiseTunnel(world, space, "wg0", greedyConfig(login, intent, serverKey, management));
      const own = routerTargets(firstHosts(intent, login.network));
      const claims = [...targets, ...own].map((target) => claim(intent, login!.asker, target));
      asked.push(...claims);
      clients.push(...(await wrongClaims(world, space, claims)));
      await tunnel.down();
    }
  };
  await Promise.all(CLIENTS.map(dialIn));
  const forwards = await askForwards(intent, stage, stage.host("client1"), ports("dmz"));
  return { site, zones, clients, forwards, claims: asked.length, open: asked.filter((one) => one.open).length };
}

const stages: Stage[] = [];
let homelab: Promise<Found>;
let branch: Promise<Found>;

beforeAll(async () => {
  homelab = exercise("homelab", "r1", "198.51.100.2");
  branch = exercise("branch", "b1", "203.0.113.10");
  await Promise.allSettled([homelab, branch]);
}, 1_800_000);
afterAll(async () => {
  for (const stage of stages) await stage.close();
});

describe("docs/examples/homelab", () => {
  test("every zone reaches what its policies say, and nothing else", async () => {
    expect((await homelab).zones).toEqual([]);
  });

  test("every client, by every key and family, reaches what its profile says, and nothing else", async () => {
    const { clients, claims, open } = await homelab;
    expect(clients).toEqual([]);
    expect(claims).toBeGreaterThan(100);
    expect(open).toBeGreaterThan(20);
  });
});

describe("docs/examples/branch", () => {
  test("every zone reaches what its policies say, and nothing else", async () => {
    expect((await branch).zones).toEqual([]);
  });

  test("every client reaches what its profile says, and nothing else", async () => {
    const { clients, open } = await branch;
    expect(clients).toEqual([]);
    expect(open).toBeGreaterThan(10);
  });

  test("the port-forwards lead inside, and the port after each does not", async () => {
    const from = remote4(CLIENTS.indexOf("client1"));
    expect((await branch).forwards).toEqual([
      `web-fibre: open ${from}, open ${from}, silent`,
      `web-dsl: open ${from}, open ${from}, silent`,
      `voice: open ${from}, open ${from}, silent`,
    ]);
  });
});
