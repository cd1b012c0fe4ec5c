/**
 * A router's machine as files: Debian's cloud kernel, an initramfs that finds the disk, and an ext4 disk with Bun,
 * this checkout and the few programs a router has. Everything comes from Debian packages and from this checkout.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
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
  ..."wireguard-go busybox".split(" "),
];

/** Modules of the guest; what they depend on is found by modprobe. */
const MODULES = [
  ..."virtio_pci virtio_blk wireguard veth dummy tun nf_conntrack nf_tables".split(" "),
  ..."nft_chain_nat nft_ct nft_fib_inet nft_limit nft_log nft_masq nft_nat nft_objref nft_redir nft_reject_inet".split(
    " ",
  ),
];

export type Image = { readonly kernel: string; readonly initramfs: string; readonly disk: string };

function must(argv: readonly string[], cwd = root): string {
  const done = Bun.spawnSync([...argv], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${done.stderr.toString().trim()}`);
  return done.stdout.toString();
}

/** The unpacked kernel package, fetched once into out/vm. */
function fetchKernel(cache: string): { readonly tree: string; readonly version: string } {
  const name = /Depends: (linux-image-\S+)/.exec(must(["apt-cache", "depends", "linux-image-cloud-amd64"]))?.[1];
  if (name === undefined) throw new Error("apt knows no linux-image-cloud-amd64; run: apt-get update");
  const version = name.replace("linux-image-", "");
  const tree = join(cache, version);
  if (!existsSync(join(tree, "boot", `vmlinuz-${version}`))) {
    const incoming = join(cache, `incoming-${process.pid}`);
    mkdirSync(incoming, { recursive: true });
    must(["apt-get", "download", name], incoming);
    const file = readdirSync(incoming).find((one) => one.endsWith(".deb")) ?? "";
    must(["dpkg-deb", "-x", file, "tree"], incoming);
    must(["busybox", "depmod", "-b", "tree", version], incoming);
    rmSync(tree, { recursive: true, force: true });
    renameSync(join(incoming, "tree"), tree);
    rmSync(incoming, { recursive: true });
  }
  return { tree, version };
}

function whereIs(program: string): string {
  const found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map((folder) => join(folder, program)).find(existsSync);
  if (found === undefined) throw new Error(`${program} is not on this machine; run: node .ci/setup.mjs --tests`);
  return found;
}

/** Copies a program to its own path below `tree`, with every library that the loader would load. */
function addProgram(tree: string, path: string, name: string): void {
  const to = join(tree, "usr/bin", name);
  if (existsSync(to)) return;
  cpSync(realpathSync(path), to);
  const listed = Bun.spawnSync(["ldd", path], { stdout: "pipe", stderr: "ignore" }).stdout.toString();
  for (const match of listed.matchAll(/(\/\S+\.so\S*)/g)) {
    const library = match[1] ?? "";
    const copy = join(tree, library);
    if (existsSync(copy)) continue;
    mkdirSync(dirname(copy), { recursive: true });
    cpSync(realpathSync(library), copy);
  }
}

function makeTree(tree: string): void {
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
    "checkout",
  ]) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(tree, name));
  for (const name of PROGRAMS) addProgram(tree, whereIs(name), name);
  symlinkSync("mawk", join(tree, "usr/bin/awk"));
  addProgram(tree, process.execPath, "bun");
  writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
  writeFileSync(join(tree, "etc/hosts"), "127.0.0.1 localhost\n");
  cpSync("/etc/protocols", join(tree, "etc/protocols"));
}

function addCheckout(tree: string): void {
  const skip = /^\/node_modules\/(?:\.bin|@biomejs|@oven|bun|typescript|@typescript|protobufjs-cli)(?:\/|$)/;
  for (const part of [
    "agent",
    "schemas",
    "proto",
    "tests",
    "client",
    ".ci",
    "node_modules",
    "package.json",
    "bunfig.toml",
    "tsconfig.json",
  ]) {
    const from = join(root, part);
    if (!existsSync(from)) continue;
    cpSync(from, join(tree, "checkout", part), {
      recursive: true,
      filter: (path) => !skip.test(path.slice(root.length)),
    });
  }
}

const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /disk
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox ln -s /proc/self/fd /dev/fd
/bin/busybox ln -s /proc/self/fd/0 /dev/stdin
for module in ${MODULES.join(" ")}; do /bin/busybox modprobe "$module" || echo "no module $module"; done
/bin/busybox mount -t ext4 /dev/vda /disk || exec /bin/busybox poweroff -f
for one in proc sys dev; do /bin/busybox mount --move /$one /disk/$one; done
exec /bin/busybox switch_root /disk /bin/sh /start
`;

function makeInitramfs(kernel: { tree: string; version: string }, folder: string, file: string): void {
  mkdirSync(join(folder, "bin"), { recursive: true });
  cpSync(whereIs("busybox"), join(folder, "bin/busybox"));
  const listed = must(["ldd", whereIs("busybox")]);
  for (const match of listed.matchAll(/(\/\S+\.so\S*)/g)) {
    mkdirSync(join(folder, dirname(match[1] ?? "")), { recursive: true });
    cpSync(realpathSync(match[1] ?? ""), join(folder, match[1] ?? ""));
  }
  const from = join(kernel.tree, "lib/modules", kernel.version);
  const to = join(folder, "lib/modules", kernel.version);
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from).filter((one) => one.startsWith("modules.")))
    cpSync(join(from, name), join(to, name));
  const wanted = new Map(
    readFileSync(join(from, "modules.dep"), "utf8")
      .split("\n")
      .map((line) => [line.split(":")[0] ?? "", line]),
  );
  const byName = new Map(
    [...wanted.keys()].map((path) => [path.replace(/^.*\//, "").replace(".ko", "").replaceAll("-", "_"), path]),
  );
  for (const name of MODULES) {
    const line = wanted.get(byName.get(name) ?? "") ?? "";
    for (const path of line.replace(":", "").split(" ").filter(Boolean)) {
      mkdirSync(dirname(join(to, path)), { recursive: true });
      cpSync(join(from, path), join(to, path));
    }
  }
  writeFileSync(join(folder, "init"), INIT, { mode: 0o755 });
  must(["sh", "-c", 'cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null >"$2"', "sh", folder, file]);
}

/** Builds the image in `folder`; `start` is the script that the guest runs as its first process on the disk. */
export function buildImage(folder: string, start: string): Image {
  const cache = join(root, "out/vm");
  mkdirSync(cache, { recursive: true });
  const kernel = fetchKernel(cache);
  const tree = join(folder, "tree");
  makeTree(tree);
  addCheckout(tree);
  writeFileSync(join(tree, "start"), start, { mode: 0o755 });
  const disk = join(folder, "disk.ext4");
  must(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "700M"]);
  const initramfs = join(folder, "initramfs");
  makeInitramfs(kernel, join(folder, "early"), initramfs);
  return { kernel: join(kernel.tree, "boot", `vmlinuz-${kernel.version}`), initramfs, disk };
}
