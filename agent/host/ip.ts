/** Links, addresses, routes and rules through ip(8) with JSON output, and the arguments that write them. */
import { type DesiredAddress, type DesiredRoute, type DesiredRule, OWN_PROTOCOL } from "../../schemas/desired.ts";
import { comparePrefix, parseCidr } from "../../schemas/ip.ts";
import type { Run } from "./run.ts";

export type LinkState = { readonly name: string; readonly up: boolean; readonly mtu: number };

type LinkJson = { ifname: string; flags: string[]; mtu: number };
type CarrierJson = {
  ifname: string;
  flags: string[];
  addr_info: { local: string; prefixlen: number; scope: string; temporary?: boolean }[];
};
type AddressJson = { ifname: string; addr_info: { family: string; local: string; prefixlen: number; scope: string }[] };
type RouteJson = {
  dst: string;
  protocol?: string;
  gateway?: string;
  via?: { host: string };
  dev?: string;
  table?: string;
  metric?: number;
};
type RuleJson = {
  priority: number;
  src: string;
  srclen?: number;
  fwmark?: string;
  fwmask?: string;
  table?: string;
  protocol?: string;
};

/** What the kernel makes of metric 0 in IPv6; reported as 0, so 1024 must not be asked for by name. */
const DEFAULT_METRIC6 = 1024;

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

async function readJson<T>(run: Run, argv: readonly string[]): Promise<T[]> {
  const out = await run(["ip", "-j", "-N", ...argv]);
  if (out.exit !== 0) throw new Error(`ip ${argv.join(" ")}: ${out.stderr.trim()}`);
  return out.stdout.trim() === "" ? [] : (JSON.parse(out.stdout) as T[]);
}

/** A kernel without one family answers with an error; it has no routes and rules of that family. */
async function readFamily<T>(run: Run, family: 4 | 6, argv: readonly string[]): Promise<T[]> {
  const out = await run(["ip", "-j", "-N", `-${family}`, ...argv]);
  if (out.exit === 0) return out.stdout.trim() === "" ? [] : (JSON.parse(out.stdout) as T[]);
  if (/not supported/i.test(out.stderr)) return [];
  throw new Error(`ip -${family} ${argv.join(" ")}: ${out.stderr.trim()}`);
}

export async function readLinks(run: Run): Promise<Map<string, LinkState>> {
  const list = await readJson<LinkJson>(run, ["link", "show"]);
  return new Map(
    list.map((link) => [link.ifname, { name: link.ifname, up: link.flags.includes("UP"), mtu: link.mtu }]),
  );
}

/** Addresses of the named interfaces, without IPv6 link-local ones (the kernel's own). Sorted by interface, prefix. */
export async function readAddresses(run: Run, interfaces: readonly string[]): Promise<DesiredAddress[]> {
  const wanted = new Set(interfaces);
  const found = (await readJson<AddressJson>(run, ["addr", "show"]))
    .filter((link) => wanted.has(link.ifname))
    .flatMap((link) =>
      link.addr_info
        .filter((info) => !(info.family === "inet6" && info.scope === "253") && info.scope !== "link")
        .map((info) => ({ interface: link.ifname, cidr: `${info.local}/${info.prefixlen}` })),
    );
  return found.sort((a, b) => {
    if (a.interface !== b.interface) return compareText(a.interface, b.interface);
    const [x, y] = [parseCidr(a.cidr), parseCidr(b.cidr)];
    return x === undefined || y === undefined ? 0 : comparePrefix(x, y);
  });
}

/** Every interface with its carrier and its global addresses, without those that IPv6 makes up for a while. */
export async function readCarriers(
  run: Run,
): Promise<ReadonlyMap<string, { readonly carrier: boolean; readonly addresses: readonly string[] }>> {
  const list = await readJson<CarrierJson>(run, ["addr", "show"]);
  return new Map(
    list.map((link) => [
      link.ifname,
      {
        carrier: link.flags.includes("LOWER_UP"),
        addresses: link.addr_info
          .filter((info) => (info.scope === "0" || info.scope === "global") && info.temporary !== true)
          .map((info) => `${info.local}/${info.prefixlen}`),
      },
    ]),
  );
}

export type DefaultRoute = { readonly interface: string; readonly via: string; readonly own: boolean };

