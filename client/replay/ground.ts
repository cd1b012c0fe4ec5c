/**
 * A router built in a network namespace: devices of the right names, the addresses, routes, rules and settings of its
 * generation. `holdfast test` and the tests' fuzzing stand on the same ground.
 *
 * Uplinks and zones are veth pairs. WireGuard devices are TUN devices of the same name: layer 3, point to point and
 * without neighbours, as WireGuard is. They authenticate no source: what the ruleset does with a packet that WireGuard
 * would have refused is its own second check.
 *
 * What makes a packet's fate certain: no interface resolves neighbours (NOARP), link-local addresses are given and not
 * made, and what the kernel says of its own accord (errors, resets, echo replies, neighbour discovery) is dropped by a
 * table of its own before conntrack sees it, so that no flow has a state which nobody here made. TCP windows are
 * not judged (nf_conntrack_tcp_be_liberal, nf_conntrack_tcp_ignore_invalid_rst): they are no matter of the ruleset.
 */
import type { Desired, DesiredRoute } from "../../schemas/desired.ts";
import type { IntentInput } from "../../schemas/intent.ts";
import type { Wire } from "./ports.ts";

/** What a provider gives a dynamic uplink: not in the intent, and not in what it compiles to. */
export type Lease = {
  readonly interface: string;
  readonly cidrs: readonly string[];
  readonly gateways: readonly string[];
};

export type Ground = {
  readonly desired: Desired;
  readonly intent: Pick<IntentInput, "routers" | "zones">;
  readonly leases: readonly Lease[];
};

/** An interface that no zone has. */
export const STRANGER = "eth9";
/**
 * A namespace that ever had an IPv4 rule looks at sources more closely for good (fib_has_custom_rules): so that it does
 * not matter which sites came before, every yard has had one. A router with a static uplink has them anyway.
 */
export const RULE_ONCE = "ip -4 rule add priority 5 lookup main && ip -4 rule del priority 5";
/** Groups of routers are joined when forwarding begins, not by a device that comes later: so it begins anew. */
export const CALM = "sysctl -qw net.ipv6.conf.all.forwarding=0";
/** Link group of a site's wires, so that they go at once. */
export const GROUP = 7;
export const BELL = { inside: "fzbell", outside: "fzrope" } as const;

export type LocalAddress = { readonly interface: string; readonly cidr: string };

/** Interfaces of a site and their kind of device, in one order. */
export function interfacesOf({
  desired,
  intent,
}: Ground): readonly { readonly name: string; readonly tunnel: boolean; readonly mtu: number }[] {
  const tunnels = desired.links.map(({ name, mtu }) => ({ name, tunnel: true, mtu }));
  const uplinks = new Map(
    (intent.routers.find((one) => one.id === desired.router)!.uplinks ?? []).map((uplink) => [
      uplink.interface,
      uplink.mtu ?? 1500,
    ]),
  );
  const zones = (intent.zones ?? [])
    .filter((zone) => zone.router === desired.router)
    .flatMap((zone) => zone.interfaces);
  const wires = [...new Set([...zones, STRANGER])].map((name) => ({
    name,
    tunnel: false,
    mtu: uplinks.get(name) ?? 1500,
  }));
  return [...wires, ...tunnels];
}

/** Every address on the router: its generation's, what providers lease, and a link-local one for each device. */
export function addressesOf(site: Ground): readonly LocalAddress[] {
  const leased = site.leases.flatMap((lease) => lease.cidrs.map((cidr) => ({ interface: lease.interface, cidr })));
  const locals = interfacesOf(site).map(({ name }, i) => ({
    interface: name,
    cidr: `fe80::${(0xf0 + i).toString(16)}/64`,
  }));
  return [...site.desired.addresses, ...leased, ...locals];
}

export const LEASE_METRIC = 50;

export const SETTINGS: readonly string[] = [
  "net.ipv6.conf.default.addr_gen_mode=1",
  "net.ipv4.conf.all.rp_filter=0",
  "net.ipv4.conf.default.rp_filter=0",
  "net.ipv6.conf.default.accept_ra=0",
  "net.netfilter.nf_conntrack_tcp_be_liberal=1",
  "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1",
  // Flows outlive the site's packets, however slow the machine is.
  "net.netfilter.nf_conntrack_udp_timeout=3600",
  "net.netfilter.nf_conntrack_icmp_timeout=3600",
  "net.netfilter.nf_conntrack_icmpv6_timeout=3600",
  "net.netfilter.nf_conntrack_generic_timeout=3600",
  "net.netfilter.nf_conntrack_tcp_timeout_syn_sent=3600",
  "net.netfilter.nf_conntrack_tcp_timeout_syn_recv=3600",
  "net.netfilter.nf_conntrack_tcp_timeout_close=3600",
];

