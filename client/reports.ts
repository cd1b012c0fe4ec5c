/** Key reports that the site holds: the WireGuard public keys that a router made. */
import type { Opened } from "../agent/core/dsse.ts";
import { openKeyReport } from "../agent/core/trust.ts";
import { equalBytes } from "../schemas/digest.ts";
import { done, type Result } from "../schemas/problem.ts";
import type { Status } from "../schemas/report.ts";
import type { RosterRouter } from "../schemas/trust.ts";
import type { Home, Session } from "./session.ts";
import { keyReportVersions, readKeyReport, writeKeyReport } from "./site/trust-files.ts";

/** The newest report of this unit; null when the site has none. Codes site.*, trust.*. */
export function heldReport(home: Home, router: RosterRouter): Result<Opened<"key-report"> | null> {
  const version = keyReportVersions(home.folder, router.id).at(-1);
  if (version === undefined) return done(null);
  const bytes = readKeyReport(home.folder, router.id, version);
  if (!bytes.ok) return bytes;
  return openKeyReport(home.crypto, router, home.chain.view.root.message.network_id, bytes.value);
}

/** The report of the site, when it is the router's newest and has a key for each network. */
export function keysAtHand(
  session: Session,
  networks: readonly string[],
  status: Status,
): Opened<"key-report"> | undefined {
  const held = heldReport(session, session.router);
  if (!held.ok || held.value === null || !equalBytes(held.value.digest, status.keys_digest)) return undefined;
  const known = held.value.message.keys.map((key) => key.network);
  return networks.every((network) => known.includes(network)) ? held.value : undefined;
}

/** Fetches the router's key report; it makes keys for networks that are new. Kept in the site when it grew. */
export async function fetchKeys(session: Session, networks: readonly string[]): Promise<Result<Opened<"key-report">>> {
  const { link, crypto, router, chain, folder } = session;
  const answer = await link.get("keys", { networks: [...networks] }, { attempts: 3 });
  if (!answer.ok) return answer;
  const networkId = chain.view.root.message.network_id;
  const report = openKeyReport(crypto, router, networkId, answer.value.key_report);
  if (!report.ok) return report;
  const { version } = report.value.message;
  // A signature may differ where the statement does not: the site keeps the first envelope.
  const held = readKeyReport(folder, router.id, version);
  const heldOne = held.ok ? openKeyReport(crypto, router, networkId, held.value) : undefined;
  if (heldOne?.ok && equalBytes(heldOne.value.digest, report.value.digest)) return heldOne;
  const written = writeKeyReport(folder, router.id, version, report.value.envelope);
  return written.ok ? report : written;
}
