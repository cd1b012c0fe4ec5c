/** Two rulesets held against each other; and which rules a question hangs on. */
import { describe, expect, test } from "bun:test";
import { deciders, sameVerdicts } from "../../../agent/core/verifier/compare.ts";
import type { Difference } from "../../../agent/core/verifier/question.ts";
import type { NftTable } from "../../../schemas/desired.ts";
import { readStory } from "../../golden/golden.ts";
import { base, map, set } from "../nft-tables.ts";
import { modelOf } from "./cross.ts";
import { desiredWith, type Rules } from "./tables.ts";

function difference(a: Rules, b: Rules): Difference | null {
  const found = sameVerdicts(desiredWith(a), desiredWith(a).nft, desiredWith(b).nft);
  if (!found.ok) throw new Error(JSON.stringify(found.problems));
  return found.value;
}

describe("sameVerdicts", () => {
  test("another text that does the same is the same", () => {
    const sets = [set("s_a", "ipv4_addr . inet_service", ["10.1.0.0/25 . 80", "10.1.0.128/25 . 80"], true)];
    const a = { sets, forward: ["ip saddr . tcp dport @s_a accept", "tcp dport 22 drop"] };
    const b = { chains: { z_a: ["tcp dport 80 accept", "return"] }, forward: ["ip saddr 10.1.0.0/24 jump z_a"] };
    expect(difference(a, b)).toBeNull();
  });

  test("a packet tells them apart, with what each does", () => {
    const found = difference({ forward: ["tcp dport 80-90 accept"] }, { forward: ["tcp dport 80-89 accept"] });
    expect(found).toMatchObject({
      hook: "forward",
      packet: { dport: 90, protocol: 6 },
      a: { chain: "b_forward", rule: 1, verdict: "accept" },
      b: { chain: "b_forward", rule: -1, verdict: "drop" },
    });
  });

  test("sets of one name are two sets", () => {
    const holding = (...ports: readonly string[]): Rules => ({
      sets: [set("s_a", "inet_service", ports)],
      forward: ["tcp dport @s_a accept"],
    });
    expect(difference(holding("80", "81"), holding("81", "80"))).toBeNull();
    expect(difference(holding("80", "81"), holding("80"))).toMatchObject({ packet: { dport: 81 } });
    expect(difference(holding("80"), holding("80", "81"))).toMatchObject({ packet: { dport: 81 } });
  });

  test("marks, notrack and translation count as well", () => {
    const stamp = (bit: string) => ({ forward: [`ct mark set (ct mark & 0x00007fff) | $HF_EPOCH${bit}`, "accept"] });
    expect(difference(stamp(""), stamp(" | 0x00008000"))?.hook).toBe("forward");
    const raw = (port: number) => ({
      bases: [base("b_raw", "prerouting", -300, [`udp dport ${port} notrack`], "accept" as const)],
    });
    expect(difference(raw(1), raw(2))?.packet.protocol).toBe(17);
    const forwarded = (port: number): Rules => ({
      sets: [
        map("m_a", "ipv4_addr . inet_service", "ipv4_addr . inet_service", [`192.0.2.2 . 80 : 10.1.0.9 . ${port}`]),
      ],
      bases: [base("b_nat", "prerouting", -100, ["dnat ip to ip daddr . tcp dport map @m_a"], "accept", "nat")],
    });
    expect(difference(forwarded(80), forwarded(80))).toBeNull();
    expect(difference(forwarded(80), forwarded(81))).toMatchObject({ packet: { target: "192.0.2.2", dport: 80 } });
  });

  test("what only packets that cannot be would notice is no difference", () => {
    expect(difference({ forward: ["ct state new ct direction reply accept"] }, {})).toBeNull();
    expect(difference({ forward: ["ct direction reply accept"] }, {})).not.toBeNull();
  });

  test("one client's profile among many is found, in a compiled ruleset", () => {
    const { desired } = readStory("03_clients");
    const swapped: NftTable = {
      ...desired.nft,
      sets: desired.nft.sets.map((one) =>
        one.name === "m_prof4"
          ? { ...one, elements: one.elements.map((text, i) => (i === 0 ? text.replace(/p_o_\w+/, "p_o_full") : text)) }
          : one,
      ),
    };
    const [first] = desired.nft.sets.find((one) => one.name === "m_prof4")!.elements;
    expect(first).not.toContain("p_o_full");
    expect(sameVerdicts(desired, desired.nft, desired.nft)).toEqual({ ok: true, value: null });
    const found = sameVerdicts(desired, desired.nft, swapped);
    expect(found).toMatchObject({ ok: true, value: { hook: "forward", packet: { source: first!.split(" ")[0]! } } });
  });
});

describe("deciders", () => {
  test("only rules that decide for some packet of the question", () => {
    const model = modelOf(
      desiredWith({ forward: ["tcp dport 22 drop", "tcp dport 22 accept", "udp dport 53 accept"] }),
    );
    const found = deciders(model, {
      region: { way: "arriving", flow: "first", family: 4, protocol: [6] },
      want: "onward",
    });
    const texts = found.ok ? found.value.filter(({ chain }) => chain === "b_forward").map(({ text }) => text) : [];
    expect(texts.sort()).toEqual(["policy drop", "tcp dport 22 drop"]);
  });

  test("a chain that stamps and accepts everything is decided by who leads there", () => {
    const { desired } = readStory("02_zones");
    const found = deciders(modelOf(desired), {
      region: { way: "arriving", flow: "first", iif: ["lan0"], oif: ["wan0"] },
    });
    const chains = found.ok ? found.value.map(({ chain }) => chain) : [];
    expect(chains).toContain("z_o_lan");
    expect(chains).not.toContain("c_stamp");
  });
});
