/** The whole way: translation, routes, what leaves, and WireGuard at both ends. */
import { describe, expect, test } from "bun:test";
import { ask, pipelineOf } from "../../../agent/core/verifier/model.ts";
import type { NftTable } from "../../../schemas/desired.ts";
import { readStory } from "../../golden/golden.ts";
import { base, map, set } from "../nft-tables.ts";
import { modelOf } from "./cross.ts";
import { ACROSS, answerOf, desiredWith, type Rules, SITE, siteOf } from "./tables.ts";

const outward = { family: 4, flow: "first", iif: ["lan0"], source: { in: ["10.1.0.5"] }, protocol: [6] } as const;
const far = { ...outward, target: { in: ["198.51.100.7"] }, dport: [[443, 443]] } as const;

describe("dnat", () => {
  const forwards = map("m_pf4", "ipv4_addr . inet_service", "ipv4_addr . inet_service", [
    "192.0.2.2 . 8443 : 10.1.0.9 . 443",
    "192.0.2.2 . 2222 : 10.2.0.3 . 22",
  ]);
  const rules: Rules = {
    sets: [forwards],
    bases: [base("b_dnat", "prerouting", -100, ["dnat ip to ip daddr . tcp dport map @m_pf4"], "accept", "nat")],
    forward: ['ct status dnat ip daddr 10.1.0.9 ct original ip daddr 192.0.2.2 tcp dport 443 oifname "lan0" accept'],
  };
  const knock = {
    family: 4,
    flow: "first",
    iif: ["wan0"],
    source: { in: ["198.51.100.7"] },
    target: { in: ["192.0.2.2"] },
    protocol: [6],
  } as const;

  test("later hooks and the route see the new target", () => {
    const answer = answerOf(desiredWith(rules), { ...knock, dport: [[8443, 8443]] });
    expect(answer.verdict).toBe("accepted");
    expect(answer.accepted).toMatchObject({
      egress: "lan0",
      headers: { source: "198.51.100.7", target: "10.1.0.9", dport: 443 },
      decided: { chain: "b_forward", rule: 1 },
    });
    expect(answer.accepted?.walk[0]).toMatchObject({
      chain: "b_dnat",
      element: "192.0.2.2 . 8443 : 10.1.0.9 . 443",
      verdict: "dnat to 10.1.0.9 port 443",
    });
    expect(answerOf(desiredWith(rules), { ...knock, dport: [[2222, 2222]] }).dropped?.decided.chain).toBe("b_forward");
  });

  test("what is not translated ends in the router, and a packet of a known flow is not translated anew", () => {
    expect(answerOf(desiredWith(rules), { ...knock, dport: [[443, 443]] }).dropped?.decided.chain).toBe("b_input");
    const later = { ...knock, flow: "later", dport: [[8443, 8443]], dnat: false } as const;
    expect(answerOf(desiredWith(rules), later).dropped?.decided.chain).toBe("b_input");
  });

  test("a later packet of a forwarded port meets prerouting with its first target", () => {
    const early = (rule: string) => [...rules.bases!, base("b_pre", "prerouting", -190, [rule], "accept")];
    const later = {
      family: 4,
      flow: "later",
      iif: ["wan0"],
      source: { in: ["198.51.100.7"] },
      target: { in: ["10.1.0.9"] },
      protocol: [6],
      dport: [[443, 443]],
      dnat: true,
      original: { in: ["192.0.2.2"] },
    } as const;
    const verdict = (rule: string) => answerOf(desiredWith({ ...rules, bases: early(rule) }), later).verdict;
    expect(verdict("ip daddr 10.1.0.9 drop")).toBe("accepted");
    expect(verdict("ip daddr 192.0.2.2 drop")).toBe("dropped");
    // The port from before translation is not in the packet: it hangs on something else.
    const hanging = "ip daddr 192.0.2.2 tcp dport 8443 drop";
    expect(verdict(hanging)).toBe("mixed");
    const { accepted } = answerOf(desiredWith({ ...rules, bases: early(hanging) }), later);
    expect(accepted).toMatchObject({ outcome: "either", decided: { verdict: "either" } });
  });

  test("a port more is another answer", () => {
    const other = {
      ...forwards,
      elements: forwards.elements.map((one) => one.replace("10.1.0.9 . 443", "10.1.0.9 . 444")),
    };
    expect(answerOf(desiredWith({ ...rules, sets: [other] }), { ...knock, dport: [[8443, 8443]] }).verdict).toBe(
      "dropped",
    );
  });

  test("to a literal address, where nobody sees what it was before", () => {
    const site = (check: string) =>
      desiredWith({
        bases: [base("b_dnat", "prerouting", -100, ["tcp dport 8443 dnat ip to 10.1.0.9:443"], "accept", "nat")],
        forward: [`ct status dnat ${check} accept`],
      });
    expect(answerOf(site("tcp dport 443"), { ...knock, dport: [[8443, 8443]] }).accepted?.headers.target).toBe(
      "10.1.0.9",
    );
    expect(answerOf(site("ct original ip daddr 192.0.2.2"), { ...knock, dport: [[8443, 8443]] }).verdict).toBe("mixed");
  });
});

