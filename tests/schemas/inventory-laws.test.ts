/** Laws of clients, grants and addresses, each with what breaks it. */
import { describe, expect, test } from "bun:test";
import { inventoryBreaks as breaks, problemsAfter } from "./breaks.ts";

test("the inventory that the other tests break is lawful", () => {
  expect(problemsAfter(() => undefined)).toEqual([]);
});

describe("names, references and dates", () => {
  breaks([
    ["a client twice", (i) => (i.clients[1]!.id = "ann"), "inventory.duplicate", "clients[1].id"],
    [
      "two grants on a network",
      (i) => i.clients[1]!.grants.push({ ...i.clients[1]!.grants[0]!, addresses: ["10.8.0.5"] }),
      "inventory.duplicate",
      "clients[1].grants[1].network",
    ],
    [
      "a client's service twice",
      (i) => i.clients[1]!.services.push("ping"),
      "inventory.duplicate",
      "clients[1].services[1]",
    ],
    [
      "a DNS hint twice",
      (i) => i.clients[0]!.hints.dns.push("10.0.0.53"),
      "inventory.duplicate",
      "clients[0].hints.dns[1]",
    ],
    [
      "an exclude twice",
      (i) => i.clients[0]!.hints.excludes.push("192.0.2.0/24"),
      "inventory.duplicate",
      "clients[0].hints.excludes[1]",
    ],
    ["a tombstone twice", (i) => i.tombstones.push({ ...i.tombstones[0]! }), "inventory.duplicate", "tombstones[1]"],
    ["a ledger entry twice", (i) => i.ledger.push({ ...i.ledger[0]! }), "inventory.duplicate", "ledger[1]"],
    [
      "a key generation twice",
      (i) => (i.clients[0]!.grants[0]!.keys[1]!.generation = 1),
      "inventory.duplicate",
      "clients[0].grants[0].keys[1].generation",
    ],
    ["a client named rescue", (i) => (i.clients[1]!.id = "rescue"), "inventory.reserved_name", "clients[1].id"],
    [
      "an unknown network",
      (i) => (i.clients[1]!.grants[0]!.network = "no"),
      "inventory.no_such",
      "clients[1].grants[0].network",
    ],
    [
      "an unknown profile",
      (i) => (i.clients[1]!.grants[0]!.profile = "no"),
      "inventory.no_such",
      "clients[1].grants[0].profile",
    ],
    ["an unknown service", (i) => (i.clients[1]!.services[0] = "no"), "inventory.no_such", "clients[1].services[0]"],
    ["30 February", (i) => (i.clients[0]!.expires = "2028-02-30"), "inventory.date", "clients[0].expires"],
    [
      "29 February of no leap year",
      (i) => (i.tombstones[0]!.since = "2100-02-29"),
      "inventory.date",
      "tombstones[0].since",
    ],
    ["month 13", (i) => (i.ledger[0]!.since = "2026-13-01"), "inventory.date", "ledger[0].since"],
  ]);
});

describe("grants", () => {
  breaks([
    [
      "a profile that the constraint leaves out",
      (i) => (i.clients[1]!.grants[0]!.profile = "lab"),
      "inventory.profile_not_allowed",
      "clients[1].grants[0].profile",
    ],
    [
      "a network that allows nothing",
      (_, intent) => (intent.constraints[0]!.profiles = []),
      "inventory.profile_not_allowed",
      "clients[0].grants[0].profile",
    ],
    [
      "without a constraint, a profile that its network cannot keep",
      (_, intent) => {
        intent.constraints.shift();
        intent.masquerade.shift();
      },
      "intent.internet",
      "clients[0].grants[0].profile",
    ],
    [
      "a family without an address",
      (i) => i.clients[0]!.grants[0]!.addresses.pop(),
      "inventory.family",
      "clients[0].grants[0].addresses",
    ],
    [
      "two addresses of a family",
      (i) => i.clients[1]!.grants[0]!.addresses.push("10.8.0.5"),
      "inventory.family",
      "clients[1].grants[0].addresses[1]",
    ],
    [
      "excludes without a full tunnel",
      (i) => (i.clients[1]!.hints.excludes = ["10.0.0.0/8"]),
      "inventory.excludes",
      "clients[1].hints.excludes",
    ],
    [
      "a service that is the router",
      (_, intent) => (intent.services[2]!.addresses = ["10.8.0.1"]),
      "intent.service",
      "clients[1].services[0]",
    ],
    [
      "production by service, on an experimental network",
      (i) => i.clients[0]!.services.push("web"),
      "intent.experimental",
      "clients[0].grants[1]",
    ],
  ]);
});

describe("addresses", () => {
  breaks([
    [
      "outside the network",
      (i) => (i.clients[1]!.grants[0]!.addresses[0] = "10.9.0.9"),
      "inventory.address",
      "clients[1].grants[0].addresses[0]",
    ],
    [
      "IPv6 on an IPv4 network",
      (i) => i.clients[0]!.grants[1]!.addresses.push("fd42:1:1:9::2"),
      "inventory.address",
      "clients[0].grants[1].addresses[1]",
    ],
    [
      "the network's own",
      (i) => (i.clients[1]!.grants[0]!.addresses[0] = "10.8.0.0"),
      "inventory.address",
      "clients[1].grants[0].addresses[0]",
    ],
    [
      "the broadcast",
      (i) => (i.clients[1]!.grants[0]!.addresses[0] = "10.8.0.255"),
      "inventory.address",
      "clients[1].grants[0].addresses[0]",
    ],
    [
      "the router's",
      (i) => (i.clients[1]!.grants[0]!.addresses[0] = "10.8.0.1"),
      "inventory.address",
      "clients[1].grants[0].addresses[0]",
    ],
    [
      "the router's in IPv6",
      (i) => (i.clients[0]!.grants[0]!.addresses[1] = "fd42:1:1:8::1"),
      "inventory.address",
      "clients[0].grants[0].addresses[1]",
    ],
    [
      "an active client's",
      (i) => (i.clients[1]!.grants[0]!.addresses[0] = "10.8.0.2"),
      "inventory.address_taken",
      "clients[1].grants[0].addresses[0]",
    ],
    [
      "a revoked client's",
      (i) => (i.clients[1]!.grants[0]!.addresses[0] = "10.8.0.4"),
      "inventory.address_taken",
      "clients[2].grants[0].addresses[0]",
    ],
    [
      "a buried one",
      (i) => (i.clients[1]!.grants[0]!.addresses[0] = "10.8.0.9"),
      "inventory.tombstone",
      "clients[1].grants[0].addresses[0]",
    ],
  ]);

  test("a tombstone lets the very client come back", () => {
    const found = problemsAfter((i) => {
      i.clients[1]!.id = "eve";
      i.clients[1]!.grants[0]!.addresses[0] = "10.8.0.9";
    });
    expect(found).toEqual([]);
  });
});
