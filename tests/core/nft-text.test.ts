/** The texts themselves; tests/netns/nft-text.test.ts loads them. */
import { describe, expect, test } from "bun:test";
import { disruptions } from "../../agent/core/nft-diff.ts";
import { normalListing, withoutEpoch } from "../../agent/core/nft-listing.ts";
import { deltaText, fullText, markerOf, rulesetText } from "../../agent/core/nft-text.ts";
import { base, chain, map, sampleTable, set, table } from "./nft-tables.ts";

const MARK = "0x12345678";

describe("a full text", () => {
  const text = rulesetText(sampleTable(["10.100.0.2"]), MARK);

  test("takes the old marker away first and puts the new one last", () => {
    expect(text.split("\n").slice(0, 6)).toEqual([
      ...["table inet holdfast {", "\tset s_marker {", "\t\ttype mark", "\t}", "}", "flush set inet holdfast s_marker"],
    ]);
    expect(text).toEndWith(`add element inet holdfast s_marker {\n\t${MARK}\n}\n`);
  });

  test("flushes every set and map, and never the ruleset or the table itself", () => {
    const flushed = [...text.matchAll(/^flush (?:set|map) inet holdfast (\w+)$/gm)].map((match) => match[1]);
    expect(flushed.sort()).toEqual(["m_pf4", "m_prof4", "s_grant4", "s_lan4", "s_marker", "s_pf4", "s_src4", "v_orig"]);
    expect(text).not.toContain("flush ruleset");
    expect(text).not.toMatch(/^delete/m);
  });

  test("keeps the epoch symbolic and lines short", () => {
    expect(text).toContain("$HF_EPOCH");
    const many = rulesetText(sampleTable(Array.from({ length: 500 }, (_, i) => `10.100.1.${i}`)), MARK);
    expect(Math.max(...many.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  test("is refused for text that could leave its place", () => {
    const rules = (rule: string) => () => rulesetText(table([], [], [base("b_a", "input", 0, [rule])]), MARK);
    expect(rules("accept\n}\nflush ruleset")).toThrow("not one statement");
    expect(rules("accept; drop")).toThrow("not one statement");
    expect(() => rulesetText(table([], [set("s_marker", "mark", [])], []), MARK)).toThrow("illegal nft name");
    expect(() => rulesetText(table([], [set("fwd", "mark", [])], []), MARK)).toThrow("illegal nft name");
    expect(() => rulesetText(table([], [], [chain("z_a", []), chain("z_a", [])]), MARK)).toThrow("used twice");
    expect(() => rulesetText(table([], [], []), "12345678")).toThrow("not a marker");
  });

  test("deletes users before what they use", () => {
    const old = table(["c_x"], [map("v_a", "ipv4_addr", "verdict", ["10.0.0.1 : goto z_a"])], [chain("z_a", ["drop"])]);
    const deletions = [...fullText(table([], [], []), old, MARK).matchAll(/^delete .*$/gm)].map((match) => match[0]);
    expect(deletions).toEqual([
      ...["delete map inet holdfast v_a", "delete chain inet holdfast z_a", "delete counter inet holdfast c_x"],
    ]);
  });
});

describe("a delta text", () => {
  const from = sampleTable(["10.100.0.2"]);

  test("is empty between equals and null where more than elements differs", () => {
    expect(deltaText(from, from, MARK, MARK)).toBe("");
    expect(deltaText(from, { ...from, counters: [...from.counters, "c_z"] }, MARK, MARK)).toBeNull();
    expect(deltaText(from, { ...from, chains: [...from.chains, chain("z_new", [])] }, MARK, MARK)).toBeNull();
    const policy = from.chains.map((one) =>
      one.base === null ? one : { ...one, base: { ...one.base, policy: "accept" as const } },
    );
    expect(deltaText(from, { ...from, chains: policy }, MARK, MARK)).toBeNull();
    const rule = from.chains.map((one) => (one.name === "z_lan" ? chain("z_lan", ["drop"]) : one));
    expect(deltaText(from, { ...from, chains: rule }, MARK, MARK)).toBeNull();
    const types = from.sets.map((one) => (one.name === "s_src4" ? { ...one, interval: true } : one));
    expect(deltaText(from, { ...from, sets: types }, MARK, MARK)).toBeNull();
  });

  test("deletes map elements by key, before it adds any", () => {
    const old = table([], [map("v_a", "ipv4_addr", "verdict", ["10.0.0.1 : accept", "10.0.0.2 : accept"])], []);
    const next = table([], [map("v_a", "ipv4_addr", "verdict", ["10.0.0.1 : drop", "10.0.0.2 : accept"])], []);
    expect(deltaText(old, next, MARK, MARK)).toBe(
      "delete element inet holdfast v_a {\n\t10.0.0.1\n}\nadd element inet holdfast v_a {\n\t10.0.0.1 : drop\n}\n",
    );
  });
});

test("the marker is the head of the digest", () => {
  expect(markerOf("ab".repeat(32))).toBe("0xabababab");
  expect(() => markerOf("ab")).toThrow("not a digest");
});

test("base chains that move or go are disruptive, rules and policies are not", () => {
  const from = table([], [], [base("b_a", "input", 0, []), base("b_b", "forward", 0, [])]);
  expect(disruptions(null, from)).toEqual([]);
  expect(
    disruptions(from, table([], [], [base("b_a", "input", 0, ["drop"], "accept"), base("b_b", "forward", 0, [])])),
  ).toEqual([]);
  expect(disruptions(from, table([], [], [base("b_a", "output", 0, [])]))).toEqual([
    "nft chain b_a leaves filter input 0 for filter output 0; packets may be lost there",
    "nft chain b_b leaves filter forward 0 for no hook; packets may be lost there",
  ]);
});

describe("the normal form of a listing", () => {
  const one = `table inet holdfast {
	counter c_x {
	}

	set s_a {
		type ipv4_addr . ifname
		flags interval
		elements = { 10.0.0.0/8 . "a",
			     11.0.0.0/8 . "b" }
	}

	chain b_in {
		type filter hook input priority filter; policy drop;
		ct mark & 0x0007ffff == 0x00070000 accept
		ip saddr 10.0.0.7 meta mark 0x00070000 drop
	}
}
`;
  const other = `table inet holdfast {
	chain b_in {
		type filter hook input priority filter; policy drop;
		ct mark & 0x0007ffff == 0x00070000 accept
		ip saddr 10.0.0.7 meta mark 0x00070000 drop
	}

	set s_a {
		type ipv4_addr . ifname
		flags interval
		elements = { 11.0.0.0/8 . "b", 10.0.0.0/8 . "a" }
	}

	counter c_x {
	}
}
`;
  test("forgets the order of creation, not the order of rules", () => {
    expect(normalListing(other)).toBe(normalListing(one));
    const swapped = one.replace(/(\t\tct mark.*\n)(\t\tip saddr.*\n)/, "$2$1");
    expect(swapped).not.toBe(one);
    expect(normalListing(swapped)).not.toBe(normalListing(one));
    expect(normalListing(one.replace('. "b"', '. "c"'))).not.toBe(normalListing(one));
    expect(normalListing(one.replace("counter c_x", "counter c_y"))).not.toBe(normalListing(one));
  });

  test("without the epoch forgets exactly the epoch", () => {
    const later = one.replaceAll("ct mark & 0x0007ffff == 0x00070000", "ct mark & 0x0009ffff == 0x00090000");
    expect(normalListing(later)).not.toBe(normalListing(one));
    expect(withoutEpoch(normalListing(later), 9)).toBe(withoutEpoch(normalListing(one), 7));
    expect(withoutEpoch(normalListing(one), 7)).toContain("meta mark 0x00070000");
  });
});
