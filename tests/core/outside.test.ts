/** What the rules of other programs mean for the lanes: the real nft says what they look like. */
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  judgeOutside,
  type OutsideSeen,
  outsideChanges,
  outsideDigest,
  outsideScope,
  outsideText,
} from "../../agent/core/outside.ts";
import { type Desired, desiredText } from "../../schemas/desired.ts";
import { clients as clientsOf, desiredOf, smallIntent } from "./compile-sites.ts";
import { clients, sampleDesired } from "./desireds.ts";
import { foreignRules } from "./foreign-rules.ts";

const desired: Desired = sampleDesired(clients(1));

const nobody: OutsideSeen = {
  nft: '{"nftables": []}',
  ...{ legacy: [], links: [], filters: [], rules: [], sysctls: [], unreadable: [] },
};
const seen = (more: Partial<OutsideSeen>): OutsideSeen => ({ ...nobody, ...more });
const problemsOf = (more: Partial<OutsideSeen>, of: Desired = desired): string[] =>
  judgeOutside(seen(more), of).problems.map((one) => `${one.code} ${one.path}: ${one.detail}`);
const textOf = (more: Partial<OutsideSeen>): string => outsideText(judgeOutside(seen(more), desired));

/** Loads all texts at once into a throw-away namespace, the tables of each marked with its number, and lists each alone. */
function listings(texts: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-outside-"));
  try {
    const file = join(folder, "all.nft");
    writeFileSync(file, texts.map((text, i) => text.replace(/^table (\w+) (\w+)/gm, `table $1 n${i}_$2`)).join(""));
    const out = Bun.spawnSync(["unshare", "-n", "sh", "-c", 'nft -f "$1" && nft -t -j list ruleset', "sh", file]);
    if (out.exitCode !== 0) throw new Error(out.stderr.toString());
    const { nftables } = JSON.parse(out.stdout.toString()) as { nftables: Record<string, Record<string, string>>[] };
    return texts.map((_, i) => {
      const own = nftables.flatMap((entry) => {
        const [kind = "", fields = {}] = Object.entries(entry)[0] ?? [];
        const key = kind === "table" ? "name" : "table";
        const table = /^n(\d+)_(\w+)$/.exec(fields[key] ?? "");
        return table?.[1] === String(i) ? [{ [kind]: { ...fields, [key]: table[2] } }] : [];
      });
      return JSON.stringify({ nftables: own });
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("foreign nftables rules", () => {
  let found: readonly string[];
  beforeAll(() => {
    found = listings(foreignRules.map((one) => one.text));
  });

  for (const [i, { name, drops }] of foreignRules.entries()) {
    test(name, () => {
      const { problems } = judgeOutside(seen({ nft: found[i]! }), desired);
      expect(problems.map((one) => `${one.path}: ${one.detail.split(", may drop")[0]}`)).toEqual([...drops]);
      expect(problems.every((one) => one.code === "outside.foreign_drop")).toBe(true);
    });
  }

  test("are named with the lanes that they may drop, unless an operator vouches for them", () => {
    const nft = found[foreignRules.findIndex((one) => one.name.startsWith("the same, with one lane forgotten"))]!;
    expect(problemsOf({ nft })).toEqual([
      "outside.foreign_drop inet fw: chain c, its policy is drop, may drop lane rescue (tcp 8022)",
    ]);
    expect(problemsOf({ nft }, { ...desired, foreign: { accept: ["inet fw"], reassert: false } })).toEqual([]);
    expect(problemsOf({ nft }, { ...desired, foreign: { accept: ["ip fw"], reassert: false } })).toHaveLength(1);
  });

  test("have a text without counters, handles, elements and our own table", () => {
    const rules = (more: string): string =>
      `table inet fw {\n set s {\n type ipv4_addr\n ${more}\n }\n chain c {\n counter\n }\n}\n`;
    const [a, b, c] = listings([
      rules("elements = { 1.2.3.4 }"),
      `table inet holdfast {\n}\n${rules("")}`.replace("counter", "counter packets 7 bytes 9"),
      rules("flags interval"),
    ]);
    expect(textOf({ nft: a! })).toBe(textOf({ nft: b! }));
    expect(textOf({ nft: a! })).toContain("nft inet fw rule c");
    expect(outsideChanges(textOf({ nft: a! }), textOf({ nft: b! }))).toEqual([]);
    expect(outsideChanges(textOf({ nft: a! }), textOf({ nft: c! })).map((line) => line.slice(0, 18))).toEqual([
      "+ nft inet fw set ",
      "- nft inet fw set ",
    ]);
  });
});

describe("legacy iptables", () => {
  const dump = (...lines: readonly string[]): string => `# Generated\n*filter\n${lines.join("\n")}\nCOMMIT\n`;
  const filter = (...rules: readonly string[]) => ({
    legacy: [
      { family: "ip" as const, tables: ["filter"], dump: dump(":INPUT DROP [3:180]", ":mine - [0:0]", ...rules) },
    ],
  });

  test("that drop a lane are named, and those that know it pass", () => {
    expect(problemsOf(filter("-A INPUT -i lo -j ACCEPT"))[0]).toStartWith(
      "outside.foreign_drop iptables filter: chain INPUT, its policy is drop, may drop lane rescue (udp 51819)",
    );
    const knows = ["-A INPUT -m conntrack --ctstate INVALID -j DROP", "-A INPUT -p tcp -m tcp --dport 8022 -j ACCEPT"];
    expect(problemsOf(filter(...knows, "-A INPUT -p udp -m multiport --dports 51819,51820 -j ACCEPT"))).toEqual([]);
    expect(problemsOf(filter(...knows, "-A INPUT -j mine", "-A mine -p udp --dport 51800:51900 -j ACCEPT"))).toEqual(
      [],
    );
    const hash = "-A INPUT -m hashlimit --hashlimit-name x -j ACCEPT";
    expect(problemsOf(filter(...knows, hash))).toHaveLength(1);
    expect(problemsOf(filter("-A INPUT -p udp -j TARPIT"))[0]).toContain("rule 1 (xt TARPIT)");
    expect(problemsOf(filter('-A INPUT -m comment --comment "all - in" -j ACCEPT'))).toEqual([]);
  });

  test("that nothing can show refuse as well, apart from translation", () => {
    const legacy = [{ family: "ip6" as const, tables: ["filter", "nat"], dump: null }];
    expect(problemsOf({ legacy })).toEqual(["outside.unreadable ip6tables filter: no ip6tables-legacy-save reads it"]);
    expect(problemsOf({ legacy }, { ...desired, foreign: { accept: ["ip6tables filter"], reassert: false } })).toEqual(
      [],
    );
    // A tool that shows other tables than the kernel has is the wrong one.
    expect(problemsOf({ legacy: [{ family: "ip", tables: ["raw"], dump: dump(":INPUT ACCEPT [0:0]") }] })).toEqual([
      "outside.unreadable iptables raw: no iptables-legacy-save reads it",
    ]);
  });

  test("have a text without counters and dates", () => {
    const [a, b] = ["[0:0]", "[5:6]"].map((count) =>
      filter(`-A INPUT -j ACCEPT`).legacy[0]!.dump.replace("[3:180]", count),
    );
    const text = (of: string): string => textOf({ legacy: [{ family: "ip", tables: ["filter"], dump: of }] });
    expect(text(a!)).toBe(text(b!.replace("# Generated", "# Generated later")));
    expect(text(a!)).toContain("iptables filter :INPUT DROP\n");
  });
});

describe("the rest of the outside", () => {
  test("programs on interfaces of lanes are named; whatever cannot be looked at is named too", () => {
    expect(
      problemsOf({
        links: [{ name: "wan0", mac: "02:00:00:00:00:01", xdp: true }],
        filters: [
          { interface: "wan0", text: "filter protocol ip pref 1 u32\n action order 1: gact action drop\n" },
          {
            interface: "lan0",
            text: "filter protocol all pref 1 matchall\n action order 1: mirred (Egress Redirect to device ifb0) stolen\n",
          },
        ],
        unreadable: [{ what: "rules", why: "ip: broken" }],
      }),
    ).toEqual([
      "outside.foreign_drop xdp wan0: a program on it may drop every lane",
      "outside.foreign_drop tc wan0: a filter on it may drop every lane",
      "outside.unreadable rules: ip: broken",
    ]);
    // Where there is no tc, nobody knows: told, and no reason to refuse.
    expect([problemsOf({ filters: null }), textOf({ filters: null })]).toEqual([[], "tc unknown\n"]);
    expect(problemsOf({ nft: "not JSON" })).toEqual(["outside.unreadable nft: the listing is none"]);
  });

  test("rules, sysctls and cards are in the text, and another card is another digest", () => {
    const card = (mac: string) => ({
      links: [{ name: "wan0", mac, xdp: false }],
      rules: ['4 {"priority":32766}'],
      sysctls: [{ key: "net.ipv4.conf.all.rp_filter", value: "2" }],
    });
    const [a, b] = [textOf(card("02:00:00:00:00:01")), textOf(card("02:00:00:00:00:02"))];
    expect(a).toBe(
      'interface wan0 02:00:00:00:00:01\nrule 4 {"priority":32766}\nsysctl net.ipv4.conf.all.rp_filter 2\n',
    );
    expect(outsideDigest(a)).not.toEqual(outsideDigest(b));
    expect(outsideChanges(a, b)).toEqual(["+ interface wan0 02:00:00:00:00:02", "- interface wan0 02:00:00:00:00:01"]);
    expect(outsideChanges("a\nb\n", "b\na\n")).toEqual(["~ the order of rules"]);
    // A table that came or went as a whole is one line, however much it holds.
    const tables = "nft inet a {}\nnft inet a chain c {}\nnft inet ab chain d {}\n";
    expect(outsideChanges("", tables)).toEqual(["+ nft inet a {}", "+ nft inet ab chain d {}"]);
    expect(outsideChanges(tables, "")).toEqual(["- nft inet a {}", "- nft inet ab chain d {}"]);
  });

  test("what an operator says of other programs is signed, and a generation without it keeps its digest", () => {
    const [router] = smallIntent().routers;
    const said = (more: object): Desired =>
      desiredOf(
        smallIntent({ routers: [{ ...router!, management: { ...router!.management, ...more } }] }),
        clientsOf(0),
      );
    const plain = said({});
    expect("foreign" in plain).toBe(false);
    expect(desiredText(said({ accept_foreign: [], reassert: false }))).toBe(desiredText(plain));
    const both = said({ accept_foreign: ["xdp wan0", "inet fw4"], reassert: true });
    expect(both.foreign).toEqual({ accept: ["inet fw4", "xdp wan0"], reassert: true });
    expect({ ...both, foreign: undefined }).toEqual({ ...plain, foreign: undefined } as never);
  });

  test("own links and own sysctls are not asked for", () => {
    const { interfaces, sysctls } = outsideScope(desired);
    expect(interfaces).toContain("wan0");
    expect(interfaces.filter((name) => name.startsWith("hf-"))).toEqual([]);
    expect(sysctls).not.toContain("net.ipv4.ip_forward");
    expect(sysctls).toContain("net.ipv4.conf.wan0.rp_filter");
  });
});
