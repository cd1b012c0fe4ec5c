/**
 * The binary: what each build flag is there for, checked on the result, because Bun accepts flags that it does
 * not know. A probe stands in for the agent where the test needs to look inside.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, nativeTarget } from "../.ci/build.ts";
import { checkIntegrity, checkTarget, elf, targets } from "../.ci/runtimes.ts";
import { root } from "../.ci/stale.ts";

const PROBE = `import { basename } from "node:path";
const { answer } = await import("./late.ts");
console.log(JSON.stringify({ name: basename(process.argv0), env: process.env.FROM_FILE ?? "", ...(await answer()) }));
`;

const LATE = `import sodium from "libsodium-wrappers";
export async function answer() {
  await sodium.ready;
  const pair = sodium.crypto_sign_keypair();
  const sig = sodium.crypto_sign_detached("x", pair.privateKey);
  let codegen = "refused";
  try { codegen = String(new Function("return 1")()); } catch {}
  return { verified: sodium.crypto_sign_verify_detached(sig, "x", pair.publicKey), codegen };
}
`;

const sha256 = (file: string): string => new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");

let folder = "";
let probe = "";

/** A checkout of its own with the probe in it, compiled; returns the executable. */
function compileProbe(name: string): string {
  const checkout = join(folder, name);
  mkdirSync(checkout);
  symlinkSync(join(root, "node_modules"), join(checkout, "node_modules"));
  writeFileSync(join(checkout, "entry.ts"), PROBE);
  writeFileSync(join(checkout, "late.ts"), LATE);
  return compile(join(checkout, "entry.ts"), process.execPath, nativeTarget(), join(checkout, "made"));
}

function start(file: string, env: Record<string, string> = {}): { code: number; out: string; all: string } {
  const cwd = join(folder, "hostile");
  const done = Bun.spawnSync([file], { cwd, env: { PATH: process.env.PATH ?? "", ...env }, timeout: 20_000 });
  const out = done.stdout.toString();
  return { code: done.exitCode, out, all: out + done.stderr.toString() };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-build-"));
  mkdirSync(join(folder, "hostile"));
  writeFileSync(join(folder, "hostile/.env"), "FROM_FILE=taken\n");
  writeFileSync(join(folder, "hostile/bunfig.toml"), 'preload = ["./preload.ts"]\n');
  writeFileSync(join(folder, "hostile/preload.ts"), 'console.log("PRELOADED");\n');
  probe = compileProbe("one");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the compiled binary", () => {
  const answer = (name: string) => ({ name, env: "", verified: true, codegen: "refused" });

  test("ignores .env and bunfig.toml of the working folder, runs libsodium, makes no code from strings", () => {
    const { code, out } = start(probe);
    expect(JSON.parse(out)).toEqual(answer("holdfast"));
    expect(code).toBe(0);
  });

  test("would have read both without the flags", () => {
    const plain = join(folder, "plain");
    const args = ["build", "--compile", join(folder, "one/entry.ts"), "--outfile", plain];
    expect(Bun.spawnSync([process.execPath, ...args], { cwd: folder }).exitCode).toBe(0);
    const { out } = start(plain);
    expect(out).toContain("PRELOADED");
    expect(out).toContain('"env":"taken"');
  });

  test("BUN_OPTIONS=--preload does not run", () => {
    const { code, all } = start(probe, { BUN_OPTIONS: "--preload=./preload.ts" });
    expect(code).not.toBe(0);
    expect(all).not.toContain("PRELOADED");
  });

  test("BUN_INSPECT refuses to start", () => {
    const { code, out } = start(probe, { BUN_INSPECT: "127.0.0.1:0" });
    expect(code).not.toBe(0);
    expect(out).toBe("");
  });

  test("knows the name it was called by, through a hard link and a symbolic one", () => {
    const [hard, soft] = [join(folder, "holdfastd"), join(folder, "holdfast-by-link")];
    linkSync(probe, hard);
    symlinkSync(probe, soft);
    expect(JSON.parse(start(hard).out)).toEqual(answer("holdfastd"));
    expect(JSON.parse(start(soft).out)).toEqual(answer("holdfast-by-link"));
  });

  test("has the same bytes from another checkout, and no path of either inside", () => {
    const other = compileProbe("another-longer-name");
    expect(sha256(other)).toBe(sha256(probe));
    const bytes = readFileSync(probe);
    expect(bytes.includes(folder)).toBe(false);
    expect(bytes.includes(root)).toBe(false);
  });

  test("Holdfast itself is reproducible and holds no path of this checkout", () => {
    const entry = join(root, "agent/entry.ts");
    const [first = "", second = ""] = ["a", "b"].map((name) =>
      compile(entry, process.execPath, nativeTarget(), join(folder, name)),
    );
    expect(sha256(second)).toBe(sha256(first));
    expect(readFileSync(first).includes(root)).toBe(false);
  });
});

describe("runtimes", () => {
  test("the executable of another target is noticed", () => {
    for (const target of targets.filter((one) => one !== nativeTarget())) {
      expect(() => checkTarget(probe, target)).toThrow(/ELF machine|interpreter/);
    }
    expect(() => checkTarget(probe, nativeTarget())).not.toThrow();
    expect(() => elf(Buffer.from("#!/bin/sh\n".padEnd(80)))).toThrow("not a 64-bit");
  });

  test("the lock lists every runtime's sha512, and another tarball is refused", () => {
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
    const file = join(folder, "runtime.tgz");
    writeFileSync(file, "not the runtime");
    for (const target of targets) {
      const wanted = lock.packages[`node_modules/@oven/${target.runtime}`]?.integrity;
      expect(wanted).toStartWith("sha512-");
      expect(() => checkIntegrity(file, wanted)).toThrow("differs");
    }
    expect(() => checkIntegrity(file, undefined)).toThrow("lists no integrity");
    const own = `sha512-${new Bun.CryptoHasher("sha512").update("not the runtime").digest("base64")}`;
    expect(() => checkIntegrity(file, own)).not.toThrow();
  });
});
