/** The examples that people copy: lawful, proven, the same over the wire, loadable, with keys that belong to somebody. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { networksOf } from "../../agent/core/compile.ts";
import { markerOf, rulesetText } from "../../agent/core/nft-text.ts";
import { type Proven, prove } from "../../agent/core/prove.ts";
import { pskCommitment } from "../../agent/host/keys.ts";
import { readSite, type Site } from "../../client/site/site.ts";
import { toHex } from "../../schemas/digest.ts";
import { decode, encode } from "../../schemas/wire.ts";
import { clientKeys, clientPsk, makeTrust } from "./fixture.ts";

const EXAMPLES = join(import.meta.dir, "../../docs/examples");

function read(name: string): Site {
  const site = readSite(join(EXAMPLES, name));
  if (!site.ok) throw new Error(site.problems.map((one) => `${one.path} ${one.detail}`).join("\n"));
  return site.value;
}

function proven(site: Pick<Site, "intent" | "inventory">, name: string, router: string): Proven {
  const trust = makeTrust([router], networksOf(site.intent, router), { network: name, operators: ["alice", "bob"] });
  const { root, roster, reports } = trust;
  const result = prove({ ...site, root, roster, keys: reports.get(router)!, router });
  if (!result.ok) throw new Error(result.problems.map((one) => `${one.path} ${one.detail}`).join("\n"));
  return result.value;
}

/** What nft says to a file in a network namespace of its own; "" when it loads. Every device it names is not there. */
function loadProblems(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "ruleset-"));
  try {
    const file = join(folder, "ruleset.nft");
    writeFileSync(file, text);
    const load =
      'nft -D HF_EPOCH=0x00010000 -f "$1" && nft -D HF_EPOCH=0x00010000 -f "$1" && nft list table inet holdfast >/dev/null';
    const done = Bun.spawnSync(["unshare", "-n", "sh", "-c", load, "sh", file], { stdin: "ignore" });
    return done.exitCode === 0 ? "" : `exit ${done.exitCode}: ${done.stderr.toString()}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const [name, router] of [
  ["homelab", "r1"],
  ["branch", "b1"],
] as const) {
  describe(name, () => {
    const site = read(name);
    const { intent, inventory, desired, digest } = proven(site, name, router);

    test("the decoded documents prove to the same generation", () => {
      const sent = { intent: encode("Intent", intent), inventory: encode("Inventory", inventory) };
      const got = { intent: decode("Intent", sent.intent), inventory: decode("Inventory", sent.inventory) };
      if (!got.intent.ok || !got.inventory.ok) throw new Error(JSON.stringify(got));
      const again = proven({ intent: got.intent.value, inventory: got.inventory.value }, name, router);
      expect(toHex(again.digest)).toBe(toHex(digest));
    });

    test("the ruleset loads, twice, into an empty namespace", () => {
      expect(loadProblems(rulesetText(desired.nft, markerOf(toHex(digest))))).toBe("");
    });

    test("a ruleset with one wrong rule does not load: the check can fail", () => {
      const chains = desired.nft.chains.map((one) => (one.name === "b_input" ? { ...one, rules: ["tcp dport"] } : one));
      expect(loadProblems(rulesetText({ ...desired.nft, chains }, markerOf(toHex(digest))))).toContain("syntax error");
    });

    test("every key of a client is one whose private half tests can make", () => {
      for (const client of site.inventory.clients) {
        for (const { network, keys } of client.grants) {
          for (const { generation, public_key, psk } of keys) {
            expect(public_key).toBe(clientKeys(client.id, network, generation).publicKey);
            if (psk !== "") expect(psk).toBe(pskCommitment(clientPsk(client.id, network, generation)));
          }
        }
      }
    });
  });
}

describe("what the examples show", () => {
  const homelab = read("homelab");
  const branch = read("branch");

  test("homelab: twelve clients in all states, both families, both NATs, two experiments", () => {
    const { intent, inventory } = homelab;
    expect(inventory.clients).toHaveLength(12);
    expect(new Set(inventory.clients.map((client) => client.state))).toEqual(
      new Set(["active", "suspended", "revoked"]),
    );
    const keys = inventory.clients.flatMap((client) => client.grants.flatMap((grant) => grant.keys));
    expect(new Set(keys.map((key) => key.state))).toEqual(new Set(["live", "staged", "burnt"]));
    expect(new Set(keys.map((key) => key.origin))).toEqual(new Set(["client", "operator", "imported"]));
    expect(keys.some((key) => key.psk !== "")).toBe(true);
    expect(intent.networks.map((network) => network.class).sort()).toEqual([
      "experimental",
      "experimental",
      "production",
    ]);
    expect(intent.profiles.map((profile) => profile.id)).toEqual(expect.arrayContaining(["split", "full", "friends"]));
    expect([intent.masquerade.length, intent.nat66.length]).toEqual([4, 3]);
    expect(inventory.clients.some((client) => client.hints.excludes.length > 0)).toBe(true);
    expect([inventory.tombstones.length, inventory.ledger.length]).toEqual([1, 3]);
  });

  test("branch: three zones, two uplinks, port-forwards, two networks", () => {
    const { intent } = branch;
    expect(intent.zones.map((zone) => zone.id)).toEqual(["wan", "office", "dmz"]);
    expect(intent.routers[0]!.uplinks).toHaveLength(2);
    expect(intent.port_forwards.map((forward) => forward.count)).toEqual([1, 1, 100]);
    expect(intent.networks).toHaveLength(2);
  });
});
