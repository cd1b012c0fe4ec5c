/**
 * Worlds for tests: network namespaces with links, routes, traffic and processes, all removed at the end.
 *
 * Each namespace has its own mount namespace with a private /run/wireguard: wireguard-go listens on a path, so
 * two namespaces that share the folder configure each other's devices. Namespaces carry a prefix that names the
 * world and this process; only leftovers of dead processes with the same world name are ever swept.
 * Needs root. Nothing outside the namespaces is touched, except the lock file and the folder /run/wireguard.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { lines } from "./lines.ts";
import { takeLock } from "./lock.ts";

export type Output = { readonly exit: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number; // default 20,000; then SIGKILL
  readonly stdin?: string;
};

/** A process inside a namespace. Killed with the world at the latest. */
export type Child = {
  readonly pid: number;
  readonly exited: Promise<number>;
  write(text: string): void;
  closeStdin(): void;
  /** Lines of standard output as they come. */
  readonly out: AsyncIterator<string>;
  kill(signal?: NodeJS.Signals): void;
};

/** One namespace of a world. */
export type Space = { readonly name: string; readonly netns: string; readonly keeper: number };

// Without duplicate address detection no address is tentative, and no event comes late.
const KEEPER = `sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 && mount -t tmpfs -o mode=0755 tmpfs /run/wireguard && mount -t sysfs sysfs /sys && ip link set lo up && echo ready && exec cat`;

const worlds = new Set<World>();

function runSync(argv: readonly string[]): Output {
  const out = Bun.spawnSync([...argv], { stdin: "ignore", env: { ...process.env, LC_ALL: "C" } });
  return { exit: out.exitCode, stdout: out.stdout.toString(), stderr: out.stderr.toString() };
}

function removeNamespace(netns: string): void {
  for (let round = 0; round < 5; round += 1) {
    // Everything in there was started by the world: the namespace is its own.
    const pids = runSync(["ip", "netns", "pids", netns]).stdout.split("\n").filter(Boolean);
    for (const pid of pids) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // gone between the listing and the signal
      }
    }
    if (pids.length === 0) break;
    Bun.sleepSync(20);
  }
  runSync(["ip", "netns", "del", netns]);
}

function onExit(): void {
  for (const world of worlds) world.destroy();
}
process.on("exit", onExit);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    onExit();
    process.exit(130);
  });
}

export class World {
  readonly prefix: string;
  readonly spaces = new Map<string, Space>();
  readonly #release: () => void;
  #serial = 0;

  private constructor(prefix: string, release: () => void) {
    this.prefix = prefix;
    this.#release = release;
  }

  /** Takes the machine-wide lock of namespace suites and sweeps what a killed run of the same name left. */
  static async create(options: { readonly name: string }): Promise<World> {
    if (!/^[a-z0-9]{1,12}$/.test(options.name)) throw new Error(`world name ${options.name} is not [a-z0-9]{1,12}`);
    const release = await takeLock();
    mkdirSync("/run/wireguard", { recursive: true });
    const family = `hft-${options.name}-`;
    for (const netns of existsSync("/run/netns") ? readdirSync("/run/netns") : []) {
      const owner = netns.startsWith(family) ? netns.slice(family.length).split("-")[0] : undefined;
      if (owner !== undefined && !existsSync(`/proc/${owner}`)) removeNamespace(netns);
    }
    const taken = [...worlds].filter((world) => world.prefix.startsWith(`${family}${process.pid}-`)).length;
    const world = new World(`${family}${process.pid}-${taken}`, release);
    worlds.add(world);
    return world;
  }

