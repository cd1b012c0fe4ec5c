/** The restore and its fence, in POSIX sh, under both shells: from any damage back to the last good generation. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readPairs } from "../../agent/host/files.ts";
import { DEVICES, openRig, type Rig, RP_FILTER, restore, restoreErrors, result, untilResult } from "./restore-rig.ts";
import {
  listing,
  liveEpoch,
  picture,
  ruleset,
  type ShellName,
  someKey,
  storeArtifacts,
  storeRecord,
} from "./router.ts";

setDefaultTimeout(240_000);

const SHELLS: readonly ShellName[] = ["dash", "busybox ash"];
const rigs = new Map<ShellName, Rig>();

beforeAll(async () => {
  await Promise.all(SHELLS.map(async (shell) => void rigs.set(shell, await openRig(shell))));
}, 1_800_000);
afterAll(() => {
  for (const rig of rigs.values()) rig.close();
});

const problem = (shell: ShellName, body: (rig: Rig) => Promise<void>): Promise<readonly string[]> =>
  body(rigs.get(shell)!).then(
    () => [],
    (cause: Error) => [`under ${shell}: ${cause.stack}`],
  );

/** One test under every shell at once: each has a world of its own. */
function both(name: string, body: (rig: Rig) => Promise<void>): void {
  test(`${name}, under ${SHELLS.join(" and ")}`, async () => {
    expect((await Promise.all(SHELLS.map((shell) => problem(shell, body)))).flat()).toEqual([]);
  });
}

/** The same, one shell after the other, for a test that looks at the clock. */
function each(name: string, body: (rig: Rig) => Promise<void>): void {
  for (const shell of SHELLS)
    test(`${name}, under ${shell}`, async () => expect(await problem(shell, body)).toEqual([]));
}

async function settled({ router, wanted }: Rig): Promise<void> {
  const out = await restore(router);
  if (out.exit !== 0) console.log(out.stderr, restoreErrors(router));
  expect({ exit: out.exit, picture: await picture(router, DEVICES) }).toEqual({ exit: 0, picture: wanted });
  expect(result(router).get("outcome")).toBe("restored");
}

both("the first restore made everything that the artifacts list", async ({ wanted }) => {
  for (const part of ["link hf-rescue up 1420", "link wg0 up 1400", "51820 0x10", "10.0.0.2/32,fd00::2/128 25"])
    expect(wanted).toContain(part);
  for (const part of ["wg0 inet6 fd00::1/64", "eth0 inet 192.0.2.7/24", "default via 192.0.2.254 dev eth0 table 100"])
    expect(wanted).toContain(part);
  for (const part of ["fd09::/64 dev wg0", "from all fwmark 0x10/0xff lookup 100", "chain b_input"])
    expect(wanted).toContain(part);
});

both("a second restore changes nothing, not even the epoch", async (rig) => {
  const { world, space, router } = rig;
  const before = await liveEpoch(router);
  const monitor = world.spawn(space, ["nft", "monitor"]);
  const watcher = world.spawn(space, ["ip", "monitor", "link", "address", "route", "rule"]);
  // Both have subscribed once their sockets exist.
  for (const child of [monitor, watcher])
    while (!readFileSync(`/proc/${child.pid}/net/netlink`, "utf8").includes(` ${child.pid} `)) await Bun.sleep(10);
  await settled(rig);
  expect(await liveEpoch(router)).toBe(before);
  monitor.kill("SIGTERM");
  watcher.kill("SIGTERM");
  expect([(await monitor.out.next()).value, (await watcher.out.next()).value]).toEqual([undefined, undefined]);
});

