/**
 * The outside world: everything beside our own objects that decides whether a lane's packets arrive. Facts are lines in
 * one order, so that two looks compare as texts; their digest goes into receipts and status.
 */
import type { Desired } from "../../schemas/desired.ts";
import { sha256 } from "../../schemas/digest.ts";
import { type Problem, problem } from "../../schemas/problem.ts";
import { dropsOf, type ForeignChain } from "./outside-drops.ts";
import { laneInterfaces, lanePackets } from "./outside-lanes.ts";
import { legacyLines, readLegacy } from "./outside-legacy.ts";
import { readTables } from "./outside-nft.ts";

/** What is asked of the host: interfaces of lanes, and the sysctls that matter. */
export type OutsideScope = { readonly interfaces: readonly string[]; readonly sysctls: readonly string[] };

export type LegacyTables = {
  readonly family: "ip" | "ip6" | "arp";
  readonly tables: readonly string[]; // those that the kernel has set up
  readonly dump: string | null; // iptables-save; null when nothing here can read them
};

export type OutsideLink = {
  readonly name: string;
  readonly mac: string; // "" when it has none
  readonly xdp: boolean; // a program sees its packets before every ruleset
};

/** What the host saw. `null` where it could not look: the reason is in `unreadable`. */
export type OutsideSeen = {
  readonly nft: string | null; // nft -t -j list ruleset
  readonly legacy: readonly LegacyTables[];
  readonly links: readonly OutsideLink[]; // of the scope, as far as they exist
  readonly filters: readonly { readonly interface: string; readonly text: string }[] | null; // tc filter show; null without tc
  readonly rules: readonly string[]; // ip rules that are not ours, sorted
  readonly sysctls: readonly { readonly key: string; readonly value: string }[];
  readonly unreadable: readonly { readonly what: string; readonly why: string }[];
};

/** Sysctls that decide about lanes and that a generation may leave to others. */
const SYSCTLS = [
  ...["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter"],
  ...["net.ipv4.conf.all.src_valid_mark", "net.ipv4.conf.all.route_localnet", "net.ipv4.icmp_echo_ignore_all"],
  ...["net.ipv6.conf.all.forwarding", "net.ipv6.conf.all.disable_ipv6", "net.ipv6.bindv6only"],
  ...["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"],
];

/** Own links are not outside; sysctls that the generation sets are compared with it elsewhere. */
export function outsideScope(desired: Desired): OutsideScope {
  const own = new Set(desired.links.map((link) => link.name));
  const interfaces = laneInterfaces(desired).filter((name) => !own.has(name));
  const set = new Set(desired.sysctls.map((one) => one.key));
  const each = interfaces.map((name) => `net.ipv4.conf.${name.replaceAll(".", "/")}.rp_filter`);
  return { interfaces, sysctls: [...SYSCTLS, ...each].filter((key) => !set.has(key)).sort() };
}

/** What a look says: facts, and what of them may cut a lane off. */
export type Outside = { readonly lines: readonly string[]; readonly problems: readonly Problem[] };

/** Names by which an operator may vouch for somebody else's rules: "inet fw4", "iptables filter", "xdp wan0", "tc wan0". */
const accepted = (desired: Desired, name: string): boolean => desired.foreign?.accept.includes(name) === true;

function linesOf(seen: OutsideSeen): readonly string[] {
  const legacy = seen.legacy.flatMap(({ family, tables, dump }) => [
    ...tables.map((table) => `legacy ${family} ${table}`),
    ...(family === "arp" || dump === null ? [] : legacyLines(family, dump)),
  ]);
  return [
    ...(seen.nft === null ? ["nft cannot be read"] : (readTables(seen.nft)?.lines ?? ["nft cannot be read"])),
    ...legacy,
    ...seen.links.map(({ name, mac, xdp }) => `interface ${name} ${mac === "" ? "-" : mac}${xdp ? " xdp" : ""}`),
    ...(seen.filters === null ? ["tc unknown"] : []),
    ...(seen.filters ?? []).flatMap(({ interface: name, text }) =>
      text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [`tc ${name} ${line.trim()}`])),
    ),
    ...seen.rules.map((rule) => `rule ${rule}`),
    ...seen.sysctls.map(({ key, value }) => `sysctl ${key} ${value}`),
    ...seen.unreadable.map(({ what }) => `unreadable ${what}`),
  ];
}

