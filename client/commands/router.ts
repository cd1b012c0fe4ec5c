/** `router list` and `router keys`. */
import { networksOf } from "../../agent/core/compile.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { fetchKeys } from "../reports.ts";
import { type Context, openHome, openSession } from "../session.ts";
import { keyReportVersions } from "../site/trust-files.ts";

/** `holdfast router list`: the routers of intent and roster, without asking them. */
export async function routerList(context: Context): Promise<Ending> {
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { intent, chain, folder } = home.value;
  const { routers } = chain.view.roster.message;
  const listed = routers.map(({ id, router_id, incarnation, status }) => ({
    ...{ router: id, state: status as string, router_id, incarnation },
    keys: keyReportVersions(folder, id).at(-1) ?? 0,
  }));
  const waiting = (intent?.routers ?? [])
    .filter(({ id }) => !routers.some((one) => one.id === id))
    .map(({ id }) => ({ router: id, state: "not enrolled", router_id: new Uint8Array(), incarnation: 0, keys: 0 }));
  const all = [...listed, ...waiting].sort((a, b) => (a.router < b.router ? -1 : 1));
  const rows = all.map((one) => {
    const management = intent?.routers.find(({ id }) => id === one.router)?.management;
    const addresses = management === undefined ? "-" : `${management.addresses.join(" ")} port ${management.port}`;
    return [one.router, one.state, String(one.incarnation), one.keys === 0 ? "-" : `report ${one.keys}`, addresses];
  });
  return finished(table([["ROUTER", "STATE", "INCARNATION", "KEYS", "MANAGEMENT"], ...rows]), { routers: all });
}

/** `holdfast router keys ID`: the router's WireGuard public keys; it makes those that are missing. */
export async function routerKeys(context: Context): Promise<Ending> {
  const session = await openSession(context, context.args.operands[0]);
  if (!session.ok) return refused(session.problems);
  const { intent, router, site } = session.value;
  if (!site.ok) return refused(site.problems);
  const report = await fetchKeys(session.value, networksOf(intent!, router.id));
  if (!report.ok) return refused(report.problems);
  const { keys, version } = report.value.message;
  const rows = keys.map((key) => [key.network, key.public_key]);
  return finished(table([["NETWORK", "PUBLIC KEY"], ...rows]), { router: router.id, version, keys });
}
