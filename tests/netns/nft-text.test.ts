/**
 * The texts against the real nft: each case runs in its own throw-away network namespace. Listings are compared
 * after normalListing, since the kernel lists objects in the order of their creation.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { normalListing } from "../../agent/core/nft-listing.ts";
import { deltaText, fullText, rulesetText } from "../../agent/core/nft-text.ts";
import { base, chain, map, randomNumbers, randomTable, sampleTable, set, table } from "../core/nft-tables.ts";
import { takeLock } from "./lock.ts";

const MARK_A = "0xaaaaaaaa";
const MARK_B = "0xbbbbbbbb";
let folder = "";
let release = (): void => {};
beforeAll(async () => {
  release = await takeLock();
  folder = mkdtempSync(join(tmpdir(), "hf-nft-"));
}, 1_800_000);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  release();
});

type Loaded = { readonly listing: string; readonly error: string; readonly failed: readonly number[] };

let files = 0;
/** Loads the texts one after the other in one namespace, going on after a failure, and lists the table. */
function load(texts: readonly string[], epoch = 1): Loaded {
  const word = `0x${epoch.toString(16).padStart(4, "0")}0000`;
  const paths = texts.map((text) => {
    files += 1;
    const path = join(folder, `${files}.nft`);
    writeFileSync(path, text);
    return path;
  });
  const script = `i=0; for f in "$@"; do nft -D HF_EPOCH=${word} -f "$f" || echo "#failed $i"; i=$((i+1)); done
    nft -s list table inet holdfast 2>/dev/null`;
  const ran = Bun.spawnSync(["unshare", "-n", "sh", "-c", script, "sh", ...paths]);
  const lines = ran.stdout.toString().split("\n");
  return {
    listing: lines.filter((line) => !line.startsWith("#failed")).join("\n"),
    error: ran.stderr.toString(),
    failed: lines.filter((line) => line.startsWith("#failed")).map((line) => Number(line.slice(8))),
  };
}

function expectSame(one: Loaded, other: Loaded): void {
  expect({ failed: one.failed, error: one.error }).toEqual({ failed: [], error: "" });
  expect(normalListing(one.listing)).toBe(normalListing(other.listing));
}

const before = sampleTable(["10.100.0.2", "10.100.0.3"]);
const after = sampleTable(["10.100.0.2", "10.100.0.4"]);

describe("a full text", () => {
  test("loads into an empty namespace and says so by its marker", () => {
    const loaded = load([rulesetText(before, MARK_A)]);
    expect(loaded.error).toBe("");
    expect(loaded.listing).toContain(`elements = { ${MARK_A} }`);
    expect(loaded.listing).toContain('"wg0" . 10.100.0.3');
    expect(loaded.listing).toContain("0x00010000/16 accept");
  });

  test("loaded twice is loaded once", () => {
    const text = rulesetText(before, MARK_A);
    expectSame(load([text, text]), load([text]));
  });

  test("lists the same in every namespace with the same epoch, and otherwise with another", () => {
    const text = rulesetText(before, MARK_A);
    expect(load([text], 7).listing).toBe(load([text], 7).listing);
    expect(load([text], 7).listing).not.toBe(load([text], 8).listing);
    expect(load([text], 8).listing).toContain("0x00080000/16 accept");
  });

  test("takes out sets, maps, chains and counters that the next generation does not have", () => {
    const { sets, chains, counters } = before;
    const less = table(
      counters.filter((name) => name !== "c_spoof"),
      sets.filter((one) => !["s_grant4", "m_prof4", "s_lan4", "s_src4"].includes(one.name)),
      chains
        .filter((one) => !["p_split", "b_raw"].includes(one.name))
        .map((one) => (one.name === "z_wg" ? chain("z_wg", ["drop"]) : one)),
    );
    expectSame(load([rulesetText(before, MARK_A), fullText(less, before, MARK_B)]), load([rulesetText(less, MARK_B)]));
    expectSame(load([rulesetText(less, MARK_B), fullText(before, less, MARK_A)]), load([rulesetText(before, MARK_A)]));
  });

  test("changes the type of a set, the hook of a base chain and the kind of a chain in one transaction", () => {
    const one = table(
      ["c_x"],
      [set("s_a", "ipv4_addr", ["10.0.0.0/8"], true), map("v_a", "ipv4_addr", "verdict", ["10.0.0.1 : goto z_a"])],
      [
        chain("z_a", ["drop"]),
        base("b_a", "input", 0, ["ip saddr @s_a accept", "ip saddr vmap @v_a"]),
        base("b_b", "forward", 0, ["drop"]),
      ],
    );
    const other = table(
      ["c_x"],
      [set("s_a", "ipv6_addr", ["fd00::1"]), set("v_a", "mark", ["0x00000005"])],
      [
        base("z_a", "output", 5, ["ip6 saddr @s_a counter name c_x accept"], "accept"),
        base("b_a", "forward", 10, ["meta mark @v_a accept"]),
        chain("b_b", ["accept"]),
      ],
    );
    expectSame(load([rulesetText(one, MARK_A), fullText(other, one, MARK_B)]), load([rulesetText(other, MARK_B)]));
    expectSame(load([rulesetText(other, MARK_B), fullText(one, other, MARK_A)]), load([rulesetText(one, MARK_A)]));
  });

  test("replaces wide intervals by narrow ones and back", () => {
    const blocks = (elements: readonly string[]) =>
      table([], [set("s_a", "ipv4_addr", elements, true)], [base("b_a", "input", 0, ["ip saddr @s_a accept"])]);
    const wide = blocks(["10.0.0.0/8"]);
    const narrow = blocks(["10.0.0.0/9", "10.200.0.0/16"]);
    const texts = [rulesetText(wide, MARK_A), fullText(narrow, wide, MARK_B), fullText(wide, narrow, MARK_A)];
    expectSame(load(texts.slice(0, 2)), load([rulesetText(narrow, MARK_B)]));
    expectSame(load(texts), load(texts.slice(0, 1)));
  });

  test("keeps named counters counting", () => {
    const text = rulesetText(before, MARK_A);
    const path = join(folder, "counters.nft");
    writeFileSync(path, text);
    const script = `ip link set lo up; nft -D HF_EPOCH=0x00010000 -f ${path}
      printf x | timeout 1 bash -c 'cat >/dev/tcp/127.0.0.1/8022' 2>/dev/null
      nft -D HF_EPOCH=0x00010000 -f ${path}; nft list counter inet holdfast c_api`;
    const out = Bun.spawnSync(["unshare", "-n", "sh", "-c", script]).stdout.toString();
    expect(Number(/packets (\d+)/.exec(out)?.[1])).toBeGreaterThan(0);
  });

  test("cut short at any line never carries the marker", () => {
    const lines = fullText(after, before, MARK_B).split("\n");
    const untouched = normalListing(load([rulesetText(before, MARK_A)]).listing);
    let committed = 0;
    for (let cut = 0; cut < lines.length - 2; cut += 1) {
      const loaded = load([rulesetText(before, MARK_A), `${lines.slice(0, cut).join("\n")}\n`]);
      expect(loaded.listing).not.toContain(MARK_B);
      // Either nothing happened, or the old marker is gone as well.
      if (loaded.listing.includes(MARK_A)) {
        expect(normalListing(loaded.listing)).toBe(untouched);
      } else committed += 1;
    }
    expect(committed).toBeGreaterThan(0);
    expect(load([rulesetText(before, MARK_A), lines.join("\n")]).listing).toContain(MARK_B);
  }, 600_000);
});

