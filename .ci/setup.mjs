/**
 * `node .ci/setup.mjs [--tests]` makes a fresh checkout ready: npm packages (Bun is one of them) and the Debian
 * packages that the namespace worlds need, with `--tests` also what only tests call. Plain Node on purpose, since
 * Bun is not there yet. Does nothing when nothing is missing.
 * Exit codes: 0 ready, 1 an installation failed, 2 something is missing that only a person can install.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Command (or file) that must be found, and the Debian package that brings it. */
const TOOLS = {
  nft: "nftables",
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
  ip: "iproute2",
  conntrack: "conntrack",
  ping: "iputils-ping",
};

/** The other shell that the scripts must run under, an arm64 machine for the arm64 binary, a machine with its own kernel, and the init systems. */
const TEST_TOOLS = {
  busybox: "busybox",
  "qemu-aarch64": "qemu-user",
  "qemu-system-x86_64": "qemu-system-x86",
  mke2fs: "e2fsprogs",
  pgrep: "procps",
  "/usr/lib/systemd/systemd": "systemd",
  "/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1": "libc6-arm64-cross",
};

// A user's PATH often lacks the sbin folders, where Debian puts most of these.
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];

/** @param {string} command */
function found(command) {
  const folders = command.startsWith("/") ? ["/"] : FOLDERS;
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a command with its output shown; ends the process with 1 when it fails. @param {string[]} command */
function must(command) {
  console.error(`setup: ${command.join(" ")}`);
  const [name = "", ...args] = command;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const done = spawnSync(name, args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (done.status === 0) return;
  console.error(`setup: ${command.join(" ")} failed${done.error ? `: ${done.error.message}` : ""}`);
  process.exit(1);
}

/** True when node_modules holds exactly what package-lock.json lists; other platforms' optional packages may lack. */
function packagesCurrent() {
  const installed = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installed)) return false;
  const want = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const have = JSON.parse(readFileSync(installed, "utf8")).packages;
  const listed = Object.keys(have).every((path) => path in want);
  return (
    listed &&
    Object.entries(want).every(([path, entry]) => {
      if (path === "") return true;
      const there = have[path];
      if (there === undefined) return entry.optional === true;
      return there.version === entry.version && there.integrity === entry.integrity && existsSync(join(root, path));
    })
  );
}

function installPackages() {
  if (!packagesCurrent()) must(["npm", "ci", "--no-audit", "--no-fund"]);
  // npm may be told to run no install scripts; then `bun` is only a stub that its own script replaces.
  const bun = join(root, "node_modules/.bin/bun");
  const works = () => spawnSync(bun, ["--version"], { stdio: "ignore" }).status === 0;
  if (!works()) must([process.execPath, "node_modules/bun/install.js"]);
}

function installTools() {
  const wanted = process.argv.includes("--tests") ? { ...TOOLS, ...TEST_TOOLS } : TOOLS;
  const missing = Object.entries(wanted).filter(([command]) => !found(command));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  if (process.getuid?.() === 0 && found("apt-get")) {
    must(["apt-get", "update"]);
    must(["apt-get", "install", "-y", "--no-install-recommends", ...packages]);
    const still = missing.filter(([command]) => !found(command));
    if (still.length === 0) return;
  }
  console.error("setup: these commands are missing and could not be installed:");
  for (const [command, name] of missing) console.error(`  ${command.padEnd(14)} Debian package ${name}`);
  console.error(`as root on Debian: apt-get update && apt-get install ${packages.join(" ")}`);
  process.exit(2);
}

installPackages();
installTools();
