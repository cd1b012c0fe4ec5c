/**
 * `client add`: an address, a key and a configuration for one client on one network. The private key is shown once and
 * kept nowhere; the inventory gets the public one. Nothing reaches the router before the next push.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import * as v from "valibot";
import type { Document, YAMLMap, YAMLSeq } from "yaml";
import { isMap, isSeq } from "yaml";
import { networksOf } from "../../agent/core/compile.ts";
import { sealSecrets } from "../../agent/core/secrets.ts";
import { clientConfig } from "../../agent/core/wg-text.ts";
import { fromBase64, sha256Hex, toBase64, toHex } from "../../schemas/digest.ts";
import type { Network } from "../../schemas/intent.ts";
import type { Client, ClientKey, Grant, Inventory } from "../../schemas/inventory.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import { done, type Problem, problem, type Result, refuse } from "../../schemas/problem.ts";
import { Address, Name, Text, WireGuardKey } from "../../schemas/scalars.ts";
import type { KeyReport } from "../../schemas/trust.ts";
import { encode } from "../../schemas/wire.ts";
import { allocate } from "../allocate.ts";
import { type Args, usageProblem } from "../args.ts";
import { secretPath } from "../content.ts";
import { wireGuardPrivateKey } from "../keys.ts";
import { type Ending, finished, refused } from "../out.ts";
import { writeWhole } from "../places.ts";
import { qrOf } from "../qr.ts";
import { fetchKeys, heldReport } from "../reports.ts";
import { type Context, type Home, openHome, sessionOf } from "../session.ts";
import { createFile } from "../site/files.ts";
import { editInventory, type Site } from "../site/site.ts";
import { activeRouter } from "../trust-docs.ts";

type Wanted = {
  readonly client: string;
  readonly owner: string;
  readonly network: Network;
  readonly profile: string;
  readonly addresses: readonly string[];
  readonly publicKey: string | null; // null: make one here
  readonly psk: boolean;
};

/** What the flags ask for, against the site. Codes cli.usage, cli.client_exists, cli.no_network. */
function readWanted(args: Args, site: Site): Result<Wanted> {
  const client = args.operands[0] ?? "";
  const found: Problem[] = [];
  if (!v.is(Name, client))
    found.push(usageProblem("NAME must be a lower-case letter, then up to 30 of a-z, 0-9 and -."));
  const { networks } = site.intent;
  const named = args.one("network") ?? (networks.length === 1 ? networks[0]!.id : undefined);
  const profile = args.one("profile");
  if (named === undefined) found.push(usageProblem("--network is missing."));
  if (profile === undefined) found.push(usageProblem("--profile is missing."));
  const publicKey = args.one("public-key") ?? null;
  if (publicKey !== null && !v.is(WireGuardKey, publicKey)) {
    found.push(usageProblem("--public-key must be a WireGuard public key: 44 base64 characters."));
  }
  const owner = args.one("owner") ?? "";
  if (!v.is(Text(64), owner)) found.push(usageProblem("--owner takes at most 64 printable ASCII characters."));
  const addresses = args.all("address");
  if (!addresses.every((one) => v.is(Address, one)))
    found.push(usageProblem("--address must be an address, without a length."));
  if (found.length > 0) return { ok: false, problems: found };
  const network = networks.find((one) => one.id === named);
  if (network === undefined) {
    const text =
      networks.length === 0 ? "the intent has none" : `the intent has ${networks.map((one) => one.id).join(", ")}`;
    return refuse("cli.no_network", named ?? "", text);
  }
  const before = site.inventory.clients.find((one) => one.id === client);
  if (before?.grants.some((one) => one.network === network.id)) {
    return refuse("cli.client_exists", client, `it is on network ${network.id} already`);
  }
  return done({ client, owner, network, profile: profile!, addresses, publicKey, psk: args.has("psk") });
}

type Made = {
  readonly inventory: Inventory; // with the client
  readonly grant: Grant;
  readonly privateKey: string | null;
  readonly psk: Uint8Array | null;
  readonly secret: Uint8Array | null; // bytes of the sealed file
};

/** A preshared key, sealed to the router and to the escrow. Code cli.psk_router. */
function makePsk(
  home: Home,
  wanted: Wanted,
  generation: number,
): Result<{ psk: Uint8Array; file: Uint8Array; commitment: string }> {
  const { view } = home.chain;
  const router = activeRouter(view, wanted.network.router);
  if (router === undefined) return refuse("cli.psk_router", wanted.network.router, "it is not enrolled yet");
  const psk = crypto.getRandomValues(new Uint8Array(32));
  const { secrets } = sealSecrets(home.crypto, [{ psk, subject: `${wanted.client}.${generation}` }], {
    networkId: view.root.message.network_id,
    routerId: router.router_id,
    incarnation: router.incarnation,
    routerSeal: router.seal_key,
    escrow: view.root.message.escrow.map((one) => one.key),
  });
  const [sealed] = secrets;
  return done({ psk, file: encode("SealedSecret", sealed!), commitment: toHex(sealed!.commitment) });
}

