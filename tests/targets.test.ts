/** `npm run build`: every target from npm's own runtimes, the same bytes again, and each one what it says it is. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { compile } from "../.ci/build.ts";
import { checkTarget, fetchRuntime, targets } from "../.ci/runtimes.ts";
import { root } from "../.ci/stale.ts";

const ARM64_LIBRARIES = "/usr/aarch64-linux-gnu";

const sha256 = (file: string): string => new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");
const binary = (name: string, target: string): string => join(root, "dist", `${name}-${target}`);

function run(argv: readonly string[]): { code: number; out: string } {
  const done = Bun.spawnSync([...argv], { cwd: "/", timeout: 60_000 });
  return { code: done.exitCode, out: done.stdout.toString() };
}

const version = (): string => JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-targets-"));
  const done = Bun.spawnSync([process.execPath, join(root, ".ci/build.ts")], { cwd: root, stdout: "pipe" });
  if (done.exitCode !== 0) throw new Error(`npm run build: exit ${done.exitCode}`);
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("npm run build", () => {
  test("makes both names for every target, and SHA256SUMS tells the truth", () => {
    const sums = readFileSync(join(root, "dist/SHA256SUMS"), "utf8").trimEnd().split("\n");
    expect(sums.length).toBe(2 * targets.length);
    for (const line of sums) {
      const [digest = "", name = ""] = line.split("  ");
      expect(sha256(join(root, "dist", name))).toBe(digest);
    }
  });

  test("each binary has the machine and loader of its target, a payload, and the same bytes when it is built again", () => {
    for (const target of targets) {
      const file = binary("holdfastd", target.name);
      expect(() => checkTarget(file, target)).not.toThrow();
      const runtime = fetchRuntime(target);
      expect(statSync(file).size).toBeGreaterThan(statSync(runtime).size + 500_000);
      expect(readFileSync(file).includes("application/vnd.holdfast.")).toBe(true);
      expect(readFileSync(runtime).includes("application/vnd.holdfast.")).toBe(false);
      const again = compile(join(root, "agent/entry.ts"), runtime, target, join(folder, target.name));
      expect(sha256(again)).toBe(sha256(binary("holdfast", target.name)));
      rmSync(again);
      rmSync(dirname(dirname(runtime)), { recursive: true });
    }
  }, 240_000);

  test("this machine's binaries run under both names", () => {
    expect(run([join(root, "dist/holdfast"), "version"])).toMatchObject({ code: 0 });
    expect(run([join(root, "dist/holdfast"), "version"]).out).toContain(version());
    expect(run([join(root, "dist/holdfastd"), "version"]).out).toContain(version());
  });

  test("the arm64 binaries run under an emulated arm64 machine", () => {
    for (const name of ["holdfast", "holdfastd"]) {
      const done = run(["qemu-aarch64", "-0", name, "-L", ARM64_LIBRARIES, binary(name, "linux-arm64"), "version"]);
      expect(done.code).toBe(0);
      expect(done.out).toContain(version());
    }
  }, 120_000);
});
