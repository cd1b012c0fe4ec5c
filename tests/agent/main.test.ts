/** The agent's command line and its configuration, as a process of its own. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { firstEndpoints, readConfig } from "../../agent/config.ts";
import { detectInit } from "../../agent/install.ts";
import { makeSite, tokenText } from "./operator.ts";

setDefaultTimeout(120_000); // every start of a process from source compiles it anew

const root = join(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "holdfast-main-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Out = { readonly exit: number; readonly stdout: string; readonly stderr: string };

/** `holdfastd` from source, in folders of its own. */
function run(words: readonly string[], env: Record<string, string> = {}): Out {
  const folders = ["state", "run", "config"].flatMap((name) => [`--${name}`, join(folder, name)]);
  const argv = [
    process.execPath,
    join(root, "agent/main.ts"),
    ...words,
    ...folders,
    "--lib",
    join(root, "agent/scripts"),
  ];
  const out = Bun.spawnSync(argv, { cwd: folder, env: { PATH: process.env.PATH ?? "", ...env }, timeout: 20_000 });
  return { exit: out.exitCode, stdout: out.stdout.toString(), stderr: out.stderr.toString() };
}

describe("the configuration", () => {
  const read = (text: string): readonly string[] => {
    const result = readConfig("h.yaml", text);
    return result.ok ? [] : result.problems.map((one) => `${one.code} ${one.path}: ${one.detail}`);
  };

  test("may be empty, and every field has a default", () => {
    for (const text of ["", "# nothing\n", "{}"]) {
      expect(readConfig("h.yaml", text)).toEqual({
        ok: true,
        value: { listen: [], backend: "auto", probation_s: 600, uplink: "" },
      });
    }
    const full =
      "listen:\n  - address: 192.0.2.1\n  - { address: '2001:db8::1', port: 9000 }\nbackend: kernel\nprobation_s: 0\nuplink: wan0\n";
    expect(readConfig("h.yaml", full)).toEqual({
      ok: true,
      value: {
        listen: [
          { address: "192.0.2.1", port: 8022 },
          { address: "2001:db8::1", port: 9000 },
        ],
        backend: "kernel",
        probation_s: 0,
        uplink: "wan0",
      },
    });
  });

  test("names file, line, column and key of everything that is wrong", () => {
    expect(read("backend: auto\nlisten_on: x\n")).toEqual([
      "agent.config h.yaml:2:1 listen_on: is not a key of this file",
    ]);
    expect(read("backend: fast\nlisten:\n  - address: 10.0.0.300\n    port: 0\n")).toEqual([
      "agent.config h.yaml:3:14 listen[0].address: must be an IPv4 or IPv6 address in canonical form (no leading zeros, lower case)",
      "agent.config h.yaml:4:11 listen[0].port: must be a port from 1 to 65535",
      "agent.config h.yaml:1:10 backend: must be auto, kernel or userspace",
    ]);
    expect(read("backend: auto\nbackend: kernel\n")).toEqual(["agent.config h.yaml:2:1: Map keys must be unique"]);
    expect(read("- a\n")[0]).toStartWith("agent.config h.yaml:1:");
  });

  test("says where to listen before the first generation", () => {
    const at = (text: string): readonly string[] => {
      const config = readConfig("h.yaml", text);
      return config.ok ? firstEndpoints(config.value).map((one) => `${one.address} ${one.port}`) : [];
    };
    expect(at("")).toEqual(["0.0.0.0 8022", ":: 8022"]);
    expect(at("listen: [{ address: 192.0.2.1, port: 9 }]\nuplink: lo\n")).toEqual(["192.0.2.1 9"]);
    const lo = (networkInterfaces().lo ?? []).map((one) => `${one.address} 8022`);
    expect(at("uplink: lo\n")).toEqual(lo);
    expect(at("uplink: no-such-one\n")).toEqual([]);
  });
});