describe("what leaves", () => {
  const masquerade = (rule: string) => base("b_nat", "postrouting", 100, [rule], "accept", "nat");
  const guard = base("b_guard", "postrouting", 150, ['oifname "wan0" ip saddr 10.0.0.0/8 drop'], "accept");

  test("masquerade gives the address that the next hop knows, and the guard behind it sees that", () => {
    const bases = [masquerade('oifname "wan0" masquerade to :20000-30000'), guard];
    expect(answerOf(desiredWith({ forward: ["accept"], bases }), far)).toMatchObject({
      verdict: "accepted",
      accepted: { egress: "wan0", headers: { source: "192.0.2.2", target: "198.51.100.7", sport: 0, dport: 443 } },
    });
    const without = desiredWith({ forward: ["accept"], bases: [guard] });
    expect(answerOf(without, far).dropped?.decided).toMatchObject({ hook: "postrouting", chain: "b_guard" });
  });

  test("a port that NAT chooses decides nothing unless all of its range agree", () => {
    const late = (rule: string) => base("b_late", "postrouting", 150, [rule], "accept");
    const verdict = (rule: string) =>
      answerOf(
        desiredWith({
          forward: ["accept"],
          bases: [masquerade("meta l4proto tcp masquerade to :20000-30000"), late(rule)],
        }),
        far,
      ).verdict;
    expect(verdict("tcp sport 30001-40000 drop")).toBe("accepted");
    expect(verdict("tcp sport 20000-30000 drop")).toBe("dropped");
    expect(verdict("tcp sport 25000 drop")).toBe("mixed");
  });

  test("later packets leave as the first did, replies of forwarded ports with the address that was asked", () => {
    const site = desiredWith({ forward: ["accept"], bases: [guard] });
    const later = { ...far, flow: "later" } as const;
    expect(answerOf(site, { ...later, snat: false }).verdict).toBe("dropped");
    expect(answerOf(site, { ...later, snat: true }).verdict).toBe("accepted");
    const reply = { ...far, flow: "reply", dnat: true } as const;
    expect(answerOf(site, { ...reply, original: { in: ["192.0.2.2"] } }).accepted?.headers.source).toBe("192.0.2.2");
    expect(answerOf(site, { ...reply, original: { in: ["10.3.0.1"] } }).verdict).toBe("dropped");
  });

  test("replies of masqueraded flows arrive at the router's own address", () => {
    const bases = [base("b_pre", "prerouting", -190, ['iifname "wan0" ip daddr != 192.0.2.2 drop'], "accept")];
    const reply = {
      family: 4,
      flow: "reply",
      iif: ["wan0"],
      source: { in: ["198.51.100.7"] },
      target: { in: ["10.1.0.5"] },
      protocol: [6],
    } as const;
    expect(answerOf(desiredWith({ forward: ["accept"], bases }), { ...reply, snat: true }).verdict).toBe("accepted");
    expect(answerOf(desiredWith({ forward: ["accept"], bases }), { ...reply, snat: false }).verdict).toBe("dropped");
  });

  test("what the router says passes output and postrouting", () => {
    const bases = [base("b_out", "output", 0, ["tcp dport 25 drop"], "accept"), guard];
    const says = {
      way: "leaving",
      family: 4,
      flow: "first",
      protocol: [6],
      target: { in: ["198.51.100.7"] },
      oif: ["wan0"],
    } as const;
    const site = desiredWith({ bases });
    expect(answerOf(site, { ...says, source: { in: ["192.0.2.2"] }, dport: [[443, 443]] }).verdict).toBe("accepted");
    expect(answerOf(site, { ...says, source: { in: ["192.0.2.2"] }, dport: [[25, 25]] }).dropped?.decided.hook).toBe(
      "output",
    );
    expect(answerOf(site, { ...says, source: { in: ["10.1.0.1"] }, dport: [[443, 443]] }).dropped?.decided.chain).toBe(
      "b_guard",
    );
    expect(answerOf(site, { ...says, source: { in: ["10.1.0.5"] } }).verdict).toBe("none");
  });
});

