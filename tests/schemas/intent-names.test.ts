/** Laws of names: each way to break one is named with code, place and fix. */
import { describe, expect, test } from "bun:test";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { breaks } from "./breaks.ts";
import { intentWith } from "./sites.ts";

const copy = <T>(list: T[], from: number, change: Partial<T> = {}): void => {
  list.push({ ...structuredClone(list[from]!), ...change });
};

test("the site that the other tests break is lawful", () => {
  expect(intentProblems(intentWith())).toEqual([]);
});

test("all problems are listed, not the first", () => {
  const found = intentProblems(
    intentWith((i) => {
      i.policies[0]!.to = "nowhere";
      i.networks[0]!.port = 51819;
      i.confirm.cap_s = 30;
    }),
  );
  expect(found.map((one) => one.code)).toEqual(["intent.no_such", "intent.port", "intent.window"]);
});

describe("names", () => {
  breaks([
    ["a router twice", (i) => copy(i.routers, 0), "intent.duplicate", "routers[2].id"],
    ["a zone twice", (i) => copy(i.zones, 1), "intent.duplicate", "zones[6].id"],
    ["a network with a zone's name", (i) => (i.networks[1]!.id = "lan"), "intent.duplicate", "networks[1].id"],
    ["a service twice", (i) => copy(i.services, 0), "intent.duplicate", "services[4].id"],
    ["a profile twice", (i) => copy(i.profiles, 3), "intent.duplicate", "profiles[5].id"],
    ["a policy twice", (i) => copy(i.policies, 0), "intent.duplicate", "policies[4].id"],
    [
      "a port forward twice",
      (i) => copy(i.port_forwards, 0, { port: 9000 }),
      "intent.duplicate",
      "port_forwards[2].id",
    ],
    ["a probe twice", (i) => copy(i.probes, 0), "intent.duplicate", "probes[3].id"],
    [
      "a contract twice",
      (i) => {
        i.contracts.push({
          id: "c",
          kind: "deny",
          from: "lab",
          to: "lan",
          services: [],
          v4: true,
          v6: true,
          ports: [],
        });
        copy(i.contracts, 0);
      },
      "intent.duplicate",
      "contracts[1].id",
    ],
    ["two constraints of a network", (i) => copy(i.constraints, 0), "intent.duplicate", "constraints[2].network"],
    ["masquerade twice", (i) => copy(i.masquerade, 0), "intent.duplicate", "masquerade[2]"],
    ["nat66 twice", (i) => copy(i.nat66, 0), "intent.duplicate", "nat66[1]"],
    ["an uplink twice", (i) => copy(i.routers[1]!.uplinks, 0), "intent.duplicate", "routers[1].uplinks[1].interface"],
    [
      "a management address twice",
      (i) => i.routers[0]!.management.addresses.push("10.0.0.1"),
      "intent.duplicate",
      "routers[0].management.addresses[2]",
    ],
    [
      "foreign rules twice",
      (i) => (i.routers[0]!.management.accept_foreign = ["inet fw4", "xdp wan0", "inet fw4"]),
      "intent.duplicate",
      "routers[0].management.accept_foreign[2]",
    ],
    [
      "a management zone twice",
      (i) => i.routers[0]!.management.zones.push("lan"),
      "intent.duplicate",
      "routers[0].management.zones[3]",
    ],
    ["a route twice", (i) => copy(i.routers[0]!.routes, 0), "intent.duplicate", "routers[0].routes[1]"],
    ["a DNS server twice", (i) => i.networks[0]!.dns.push("10.0.0.53"), "intent.duplicate", "networks[0].dns[1]"],
    [
      "an address of a service twice",
      (i) => i.services[1]!.addresses.push("10.0.0.10"),
      "intent.duplicate",
      "services[1].addresses[2]",
    ],
    ["a port of a service twice", (i) => copy(i.services[1]!.ports, 0), "intent.duplicate", "services[1].ports[1]"],
    ["a reach twice", (i) => copy(i.profiles[1]!.reach, 0), "intent.duplicate", "profiles[1].reach[1].zone"],
    [
      "a profile's service twice",
      (i) => i.profiles[1]!.services.push("web"),
      "intent.duplicate",
      "profiles[1].services[1]",
    ],
    [
      "an allowed profile twice",
      (i) => i.constraints[0]!.profiles.push("none"),
      "intent.duplicate",
      "constraints[0].profiles[3]",
    ],
    [
      "a policy's service twice",
      (i) => i.policies[2]!.services.push("dns"),
      "intent.duplicate",
      "policies[2].services[1]",
    ],
    ["a zone named router", (i) => (i.zones[3]!.id = "router"), "intent.reserved_name", "zones[3].id"],
    ["a network named rescue", (i) => (i.networks[2]!.id = "rescue"), "intent.reserved_name", "networks[2].id"],
    ["a profile named internet", (i) => (i.profiles[3]!.id = "internet"), "intent.reserved_name", "profiles[3].id"],
    ["a service named router", (i) => (i.services[2]!.id = "router"), "intent.reserved_name", "services[2].id"],
    ["a router named rescue", (i) => (i.routers[1]!.id = "rescue"), "intent.reserved_name", "routers[1].id"],
    [
      "the rescue lane's interface",
      (i) => (i.networks[0]!.interface = "hf-rescue"),
      "intent.reserved_name",
      "networks[0].interface",
    ],
    [
      "the loopback interface",
      (i) => i.zones[1]!.interfaces.push("lo"),
      "intent.reserved_name",
      "zones[1].interfaces[1]",
    ],
  ]);
});

