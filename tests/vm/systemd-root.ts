/**
 * systemd as the first process of a guest, from the machine's own Debian package: the manager, its targets, the units
 * as `holdfastd install` wrote them, enabled by systemctl, and units for what a machine has without us.
 */
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addLibraries, addProgram, must, whereIs } from "./tree.ts";

const FOLDER = "usr/lib/systemd";
const TARGETS = [
  ..."sysinit basic multi-user network network-pre local-fs local-fs-pre sockets timers paths slices swap".split(" "),
  ..."shutdown umount final rescue emergency poweroff reboot".split(" "),
];

/** Units of the machine. The state disk has a name outside /dev, since no udev tells systemd when a device is there. */
const UNITS: Readonly<Record<string, string>> = {
  "var-lib-holdfast.mount": `[Mount]
What=/run/state-disk
Where=/var/lib/holdfast
Type=ext4

[Install]
WantedBy=local-fs.target
`,
  "machine-network.service": `[Unit]
After=network-pre.target
Wants=network-pre.target network.target
Before=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/network

[Install]
WantedBy=multi-user.target
`,
  "control.service": `[Unit]
DefaultDependencies=no

[Service]
ExecStart=/control

[Install]
WantedBy=sysinit.target
`,
};

/** The units of ours, in the order in which they start. */
export const OWN_UNITS = ["holdfast-boot", "holdfast-guard", "holdfastd"] as const;

/** Makes the tree of a router one that systemd can start; `devices` is what comes before the first process. */
export function addSystemd(tree: string, devices: string): void {
  const system = join(tree, "etc/systemd/system");
  mkdirSync(join(tree, FOLDER, "system"), { recursive: true });
  mkdirSync(system, { recursive: true });
  for (const name of ["systemd", "systemd-shutdown"]) {
    const path = join("/", FOLDER, name);
    if (!existsSync(path)) throw new Error(`${path} is not on this machine; run: node .ci/setup.mjs --tests`);
    cpSync(path, join(tree, FOLDER, name));
    addLibraries(tree, path);
  }
  addProgram(tree, whereIs("systemctl"), "systemctl");
  for (const name of TARGETS) {
    cpSync(join("/", FOLDER, "system", `${name}.target`), join(tree, FOLDER, "system", `${name}.target`));
  }
  symlinkSync("/usr/lib/systemd/system/multi-user.target", join(system, "default.target"));
  for (const [name, text] of Object.entries(UNITS)) writeFileSync(join(system, name), text);
  writeFileSync(join(tree, "etc/systemd/system.conf"), "[Manager]\nDefaultStandardOutput=tty\n");
  writeFileSync(join(tree, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n");
  must(["systemctl", "--root", tree, "enable", ...Object.keys(UNITS), ...OWN_UNITS]);
  const start = `#!/bin/sh\n${devices}\nbusybox mknod /run/state-disk b 254 16\nexec /${FOLDER}/systemd --log-target=console\n`;
  writeFileSync(join(tree, "start-systemd"), start, { mode: 0o755 });
}
