/**
 * The defects of the systems before this one (reference/wireguard.md §1.4), each as a test that would fail if it came
 * back. Those that need a running kernel have their tests with the namespaces; here is what documents and texts show.
 */
import { describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markerOf, rulesetText } from "../../agent/core/nft-text.ts";
import { prove } from "../../agent/core/prove.ts";
import { clientConfig } from "../../agent/core/wg-text.ts";
import { editInventory } from "../../client/site/site.ts";
import { toHex } from "../../schemas/digest.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import type { Client, Inventory } from "../../schemas/inventory.ts";
import { inventoryProblems } from "../../schemas/inventory-laws.ts";
import { keyFingerprint } from "../../schemas/inventory-laws-keys.ts";
import { contains, formatPrefix, parseIp, parsePrefix, subtract } from "../../schemas/ip.ts";
import { exampleInput, homelab } from "../core/invariant-subjects.ts";
import { clientKeys } from "./fixture.ts";

const input = exampleInput("homelab");

function withClient(id: string, edit: (client: Client) => Client): Inventory {
  const clients = input.inventory.clients.map((client) => (client.id === id ? edit(client) : client));
  return { ...input.inventory, clients };
}

/** Codes of the laws over a changed inventory. */
const lawful = (inventory: Inventory): readonly string[] =>
  inventoryProblems(input.intent, inventory).map((one) => one.code);

const peersOf = (inventory: Inventory): readonly string[] => {
  const proven = prove({ ...input, inventory });
  if (!proven.ok) throw new Error(JSON.stringify(proven.problems));
  return proven.value.desired.links.flatMap((link) => link.peers.map((peer) => peer.publicKey));
};

/** Keys and what stands behind them, of one client's text. */
function configOf(client: string, network: string): ReadonlyMap<string, string> {
  const text = clientConfig({ ...input, client, network, privateKey: null, psk: null });
  if (!text.ok) throw new Error(JSON.stringify(text.problems));
  return new Map(text.value.split("\n").map((line) => line.split(" = ") as [string, string]));
}

