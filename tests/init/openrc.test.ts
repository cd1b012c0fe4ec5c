/** The OpenRC units under Debian's own OpenRC: installed, enabled as `install` says, booted, killed, stopped. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../.ci/stale.ts";
import { readPairs } from "../../agent/host/files.ts";
import { freshProgram } from "../netns/program.ts";

setDefaultTimeout(180_000);

const PACKAGES = ["openrc", "librc1", "libeinfo1", "insserv", "initscripts"];

function must(argv: readonly string[], cwd = root): string {
  const done = Bun.spawnSync([...argv], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${done.stderr.toString().trim()}`);
  return done.stdout.toString();
}

/** The packages, unpacked and not installed: this machine keeps its own init system. Fetched once into out/openrc. */
function fetchPackages(): string {
  const tree = join(root, "out/openrc");
  if (existsSync(tree)) return tree;
  const incoming = `${tree}.${process.pid}`;
  mkdirSync(incoming, { recursive: true });
  must(["apt-get", "download", ...PACKAGES], incoming);
  for (const file of readdirSync(incoming).filter((name) => name.endsWith(".deb"))) {
    must(["dpkg-deb", "-x", file, "tree"], incoming);
  }
  // Where /bin, /lib and /sbin are links, a folder of that name would hide what they lead to.
  for (const folder of ["bin", "lib", "sbin"]) {
    if (!existsSync(join(incoming, "tree", folder))) continue;
    mkdirSync(join(incoming, "tree/usr", folder), { recursive: true });
    must(["cp", "-a", `tree/${folder}/.`, `tree/usr/${folder}/`], incoming);
    rmSync(join(incoming, "tree", folder), { recursive: true });
  }
  renameSync(join(incoming, "tree"), tree);
  rmSync(incoming, { recursive: true });
  return tree;
}

test("OpenRC boots, guards and restarts what `holdfastd install` wrote", () => {
  const script = join(import.meta.dir, "openrc.sh");
  const argv = ["unshare", "-mnp", "--fork", "--mount-proc", "--kill-child", "sh", script];
  const said = readPairs(must([...argv, fetchPackages(), freshProgram().agent[0] ?? ""]));
  expect(Object.fromEntries(said)).toEqual({
    next: "rc-update add holdfast-boot boot && rc-update add holdfast-guard default && rc-update add holdfastd default",
    boot: "started",
    restored: "boot",
    agent_before_default: "",
    agent: "started",
    guard: "started",
    agent_again: "started",
    guard_again: "started",
    guard_beats: "yes",
    agent_stopped: "yes",
    guard_without_agent: "started",
  });
});