/** Legacy tables whose rules nobody could show. Translation alone touches no lane. */
function unreadLegacy({ legacy }: OutsideSeen): readonly { readonly name: string; readonly why: string }[] {
  const tools = { ip: "iptables", ip6: "ip6tables", arp: "arptables" } as const;
  return legacy.flatMap(({ family, tables, dump }) =>
    tables
      .filter((table) => table !== "nat" && (dump === null || !dump.includes(`*${table}\n`)))
      .map((table) => ({ name: `${tools[family]} ${table}`, why: `no ${tools[family]}-legacy-save reads it` })),
  );
}

/** Traffic shapers send arriving packets through such a device and take them back from it. */
const SHAPER = /mirred \(Egress Redirect to device ifb\S*\) stolen/g;
/** A tc filter that may take packets away: a verdict of drop, or a program. */
const MAY_TAKE = /\b(drop|shot|stolen|trap|bpf)\b/;

/** Everything outside that is not provably off the lanes of a generation, and what could not be looked at. */
export function judgeOutside(seen: OutsideSeen, desired: Desired): Outside {
  const tables = seen.nft === null ? undefined : readTables(seen.nft);
  const chains: ForeignChain[] = [...(tables?.chains ?? [])];
  for (const { family, dump } of seen.legacy)
    if (family !== "arp" && dump !== null) chains.push(...readLegacy(family, dump));
  const drops = dropsOf(chains, lanePackets(desired), laneInterfaces(desired)).map(({ table, place, lanes }) => {
    return { name: table, text: `${place}, may drop lane ${lanes.join(", ")}` };
  });
  const taken = [
    ...seen.links
      .filter((link) => link.xdp)
      .map(({ name }) => ({ name: `xdp ${name}`, text: "a program on it may drop every lane" })),
    ...(seen.filters ?? [])
      .filter(({ text }) => MAY_TAKE.test(text.replace(SHAPER, "")))
      .map(({ interface: name }) => ({ name: `tc ${name}`, text: "a filter on it may drop every lane" })),
  ];
  const unread = [
    ...(tables === undefined && seen.nft !== null ? [{ name: "nft", why: "the listing is none" }] : []),
    ...seen.unreadable.map(({ what, why }) => ({ name: what, why })),
    ...unreadLegacy(seen),
  ];
  return {
    lines: linesOf(seen),
    problems: [
      ...[...drops, ...taken]
        .filter(({ name }) => !accepted(desired, name))
        .map(({ name, text }) => problem("outside.foreign_drop", name, text)),
      ...unread
        .filter(({ name }) => !accepted(desired, name))
        .map(({ name, why }) => problem("outside.unreadable", name, why)),
    ],
  };
}

/** The canonical text of a look. */
export const outsideText = ({ lines }: Outside): string => lines.map((line) => `${line}\n`).join("");

export const outsideDigest = (text: string): Uint8Array => sha256(text);

/** Without what a table holds that came or went as a whole: its own line says it all. */
function condensed(lines: readonly string[]): readonly string[] {
  const table = /^nft \S+ \S+ (?=\{)/;
  const whole = lines.flatMap((line) => table.exec(line)?.[0] ?? []);
  return lines.filter((line) => table.test(line) || !whole.some((start) => line.startsWith(start)));
}

/**
 * What came ("+ ") and what went ("- ") between two looks, as far as they differ; [] when the texts are equal. What came
 * stands first, since only that can be a danger.
 */
export function outsideChanges(before: string, after: string): readonly string[] {
  if (before === after) return [];
  const count = (text: string): Map<string, number> => {
    const lines = new Map<string, number>();
    for (const line of text.split("\n")) if (line !== "") lines.set(line, (lines.get(line) ?? 0) + 1);
    return lines;
  };
  const [old, now] = [count(before), count(after)];
  const gone = [...old].filter(([line, times]) => (now.get(line) ?? 0) < times);
  const come = [...now].filter(([line, times]) => (old.get(line) ?? 0) < times);
  const moved = gone.length + come.length === 0 ? ["~ the order of rules"] : [];
  const told = (sign: string, found: readonly (readonly [string, number])[]): readonly string[] =>
    condensed(found.map(([line]) => line)).map((line) => `${sign} ${line}`);
  return [...told("+", come), ...told("-", gone), ...moved];
}