describe("D1 to D10", () => {
  test("D1: no peer has its server's subnet, and no two peers share an address", () => {
    const all = homelab.desired.links.flatMap((link) => link.peers.flatMap((peer) => peer.allowedIps));
    for (const prefix of all) expect(prefix).toMatch(/\.\d+\/32$|:.*\/128$/);
    expect(new Set(all).size).toBe(all.length);
  });

  test("D2: an address that an allocator gave twice is refused, with both holders", () => {
    const inventory = withClient("bob-laptop", (client) => ({
      ...client,
      grants: [{ ...client.grants[0]!, addresses: ["10.100.17.4", client.grants[0]!.addresses[1]!] }],
    }));
    const [found, more] = inventoryProblems(input.intent, inventory);
    expect([found?.code, more]).toEqual(["inventory.address_taken", undefined]);
    expect(found?.detail).toContain("alice-phone");
  });

  test("D3: the ledger's gate fires for the raw key, whoever computed the fingerprint", () => {
    const { publicKey } = clientKeys("bob-laptop", "home");
    const raw = Buffer.from(publicKey, "base64");
    const digest = (bytes: Uint8Array | string): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    expect(keyFingerprint(publicKey)).toBe(digest(raw));
    const burn = (fingerprint: string): readonly string[] =>
      lawful({
        ...input.inventory,
        ledger: [...input.inventory.ledger, { fingerprint, kind: "wireguard", reference: "", reason: "", since: "" }],
      });
    expect(burn(digest(raw))).toEqual(["inventory.key_burnt"]);
    // The old recorder's mistake: the text of the key, with its line feed.
    expect(burn(digest(`${publicKey}\n`))).toEqual([]);
  });

  test("D4: a suspended client, and a key that was replaced, are no peers of the next generation", () => {
    const { publicKey } = clientKeys("bob-laptop", "home");
    expect(peersOf(input.inventory)).toContain(publicKey);
    expect(peersOf(withClient("bob-laptop", (one) => ({ ...one, state: "suspended" })))).not.toContain(publicKey);
    expect(peersOf(input.inventory)).not.toContain(clientKeys("probe-v6", "lab-v6", 1).publicKey);
    expect(peersOf(input.inventory)).toContain(clientKeys("probe-v6", "lab-v6", 2).publicKey);
  });

  test("D5: nothing of a revoked client is accepted, and internet means an uplink", () => {
    const elements = homelab.desired.nft.sets.flatMap((set) => set.elements);
    for (const gone of ["10.100.99.1", "10.100.61.2"]) {
      expect(elements.filter((element) => element.split(" ").includes(gone))).toEqual([]);
    }
    const friends = homelab.desired.nft.chains.find((chain) => chain.name === "p_o_friends")!;
    const accepts = friends.rules.filter((rule) => /goto c_stamp$/.test(rule));
    expect(accepts.length).toBeGreaterThan(0);
    for (const rule of accepts) expect(rule).toMatch(/oifname/);
  });

  test("D6: the ruleset touches no table but its own, and never leaves it empty under a drop policy", () => {
    const text = rulesetText(homelab.desired.nft, markerOf(toHex(new Uint8Array(32))));
    expect(text).not.toMatch(/flush ruleset|delete table/);
    for (const [, table] of text.matchAll(/^(?:table|flush table|add element|flush set|flush map) (\S+ \S+)/gm)) {
      expect(table).toBe("inet holdfast");
    }
  });

  test("D7: a client's text has no key but the router's public one; wgs1 is a name like any other", () => {
    const config = configOf("alice-phone", "home");
    expect(config.has("PrivateKey")).toBe(false);
    expect(config.get("PublicKey")).toBe(homelab.desired.links.find((link) => link.name === "wgs1")!.publicKey);
    expect([...config.values()]).not.toContain(clientKeys("alice-phone", "home").publicKey);
    expect(intentProblems(input.intent)).toEqual([]);
  });

  test("D8: a revoked client keeps its address, the router has its own, and the endpoint is the declared one", () => {
    const take = (address: string): readonly string[] =>
      lawful(withClient("carol-tv", (one) => ({ ...one, grants: [{ ...one.grants[0]!, addresses: [address] }] })));
    expect(take("10.100.99.1")).toEqual(["inventory.address_taken"]);
    expect(take("10.100.0.1")).toEqual(["inventory.address"]);
    expect(configOf("alice-phone", "home").get("Endpoint")).toBe("vpn.example.net:51820");
    // Prefixes are numbers: a cut inside a /8 need not be spelled like it.
    const rest = subtract([parsePrefix("10.0.0.0/8")!], [parsePrefix("10.0.0.0/9")!]);
    expect(rest.map(formatPrefix)).toEqual(["10.128.0.0/9"]);
  });

  test("D9: an edit leaves no copy behind and no wider mode; a key that was ever shared is burnt for good", () => {
    const folder = mkdtempSync(join(tmpdir(), "site-"));
    try {
      cpSync(join(import.meta.dir, "../../docs/examples/homelab"), folder, { recursive: true });
      const before = statSync(join(folder, "inventory.yaml")).mode;
      expect(editInventory(folder, (document) => document.setIn(["clients", 0, "owner"], "ann")).ok).toBe(true);
      expect(readdirSync(folder).sort()).toEqual(["intent.yaml", "inventory.yaml"]);
      expect(statSync(join(folder, "inventory.yaml")).mode).toBe(before);
      expect(readFileSync(join(folder, "inventory.yaml"), "utf8")).not.toMatch(/^\s*private/im);
    } finally {
      rmSync(folder, { recursive: true });
    }
    const shared = clientKeys("frank-phone", "home").publicKey;
    const again = withClient("carol-tv", (one) => ({
      ...one,
      grants: [{ ...one.grants[0]!, keys: [{ ...one.grants[0]!.keys[0]!, public_key: shared }] }],
    }));
    expect(lawful(again)).toEqual(["inventory.key_burnt"]);
  });

  test("D10: a full tunnel without some networks is a complement of prefixes", () => {
    const whole = [parsePrefix("0.0.0.0/0")!];
    expect(subtract(whole, [parsePrefix("192.168.7.0/24")!])).toHaveLength(24);
    const allowed = configOf("alice-laptop", "home")
      .get("AllowedIPs")!
      .split(", ")
      .map((text) => parsePrefix(text)!);
    const routed = (text: string): boolean => allowed.some((prefix) => contains(prefix, parseIp(text)!));
    for (const inside of ["10.0.0.10", "10.100.0.1", "8.8.8.8", "172.32.0.1", "192.0.3.1", "2001:db8::1"]) {
      expect(routed(inside)).toBe(true);
    }
    for (const outside of ["172.16.0.1", "172.31.255.254", "192.0.2.1"]) expect(routed(outside)).toBe(false);
  });
});