  /** A namespace with lo up and a private /run/wireguard. */
  async space(name: string): Promise<Space> {
    const netns = `${this.prefix}-${name}`;
    const made = runSync(["ip", "netns", "add", netns]);
    if (made.exit !== 0) throw new Error(`ip netns add ${netns}: ${made.stderr}`);
    const keeper = Bun.spawn(
      ["nsenter", `--net=/run/netns/${netns}`, "unshare", "-m", "--propagation", "slave", "sh", "-c", KEEPER],
      { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
    );
    const first = await lines(keeper.stdout).next();
    if (first.value !== "ready") throw new Error(`namespace ${netns} did not start`);
    const space = { name, netns, keeper: keeper.pid };
    this.spaces.set(name, space);
    return space;
  }

  /** Joins two namespaces by a veth pair with the given interface names; both ends up. */
  async link(a: Space, nameA: string, b: Space, nameB: string): Promise<void> {
    this.#serial += 1;
    const temporary = `hft${process.pid % 100000}x${this.#serial}`.slice(0, 15);
    // Made inside the first namespace, so that no name clashes outside.
    await this.must(a, ["ip", "link", "add", nameA, "type", "veth", "peer", "name", temporary]);
    await this.must(a, ["ip", "link", "set", temporary, "netns", b.netns]);
    await this.must(b, ["ip", "link", "set", temporary, "name", nameB]);
    await this.must(a, ["ip", "link", "set", nameA, "up"]);
    await this.must(b, ["ip", "link", "set", nameB, "up"]);
  }

  async address(space: Space, device: string, ...cidrs: readonly string[]): Promise<void> {
    for (const cidr of cidrs) {
      const nodad = cidr.includes(":") ? ["nodad"] : [];
      await this.must(space, ["ip", "addr", "add", cidr, "dev", device, ...nodad]);
    }
  }

  async route(space: Space, to: string, via: string): Promise<void> {
    await this.must(space, ["ip", via.includes(":") ? "-6" : "-4", "route", "replace", to, "via", via]);
  }

  /** Lets the namespace forward both families. */
  async forward(space: Space): Promise<void> {
    await this.must(space, ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
  }

  argv(space: Space, argv: readonly string[]): string[] {
    return ["nsenter", "-t", String(space.keeper), "-n", "-m", "--", ...argv];
  }

  async exec(space: Space, argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    const child = Bun.spawn(this.argv(space, argv), {
      stdin: options.stdin === undefined ? "ignore" : new TextEncoder().encode(options.stdin),
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, LC_ALL: "C", ...options.env },
      timeout: options.timeoutMs ?? 20_000,
      killSignal: "SIGKILL",
    });
    const [stdout, stderr, exit] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { exit, stdout, stderr };
  }

  /** exec that throws on a non-zero exit; returns standard output. */
  async must(space: Space, argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const out = await this.exec(space, argv, options);
    if (out.exit !== 0) throw new Error(`${space.name}: ${argv.join(" ")}: exit ${out.exit}: ${out.stderr.trim()}`);
    return out.stdout;
  }

  /** Starts a process and keeps it until it ends, is killed, or the world closes. */
  spawn(
    space: Space,
    argv: readonly string[],
    options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
  ): Child {
    const child = Bun.spawn(this.argv(space, argv), {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, LC_ALL: "C", ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    return {
      pid: child.pid, // nsenter without a pid namespace becomes the program
      exited: child.exited,
      write: (text) => {
        child.stdin.write(text);
        child.stdin.flush();
      },
      closeStdin: () => void child.stdin.end(),
      out: lines(child.stdout),
      kill: (signal) => child.kill(signal ?? "SIGKILL"),
    };
  }

  /** True when one echo request is answered within a second. */
  async pings(space: Space, target: string, attempts = 1): Promise<boolean> {
    const argv = ["ping", "-n", "-q", "-c", String(attempts), "-i", "0.2", "-W", "1", target];
    return (await this.exec(space, argv)).exit === 0;
  }

  /** Kills every process of every namespace and removes them; synchronous, so that it also runs at exit. */
  destroy(): void {
    if (!worlds.delete(this)) return;
    for (const space of this.spaces.values()) removeNamespace(space.netns);
    this.spaces.clear();
    this.#release();
  }
}
