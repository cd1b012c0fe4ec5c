/** Laws of keys, and of contracts, each with what breaks it. */
import { describe, expect, test } from "bun:test";
import { contractProblems } from "../../schemas/contract-laws.ts";
import { fromBase64, sha256Hex } from "../../schemas/digest.ts";
import type { Contract } from "../../schemas/intent.ts";
import { keyFingerprint } from "../../schemas/inventory-laws-keys.ts";
import { inventoryBreaks as breaks, problemsAfter } from "./breaks.ts";
import { intentWith, inventoryWith, key } from "./sites.ts";

const burn = (publicKey: string) => ({
  fingerprint: sha256Hex(fromBase64(publicKey)!),
  kind: "wireguard" as const,
  reference: "",
  reason: "leaked",
  since: "",
});

describe("keys", () => {
  const at = "clients[1].grants[0].keys";
  breaks([
    [
      "a key of another client",
      (i) => (i.clients[1]!.grants[0]!.keys[0]!.public_key = key("ann", "home")),
      "inventory.key_reused",
      `${at}[0].public_key`,
    ],
    [
      "a key of another grant",
      (i) => (i.clients[0]!.grants[1]!.keys[0]!.public_key = key("ann", "home")),
      "inventory.key_reused",
      "clients[0].grants[1].keys[0].public_key",
    ],
    [
      "a staged key",
      (i) => (i.clients[1]!.grants[0]!.keys[0]!.public_key = key("ann", "home", 2)),
      "inventory.key_reused",
      `${at}[0].public_key`,
    ],
    [
      "a burnt key of the same grant",
      (i) => {
        const { keys } = i.clients[1]!.grants[0]!;
        keys.unshift({ ...keys[0]!, generation: 2, state: "burnt" });
        i.ledger.push(burn(keys[0]!.public_key));
      },
      "inventory.key_reused",
      `${at}[1].public_key`,
    ],
    [
      "a preshared key twice",
      (i) => (i.clients[1]!.grants[0]!.keys[0]!.psk = "a".repeat(64)),
      "inventory.psk_reused",
      `${at}[0].psk`,
    ],
    [
      "a live key of the ledger",
      (i) => i.ledger.push(burn(key("ben", "home"))),
      "inventory.key_burnt",
      `${at}[0].public_key`,
    ],
    [
      "a staged key of the ledger",
      (i) => i.ledger.push(burn(key("ann", "home", 2))),
      "inventory.key_burnt",
      "clients[0].grants[0].keys[1].public_key",
    ],
    [
      "a burnt key that the ledger does not know",
      (i) => (i.clients[1]!.grants[0]!.keys[0]!.state = "burnt"),
      "inventory.key_not_in_ledger",
      `${at}[0]`,
    ],
    [
      "two live keys",
      (i) => (i.clients[0]!.grants[0]!.keys[1]!.state = "live"),
      "inventory.key_count",
      "clients[0].grants[0].keys",
    ],
    [
      "an active client without a key",
      (i) => (i.clients[3]!.grants[0]!.keys = []),
      "inventory.key_count",
      "clients[3].grants[0].keys",
    ],
    [
      "an active client with a staged key only",
      (i) => (i.clients[3]!.grants[0]!.keys[0]!.state = "staged"),
      "inventory.key_count",
      "clients[3].grants[0].keys",
    ],
    [
      "a revoked client with a live key",
      (i) => (i.clients[1]!.state = "revoked"),
      "inventory.revoked_key",
      `${at}[0].state`,
    ],
  ]);

  test("an ssh entry of the ledger burns no WireGuard key", () => {
    expect(problemsAfter((i) => i.ledger.push({ ...burn(key("ben", "home")), kind: "ssh" }))).toEqual([]);
  });

  test("the fingerprint is of the 32 bytes, however the key came: no line feed changes it", () => {
    const publicKey = key("ben", "home");
    expect(keyFingerprint(publicKey)).toBe(sha256Hex(fromBase64(publicKey)!));
    expect(() => keyFingerprint(`${publicKey}\n`)).toThrow();
  });
});

describe("contracts", () => {
  const contract: Contract = {
    ...{ id: "c", kind: "only", from: "lan", to: "home", services: ["web"], v4: true, v6: true, ports: [] },
  };
  const found = (change: Partial<Contract>) =>
    contractProblems(
      intentWith((i) => i.contracts.push({ ...contract, ...change })),
      inventoryWith(),
    ).map((one) => `${one.code} ${one.path}`);

  test("refer to zones, networks, profiles, clients, addresses, the router and the internet", () => {
    for (const name of [
      "zone lab",
      "home",
      "profile full",
      "client ann",
      "ann",
      "10.0.0.7",
      "fd42:1:1:1::/64",
      "internet",
    ]) {
      expect([name, ...found({ from: name })]).toEqual([name]);
      expect([name, ...found({ to: name })]).toEqual([name]);
    }
    expect(found({ from: "no", to: "client lan", services: ["no"], v4: false, v6: false })).toEqual([
      "intent.no_such contracts[0].from",
      "intent.no_such contracts[0].to",
      "intent.no_such contracts[0].services[0]",
      "intent.family contracts[0]",
    ]);
  });

  test("a name that two things have says which one it means", () => {
    expect(found({ from: "lab" })).toEqual(["contract.ambiguous contracts[0].from"]);
    for (const from of ["zone lab", "profile lab"]) expect(found({ from })).toEqual([]);
  });

  test("lanes are services of the router alone, and dhcp is only let pass", () => {
    const lanes = ["wireguard", "rescue", "management", "dhcp"];
    expect(found({ from: "lan", to: "router", services: lanes })).toEqual([]);
    expect(found({ from: "lan", services: ["rescue"] })).toEqual(["intent.service contracts[0].services[0]"]);
    const asked = { kind: "allow" as const, from: "lan", to: "router", services: ["dhcp"] };
    expect(found(asked)).toEqual(["intent.service contracts[0].services[0]"]);
    const named = intentWith((i) => {
      i.services.push({ id: "rescue", addresses: [], ports: [{ protocol: "tcp", from: 1, to: 0 }] });
      i.contracts.push({ ...contract, from: "lan", to: "router", services: ["rescue"] });
    });
    expect(contractProblems(named, inventoryWith()).map((one) => one.code)).toEqual(["contract.ambiguous"]);
  });

  test("ports have numbers, in order; pings have none", () => {
    const bad = [
      { protocol: "tcp" as const, from: 0, to: 0 },
      { protocol: "udp" as const, from: 20, to: 10 },
      { protocol: "icmp" as const, from: 8, to: 0 },
    ];
    expect(found({ from: "lan", ports: bad })).toEqual([0, 1, 2].map((p) => `intent.service contracts[0].ports[${p}]`));
    expect(found({ from: "lan", ports: [{ protocol: "udp", from: 10, to: 20 }] })).toEqual([]);
  });
});
