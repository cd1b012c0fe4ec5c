/** Laws of routers and their management, each with what breaks it. */
import { describe, expect, test } from "bun:test";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { breaks } from "./breaks.ts";
import { intentWith } from "./sites.ts";

const copy = <T>(list: T[], from: number, change: Partial<T> = {}): void => {
  list.push({ ...structuredClone(list[from]!), ...change });
};

describe("routers", () => {
  breaks([
    [
      "an interface in two zones",
      (i) => i.zones[2]!.interfaces.push("lan0"),
      "intent.interface",
      "zones[2].interfaces[1]",
    ],
    [
      "an interface twice in a zone",
      (i) => i.zones[2]!.interfaces.push("desk0"),
      "intent.interface",
      "zones[2].interfaces[1]",
    ],
    [
      "a WireGuard device in a zone",
      (i) => i.zones[2]!.interfaces.push("wgs1"),
      "intent.interface",
      "networks[0].interface",
    ],
    [
      "two networks with one device name",
      (i) => (i.networks[1]!.interface = "wgs1"),
      "intent.interface",
      "networks[1].interface",
    ],
    [
      "an uplink in no zone",
      (i) => (i.routers[0]!.uplinks[0]!.interface = "wan9"),
      "intent.interface",
      "routers[0].uplinks[0].interface",
    ],
    [
      "an address in no zone",
      (i) => (i.routers[0]!.addresses[2]!.interface = "x0"),
      "intent.interface",
      "routers[0].addresses[2].interface",
    ],
    [
      "a route in no zone",
      (i) => (i.routers[0]!.routes[0]!.interface = "x0"),
      "intent.interface",
      "routers[0].routes[0].interface",
    ],
    [
      "an uplink in an internal zone",
      (i) => (i.zones[0]!.kind = "internal"),
      "intent.uplink",
      "zones[0].interfaces[0]",
    ],
    ["a LAN in an uplink zone", (i) => i.zones[0]!.interfaces.push("lan9"), "intent.uplink", "zones[0].interfaces[1]"],
    ["DHCP on an uplink", (i) => (i.zones[0]!.dhcp = true), "intent.uplink", "zones[0].dhcp"],
    [
      "a dynamic uplink with an address",
      (i) => (i.routers[0]!.uplinks[0]!.dynamic = true),
      "intent.uplink",
      "routers[0].uplinks[0]",
    ],
    [
      "a static uplink without an address",
      (i) => (i.routers[1]!.uplinks[0]!.dynamic = false),
      "intent.uplink",
      "routers[1].uplinks[0]",
    ],
    [
      "two gateways of a family",
      (i) => (i.routers[0]!.uplinks[0]!.gateways[1] = "198.51.100.3"),
      "intent.uplink",
      "routers[0].uplinks[0].gateways[1]",
    ],
    [
      "a gateway out of reach",
      (i) => (i.routers[0]!.uplinks[0]!.gateways[0] = "192.0.2.1"),
      "intent.uplink",
      "routers[0].uplinks[0].gateways[0]",
    ],
    ["an address twice", (i) => copy(i.routers[0]!.addresses, 0), "intent.address", "routers[0].addresses[4]"],
    [
      "a broadcast address",
      (i) => (i.routers[0]!.addresses[2]!.cidr = "10.0.9.255/24"),
      "intent.address",
      "routers[0].addresses[2]",
    ],
    [
      "a network address",
      (i) => (i.routers[0]!.addresses[2]!.cidr = "10.0.9.0/24"),
      "intent.address",
      "routers[0].addresses[2]",
    ],
    [
      "an address in a WireGuard network",
      (i) => (i.routers[0]!.addresses[2]!.cidr = "10.8.0.7/32"),
      "intent.address",
      "routers[0].addresses[2]",
    ],
    [
      "an address on a WireGuard device",
      (i) => (i.routers[0]!.addresses[2]!.interface = "wgs1"),
      "intent.address",
      "routers[0].addresses[2].interface",
    ],
    [
      "an address outside its zone",
      (i) => (i.routers[0]!.addresses[2]!.cidr = "10.7.0.1/24"),
      "intent.address",
      "routers[0].addresses[2]",
    ],
    [
      "a route into a WireGuard device",
      (i) => (i.routers[0]!.routes[0]!.interface = "wgs1"),
      "intent.route",
      "routers[0].routes[0].interface",
    ],
    [
      "a route over a WireGuard network",
      (i) => (i.routers[0]!.routes[0]!.to = "10.8.0.128/25"),
      "intent.route",
      "routers[0].routes[0].to",
    ],
    [
      "a route through a stranger",
      (i) => (i.routers[0]!.routes[0]!.via = "10.7.0.1"),
      "intent.route",
      "routers[0].routes[0].via",
    ],
    [
      "a route of two families",
      (i) => (i.routers[0]!.routes[0]!.via = "fe80::1"),
      "intent.route",
      "routers[0].routes[0].via",
    ],
  ]);
});

