/**
 * The image of a router: a root disk that is never written, with the compiled program and what its own `install`
 * writes, and two ways to start: systemd with the real units, and an init of a few lines that keeps their order.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finished } from "../netns/program.ts";
import type { Image } from "./image.ts";
import { makeKernel } from "./kernel.ts";
import { addSystemd } from "./systemd-root.ts";
import { addLibraries, makeTree, must } from "./tree.ts";

/** Answers each line of base64 on the control port with exit status and output, as long as the guest lives. */
const CONTROL = `#!/bin/sh
port=
until [ -c "$port" ]; do sleep 0.1; port=$(echo /dev/vport*p1); done
while :; do
  exec 3<>"$port"
  while IFS= read -r line <&3; do
    printf '%s' "$line" | base64 -d >/run/control.in
    sh /run/control.in >/run/control.out 2>&1 </dev/null 3<&-
    printf '%s %s\\n' "$?" "$(base64 -w0 </run/control.out)" >&3
  done
  sleep 0.1
done
`;

/** Names and links as the machine's own tools give them, before anything of ours. */
const DEVICES = `export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=dumb
mount -t tmpfs -o mode=755 run /run; mount -t tmpfs tmp /tmp; mkdir -p /run/lock
ip link set lo up
for path in /sys/class/net/*; do
  case \${path##*/} in e*) ip link set "\${path##*/}" name lan0 ;; esac
done
ip link set dummy0 name wan0
`;

/** What the network of the machine was told to do without us. */
const NETWORK = `#!/bin/sh
ip link set wan0 up; ip link set lan0 up
ip address add 192.0.2.1/24 dev wan0 2>/dev/null
ip address add 10.0.0.1/24 dev lan0 2>/dev/null
exit 0
`;

/** The units in their order: boot script, network, guard, agent; the last two are started again when they end. */
const START = `#!/bin/sh
${DEVICES}
/control &
mount -t ext4 /dev/vdb /var/lib/holdfast && chmod 700 /var/lib/holdfast || echo "GUEST no state disk"
/usr/lib/holdfast/holdfast-boot --state /var/lib/holdfast --run /run/holdfast
/network
keep() { while :; do "$@"; sleep 1; done; }
keep /usr/lib/holdfast/holdfast-guard --state /var/lib/holdfast --run /run/holdfast --lib /usr/lib/holdfast --watchdog /dev/watchdog &
export BUN_JSC_forceRAMSize=134217728
keep /usr/bin/holdfastd &
echo "GUEST started"
while :; do wait; sleep 1; done
`;

/** Builds the image of a router in `folder`. Needs the finished programs. */
export function buildRouterImage(folder: string): Image {
  const tree = join(folder, "tree");
  makeTree(tree);
  for (const name of ["var/lib/holdfast", "etc/holdfast", "root"]) mkdirSync(join(tree, name), { recursive: true });
  must([...finished.agent, "install", "--root", tree, "--init", "systemd"]);
  addLibraries(tree, join(tree, "usr/bin/holdfastd"));
  writeFileSync(join(tree, "etc/holdfast/holdfastd.yaml"), "backend: kernel\n");
  for (const [name, text] of Object.entries({ control: CONTROL, network: NETWORK, start: START })) {
    writeFileSync(join(tree, name), text, { mode: 0o755 });
  }
  addSystemd(tree, DEVICES);
  const disk = join(folder, "root.ext4");
  must(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk, "300M"]);
  return { ...makeKernel(folder), disk };
}

/** Makes an empty state disk of 32 MiB, all of its tables written, so that only the router's own work is written later. */
export function makeStateDisk(path: string): void {
  const options = ["-E", "lazy_itable_init=0,lazy_journal_init=0", "-J", "size=4", "-m", "0"];
  must(["mke2fs", "-q", "-t", "ext4", ...options, path, "32M"]);
}
