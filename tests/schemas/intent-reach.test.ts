/** Laws of reach, each with what breaks it. V numbers are the reference's. */
import { describe, expect, test } from "bun:test";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { breaks } from "./breaks.ts";
import { intentWith } from "./sites.ts";

describe("V11: a profile needs what its network has", () => {
  breaks([
    [
      "internet without an uplink",
      (i) => (i.routers[0]!.uplinks = []),
      "intent.internet",
      "constraints[0].profiles[0]",
    ],
    [
      "internet without a gateway",
      (i) => (i.routers[0]!.uplinks[0]!.gateways = ["fe80::1"]),
      "intent.internet",
      "constraints[0].profiles[0]",
    ],
    ["internet without masquerade", (i) => i.masquerade.shift(), "intent.internet", "constraints[0].profiles[0]"],
    ["IPv6 without an IPv6 subnet", (i) => i.networks[0]!.subnets.pop(), "intent.family", "constraints[0].profiles[0]"],
    [
      "IPv6 reach without forwarding",
      (i) => (i.routers[0]!.forward_v6 = false),
      "intent.family",
      "constraints[0].profiles[0]",
    ],
    [
      "IPv6 reach of a zone without it",
      (i) => (i.profiles[1]!.reach[0] = { zone: "desk", v4: true, v6: true }),
      "intent.family",
      "profiles[1].reach[0].v6",
    ],
    ["reach of no family", (i) => (i.profiles[1]!.reach[0]!.v4 = false), "intent.family", "profiles[1].reach[0]"],
    ["DNS without a server", (i) => (i.networks[0]!.dns = []), "intent.family", "constraints[0].profiles[0]"],
    [
      "DNS over IPv6 without a server",
      (i) => (i.profiles[0]!.dns.v6 = true),
      "intent.family",
      "constraints[0].profiles[0]",
    ],
    [
      "an uplink as reach",
      (i) => (i.profiles[1]!.reach[0]!.zone = "wan"),
      "intent.internet",
      "profiles[1].reach[0].zone",
    ],
    [
      "a policy of no family",
      (i) => Object.assign(i.policies[0]!, { v4: false, v6: false }),
      "intent.family",
      "policies[0]",
    ],
    ["masquerade into a LAN", (i) => (i.masquerade[0]!.to = "lan"), "intent.masquerade", "masquerade[0].to"],
    ["masquerade of an uplink", (i) => (i.masquerade[0]!.from = "wan"), "intent.masquerade", "masquerade[0].from"],
    [
      "masquerade without IPv4",
      (i) => (i.networks[0]!.subnets = ["fd42:1:1:8::/64"]),
      "intent.masquerade",
      "masquerade[0].from",
    ],
  ]);
});

describe("V13: WireGuard networks never meet", () => {
  breaks([
    [
      "by a policy",
      (i) => i.policies.push({ ...i.policies[0]!, id: "x", from: "home", to: "exp" }),
      "intent.wg_to_wg",
      "policies[4].to",
    ],
    [
      "by a policy of one network",
      (i) => i.policies.push({ ...i.policies[0]!, id: "x", from: "home", to: "home" }),
      "intent.wg_to_wg",
      "policies[4].to",
    ],
    ["by a profile", (i) => (i.profiles[1]!.reach[0]!.zone = "exp"), "intent.wg_to_wg", "profiles[1].reach[0].zone"],
    ["by a service", (i) => (i.services[1]!.addresses[0] = "10.9.0.2"), "intent.wg_to_wg", "services[1].addresses[0]"],
    [
      "by a service's prefix",
      (i) => (i.services[1]!.addresses[0] = "10.0.0.0/8"),
      "intent.wg_to_wg",
      "services[1].addresses[0]",
    ],
    ["by DNS", (i) => (i.networks[0]!.dns[0] = "10.9.0.1"), "intent.wg_to_wg", "networks[0].dns[0]"],
  ]);
});

describe("experimental stays apart", () => {
  breaks([
    [
      "a zone's policy to production",
      (i) => i.policies.push({ ...i.policies[3]!, id: "x", from: "lab", to: "lan" }),
      "intent.experimental",
      "policies[4].to",
    ],
    [
      "a network's policy to production",
      (i) => i.policies.push({ ...i.policies[3]!, id: "x", from: "exp", to: "lan" }),
      "intent.experimental",
      "policies[4].to",
    ],
    [
      "a policy to production clients",
      (i) => i.policies.push({ ...i.policies[3]!, id: "x", from: "lab", to: "home" }),
      "intent.experimental",
      "policies[4].to",
    ],
    [
      "a profile that reaches production",
      (i) => i.constraints[1]!.profiles.push("split"),
      "intent.experimental",
      "constraints[1].profiles[2]",
    ],
    [
      "a service of production",
      (i) => (i.profiles[2]!.services = ["web"]),
      "intent.experimental",
      "constraints[1].profiles[0]",
    ],
    [
      "a service that can be anywhere",
      (i) => (i.profiles[2]!.services = ["ping"]),
      "intent.experimental",
      "constraints[1].profiles[0]",
    ],
    [
      "a policy to production by name",
      (i) => i.policies.push({ ...i.policies[3]!, id: "x", from: "exp", to: "desk" }),
      "intent.experimental",
      "policies[4].to",
    ],
    ["DNS of production", (i) => (i.networks[1]!.dns = ["10.0.0.53"]), "intent.experimental", "networks[1].dns[0]"],
  ]);

  test("the router's own addresses may answer its DNS", () => {
    expect(intentProblems(intentWith((i) => (i.networks[1]!.dns = ["10.9.0.1", "10.0.0.1"])))).toEqual([]);
  });
});
