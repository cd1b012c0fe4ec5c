/**
 * `check`: the proof without any router. Keys that no router has reported yet are stood in for by fixed ones: what is
 * proven is the site, and the router proves it again with the real ones.
 */
import { networksOf } from "../../agent/core/compile.ts";
import type { Crypto } from "../../agent/core/crypto.ts";
import { prove } from "../../agent/core/prove.ts";
import type { TrustView } from "../../agent/core/trust.ts";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import { type Problem, refuse } from "../../schemas/problem.ts";
import type { KeyReport } from "../../schemas/trust.ts";
import { operatorOfSeeds } from "../keys.ts";
import { type Ending, finished, refused } from "../out.ts";
import { heldReport } from "../reports.ts";
import { type Context, DEFAULT_API_PORT, type Home, openHome, siteFolder } from "../session.ts";
import { readSite, type Site } from "../site/site.ts";
import { trustVersions } from "../site/trust-files.ts";
import { loadCrypto } from "../sodium.ts";
import { activeRouter, makeSoloTrust } from "../trust-docs.ts";

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

type Checked = {
  readonly router: string;
  readonly desired_digest: Uint8Array;
  readonly stand_in_keys: readonly string[];
};

function checkRouter(
  site: Site,
  router: string,
  view: TrustView,
  report: KeyReport | null,
): Checked | readonly Problem[] {
  const { keys, missing } = keysFor(site, router, view, report);
  const { intent, inventory } = site;
  const proven = prove({ intent, inventory, root: view.root.message, roster: view.roster.message, keys, router });
  if (!proven.ok) return proven.problems.map(site.locate);
  return { router, desired_digest: proven.value.digest, stand_in_keys: missing };
}

/** `holdfast check` */
export async function check(context: Context): Promise<Ending> {
  const { args } = context;
  const folder = siteFolder(args);
  const site = readSite(folder);
  if (!site.ok) return refused(site.problems);
  let home: Home | undefined;
  if (trustVersions(folder, "root").length > 0) {
    const opened = await openHome(context);
    if (!opened.ok) return refused(opened.problems);
    home = opened.value;
  }
  const view = home?.chain.view ?? standInTrust(await loadCrypto(), site.value.intent.site);
  const wanted = args.one("router");
  const routers = site.value.intent.routers.map((one) => one.id).filter((id) => wanted === undefined || id === wanted);
  if (routers.length === 0)
    return refused(refuse("cli.no_router", wanted ?? "", "the intent has no such router").problems);
  const good: Checked[] = [];
  const found: Problem[] = [];
  for (const id of routers.sort()) {
    const entry = activeRouter(view, id);
    const report = home === undefined || entry === undefined ? undefined : heldReport(home, entry);
    if (report !== undefined && !report.ok) return refused(report.problems);
    const result = checkRouter(site.value, id, view, report?.value?.message ?? null);
    if ("router" in result) good.push(result);
    else found.push(...result);
  }
  if (found.length > 0) return refused(distinct(found), { routers: good });
  const { clients } = site.value.inventory;
  const lines = good.map(({ router, desired_digest, stand_in_keys }) => {
    const note = stand_in_keys.length === 0 ? "" : `, with stand-in keys for ${stand_in_keys.join(", ")}`;
    return `${router}: proven, sha256:${Buffer.from(desired_digest).toString("hex")}${note}\n`;
  });
  const count = clients.length === 1 ? "1 client" : `${clients.length} clients`;
  return finished(`${lines.join("")}Good: ${good.length === 1 ? "1 router" : `${good.length} routers`}, ${count}.\n`, {
    routers: good,
    clients: clients.length,
  });
}

/** A law of the site is broken for every router alike; once is enough. */
function distinct(problems: readonly Problem[]): readonly Problem[] {
  const seen = new Set<string>();
  return problems.filter((one) => {
    const key = `${one.code}\0${one.path}\0${one.detail}`;
    return !seen.has(key) && seen.add(key);
  });
}