const damages: Record<string, readonly string[]> = {
  "the table is gone": ["nft", "delete", "table", "inet", "holdfast"],
  "somebody flushed every table": ["nft", "flush", "ruleset"],
  "a rule was added": ["nft", "add", "rule", "inet", "holdfast", "b_input", "accept"],
  "a chain and a set were added": ["nft", "add chain inet holdfast z_x; add set inet holdfast s_x { type mark; }"],
  "a link is gone": ["ip", "link", "del", "wg0"],
  "a link is down": ["ip", "link", "set", "wg0", "down"],
  "the mtu differs": ["ip", "link", "set", "wg0", "mtu", "1300"],
  "a peer was added": ["wg", "set", "wg0", "peer", someKey(99), "allowed-ips", "10.0.0.99/32"],
  "a stranger took a client's address": ["wg", "set", "wg0", "peer", someKey(98), "allowed-ips", "10.0.0.2/32"],
  "a peer is gone": ["wg", "set", "wg0", "peer", someKey(2), "remove"],
  "a preshared key was dropped": ["wg", "set", "wg0", "peer", someKey(2), "preshared-key", "/dev/null"],
  "keepalive was changed": ["wg", "set", "wg0", "peer", someKey(2), "persistent-keepalive", "9"],
  "the staged peer got an address": ["wg", "set", "wg0", "peer", someKey(3), "allowed-ips", "10.0.0.3/32"],
  "the port was changed": ["wg", "set", "wg0", "listen-port", "1234"],
  "the mark was changed": ["wg", "set", "wg0", "fwmark", "0x99"],
  "the private key was removed": ["wg", "set", "wg0", "private-key", "/dev/null"],
  "an address is gone": ["ip", "addr", "del", "10.0.0.1/24", "dev", "wg0"],
  "an address was added to our device": ["ip", "addr", "add", "10.77.0.1/24", "dev", "wg0"],
  "an uplink address is gone": ["ip", "addr", "del", "192.0.2.7/24", "dev", "eth0"],
  "a default route is gone": ["ip", "route", "del", "default", "table", "100"],
  "a route has another gateway": "ip route replace default via 192.0.2.253 dev eth0 table 100 proto 172".split(" "),
  "a route of ours is too many": "ip route add 10.55.0.0/16 dev wg0 proto 172".split(" "),
  "a rule is gone": ["ip", "rule", "del", "priority", "1000"],
  "a rule of ours is too many": "ip rule add priority 5 from 10.1.1.1 lookup 100 protocol 172".split(" "),
  "a sysctl is off": ["sysctl", "-qw", `${RP_FILTER}=0`],
};
for (const [name, argv] of Object.entries(damages))
  both(name, async (rig) => {
    const { world, space, router, wanted } = rig;
    await world.must(space, argv);
    expect(await picture(router, DEVICES)).not.toBe(wanted);
    await settled(rig);
  });

for (const [name, signal] of [
  ["dead", "SIGKILL"],
  ["hanging", "SIGSTOP"],
] as const)
  both(`a ${name} WireGuard process is replaced`, async (rig) => {
    const { world, space } = rig;
    const pids = (await world.must(space, ["ip", "netns", "pids", space.netns])).split("\n").filter((pid) => {
      const path = `/proc/${pid}/cmdline`; // of ip itself there is nothing left
      return pid !== "" && existsSync(path) && readFileSync(path, "utf8") === "wireguard-go\0wg0\0";
    });
    expect(pids.length).toBe(1);
    process.kill(Number(pids[0]), signal);
    await settled(rig);
    // Nobody may reap it here; a dead process has no command line.
    const cmdline = `/proc/${pids[0]}/cmdline`;
    expect(existsSync(cmdline) ? readFileSync(cmdline, "utf8") : "").toBe("");
  });

both("a rescue lane that had another key greets its operators at once", async (rig) => {
  const { world, space } = rig;
  const text = `table ip watch { chain o { type filter hook output priority 0; udp sport 51819 counter name hello; }; counter hello { }; };\n`;
  await world.must(space, ["nft", "-f", "-"], { stdin: text });
  const hellos = async (): Promise<number> => {
    const listed = await world.must(space, ["nft", "list", "counter", "ip", "watch", "hello"]);
    return Number(/packets (\d+)/.exec(listed)?.[1]);
  };
  await world.must(space, ["wg", "set", "hf-rescue", "peer", someKey(1), "endpoint", "192.0.2.77:7777"]);
  await settled(rig);
  expect(await hellos()).toBe(0);
  const other = (await world.must(space, ["wg", "genkey"])).trim();
  await world.must(space, ["wg", "set", "hf-rescue", "private-key", "/dev/stdin"], { stdin: `${other}\n` });
  await settled(rig);
  expect(await hellos()).toBeGreaterThan(0);
  await world.must(space, ["nft", "delete", "table", "ip", "watch"]);
});