/** The inventory with the client in it, held to every law before anything is written. */
function makeClient(home: Home, site: Site, wanted: Wanted): Result<Made> {
  const { inventory, intent } = site;
  const before = inventory.clients.find((one) => one.id === wanted.client);
  const allocated =
    wanted.addresses.length > 0 ? done(wanted.addresses) : allocate(wanted.network, inventory, wanted.client);
  if (!allocated.ok) return allocated;
  // Numbered over all grants, so that <client>.<generation> names one sealed file.
  const numbers = (before?.grants ?? []).flatMap((grant) => grant.keys.map((key) => key.generation));
  const generation = Math.max(0, ...numbers) + 1;
  const made = wanted.publicKey === null ? home.crypto.boxKeys() : undefined;
  const publicKey = made === undefined ? wanted.publicKey! : toBase64(made.publicKey);
  if (!home.crypto.admitsBoxKey(fromBase64(publicKey) ?? new Uint8Array())) {
    return refuse("trust.key_inadmissible", "--public-key", "a weak key that anybody can compute with");
  }
  const psk = wanted.psk ? makePsk(home, wanted, generation) : undefined;
  if (psk !== undefined && !psk.ok) return psk;
  const key: ClientKey = {
    generation,
    public_key: publicKey,
    psk: psk?.value.commitment ?? "",
    state: "live",
    origin: made === undefined ? "client" : "operator",
  };
  const { network, profile } = wanted;
  const grant: Grant = { network: network.id, profile, addresses: [...allocated.value], keys: [key], configs: [] };
  const next = withGrant(inventory, before, wanted, grant);
  const problems = inventoryProblems(intent, next);
  if (problems.length > 0) return { ok: false, problems };
  const privateKey = made === undefined ? null : wireGuardPrivateKey(made);
  return done({ inventory: next, grant, privateKey, psk: psk?.value.psk ?? null, secret: psk?.value.file ?? null });
}

const NO_HINTS = { os: "", dns: [], mtu: 0, keepalive_s: 0, excludes: [] };

function withGrant(inventory: Inventory, before: Client | undefined, wanted: Wanted, grant: Grant): Inventory {
  const { client: id, owner } = wanted;
  const fresh: Client = { id, owner, state: "active", grants: [grant], services: [], hints: NO_HINTS, expires: "" };
  const clients =
    before === undefined
      ? [...inventory.clients, fresh]
      : inventory.clients.map((one) => (one === before ? { ...one, grants: [...one.grants, grant] } : one));
  return { ...inventory, clients };
}

/** A list of the document, made when it is absent or empty; an empty `[]` becomes a list that people can read. */
function listAt(document: Document, parent: Document | YAMLMap, key: string): YAMLSeq {
  const there = parent.get(key);
  if (isSeq(there)) {
    if (there.items.length === 0) there.flow = false;
    return there;
  }
  const list = document.createNode([]) as YAMLSeq;
  parent.set(key, list);
  return list;
}

/** Writes the grant as people would: only what differs from the defaults, addresses on one line. */
function grantNode(document: Document, grant: Grant): YAMLMap {
  const [key] = grant.keys;
  const { generation, public_key, psk, origin } = key!;
  const node = document.createNode({
    network: grant.network,
    profile: grant.profile,
    addresses: grant.addresses,
    keys: [{ generation, public_key, ...(psk === "" ? {} : { psk }), origin }],
    configs: grant.configs,
  }) as YAMLMap;
  for (const name of ["addresses", "configs"]) {
    const list = node.get(name);
    if (isSeq(list)) list.flow = true;
  }
  return node;
}

function addToDocument(document: Document, wanted: Wanted, grant: Grant): void {
  const clients = listAt(document, document, "clients");
  const there = clients.items.find((item) => isMap(item) && item.get("id") === wanted.client);
  if (isMap(there)) {
    listAt(document, there as YAMLMap, "grants").add(grantNode(document, grant));
    return;
  }
  const { client: id, owner } = wanted;
  const node = document.createNode({ id, ...(owner === "" ? {} : { owner }) }) as YAMLMap;
  listAt(document, node, "grants").add(grantNode(document, grant));
  clients.add(node);
}

