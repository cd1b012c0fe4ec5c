import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { countPolicy, startEcho, startSender } from "./traffic.ts";
import { type Space, World } from "./world.ts";

setDefaultTimeout(60_000);

describe("the world of namespaces", () => {
  let world: World;
  let a: Space;
  let b: Space;
  beforeAll(async () => {
    world = await World.create({ name: "world" });
    a = await world.space("a");
    b = await world.space("b");
    await world.link(a, "wan0", b, "eth9");
    await world.address(a, "wan0", "192.0.2.1/24", "2001:db8::1/64");
    await world.address(b, "eth9", "192.0.2.2/24", "2001:db8::2/64");
  }, 1_800_000);
  afterAll(() => world.destroy());

  test("carries both families between named interfaces", async () => {
    expect(await world.pings(a, "192.0.2.2")).toBe(true);
    expect(await world.pings(b, "2001:db8::1")).toBe(true);
    expect(await world.pings(a, "192.0.2.9")).toBe(false);
  });

  test("a sender counts every packet, and a policy that drops is seen in the counts", async () => {
    const echo = await startEcho(world, b, { protocol: "udp", host: "192.0.2.2", port: 7 });
    const counts = await countPolicy(world, b, "udp dport 7");
    const open = await startSender(world, a, { host: "192.0.2.2", port: 7, rate: 1000 });
    await Bun.sleep(500);
    const good = await open.stop();
    expect(good.sent).toBeGreaterThan(300);
    expect(good.received).toBe(good.sent);
    const before = await counts();
    expect(before.before).toBe(good.sent);
    expect(before.input).toBe(good.sent);

    const drop = "table inet dropper {\nchain i {\ntype filter hook input priority 0;\nudp dport 7 drop;\n}\n}\n";
    await world.must(b, ["nft", "-f", "-"], { stdin: drop });
    const closed = await startSender(world, a, { host: "192.0.2.2", port: 7, rate: 1000 });
    await Bun.sleep(300);
    const bad = await closed.stop();
    expect(bad.received).toBe(0);
    const after = await counts();
    expect(after.before - before.before).toBe(bad.sent);
    expect(after.input).toBe(before.input);
    echo.stop();
  });

  test("two namespaces have their own WireGuard sockets", async () => {
    await world.must(a, ["wireguard-go", "wg0"]);
    await world.must(b, ["wireguard-go", "wg0"]);
    await world.must(a, ["wg", "set", "wg0", "listen-port", "51820"]);
    await world.must(b, ["wg", "set", "wg0", "listen-port", "51821"]);
    expect((await world.must(a, ["wg", "show", "wg0", "listen-port"])).trim()).toBe("51820");
    expect((await world.must(b, ["wg", "show", "wg0", "listen-port"])).trim()).toBe("51821");
    expect(existsSync("/run/wireguard/wg0.sock")).toBe(false);
  });

  test("leaves no namespace and no process behind", async () => {
    const own = await World.create({ name: "world" });
    const space = await own.space("gone");
    const child = own.spawn(space, ["sleep", "1000"]);
    own.destroy();
    await child.exited;
    expect(readdirSync("/run/netns").filter((name) => name.startsWith(own.prefix))).toEqual([]);
    expect(existsSync(`/proc/${space.keeper}/ns/net`)).toBe(false);
  });
});
