/** nft's semantics, one point at a time, on tables written by hand. */
import { describe, expect, test } from "bun:test";
import { base, map, set } from "../nft-tables.ts";
import { ACROSS, across, answerOf, desiredWith } from "./tables.ts";

describe("chains", () => {
  test("a jump comes back to the next rule, a goto does not", () => {
    const chains = { z_a: ["tcp dport 80 accept"] };
    const after = "tcp dport 443 accept";
    expect(across({ chains, forward: ['iifname "lan0" jump z_a', after] })).toBe("accepted");
    expect(across({ chains, forward: ['iifname "lan0" goto z_a', after] })).toBe("dropped");
  });

  test("a return leaves a chain that was jumped to, and ends the base chain with its policy", () => {
    const chains = { z_a: ["tcp dport 443 return", "accept"] };
    expect(across({ chains, forward: ["jump z_a", "drop"] })).toBe("dropped");
    expect(across({ chains, forward: ["jump z_a", "accept"] })).toBe("accepted");
    expect(across({ forward: ["return", "accept"] })).toBe("dropped");
  });

  test("the end of a goto inside a jump is the end of the jump", () => {
    const chains = { z_b: ["tcp dport 80 drop"], z_a: ["goto z_b", "drop"] };
    expect(across({ chains, forward: ["jump z_a", "accept"] })).toBe("accepted");
  });

  test("a verdict map that has no element goes on with the next rule", () => {
    const sets = [map("v_a", "ifname", "verdict", ['"lan1" : drop', '"wan0" : goto z_a'])];
    const chains = { z_a: ["drop"] };
    expect(across({ sets, chains, forward: ["iifname vmap @v_a", "accept"] })).toBe("accepted");
    expect(across({ sets, chains, forward: ["iifname vmap @v_a", "accept"] }, { iif: ["lan1"] })).toBe("dropped");
  });

  test("base chains of a hook run by priority; an accept ends only its own, a drop ends all", () => {
    const first = (rule: string) => base("b_early", "forward", -10, [rule], "accept");
    expect(across({ bases: [first("accept")], forward: ["drop"] })).toBe("dropped");
    expect(across({ bases: [first("drop")], forward: ["accept"] })).toBe("dropped");
    expect(across({ bases: [base("b_late", "forward", 10, ["drop"], "accept")], forward: ["accept"] })).toBe("dropped");
  });

  test("the policy decides what no rule does", () => {
    expect(across({})).toBe("dropped");
    const open = base("b_out", "postrouting", 0, ["tcp dport 1 drop"], "accept");
    expect(across({ forward: ["accept"], bases: [open] })).toBe("accepted");
    expect(across({ forward: ["accept"], bases: [{ ...open, base: { ...open.base!, policy: "drop" } }] })).toBe(
      "dropped",
    );
  });
});

describe("sets", () => {
  const tuple = "ipv4_addr . inet_proto . inet_service";
  const boxes = set("s_a", tuple, ["10.2.0.0/24 . tcp . 80-90", "10.2.0.4-10.2.0.9 . tcp . 443"], true);
  const rule = "ip daddr . meta l4proto . th dport @s_a accept";

  test("intervals and concatenations match as a product, per element", () => {
    expect(across({ sets: [boxes], forward: [rule] })).toBe("accepted");
    expect(across({ sets: [boxes], forward: [rule] }, { target: { in: ["10.2.0.10"] } })).toBe("dropped");
    expect(across({ sets: [boxes], forward: [rule] }, { target: { in: ["10.2.0.10"] }, dport: [[80, 90]] })).toBe(
      "accepted",
    );
    expect(across({ sets: [boxes], forward: [rule] }, { dport: [[90, 91]] })).toBe("mixed");
    expect(across({ sets: [boxes], forward: [rule] }, { protocol: [17] })).toBe("dropped");
  });

  test("a negation does not match packets that lack the field", () => {
    const six = { family: 6, source: { in: ["fd00:1::5"] }, target: { in: ["fd00:2::7"] } } as const;
    expect(across({ forward: ["ip saddr != 10.9.0.0/16 accept"] })).toBe("accepted");
    expect(across({ forward: ["ip saddr != 10.9.0.0/16 accept"] }, six)).toBe("dropped");
    expect(across({ forward: ["ip6 saddr != { ::, fe80::/10 } accept"] }, six)).toBe("accepted");
    expect(across({ forward: ["udp dport != 53 accept"] })).toBe("dropped");
    expect(across({ forward: ['iifname != { "lan1", "wan0" } accept'] })).toBe("accepted");
  });

  test("the accepted part comes as boxes", () => {
    const { boxes: found, more } = answerOf(desiredWith({ sets: [boxes], forward: [rule] }), {
      ...ACROSS,
      dport: [[1, 500]],
    });
    expect(more).toBe(false);
    expect(found.map(({ fields: { dport } }) => dport)).toEqual([["80-90", "443"]]);
  });

  test("wildcards of interfaces", () => {
    const forward = ['iifname "lan*" accept'];
    expect(across({ forward })).toBe("accepted");
    expect(across({ forward }, { iif: ["lan77"] })).toBe("accepted");
    expect(across({ forward }, { iif: ["wlan0"] })).toBe("dropped");
  });
});

