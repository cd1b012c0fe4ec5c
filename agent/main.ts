/** The agent's command line, and the only place that loads the real machine. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sodium from "libsodium-wrappers";
import packageJson from "../package.json";
import type { Problem } from "../schemas/problem.ts";
import { type Config, readConfig } from "./config.ts";
import { cryptoOf, selfTest } from "./core/crypto.ts";
import { startDaemon } from "./daemon.ts";
import { enrol, readToken } from "./enrol.ts";
import { liveHost } from "./host/live.ts";
import { openStore } from "./host/store.ts";
import { install } from "./install.ts";
import type { Parts } from "./ports.ts";

const USAGE = `holdfastd: the Holdfast agent of this router

  holdfastd [run]               serve; the default
  holdfastd enrol FILE          take an enrolment token, print the fingerprint
  holdfastd status --local      ask the running agent on its socket
  holdfastd install             write scripts, units and this program into the system
  holdfastd version | help

Options
  --config FILE   default /etc/holdfast/holdfastd.yaml
  --state FOLDER  default /var/lib/holdfast
  --run FOLDER    default /run/holdfast
  --lib FOLDER    default /usr/lib/holdfast
  --run-log FILE  append every command that may change the kernel
  --backend auto|kernel|userspace
  --root FOLDER   install: below this folder instead of /
  --init systemd|openrc|procd   install: which units
  --help          print this text

Exit: 0 done, 1 unexpected, 2 usage, 3 refused, 5 no agent answers.
`;

const OPTIONS = {
  config: { type: "string", default: "/etc/holdfast/holdfastd.yaml" },
  state: { type: "string", default: "/var/lib/holdfast" },
  run: { type: "string", default: "/run/holdfast" },
  lib: { type: "string", default: "/usr/lib/holdfast" },
  "run-log": { type: "string" },
  backend: { type: "string" },
  root: { type: "string", default: "/" },
  init: { type: "string" },
  local: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

type Options = ReturnType<typeof readOptions>["values"];

const readOptions = (args: readonly string[]) =>
  parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true });

const say = (text: string): void => void process.stderr.write(`${text}\n`);

function refuse(problems: readonly Problem[]): number {
  for (const { code, path, detail } of problems) say(`holdfastd: ${code} ${path}: ${detail}`);
  return 3;
}

function loadConfig(options: Options): Config | readonly Problem[] {
  let text = "";
  try {
    text = readFileSync(options.config, "utf8");
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== "ENOENT") throw failure;
  }
  const config = readConfig(options.config, text);
  if (!config.ok) return config.problems;
  if (options.backend === undefined) return config.value;
  // The flag is judged like the file.
  const flag = readConfig("--backend", `backend: ${JSON.stringify(options.backend)}`);
  return flag.ok ? { ...config.value, backend: flag.value.backend } : flag.problems;
}

async function openParts(options: Options, config: Config): Promise<Parts> {
  await sodium.ready;
  const crypto = cryptoOf(sodium);
  const failed = selfTest(crypto);
  if (failed.length > 0) throw new Error(`cryptography does not pass its self-test: ${failed.join(", ")}`);
  const { state, run, lib } = options;
  const runLog = options["run-log"];
  const host = await liveHost({
    state,
    run,
    lib,
    backend: config.backend,
    ...(runLog === undefined ? {} : { runLog }),
  });
  return { host, store: openStore({ state, run }), crypto, version: packageJson.version };
}

async function runAgent(options: Options): Promise<number> {
  const config = loadConfig(options);
  if (!("backend" in config)) return refuse(config);
  const parts = await openParts(options, config);
  const daemon = await startDaemon(parts, config, options.run);
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve(name));
  });
  parts.host.log("stopping", { signal });
  await daemon.stop();
  return 0;
}

async function runEnrol(options: Options, file: string | undefined): Promise<number> {
  if (file === undefined) {
    say("holdfastd: enrol needs the token file");
    return 2;
  }
  const config = loadConfig(options);
  if (!("backend" in config)) return refuse(config);
  const token = readToken(readFileSync(file, "latin1"));
  if (!token.ok) return refuse(token.problems);
  const result = await enrol(await openParts(options, config), token.value);
  if (!result.ok) return refuse(result.problems);
  say(`router ${token.value.router}; compare this fingerprint with what the operator's machine shows:`);
  process.stdout.write(`${result.value}\n`);
  return 0;
}

async function runStatus(options: Options): Promise<number> {
  if (!options.local) {
    say("holdfastd: status asks the local agent only: holdfastd status --local");
    return 2;
  }
  try {
    const unix = join(options.run, "holdfastd.sock");
    const answer = await fetch("http://holdfast/metrics", { unix, signal: AbortSignal.timeout(10_000) });
    process.stdout.write(await answer.text());
    return 0;
  } catch {
    say(`holdfastd: no agent answers in ${options.run}`);
    return 5;
  }
}

/** Environment that would let others run code in here. The compiled binary is closed to it by its flags as well. */
function openDoors(): readonly string[] {
  return ["BUN_OPTIONS", "BUN_INSPECT", "BUN_INSPECT_CONNECT_TO"].filter((name) => (process.env[name] ?? "") !== "");
}

/** Runs the command line. Returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const doors = openDoors();
  if (doors.length > 0) {
    say(`holdfastd: refuses to start with ${doors.join(", ")} set`);
    return 3;
  }
  let parsed: ReturnType<typeof readOptions>;
  try {
    parsed = readOptions(args);
  } catch (failure) {
    say(`holdfastd: ${(failure as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const { values, positionals } = parsed;
  const [command = "run", file] = positionals;
  switch (values.help ? "help" : command) {
    case "run":
      return runAgent(values);
    case "enrol":
      return runEnrol(values, file);
    case "status":
      return runStatus(values);
    case "install":
      return install({ root: values.root, lib: values.lib, init: values.init }, say);
    case "version":
      process.stdout.write(`holdfastd ${packageJson.version}\n`);
      return 0;
    case "help":
      process.stdout.write(USAGE);
      return 0;
    default:
      say(`holdfastd: no command ${command}\n\n${USAGE}`);
      return 2;
  }
}

/** For the process: ends with the exit code; a bug leaves one line and no source text. */
export async function start(args: readonly string[]): Promise<never> {
  const die = (failure: unknown): never => {
    const detail = failure instanceof Error ? failure.message : String(failure);
    process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), event: "died", detail })}\n`);
    process.exit(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
  try {
    process.exit(await main(args));
  } catch (failure) {
    return die(failure);
  }
}

if (import.meta.main) await start(process.argv.slice(2));
