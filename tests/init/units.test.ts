/**
 * The units of the three init systems hold one contract: the same three commands, the last good generation before the
 * network, the guard apart from the agent and before it. systemd's own checker reads its units (a machine boots them in
 * tests/vm); those of OpenRC (which runs them for real in openrc.test.ts) and procd (which comes with OpenWrt only) are
 * run with the words that their init would give, under both shells.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { install } from "../../agent/install.ts";

const NAMES = ["holdfast-boot", "holdfast-guard", "holdfastd"] as const;
const BOOT = "/usr/lib/holdfast/holdfast-boot --state /var/lib/holdfast --run /run/holdfast";
const GUARD =
  "/usr/lib/holdfast/holdfast-guard --state /var/lib/holdfast --run /run/holdfast --lib /usr/lib/holdfast --reboot /sbin/reboot --watchdog /dev/watchdog";
const SHELLS = [["dash"], ["busybox", "ash"]] as const;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-units-"));
  for (const init of ["systemd", "openrc", "procd"])
    expect(install({ root: join(folder, init), lib: "/usr/lib/holdfast", init }, () => {})).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(argv: readonly string[]): string {
  const done = Bun.spawnSync([...argv], { stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}: exit ${done.exitCode}: ${done.stderr}`);
  return done.stdout.toString();
}

/** Runs a unit of sh with the words of its init as functions that print themselves; `then` is called afterwards. */
const speak = (shell: readonly string[], unit: string, words: string, then: string): readonly string[] =>
  run([...shell, "-c", `ulimit() { echo "ulimit $*"; }\n${words}\n. ${unit}\n${then}`])
    .trim()
    .split("\n")
    .map((line) => line.replaceAll(/\s+/g, " "));

test("the guard knows every flag that it is given", () => {
  const guard = readFileSync(join(folder, "systemd/usr/lib/holdfast/holdfast-guard"), "utf8");
  const flags = GUARD.match(/--[a-z]+/g) ?? [];
  expect(flags.length).toBe(5);
  for (const flag of flags) expect(guard).toContain(`      ${flag}) `);
});

describe("systemd", () => {
  const unit = (name: string): string =>
    readFileSync(join(folder, "systemd/etc/systemd/system", `${name}.service`), "utf8");

  const complaints = (...paths: readonly string[]): readonly string[] => {
    const done = Bun.spawnSync(["systemd-analyze", "verify", "--man=no", ...paths], { stderr: "pipe", stdout: "pipe" });
    const said = done.stderr.toString().split("\n");
    // Programs that are not on this machine are no fault of the units.
    return said.filter((line) => line.includes("holdfast") && !/is not executable: No such file/.test(line));
  };

  test("its checker finds nothing wrong, and would", () => {
    const path = (name: string): string => join(folder, "systemd/etc/systemd/system", `${name}.service`);
    expect(complaints(...NAMES.map(path))).toEqual([]);
    const broken = join(folder, "holdfast-broken.service");
    writeFileSync(broken, unit("holdfast-guard").replace("KillMode=", "KillMood="));
    expect(complaints(broken).join()).toContain("KillMood");
  });

  test("starts the commands in the order of the contract", () => {
    expect(unit("holdfast-boot")).toContain(`ExecStart=${BOOT}\n`);
    expect(unit("holdfast-boot")).toContain("Before=network-pre.target");
    expect(unit("holdfast-guard")).toContain(`ExecStart=${GUARD}\n`);
    expect(unit("holdfast-guard")).toContain("After=holdfast-boot.service");
    expect(unit("holdfastd")).toMatch(/^After=holdfast-boot.service holdfast-guard.service/m);
    // A guard that the agent required would be stopped with it.
    expect(unit("holdfastd")).not.toMatch(/^(?:Requires|BindsTo|PartOf)=/m);
    expect(unit("holdfast-guard")).not.toMatch(/^(?:Requires|BindsTo|PartOf)=/m);
    for (const name of ["holdfast-guard", "holdfastd"])
      expect(unit(name)).toMatch(/^Restart=always\nRestartSec=1$[\s\S]*^LimitCORE=0$/m);
  });
});

for (const shell of SHELLS) {
  const name = shell.join(" ");
  describe(`OpenRC, read by ${name}`, () => {
    const words = [
      ...["need", "after", "before", "use"].map((word) => `${word}() { echo "${word} $*"; }`),
      ...["ebegin", "eend"].map((word) => `${word}() { :; }`),
    ].join("\n");
    const ask = (unit: string, then: string): readonly string[] =>
      speak(shell, join(folder, "openrc/etc/init.d", unit), words, then);

    test("starts the commands in the order of the contract", () => {
      expect(ask("holdfast-boot", "depend")).toContain("before net");
      expect(ask("holdfast-guard", "depend")).toEqual(["after holdfast-boot"]);
      expect(ask("holdfastd", "depend")).toContain("after holdfast-boot holdfast-guard net");
      expect(ask("holdfast-guard", 'echo "$command $command_args"')).toEqual([GUARD]);
      expect(ask("holdfastd", 'echo "$command"')).toEqual(["/usr/bin/holdfastd"]);
      for (const unit of ["holdfast-guard", "holdfastd"])
        expect(ask(unit, 'echo "$supervisor $respawn_max $respawn_delay $rc_ulimit"')).toEqual([
          "supervise-daemon 0 1 -c 0",
        ]);
      expect(readFileSync(join(folder, "openrc/etc/init.d/holdfast-boot"), "utf8")).toContain(`\t${BOOT}\n`);
    });
  });

  describe(`procd, read by ${name}`, () => {
    const words = ["open_instance", "set_param", "close_instance"]
      .map((word) => `procd_${word}() { echo "${word} $*"; }`)
      .join("\n");
    const ask = (unit: string, then: string): readonly string[] =>
      speak(shell, join(folder, "procd/etc/init.d", unit), words, then);

    test("starts the commands in the order of the contract", () => {
      const [boot, guard, agent] = NAMES.map((unit) => Number(ask(unit, 'echo "$START"')[0]));
      expect(boot).toBeLessThan(20); // the network
      expect(guard).toBeGreaterThan(boot ?? 0);
      expect(agent).toBeGreaterThan(20);
      expect(ask("holdfast-guard", "start_service")).toContain(`set_param command ${GUARD}`);
      expect(ask("holdfastd", "start_service")).toContain("set_param command /usr/bin/holdfastd");
      for (const unit of ["holdfast-guard", "holdfastd"])
        for (const param of ["respawn 0 1 0", "limits core=0 0"])
          expect(ask(unit, "start_service")).toContain(`set_param ${param}`);
      expect(readFileSync(join(folder, "procd/etc/init.d/holdfast-boot"), "utf8")).toContain(`\t${BOOT}\n`);
    });
  });
}