describe("a delta text", () => {
  test("leads where the full text leads, and touches only what changes", () => {
    const delta = deltaText(before, after, MARK_A, MARK_B)!;
    expectSame(load([rulesetText(before, MARK_A), delta]), load([rulesetText(after, MARK_B)]));
    expect(delta).not.toContain("flush");
    expect(delta).not.toContain("10.100.0.2 :");
  });

  test("swaps a map's value under the same key", () => {
    const at = (port: number) =>
      table(
        [],
        [
          map("m_a", "inet_service", "ipv4_addr . inet_service", [`8443 : 10.0.0.9 . ${port}`]),
          map("v_a", "ipv4_addr", "verdict", [port === 1 ? "10.0.0.1 : accept" : "10.0.0.1 : drop"]),
        ],
        [base("b_a", "prerouting", -100, ["dnat ip to tcp dport map @m_a"], "accept", "nat")],
      );
    expectSame(
      load([rulesetText(at(1), MARK_A), deltaText(at(1), at(2), MARK_A, MARK_B)!]),
      load([rulesetText(at(2), MARK_B)]),
    );
  });

  test("is refused as a whole on a table that is not what it expects", () => {
    const delta = deltaText(before, after, MARK_A, MARK_B)!;
    const loaded = load([rulesetText(after, MARK_B), delta]);
    expect(loaded.failed).toEqual([1]);
    expect(normalListing(loaded.listing)).toBe(normalListing(load([rulesetText(after, MARK_B)]).listing));
  });
});

test("from any table to any other: full and delta texts lead to what an empty namespace would hold", () => {
  const seed = Number(process.env.HF_SEED ?? 20_260_101);
  let deltas = 0;
  for (let k = 0; k < Number(process.env.HF_CASES ?? 25); k += 1) {
    const random = randomNumbers("nft-text", seed, k);
    const from = randomTable(random);
    const other = randomTable(random);
    // Every other case keeps the structure, so that deltas are exercised too.
    const to =
      k % 2 === 0
        ? other
        : {
            ...from,
            sets: from.sets.map((one) => {
              const same = other.sets.find((candidate) => candidate.name === one.name && candidate.type === one.type);
              const known = new Set(from.chains.map((each) => each.name));
              const legal = same?.elements.filter((e) => !e.includes(" : goto ") || known.has(e.split(" : goto ")[1]!));
              return { ...one, elements: legal ?? one.elements };
            }),
          };
    const fresh = load([rulesetText(to, MARK_B)]);
    expect(`${k} ${fresh.error}`).toBe(`${k} `);
    expectSame(load([rulesetText(from, MARK_A), fullText(to, from, MARK_B)]), fresh);
    const delta = deltaText(from, to, MARK_A, MARK_B);
    if (delta === null) continue;
    deltas += 1;
    expectSame(load([rulesetText(from, MARK_A), delta]), fresh);
  }
  expect(deltas).toBeGreaterThan(0);
}, 120_000);
