/** `init`: a folder with a first intent, and the keys of its only operator. Refuses to touch anything that exists. */
import { existsSync, mkdirSync } from "node:fs";
import { userInfo } from "node:os";
import { join, relative, resolve } from "node:path";
import * as v from "valibot";
import { toHex } from "../../schemas/digest.ts";
import { IntentDocument } from "../../schemas/intent.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { done, type Problem, problem, type Result } from "../../schemas/problem.ts";
import { HostPort, Name } from "../../schemas/scalars.ts";
import { type Args, usageProblem } from "../args.ts";
import { keyPath, operatorOfSeeds, RESERVED_HOLDERS, writeKeyFile } from "../keys.ts";
import { type Ending, finished, refused } from "../out.ts";
import { newPassphrase } from "../passphrase.ts";
import { keyFolder, makePrivateFolder } from "../places.ts";
import { type Context, DEFAULT_API_PORT } from "../session.ts";
import { createFile } from "../site/files.ts";
import { fitShape, placed } from "../site/shape.ts";
import { writeTrust } from "../site/trust-files.ts";
import { parsePath, parseYaml } from "../site/yaml.ts";
import { loadCrypto } from "../sodium.ts";
import { type Starter, starterIgnore, starterIntent, starterInventory } from "../starter.ts";
import { makeSoloTrust } from "../trust-docs.ts";

const CLIENT_PORT = 51820;

/** The name of the person at this machine, made to fit. */
function defaultHolder(): string {
  const name = userInfo()
    .username.toLowerCase()
    .replace(/[^a-z0-9-]/g, "-")
    .slice(0, 31);
  return v.is(Name, name) && !RESERVED_HOLDERS.includes(name) ? name : "operator";
}

type Plan = { readonly starter: Starter; readonly holder: string; readonly folder: string };

function readPlan(args: Args): Result<Plan> {
  const site = args.operands[0] ?? "";
  const holder = args.one("holder") ?? defaultHolder();
  const router = args.one("router") ?? "r1";
  const address = args.one("address") ?? "";
  const wanAddress = address.split("/")[0] ?? "";
  const dialled = wanAddress.includes(":") ? `[${wanAddress}]` : wanAddress;
  const endpoint = args.one("endpoint") ?? (wanAddress === "" ? "" : `${dialled}:${CLIENT_PORT}`);
  const found: Problem[] = [];
  for (const [name, value] of [
    ["NAME", site],
    ["--router", router],
    ["--holder", holder],
  ] as const) {
    if (!v.is(Name, value))
      found.push(usageProblem(`${name} must be a lower-case letter, then up to 30 of a-z, 0-9 and -.`));
  }
  if (RESERVED_HOLDERS.includes(holder))
    found.push(usageProblem(`--holder ${holder} is the name of a key file of its own.`));
  for (const flag of ["uplink", "lan", "lan-subnet"]) {
    if (args.one(flag) === undefined) found.push(usageProblem(`--${flag} is missing.`));
  }
  if (endpoint === "")
    found.push(usageProblem("--address is missing; for an uplink with DHCP give --endpoint HOST:PORT."));
  else if (!v.is(HostPort, endpoint)) found.push(usageProblem("--endpoint must be HOST:PORT, as clients dial it."));
  if (found.length > 0) return { ok: false, problems: found };
  const starter: Starter = {
    ...{ site, router, address, endpoint },
    uplink: args.one("uplink") ?? "",
    gateway: args.one("gateway") ?? "",
    lan: args.one("lan") ?? "",
    lanSubnet: args.one("lan-subnet") ?? "",
  };
  return done({ starter, holder, folder: resolve(args.one("folder") ?? site) });
}

/** The intent that the flags make is held to every law before anything is written. */
function checkIntent(text: string): Result<void> {
  const file = parseYaml("intent.yaml", new TextEncoder().encode(text));
  if (!file.ok) return file;
  const shape = fitShape(file.value, IntentDocument, "intent");
  if (!shape.ok) return shape;
  const problems = intentProblems(shape.value);
  if (problems.length === 0) return done(undefined);
  return { ok: false, problems: problems.map((one) => ({ ...one, path: placed(file.value, parsePath(one.path)) })) };
}

