/** The interfaces that lead out, as the kernel has them, without the default routes that are ours. */
import type { Uplink } from "../core/health-uplinks.ts";
import { defaultRoutes, readCarriers } from "./ip.ts";
import type { Run } from "./run.ts";

/** Looks at every interface with a default route and at those named. Throws when ip(8) does not answer. */
export async function readUplinks(run: Run, named: readonly string[]): Promise<readonly Uplink[]> {
  const [links, routes] = await Promise.all([readCarriers(run), defaultRoutes(run)]);
  const names = [...new Set([...named, ...routes.map((route) => route.interface)])].sort();
  return names.map((name) => {
    const link = links.get(name);
    const gateways = routes.filter((route) => route.interface === name && !route.own).map((route) => route.via);
    return {
      name,
      present: link !== undefined,
      carrier: link?.carrier ?? false,
      addresses: [...(link?.addresses ?? [])].sort(),
      gateways: [...new Set(gateways)].sort(),
    };
  });
}
