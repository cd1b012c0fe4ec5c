/** Looks at everything beside our own objects, with a fixed number of short-lived programs. Reads; changes nothing. */
import { OWN_PROTOCOL } from "../../schemas/desired.ts";
import type { LegacyTables, OutsideLink, OutsideScope, OutsideSeen } from "../core/outside.ts";
import type { OutsideWorld } from "../ports.ts";
import { readText } from "./files.ts";
import { nftGeneration } from "./netlink.ts";
import type { Run } from "./run.ts";
import { readSysctls } from "./sysctl.ts";

/** A look that hangs must not hold up what asked for it. */
const LOOK_MS = 5000;

type Unreadable = OutsideSeen["unreadable"][number];

/** What a program prints; undefined when it is not there or fails, then with the reason. */
async function printed(run: Run, argv: readonly string[], why: (text: string) => void): Promise<string | undefined> {
  try {
    const out = await run(argv, { timeoutMs: LOOK_MS });
    if (out.exit === 0) return out.stdout;
    why(out.late ? `${argv[0]} did not answer in time` : `${argv[0]}: ${out.stderr.trim().slice(0, 200)}`);
  } catch (failure) {
    const { code } = failure as NodeJS.ErrnoException;
    why(code === "ENOENT" ? `there is no ${argv[0]}` : String(failure).slice(0, 200));
  }
  return undefined;
}

/** A JSON list that a program prints; [] when it prints something else. */
async function listed<T>(run: Run, argv: readonly string[], why: (text: string) => void): Promise<readonly T[]> {
  const text = await printed(run, argv, why);
  if (text === undefined || text.trim() === "") return [];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list)) return list;
  } catch {
    // told below
  }
  why(`${argv[0]} prints no JSON list`);
  return [];
}

type LinkJson = {
  readonly ifname: string;
  readonly link_type?: string;
  readonly address?: string;
  readonly xdp?: unknown;
};

async function readLinks(run: Run, names: readonly string[], why: (text: string) => void): Promise<OutsideLink[]> {
  const links = await listed<LinkJson>(run, ["ip", "-d", "-j", "link", "show"], why);
  return links
    .filter((link) => names.includes(link.ifname))
    .map(({ ifname, link_type, address, xdp }) => ({
      ...{ name: ifname, mac: link_type === "none" ? "" : (address ?? ""), xdp: xdp !== undefined },
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

type RuleJson = { readonly protocol?: string } & Readonly<Record<string, unknown>>;

/** Rules that are not ours as "4 {…}", sorted. */
async function readRules(run: Run, why: (text: string) => void): Promise<string[]> {
  const found = await Promise.all(
    ["4", "6"].map(async (family) => {
      const rules = await listed<RuleJson>(run, ["ip", `-${family}`, "-d", "-j", "rule", "show"], why);
      return rules
        .filter((rule) => rule.protocol !== String(OWN_PROTOCOL))
        .map((rule) => `${family} ${JSON.stringify(rule)}`);
    }),
  );
  return found.flat().sort();
}

/** Every filter of one interface, both ways; the interface's name stands in a line of its own before its filters. */
const FILTERS =
  'for name; do echo "@ $name"; tc filter show dev "$name" ingress; tc filter show dev "$name" egress; done';

/** tc filters of interfaces that have a place for them. Most have none, and then no second program is run. */
async function readFilters(run: Run, names: readonly string[], why: (text: string) => void) {
  let missing = false;
  const text = await printed(run, ["tc", "qdisc", "show"], (reason) => {
    // Small routers have none: then nobody knows, which is told and refuses nothing.
    missing = reason === "there is no tc";
    if (!missing) why(reason);
  });
  if (missing) return null;
  const hooked = [...(text ?? "").matchAll(/^qdisc (?:clsact|ingress) \S+ dev (\S+)/gm)].map((found) => found[1]!);
  const wanted = [...new Set(hooked)].filter((name) => names.includes(name)).sort();
  if (wanted.length === 0) return [];
  const filters = (await printed(run, ["sh", "-c", FILTERS, "sh", ...wanted], why)) ?? "";
  return filters
    .split(/^@ /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf("\n");
      return { interface: part.slice(0, end), text: part.slice(end + 1) };
    })
    .filter((one) => one.text.trim() !== "");
}

const LEGACY = [
  { family: "ip", tool: "iptables" },
  { family: "ip6", tool: "ip6tables" },
  { family: "arp", tool: "arptables" },
] as const;

/** Legacy tables that the kernel set up in this namespace; without any, nothing is run. */
async function readLegacy(run: Run): Promise<LegacyTables[]> {
  const found = await Promise.all(
    LEGACY.map(async ({ family, tool }): Promise<LegacyTables[]> => {
      const tables = (readText(`/proc/net/${family}_tables_names`) ?? "").split("\n").filter((name) => name !== "");
      if (tables.length === 0) return [];
      const ignore = (): void => {};
      const dump =
        (await printed(run, [`${tool}-legacy-save`], ignore)) ?? (await printed(run, [`${tool}-save`], ignore)) ?? null;
      return [{ family, tables: tables.sort(), dump }];
    }),
  );
  return found.flat();
}

async function look(run: Run, scope: OutsideScope): Promise<OutsideSeen> {
  const unreadable: Unreadable[] = [];
  const note = (what: string) => (why: string) => void unreadable.push({ what, why });
  const [nft, links, rules, filters, legacy] = await Promise.all([
    // Terse: elements of sets are nobody's concern here, and ours may be many.
    printed(run, ["nft", "-t", "-j", "list", "ruleset"], note("nft")),
    readLinks(run, scope.interfaces, note("links")),
    readRules(run, note("rules")),
    readFilters(run, scope.interfaces, note("tc")),
    readLegacy(run),
  ]);
  return {
    ...{ nft: nft ?? null, legacy, links, filters, rules },
    sysctls: readSysctls(scope.sysctls),
    unreadable: unreadable.sort((a, b) => (a.what < b.what ? -1 : 1)),
  };
}

export function createOutsideWorld(run: Run): OutsideWorld {
  return { look: (scope) => look(run, scope), nftGeneration };
}
