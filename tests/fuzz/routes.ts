/**
 * Which way a packet goes: the router's rules, tables and addresses, as the kernel asks them (ip-rule(8), ip-route(8),
 * net/ipv4/route.c, net/ipv4/fib_frontend.c, net/ipv6/route.c). From what the test put there, not from the compiler.
 *
 * Facts of the kernel that show in a packet's fate:
 * - an IPv4 source that is an address of the router is refused at routing, whatever a rule of prerouting said of it; once
 *   the machine had ip rules of its own the source is looked up as a target, and then broadcast addresses are refused too;
 * - 240.0.0.0/4 is routed like any other space, so a lane takes sources of it;
 * - since Linux 5.14 the lowest address of an IPv4 subnet is a host like any other; the highest is a broadcast address;
 * - a router that forwards IPv6 owns the lowest address of each of its subnets as an anycast address (RFC 4291 2.6.1):
 *   packets to it are taken in, and "fib daddr type" calls it anycast, not local: lanes are not there;
 * - a link-local address is one of its own link's: "fib" calls another interface's address unicast (it looks no further
 *   than the packet's device), and a packet to a neighbour's leaves by the interface on which it came. A link-local source
 *   is refused by ip6_forward() only when the packet would leave by another interface.
 */

import { addressesOf, interfacesOf, LEASE_METRIC } from "../../client/replay/ground.ts";
import {
  BITS,
  contains,
  type Family,
  formatIp,
  type Ip,
  lastOf,
  networkOf,
  type Prefix,
  parseCidr,
  parseIp,
  parsePrefix,
} from "../../schemas/ip.ts";
import type { Site } from "./sites.ts";

export type Way =
  | { readonly kind: "local"; readonly interface: string }
  | { readonly kind: "forward"; readonly interface: string; readonly via: Ip | undefined }
  | { readonly kind: "none" };

type Route = {
  readonly prefix: Prefix;
  readonly interface: string;
  readonly via: Ip | undefined;
  readonly metric: number;
};
type Rule = { readonly from: Prefix | undefined; readonly mark: number; readonly mask: number; readonly table: number };

export type Ask = { readonly source?: Ip; readonly mark?: number };

const MAIN = 254;
const key = (ip: Ip): string => formatIp(ip);
const range = (text: string): Prefix => parsePrefix(text)!;
const LOOPBACK4 = range("127.0.0.0/8");
const ZERO4 = range("0.0.0.0/8");
const MULTICAST4 = range("224.0.0.0/4");
const MULTICAST6 = range("ff00::/8");
const LINK6 = range("fe80::/10");
const LOOPBACK6 = parseIp("::1")!;

/** IPv6 addresses that the kernel takes from no wire, before the first hook (net/ipv6/ip6_input.c, ip6_rcv_core). */
export function refusedAtOnce({ source, target }: { readonly source: Ip; readonly target: Ip }): boolean {
  if (source.family === 4) return false;
  const scope = (target.value >> 112n) & 15n;
  const wrongGroup = contains(MULTICAST6, target) && scope < 2n;
  return contains(MULTICAST6, source) || [source, target].some((ip) => ip.value === LOOPBACK6.value) || wrongGroup;
}

export class Routes {
  readonly #local = new Map<string, string>(); // address to interface
  readonly #broadcast = new Set<string>();
  readonly #anycast = new Set<string>();
  readonly #groups = new Map<string, Set<string>>(); // of each interface
  readonly #tables = new Map<string, Route[]>();
  readonly #rules: Readonly<Record<Family, readonly Rule[]>>;
  readonly #loose: ReadonlySet<string>; // interfaces with rp_filter 2
  readonly #addressed = new Set<string>(); // interfaces with an IPv4 address
  readonly #own: readonly { readonly interface: string; readonly ip: Ip; readonly length: number }[];
  readonly forwards6: boolean;

