/** The guest's kernel: Debian's cloud kernel, and an initramfs with its modules that finds the disk. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../../.ci/stale.ts";
import { must, whereIs } from "./tree.ts";

/** Modules of the guest; what they depend on is found by modprobe. */
const MODULES = [
  ..."virtio_pci virtio_blk virtio_net virtio_console wireguard veth dummy tun nf_conntrack nf_tables".split(" "),
  ..."nft_chain_nat nft_ct nft_fib_inet nft_limit nft_log nft_masq nft_nat nft_objref nft_redir nft_reject_inet".split(
    " ",
  ),
];

/** Modules that only a guest whose command line names them loads. */
const ON_WISH = ["softdog"];

/** Files that QEMU starts a guest from. */
export type Kernel = { readonly kernel: string; readonly initramfs: string };

type Package = { readonly tree: string; readonly version: string };

/** The unpacked kernel package, fetched once into the cache folder. */
function fetchKernel(cache: string): Package {
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

/**
 * Options of the kernel's command line: guest.init names the first process of the disk, guest.root its mount option,
 * guest.module one more module, with its options after commas.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /disk
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox ln -s /proc/self/fd /dev/fd
/bin/busybox ln -s /proc/self/fd/0 /dev/stdin
for module in ${MODULES.join(" ")}; do /bin/busybox modprobe "$module" || echo "no module $module"; done
init=/start root=rw
for word in $(/bin/busybox cat /proc/cmdline); do
  case $word in
    guest.init=*) init=\${word#*=} ;;
    guest.root=*) root=\${word#*=} ;;
    guest.module=*) /bin/busybox modprobe $(echo "\${word#*=}" | /bin/busybox tr , ' ') || echo "no module $word" ;;
  esac
done
/bin/busybox mount -t ext4 -o "$root" /dev/vda /disk || exec /bin/busybox poweroff -f
for one in proc sys dev; do /bin/busybox mount --move /$one /disk/$one; done
exec /bin/busybox switch_root /disk "$init"
`;

function makeInitramfs(kernel: Package, folder: string, file: string): void {
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
  for (const name of [...MODULES, ...ON_WISH]) {
    const line = wanted.get(byName.get(name) ?? "") ?? "";
    for (const path of line.replace(":", "").split(" ").filter(Boolean)) {
      mkdirSync(dirname(join(to, path)), { recursive: true });
      cpSync(join(from, path), join(to, path));
    }
  }
  writeFileSync(join(folder, "init"), INIT, { mode: 0o755 });
  must(["sh", "-c", 'cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null >"$2"', "sh", folder, file]);
}

/** Makes both files for guests; `folder` is a scratch folder. */
export function makeKernel(folder: string): Kernel {
  const cache = join(root, "out/vm");
  mkdirSync(cache, { recursive: true });
  const kernel = fetchKernel(cache);
  const initramfs = join(folder, "initramfs");
  makeInitramfs(kernel, join(folder, "early"), initramfs);
  return { kernel: join(kernel.tree, "boot", `vmlinuz-${kernel.version}`), initramfs };
}
