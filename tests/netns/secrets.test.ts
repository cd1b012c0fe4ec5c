/**
 * A whole day with locked keys: then every place that it left something in is searched for every secret that it used,
 * in every spelling. A secret is where it must be (which proves that the search finds it) and nowhere else.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pskCommitment } from "../../agent/host/keys.ts";
import { readTokenFile } from "../../client/token.ts";
import { crypto } from "../agent/operator.ts";
import type { Answer, Operator } from "./operator.ts";
import { freshProgram } from "./program.ts";
import { filesBelow, findSecrets, type Hay, openKeyFile, ProcessWatch, type Secret, secretOf } from "./secrets.ts";
import { homeIntent, ROUTER, ROUTER4, SITE, spareIntent, writeIntent } from "./sites.ts";
import { enrol, INIT_WORDS, initSite, openStage, type Stage } from "./stage.ts";

setDefaultTimeout(120_000);

const PASSPHRASE = "plough-harbour-velvet-9-lantern";
const WRONG = "marble-thistle-copper-4-window";
const TEMPORARY = [tmpdir(), "/var/tmp", "/dev/shm"];

let stage: Stage;
let operator: Operator;
let watch: ProcessWatch;
let lock: readonly string[] = [];
let config = "";
let before: ReadonlySet<string>;
const said: string[] = []; // by the agent's program, beside its log

const temporaryNames = (): readonly string[] =>
  TEMPORARY.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));

/** A command with the passphrase file; ends with the exit code that is expected. */
async function typed(exit: number, ...words: readonly string[]): Promise<Answer> {
  const answer = await operator.ask(...words, ...lock);
  if (answer.exit !== exit)
    throw new Error(`${words.join(" ")}: exit ${answer.exit}: ${answer.stdout}${answer.stderr}`);
  return answer;
}

async function agentSays(...words: readonly string[]): Promise<void> {
  const { units, world } = stage;
  const [program = ""] = freshProgram().agent;
  const out = await world.exec(units.space, [program, ...words, ...units.folders]);
  said.push(out.stdout, out.stderr);
}

async function git(...words: readonly string[]): Promise<Buffer> {
  const who = ["-c", "user.name=ann", "-c", "user.email=ann@example.net"];
  const child = Bun.spawn(["git", "-C", operator.site, ...who, ...words], { stdout: "pipe", stderr: "inherit" });
  const bytes = Buffer.from(await new Response(child.stdout).arrayBuffer());
  if ((await child.exited) !== 0) throw new Error(`git ${words[0]} failed`);
  return bytes;
}

async function commit(): Promise<void> {
  await git("add", "--all");
  await git("commit", "--quiet", "--message", "site");
}

/** First trust, with the token still in the site when it is committed. */
async function meet(): Promise<void> {
  const wrong = join(operator.home, "wrong-passphrase");
  writeFileSync(wrong, WRONG, { mode: 0o600 });
  await git("init", "--quiet");
  const words = ["router", "enrol", ROUTER, "--at", ROUTER4];
  expect((await operator.ask(...words, "--passphrase-file", wrong)).exit).toBe(3);
  await typed(5, ...words, "--wait", "1");
  expect(readdirSync(operator.site)).toContain(`${ROUTER}.token`);
  await commit();
  await enrol(stage, ROUTER, ROUTER4, lock);
  await agentSays("enrol", join(stage.units.folder, "carried.token"));
}

/** Every verb that has to do with a router, some of them in vain. */
async function live(): Promise<void> {
  await typed(0, "push", "--yes", "--note", "first");
  await typed(0, "client", "add", "alice", "--network", "home", "--profile", "full", "--psk", "--out", config);
  await typed(3, "client", "add", "alice", "--network", "home", "--profile", "full", "--psk", "--out", config);
  await commit();
  await typed(0, "plan");
  await typed(0, "push", "--yes", "--note", "alice");
  writeIntent(operator.site, spareIntent(1));
  await typed(8, "push", "--yes", "--no-confirm");
  await typed(0, "confirm");
  writeIntent(operator.site, spareIntent(2));
  await typed(8, "push", "--yes", "--no-confirm");
  await typed(0, "rollback");
  for (const words of ["status", "receipts", "receipts verify", "history", "show 2", "router keys", "operator lane"])
    await typed(0, ...words.split(" "));
  await operator.type(["status", ...lock]);
  await operator.type(["doctor", ...lock]);
  for (const words of ["check", "diff", "client list", "client show alice", "router list"])
    await operator.type(words.split(" "));
  await commit();
  await agentSays("status", "--local");
  await stage.units.killAgent();
  await stage.units.killGuard();
  await stage.units.powerUp();
  await typed(0, "status");
}

beforeAll(async () => {
  before = new Set(temporaryNames());
  watch = new ProcessWatch();
  stage = await openStage({ name: "secrets", program: freshProgram() });
  ({ operator } = stage);
  const file = join(operator.home, "passphrase");
  writeFileSync(file, `${PASSPHRASE}\n`, { mode: 0o600 });
  lock = ["--passphrase-file", file];
  mkdirSync(join(operator.home, "handed-over"));
  config = join(operator.home, "handed-over/alice.conf");
  await initSite(stage, SITE, [...INIT_WORDS.filter((word) => word !== "--plain"), ...lock]);
  writeIntent(operator.site, homeIntent());
  await meet();
  await live();
}, 1_800_000);
afterAll(() => stage.close());

