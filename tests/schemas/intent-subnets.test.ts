/** Laws of address space, each with what breaks it. V numbers are the reference's. */
import { describe, expect, test } from "bun:test";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { breaks } from "./breaks.ts";
import { intentWith } from "./sites.ts";

describe("V12: subnets are disjoint", () => {
  breaks([
    [
      "a network over a LAN",
      (i) => (i.networks[0]!.subnets[0] = "10.0.0.0/16"),
      "intent.overlap",
      "networks[0].subnets[0]",
    ],
    [
      "a network inside a LAN",
      (i) => (i.networks[1]!.subnets[0] = "10.0.0.128/25"),
      "intent.overlap",
      "networks[1].subnets[0]",
    ],
    ["two networks", (i) => (i.networks[1]!.subnets[0] = "10.8.0.0/25"), "intent.overlap", "networks[1].subnets[0]"],
    [
      "two networks in IPv6",
      (i) => i.networks[1]!.subnets.push("fd42:1:1:8::/80"),
      "intent.overlap",
      "networks[1].subnets[1]",
    ],
    [
      "a network of another router",
      (i) => (i.networks[2]!.subnets[0] = "10.0.0.0/24"),
      "intent.overlap",
      "networks[2].subnets[0]",
    ],
    ["two zones", (i) => (i.zones[2]!.subnets[0] = "10.0.0.0/25"), "intent.overlap", "zones[2].subnets[0]"],
    ["one zone with itself", (i) => i.zones[1]!.subnets.push("10.0.0.0/25"), "intent.overlap", "zones[1].subnets[2]"],
    [
      "a LAN and the uplink",
      (i) => (i.zones[2]!.subnets[0] = "198.51.0.0/16"),
      "intent.overlap",
      "routers[0].uplinks[0].addresses[0]",
    ],
    [
      "the uplink's own subnet",
      (i) => i.zones[2]!.subnets.push("198.51.100.128/25"),
      "intent.overlap",
      "routers[0].uplinks[0].addresses[0]",
    ],
  ]);

  test("an uplink zone may name the uplink's subnet, and two routers may sit behind one provider", () => {
    const found = intentProblems(
      intentWith((i) => {
        i.zones[0]!.subnets.push("198.51.100.0/24");
        i.routers[1]!.uplinks[0] = { ...i.routers[0]!.uplinks[0]!, addresses: ["198.51.100.3/24"], gateways: [] };
      }),
    );
    expect(found).toEqual([]);
  });
});

describe("V14: inside IPv6 is unique local, from one /48", () => {
  breaks([
    [
      "a global subnet of a network",
      (i) => (i.networks[0]!.subnets[1] = "2001:db8:8::/64"),
      "intent.not_ula",
      "networks[0].subnets[1]",
    ],
    [
      "a global subnet of a zone",
      (i) => (i.zones[1]!.subnets[1] = "2001:db8:1::/64"),
      "intent.not_ula",
      "zones[1].subnets[1]",
    ],
    [
      "a global address of a LAN",
      (i) => (i.routers[0]!.addresses[1]!.cidr = "2001:db8:1::1/64"),
      "intent.not_ula",
      "routers[0].addresses[1]",
    ],
    ["another ULA", (i) => (i.networks[0]!.subnets[1] = "fd42:1:2:8::/64"), "intent.not_ula", "networks[0].subnets[1]"],
    ["no prefix of the site", (i) => (i.ula_prefix = ""), "intent.not_ula", "zones[1].subnets[1]"],
    ["a global prefix", (i) => (i.ula_prefix = "2001:db8:1::/48"), "intent.not_ula", "ula_prefix"],
    ["a prefix that is no /48", (i) => (i.ula_prefix = "fd42:1::/32"), "intent.not_ula", "ula_prefix"],
    ["an IPv4 prefix", (i) => (i.ula_prefix = "10.0.0.0/8"), "intent.not_ula", "ula_prefix"],
    [
      "a route to a global prefix inside",
      (i) => i.routers[0]!.routes.push({ to: "2001:db8:9::/48", via: "fe80::9", interface: "lan0", metric: 0 }),
      "intent.not_ula",
      "routers[0].routes[1].to",
    ],
    [
      "NAT66 without IPv6 egress",
      (i) => (i.routers[0]!.uplinks[0]!.gateways = ["198.51.100.1"]),
      "intent.nat66",
      "nat66[0].to",
    ],
    ["IPv6 internet without the NAT66 opt-in", (i) => (i.nat66 = []), "intent.nat66", "constraints[0].profiles[0]"],
    ["NAT66 of IPv4", (i) => (i.nat66[0]!.from = "desk"), "intent.nat66", "nat66[0].from"],
    ["NAT66 without forwarding", (i) => (i.routers[0]!.forward_v6 = false), "intent.nat66", "nat66[0]"],
    ["NAT66 into a LAN", (i) => (i.nat66[0]!.to = "lan"), "intent.nat66", "nat66[0].to"],
  ]);
});

describe("subnets and MTU", () => {
  breaks([
    ["two IPv4 subnets", (i) => (i.networks[0]!.subnets[1] = "10.8.1.0/24"), "intent.subnet", "networks[0].subnets[1]"],
    [
      "no room for a client",
      (i) => (i.networks[1]!.subnets[0] = "10.9.0.0/31"),
      "intent.subnet",
      "networks[1].subnets[0]",
    ],
    ["a zone without subnets", (i) => (i.zones[3]!.subnets = []), "intent.subnet", "zones[3]"],
    ["a tunnel wider than the uplink", (i) => (i.routers[0]!.uplinks[0]!.mtu = 1492), "intent.mtu", "networks[0].mtu"],
  ]);
});
