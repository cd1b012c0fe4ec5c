/** One writer at a time: the lock, its fence, and the guard that fires when the agent does not. Both shells. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootMs } from "../../agent/host/clock.ts";
import { readPairs } from "../../agent/host/files.ts";
import {
  listing,
  makeKey,
  makeRouter,
  type Router,
  ruleset,
  type ShellName,
  type Stored,
  storeArtifacts,
  storeRecord,
} from "./router.ts";
import { type Child, type Output, type Space, World } from "./world.ts";

setDefaultTimeout(60_000);

/** Resolves when the condition holds; the test's own time limit ends a wait that never does. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(20);
}

const HEARTBEAT = `while :; do awk '{ printf "%d\\n", $1 * 1000 }' /proc/uptime >"$1.new" && mv "$1.new" "$1"; echo beat; sleep 0.3; done`;

for (const shell of ["dash", "busybox ash"] as ShellName[]) {
  describe(`one writer under ${shell}`, () => {
    let world: World;
    let space: Space;
    let router: Router;
    let good: Stored;
    let trial: Stored;
    let guard: Child;
    let token = 0;

    beforeAll(async () => {
      world = await World.create({ name: shell === "dash" ? "fencedash" : "fencebusy" });
      space = await world.space("r");
      router = makeRouter(world, space, shell);
      const key = await makeKey(router);
      const links = [`hf-rescue rescue 51819 1420 0x0 ${key}`];
      good = storeArtifacts(router, { ruleset: ruleset({ ports: [51819] }), links });
      trial = storeArtifacts(router, { ruleset: ruleset({ ports: [1], extra: "trial" }), links });
      storeRecord(router, "a", { counter: 1, lkg: good, lkgEpoch: 1 });
      const argv = ["--state", router.state, "--run", router.run, "--lib", router.lib, "--backend", "userspace"];
      writeFileSync(watchdog(), "");
      const words = [...argv, "--watchdog", watchdog()];
      guard = world.spawn(space, [join(router.lib, "holdfast-guard"), ...words], { env: { PATH: router.path } });
      await until(() => existsSync(join(router.run, "guard.alive")));
    }, 1_800_000);
    afterAll(() => {
      world.destroy();
      router.remove();
    });

    /** In place of the device: what the guard writes to it, one byte after the other. */
    const watchdog = (): string => join(router.run, "watchdog");
    const env = (): { env: { PATH: string } } => ({ env: { PATH: router.path } });
    const plainWrite = (owner: string, decision: string, ...argv: string[]): string[] => {
      return [join(router.lib, "holdfast-write"), router.run, router.state, owner, decision, ...argv];
    };
    /** In its own session, by the system's setsid: only that one can wait. */
    const writeArgv = (owner: string, decision: string, ...argv: string[]): string[] => {
      return ["/usr/bin/setsid", "-w", ...plainWrite(owner, decision, ...argv)];
    };
    const write = (owner: string, decision: string, ...argv: string[]): Promise<Output> =>
      world.exec(space, writeArgv(owner, decision, ...argv), env());
    const fence = (owner: string): Promise<Output> =>
      world.exec(space, [join(router.lib, "holdfast-fence"), router.run, owner], env());
    const restore = (...more: string[]): Promise<Output> => {
      const argv = ["--state", router.state, "--run", router.run, "--by", "agent", "--cause", "test", ...more];
      return world.exec(space, [join(router.lib, "holdfast-restore"), ...argv, "--backend", "userspace"], env());
    };
    const decision = (name: string): string => join(router.state, "decision", name);
    /** What a trial looks like on disk and in the kernel, without an agent. */
    const startTrial = async (): Promise<string> => {
      token += 1;
      const name = `trial${token}`;
      writeFileSync(decision(`${name}.undecided`), "");
      storeRecord(router, "b", { counter: 2, lkg: good, lkgEpoch: 1, trial, trialEpoch: 2, token: name });
      const file = join(router.state, "gen", trial.digest, "ruleset.nft");
      await world.must(space, [join(router.lib, "holdfast-step"), "nft-full", router.run, file, "0x00020000"], env());
      expect(await listing(router)).toContain("z_trial");
      return name;
    };
    const arm = (name: string, deadlineMs: number): void =>
      writeFileSync(join(router.run, "guard.armed"), `token=${name}\ndeadline_ms=${deadlineMs}\n`);
    const result = (): Map<string, string> => readPairs(readFileSync(join(router.run, "restore.result"), "utf8"));

    test("refuses a stale owner, a decided token, a busy lock and a caller without its own session", async () => {
      expect((await fence("owner1")).exit).toBe(0);
      expect((await write("owner1", "-", "true")).exit).toBe(0);
      expect((await write("owner1", "-", "sh", "-c", "exit 3")).exit).toBe(3);
      expect((await write("owner0", "-", "true")).exit).toBe(76);
      expect((await write("owner1", "nobody", "true")).exit).toBe(77);
      writeFileSync(decision("some.undecided"), "");
      expect((await write("owner1", "some", "true")).exit).toBe(0);
      expect((await write("owner1", "confirmed:some", "true")).exit).toBe(77);
      writeFileSync(decision("some.confirmed"), "");
      expect((await write("owner1", "confirmed:some", "true")).exit).toBe(0);
      expect((await world.exec(space, plainWrite("owner1", "-", "true"), env())).exit).toBe(78);
      const holder = world.spawn(space, writeArgv("owner1", "-", "sleep", "30"), env());
      await until(() => readFileSync(join(router.run, "writer.pid"), "utf8").trim() !== "-");
      await until(
        async () => (await world.exec(space, ["flock", "-n", join(router.run, "writer.lock"), "true"])).exit !== 0,
      );
      expect((await write("owner1", "-", "true")).exit).toBe(75);
      expect((await fence("owner2")).exit).toBe(0);
      await holder.exited;
      expect((await write("owner1", "-", "true")).exit).toBe(76);
      expect((await write("owner2", "-", "true")).exit).toBe(0);
    });

    test("an orphaned nft still preparing when its agent dies does not commit after the restore", async () => {
      expect((await restore()).exit).toBe(0);
      await fence("agent");
      // An nft that takes its time before it commits, as a large ruleset does.
      const slow = join(router.lib, "slow-nft");
      writeFileSync(slow, `#!/bin/sh\necho $$ >${router.run}/slow.pid\nsleep 3\nexec nft "$@"\n`);
      chmodSync(slow, 0o755);
      const file = join(router.state, "gen", trial.digest, "ruleset.nft");
      // Two generations below the writer, and the writer's parent is killed: nobody is left who would stop it.
      const command = `${slow} -D HF_EPOCH=0x00050000 -f ${file} & wait`;
      const agent = world.spawn(space, writeArgv("agent", "-", "sh", "-c", command), env());
      await until(() => existsSync(join(router.run, "slow.pid")));
      const writer = Number(readFileSync(join(router.run, "writer.pid"), "utf8"));
      process.kill(writer, "SIGKILL");
      await agent.exited;
      const orphan = Number(readFileSync(join(router.run, "slow.pid"), "utf8"));
      expect(existsSync(`/proc/${orphan}`)).toBe(true);
      expect((await restore()).exit).toBe(0);
      await until(() => !existsSync(`/proc/${orphan}`));
      expect(await listing(router)).not.toContain("z_trial");
      // The control: without a fence the same orphan commits, so the wait above would have seen it.
      const loose = await world.exec(space, [slow, "-D", "HF_EPOCH=0x00050000", "-f", file]);
      expect(loose.exit).toBe(0);
      expect(await listing(router)).toContain("z_trial");
      expect((await restore()).exit).toBe(0);
      expect(await listing(router)).not.toContain("z_trial");
    });

    test("a recycled pid in writer.pid is not killed", async () => {
      const bystander = world.spawn(space, ["/usr/bin/setsid", "-w", "sleep", "60"]);
      writeFileSync(join(router.run, "writer.pid"), `${bystander.pid}\n`);
      const lock = world.spawn(space, ["sh", "-c", `exec 9>>${router.run}/writer.lock; flock 9; echo locked; sleep 2`]);
      await lock.out.next();
      expect((await fence("owner3")).exit).toBe(0);
      expect(existsSync(`/proc/${bystander.pid}`)).toBe(true);
      bystander.kill();
    });

    test("the userspace WireGuard process holds no lock and outlives a fence", async () => {
      await fence("agent");
      const made = await write(
        "agent",
        "-",
        join(router.lib, "holdfast-step"),
        "link-add",
        router.run,
        "userspace",
        "wg7",
        "1400",
      );
      expect(made.exit).toBe(0);
      expect((await write("agent", "-", "true")).exit).toBe(0);
      await fence("agent2");
      expect(await world.must(space, ["wg", "show", "wg7", "dump"])).toContain("(none)");
      const taken = await write("agent2", "-", join(router.lib, "holdfast-step"), "link-remove", router.run, "wg7");
      expect(taken.exit).toBe(0);
    });

    test("the guard fires a second after the deadline although the agent beats", async () => {
      const beat = world.spawn(space, ["sh", "-c", HEARTBEAT, "sh", join(router.run, "agent.alive")]);
      await beat.out.next();
      const name = await startTrial();
      const deadline = bootMs() + 1500;
      arm(name, deadline);
      await until(() => !existsSync(join(router.run, "guard.armed")));
      expect(result().get("cause")).toBe("confirm.window_expired");
      expect([result().get("by"), result().get("token"), result().get("outcome")]).toEqual(["guard", name, "restored"]);
      const at = Number(result().get("at_ms"));
      expect(at).toBeGreaterThanOrEqual(deadline + 1000);
      expect(at).toBeLessThan(deadline + 5000);
      expect(await listing(router)).not.toContain("z_trial");
      expect(existsSync(decision(`${name}.rolled-back`))).toBe(true);
      beat.kill();
    });

    test("the guard fires when the agent is stopped, long before the deadline", async () => {
      const beat = world.spawn(space, ["sh", "-c", HEARTBEAT, "sh", join(router.run, "agent.alive")]);
      await beat.out.next();
      const name = await startTrial();
      arm(name, bootMs() + 600_000);
      const stopped = bootMs();
      beat.kill("SIGSTOP");
      await until(() => !existsSync(join(router.run, "guard.armed")));
      expect(result().get("cause")).toBe("agent.heartbeat_lost");
      expect(bootMs() - stopped).toBeGreaterThan(7000);
      expect(bootMs() - stopped).toBeLessThan(14_000);
      expect(await listing(router)).not.toContain("z_trial");
      beat.kill();
    });

    test("a confirmed trial is left alone, dead agent or not", async () => {
      const name = await startTrial();
      rmSync(join(router.run, "agent.alive"), { force: true });
      writeFileSync(decision(`${name}.confirmed`), "");
      rmSync(decision(`${name}.undecided`));
      arm(name, bootMs() - 5000);
      const before = readFileSync(join(router.run, "restore.result"), "utf8");
      const beats = new Set<string>();
      await until(() => beats.add(readFileSync(join(router.run, "guard.alive"), "utf8")).size > 4);
      expect(readFileSync(join(router.run, "restore.result"), "utf8")).toBe(before);
      expect(await listing(router)).toContain("z_trial");
      expect(existsSync(join(router.run, "guard.armed"))).toBe(true);
      rmSync(join(router.run, "guard.armed"));
      rmSync(join(router.state, "record.b"));
      expect((await restore()).exit).toBe(0);
    });

    test("a rollback that the agent decided and did not live to do is done by the guard", async () => {
      const name = await startTrial();
      rmSync(join(router.run, "agent.alive"), { force: true });
      writeFileSync(decision(`${name}.rolled-back`), "");
      rmSync(decision(`${name}.undecided`));
      arm(name, bootMs() + 600_000);
      await until(() => !existsSync(join(router.run, "guard.armed")));
      expect(result().get("by")).toBe("guard");
      expect(await listing(router)).not.toContain("z_trial");
    });

    test("the watchdog was fed while a trial was armed, let go after each, and left to no child", async () => {
      await until(() => readFileSync(watchdog(), "utf8").endsWith("V"));
      // A byte a second through four trials (some follow at once), one of them eight seconds long, and their restores.
      expect(readFileSync(watchdog(), "utf8")).toMatch(/^(\.{2,}V)+$/);
      expect(readFileSync(watchdog(), "utf8").length).toBeGreaterThan(15);
      const open = await world.exec(space, [
        "sh",
        "-c",
        `ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c ' ${watchdog()}$'`,
      ]);
      expect(open.stdout.trim()).toBe("0");
    });

    test("the guard has been one process all along", () => {
      expect(existsSync(`/proc/${guard.pid}`)).toBe(true);
    });
  });
}
