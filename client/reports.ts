/** Key reports that the site holds: the WireGuard public keys that a router made. */
import type { Opened } from "../agent/core/dsse.ts";
import { openKeyReport } from "../agent/core/trust.ts";
import { done, type Result } from "../schemas/problem.ts";
import type { RosterRouter } from "../schemas/trust.ts";
import type { Home } from "./session.ts";
import { keyReportVersions, readKeyReport } from "./site/trust-files.ts";

/** The newest report of this unit; null when the site has none. Codes site.*, trust.*. */
export function heldReport(home: Home, router: RosterRouter): Result<Opened<"key-report"> | null> {
  const version = keyReportVersions(home.folder, router.id).at(-1);
  if (version === undefined) return done(null);
  const bytes = readKeyReport(home.folder, router.id, version);
  if (!bytes.ok) return bytes;
  return openKeyReport(home.crypto, router, home.chain.view.root.message.network_id, bytes.value);
}
