/** A crash must not write keys to a disk: what the kernel dumps of either program holds none of its memory. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../.ci/stale.ts";
import { makeSite, tokenText } from "./agent/operator.ts";
import { INIT, Place } from "./cli/place.ts";
import { lines } from "./netns/lines.ts";
import { freshProgram } from "./netns/program.ts";
import { filesBelow, findSecrets, openKeyFile, type Secret, secretOf } from "./netns/secrets.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-core-"));
const program = freshProgram();
const place = new Place();
afterAll(() => {
  place[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

const WORDS = "correct horse battery staple";
const lock = join(folder, "passphrase");
beforeAll(async () => {
  writeFileSync(lock, `${WORDS}\n`, { mode: 0o600 });
  const made = await place.run([...INIT, "--passphrase-file", lock]);
  expect(made.exit).toBe(0);
}, 60_000);

type Crash = { readonly filter: string; readonly dumped: readonly string[]; readonly found: readonly string[] };

/** Starts a program that may dump cores, waits for a word of its log, and lets it crash with its keys in memory. */
async function crash(name: string, argv: readonly string[], word: string, secrets: readonly Secret[]): Promise<Crash> {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  // At most 16 MiB, should it dump after all.
  const child = Bun.spawn(["sh", "-c", 'ulimit -c 32768; exec "$@"', "sh", ...argv], {
    cwd,
    env: place.environment,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  for await (const line of lines(child.stderr)) if (line.includes(word)) break;
  const filter = readFileSync(`/proc/${child.pid}/coredump_filter`, "utf8").trim();
  child.kill("SIGABRT");
  await child.exited;
  expect(child.signalCode).toBe("SIGABRT");
  const dumped = readdirSync(cwd).filter((file) => file.startsWith("core"));
  const found = findSecrets(secrets, filesBelow(name, cwd));
  return { filter, dumped, found: Object.values(found).flat() };
}

/** Where the kernel writes cores into the folder of the process there is one to look into. */
const written = readFileSync("/proc/sys/kernel/core_pattern", "utf8").startsWith("core");

test("of the command line, with operator keys and passphrase in memory", async () => {
  const seeds = await openKeyFile(join(place.keys, "alice.key"), WORDS);
  const secrets = [secretOf("passphrase", Buffer.from(WORDS)), ...seeds.map((seed, i) => secretOf(`seed ${i}`, seed))];
  const words = ["router", "enrol", "r1", "--at", "127.0.0.1:9", "--site", place.site, "--passphrase-file", lock];
  const crashed = await crash("cli", [...program.cli, ...words], "Bring", secrets);
  expect(crashed).toEqual({ filter: "00000000", dumped: written ? [expect.any(String)] : [], found: [] });
}, 60_000);

test("of the agent, with its own keys in memory", async () => {
  const state = join(folder, "state");
  const [config, token] = [join(folder, "holdfastd.yaml"), join(folder, "r1.token")];
  writeFileSync(config, "backend: userspace\nlisten: [{ address: 127.0.0.1, port: 18022 }]\n");
  writeFileSync(token, tokenText(makeSite().token), { mode: 0o600 });
  const options = ["--state", state, "--run", join(folder, "run"), "--config", config];
  const argv = [...program.agent, "enrol", token, ...options];
  expect(Bun.spawnSync(argv, { stdout: "ignore", stderr: "ignore" }).exitCode).toBe(0);
  const seed = (name: string): Uint8Array =>
    Uint8Array.fromBase64(readFileSync(join(state, "keys", name), "utf8").trim());
  const secrets = [secretOf("sign", seed("sign")), secretOf("seal", seed("seal"))];
  const run = [...program.agent, "run", ...options, "--lib", join(root, "agent/scripts")];
  const crashed = await crash("agent", run, "listening", secrets);
  expect(crashed).toEqual({ filter: "00000000", dumped: written ? [expect.any(String)] : [], found: [] });
}, 60_000);

test("every unit says so too, for what it starts besides", () => {
  const word = { systemd: "LimitCORE=0", openrc: /rc_ulimit="-c 0"|ulimit -c 0/, procd: /core="0 0"|ulimit -c 0/ };
  for (const [init, wanted] of Object.entries(word)) {
    const units = filesBelow(init, join(root, "agent/scripts/units", init));
    expect(units.length).toBe(3);
    for (const { bytes } of units) expect(bytes.toString()).toMatch(wanted);
  }
});