describe("holdfastd", () => {
  test("tells its version and its usage", () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect(run(["version"])).toEqual({ exit: 0, stdout: `holdfastd ${version}\n`, stderr: "" });
    expect(run(["help"]).stdout).toContain("holdfastd enrol FILE");
    for (const wrong of [["dance"], ["run", "--sate", "x"], ["enrol"], ["status"]]) {
      expect(run(wrong).exit).toBe(2);
    }
    expect(existsSync(join(folder, "state"))).toBe(false);
  });

  test("does not start with a wrong configuration, and says where", () => {
    writeFileSync(join(folder, "config"), "backend: auto\nlissten: []\n");
    const out = run(["run"]);
    expect([out.exit, out.stdout]).toEqual([3, ""]);
    expect(out.stderr).toBe(
      `holdfastd: agent.config ${join(folder, "config")}:2:1 lissten: is not a key of this file\n`,
    );
    rmSync(join(folder, "config"));
    expect(run(["run", "--backend", "fast"]).stderr).toContain("agent.config --backend:1:10 backend: must be");
  });

  test("does not start in an environment that could put code into it", () => {
    const out = run(["version"], { BUN_INSPECT_CONNECT_TO: "127.0.0.1:1" });
    expect([out.exit, out.stdout]).toEqual([3, ""]);
    expect(out.stderr).toContain("refuses to start with BUN_INSPECT_CONNECT_TO set");
  });

  test("takes a token: fingerprint on standard output alone, keys private, once", () => {
    const site = makeSite();
    const file = join(folder, "r1.token");
    writeFileSync(file, tokenText(site.token));
    const out = run(["enrol", file, "--backend", "userspace"]);
    expect(out.exit).toBe(0);
    expect(out.stdout).toMatch(/^([a-z2-7]{4}-){7}[a-z2-7]{4}\n$/);
    expect(run(["enrol", file, "--backend", "userspace"]).stdout).toBe(out.stdout);
    expect(statSync(join(folder, "state")).mode & 0o777).toBe(0o700);
    writeFileSync(file, tokenText(makeSite().token));
    expect(run(["enrol", file, "--backend", "userspace"])).toMatchObject({ exit: 3, stdout: "" });
    writeFileSync(file, "nonsense");
    expect(run(["enrol", file]).stderr).toContain("agent.token");
  });

  test("says so when no agent answers, and when a bug ends it", () => {
    expect(run(["status", "--local"])).toMatchObject({ exit: 5, stdout: "" });
    const out = run(["enrol", join(folder, "no-such-file")]);
    expect(out.exit).toBe(1);
    expect(JSON.parse(out.stderr)).toMatchObject({ event: "died" });
    expect(out.stderr.trimEnd().split("\n").length).toBe(1); // and no source text
  });
});

describe("install", () => {
  test("writes the scripts and units that it carries, for each init system", () => {
    const scripts = ["holdfast-boot", "holdfast-fence", "holdfast-guard", "holdfast-restore", "holdfast-step"];
    const texts = ["holdfast-write", "artifacts.sh", "fence.sh", "kernel.sh", "plan.sh", "record.sh", "rescue.nft"];
    const units = {
      systemd: ["etc/systemd/system/holdfast-boot.service", "etc/systemd/system/holdfastd.service"],
      openrc: ["etc/init.d/holdfast-boot", "etc/init.d/holdfastd"],
      procd: ["etc/init.d/holdfast-boot", "etc/init.d/holdfastd"],
    };
    for (const [init, paths] of Object.entries(units)) {
      const to = join(folder, `root-${init}`);
      const argv = [process.execPath, join(root, "agent/main.ts"), "install", "--root", to, "--init", init];
      expect(Bun.spawnSync(argv).exitCode).toBe(0);
      for (const name of [...scripts, ...texts]) {
        const written = join(to, "usr/lib/holdfast", name);
        expect(readFileSync(written, "utf8")).toBe(readFileSync(join(root, "agent/scripts", name), "utf8"));
        expect((statSync(written).mode & 0o111) !== 0).toBe(name.startsWith("holdfast-"));
      }
      for (const path of paths) {
        const source = join(root, "agent/scripts/units", init, path.slice(path.lastIndexOf("/") + 1));
        expect(readFileSync(join(to, path), "utf8")).toBe(readFileSync(source, "utf8"));
      }
      // From source there is no program to put in place.
      expect(existsSync(join(to, "usr/bin"))).toBe(false);
    }
  });

  test("carries every script of the folder", () => {
    const text = readFileSync(join(root, "agent/install.ts"), "utf8");
    const files = [...new Bun.Glob("**/*").scanSync({ cwd: join(root, "agent/scripts") })];
    expect(files.filter((file) => !text.includes(`"./scripts/${file}"`))).toEqual([]);
  });

  test("finds out which init system there is, and asks when there is none", () => {
    expect(detectInit(join(folder, "nothing"))).toBe(undefined as never);
    expect(run(["install", "--root", join(folder, "nothing")]).exit).toBe(2);
    expect(run(["install", "--root", join(folder, "nothing"), "--init", "toString"]).exit).toBe(2);
  });
});
