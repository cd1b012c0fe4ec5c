/**
 * The contract of the kernel port, held on every back-end that this machine has: each kind of step is performed
 * and read back, and nothing that was not asked for is written.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PeerWrite, Step } from "../../agent/core/step.ts";
import { bootMs, clock } from "../../agent/host/clock.ts";
import { keyFileName, pskCommitment } from "../../agent/host/keys.ts";
import type { Observed } from "../../agent/ports.ts";
import type { Desired } from "../../schemas/desired.ts";
import { type RemoteHost, remoteHost } from "./remote.ts";
import { makeRouter, type Router, ruleset, someKey, storeArtifacts, storeRecord } from "./router.ts";
import { startEcho } from "./traffic.ts";
import { type Space, World } from "./world.ts";

setDefaultTimeout(60_000);

const hasKernelWireGuard =
  Bun.spawnSync(["unshare", "-n", "ip", "link", "add", "x", "type", "wireguard"]).exitCode === 0;

const peer = (publicKey: string, fields: Partial<PeerWrite> = {}): PeerWrite => ({
  publicKey,
  psk: null,
  allowedIps: null,
  keepaliveS: null,
  endpoint: null,
  ...fields,
});

// Where the kernel has no WireGuard, tests/vm runs the other half in a machine that has.
for (const backend of hasKernelWireGuard ? (["userspace", "kernel"] as const) : (["userspace"] as const)) {
  describe(`the ${backend} back-end`, () => {
    let world: World;
    let space: Space;
    let far: Space;
    let router: Router;
    let host: RemoteHost;
    let owner = "";
    let publicKey = "";
    const runLog = (): string[] => {
      const path = join(router.folder, "run.log");
      return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
    };

    beforeAll(async () => {
      world = await World.create({ name: backend });
      space = await world.space("r");
      far = await world.space("u");
      await world.link(space, "eth0", far, "eth0");
      await world.address(space, "eth0", "192.0.2.1/24", "2001:db8::1/64");
      await world.address(far, "eth0", "192.0.2.2/24", "2001:db8::2/64");
      router = makeRouter(world, space, "dash");
      host = await remoteHost(world, space, {
        state: router.state,
        run: router.run,
        lib: router.lib,
        backend: backend === "userspace" ? "userspace" : "auto",
        runLog: join(router.folder, "run.log"),
        path: router.path,
      });
      publicKey = await host.keys.makeWgKey();
      owner = await host.guard.own();
    }, 1_800_000);
    afterAll(async () => {
      await host.close();
      world.destroy();
      router.remove();
    });

    const perform = async (step: Step, epoch = 1): Promise<void> => {
      const result = await host.kernel.perform(owner, "", step, epoch);
      expect(result).toMatchObject({ ok: true });
    };
    const refusal = async (step: Step, as = owner, token = ""): Promise<string> => {
      const result = await host.kernel.perform(as, token, step, 1);
      return result.ok ? "performed" : (result.problems[0]?.code ?? "");
    };
    const observe = (): Promise<Observed> =>
      host.kernel.observe({
        links: ["wg0", "wg1"],
        addressInterfaces: ["eth0", "wg0"],
        sysctls: ["net.ipv4.conf.eth0.rp_filter", "net.ipv4.no_such_key"],
      });

    test("is the back-end that was asked for", () => {
      expect(host.backend).toBe(backend);
    });

    test("an empty machine reads as empty", async () => {
      const seen = await observe();
      expect([seen.links, seen.routes, seen.rules, seen.nft]).toEqual([[], [], [], ""]);
      expect(seen.addresses).toEqual([
        { interface: "eth0", cidr: "192.0.2.1/24" },
        { interface: "eth0", cidr: "2001:db8::1/64" },
      ]);
      expect(seen.sysctls.map(({ key }) => key)).toEqual(["net.ipv4.conf.eth0.rp_filter"]);
    });

    test("a link is added, set up, given a key, port and mark", async () => {
      await perform({ kind: "link.add", name: "wg0", mtu: 1380 });
      expect((await observe()).links).toEqual([
        // wireguard-go opens some port at once, a kernel device none.
        { name: "wg0", up: false, mtu: 1380, port: expect.any(Number), fwmark: 0, publicKey: "", peers: [] },
      ]);
      await perform({ kind: "wg.device", name: "wg0", publicKey, port: 51820, fwmark: 0x10 });
      await perform({ kind: "link.up", name: "wg0" });
      await perform({ kind: "link.mtu", name: "wg0", mtu: 1400 });
      expect((await observe()).links).toEqual([
        { name: "wg0", up: true, mtu: 1400, port: 51820, fwmark: 0x10, publicKey, peers: [] },
      ]);
      await perform({ kind: "wg.device", name: "wg0", publicKey: null, port: null, fwmark: 0 });
      expect((await observe()).links[0]).toMatchObject({ port: 51820, fwmark: 0, publicKey });
    });

    test("peers are written in one go; their secrets are seen as commitments only", async () => {
      const psk = new Uint8Array(32).fill(9);
      const commitment = pskCommitment(psk);
      await host.keys.putPsk(commitment, psk);
      await perform({
        kind: "wg.peers",
        name: "wg0",
        peers: [
          peer(someKey(1), { psk: commitment, allowedIps: ["10.0.0.2/32", "fd00::2/128"], keepaliveS: 25 }),
          peer(someKey(2), { allowedIps: ["10.0.0.10/32", "10.0.0.9/32"], endpoint: "192.0.2.2:999" }),
          peer(someKey(3), { allowedIps: [] }),
        ],
      });
      const peers = (await observe()).links[0]?.peers ?? [];
      expect(peers.map((one) => one.publicKey)).toEqual([someKey(1), someKey(2), someKey(3)].sort());
      const found = (n: number) => peers.find((one) => one.publicKey === someKey(n));
      expect(found(1)).toMatchObject({ psk: commitment, allowedIps: ["10.0.0.2/32", "fd00::2/128"], keepaliveS: 25 });
      expect(found(2)).toMatchObject({
        psk: "",
        allowedIps: ["10.0.0.9/32", "10.0.0.10/32"],
        endpoint: "192.0.2.2:999",
      });
      expect(found(3)).toMatchObject({ allowedIps: [], handshakeUnixS: 0, endpoint: "" });
      expect(readFileSync(join(router.folder, "run.log"), "utf8")).not.toContain(psk.toBase64());
    });

    test("a field that is null is left; the empty commitment removes a preshared key", async () => {
      await perform({ kind: "wg.peers", name: "wg0", peers: [peer(someKey(1), { keepaliveS: 0 })] });
      const [first] = (await observe()).links[0]?.peers.filter((one) => one.publicKey === someKey(1)) ?? [];
      expect(first).toMatchObject({ allowedIps: ["10.0.0.2/32", "fd00::2/128"], keepaliveS: 0 });
      expect(first?.psk).not.toBe("");
      await perform({ kind: "wg.peers", name: "wg0", peers: [peer(someKey(1), { psk: "" })] });
      const after = (await observe()).links[0]?.peers.find((one) => one.publicKey === someKey(1));
      expect(after).toMatchObject({ psk: "", allowedIps: ["10.0.0.2/32", "fd00::2/128"] });
    });

    test("a prefix moves between peers, and peers are removed", async () => {
      await perform({ kind: "wg.peers", name: "wg0", peers: [peer(someKey(3), { allowedIps: ["10.0.0.9/32"] })] });
      let peers = (await observe()).links[0]?.peers ?? [];
      expect(peers.find((one) => one.publicKey === someKey(2))?.allowedIps).toEqual(["10.0.0.10/32"]);
      await perform({ kind: "wg.remove", name: "wg0", publicKeys: [someKey(2), someKey(3)] });
      peers = (await observe()).links[0]?.peers ?? [];
      expect(peers.map((one) => one.publicKey)).toEqual([someKey(1)]);
    });

    test("a thousand peers take a handful of calls", async () => {
      const before = runLog().length;
      const list = Array.from({ length: 1000 }, (_, n) =>
        peer(someKey(5000 + n), { allowedIps: [`10.9.${n >> 8}.${n & 255}/32`] }),
      );
      await perform({ kind: "wg.peers", name: "wg0", peers: list });
      expect(runLog().length - before).toBe(10);
      expect((await observe()).links[0]?.peers.length).toBe(1001);
      await perform({ kind: "wg.remove", name: "wg0", publicKeys: list.map((one) => one.publicKey) });
      expect((await observe()).links[0]?.peers.length).toBe(1);
    });

    test("a missing or empty key file refuses the step and leaves the key", async () => {
      expect(await refusal({ kind: "wg.device", name: "wg0", publicKey: someKey(8), port: null, fwmark: null })).toBe(
        "apply.key_missing",
      );
      const name = keyFileName(someKey(9));
      for (const copy of ["wg", "wg2"]) writeFileSync(join(router.state, "keys", copy, name), "", { mode: 0o600 });
      expect(await refusal({ kind: "wg.device", name: "wg0", publicKey: someKey(9), port: null, fwmark: null })).toBe(
        "apply.key_missing",
      );
      const psk = "0".repeat(64);
      expect(await refusal({ kind: "wg.peers", name: "wg0", peers: [peer(someKey(1), { psk })] })).toBe(
        "apply.key_missing",
      );
      expect((await observe()).links[0]?.publicKey).toBe(publicKey);
    });

    test("addresses, routes and rules of both families come and go", async () => {
      const addresses = ["10.0.0.1/24", "10.0.0.5/24", "fd00::1/64"].map((cidr) => ({ interface: "wg0", cidr }));
      for (const address of addresses) await perform({ kind: "address.add", address });
      const routes: Desired["routes"] = [
        { family: 4, to: "0.0.0.0/0", via: "192.0.2.2", interface: "eth0", table: 100, metric: 0 },
        { family: 4, to: "10.50.0.1/32", via: "", interface: "wg0", table: 254, metric: 7 },
        { family: 6, to: "::/0", via: "2001:db8::2", interface: "eth0", table: 100, metric: 0 },
        { family: 6, to: "fd50::/64", via: "", interface: "wg0", table: 254, metric: 9 },
      ];
      for (const route of routes) await perform({ kind: "route.add", route });
      const rules: Desired["rules"] = [
        { family: 4, priority: 900, from: "192.0.2.1/32", fwmark: 0, fwmask: 0, table: 100 },
        { family: 4, priority: 901, from: "", fwmark: 0x10, fwmask: 0xff, table: 100 },
        { family: 6, priority: 900, from: "2001:db8::/64", fwmark: 0, fwmask: 0, table: 100 },
      ];
      for (const rule of rules) await perform({ kind: "rule.add", rule });
      await world.must(space, ["ip", "route", "add", "10.60.0.0/16", "dev", "wg0"]); // not ours
      let seen = await observe();
      expect(seen.addresses.filter((one) => one.interface === "wg0")).toEqual(addresses);
      expect(seen.routes).toEqual(
        [routes[1]!, routes[0]!, routes[3]!, routes[2]!].sort((a, b) => a.family - b.family || a.table - b.table),
      );
      expect(seen.rules).toEqual(rules);
      // Again: the goal is reached already, which is no failure.
      await perform({ kind: "rule.add", rule: rules[0]! });
      await perform({ kind: "address.add", address: addresses[0]! });
      expect((await observe()).rules).toEqual(rules);
      // Removing the first address of a subnet keeps its sisters.
      await perform({ kind: "address.remove", address: addresses[0]! });
      seen = await observe();
      expect(seen.addresses.filter((one) => one.interface === "wg0")).toEqual(addresses.slice(1));
      for (let round = 0; round < 2; round += 1) {
        for (const route of routes) await perform({ kind: "route.remove", route });
        for (const rule of rules) await perform({ kind: "rule.remove", rule });
        for (const address of addresses) await perform({ kind: "address.remove", address });
      }
      seen = await observe();
      expect([seen.routes, seen.rules, seen.addresses.length]).toEqual([[], [], 2]);
    });

    test("a sysctl is set, and its original is put back", async () => {
      const key = "net.ipv4.conf.eth0.rp_filter";
      const original = (await observe()).sysctls[0]?.value ?? "";
      const other = original === "2" ? "1" : "2";
      await perform({ kind: "sysctl.set", key, value: other });
      expect((await observe()).sysctls).toEqual([{ key, value: other }]);
      await perform({ kind: "sysctl.set", key, value: "" });
      expect((await observe()).sysctls).toEqual([{ key, value: original }]);
      expect(await refusal({ kind: "sysctl.set", key: "net.ipv4.no_such_key", value: "1" })).toBe(
        "apply.kernel_refused",
      );
    });

    test("a ruleset is checked, rehearsed, loaded, and equals its rehearsal", async () => {
      const file = join(router.folder, "a.nft");
      const text = ruleset({ ports: [51820] });
      writeFileSync(file, text);
      const before = (await observe()).nftGeneration;
      expect(await host.kernel.checkNft(file, 3)).toMatchObject({ ok: true });
      const rehearsal = await host.kernel.rehearseNft(file, 3);
      expect((await observe()).nftGeneration).toBe(before);
      await perform({ kind: "nft.load", mode: "full", text }, 3);
      const seen = await observe();
      expect(seen.nftGeneration).toBe(before + 1);
      expect(rehearsal).toEqual({ ok: true, value: { listing: seen.nft } });
      // Another structure, then back: what the new text does not have is gone.
      await perform({ kind: "nft.load", mode: "full", text: ruleset({ ports: [1], extra: "more" }) }, 4);
      expect((await observe()).nft).toContain("z_more");
      await perform({ kind: "nft.load", mode: "full", text }, 3);
      expect((await observe()).nft).toBe(seen.nft);
      const delta = "add element inet holdfast s_clients { 10.0.0.77 }\n";
      await perform({ kind: "nft.load", mode: "delta", text: delta }, 3);
      expect((await observe()).nft).toContain("10.0.0.77");
      expect(await host.kernel.counters()).toEqual([{ counter: "c_drop", packets: expect.any(Number) }]);
    });

    test("a ruleset that the kernel does not take is refused and changes nothing", async () => {
      const file = join(router.folder, "bad.nft");
      writeFileSync(file, "table inet holdfast { chain b_x { type filter hook nowhere priority 0; }; }\n");
      const before = await observe();
      const check = await host.kernel.checkNft(file, 1);
      expect(check.ok ? "" : check.problems[0]?.code).toBe("apply.ruleset_rejected");
      const rehearsal = await host.kernel.rehearseNft(file, 1);
      expect(rehearsal.ok ? "" : rehearsal.problems[0]?.code).toBe("apply.ruleset_rejected");
      const step: Step = {
        kind: "nft.load",
        mode: "delta",
        text: "delete element inet holdfast s_clients { 10.1.1.1 }\n",
      };
      expect(await refusal(step)).toBe("apply.kernel_refused");
      expect(await observe()).toEqual(before);
    });

    test("reading writes nothing: no call in the run log, no new ruleset generation", async () => {
      const before = [runLog().length, (await observe()).nftGeneration];
      await host.kernel.counters();
      await host.kernel.portFree(51820);
      expect([runLog().length, (await observe()).nftGeneration]).toEqual(before);
    });

    test("a taken port is seen, a free one too", async () => {
      expect(await host.kernel.portFree(51820)).toBe(false);
      expect(await host.kernel.portFree(51999)).toBe(true);
      const echo = await startEcho(world, space, { protocol: "udp", host: "192.0.2.1", port: 51998 });
      expect(await host.kernel.portFree(51998)).toBe(false);
      echo.stop();
    });

    test("a stale owner and a decided token are refused", async () => {
      const step: Step = { kind: "link.mtu", name: "wg0", mtu: 1390 };
      expect(await refusal(step, "0123456789abcdef")).toBe("apply.stale_owner");
      expect(await refusal(step, owner, "gone")).toBe("apply.trial_decided");
      writeFileSync(join(router.state, "decision/live.undecided"), "");
      expect(await refusal(step, owner, "live")).toBe("performed");
      owner = await host.guard.own();
    });

    test("probes: ping, tcp and handshake, each passing and failing", async () => {
      await world.must(space, ["nft", "delete", "table", "inet", "holdfast"]); // it drops what the probes need
      const echo = await startEcho(world, far, { protocol: "tcp", host: "192.0.2.2", port: 80 });
      const base = { router: "r", port: 0, timeout_ms: 300, attempts: 1 };
      const desired = { links: [{ name: "wg0", network: "home" }] } as unknown as Desired;
      const ask = async (probe: Partial<Desired["probes"][number]>): Promise<boolean> =>
        (await host.probe({ ...base, id: "p", kind: "ping", target: "", ...probe }, desired)).passed;
      expect(await ask({ kind: "ping", target: "192.0.2.2" })).toBe(true);
      expect(await ask({ kind: "ping", target: "2001:db8::2" })).toBe(true);
      expect(await ask({ kind: "ping", target: "192.0.2.99" })).toBe(false);
      expect(await ask({ kind: "tcp", target: "192.0.2.2", port: 80 })).toBe(true);
      expect(await ask({ kind: "tcp", target: "192.0.2.2", port: 81 })).toBe(false);
      expect(await ask({ kind: "handshake", target: "nowhere" })).toBe(false);
      expect(await ask({ kind: "handshake", target: "home" })).toBe(false);
      // A real client shakes hands.
      const secret = (await world.must(far, ["wg", "genkey"])).trim();
      const client = (await world.must(far, ["wg", "pubkey"], { stdin: `${secret}\n` })).trim();
      await perform({ kind: "wg.peers", name: "wg0", peers: [peer(client, { allowedIps: ["10.0.0.20/32"] })] });
      await world.must(
        far,
        backend === "kernel" ? ["ip", "link", "add", "c0", "type", "wireguard"] : ["wireguard-go", "c0"],
      );
      const words = ["private-key", "/dev/stdin", "peer", publicKey, "endpoint", "192.0.2.1:51820"];
      const more = ["allowed-ips", "10.0.0.0/24", "persistent-keepalive", "1"];
      await world.must(far, ["wg", "set", "c0", ...words, ...more], { stdin: `${secret}\n` });
      await world.must(far, ["ip", "link", "set", "c0", "up"]);
      while (!(await ask({ kind: "handshake", target: "home" }))) await Bun.sleep(50);
      echo.stop();
    });

    test("the guard port: arm, read back, disarm only the own trial, restore to nothing", async () => {
      await host.guard.arm({ token: "t1", deadlineBootMs: bootMs() + 60_000 });
      expect(await host.guard.armed()).toBe("t1");
      await host.guard.disarm("t2");
      expect(await host.guard.armed()).toBe("t1");
      await host.guard.disarm("t1");
      expect(await host.guard.armed()).toBe(undefined as never);
      expect(await host.guard.alive()).toBe(false);
      const trial = storeArtifacts(router, { ruleset: ruleset({ ports: [1] }) });
      storeRecord(router, "a", { counter: 1, trial, trialEpoch: 4, token: "t1" });
      const result = await host.guard.restore("probe.failed", "t1");
      expect(result).toMatchObject({ outcome: "restored", by: "agent", cause: "probe.failed", token: "t1", lkg: "-" });
      expect(await host.guard.lastResult()).toEqual(result);
      const seen = await observe();
      expect([seen.links, seen.nft]).toEqual([[], ""]);
      expect(await refusal({ kind: "link.mtu", name: "wg0", mtu: 1390 })).toBe("apply.stale_owner");
    });
  });
}

describe("keys and clock", () => {
  test("keys are private, twofold and write-once; loose folders are refused", async () => {
    const world = await World.create({ name: "keys" });
    const space = await world.space("k");
    const router = makeRouter(world, space, "dash");
    const options = { state: router.state, run: router.run, lib: router.lib, backend: "userspace" as const };
    const host = await remoteHost(world, space, options);
    const publicKey = await host.keys.makeWgKey();
    expect(await host.keys.hasWgKey(publicKey)).toBe(true);
    for (const copy of ["wg", "wg2"]) {
      const path = join(router.state, "keys", copy, keyFileName(publicKey));
      expect([statSync(path).mode & 0o777, statSync(path).size]).toEqual([0o600, 45]);
      expect((await world.must(space, ["wg", "pubkey"], { stdin: readFileSync(path, "utf8") })).trim()).toBe(publicKey);
    }
    expect(readdirSync(join(router.state, "keys/wg")).length).toBe(1);
    await expect(host.keys.putPsk("0".repeat(64), new Uint8Array(32))).rejects.toThrow("commitment");
    chmodSync(join(router.state, "keys/wg", keyFileName(publicKey)), 0o644);
    await expect(host.keys.hasWgKey(publicKey)).rejects.toThrow("chmod 600");
    await host.close();
    chmodSync(join(router.state, "keys"), 0o755);
    await expect(remoteHost(world, space, options)).rejects.toThrow("did not start");
    world.destroy();
    router.remove();
  });

  test("a deadline fires once it has passed and not when it was cancelled", async () => {
    const start = bootMs();
    const fired = await new Promise<number>((resolve) => {
      const cancel = clock.at(start + 30, () => resolve(-1));
      cancel();
      clock.at(start + 700, () => resolve(bootMs()));
    });
    expect(fired).toBeGreaterThanOrEqual(start + 700);
    expect(fired).toBeLessThan(start + 2000);
    expect(clock.bootId().length).toBe(16);
  });
});