const text = (path: string): string => readFileSync(path, "utf8").trim();
const configKey = (name: string): Uint8Array =>
  Uint8Array.fromBase64(new RegExp(`^${name} = (.+)$`, "m").exec(text(config))?.[1] ?? "");

/** Seeds of the four key files, and the private keys that come of them. */
async function operatorSecrets(): Promise<readonly Secret[]> {
  const secrets: Secret[] = [];
  for (const name of ["ann", "root", "admin", "recovery"]) {
    const seeds = await openKeyFile(join(operator.home, "config/holdfast", SITE, `${name}.key`), PASSPHRASE);
    for (const [i, seed] of seeds.entries()) {
      const box = crypto.boxKeys(seed).secretKey;
      const clamped = new Uint8Array(box);
      clamped[0] = clamped[0]! & 248;
      clamped[31] = (clamped[31]! & 127) | 64;
      const pieces = { seed, box, clamped, sign: crypto.signKeys(seed).secretKey };
      for (const [kind, bytes] of Object.entries(pieces)) secrets.push(secretOf(`${name} ${i} ${kind}`, bytes));
    }
  }
  return secrets;
}

/** Where each secret has to be; operator keys are nowhere in the clear. */
function expectedPlaces(): { readonly secrets: readonly Secret[]; readonly places: Record<string, readonly string[]> } {
  const { state } = stage.units;
  const secrets: Secret[] = [];
  const places: Record<string, readonly string[]> = {};
  const plant = (name: string, bytes: Uint8Array, ...where: readonly string[]): void => {
    secrets.push(secretOf(name, bytes));
    places[name] = where.toSorted();
  };
  plant("passphrase", Buffer.from(PASSPHRASE), "operator/passphrase");
  plant("wrong passphrase", Buffer.from(WRONG), "operator/wrong-passphrase");
  plant("client key", configKey("PrivateKey"), "operator/handed-over/alice.conf");
  const psk = configKey("PresharedKey");
  plant("psk", psk, "operator/handed-over/alice.conf", `router/state/keys/psk/${pskCommitment(psk)}`);
  for (const name of readdirSync(join(state, "keys/wg"))) {
    const key = Uint8Array.fromBase64(text(join(state, "keys/wg", name)));
    plant(`lane ${name}`, key, `router/state/keys/wg/${name}`, `router/state/keys/wg2/${name}`);
  }
  for (const name of ["sign", "seal"]) {
    const seed = Uint8Array.fromBase64(text(join(state, "keys", name)));
    plant(`router ${name}`, seed, `router/state/keys/${name}`);
    plant(`router ${name}, derived`, (name === "sign" ? crypto.signKeys(seed) : crypto.boxKeys(seed)).secretKey);
  }
  const token = readTokenFile(join(stage.units.folder, "carried.token"));
  if (!token.ok || token.value === null) throw new Error("the carried token is gone");
  // The copy that a person carried is hers to delete; the program's own copies are gone.
  plant("token", token.value.secret, "router/carried.token");
  return { secrets, places };
}

test("secrets are where they must be, and nowhere else", async () => {
  const processes = watch.stop();
  const seen = processes.map(({ bytes }) => bytes.toString("latin1"));
  for (const word of ["holdfastd\0run", "--passphrase-file", "wireguard-go"])
    expect(seen.filter((one) => one.includes(word)).length).toBeGreaterThan(0);
  const own = [operator.home, stage.units.folder];
  const strange = temporaryNames().filter((path) => !before.has(path) && !own.includes(path));
  const hays: Hay[] = [
    ...processes,
    ...filesBelow("operator", operator.home),
    ...filesBelow("router", stage.units.folder),
    { place: "git", bytes: await git("cat-file", "--batch", "--batch-all-objects") },
    { place: "command line", bytes: Buffer.from(operator.said.join("\n")) },
    { place: "holdfastd", bytes: Buffer.from(said.join("\n")) },
    ...strange.flatMap((path) => filesBelow("temporary", path)),
  ];
  const { secrets, places } = expectedPlaces();
  const locked = await operatorSecrets();
  const nowhere = Object.fromEntries(locked.map(({ name }) => [name, []]));
  expect(findSecrets([...secrets, ...locked], hays)).toEqual({ ...places, ...nowhere });
});

test("the search looks at what it claims to look at", async () => {
  const files = (label: string, folder: string): readonly string[] =>
    filesBelow(label, folder).map(({ place }) => place);
  const router = files("router", stage.units.folder);
  for (const path of ["agent.log", "guard.log", "run.log", "run/boot", "state/record.a", "state/log/1.dsse"])
    expect(router).toContain(`router/${path}`);
  const here = files("operator", operator.home);
  for (const path of [`${SITE}/inventory.yaml`, `${SITE}/.git/HEAD`, `config/holdfast/${SITE}/ann.key`])
    expect(here).toContain(`operator/${path}`);
  const objects = (await git("cat-file", "--batch", "--batch-all-objects")).toString("latin1");
  for (const word of ["alice", "public_key", "trust"]) expect(objects).toContain(word);
  expect(operator.said.join("\n")).toContain("alice is 10.");
});