/** The key report of the network's router, asked for when the site has none with this network's key. */
async function reportWith(context: Context, home: Home, network: Network): Promise<Result<KeyReport>> {
  const router = activeRouter(home.chain.view, network.router);
  if (router === undefined)
    return refuse("cli.no_router", network.router, "it is not enrolled, so the network has no key yet");
  const held = heldReport(home, router);
  if (!held.ok) return held;
  if (held.value?.message.keys.some((one) => one.network === network.id)) return done(held.value.message);
  const session = await sessionOf(context, home, router.id);
  if (!session.ok) return session;
  const report = await fetchKeys(session.value, networksOf(home.intent!, router.id));
  return report.ok ? done(report.value.message) : report;
}

/** Puts the configuration where it was asked for, before the inventory speaks of the client. Code cli.exists. */
function writeConfig(out: string | undefined, text: string): Result<void> {
  if (out === undefined) return done(undefined);
  const path = resolve(out);
  const made = createFile(dirname(path), basename(path), new TextEncoder().encode(text), 0o600);
  if (!made.ok) return made;
  return made.value ? done(undefined) : refuse("cli.exists", out, "it is there already");
}

function show(context: Context, config: string): string {
  const { args, voice, json } = context;
  const out = args.one("out");
  const wantsQr = args.has("qr") || (process.stdout.isTTY === true && !args.has("no-qr"));
  const qr = wantsQr && !json ? qrOf(config, process.stdout.columns) : undefined;
  if (qr !== undefined && "warning" in qr) voice.say(`warning: ${qr.warning}`);
  const code = qr !== undefined && "text" in qr ? `\n${qr.text}\n` : "";
  return out === undefined ? `${config}${code}` : code;
}

/** Everything that the new client needs, in an order in which a failure leaves nothing half done. */
function write(site: Site, wanted: Wanted, made: Made, config: string, out: string | undefined): Result<void> {
  const [key] = made.grant.keys;
  const secret = secretPath(site.folder, wanted.client, key!.generation);
  if (made.secret !== null && existsSync(secret)) return refuse("cli.exists", secret, "it is there already");
  const placed = writeConfig(out, config);
  if (!placed.ok) return placed;
  if (made.secret !== null) {
    mkdirSync(join(site.folder, "secrets"), { recursive: true });
    writeWhole(secret, made.secret);
  }
  const edited = editInventory(
    site.folder,
    (document) => addToDocument(document, wanted, made.grant),
    site.text.inventory,
  );
  if (edited.ok) return edited;
  if (out !== undefined) rmSync(resolve(out), { force: true });
  if (made.secret !== null) rmSync(secret, { force: true });
  return edited;
}

/** `holdfast client add NAME ...` */
export async function clientAdd(context: Context): Promise<Ending> {
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { site } = home.value;
  if (!site.ok) return refused(site.problems);
  const wanted = readWanted(context.args, site.value);
  if (!wanted.ok) return refused(wanted.problems);
  const { client, network, profile } = wanted.value;
  const made = makeClient(home.value, site.value, wanted.value);
  if (!made.ok) return refused(made.problems);
  const report = await reportWith(context, home.value, network);
  if (!report.ok) return refused(report.problems);
  const { intent } = site.value;
  const { inventory, privateKey, psk, grant } = made.value;
  const input = { intent, inventory, keys: report.value, client, network: network.id };
  const config = clientConfig({ ...input, privateKey, psk: psk === null ? null : toBase64(psk) });
  // The id of a configuration says which text was handed out, and nothing about its secrets.
  const open = clientConfig({ ...input, privateKey: null, psk: null });
  if (!config.ok || !open.ok)
    return refused(config.ok ? [problem("cli.no_network", network.id, "no text")] : config.problems);
  const issued = { ...made.value, grant: { ...grant, configs: [sha256Hex(open.value).slice(0, 16)] } };
  const out = context.args.one("out");
  const written = write(site.value, wanted.value, issued, config.value, out);
  if (!written.ok) return refused(written.problems);
  const [key] = grant.keys;
  const { voice } = context;
  voice.say(`${client} is ${grant.addresses.join(", ")} on ${network.id} with profile ${profile}.`);
  if (out !== undefined) voice.say(`Its configuration is in ${out}.`);
  else if (privateKey !== null) voice.say("The private key below is shown once and kept nowhere.");
  voice.say("Next: holdfast push.");
  return finished(show(context, config.value), {
    ...{ client, network: network.id, profile, addresses: grant.addresses },
    ...{
      public_key: key!.public_key,
      key_generation: key!.generation,
      psk: psk !== null,
      config_id: issued.grant.configs[0],
    },
    ...(out === undefined ? { config: config.value } : { config_file: out }),
  });
}