describe("routes", () => {
  const open = { forward: ["accept"], input: ["accept"] };

  test("the longest prefix wins, then the metric, then connected subnets come from addresses", () => {
    const routes = [
      ...SITE.routes!,
      { family: 4, to: "198.51.100.0/24", via: "10.2.0.9", interface: "lan1", table: 254, metric: 0 },
      { family: 4, to: "0.0.0.0/0", via: "10.2.0.9", interface: "lan1", table: 254, metric: 50 },
    ] as const;
    const site = desiredWith({ ...open, site: { routes } });
    expect(answerOf(site, far).accepted?.egress).toBe("lan1");
    expect(answerOf(desiredWith(open), far).accepted?.egress).toBe("wan0");
    expect(answerOf(site, { ...far, target: { in: ["203.0.113.9"] } }).accepted?.egress).toBe("lan1");
    expect(answerOf(site, ACROSS).accepted?.egress).toBe("lan1");
    expect(answerOf(site, { ...ACROSS, oif: ["wan0"] }).verdict).toBe("none");
  });

  test("without a route nothing is forwarded, unless an interface has addresses that nobody declared", () => {
    const none = { ...open, site: { routes: [] } };
    expect(answerOf(desiredWith(none), far).dropped?.decided.text).toBe("no route leads there");
    const dynamic = { ...none, forward: ['oifname "ppp0" accept'], site: { routes: [] } };
    expect(answerOf(desiredWith(dynamic), far).accepted?.egress).toBe("ppp0");
  });

  test("a subnet that others set up may be nearer than the default route", () => {
    const site = desiredWith({ forward: ['oifname "wan0" accept', 'oifname "lan9" drop'] });
    const answer = answerOf(site, far);
    expect(answer).toMatchObject({
      verdict: "mixed",
      accepted: { egress: "wan0" },
      dropped: { packet: { oif: "lan9" } },
    });
    expect(answerOf(site, { ...far, oif: ["wan0"] }).verdict).toBe("accepted");
    // What a declared subnet holds is there.
    expect(answerOf(site, ACROSS).dropped?.packet.oif).toBe("lan1");
    expect(answerOf(site, { ...ACROSS, oif: ["lan9"] }).verdict).toBe("none");
  });

  test("forwarding that is off forwards nothing", () => {
    const site = desiredWith({ ...open, site: { sysctls: [{ key: "net.ipv4.ip_forward", value: "0" }] } });
    expect(answerOf(site, far).dropped?.decided.text).toBe("forwarding is switched off");
  });

  test("a denial can be asked for any route", () => {
    const model = modelOf(desiredWith({ forward: ['oifname "lan1" accept'] }));
    const verdict = (routes: "declared" | "any") => {
      const found = ask(model, { region: { way: "arriving", ...far }, routes });
      return found.ok && found.value.verdict;
    };
    expect(verdict("declared")).toBe("dropped");
    expect(verdict("any")).toBe("mixed");
  });

  test("answers leave by the uplink that the flow came in through", () => {
    const { desired } = readStory("07_two_uplinks");
    const mark = (name: string): number =>
      Number(
        /0x[0-9a-f]+/.exec(
          desired.nft.sets.find((one) => one.name === "m_uplink")!.elements.find((one) => one.includes(name))!,
        )![0],
      );
    const reply = {
      family: 4,
      flow: "reply",
      iif: ["lan0"],
      source: { in: ["10.1.0.9"] },
      target: { in: ["203.0.113.7"] },
      protocol: [6],
      snat: false,
      dnat: false,
    } as const;
    for (const name of ["wan0", "wan1"]) {
      const answer = answerOf(desired, { ...reply, mark: [[mark(name), mark(name)]] });
      // Source NAT is not undone here: the leak guard sees an inside address on either.
      expect(answer.dropped?.packet.oif).toBe(name);
    }
    expect(answerOf(desired, { ...reply, mark: [[0, 0]] }).dropped?.packet.oif).toBe("wan0");
  });
});

