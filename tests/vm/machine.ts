/** A virtual machine without KVM: boots an image, shows its console as lines, ends with the test. */

import { lines } from "../netns/lines.ts";
import type { Image } from "./image.ts";

export type Machine = {
  readonly console: AsyncIterator<string>;
  readonly exited: Promise<number>;
  /** Power cut: the machine is gone without a word to its disk. */
  cut(): void;
};

export function boot(image: Image, memoryMiB = 1536): Machine {
  const disk = `file=${image.disk},format=raw,if=virtio,cache=unsafe`;
  const child = Bun.spawn(
    [
      ...["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"],
      ...["-m", String(memoryMiB), "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-nic", "none"],
      ...[
        "-kernel",
        image.kernel,
        "-initrd",
        image.initramfs,
        "-append",
        "console=ttyS0 quiet panic=-1",
        "-drive",
        disk,
      ],
      ...["-device", "virtio-rng-pci"],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  return { console: lines(child.stdout), exited: child.exited, cut: () => child.kill("SIGKILL") };
}
