/**
 * One site's router in a network namespace of its own: devices of the right names, the addresses, routes, rules and
 * settings of its generation, and the ruleset as the router would load it.
 *
 * Uplinks and zones are veth pairs. WireGuard devices are TUN devices of the same name: layer 3, point to point and
 * without neighbours, as WireGuard is. They authenticate no source, so a packet may be put in that WireGuard would have
 * refused; the verifier takes that check as an assumption (AllowedIPs are host prefixes, held by other invariants), and
 * what the ruleset does with such a packet is its own second check, which is tried here too.
 *
 * What makes a packet's fate certain: no interface resolves neighbours (NOARP), link-local addresses are given and not
 * made, and what the kernel says of its own accord (errors, resets, echo replies, neighbour discovery) is dropped by a
 * table of the test before conntrack sees it, so that no flow has a state which the test did not make. TCP windows are
 * not judged (nf_conntrack_tcp_be_liberal, nf_conntrack_tcp_ignore_invalid_rst): they are no matter of the ruleset.
 */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rulesetText } from "../../agent/core/nft-text.ts";
import type { NftTable } from "../../schemas/desired.ts";
import { type Space, World } from "../netns/world.ts";
import { forgetFlows, openTun, within } from "./libc.ts";
import { Ports, type Wire } from "./ports.ts";
import type { Site } from "./sites.ts";

/** An interface that no zone has. */
export const STRANGER = "eth9";
/**
 * A namespace that ever had an IPv4 rule looks at sources more closely for good (fib_has_custom_rules): so that it does
 * not matter which sites came before, every yard has had one. A router with a static uplink has them anyway.
 */
const RULE_ONCE = "ip -4 rule add priority 5 lookup main && ip -4 rule del priority 5";
/** Groups of routers are joined when forwarding begins, not by a device that comes later: so it begins anew. */
const CALM = "sysctl -qw net.ipv6.conf.all.forwarding=0";
/** Link group of a site's wires, so that they go at once. */
const GROUP = 7;
const BELL = { inside: "fzbell", outside: "fzrope" } as const;

export type LocalAddress = { readonly interface: string; readonly cidr: string };

/** Interfaces of a site and their kind of device, in one order. */
export function interfacesOf({
  desired,
  intent,
}: Site): readonly { readonly name: string; readonly tunnel: boolean; readonly mtu: number }[] {
  const tunnels = desired.links.map(({ name, mtu }) => ({ name, tunnel: true, mtu }));
  const uplinks = new Map((intent.routers[0]!.uplinks ?? []).map((uplink) => [uplink.interface, uplink.mtu ?? 1500]));
  const zones = (intent.zones ?? []).flatMap((zone) => zone.interfaces);
  const wires = [...new Set([...zones, STRANGER])].map((name) => ({
    name,
    tunnel: false,
    mtu: uplinks.get(name) ?? 1500,
  }));
  return [...wires, ...tunnels];
}

/** Every address on the router: its generation's, what providers lease, and a link-local one for each device. */
export function addressesOf(site: Site): readonly LocalAddress[] {
  const leased = site.leases.flatMap((lease) => lease.cidrs.map((cidr) => ({ interface: lease.interface, cidr })));
  const locals = interfacesOf(site).map(({ name }, i) => ({
    interface: name,
    cidr: `fe80::${(0xf0 + i).toString(16)}/64`,
  }));
  return [...site.desired.addresses, ...leased, ...locals];
}

export const LEASE_METRIC = 50;

