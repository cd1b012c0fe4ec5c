/**
 * The site as the proof sees it, without any router. Keys that no router has reported yet are stood in for by fixed
 * ones, and so is the trust of a folder that has none: what is looked at is the site.
 */
import { type CompileInput, networksOf } from "../agent/core/compile.ts";
import type { Crypto } from "../agent/core/crypto.ts";
import type { TrustView } from "../agent/core/trust.ts";
import { sha256, toBase64 } from "../schemas/digest.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { KeyReport } from "../schemas/trust.ts";
import { operatorOfSeeds } from "./keys.ts";
import { heldReport } from "./reports.ts";
import { type Context, DEFAULT_API_PORT, type Home, openHome, siteFolder } from "./session.ts";
import { readSite, type Site } from "./site/site.ts";
import { trustVersions } from "./site/trust-files.ts";
import { loadCrypto } from "./sodium.ts";
import { activeRouter, makeSoloTrust } from "./trust-docs.ts";

/** Trust of nobody, the same on every machine, for a folder without trust/. */
function standInTrust(crypto: Crypto, site: string): TrustView {
  const seed = (name: string): Uint8Array => sha256("holdfast/check/v1\0", name);
  return makeSoloTrust(crypto, {
    network: site,
    networkId: seed("network").slice(0, 16),
    holder: "operator",
    apiPort: DEFAULT_API_PORT,
    issuedAt: 0n,
    keys: {
      root: crypto.signKeys(seed("root")),
      admin: crypto.signKeys(seed("admin")),
      recovery: { sign: crypto.signKeys(seed("recovery")), escrow: crypto.boxKeys(seed("escrow")) },
      operator: operatorOfSeeds(crypto, "operator", [seed("sign"), seed("seal"), seed("lane")]),
    },
  });
}

/** The reported keys, completed by stand-ins. */
function keysFor(
  site: Site,
  router: string,
  view: TrustView,
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
  const empty = { network_id: view.root.message.network_id, router_id: new Uint8Array(16), incarnation: 1, version: 1 };
  return { keys: { ...(report ?? empty), keys }, missing };
}

export type SiteSubject = { readonly input: CompileInput; readonly standIns: readonly string[] };

export type Subjects = { readonly site: Site; readonly routers: readonly SiteSubject[] };

/** The site with what each of its routers is proven over, by --router or all, sorted. Codes site.*, trust.*, cli.no_router. */
export async function openSubjects(context: Context): Promise<Result<Subjects>> {
  const { args } = context;
  const folder = siteFolder(args);
  const site = readSite(folder);
  if (!site.ok) return site;
  let home: Home | undefined;
  if (trustVersions(folder, "root").length > 0) {
    const opened = await openHome(context);
    if (!opened.ok) return opened;
    home = opened.value;
  }
  const { intent, inventory } = site.value;
  const view = home?.chain.view ?? standInTrust(await loadCrypto(), intent.site);
  const wanted = args.one("router");
  const ids = intent.routers.map((one) => one.id).filter((id) => wanted === undefined || id === wanted);
  if (ids.length === 0) return refuse("cli.no_router", wanted ?? "", "the intent has no such router");
  const routers: SiteSubject[] = [];
  for (const router of ids.sort()) {
    const entry = activeRouter(view, router);
    const report = home === undefined || entry === undefined ? undefined : heldReport(home, entry);
    if (report !== undefined && !report.ok) return report;
    const { keys, missing } = keysFor(site.value, router, view, report?.value?.message ?? null);
    const input = { intent, inventory, root: view.root.message, roster: view.roster.message, keys, router };
    routers.push({ input, standIns: missing });
  }
  return done({ site: site.value, routers });
}

/** The one router that a question is about. Code cli.no_router. */
export function onlyRouter({ routers }: Subjects): Result<SiteSubject> {
  const [only, second] = routers;
  if (only !== undefined && second === undefined) return done(only);
  const names = routers.map((one) => one.input.router).join(", ");
  return refuse("cli.no_router", "intent", `there are ${names}: choose with --router ID`);
}
