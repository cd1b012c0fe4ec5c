/**
 * A router's machine as files: Debian's cloud kernel, an initramfs that finds the disk, and an ext4 disk with Bun,
 * this checkout and the few programs a router has. Everything comes from Debian packages and from this checkout.
 */
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../.ci/stale.ts";
import { type Kernel, makeKernel } from "./kernel.ts";
import { addProgram, makeTree, must } from "./tree.ts";

/** Files that QEMU starts a guest from; the first disk holds its root folder. */
export type Image = Kernel & { readonly disk: string };

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

/** Builds the image in `folder`; `start` is the script that the guest runs as its first process on the disk. */
export function buildImage(folder: string, start: string): Image {
  const tree = join(folder, "tree");
  makeTree(tree);
  addProgram(tree, process.execPath, "bun");
  mkdirSync(join(tree, "checkout"));
  addCheckout(tree);
  writeFileSync(join(tree, "start"), `#!/bin/sh\n${start}`, { mode: 0o755 });
  const disk = join(folder, "disk.ext4");
  must(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "700M"]);
  return { ...makeKernel(folder), disk };
}