describe("conntrack", () => {
  const current = "ct mark & 0xffff0000 == $HF_EPOCH accept";
  const later = { flow: "later", protocol: [6], dport: [[443, 443]] } as const;

  test("a stamp is seen by the rules after it", () => {
    const stamp = "ct mark set (ct mark & 0x0000ffff) | $HF_EPOCH";
    const keeping = stamp.replace("0x0000ffff", "0x00007fff");
    expect(across({ forward: [current] })).toBe("dropped");
    expect(across({ forward: [stamp, current] })).toBe("accepted");
    expect(across({ forward: [keeping, current] })).toBe("accepted");
    expect(across({ forward: [`udp dport 53 ${stamp}`, current] })).toBe("dropped");
    const chains = { c_stamp: [stamp] };
    expect(across({ chains, forward: ["jump c_stamp", current] })).toBe("accepted");
  });

  test("a flow of an older policy is not current, and its mark of zero is none", () => {
    const region = { ...ACROSS, ...later };
    const verdict = (rules: readonly string[], epoch: "none" | "current" | "stale") =>
      answerOf(desiredWith({ forward: rules }), { ...region, epoch: [epoch] }).verdict;
    expect(verdict([`ct state established ${current}`], "current")).toBe("accepted");
    expect(verdict([`ct state established ${current}`], "stale")).toBe("dropped");
    expect(verdict(["ct mark & 0xffff0000 != $HF_EPOCH accept"], "stale")).toBe("accepted");
    expect(verdict(["ct mark 0x00000000 accept"], "none")).toBe("mixed");
    expect(answerOf(desiredWith({ forward: ["ct mark 0x00000000 accept"] }), ACROSS).verdict).toBe("accepted");
  });

  test("replies are judged by their direction", () => {
    const forward = ["ct state established ct direction reply accept"];
    const reply = { flow: "reply", iif: ["lan1"], source: { in: ["10.2.0.7"] }, target: { in: ["10.1.0.5"] } } as const;
    expect(answerOf(desiredWith({ forward }), { family: 4, ...reply }).verdict).toBe("accepted");
    expect(answerOf(desiredWith({ forward }), { ...ACROSS, flow: "later" }).verdict).toBe("dropped");
  });

  test("invalid packets have no entry: what asks for one does not match, negated or not", () => {
    const invalid = { ...ACROSS, flow: "later", state: ["invalid"], direction: "original", epoch: ["none"] } as const;
    for (const rule of ["ct direction original accept", "ct mark & 0xffff0000 != $HF_EPOCH accept"]) {
      const site = desiredWith({ bases: [base("b_first", "forward", -5, [rule, "drop"], "accept")] });
      expect(answerOf(site, invalid).dropped?.decided.chain).toBe("b_first");
    }
  });

  test("notrack makes a packet untracked from there on, and only where it matched", () => {
    const bases = [base("b_raw", "prerouting", -300, ["tcp dport 443 notrack"], "accept")];
    const forward = ["ct state untracked accept"];
    expect(across({ bases, forward })).toBe("accepted");
    expect(across({ bases, forward }, { dport: [[442, 442]] })).toBe("dropped");
    expect(across({ bases, forward: ["ct direction original accept"] })).toBe("dropped");
  });

  test("a bare SYN is one of four flags", () => {
    const bare = "tcp flags & (fin | syn | rst | ack) != syn drop";
    expect(across({ forward: [bare, "accept"] })).toBe("accepted");
    expect(across({ forward: [bare, "accept"] }, { syn: false })).toBe("dropped");
    // SYN,ACK has the SYN and lacks the RST.
    expect(across({ forward: ["tcp flags syn / syn,rst accept"] }, { syn: false })).toBe("mixed");
  });
});

describe("what hangs on something else", () => {
  test("a limit passes or fails: mixed, unless the question says which", () => {
    const site = desiredWith({ forward: ["limit rate 10/second accept"] });
    expect(answerOf(site, ACROSS).verdict).toBe("mixed");
    expect(answerOf(site, ACROSS, "pass").verdict).toBe("accepted");
    expect(answerOf(site, ACROSS, "fail").verdict).toBe("dropped");
    expect(answerOf(site, ACROSS).accepted?.limit).toBe("pass");
  });

  test("fib follows the router's own addresses", () => {
    const input = ["fib daddr type local accept"];
    const here = { ...ACROSS, target: { in: ["10.1.0.1"] } };
    expect(answerOf(desiredWith({ input }), here)).toMatchObject({
      verdict: "accepted",
      accepted: { egress: "router" },
    });
    expect(across({ forward: ["fib daddr type local accept"] })).toBe("dropped");
    expect(answerOf(desiredWith({ input }), { family: 4, target: { in: ["127.0.0.1"] }, iif: ["lan0"] }).verdict).toBe(
      "mixed",
    );
  });
});