both("foreign objects survive", async (rig) => {
  const { world, space, router } = rig;
  await world.must(space, ["nft", "add", "table", "ip", "foreign"]);
  await world.must(space, "ip route add 10.66.0.0/16 dev eth0 proto static".split(" "));
  await world.must(space, "ip addr add 192.0.2.99/24 dev eth0".split(" "));
  await world.must(space, ["ip", "link", "add", "name", "veth8", "type", "veth", "peer", "name", "veth9"]);
  await world.must(space, ["nft", "delete", "table", "inet", "holdfast"]);
  expect((await restore(router)).exit).toBe(0);
  expect(await world.must(space, ["nft", "list", "tables"])).toContain("table ip foreign");
  expect(await world.must(space, ["ip", "route", "show", "10.66.0.0/16"])).toContain("eth0");
  expect(await world.must(space, ["ip", "-o", "addr", "show", "dev", "eth0"])).toContain("192.0.2.99/24");
  expect(await world.must(space, ["ip", "link", "show", "veth8"])).toContain("veth8");
  await world.must(space, ["nft", "delete", "table", "ip", "foreign"]);
  await world.must(space, "ip route del 10.66.0.0/16 dev eth0 proto static".split(" "));
  await world.must(space, "ip addr del 192.0.2.99/24 dev eth0".split(" "));
  await world.must(space, ["ip", "link", "del", "veth8"]);
  await settled(rig);
});

both("a trial's policy, link and address are undone with a fresh epoch", async (rig) => {
  const { world, space, router, good, trial } = rig;
  const before = await liveEpoch(router);
  storeRecord(router, "b", { counter: 2, lkg: good, lkgEpoch: before, trial, trialEpoch: before + 1, token: "t1" });
  writeFileSync(join(router.state, "decision/t1.rolled-back"), "");
  const step = (...words: string[]): string[] => [join(router.lib, "holdfast-step"), ...words];
  const env = { env: { PATH: router.path } };
  const file = join(router.state, "gen", trial.digest, "ruleset.nft");
  await world.must(space, step("link-add", router.run, "userspace", "wg1", "1420"), env);
  await world.must(space, step("address-add", router.run, "wg1", "10.1.0.1/24"), env);
  await world.must(space, step("address-add", router.run, "eth0", "192.0.2.55/24"), env);
  const word = `0x${(before + 1).toString(16).padStart(4, "0")}0000`;
  await world.must(space, step("nft-full", router.run, file, word), env);
  expect(await listing(router)).toContain("z_new");
  await settled(rig);
  expect(await liveEpoch(router)).toBe(before + 2);
  expect(result(router).get("epoch")).toBe(String(before + 2));
  rmSync(join(router.state, "record.b"));
});

both("a chain whose hook priority changed is made anew in the same transaction", async (rig) => {
  const { world, space, router } = rig;
  const file = join(router.folder, "priority.nft");
  writeFileSync(file, ruleset({ ports: [1], priority: 7 }));
  await world.must(space, [join(router.lib, "holdfast-step"), "nft-full", router.run, file, "0x00990000"], {
    env: { PATH: router.path },
  });
  expect(await listing(router)).toContain("priority filter + 7");
  await settled(rig);
});

both("a confirmed token makes the trial the last good generation, whatever the record says", async (rig) => {
  const { router, good, trial } = rig;
  storeRecord(router, "b", { counter: 2, lkg: trial, lkgEpoch: 40, trial: good, trialEpoch: 41, token: "t2" });
  writeFileSync(join(router.state, "decision/t2.confirmed"), "");
  await settled(rig);
  expect(result(router).get("lkg")).toBe(good.digest);
  rmSync(join(router.state, "record.b"));
});

both("a torn record loses against the older valid one", async (rig) => {
  const { router } = rig;
  for (const text of ["format=1\ncounter=9\n", "", "\0".repeat(900), "sha256=\n"]) {
    writeFileSync(join(router.state, "record.b"), text);
    await settled(rig);
  }
  const valid = readFileSync(join(router.state, "record.a"), "utf8");
  for (const text of [`${valid}\n`, valid.slice(0, -1), valid.replace("counter=1", "counter=9")]) {
    writeFileSync(join(router.state, "record.b"), text);
    await settled(rig);
  }
  rmSync(join(router.state, "record.b"));
});