/** Default routes of every table; `via` is "direct" where the route names no gateway. */
export async function defaultRoutes(run: Run): Promise<readonly DefaultRoute[]> {
  const found = await Promise.all(
    ([4, 6] as const).map((family) => readFamily<RouteJson>(run, family, ["route", "show", "default", "table", "all"])),
  );
  return found.flat().flatMap((route) => {
    if (route.dev === undefined) return [];
    const via = route.gateway ?? route.via?.host ?? "direct";
    return [{ interface: route.dev, via, own: route.protocol === String(OWN_PROTOCOL) }];
  });
}

function withLength(text: string, family: 4 | 6): string {
  if (text === "default") return family === 4 ? "0.0.0.0/0" : "::/0";
  return text.includes("/") ? text : `${text}/${family === 4 ? 32 : 128}`;
}

function compareRoutes(a: DesiredRoute, b: DesiredRoute): number {
  const [x, y] = [parseCidr(a.to), parseCidr(b.to)];
  const byPrefix = x === undefined || y === undefined ? 0 : comparePrefix(x, y);
  return (
    a.family - b.family || a.table - b.table || byPrefix || a.metric - b.metric || compareText(a.interface, b.interface)
  );
}

/** Our routes, by protocol number, of every table. Sorted by family, table, prefix, metric, interface. */
export async function readRoutes(run: Run): Promise<DesiredRoute[]> {
  const argv = ["route", "show", "table", "all", "proto", String(OWN_PROTOCOL)];
  const found = await Promise.all(
    ([4, 6] as const).map(async (family) =>
      (await readFamily<RouteJson>(run, family, argv)).map((route) => ({
        family,
        to: withLength(route.dst, family),
        via: route.gateway ?? "",
        interface: route.dev ?? "",
        table: Number(route.table ?? "254"),
        metric: family === 6 && route.metric === DEFAULT_METRIC6 ? 0 : (route.metric ?? 0),
      })),
    ),
  );
  return found.flat().sort(compareRoutes);
}

/** Our rules, by protocol number. Sorted by family, priority, then selector. */
export async function readRules(run: Run): Promise<DesiredRule[]> {
  const found = await Promise.all(
    ([4, 6] as const).map(async (family) =>
      (await readFamily<RuleJson>(run, family, ["rule", "show"]))
        .filter((rule) => rule.protocol === String(OWN_PROTOCOL))
        .map((rule) => ({
          family,
          priority: rule.priority,
          from: rule.src === "all" ? "" : withLength(rule.srclen ? `${rule.src}/${rule.srclen}` : rule.src, family),
          fwmark: Number(rule.fwmark ?? "0"),
          fwmask: rule.fwmark === undefined ? 0 : Number(rule.fwmask ?? "0xffffffff"),
          table: Number(rule.table ?? "0"),
        })),
    ),
  );
  return found
    .flat()
    .sort(
      (a, b) => a.family - b.family || a.priority - b.priority || compareText(a.from, b.from) || a.fwmark - b.fwmark,
    );
}

const PROTOCOL = ["proto", String(OWN_PROTOCOL)];

export function routeArgv(verb: "replace" | "del", route: DesiredRoute): string[] {
  const via = route.via === "" ? [] : ["via", route.via];
  // Without a metric a deletion would take the route with the lowest one.
  const number = route.metric === 0 && route.family === 6 && verb === "del" ? DEFAULT_METRIC6 : route.metric;
  const metric = number === 0 ? [] : ["metric", String(number)];
  const target = [route.to, ...via, "dev", route.interface, "table", String(route.table)];
  return ["ip", `-${route.family}`, "route", verb, ...target, ...PROTOCOL, ...metric];
}

export function ruleArgv(verb: "add" | "del", rule: DesiredRule): string[] {
  const from = rule.from === "" ? [] : ["from", rule.from];
  const hex = (n: number): string => `0x${n.toString(16)}`;
  const mark = rule.fwmask === 0 ? [] : ["fwmark", `${hex(rule.fwmark)}/${hex(rule.fwmask)}`];
  const head = ["ip", `-${rule.family}`, "rule", verb, "priority", String(rule.priority)];
  return [...head, ...from, ...mark, "lookup", String(rule.table), "protocol", String(OWN_PROTOCOL)];
}
