/** Laws of ports: services, lanes, port-forwards, endpoints, probes. A lane's port belongs to the lane alone. */
import type { PortForward, Probe, Service } from "./intent.ts";
import { type IntentIndex, type Law, prefixesOf, RESCUE_PORT, sideHolding } from "./intent-laws-index.ts";
import { contains, formatIp, isCanonicalIp, parseIp, parsePrefix } from "./ip.ts";
import { type Problem, problem } from "./problem.ts";

/** UDP ports that the router itself answers or asks from: DNS, DHCP, NTP, DHCPv6. A stateless lane there breaks them. */
const ROUTER_UDP: readonly number[] = [53, 67, 68, 123, 546, 547];

/** Port ranges of a service: tcp and udp name ports in order, icmp has none. */
export const servicePorts: Law = ({ intent }) =>
  intent.services.flatMap((service, s) =>
    service.ports.flatMap((port, p): Problem[] => {
      const path = `services[${s}].ports[${p}]`;
      if (port.protocol === "icmp") {
        if (port.from === 0 && port.to === 0) return [];
        return [problem("intent.service", path, "icmp has no ports: remove from and to.")];
      }
      if (port.from === 0) {
        return [problem("intent.service", path, `${port.protocol} needs a port: set from, and to for a range.`)];
      }
      if (port.to === 0 || port.from <= port.to) return [];
      const text = `The range ends at ${port.to}, before it starts at ${port.from}: swap from and to.`;
      return [problem("intent.service", `${path}.to`, text)];
    }),
  );

/** Service addresses do not overlap each other (an nft interval set refuses it) and lie in no WireGuard network (V13). */
export const serviceAddresses: Law = ({ intent }) =>
  intent.services.flatMap((service, s) => {
    const networks = intent.networks.map((network) => ({ network, subnets: prefixesOf(network.subnets) }));
    const hosts = service.addresses.map(addressPrefix);
    return hosts.flatMap((prefix, a): Problem[] => {
      const path = `services[${s}].addresses[${a}]`;
      if (prefix === undefined) return [];
      const tunnel = networks.find(({ subnets }) => subnets.some((subnet) => touches(subnet, prefix)));
      if (tunnel !== undefined) {
        const text = `${service.addresses[a]} touches WireGuard network ${tunnel.network.id}: clients do not reach clients; name a host of a zone.`;
        return [problem("intent.wg_to_wg", path, text)];
      }
      const twin = hosts.findIndex((other, i) => i < a && other !== undefined && touches(other, prefix));
      if (twin < 0) return [];
      const text = `${service.addresses[a]} and ${service.addresses[twin]} overlap: keep the larger one.`;
      return [problem("intent.service", path, text)];
    });
  });

type Parsed = NonNullable<ReturnType<typeof parsePrefix>>;
const touches = (a: Parsed, b: Parsed): boolean => contains(a, b) || contains(b, a);

/** An address or prefix of a service as a prefix. */
export function addressPrefix(text: string): Parsed | undefined {
  return parsePrefix(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`);
}

/** WireGuard ports: one network each, and free of the rescue lane and of what the router itself speaks. */
export const networkPorts: Law = ({ intent }) => {
  const first = new Map<string, string>();
  return intent.networks.flatMap(({ id, router, port }, n): Problem[] => {
    const path = `networks[${n}].port`;
    if (port === RESCUE_PORT) {
      return [problem("intent.port", path, `Port ${port} is the rescue lane's: choose another, from 51820 up.`)];
    }
    if (ROUTER_UDP.includes(port)) {
      return [
        problem("intent.port", path, `The router itself speaks on UDP port ${port}: choose another, from 51820 up.`),
      ];
    }
    const key = `${router} ${port}`;
    const before = first.get(key);
    if (before === undefined) first.set(key, id);
    if (before === undefined) return [];
    return [
      problem("intent.port", path, `Network ${before} of router ${router} has port ${port} already: choose another.`),
    ];
  });
};