export const QUIET = `table inet hffuzz {
	chain quiet {
		type filter hook output priority -401; policy drop;
		meta skuid != 4294967294 accept
	}
}
`;

/** One shell script for the router's side: links, settings in the generation's order, addresses, routes, rules. */
export function routerScript(site: Ground, outside: string): string {
  const devices = interfacesOf(site);
  const wires = devices.filter((device) => !device.tunnel);
  const mac = (i: number): string => `02:00:00:00:00:${i.toString(16).padStart(2, "0")}`;
  const link = [
    ...wires.map(
      ({ name, mtu }) =>
        `link add name ${name} mtu ${mtu} address ${mac(devices.findIndex((one) => one.name === name))} type veth peer name q${devices.findIndex((one) => one.name === name)} mtu ${mtu} netns ${outside}`,
    ),
    `link add name ${BELL.inside} type veth peer name ${BELL.outside} netns ${outside}`,
    ...wires.map(({ name }) => `link set dev ${name} group ${GROUP} arp off up`),
    `link set dev ${BELL.inside} group ${GROUP} arp off up`,
    ...devices.filter((device) => device.tunnel).map(({ name, mtu }) => `link set dev ${name} mtu ${mtu} up`),
    ...addressesOf(site).map(
      ({ interface: name, cidr }) => `address add ${cidr} dev ${name}${cidr.includes(":") ? " nodad" : ""}`,
    ),
  ];
  const { routes, rules, sysctls } = site.desired;
  const way = (family: 4 | 6): string[] => [
    ...routes
      .filter((route) => route.family === family)
      .map(
        ({ to, via, interface: name, table, metric }) =>
          `route add ${to} ${via === "" ? "" : `via ${via} `}dev ${name} table ${table}${metric === 0 ? "" : ` metric ${metric}`}`,
      ),
    ...site.leases.flatMap((lease, i) =>
      lease.gateways
        .filter((gateway) => gateway.includes(":") === (family === 6))
        .map((via) => `route add default via ${via} dev ${lease.interface} metric ${LEASE_METRIC + i}`),
    ),
    ...rules
      .filter((rule) => rule.family === family)
      .map(({ priority, from, fwmark, fwmask, table }) => {
        const mark = fwmark === 0 ? "" : ` fwmark ${fwmark}/${fwmask}`;
        return `rule add priority ${priority}${from === "" ? "" : ` from ${from}`}${mark} lookup ${table}`;
      }),
  ];
  const batch = (option: string, lines: readonly string[]): string =>
    lines.length === 0 ? "" : `ip ${option} -batch - <<'END'\n${lines.join("\n")}\nEND\n`;
  const settings = [...sysctls.map(({ key, value }) => `${key}=${value}`)];
  return [
    "set -e\n",
    batch("", link),
    `sysctl -qw ${settings.join(" ")}\n`,
    batch("-4", way(4)),
    batch("-6", way(6)),
  ].join("");
}

export function outsideScript(site: Ground): string {
  const devices = interfacesOf(site);
  const peers = devices.flatMap((device, i) => (device.tunnel ? [] : [`q${i}`]));
  const lines = [...peers, BELL.outside].map((name) => `link set dev ${name} arp off up`);
  return `set -e\nip -batch - <<'END'\n${lines.join("\n")}\nEND\n`;
}

/** Ends of the devices for Ports, in the order of interfacesOf. */
export const wiresOf = (site: Ground): readonly Wire[] =>
  interfacesOf(site).map(({ name, tunnel }, i): Wire => {
    return { name, peer: tunnel ? "" : `q${i}`, mac: Uint8Array.from([2, 0, 0, 0, 0, i]) };
  });

/** The generation with what providers leased, as if the intent had named it: its proof stands in for such addresses. */
export function leased({ desired, leases }: Ground): Desired {
  const cidrs = leases.flatMap((lease) => lease.cidrs.map((cidr) => ({ interface: lease.interface, cidr })));
  const ways = leases.flatMap((lease, i) =>
    lease.gateways.map((via): DesiredRoute => {
      const family = via.includes(":") ? 6 : 4;
      const to = family === 6 ? "::/0" : "0.0.0.0/0";
      return { family, to, via, interface: lease.interface, table: 254, metric: LEASE_METRIC + i };
    }),
  );
  return { ...desired, addresses: [...desired.addresses, ...cidrs], routes: [...desired.routes, ...ways] };
}

export const epochWord = (epoch: number): string => `0x${epoch.toString(16).padStart(4, "0")}0000`;