  constructor(site: Site) {
    const { sysctls, routes, rules } = site.desired;
    this.forwards6 = sysctls.some(({ key: name, value }) => name === "net.ipv6.conf.all.forwarding" && value === "1");
    const loose = /^net\.ipv4\.conf\.(.+)\.rp_filter$/;
    this.#loose = new Set(
      sysctls.filter(({ value }) => value === "2").map((one) => loose.exec(one.key)?.[1]?.replaceAll("/", ".") ?? ""),
    );
    this.#own = addressesOf(site).map(({ interface: name, cidr }) => ({ interface: name, ...own(cidr) }));
    for (const { interface: name } of this.#own) this.#groups.set(name, new Set());
    for (const { name } of interfacesOf(site)) this.#join(name, ["ff01::1", "ff02::1", "224.0.0.1"]);
    for (const { interface: name, ip, length } of this.#own) this.#address(name, ip, length);
    for (const route of routes) {
      const via = route.via === "" ? undefined : parseIp(route.via);
      // IPv6 knows no metric 0: the kernel makes it 1024.
      const metric = route.metric === 0 && route.family === 6 ? 1024 : route.metric;
      this.#add(route.table, { prefix: range(route.to), interface: route.interface, via, metric });
    }
    for (const [i, lease] of site.leases.entries()) {
      for (const text of lease.gateways) {
        const via = parseIp(text)!;
        const prefix = range(via.family === 4 ? "0.0.0.0/0" : "::/0");
        this.#add(MAIN, { prefix, interface: lease.interface, via, metric: LEASE_METRIC + i });
      }
    }
    const of = (family: Family): readonly Rule[] => [
      ...rules
        .filter((rule) => rule.family === family)
        .map(({ from, fwmark, fwmask, table }) => ({
          from: from === "" ? undefined : range(from),
          mark: fwmark,
          mask: fwmask,
          table,
        })),
      { from: undefined, mark: 0, mask: 0, table: MAIN },
    ];
    this.#rules = { 4: of(4), 6: of(6) };
  }

  #join(name: string, groups: readonly string[]): void {
    const all = this.#groups.get(name) ?? new Set();
    for (const group of groups) all.add(group);
    this.#groups.set(name, all);
  }