/** Everything that is in the way, in the site and among the keys. */
function inTheWay({ folder, starter, holder }: Plan): readonly Problem[] {
  const site = ["intent.yaml", "inventory.yaml", "trust"].map((name) => join(folder, name));
  const keys = [holder, "root", "admin", "recovery"].map((name) => keyPath(starter.site, name));
  return [...site, ...keys]
    .filter((path) => existsSync(path))
    .map((path) => problem("cli.exists", path, "it is there already"));
}

async function makeKeys(plan: Plan, passphrase: Uint8Array | null): Promise<Uint8Array> {
  const { starter, holder, folder } = plan;
  const crypto = await loadCrypto();
  const seed = (): Uint8Array => globalThis.crypto.getRandomValues(new Uint8Array(32));
  const seeds = {
    operator: [seed(), seed(), seed()],
    root: [seed()],
    admin: [seed()],
    recovery: [seed(), seed()],
  };
  const trust = makeSoloTrust(crypto, {
    network: starter.site,
    networkId: globalThis.crypto.getRandomValues(new Uint8Array(16)),
    holder,
    apiPort: DEFAULT_API_PORT,
    issuedAt: BigInt(Math.floor(Date.now() / 1000)),
    keys: {
      root: crypto.signKeys(seeds.root[0]),
      admin: crypto.signKeys(seeds.admin[0]),
      recovery: { sign: crypto.signKeys(seeds.recovery[0]), escrow: crypto.boxKeys(seeds.recovery[1]) },
      operator: operatorOfSeeds(crypto, holder, seeds.operator),
    },
  });
  const owner = { network: starter.site, root: toHex(trust.root.digest), holder };
  makePrivateFolder(keyFolder(starter.site));
  // Keys first: a site whose keys are lost is worth nothing, keys without a site are only in the way.
  await writeKeyFile(keyPath(starter.site, holder), { role: "operator", ...owner }, seeds.operator, passphrase);
  for (const role of ["root", "admin", "recovery"] as const) {
    await writeKeyFile(keyPath(starter.site, role), { role, ...owner }, seeds[role], passphrase);
  }
  for (const list of Object.values(seeds)) for (const one of list) one.fill(0);
  for (const one of [trust.root, trust.roster]) {
    const written = writeTrust(folder, one.kind, 1, one.envelope);
    if (!written.ok) throw new Error(`cannot write trust: ${written.problems[0]?.detail}`);
  }
  return trust.root.message.network_id;
}

/** `holdfast init NAME ...` */
export async function init({ args, voice }: Context): Promise<Ending> {
  const plan = readPlan(args);
  if (!plan.ok) return refused(plan.problems);
  const { starter, holder, folder } = plan.value;
  const intent = starterIntent(starter);
  const lawful = checkIntent(intent);
  if (!lawful.ok) return refused(lawful.problems);
  const blocked = inTheWay(plan.value);
  if (blocked.length > 0) return refused(blocked);
  const passphrase = await newPassphrase(args);
  if (!passphrase.ok) return refused(passphrase.problems);

  mkdirSync(folder, { recursive: true });
  const networkId = await makeKeys(plan.value, passphrase.value);
  const ignored = createFile(folder, ".gitignore", new TextEncoder().encode(starterIgnore));
  if (!ignored.ok) return refused(ignored.problems);
  for (const [name, text] of [
    ["inventory.yaml", starterInventory],
    ["intent.yaml", intent],
  ] as const) {
    const made = createFile(folder, name, new TextEncoder().encode(text));
    if (!made.ok) return refused(made.problems);
    if (!made.value) return refused([problem("cli.exists", join(folder, name), "it is there already")]);
  }
  const recovery = keyPath(starter.site, "recovery");
  const shown = relative(process.cwd(), folder) || ".";
  voice.say(
    `Keys of ${holder} are in ${keyFolder(starter.site)}${passphrase.value === null ? ", not locked by a passphrase" : ""}.`,
  );
  voice.say(`Move ${recovery} to another place: it is the way back when this machine is lost.`);
  const go = shown === "." ? "" : `cd ${shown}, then `;
  const answer = `Made site ${starter.site} in ${shown}. Next: ${go}holdfast check, and holdfast router enrol ${starter.router} --at ADDRESS.`;
  const keys = {
    operator: keyPath(starter.site, holder),
    root: keyPath(starter.site, "root"),
    admin: keyPath(starter.site, "admin"),
    recovery,
  };
  return finished(answer, {
    folder,
    network: starter.site,
    network_id: networkId,
    holder,
    router: starter.router,
    keys,
  });
}
