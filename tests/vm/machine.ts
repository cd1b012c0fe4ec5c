/** A virtual machine without KVM: boots an image, shows its console as lines, ends with the test. */

import { lines } from "../netns/lines.ts";
import type { Image } from "./image.ts";

export type Machine = {
  readonly console: AsyncIterator<string>;
  readonly exited: Promise<number>;
  /** Power cut: the machine is gone without a word to its disk. */
  cut(): void;
};

export type Hardware = {
  readonly memoryMiB?: number; // 1536 when absent
  readonly rootDisk?: readonly string[]; // words for QEMU; a disk that is written, when absent
  readonly devices?: readonly string[]; // more words for QEMU
  readonly options?: string; // more of the kernel's command line
  /** The command that starts the machine somewhere else than here. */
  readonly within?: (argv: readonly string[]) => readonly string[];
};

/** Starts a machine. Mitigations of processors cost an emulated one much and protect nothing. */
export function boot(image: Image, hardware: Hardware = {}): Machine {
  const { memoryMiB = 1536, devices = [], options = "", within = (argv) => argv } = hardware;
  const disk = hardware.rootDisk ?? ["-drive", `file=${image.disk},format=raw,if=virtio,cache=unsafe`];
  const argv = [
    ...["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"],
    ...["-m", String(memoryMiB), "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-nic", "none"],
    ...["-kernel", image.kernel, "-initrd", image.initramfs],
    ...["-append", `console=ttyS0 quiet panic=-1 mitigations=off ${options}`.trim()],
    ...disk,
    ...["-device", "virtio-rng-pci", ...devices],
  ];
  const child = Bun.spawn([...within(argv)], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  return { console: lines(child.stdout), exited: child.exited, cut: () => child.kill("SIGKILL") };
}