both("each damaged artifact is taken from the other copy", async (rig) => {
  const { world, space, router, good } = rig;
  for (const name of ["manifest", "ruleset.nft", "links", "peers", "desired.json"]) {
    const path = join(router.state, "gen", good.digest, name);
    const text = readFileSync(path);
    writeFileSync(path, "");
    await world.must(space, ["nft", "flush", "ruleset"]);
    await settled(rig);
    writeFileSync(path, text);
  }
});

both("a missing key file never removes a key", async (rig) => {
  const { world, space, router } = rig;
  renameSync(join(router.state, "keys/wg"), join(router.state, "keys/away"));
  await settled(rig); // the second copy
  renameSync(join(router.state, "keys/wg2"), join(router.state, "keys/away2"));
  await world.must(space, ["wg", "set", "wg0", "fwmark", "0x77"]);
  await settled(rig); // the key in the kernel is right already
  await world.must(space, ["ip", "link", "del", "wg0"]);
  expect((await restore(router)).exit).toBe(6);
  expect(result(router).get("detail")).toContain("device:wg0");
  expect(await listing(router)).toContain("chain b_input"); // the rest was done
  mkdirSync(join(router.state, "keys/wg"), { mode: 0o700 });
  renameSync(join(router.state, "keys/away2"), join(router.state, "keys/wg2"));
  await settled(rig);
  rmSync(join(router.state, "keys/wg"), { recursive: true });
  renameSync(join(router.state, "keys/away"), join(router.state, "keys/wg"));
});

both("an interface that is not there stops nothing else", async (rig) => {
  const { world, space, router } = rig;
  await world.must(space, ["ip", "link", "set", "eth0", "down"]);
  await world.must(space, ["nft", "flush", "ruleset"]);
  const out = await restore(router);
  expect(out.exit).toBe(0);
  expect(result(router).get("detail")).toContain("waiting for interfaces");
  await world.must(space, ["ip", "link", "set", "eth0", "up"]);
  await world.address(space, "eth0", "2001:db8::1/64");
  await settled(rig);
});

both("the guard puts routes back once their interface comes up", async (rig) => {
  const { world, space, router } = rig;
  await world.must(space, ["ip", "link", "set", "eth0", "down"]);
  expect((await restore(router, "boot")).exit).toBe(0);
  expect(result(router).get("detail")).toContain("waiting for interfaces");
  const folders = ["--state", router.state, "--run", router.run, "--lib", router.lib, "--backend", "userspace"];
  const words = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh", join(router.lib, "holdfast-guard"), ...folders];
  const guard = world.spawn(space, words, { env: { PATH: router.path } });
  try {
    await untilResult(router, (found) => found.get("by") === "guard");
    expect(result(router).get("detail")).toContain("waiting for interfaces");
    // Up first and its address a moment later, as a network manager does it.
    await world.must(space, ["ip", "link", "set", "eth0", "up"]);
    await world.address(space, "eth0", "2001:db8::1/64");
    await untilResult(router, (found) => found.get("detail")?.includes("waiting") === false);
    expect(await picture(router, DEVICES)).toBe(rig.wanted);
    expect(Number(readFileSync(join(router.state, "clock"), "utf8"))).toBeGreaterThan(Date.now() / 1000 - 600);
  } finally {
    guard.kill();
    await guard.exited;
  }
  await settled(rig);
});

both("without an intact ruleset the rescue one is loaded and the rescue lane stays", async (rig) => {
  const { world, space, router, good } = rig;
  for (const copy of ["gen", "gen2"])
    renameSync(join(router.state, copy, good.digest, "ruleset.nft"), join(router.folder, copy));
  await world.must(space, ["ip", "link", "del", "hf-rescue"]);
  expect((await restore(router)).exit).toBe(4);
  expect(result(router).get("outcome")).toBe("rescue");
  expect(await listing(router)).toContain("tcp dport 8022");
  expect(await world.must(space, ["wg", "show", "hf-rescue", "dump"])).toContain("fd00:1::2/128");
  // An earlier rescue must not be taken for the good one, nor its epoch for the next.
  for (const copy of ["gen", "gen2"])
    renameSync(join(router.folder, copy), join(router.state, copy, good.digest, "ruleset.nft"));
  await settled(rig);
  expect(await liveEpoch(router)).toBeLessThan(0xffff);
});

