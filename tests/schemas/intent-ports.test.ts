/** Laws of policies, services, ports, forwards, probes and the window, each with what breaks it. */
import { describe } from "bun:test";
import { breaks } from "./breaks.ts";

describe("policies, services and ports", () => {
  breaks([
    ["inward from an uplink", (i) => (i.policies[3]!.from = "wan"), "intent.policy", "policies[3].from"],
    ["from a zone to itself", (i) => (i.policies[3]!.to = "lan"), "intent.policy", "policies[3].to"],
    [
      "everything of the router, from outside",
      (i) => (i.policies[1]!.from = "wan"),
      "intent.policy",
      "policies[1].services",
    ],
    [
      "a service that is not in the zone",
      (i) => (i.policies[3]!.services = ["web"]),
      "intent.policy",
      "policies[3].services[0]",
    ],
    [
      "a profile's service that is the router",
      (i) => (i.services[1]!.addresses[0] = "10.0.0.1"),
      "intent.service",
      "profiles[1].services[0]",
    ],
    [
      "a range that runs backwards",
      (i) => (i.services[1]!.ports[0]!.to = 442),
      "intent.service",
      "services[1].ports[0].to",
    ],
    [
      "tcp without a port",
      (i) => (i.services[1]!.ports[0] = { protocol: "tcp", from: 0, to: 0 }),
      "intent.service",
      "services[1].ports[0]",
    ],
    ["icmp with a port", (i) => (i.services[2]!.ports[0]!.from = 8), "intent.service", "services[2].ports[0]"],
    [
      "addresses that overlap",
      (i) => i.services[1]!.addresses.push("10.0.0.0/28"),
      "intent.service",
      "services[1].addresses[2]",
    ],
    ["the rescue lane's port", (i) => (i.networks[0]!.port = 51819), "intent.port", "networks[0].port"],
    ["the router's DNS port", (i) => (i.networks[0]!.port = 53), "intent.port", "networks[0].port"],
    ["two networks on one port", (i) => (i.networks[1]!.port = 51820), "intent.port", "networks[1].port"],
    [
      "an endpoint in the tunnel",
      (i) => (i.networks[0]!.endpoint = "10.8.0.1:51820"),
      "intent.endpoint",
      "networks[0].endpoint",
    ],
    [
      "an endpoint that is no name",
      (i) => (i.networks[0]!.endpoint = "vpn..example.net:51820"),
      "intent.endpoint",
      "networks[0].endpoint",
    ],
    [
      "an endpoint that is half an address",
      (i) => (i.networks[0]!.endpoint = "198.51.100:51820"),
      "intent.endpoint",
      "networks[0].endpoint",
    ],
    [
      "an endpoint in long form",
      (i) => (i.networks[2]!.endpoint = "[2001:db8:0::7]:51820"),
      "intent.endpoint",
      "networks[2].endpoint",
    ],
  ]);
});

describe("port-forwards", () => {
  breaks([
    ["from inside", (i) => (i.port_forwards[0]!.zone = "lan"), "intent.port_forward", "port_forwards[0].zone"],
    [
      "of another's address",
      (i) => (i.port_forwards[0]!.address = "198.51.100.9"),
      "intent.port_forward",
      "port_forwards[0].address",
    ],
    ["over management", (i) => (i.port_forwards[0]!.port = 8020), "intent.port_forward", "port_forwards[0].port"],
    ["over the rescue lane", (i) => (i.port_forwards[1]!.port = 51819), "intent.port_forward", "port_forwards[1].port"],
    [
      "over a network's port",
      (i) => Object.assign(i.port_forwards[1]!, { port: 51815, count: 10 }),
      "intent.port_forward",
      "port_forwards[1].port",
    ],
    [
      "over each other",
      (i) => i.port_forwards.push({ ...i.port_forwards[0]!, id: "x", port: 8009, count: 1 }),
      "intent.port_forward",
      "port_forwards[2].port",
    ],
    ["past the last port", (i) => (i.port_forwards[0]!.port = 65530), "intent.port_forward", "port_forwards[0].count"],
    [
      "to nowhere",
      (i) => (i.port_forwards[0]!.to_address = "10.7.0.1"),
      "intent.port_forward",
      "port_forwards[0].to_address",
    ],
    [
      "to the router",
      (i) => (i.port_forwards[0]!.to_address = "10.0.0.1"),
      "intent.port_forward",
      "port_forwards[0].to_address",
    ],
    [
      "to a client",
      (i) => (i.port_forwards[0]!.to_address = "10.8.0.2"),
      "intent.port_forward",
      "port_forwards[0].to_address",
    ],
    [
      "to another router's host",
      (i) => (i.port_forwards[0]!.to_address = "10.1.0.5"),
      "intent.port_forward",
      "port_forwards[0].to_address",
    ],
  ]);
});

describe("probes and window", () => {
  breaks([
    ["tcp without a port", (i) => (i.probes[1]!.port = 0), "intent.probe", "probes[1].port"],
    ["ping with a port", (i) => (i.probes[0]!.port = 7), "intent.probe", "probes[0].port"],
    ["a name to ping", (i) => (i.probes[0]!.target = "home"), "intent.probe", "probes[0].target"],
    ["a window longer than its cap", (i) => (i.confirm.window_s = 601), "intent.window", "confirm.cap_s"],
    ["a window that leaves no time", (i) => (i.confirm.window_s = 595), "intent.probe_budget", "probes[0].timeout_ms"],
    [
      "a probe slower than the cap allows",
      (i) => {
        // 2 * 3 * 9 s and 120 s: one second more than there is.
        Object.assign(i.confirm, { window_s: 120, cap_s: 173 });
        i.probes[1]!.timeout_ms = 9000;
      },
      "intent.probe_budget",
      "probes[1].timeout_ms",
    ],
    [
      "a ping, which counts whole seconds",
      (i) => {
        Object.assign(i.confirm, { window_s: 120, cap_s: 131 });
        i.probes[0]!.timeout_ms = 1001;
      },
      "intent.probe_budget",
      "probes[0].timeout_ms",
    ],
  ]);
});
