/**
 * Keys that took themselves back, kept in trust/revoked/ of the site: each is sent to every router once, so that one
 * that was away when it happened learns of it with the next push.
 */
import { openSelfRevoke } from "../agent/core/operators.ts";
import { equalBytes } from "../schemas/digest.ts";
import { done, type Result } from "../schemas/problem.ts";
import type { Status } from "../schemas/report.ts";
import type { Home, Session } from "./session.ts";
import { readRevoked, revokedFiles } from "./site/proposal-files.ts";

export type Revocation = { readonly name: string; readonly key: Uint8Array; readonly envelope: Uint8Array };

/** Every revocation of a site, each checked against the roster. Codes site.*, wire.*, trust.*. */
export function readRevocations(home: Home): Result<readonly Revocation[]> {
  const found: Revocation[] = [];
  for (const name of revokedFiles(home.folder)) {
    const bytes = readRevoked(home.folder, name);
    if (!bytes.ok) return bytes;
    const opened = openSelfRevoke(home.crypto, home.chain.view, bytes.value);
    if (!opened.ok)
      return { ok: false, problems: opened.problems.map((one) => ({ ...one, path: `${name} ${one.path}` })) };
    found.push({ name, key: opened.value.message.key, envelope: opened.value.envelope });
  }
  return done(found);
}

/**
 * Tells a router of the revocations that it has not heard, before anything else is asked of it. Returns how many. One
 * that it cannot place yet (its roster is older than the key) is left for the next time.
 */
export async function sendRevocations(
  session: Session,
  status: Pick<Status, "revoked" | "roster_digest">,
): Promise<Result<number>> {
  const known = readRevocations(session);
  if (!known.ok) return known;
  const { roster } = session.chain.view;
  const upToDate = equalBytes(status.roster_digest, roster.digest);
  const isActive = (key: Uint8Array): boolean =>
    roster.message.operators.some((one) => one.status === "active" && equalBytes(one.sign_key, key));
  let sent = 0;
  for (const { key, envelope } of known.value) {
    // A roster that says the same does the work of the revocation.
    if (status.revoked.some((one) => equalBytes(one, key)) || (upToDate && !isActive(key))) continue;
    const answer = await session.link.get("revoke", { revoke: envelope }, { attempts: 3 });
    if (answer.ok) sent += 1;
    else if (answer.problems.some((one) => one.code !== "trust.signer_unknown")) return answer;
  }
  return done(sent);
}