describe("references", () => {
  breaks([
    ["a zone's router", (i) => (i.zones[3]!.router = "r9"), "intent.no_such", "zones[3].router"],
    ["a network's router", (i) => (i.networks[1]!.router = "r9"), "intent.no_such", "networks[1].router"],
    [
      "a management zone",
      (i) => (i.routers[0]!.management.zones[0] = "no"),
      "intent.no_such",
      "routers[0].management.zones[0]",
    ],
    ["a reached zone", (i) => (i.profiles[1]!.reach[0]!.zone = "no"), "intent.no_such", "profiles[1].reach[0].zone"],
    ["a profile's service", (i) => (i.profiles[1]!.services[0] = "no"), "intent.no_such", "profiles[1].services[0]"],
    ["a constrained network", (i) => (i.constraints[0]!.network = "no"), "intent.no_such", "constraints[0].network"],
    [
      "an allowed profile",
      (i) => (i.constraints[0]!.profiles[2] = "no"),
      "intent.no_such",
      "constraints[0].profiles[2]",
    ],
    ["a policy's source", (i) => (i.policies[0]!.from = "no"), "intent.no_such", "policies[0].from"],
    ["a policy from the router", (i) => (i.policies[0]!.from = "router"), "intent.no_such", "policies[0].from"],
    ["a policy's target", (i) => (i.policies[0]!.to = "no"), "intent.no_such", "policies[0].to"],
    ["a policy's service", (i) => (i.policies[2]!.services[0] = "no"), "intent.no_such", "policies[2].services[0]"],
    ["a port forward's zone", (i) => (i.port_forwards[0]!.zone = "no"), "intent.no_such", "port_forwards[0].zone"],
    ["what is masqueraded", (i) => (i.masquerade[0]!.from = "no"), "intent.no_such", "masquerade[0].from"],
    ["where NAT66 leads", (i) => (i.nat66[0]!.to = "no"), "intent.no_such", "nat66[0].to"],
    ["a probe's router", (i) => (i.probes[0]!.router = "no"), "intent.no_such", "probes[0].router"],
    ["the network of a handshake", (i) => (i.probes[2]!.target = "no"), "intent.no_such", "probes[2].target"],
    ["a policy between routers", (i) => (i.policies[3]!.to = "far"), "intent.other_router", "policies[3].to"],
    [
      "management from another router",
      (i) => i.routers[0]!.management.zones.push("far"),
      "intent.other_router",
      "routers[0].management.zones[3]",
    ],
    ["masquerade at another router", (i) => (i.masquerade[1]!.to = "wan2"), "intent.other_router", "masquerade[1].to"],
    [
      "a handshake with another router",
      (i) => (i.probes[2]!.target = "away"),
      "intent.other_router",
      "probes[2].target",
    ],
    [
      "a profile of another router's zone",
      (i) => i.constraints[0]!.profiles.push("far"),
      "intent.other_router",
      "constraints[0].profiles[3]",
    ],
  ]);
});