both("with both records unreadable the rescue ruleset is loaded; with none, nothing is touched", async (rig) => {
  const { router } = rig;
  const record = readFileSync(join(router.state, "record.a"));
  writeFileSync(join(router.state, "record.a"), record.subarray(0, 300));
  expect((await restore(router)).exit).toBe(4);
  rmSync(join(router.state, "record.a"));
  const before = await picture(router, DEVICES);
  expect((await restore(router)).exit).toBe(6);
  expect(await picture(router, DEVICES)).toBe(before);
  writeFileSync(join(router.state, "record.a"), record);
  await settled(rig);
});

both("boot decides an open trial against itself and says what it chose", async (rig) => {
  const { space, world, router, good, trial } = rig;
  storeRecord(router, "b", { counter: 2, lkg: good, lkgEpoch: 5, trial, trialEpoch: 6, token: "t3" });
  writeFileSync(join(router.state, "decision/t3.undecided"), "");
  writeFileSync(join(router.run, "guard.armed"), "token=t3\ndeadline_ms=1\n");
  await world.must(space, ["nft", "flush", "ruleset"]);
  const argv = [
    join(router.lib, "holdfast-boot"),
    "--state",
    router.state,
    "--run",
    router.run,
    "--backend",
    "userspace",
  ];
  await world.must(space, argv, { env: { PATH: router.path } });
  expect(existsSync(join(router.state, "decision/t3.rolled-back"))).toBe(true);
  expect(existsSync(join(router.run, "guard.armed"))).toBe(false);
  const boot = readPairs(readFileSync(join(router.run, "boot"), "utf8"));
  expect([boot.get("lkg"), boot.get("epoch"), boot.get("outcome")]).toEqual([good.digest, "5", "restored"]);
  expect(boot.get("boot_id")).toBe(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  expect(await liveEpoch(router)).toBe(5);
  rmSync(join(router.state, "record.b"));
  await settled(rig);
});

both("a restore that is killed anywhere is finished by the next one", async (rig) => {
  const { world, space, router } = rig;
  for (let cut = 0; cut < 8; cut += 1) {
    await world.must(space, ["nft", "flush", "ruleset"]);
    await world.must(space, ["ip", "link", "del", "wg0"]);
    await world.must(space, ["ip", "rule", "del", "priority", "1000"]);
    const argv = ["--state", router.state, "--run", router.run, "--by", "agent", "--cause", "test"];
    const child = world.spawn(
      space,
      ["/usr/bin/setsid", "-w", join(router.lib, "holdfast-restore"), ...argv, "--backend", "userspace"],
      { env: { PATH: router.path } },
    );
    await Bun.sleep(15 + cut * 45); // from the fence to the second reading back
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      child.kill();
    }
    await settled(rig);
  }
});

each("a thousand peers are put back in seconds", async (rig) => {
  const { space, world, router, good } = rig;
  const peers = Array.from({ length: 1000 }, (_, n) => `wg0 ${someKey(1000 + n)} - 0 10.0.${n >> 8}.${n & 255}/32`);
  const wg0 = readFileSync(join(router.state, "gen", good.digest, "links"), "utf8")
    .trimEnd()
    .split("\n");
  const big = storeArtifacts(router, { ruleset: ruleset({ ports: [51820] }), links: wg0, peers });
  storeRecord(router, "b", { counter: 3, lkg: big, lkgEpoch: 9 });
  const started = performance.now();
  expect((await restore(router)).exit).toBe(0);
  const made = performance.now() - started;
  expect((await world.must(space, ["wg", "show", "wg0", "peers"])).trim().split("\n").length).toBe(1000);
  expect(made).toBeLessThan(15_000);
  rmSync(join(router.state, "record.b"));
  await settled(rig);
});

both("back to nothing: no table, link, route, rule or setting of ours is left", async (rig) => {
  const { world, space, router, good } = rig;
  storeRecord(router, "b", { counter: 9, trial: good, trialEpoch: 3, token: "t9" });
  expect((await restore(router)).exit).toBe(0);
  const left = await picture(router, []);
  for (const part of ["wg0", "hf-rescue", "lookup 100", "table 100", "192.0.2.7", "chain"])
    expect(left).not.toContain(part);
  expect(left).toContain("192.0.2.1/24");
  expect(await world.must(space, ["sysctl", "-n", RP_FILTER])).toBe("0\n");
  expect(readFileSync(join(router.state, "sysctl.saved"), "utf8")).toBe("");
  rmSync(join(router.state, "record.b"));
  await settled(rig);
});
