/**
 * What three init systems say about the same three services, side by side. OpenRC runs for real in openrc.test.ts,
 * systemd in tests/vm; procd comes with OpenWrt only, so its scripts are read by its shell with its functions recorded.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../.ci/stale.ts";

const units = join(root, "agent/scripts/units");
const read = (...path: readonly string[]): string => readFileSync(join(units, ...path), "utf8");

function shell(argv: readonly string[], script: string): string {
  const done = Bun.spawnSync([...argv, "-c", script], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(done.stderr.toString());
  return done.stdout.toString();
}

const ash = ["busybox", "ash"];

/** Everything that a procd script asks of procd when it is booted and started, one call a line. */
function procdCalls(name: string): readonly string[] {
  const record = `procd_open_instance() { echo open; }
    procd_set_param() { echo "$*"; }
    procd_close_instance() { echo close; }
    start_service() { :; }`;
  return shell(ash, `${record}\n. ${join(units, "procd", name)}\necho START=$START\nstart_service`)
    .trimEnd()
    .split("\n");
}

const commandOf = (lines: readonly string[]): string =>
  lines.find((line) => line.startsWith("command "))?.slice("command ".length) ?? "";

const systemdCommand = (name: string): string =>
  /^ExecStart=(.*)$/m.exec(read("systemd", `${name}.service`))?.[1] ?? "";

function openrcCommand(name: string): string {
  return shell(ash, `. ${join(units, "openrc", name)} >/dev/null 2>&1; echo "$command $command_args"`).trim();
}

const services = ["holdfast-boot", "holdfast-guard", "holdfastd"];

describe("three init systems", () => {
  test("start the same commands", () => {
    for (const name of services) {
      const command = systemdCommand(name);
      if (name === "holdfast-boot") {
        for (const init of ["openrc", "procd"]) expect(read(init, name)).toContain(`\t${command}\n`);
        continue;
      }
      expect(commandOf(procdCalls(name))).toBe(command);
      expect(openrcCommand(name)).toBe(command);
    }
  });

  test("start the boot script before guard, guard before agent, and all before procd's firewall and network", () => {
    const start = (name: string): number => Number(procdCalls(name)[0]?.replace("START=", ""));
    expect(start("holdfast-boot")).toBeLessThan(19); // OpenWrt: firewall 19, network 20
    expect(start("holdfast-boot")).toBeLessThan(start("holdfast-guard"));
    expect(start("holdfast-guard")).toBeLessThan(start("holdfastd"));
  });

  test("restart guard and agent for ever, a second apart, without core dumps", () => {
    for (const name of ["holdfast-guard", "holdfastd"]) {
      expect(procdCalls(name)).toContain("respawn 0 1 0");
      expect(procdCalls(name)).toContain("limits core=0 0");
      expect(read("openrc", name)).toMatch(/^respawn_delay=1\nrespawn_max=0\nrc_ulimit="-c 0"$/m);
      expect(read("systemd", `${name}.service`)).toMatch(/^Restart=always\nRestartSec=1$/m);
      expect(read("systemd", `${name}.service`)).toMatch(/^LimitCORE=0$/m);
    }
  });

  test("give the guard only flags that it knows", () => {
    const guard = readFileSync(join(root, "agent/scripts/holdfast-guard"), "utf8");
    const flags = systemdCommand("holdfast-guard").match(/--[a-z]+/g) ?? [];
    expect(flags).toEqual(["--state", "--run", "--lib", "--reboot", "--watchdog"]);
    for (const flag of flags) expect(guard).toContain(`      ${flag}) `);
  });

  test("every script is read by both shells", () => {
    const scripts = [...new Bun.Glob("{openrc,procd}/*").scanSync({ cwd: units })];
    expect(scripts.length).toBe(6);
    for (const script of scripts) {
      for (const argv of [ash, ["dash"]]) {
        expect(Bun.spawnSync([...argv, "-n", join(units, script)]).exitCode).toBe(0);
      }
    }
  });
});
