/**
 * The router's init system in a namespace: boot script first, then guard and agent, each a process of its own, as
 * agent/scripts/units do on a real router. Programs are compiled ones or sources through bun.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chooseRecord, type StateRecord } from "../../agent/core/record.ts";
import { bootMs } from "../../agent/host/clock.ts";
import { readPairs } from "../../agent/host/files.ts";
import type { Receipt } from "../../schemas/report.ts";
import { decode } from "../../schemas/wire.ts";
import { removeFolder, temporaryFolder } from "./folders.ts";
import type { Child, Space, World } from "./world.ts";

export type GuardArmed = { readonly token: string; readonly deadlineMs: number };

function readIf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

export class RouterUnits {
  readonly world: World;
  readonly space: Space;
  readonly folder: string;
  readonly state: string;
  readonly run: string;
  readonly lib: string;
  readonly config: string;
  readonly runLog: string;
  #program: readonly string[];
  #agent: Child | undefined;
  #guard: Child | undefined;

  /** `state` is made below the units' own folder when it is not named. */
  constructor(world: World, space: Space, program: readonly string[], state?: string) {
    this.world = world;
    this.space = space;
    this.#program = program;
    this.folder = temporaryFolder("units");
    this.state = state ?? join(this.folder, "state");
    this.run = join(this.folder, "run");
    this.lib = join(this.folder, "root/usr/lib/holdfast");
    this.config = join(this.folder, "holdfastd.yaml");
    this.runLog = join(this.folder, "run.log");
    mkdirSync(this.state, { mode: 0o700 });
    writeFileSync(this.config, "backend: userspace\n");
  }

  /** The flags that let many agents live on one machine. */
  get folders(): readonly string[] {
    return ["--config", this.config, "--state", this.state, "--run", this.run, "--lib", this.lib];
  }

  #scriptArgs(...names: readonly ("state" | "run" | "lib")[]): readonly string[] {
    return [...names.flatMap((name) => [`--${name}`, this[name]]), "--backend", "userspace"];
  }

  /** Before the network: the last confirmed generation, by the script alone. Returns its exit code. */
  async boot(): Promise<number> {
    const argv = [join(this.lib, "holdfast-boot"), ...this.#scriptArgs("state", "run")];
    return (await this.world.exec(this.space, argv, { timeoutMs: 60_000 })).exit;
  }

  /** A boot whose power goes after so many milliseconds: the script and what it started are gone at once. */
  async brownOut(ms: number): Promise<void> {
    const boot = [join(this.lib, "holdfast-boot"), ...this.#scriptArgs("state", "run")];
    await this.world.exec(this.space, ["timeout", "-s", "KILL", String(ms / 1000), ...boot], { timeoutMs: 60_000 });
  }

  #spawn(argv: readonly string[], log: string, env: Readonly<Record<string, string>> = {}): Child {
    const file = join(this.folder, log);
    return this.world.spawn(this.space, ["sh", "-c", 'exec "$@" 2>>"$0"', file, ...argv], { env });
  }

  startGuard(): void {
    const argv = [join(this.lib, "holdfast-guard"), ...this.#scriptArgs("state", "run", "lib")];
    this.#guard = this.#spawn(argv, "guard.log");
  }

  /** Starts the agent and waits until its socket answers or it ends. */
  async startAgent(): Promise<void> {
    const socket = join(this.run, "holdfastd.sock");
    rmSync(socket, { force: true });
    const agent = this.#spawn([...this.#program, "run", ...this.folders, "--run-log", this.runLog], "agent.log");
    this.#agent = agent;
    let ended = false;
    void agent.exited.then(() => {
      ended = true;
    });
    const limit = performance.now() + 20_000;
    while (!existsSync(socket)) {
      if (ended || performance.now() > limit) throw new Error(`the agent does not listen: ${this.log("agent.log")}`);
      await Bun.sleep(20);
    }
  }

  /** Boot script, guard, agent: what a power-up does. Needs `install` before. */
  async powerUp(): Promise<void> {
    await this.boot();
    this.startGuard();
    await this.startAgent();
  }

  /** `holdfastd install` below the folder: scripts and units as the program carries them. Returns what it says. */
  async install(): Promise<string> {
    const words = ["install", "--root", join(this.folder, "root"), "--init", "systemd"];
    const out = await this.world.exec(this.space, [...this.#program, ...words]);
    if (out.exit !== 0) throw new Error(`holdfastd install: exit ${out.exit}: ${out.stderr}`);
    return out.stderr;
  }

  /** A subcommand of the agent's program, in the router's namespace; its standard output. */
  async agentCommand(...words: readonly string[]): Promise<string> {
    return this.world.must(this.space, [...this.#program, ...words, ...this.folders], { timeoutMs: 30_000 });
  }

  /** What the agent is started as. */
  get program(): readonly string[] {
    return this.#program;
  }

  /** Another program for the next start of the agent. */
  useProgram(argv: readonly string[]): void {
    this.#program = argv;
  }

  get agentPid(): number {
    if (this.#agent === undefined) throw new Error("the agent was not started");
    return this.#agent.pid;
  }

  get guardPid(): number {
    if (this.#guard === undefined) throw new Error("the guard was not started");
    return this.#guard.pid;
  }

  /** True when the guard has beaten within three seconds. */
  guardBeats(): boolean {
    const beat = Number(readIf(join(this.run, "guard.alive")) ?? "0");
    return Math.abs(bootMs() - beat) <= 3000;
  }

  /** Resolves with the exit code when the agent ends. */
  async agentEnded(): Promise<number> {
    return (await this.#agent?.exited) ?? 0;
  }

  signalAgent(signal: NodeJS.Signals): void {
    process.kill(this.agentPid, signal);
  }

  /** SIGKILL, and waits for the end. */
  async killAgent(): Promise<void> {
    this.signalAgent("SIGKILL");
    await this.#agent?.exited;
  }

  async killGuard(): Promise<void> {
    this.#guard?.kill();
    await this.#guard?.exited;
  }

  /** The trial that the guard watches now. */
  armed(): GuardArmed | undefined {
    const text = readIf(join(this.run, "guard.armed"));
    if (text === undefined) return undefined;
    const pairs = readPairs(text);
    return { token: pairs.get("token") ?? "", deadlineMs: Number(pairs.get("deadline_ms") ?? "0") };
  }

  /** Waits until the guard is armed, with a deadline that fits; throws when that does not come. */
  async untilArmed(fits: (armed: GuardArmed) => boolean, timeoutMs = 20_000): Promise<GuardArmed> {
    const limit = performance.now() + timeoutMs;
    for (;;) {
      const armed = this.armed();
      if (armed !== undefined && fits(armed)) return armed;
      if (performance.now() > limit) throw new Error(`the guard is not armed: ${this.log("agent.log")}`);
      await Bun.sleep(10);
    }
  }

  async untilDisarmed(timeoutMs: number): Promise<void> {
    const limit = performance.now() + timeoutMs;
    while (this.armed() !== undefined) {
      if (performance.now() > limit) throw new Error(`the guard stays armed: ${this.log("guard.log")}`);
      await Bun.sleep(20);
    }
  }

  /** Waits until a restore by `by` ended after `sinceMs` of the boot clock. */
  async untilRestoredBy(by: "guard" | "agent" | "boot", sinceMs: number, timeoutMs = 30_000): Promise<void> {
    const limit = performance.now() + timeoutMs;
    for (;;) {
      const result = this.restoreResult();
      if (result.get("by") === by && Number(result.get("at_ms")) > sinceMs) return;
      if (performance.now() > limit) throw new Error(`no restore by ${by}: ${this.log("guard.log")}`);
      await Bun.sleep(20);
    }
  }

  /** restore.result of the run folder, as key=value pairs. */
  restoreResult(): ReadonlyMap<string, string> {
    return readPairs(readIf(join(this.run, "restore.result")) ?? "");
  }

  record(): StateRecord {
    const chosen = chooseRecord(readIf(join(this.state, "record.a")), readIf(join(this.state, "record.b")));
    if (chosen === undefined) throw new Error("no valid record");
    return chosen.record;
  }

  /** The router's own log, oldest first; the command line verifies the same files' signatures and chain. */
  receipts(): readonly Receipt[] {
    const folder = join(this.state, "log");
    const names = existsSync(folder) ? readdirSync(folder).filter((name) => /^[0-9]+\.dsse$/.test(name)) : [];
    return names
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
      .map((name) => {
        const envelope = decode("Envelope", readFileSync(join(folder, name)));
        const receipt = envelope.ok ? decode("Receipt", envelope.value.payload) : envelope;
        if (!receipt.ok) throw new Error(`${name}: ${JSON.stringify(receipt.problems)}`);
        return receipt.value;
      });
  }

  /** Waits for a receipt after the `from` first ones that fits; throws when it does not come. */
  async untilReceipt(fits: (receipt: Receipt) => boolean, timeoutMs: number, from = 0): Promise<Receipt> {
    const limit = performance.now() + timeoutMs;
    for (;;) {
      const found = this.receipts().slice(from).find(fits);
      if (found !== undefined) return found;
      if (performance.now() > limit) {
        const seen = this.receipts().map((one) => `${one.outcome} ${one.cause}`.trim());
        throw new Error(`no such receipt after ${seen.join(", ")}: ${this.log("agent.log")}`);
      }
      await Bun.sleep(50);
    }
  }

  /** Commands that may have changed the kernel, from the `from`-th on. */
  mutations(from = 0): readonly (readonly string[])[] {
    const text = readIf(this.runLog) ?? "";
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { argv: string[] }).argv)
      .slice(from);
  }

  log(name: string): string {
    return (readIf(join(this.folder, name)) ?? "").slice(-4000);
  }

  remove(): void {
    removeFolder(this.folder);
  }
}
