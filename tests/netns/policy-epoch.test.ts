/** What a new generation cuts and what it keeps, by real flows: port-forwards, epochs, the router's own services, leaks. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Desired } from "../../schemas/desired.ts";
import { clients, desiredOf } from "../core/compile-sites.ts";
import { answers, type TestHost, udpPacket, unreachable4 } from "./policy-host.ts";
import {
  GUEST,
  type House,
  house,
  houseIntent,
  INTERNET,
  INTERNET6,
  LAN,
  LAN6,
  makeHouse,
  WAN,
} from "./policy-house.ts";

setDefaultTimeout(30_000);

describe("flows of a house through its generations", () => {
  let home: House;
  let net: TestHost;
  let router: TestHost;
  let lan: TestHost;
  let guest: TestHost;
  const load = (desired: Desired): Promise<void> => home.load(desired);
  const count = (name: string): Promise<number> => home.count(name);

  beforeAll(async () => {
    home = await makeHouse("policyep");
    ({ net, router, lan, guest } = home);
  }, 1_800_000);
  afterAll(() => home.world.destroy());

  describe("what a new epoch cuts and what it keeps", () => {
    test("a port-forward: two ways, through a bump, also where only the server speaks; and gone when it is taken out", async () => {
      await lan.listen(LAN, 443);
      const game = await lan.udp(LAN, 27015);
      const web = await net.connect(WAN, 8443);
      expect(web.up).toBe(true);
      await web.write("one");
      expect(await web.bytes(3)).toBe(3);
      const player = await net.udp(INTERNET, 28000);
      await player.send(WAN, 27015, "join");
      const [join] = await game.take();
      expect(join?.from).toBe(INTERNET);
      await load(house);
      // Nothing from the player: the mirror alone keeps the flow.
      await game.send(INTERNET, 28000, "push", 3);
      expect((await player.take(3)).map((mail) => [mail.from, mail.port])).toEqual(Array(3).fill([WAN, 27015]));
      await web.write("two");
      expect(await web.bytes(6)).toBe(6);

      const less = desiredOf(houseIntent({ port_forwards: [houseIntent().port_forwards![1]!] }), clients(2));
      await load(less);
      await web.write("three");
      expect(await web.bytes(7, 400)).toBe(6);
      await game.send(INTERNET, 28000, "push", 3);
      expect(await player.take(3)).toHaveLength(3);
      expect((await net.connect(WAN, 8443, { ms: 400 })).up).toBe(false);
      await load(house);
    });

    test("another DNAT than ours is not admitted", async () => {
      const foreign = `table ip foreign {\nchain d { type nat hook prerouting priority -101;\niifname "wan0" udp dport 27016 dnat to ${LAN}:27016\n}\n}\n`;
      await home.world.must(home.space, ["nft", "-f", "-"], { stdin: foreign });
      const target = await lan.udp(LAN, 27016);
      const before = await count("c_drop_forward");
      await (await net.udp(INTERNET)).send(WAN, 27016);
      expect(await count("c_drop_forward")).toBe(before + 1);
      expect(await target.take(1, 200)).toEqual([]);
      await home.world.must(home.space, ["nft", "delete", "table", "ip", "foreign"]);
    });

    test("a narrowed flow is cut at the commit, the others lose nothing, and no error revives it", async () => {
      const cut = await net.udp(INTERNET, 7400, true);
      const kept = await net.udp(INTERNET, 7401, true);
      const [a, b] = [await guest.udp(GUEST, 6200), await lan.udp(LAN, 6201)];
      expect(await answers(a, INTERNET, 7400)).toBe(true);
      expect(await answers(b, INTERNET, 7401)).toBe(true);
      const mailA = (await cut.take())[0]!;
      await kept.take();
      await load(desiredOf(houseIntent({ policies: [houseIntent().policies![0]!] }), clients(2)));
      await a.send(INTERNET, 7400, "x", 20);
      await b.send(INTERNET, 7401, "y", 20);
      expect(await kept.take(20)).toHaveLength(20);
      expect(await b.take(20)).toHaveLength(20);
      expect(await cut.take(1, 200)).toEqual([]);
      // An error about the flow, as the translated packet looked: related, but to nothing that is current.
      const before = await count("c_related");
      const about = udpPacket(WAN, mailA.port, INTERNET, 7400);
      await net.raw(unreachable4("192.0.2.1", WAN, about));
      expect(await count("c_related")).toBe(before + 1);
      await a.send(INTERNET, 7400, "x", 5);
      await cut.send(WAN, mailA.port, "push", 5);
      expect(await cut.take(1, 200)).toEqual([]);
      expect(await a.take(1, 200)).toEqual([]);
      const marks = await home.flows(`src=${GUEST}`, "dport=7400");
      expect(marks.some((line) => line.includes(`mark=${home.epoch() << 16}`))).toBe(false);
      await load(house);
    });

    test("an error about a current flow comes through", async () => {
      const server = await net.udp(INTERNET, 7500, true);
      const asker = await lan.udp(LAN, 6300);
      expect(await answers(asker, INTERNET, 7500)).toBe(true);
      const port = (await server.take())[0]!.port;
      const before = await count("c_related");
      await net.raw(unreachable4("192.0.2.1", WAN, udpPacket(WAN, port, INTERNET, 7500)));
      expect(await count("c_related")).toBe(before);
    });

    test("replies of the router to a flow that is not allowed any more end with it", async () => {
      const dns = await router.udp("10.2.0.1", 54);
      const open = houseIntent({
        services: [...houseIntent().services!, { id: "push", ports: [{ protocol: "udp", from: 54 }] }],
        policies: [...houseIntent().policies!, { id: "guest-push", from: "guest", to: "router", services: ["push"] }],
      });
      await load(desiredOf(open, clients(2)));
      const asker = await guest.udp(GUEST, 6400);
      await asker.send("10.2.0.1", 54);
      expect(await dns.take()).toHaveLength(1);
      await dns.send(GUEST, 6400, "a", 2);
      expect(await asker.take(2)).toHaveLength(2);
      await load(desiredOf(open, clients(2)));
      await dns.send(GUEST, 6400, "b", 2);
      expect(await asker.take(2)).toHaveLength(2);
      await load(house);
      const before = await count("c_stale");
      await dns.send(GUEST, 6400, "c", 2);
      expect(await count("c_stale")).toBe(before + 2);
      expect(await asker.take(1, 200)).toEqual([]);
    });
  });

  test("nothing private leaves untranslated", async () => {
    const open = desiredOf(houseIntent({ masquerade: [], nat66: [] }), clients(2));
    await load(open);
    const server = await net.udp(INTERNET, 7600);
    const before = await count("c_leak");
    await (await lan.udp(LAN)).send(INTERNET, 7600);
    await (await lan.udp(LAN6)).send(INTERNET6, 7600);
    expect(await count("c_leak")).toBe(before + 2);
    expect(await server.take(1, 200)).toEqual([]);
    await load(house);
  });

  test("the drop of each hook is explicit and counted", async () => {
    const before = [await count("c_drop_input"), await count("c_drop_forward")];
    await (await net.udp(INTERNET)).send(WAN, 12345);
    await (await guest.udp(GUEST)).send(LAN, 12345);
    expect([await count("c_drop_input"), await count("c_drop_forward")]).toEqual([before[0]! + 1, before[1]! + 1]);
  });
});