/** The management port is not one that the router's own services need. */
export const managementPort: Law = ({ intent }) =>
  intent.routers.flatMap(({ management: { port } }, r): Problem[] => {
    if (port !== 53) return [];
    return [
      problem("intent.port", `routers[${r}].management.port`, "TCP port 53 is the router's DNS: choose another."),
    ];
  });

/** Endpoints are what clients dial: a real name or address, and never one inside a tunnel (a routing loop). */
export const endpoints: Law = ({ intent, sides }) =>
  intent.networks.flatMap((network, n): Problem[] => {
    const path = `networks[${n}].endpoint`;
    const host = network.endpoint.slice(0, network.endpoint.lastIndexOf(":")).replace(/^\[|\]$/g, "");
    const ip = parseIp(host);
    if (ip === undefined) {
      const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
      const labels = host.split(".");
      if (labels.every((part) => label.test(part)) && !/^[0-9]+$/.test(labels.at(-1) ?? "")) return [];
      return [problem("intent.endpoint", path, `${host} is neither a host name nor an address: correct it.`)];
    }
    if (!isCanonicalIp(host)) return [problem("intent.endpoint", path, `Write the address as ${formatIp(ip)}.`)];
    const tunnel = [...sides.values()].find(
      (side) => side.kind === "network" && side.subnets.some((subnet) => contains(subnet, ip)),
    );
    if (tunnel === undefined) return [];
    const text = `${host} lies in WireGuard network ${tunnel.id}: the tunnel would carry itself; name an outside address.`;
    return [problem("intent.endpoint", path, text)];
  });

const rangeOf = (forward: PortForward): readonly [number, number] => [forward.port, forward.port + forward.count - 1];

/** What of the router a forward would take away; undefined when nothing. */
function shadowed({ intent, routers }: IntentIndex, router: string, forward: PortForward): string | undefined {
  const [from, to] = rangeOf(forward);
  const within = (port: number): boolean => port >= from && port <= to;
  if (forward.protocol === "tcp") {
    const port = routers.get(router)?.management.port;
    return port !== undefined && within(port) ? `management (TCP port ${port})` : undefined;
  }
  if (within(RESCUE_PORT)) return `the rescue lane (UDP port ${RESCUE_PORT})`;
  const network = intent.networks.find((one) => one.router === router && within(one.port));
  return network === undefined ? undefined : `network ${network.id} (UDP port ${network.port})`;
}

function forwardProblems(index: IntentIndex, forward: PortForward, path: string): readonly Problem[] {
  const zone = index.zones.get(forward.zone);
  const found: Problem[] = [];
  if (forward.port + forward.count - 1 > 65535 || forward.to_port + forward.count - 1 > 65535) {
    found.push(problem("intent.port_forward", `${path}.count`, "The range passes port 65535: lower count."));
  }
  if (zone === undefined) return found;
  if (zone.kind !== "uplink") {
    const text = `Zone ${zone.id} is no uplink: port-forwards come from outside; name an uplink zone.`;
    return [...found, problem("intent.port_forward", `${path}.zone`, text)];
  }
  const own = index.locals.some((local) => local.side === zone.id && local.text === forward.address);
  if (!own) {
    const text = `${forward.address} is no static address of an uplink in zone ${zone.id}: name one, or give the uplink this address.`;
    found.push(problem("intent.port_forward", `${path}.address`, text));
  }
  const lane = shadowed(index, zone.router, forward);
  if (lane !== undefined) {
    const text = `Ports ${rangeOf(forward).join(" to ")} would take away ${lane}: choose other ports.`;
    found.push(problem("intent.port_forward", `${path}.port`, text));
  }
  const target = parseIp(forward.to_address);
  const side = target === undefined ? undefined : sideHolding(index, zone.router, target);
  const local = index.locals.some((one) => one.router === zone.router && one.text === forward.to_address);
  if (side === undefined || side.kind === "network" || local) {
    const text = local
      ? `${forward.to_address} is the router itself: open its port with a policy to router instead.`
      : `${forward.to_address} is in no subnet of a zone behind router ${zone.router}: name a host there.`;
    found.push(problem("intent.port_forward", `${path}.to_address`, text));
  }
  return found;
}