describe("WireGuard", () => {
  test("only sources of peers come out of a tunnel", () => {
    const site = desiredWith({ forward: ["accept"] });
    const region = { ...ACROSS, iif: ["wg0"] };
    expect(answerOf(site, { ...region, source: { in: ["10.9.0.2"] } }).verdict).toBe("accepted");
    expect(answerOf(site, { ...region, source: { in: ["10.9.0.3"] } }).verdict).toBe("none");
  });

  test("what no peer may have is dropped on the way into a tunnel", () => {
    const site = desiredWith({ forward: ["accept"] });
    expect(answerOf(site, { ...ACROSS, target: { in: ["10.9.0.2"] } }).accepted?.egress).toBe("wg0");
    expect(answerOf(site, { ...ACROSS, target: { in: ["10.9.0.3"] } }).dropped?.decided).toMatchObject({
      hook: "wireguard",
      verdict: "drop",
    });
  });

  test("nor does it pass when the hook before was looked at alone", () => {
    const model = modelOf(desiredWith({ forward: ["accept"] }));
    pipelineOf(model, 4, "original").hook("postrouting");
    const region = { way: "arriving", ...ACROSS, target: { in: ["10.9.0.3"] } } as const;
    expect(ask(model, { region })).toMatchObject({ ok: true, value: { verdict: "dropped" } });
  });
});

describe("forwarded ports of the golden story", () => {
  const { desired } = readStory("05_port_forwards");
  const elements = desired.nft.sets.find((one) => one.name === "m_pf4")!.elements;

  /** Elements whose first packet does not come out with the element's headers. */
  const wrong = (nft: NftTable): readonly string[] =>
    elements.filter((element) => {
      const [key, value] = element.split(" : ") as [string, string];
      const [address, port, protocol, name] = key.split(" . ") as [string, string, string, string];
      const [target, to] = value.split(" . ");
      const { accepted } = answerOf(siteOf(nft, { ...desired, nft }), {
        ...{ family: 4, flow: "first", iif: [name.slice(1, -1)], source: { in: ["203.0.113.9"] } },
        ...{
          target: { in: [address] },
          protocol: [protocol === "tcp" ? 6 : 17],
          dport: [[Number(port), Number(port)]],
        },
      });
      return accepted === null || accepted.headers.target !== target || accepted.headers.dport !== Number(to);
    });

  test("each comes out as its element says, and a port off by one is found", () => {
    expect(elements.length).toBeGreaterThan(1);
    expect(wrong(desired.nft)).toEqual([]);
    const planted = desired.nft.sets.map((one) =>
      one.name === "m_pf4"
        ? { ...one, elements: one.elements.map((text) => text.replace(/\d+$/, (port) => String(Number(port) + 1))) }
        : one,
    );
    expect(wrong({ ...desired.nft, sets: planted })).toEqual(elements);
  });
});

test("sets of a family are not asked of the other", () => {
  const sets = [set("s_a", "ipv4_addr", ["10.1.0.0/24"], true), set("s_b", "ipv6_addr", ["fd00:1::/64"], true)];
  const site = desiredWith({ sets, forward: ["ip saddr @s_a accept", "ip6 saddr @s_b accept"] });
  expect(
    answerOf(site, {
      iif: ["lan0"],
      flow: "first",
      source: { in: ["10.1.0.0/24", "fd00:1::/64"] },
      target: { in: ["10.2.0.7", "fd00:2::7"] },
    }).verdict,
  ).toBe("accepted");
});