  #add(table: number, route: Route): void {
    const name = `${route.prefix.family} ${table}`;
    const list = this.#tables.get(name) ?? [];
    list.push(route);
    // Longest prefix first, then the smallest metric.
    list.sort((a, b) => b.prefix.length - a.prefix.length || a.metric - b.metric);
    this.#tables.set(name, list);
  }

  #address(name: string, ip: Ip, length: number): void {
    const network = networkOf({ ...ip, length });
    this.#local.set(key(ip), name);
    if (ip.family === 4) {
      this.#addressed.add(name);
      if (length < 31) this.#broadcast.add(key({ family: 4, value: lastOf(network) }));
    } else {
      const solicited = (0xff02_0000_0000_0000_0000_0001_ff00_0000n << 0n) | (ip.value & 0xffffffn);
      this.#join(name, [formatIp({ family: 6, value: solicited })]);
      if (this.forwards6) {
        this.#join(name, ["ff01::2", "ff02::2", "ff05::2"]);
        if (length < 127) this.#anycast.add(key({ family: 6, value: network.value }));
      }
    }
    if (length < BITS[ip.family]) {
      this.#add(MAIN, { prefix: network, interface: name, via: undefined, metric: ip.family === 4 ? 0 : 256 });
    }
  }

  /** What "fib … type" says of an address in a packet of an interface. */
  typeOf(ip: Ip, iif: string): string {
    if (ip.family === 4) {
      if (contains(ZERO4, ip) || formatIp(ip) === "255.255.255.255") return "broadcast";
      if (contains(MULTICAST4, ip)) return "multicast";
      if (this.#broadcast.has(key(ip))) return "broadcast";
      return contains(LOOPBACK4, ip) || this.#local.has(key(ip)) ? "local" : "unicast";
    }
    if (contains(MULTICAST6, ip)) return "multicast";
    if (
      contains(LINK6, ip) &&
      iif !== "" &&
      !this.#own.some((one) => one.interface === iif && key(one.ip) === key(ip))
    ) {
      return this.#anycast.has(key(ip)) ? "anycast" : "unicast";
    }
    if (this.#local.has(key(ip)) || ip.value === LOOPBACK6.value) return "local";
    return this.#anycast.has(key(ip)) ? "anycast" : "unicast";
  }

  isOwn(ip: Ip): boolean {
    return this.#local.has(key(ip));
  }

  /** First route that rules and tables come to. */
  #find(target: Ip, { source, mark = 0 }: Ask): Route | undefined {
    for (const rule of this.#rules[target.family]) {
      if (rule.from !== undefined && (source === undefined || !contains(rule.from, source))) continue;
      if (rule.mask !== 0 && (mark & rule.mask) !== rule.mark) continue;
      const list = this.#tables.get(`${target.family} ${rule.table}`) ?? [];
      const found = list.find((route) => contains(route.prefix, target));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The way of a packet that arrived on an interface, after prerouting. */
  arriving(iif: string, source: Ip, target: Ip, mark: number): Way {
    if (target.family === 6) return this.#arriving6(iif, source, target, mark);
    const text = formatIp(target);
    const zero = contains(ZERO4, source);
    if (contains(MULTICAST4, source) || formatIp(source) === "255.255.255.255") return { kind: "none" };
    if (contains(LOOPBACK4, source)) return { kind: "none" };
    if (contains(MULTICAST4, target)) {
      const joined = this.#groups.get(iif)?.has(text) === true;
      return joined && (zero || this.#sourceFits(iif, source, target, mark))
        ? { kind: "local", interface: iif }
        : { kind: "none" };
    }
    if (text === "255.255.255.255") {
      return zero || this.#sourceFits(iif, source, target, mark) ? { kind: "local", interface: iif } : { kind: "none" };
    }
    if (zero || contains(ZERO4, target) || contains(LOOPBACK4, target)) return { kind: "none" };
    if (!this.#sourceFits(iif, source, target, mark)) return { kind: "none" };
    const local = this.#local.get(text);
    if (local !== undefined || this.#broadcast.has(text)) return { kind: "local", interface: local ?? iif };
    return this.#onward(target, { source, mark });
  }

  #arriving6(iif: string, source: Ip, target: Ip, mark: number): Way {
    const text = formatIp(target);
    if (contains(MULTICAST6, target)) {
      return this.#groups.get(iif)?.has(text) ? { kind: "local", interface: iif } : { kind: "none" };
    }
    // A link-local address is one of its own link's.
    if (contains(LINK6, target)) {
      const here = this.#own.some((one) => one.interface === iif && key(one.ip) === text);
      const any = this.#anycast.has(text) && this.#own.some((one) => one.interface === iif && contains(LINK6, one.ip));
      if (here || any) return { kind: "local", interface: iif };
      return this.forwards6 ? { kind: "forward", interface: iif, via: undefined } : { kind: "none" };
    }
    const local = this.#local.get(text);
    if (local !== undefined || this.#anycast.has(text)) return { kind: "local", interface: local ?? iif };
    if (!this.forwards6) return { kind: "none" };
    const way = this.#onward(target, { source, mark });
    const narrow = contains(LINK6, source) || source.value === 0n;
    return narrow && way.kind === "forward" && way.interface !== iif ? { kind: "none" } : way;
  }

  #onward(target: Ip, ask: Ask): Way {
    const found = this.#find(target, ask);
    if (found === undefined) return { kind: "none" };
    return { kind: "forward", interface: found.interface, via: found.via };
  }

  /** fib_validate_source() of an IPv4 packet. */
  #sourceFits(iif: string, source: Ip, target: Ip, mark: number): boolean {
    if (this.#local.has(key(source)) && source.family === 4) return false;
    const loose = this.#loose.has(iif);
    if (this.#broadcast.has(key(source))) return false;
    if (!loose) return true;
    // Loose: somewhere there must be a way back, and an interface without an address has none but its own.
    const back = this.#find(source, { source: target, mark });
    return back !== undefined && (this.#addressed.has(iif) || back.interface === iif);
  }

  /** Whether an interface that asks for a way back to a source (rp_filter 2) has one; true where none is asked. */
  wayBack(iif: string, source: Ip, target: Ip): boolean {
    return source.family === 6 || !this.#loose.has(iif) || this.#sourceFits(iif, source, target, 0);
  }

  /** The way of what the router says itself from one of its addresses. */
  leaving(source: Ip, target: Ip): Way {
    const local = this.#local.get(key(target));
    if (local !== undefined) return { kind: "local", interface: local };
    return this.#onward(target, { source });
  }

  /** Addresses that masquerading may put on a packet that leaves by an interface; IPv4: the first next to the gateway. */
  masqueradeAs(name: string, family: Family, next: Ip): readonly Ip[] {
    const all = this.#own.filter((one) => one.interface === name && one.ip.family === family);
    if (family === 6) {
      // RFC 6724 rule 2: a link-local address does not serve a wider scope while there is another.
      const wide = all.filter((one) => !contains(LINK6, one.ip));
      return (wide.length > 0 ? wide : all).map((one) => one.ip);
    }
    const near = all.find((one) => contains(networkOf({ ...one.ip, length: one.length }), next));
    return [near ?? all[0]].filter((one) => one !== undefined).map((one) => one.ip);
  }

  /** Prefixes of the router's own addresses, by interface. */
  get own(): readonly { readonly interface: string; readonly ip: Ip; readonly length: number }[] {
    return this.#own;
  }
}

function own(cidr: string): { readonly ip: Ip; readonly length: number } {
  const { family, value, length } = parseCidr(cidr)!;
  return { ip: { family, value }, length };
}
