/**
 * Bun runtimes to compile into, taken from npm's registry as the machine has it configured. `bun build --target`
 * alone would download from its default registry and check nothing; here every tarball must have the sha512 that
 * package-lock.json already lists among bun's optional dependencies.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./stale.ts";

export type Target = {
  readonly name: string;
  readonly runtime: string;
  readonly machine: number;
  readonly loader: RegExp;
};

const X64 = 62; // EM_X86_64
const ARM64 = 183; // EM_AARCH64

/** Every Linux that Holdfast ships for. x64-baseline is the same file as x64 in this Bun, so it has no line. */
export const targets: readonly Target[] = [
  { name: "linux-x64", runtime: "bun-linux-x64", machine: X64, loader: /ld-linux-x86-64/ },
  { name: "linux-x64-musl", runtime: "bun-linux-x64-musl", machine: X64, loader: /ld-musl-x86_64/ },
  { name: "linux-arm64", runtime: "bun-linux-aarch64", machine: ARM64, loader: /ld-linux-aarch64/ },
  { name: "linux-arm64-musl", runtime: "bun-linux-aarch64-musl", machine: ARM64, loader: /ld-musl-aarch64/ },
];

/** ELF machine number and program interpreter of a 64-bit little-endian file; throws when it is no such file. */
export function elf(bytes: Uint8Array): { machine: number; interpreter: string } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < 64 || view.readUInt32BE(0) !== 0x7f454c46 || view[4] !== 2 || view[5] !== 1) {
    throw new Error("not a 64-bit little-endian ELF file");
  }
  const machine = view.readUInt16LE(18);
  const size = view.readUInt16LE(54);
  for (let i = 0; i < view.readUInt16LE(56); i += 1) {
    const at = Number(view.readBigUInt64LE(32)) + i * size;
    if (view.readUInt32LE(at) !== 3) continue; // PT_INTERP
    const start = Number(view.readBigUInt64LE(at + 8));
    return { machine, interpreter: view.toString("latin1", start, start + Number(view.readBigUInt64LE(at + 32)) - 1) };
  }
  return { machine, interpreter: "" };
}

/** Throws unless the file is an executable for the target: Bun itself does not notice a wrong runtime. */
export function checkTarget(file: string, target: Target): void {
  const { machine, interpreter } = elf(readFileSync(file));
  if (machine !== target.machine) throw new Error(`${file}: ELF machine ${machine}, want ${target.machine}`);
  if (!target.loader.test(interpreter)) throw new Error(`${file}: interpreter ${interpreter}, want ${target.loader}`);
}

/** Throws unless the tarball has the integrity that the lock lists for the package. */
export function checkIntegrity(tarball: string, wanted: string | undefined): void {
  if (wanted === undefined) throw new Error(`${tarball}: package-lock.json lists no integrity`);
  const found = `sha512-${new Bun.CryptoHasher("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (found !== wanted) throw new Error(`${tarball}: sha512 differs from package-lock.json; delete it`);
}

function run(command: readonly string[], cwd: string): void {
  const done = Bun.spawnSync([...command], { cwd, stdout: "ignore", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${command.join(" ")} failed: ${done.stderr.toString()}`);
}

/**
 * Path of the target's runtime under out/runtimes, downloaded once. The tarball is what is kept, and it is
 * checked and unpacked again for every build, so a damaged cache is an error and never a damaged binary.
 */
export function fetchRuntime(target: Target): string {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const entry = lock.packages[`node_modules/@oven/${target.runtime}`] as
    | { version: string; integrity: string }
    | undefined;
  if (entry === undefined) throw new Error(`package-lock.json does not list @oven/${target.runtime}`);
  const cache = join(root, "out/runtimes");
  const name = `oven-${target.runtime}-${entry.version}.tgz`;
  const tarball = join(cache, name);
  if (!existsSync(tarball)) {
    const incoming = join(cache, `incoming-${process.pid}`);
    mkdirSync(incoming, { recursive: true });
    run(["npm", "pack", `@oven/${target.runtime}@${entry.version}`, "--pack-destination", incoming], root);
    checkIntegrity(join(incoming, name), entry.integrity);
    renameSync(join(incoming, name), tarball);
    rmSync(incoming, { recursive: true });
  }
  checkIntegrity(tarball, entry.integrity);
  const folder = join(cache, `${target.runtime}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  run(["tar", "xzf", tarball, "-C", folder, "package/bin/bun"], root);
  const runtime = join(folder, "package/bin/bun");
  checkTarget(runtime, target);
  return runtime;
}