describe("management", () => {
  breaks([
    [
      "an address of nobody",
      (i) => (i.routers[0]!.management.addresses[0] = "10.0.0.77"),
      "intent.management",
      "routers[0].management.addresses[0]",
    ],
    [
      "another router's address",
      (i) => (i.routers[0]!.management.addresses[0] = "10.1.0.1"),
      "intent.management",
      "routers[0].management.addresses[0]",
    ],
    [
      "no zone has the address family",
      (i) => {
        i.routers[0]!.management.addresses = ["fd42:1:1:1::1"];
        i.routers[0]!.management.zones = ["desk"];
      },
      "intent.management",
      "routers[0].management",
    ],
    [
      "an inside address, from outside only",
      (i) => (i.routers[1]!.management.zones = ["wan2"]),
      "intent.management",
      "routers[1].management",
    ],
    [
      "a management zone without management",
      (i) => i.routers[0]!.management.zones.splice(1, 1),
      "intent.management",
      "zones[2].kind",
    ],
    [
      "from an experimental zone",
      (i) => i.routers[0]!.management.zones.push("lab"),
      "intent.experimental",
      "routers[0].management.zones[3]",
    ],
    [
      "from an experimental network",
      (i) => i.routers[0]!.management.zones.push("exp"),
      "intent.experimental",
      "routers[0].management.zones[3]",
    ],
    [
      "at an experimental address",
      (i) => i.routers[0]!.management.addresses.push("10.0.30.1"),
      "intent.experimental",
      "routers[0].management.addresses[2]",
    ],
    [
      "the port of the router's DNS",
      (i) => (i.routers[0]!.management.port = 53),
      "intent.port",
      "routers[0].management.port",
    ],
    [
      "a policy that opens management elsewhere",
      (i) => (i.routers[0]!.management.zones = ["desk", "home"]),
      "intent.policy",
      "policies[1].services",
    ],
    [
      "a policy that opens management to a lab",
      (i) => (i.policies[2]!.services = []),
      "intent.experimental",
      "policies[2].services",
    ],
    [
      "a service that opens management to a lab",
      (i) => i.services[0]!.ports.push({ protocol: "tcp", from: 8000, to: 8100 }),
      "intent.experimental",
      "policies[2].services",
    ],
  ]);

  test("a WireGuard network and an uplink's own address may carry it", () => {
    const only = (address: string, zone: string) =>
      intentProblems(
        intentWith((i) => {
          Object.assign(i.routers[0]!.management, { addresses: [address], zones: ["desk", zone] });
          i.policies.splice(1, 1);
        }),
      );
    expect(only("10.0.0.1", "home")).toEqual([]);
    expect(only("10.8.0.1", "home")).toEqual([]);
    expect(only("198.51.100.2", "wan")).toEqual([]);
  });
});
