/**
 * `bun .ci/build.ts [--native]`: dist/holdfastd-<target> and dist/holdfast-<target>, two names of one
 * multi-call binary, for every target; `--native` builds for this machine only. dist/holdfastd and
 * dist/holdfast are this machine's. Same sources, same bytes, in any checkout.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkTarget, elf, fetchRuntime, type Target, targets } from "./runtimes.ts";
import { root } from "./stale.ts";

/**
 * esm: bytecode as cjs would embed absolute build paths. No autoload: a .env or bunfig.toml in the working folder
 * must not steer a root process. Strict code generation also shuts BUN_OPTIONS=--preload and BUN_INSPECT out.
 * Bun accepts unknown flags silently; tests/build.test.ts checks what each of these is here for.
 */
const FLAGS = [
  ...["--compile", "--minify", "--bytecode", "--format=esm", "--splitting"],
  ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict",
];

/** The name is part of the bytes (/$bunfs/root/NAME), so it is the same for every target and folder. */
const NAME = "holdfast";

/** The target whose executables this machine runs, from the runtime that runs this script. */
export function nativeTarget(): Target {
  const self = elf(readFileSync(process.execPath));
  const found = targets.find((target) => target.machine === self.machine && target.loader.test(self.interpreter));
  if (found === undefined) throw new Error(`no target for ${self.interpreter}`);
  return found;
}

/** Compiles `entry` into `folder`/holdfast with the given runtime and returns that path; throws with Bun's own words. */
export function compile(entry: string, runtime: string, target: Target, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, NAME);
  const arch = `--target=bun-${target.name}`;
  const command = [process.execPath, "build", ...FLAGS, arch, `--compile-executable-path=${runtime}`, entry];
  const done = Bun.spawnSync([...command, "--outfile", file], { cwd: dirname(entry), stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`bun build failed for ${target.name}:\n${done.stderr.toString()}`);
  checkTarget(file, target);
  if (statSync(file).size <= statSync(runtime).size) throw new Error(`${file}: holds nothing but the runtime`);
  return file;
}

/** Puts the finished file in place under two names of one inode; a running older binary keeps its own. */
function install(file: string, folder: string, suffix: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ["holdfastd", "holdfast"]) {
    const next = join(folder, `.${name}${suffix}.${process.pid}`);
    rmSync(next, { force: true });
    linkSync(file, next);
    renameSync(next, join(folder, `${name}${suffix}`));
    rmSync(next, { force: true }); // rename does nothing when both names are already the same inode
  }
}

/** Builds one target into dist and returns the SHA-256 of its bytes in hex. */
export function build(target: Target, native: Target, fetch: boolean): string {
  const work = join(root, "out/build", `${target.name}-${process.pid}`);
  const runtime = fetch ? fetchRuntime(target) : process.execPath;
  try {
    const file = compile(join(root, "agent/entry.ts"), runtime, target, work);
    install(file, join(root, "dist"), `-${target.name}`);
    if (target === native) install(file, join(root, "dist"), "");
    return new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");
  } finally {
    rmSync(work, { recursive: true, force: true });
    if (fetch) rmSync(join(dirname(runtime), "../.."), { recursive: true, force: true });
  }
}

export function main(args: readonly string[]): number {
  const native = nativeTarget();
  const nativeOnly = args.includes("--native");
  const sums: string[] = [];
  for (const target of nativeOnly ? [native] : targets) {
    const digest = build(target, native, !nativeOnly);
    sums.push(`${digest}  holdfast-${target.name}\n${digest}  holdfastd-${target.name}\n`);
    console.log(`dist/holdfastd-${target.name} = dist/holdfast-${target.name}  sha256:${digest}`);
  }
  if (!nativeOnly) writeFileSync(join(root, "dist/SHA256SUMS"), sums.join(""));
  console.log(`dist/holdfastd, dist/holdfast: ${native.name}`);
  return 0;
}

if (import.meta.main) process.exit(main(process.argv.slice(2)));