/** Port-forwards start at an uplink, end at a host inside, and collide with nothing. */
export const portForwards: Law = (index) =>
  index.intent.port_forwards.flatMap((forward, f, all) => {
    const [from, to] = rangeOf(forward);
    const twin = all.slice(0, f).find((other) => {
      const [low, high] = rangeOf(other);
      const same = other.zone === forward.zone && other.address === forward.address;
      return same && other.protocol === forward.protocol && from <= high && low <= to;
    });
    const path = `port_forwards[${f}]`;
    const found = forwardProblems(index, forward, path);
    if (twin === undefined) return found;
    const text = `Its ports overlap those of port forward ${twin.id} at the same address: choose other ports.`;
    return [...found, problem("intent.port_forward", `${path}.port`, text)];
  });

/** A probe has the fields of its kind, and only those. */
export const probes: Law = ({ intent }) =>
  intent.probes.flatMap((probe, p): Problem[] => {
    const path = `probes[${p}]`;
    const found: Problem[] = [];
    if ((probe.kind === "tcp") !== (probe.port !== 0)) {
      const text =
        probe.kind === "tcp" ? "A tcp probe needs a port: set it." : `A ${probe.kind} probe has no port: remove it.`;
      found.push(problem("intent.probe", `${path}.port`, text));
    }
    if (probe.kind !== "handshake" && parseIp(probe.target) === undefined) {
      const text = `A ${probe.kind} probe needs an address, because names may not resolve in a trial: write one.`;
      found.push(problem("intent.probe", `${path}.target`, text));
    }
    return found;
  });

/** The confirm window lies inside the absolute cap, which includes the apply. */
export const confirmWindow: Law = ({ intent: { confirm } }) => {
  if (confirm.window_s <= confirm.cap_s) return [];
  const text = `The window of ${confirm.window_s} s is longer than cap_s, ${confirm.cap_s} s, which includes it: raise cap_s.`;
  return [problem("intent.window", "confirm.cap_s", text)];
};

/** How long a probe may take, in seconds: every attempt to its end; ping counts in whole seconds. */
function probeSeconds({ kind, timeout_ms, attempts }: Probe): number {
  return attempts * (kind === "ping" ? Math.ceil(timeout_ms / 1000) : timeout_ms / 1000);
}

/**
 * Probes run before the first change and after the apply, all of a router at once, and the window begins after them:
 * the slowest of them twice, and the window, lie inside the cap. Otherwise the cap would take the window's end away.
 */
export const probeBudget: Law = ({ intent: { probes, confirm } }) => {
  if (confirm.window_s > confirm.cap_s) return [];
  return probes.flatMap((probe, p): Problem[] => {
    const needS = 2 * probeSeconds(probe) + confirm.window_s;
    if (needS <= confirm.cap_s) return [];
    const each = `${probe.attempts} attempts of ${probe.timeout_ms} ms, before and after the apply, and the window of ${confirm.window_s} s take ${Math.ceil(needS)} s`;
    const text = `Probe ${probe.id} does not fit: ${each}, and cap_s is ${confirm.cap_s} s: raise cap_s or shorten the probe.`;
    return [problem("intent.probe_budget", `probes[${p}].timeout_ms`, text)];
  });
};

/** True when a service includes a TCP port. */
export function coversTcp(service: Service, port: number): boolean {
  return service.ports.some((range) => {
    const to = range.to === 0 ? range.from : range.to;
    return range.protocol === "tcp" && range.from <= port && port <= to;
  });
}
