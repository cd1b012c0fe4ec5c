/** Laws of keys, and of contracts, each with what breaks it. */
import { describe, expect, test } from "bun:test";
import { contractProblems, undecidedContracts } from "../../schemas/contract-laws.ts";
import { fromBase64, sha256Hex } from "../../schemas/digest.ts";
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
  const contract = { id: "c", kind: "deny" as const, from: "lab", to: "lan", services: ["web"], v4: true, v6: true };
  const found = (change: Partial<typeof contract>) =>
    contractProblems(
      intentWith((i) => i.contracts.push({ ...contract, ...change })),
      inventoryWith(),
    ).map((one) => `${one.code} ${one.path}`);

  test("refer to zones, networks, profiles, clients, the router and the internet", () => {
    for (const name of ["lab", "home", "full", "ann", "router", "internet"]) {
      expect(found({ from: name })).toEqual([]);
      expect(found({ to: name })).toEqual([]);
    }
    expect(found({ from: "no", to: "no", services: ["no"], v4: false, v6: false })).toEqual([
      "intent.no_such contracts[0].from",
      "intent.no_such contracts[0].to",
      "intent.no_such contracts[0].services[0]",
      "intent.family contracts[0]",
    ]);
  });

  test("are refused, one by one, because nothing decides them yet", () => {
    const intent = intentWith((i) => i.contracts.push({ ...contract }, { ...contract, id: "d" }));
    expect(undecidedContracts(intent).map((one) => `${one.code} ${one.path}`)).toEqual([
      "contract.undecided contracts[0]",
      "contract.undecided contracts[1]",
    ]);
    expect(undecidedContracts(intentWith())).toEqual([]);
  });
});