const SETTINGS: readonly string[] = [
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

const QUIET = `table inet hffuzz {
	chain quiet {
		type filter hook output priority -401; policy drop;
		meta skuid != 4294967294 accept
	}
}
`;

/** One shell script for the router's side: links, settings in the generation's order, addresses, routes, rules. */
function routerScript(site: Site, outside: string): string {
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

function outsideScript(site: Site): string {
  const devices = interfacesOf(site);
  const peers = devices.flatMap((device, i) => (device.tunnel ? [] : [`q${i}`]));
  const lines = [...peers, BELL.outside].map((name) => `link set dev ${name} arp off up`);
  return `set -e\nip -batch - <<'END'\n${lines.join("\n")}\nEND\n`;
}

/** Two namespaces, the router's and what is around it: several sites, one after the other, are built in them. */
export class Yard {
  readonly world: World;
  readonly router: Space;
  readonly outside: Space;

  private constructor(world: World, router: Space, outside: Space) {
    this.world = world;
    this.router = router;
    this.outside = outside;
  }

  /** Takes the lock of all worlds, until close(). */
  static async open(): Promise<Yard> {
    const world = await World.create({ name: "fuzz" });
    try {
      const [router, outside] = [await world.space("r"), await world.space("o")];
      const silent = "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1";
      await world.must(outside, ["sysctl", "-qw", ...silent.split(" ")]);
      // Before the first device: what it has is copied from here.
      await world.must(router, ["sysctl", "-qw", ...SETTINGS]);
      await world.must(router, ["nft", "-f", "-"], { stdin: QUIET });
      await world.must(router, ["sh", "-ec", RULE_ONCE]);
      return new Yard(world, router, outside);
    } catch (error) {
      world.destroy();
      throw error;
    }
  }

  close(): void {
    this.world.destroy();
  }
}

export class Arena {
  readonly ports: Ports;
  readonly #yard: Yard;
  readonly #site: Site;
  readonly #folder: string;

  private constructor(yard: Yard, site: Site, ports: Ports, folder: string) {
    this.#yard = yard;
    this.#site = site;
    this.ports = ports;
    this.#folder = folder;
  }

  /** Builds the router, without its ruleset. A yard in which that fails is of no use any more. */
  static async open(yard: Yard, site: Site, folder: string): Promise<Arena> {
    const { world, router, outside } = yard;
    const devices = interfacesOf(site);
    const paths = { router: `/run/netns/${router.netns}`, outside: `/run/netns/${outside.netns}` };
    const tuns = within(
      paths.router,
      () => new Map(devices.filter((device) => device.tunnel).map(({ name }) => [name, openTun(name)])),
    );
    await world.must(router, ["sh", "-c", routerScript(site, outside.netns)]);
    await world.must(outside, ["sh", "-c", outsideScript(site)]);
    const wires = devices.map(({ name, tunnel }, i): Wire => {
      return { name, peer: tunnel ? "" : `q${i}`, mac: Uint8Array.from([2, 0, 0, 0, 0, i]) };
    });
    mkdirSync(folder, { recursive: true });
    return new Arena(yard, site, new Ports(paths.router, paths.outside, wires, tuns, BELL), folder);
  }

  /** Loads a table as the router does: the whole text in one transaction, the epoch in the upper half of a mark. */
  async load(table: NftTable, epoch: number): Promise<void> {
    const file = join(this.#folder, `ruleset-${process.pid}.nft`);
    writeFileSync(file, rulesetText(table, "0x00000001"));
    const { world, router } = this.#yard;
    await world.must(router, ["nft", "-D", `HF_EPOCH=${epochWord(epoch)}`, "-f", file]);
    rmSync(file);
  }

  /** Packets that each named counter has counted; those that counted none are left out. */
  async counters(): Promise<ReadonlyMap<string, number>> {
    const { world, router } = this.#yard;
    const text = await world.must(router, ["nft", "list", "counters", "table", "inet", "holdfast"]);
    const found = [...text.matchAll(/counter (\w+) \{\s+packets (\d+)/g)];
    return new Map(found.map(([, name, packets]) => [name!, Number(packets)] as const).filter(([, n]) => n > 0));
  }

  /** Takes everything away again: devices and with them routes, rules, the table, and every flow. */
  async close(): Promise<void> {
    this.ports.close();
    const rules = this.#site.desired.rules.map(({ family, priority }) => `ip -${family} rule del priority ${priority}`);
    const script = [`ip link delete group ${GROUP}`, ...rules, "nft delete table inet holdfast", CALM].join("\n");
    await this.#yard.world.must(this.#yard.router, ["sh", "-ec", script]);
    within(`/run/netns/${this.#yard.router.netns}`, forgetFlows);
  }
}

export const epochWord = (epoch: number): string => `0x${epoch.toString(16).padStart(4, "0")}0000`;
