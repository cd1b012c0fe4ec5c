/** The root folder of a guest: the few programs that a router has, each with the libraries that it needs. */
import { cpSync, existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../../.ci/stale.ts";

/** Programs of the guest, by name on this machine; the libraries that they need come along. */
const PROGRAMS = [
  ..."sh dash cat cp mv rm mkdir ls ln chmod head tail wc sort sed grep mawk tr sync sha256sum sleep timeout env cmp".split(
    " ",
  ),
  ..."printf od date stat id kill cut touch true setsid flock unshare nsenter mount umount sysctl ip nft wg ping".split(
    " ",
  ),
  ..."wireguard-go busybox tar base64".split(" "),
];

/** Runs a program on this machine; its standard output. Throws what it said when it fails. */
export function must(argv: readonly string[], cwd = root): string {
  const done = Bun.spawnSync([...argv], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${done.stderr.toString().trim()}`);
  return done.stdout.toString();
}

/** Path of a program of this machine. */
export function whereIs(program: string): string {
  const found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map((folder) => join(folder, program)).find(existsSync);
  if (found === undefined) throw new Error(`${program} is not on this machine; run: node .ci/setup.mjs --tests`);
  return found;
}

/** Copies every library that the loader would load for a program. */
export function addLibraries(tree: string, path: string): void {
  const listed = Bun.spawnSync(["ldd", path], { stdout: "pipe", stderr: "ignore" }).stdout.toString();
  for (const match of listed.matchAll(/(\/\S+\.so\S*)/g)) {
    const library = match[1] ?? "";
    const copy = join(tree, library);
    if (existsSync(copy)) continue;
    mkdirSync(dirname(copy), { recursive: true });
    cpSync(realpathSync(library), copy);
  }
}

/** Copies a program to its own path below `tree`, with its libraries. */
export function addProgram(tree: string, path: string, name: string): void {
  const to = join(tree, "usr/bin", name);
  if (existsSync(to)) return;
  cpSync(realpathSync(path), to);
  addLibraries(tree, path);
}

/** Makes the folders, programs and files that every guest has. */
export function makeTree(tree: string): void {
  for (const folder of [
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/sbin",
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "etc",
    "var/run",
    "var/lib",
  ]) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(tree, name));
  for (const name of PROGRAMS) addProgram(tree, whereIs(name), name);
  symlinkSync("mawk", join(tree, "usr/bin/awk"));
  writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
  writeFileSync(join(tree, "etc/hosts"), "127.0.0.1 localhost\n");
  cpSync("/etc/protocols", join(tree, "etc/protocols"));
}
