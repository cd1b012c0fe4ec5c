/** The compiled policy against real packets: zones, lane ports, forged sources, accomplices. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Desired } from "../../schemas/desired.ts";
import { answers, icmp6Packet, type TestHost, tcpPacket, udpPacket } from "./policy-host.ts";
import { GUEST, type House, house, INTERNET, INTERNET6, LAN, LAN6, makeHouse, WAN, WAN6 } from "./policy-house.ts";
import { replaceRule, withoutRules } from "./policy-mutants.ts";

setDefaultTimeout(30_000);

describe("a house with a LAN, guests and an uplink", () => {
  let home: House;
  let net: TestHost;
  let router: TestHost;
  let lan: TestHost;
  let guest: TestHost;
  const load = (desired: Desired): Promise<void> => home.load(desired);
  const count = (name: string): Promise<number> => home.count(name);

  beforeAll(async () => {
    home = await makeHouse("policy");
    ({ net, router, lan, guest } = home);
  }, 1_800_000);
  afterAll(() => home.world.destroy());

  test("the LAN and guests reach the internet under the router's address, and not each other", async () => {
    const server = await net.udp(INTERNET, 7000, true);
    const server6 = await net.udp(INTERNET6, 7000, true);
    expect(await answers(await lan.udp(LAN), INTERNET, 7000)).toBe(true);
    expect(await answers(await guest.udp(GUEST), INTERNET, 7000)).toBe(true);
    expect((await server.take(2)).map((mail) => mail.from)).toEqual([WAN, WAN]);
    expect(await answers(await lan.udp(LAN6), INTERNET6, 7000)).toBe(true);
    expect((await server6.take()).map((mail) => mail.from)).toEqual([WAN6]);
    await lan.udp(LAN, 7001, true);
    const before = await count("c_drop_forward");
    expect(await answers(await guest.udp(GUEST), LAN, 7001)).toBe(false);
    expect(await count("c_drop_forward")).toBe(before + 1);
  });

  test("a LAN host whose source port is a lane port keeps its flow, and its answers never reach the lane", async () => {
    const server = await net.udp(INTERNET, 7002, true);
    const before = await count("c_lane_wg_home");
    for (const port of [51820, 51819]) {
      expect(await answers(await lan.udp(LAN, port), INTERNET, 7002)).toBe(true);
    }
    const seen = await server.take(2);
    expect(seen.map((mail) => mail.from)).toEqual([WAN, WAN]);
    expect(seen.every((mail) => ![51819, 51820].includes(mail.port))).toBe(true);
    expect(await count("c_lane_wg_home")).toBe(before);
    // The counter does count: a packet to the lane's port from outside.
    await (await net.udp(INTERNET)).send(WAN, 51820);
    expect(await count("c_lane_wg_home")).toBe(before + 1);
  });

  test("the API answers the management zone, untracked, and nobody else", async () => {
    await router.listen("10.1.0.1", 8022);
    const before = await count("c_lane_api_10_1_0_1");
    const open = await lan.connect("10.1.0.1", 8022, { localPort: 40001 });
    expect(open.up).toBe(true);
    expect(await count("c_lane_api_10_1_0_1")).toBeGreaterThan(before);
    expect(await home.flows("dport=8022")).toEqual([]);
    const denied = await count("c_lane_denied");
    expect((await guest.connect("10.1.0.1", 8022, { ms: 400 })).up).toBe(false);
    expect(await count("c_lane_denied")).toBeGreaterThan(denied);
  });

  describe("forged sources", () => {
    const forged: Record<string, { from: () => TestHost; packet: ReturnType<typeof udpPacket>; counter: string }> = {
      "a guest as a LAN host": {
        from: () => guest,
        packet: udpPacket(LAN, 5000, INTERNET, 7100),
        counter: "c_spoof",
      },
      "a LAN host as somebody of the internet": {
        from: () => lan,
        packet: udpPacket("198.51.100.77", 5000, INTERNET, 7100),
        counter: "c_spoof",
      },
      "a LAN host as somebody of the internet, IPv6": {
        from: () => lan,
        packet: udpPacket("2001:db8:77::7", 5000, INTERNET6, 7100),
        counter: "c_spoof",
      },
      "the internet as a LAN host": {
        from: () => net,
        packet: udpPacket("10.1.0.77", 5000, WAN, 27015),
        counter: "c_spoof",
      },
      "the internet as a client": {
        from: () => net,
        packet: udpPacket("10.100.0.2", 5000, WAN, 27015),
        counter: "c_spoof",
      },
      "a LAN host as the router": {
        from: () => lan,
        packet: udpPacket(WAN, 5000, INTERNET, 7100),
        counter: "c_local_source",
      },
      "a LAN host as the router, IPv6": {
        from: () => lan,
        packet: udpPacket(WAN6, 5000, INTERNET6, 7100),
        counter: "c_local_source",
      },
      "the internet as a group": {
        from: () => net,
        packet: udpPacket("240.0.0.9", 5000, WAN, 27015),
        counter: "c_martian",
      },
    };
    for (const [name, { from, packet, counter }] of Object.entries(forged)) {
      test(name, async () => {
        const before = await count(counter);
        await from().raw(packet);
        expect(await count(counter)).toBe(before + 1);
      });
    }

    test("an honest source with the same destination passes", async () => {
      const server = await net.udp(INTERNET, 7100);
      await lan.raw(udpPacket(LAN, 5000, INTERNET, 7100, "honest"));
      expect((await server.take()).map((mail) => mail.text)).toEqual(["honest"]);
    });
  });

  describe("an accomplice inside cannot open a port of the router to the world", () => {
    test("by a packet in the router's name, from the LAN or from guests", async () => {
      const service = await router.udp("0.0.0.0", 9999);
      for (const inside of [lan, guest]) {
        await inside.raw(udpPacket(WAN, 9999, INTERNET, 6000));
        await net.raw(udpPacket(INTERNET, 6000, WAN, 9999));
      }
      expect(await service.take(1, 300)).toEqual([]);
      expect(await home.flows("sport=9999")).toEqual([]);
    });

    // In IPv6, where the kernel itself lets a packet through that claims to be from here.
    test("three walls stand in the way, and each holds alone", async () => {
      const service = await router.udp("::", 30998);
      const trick = async (desired: Desired, port: number): Promise<boolean> => {
        await load(desired);
        await lan.raw(udpPacket(WAN6, 30998, INTERNET6, port));
        await net.raw(udpPacket(INTERNET6, port, WAN6, 30998));
        return (await service.take(1, 300)).length > 0;
      };
      const [local, source] = [/^fib saddr type local /, /@s_lan6 /];
      const naive = (desired: Desired): Desired => ({
        ...desired,
        nft: replaceRule(desired.nft, / ct mark & 0x00008000 == 0x00008000 accept$/, " accept"),
      });
      expect(await trick(withoutRules(house, [local, source]), 6001)).toBe(false); // the mark of the router's own flows
      expect(await trick(naive(withoutRules(house, [local])), 6002)).toBe(false); // sources per interface
      expect(await trick(naive(withoutRules(house, [source])), 6003)).toBe(false); // own addresses from outside
      expect(await trick(naive(withoutRules(house, [local, source])), 6004)).toBe(true); // with none of them it works
      await load(house);
    });

    test("by a flow to the router that the world answers, or an error about it", async () => {
      const dns = await router.udp("10.2.0.1", 53, true);
      expect(await answers(await guest.udp(GUEST, 6100), "10.2.0.1", 53)).toBe(true);
      await dns.take(1);
      const before = await count("c_spoof");
      await net.raw(udpPacket(GUEST, 6100, "10.2.0.1", 53));
      expect(await count("c_spoof")).toBe(before + 1);
      await net.raw(udpPacket(INTERNET, 6100, "10.2.0.1", 53));
      expect(await dns.take(1, 300)).toEqual([]);
    });

    test("while answers to the router's own questions come in, by TCP and UDP", async () => {
      await net.udp(INTERNET, 7200, true);
      await net.listen(INTERNET, 7201);
      expect(await answers(await router.udp("0.0.0.0"), INTERNET, 7200)).toBe(true);
      const open = await router.connect(INTERNET, 7201);
      await open.write("question");
      expect(await open.bytes(8)).toBe(8);
    });
  });

  test("neighbours are known by their hop limit, and routers by the uplink", async () => {
    const [SOLICIT, ADVERT, REDIRECT] = [135, 134, 137];
    const dropped = async (from: TestHost, type: number, hops: number): Promise<number> => {
      // Conntrack itself calls a redirect about no flow invalid.
      const all = async (): Promise<number> => (await count("c_drop_input")) + (await count("c_invalid"));
      const before = await all();
      const [own, target] = from === lan ? [LAN6, "fd00:1::1"] : ["fe80::99", WAN6];
      await from.raw(icmp6Packet(type === ADVERT ? "fe80::99" : own, target, type, hops));
      return (await all()) - before;
    };
    expect(await dropped(lan, SOLICIT, 255)).toBe(0);
    expect(await dropped(lan, SOLICIT, 64)).toBe(1);
    expect(await dropped(net, ADVERT, 255)).toBe(0);
    expect(await dropped(net, ADVERT, 64)).toBe(1);
    expect(await dropped(lan, ADVERT, 255)).toBe(1);
    expect(await dropped(net, REDIRECT, 255)).toBe(1);
  });

  test("a connection begins with a bare SYN", async () => {
    await net.listen(INTERNET, 7300);
    const before = await count("c_not_syn");
    // ACK, FIN and SYN+FIN of no connection; conntrack itself calls the worst of them invalid.
    await lan.raw(tcpPacket(LAN, 4000, INTERNET, 7300, 16));
    await net.raw(tcpPacket(INTERNET, 4001, WAN, 8022, 16));
    expect((await count("c_not_syn")) - before).toBe(2);
    expect((await lan.connect(INTERNET, 7300)).up).toBe(true);
  });
});
