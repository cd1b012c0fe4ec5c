/**
 * The site as the proof sees it, without any router. Keys that no router has reported yet are stood in for by fixed
 * ones, and so is the trust of a folder that has none: what is looked at is the site.
 */
import { resolve } from "node:path";
import { type CompileInput, networksOf } from "../agent/core/compile.ts";
import { sha256, toBase64 } from "../schemas/digest.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { KeyReport, Root, Roster } from "../schemas/trust.ts";
import type { heldReport } from "./reports.ts";
import type { Context, Home } from "./session.ts";
import { readSite, type Site } from "./site/site.ts";
import { trustVersions } from "./site/trust-files.ts";

const DEFAULT_API_PORT = 8022;

type Trust = Pick<CompileInput, "root" | "roster">;

/**
 * Trust of nobody, the same on every machine, for a folder without trust/. Nothing is signed, and no half of these keys
 * is private: what is compiled only names them.
 */
function standInTrust(network: string): Trust {
  const seed = (name: string): Uint8Array => sha256("holdfast/check/v1\0", name);
  const holder = "operator";
  const key = (role: "root" | "admin" | "recovery"): Root["keys"][number] => ({ role, key: seed(role), holder });
  const classes = ["routine", "sensitive", "trust", "recovery"] as const;
  const root: Root = {
    network_id: seed("network").slice(0, 16),
    network,
    version: 1,
    prev_digest: new Uint8Array(32),
    keys: [key("root"), key("admin"), key("recovery")],
    root_threshold: 1,
    admin_threshold: 1,
    recovery_threshold: 1,
    escrow: [{ key: seed("escrow"), holder }],
    classes: classes.map((risk_class) => ({ risk_class, threshold: 1 })),
    safe_mode: { api_port: DEFAULT_API_PORT, allow_icmp: true },
    solo: true,
    issued_at: 0n,
  };
  const operator: Roster["operators"][number] = {
    holder,
    sign_key: seed("sign"),
    seal_key: seed("seal"),
    lane_key: toBase64(seed("lane")),
    max_class: "trust",
    status: "active",
  };
  const roster: Roster = {
    network_id: root.network_id,
    version: 1,
    prev_digest: new Uint8Array(32),
    root_digest: new Uint8Array(32),
    operators: [operator],
    routers: [],
    consumed_tokens: [],
    issued_at: 0n,
  };
  return { root, roster };
}

/** The reported keys, completed by stand-ins. */
function keysFor(
  site: Site,
  router: string,
  root: Root,
  report: KeyReport | null,
): { keys: KeyReport; missing: readonly string[] } {
  const known = report?.keys ?? [];
  const needed = [...networksOf(site.intent, router), "rescue"];
  const missing = needed.filter((network) => !known.some((one) => one.network === network)).sort();
  const standIns = missing.map((network) => ({
    network,
    public_key: toBase64(sha256("holdfast/check-key/v1\0", router, "\0", network)),
  }));
  const keys = [...known, ...standIns].sort((a, b) => (a.network < b.network ? -1 : 1));
  const empty = { network_id: root.network_id, router_id: new Uint8Array(16), incarnation: 1, version: 1 };
  return { keys: { ...(report ?? empty), keys }, missing };
}

export type SiteSubject = { readonly input: CompileInput; readonly standIns: readonly string[] };

export type Subjects = { readonly site: Site; readonly routers: readonly SiteSubject[] };

/** The site with what each of its routers is proven over, by --router or all, sorted. Codes site.*, trust.*, cli.no_router. */
export async function openSubjects(context: Context): Promise<Result<Subjects>> {
  const { args } = context;
  const folder = resolve(args.one("site") ?? ".");
  const site = readSite(folder);
  if (!site.ok) return site;
  // Loaded where there is trust to verify: a question about a site without any is answered sooner.
  const session = trustVersions(folder, "root").length > 0 ? await import("./session.ts") : undefined;
  const home = await session?.openHome(context);
  if (home !== undefined && !home.ok) return home;
  const { intent, inventory } = site.value;
  const view = home?.value.chain.view;
  const { root, roster } =
    view === undefined ? standInTrust(intent.site) : { root: view.root.message, roster: view.roster.message };
  const wanted = args.one("router");
  const ids = intent.routers.map((one) => one.id).filter((id) => wanted === undefined || id === wanted);
  if (ids.length === 0) return refuse("cli.no_router", wanted ?? "", "the intent has no such router");
  const routers: SiteSubject[] = [];
  for (const router of ids.sort()) {
    const report = home === undefined ? undefined : await reportOf(home.value, router);
    if (report !== undefined && !report.ok) return report;
    const { keys, missing } = keysFor(site.value, router, root, report?.value?.message ?? null);
    const input = { intent, inventory, root, roster, keys, router };
    routers.push({ input, standIns: missing });
  }
  return done({ site: site.value, routers });
}

/** The key report that the site holds of a router. */
async function reportOf(home: Home, router: string): Promise<ReturnType<typeof heldReport> | undefined> {
  const [docs, reports] = await Promise.all([import("./trust-docs.ts"), import("./reports.ts")]);
  const entry = docs.activeRouter(home.chain.view, router);
  return entry === undefined ? undefined : reports.heldReport(home, entry);
}

/** The one router that a question is about. Code cli.no_router. */
export function onlyRouter({ routers }: Subjects): Result<SiteSubject> {
  const [only, second] = routers;
  if (only !== undefined && second === undefined) return done(only);
  const names = routers.map((one) => one.input.router).join(", ");
  return refuse("cli.no_router", "intent", `there are ${names}: choose with --router ID`);
}
