/** When flows of the old policy may live on: only where a change admits more by construction. */
import { describe, expect, test } from "bun:test";
import { nextEpoch, widensOnly } from "../../agent/core/epoch.ts";
import type { NftSet, NftTable } from "../../schemas/desired.ts";
import { base, chain, map, sampleTable, set, table } from "./nft-tables.ts";

/** The table with these sets over chains that use them. */
const over = (sets: readonly NftSet[], rules: readonly string[], policy: "accept" | "drop" = "drop"): NftTable =>
  table(["c_x"], sets, [
    chain("c_stamp", ["ct mark set (ct mark & 0x0000ffff) | $HF_EPOCH", "accept"]),
    chain("p_part", ['oifname "lan0" goto c_stamp', "drop"]),
    base("b_a", "forward", 0, rules, policy),
  ]);

const grows = (rules: readonly string[], policy: "accept" | "drop" = "drop"): boolean =>
  widensOnly(
    over([set("s_a", "ipv4_addr", ["10.0.0.1"])], rules, policy),
    over([set("s_a", "ipv4_addr", ["10.0.0.1", "10.0.0.2"])], rules, policy),
  );

const mapGrows = (rules: readonly string[], value: string, policy: "accept" | "drop" = "drop"): boolean =>
  widensOnly(
    over([map("v_a", "ipv4_addr", "verdict", ["10.0.0.1 : goto p_part"])], rules, policy),
    over([map("v_a", "ipv4_addr", "verdict", ["10.0.0.1 : goto p_part", `10.0.0.2 : ${value}`])], rules, policy),
  );

describe("an element more admits more", () => {
  test("where its rule accepts, or drops what is not in the set", () => {
    expect(grows(["ip saddr @s_a accept", "ip daddr 10.9.9.9 accept"])).toBe(true);
    expect(grows(["ip saddr @s_a counter name c_x goto c_stamp", "accept"])).toBe(true);
    expect(grows(["ip saddr != @s_a counter name c_x drop", "accept"])).toBe(true);
  });

  test("where nothing after its rule would have accepted", () => {
    expect(grows(["ip saddr @s_a goto p_part", "counter name c_x drop"])).toBe(true);
    expect(mapGrows(["ip saddr vmap @v_a", "ip6 saddr fd00::1 accept", "drop"], "goto p_part")).toBe(true);
    expect(mapGrows(["ip saddr vmap @v_a"], "goto p_part")).toBe(true);
    expect(mapGrows(["ip saddr vmap @v_a", "accept"], "accept")).toBe(true);
  });
});

describe("an element more may admit less", () => {
  test("where its rule drops, or accepts what is not in the set", () => {
    expect(grows(["ip saddr @s_a drop", "accept"])).toBe(false);
    expect(grows(["ip saddr @s_a reject with tcp reset", "accept"])).toBe(false);
    expect(grows(["ip saddr != @s_a accept", "drop"])).toBe(false);
    expect(mapGrows(["ip saddr vmap @v_a"], "drop")).toBe(false);
  });

  test("where it leaves a rest that accepts", () => {
    expect(grows(["ip saddr @s_a goto p_part", "tcp dport 22 accept", "drop"])).toBe(false);
    expect(grows(["ip saddr @s_a goto p_part"], "accept")).toBe(false);
    expect(mapGrows(["ip saddr vmap @v_a", "ip daddr 10.9.9.9 accept", "drop"], "goto p_part")).toBe(false);
  });

  test("where its rule does something else, or sits in a NAT hook", () => {
    expect(grows(["ip saddr @s_a notrack", "drop"])).toBe(false);
    expect(grows(["ip saddr @s_a meta mark set 7", "drop"])).toBe(false);
    const nat = (elements: readonly string[]): NftTable =>
      table(
        [],
        [set("s_a", "ipv4_addr", elements)],
        [base("b_n", "postrouting", 100, ["ip saddr @s_a accept"], "accept", "nat")],
      );
    expect(widensOnly(nat([]), nat(["10.0.0.1"]))).toBe(false);
  });
});

test("taking an element out, changing a value or a rule is never taken for growth", () => {
  const rules = ["ip saddr @s_a accept"];
  const one = over([set("s_a", "ipv4_addr", ["10.0.0.1"])], rules);
  expect(widensOnly(one, over([set("s_a", "ipv4_addr", [])], rules))).toBe(false);
  expect(widensOnly(one, over([set("s_a", "ipv4_addr", ["10.0.0.2"])], rules))).toBe(false);
  expect(widensOnly(one, over([set("s_a", "ipv4_addr", ["10.0.0.1"])], [...rules, "accept"]))).toBe(false);
  const value = (to: string): NftTable =>
    over([map("v_a", "ipv4_addr", "verdict", [`10.0.0.1 : ${to}`])], ["ip saddr vmap @v_a"]);
  expect(widensOnly(value("goto p_part"), value("accept"))).toBe(false);
  expect(widensOnly(one, one)).toBe(true);
});

test("a client more grows in every set that the compiler gives it", () => {
  expect(widensOnly(sampleTable(["10.100.0.2"]), sampleTable(["10.100.0.2", "10.100.0.3"]))).toBe(true);
  expect(widensOnly(sampleTable(["10.100.0.2", "10.100.0.3"]), sampleTable(["10.100.0.2"]))).toBe(false);
});

test("epochs go from 1 to 0xfffe and around", () => {
  expect([0, 1, 0xfffd, 0xfffe, 0xffff].map(nextEpoch)).toEqual([1, 2, 0xfffe, 1, 1]);
  expect(() => nextEpoch(-1)).toThrow();
});
