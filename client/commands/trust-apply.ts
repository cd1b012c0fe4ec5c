/**
 * `trust apply`: proposals with enough signatures become the site's root and roster, both or none. A run that was cut
 * between the two files is finished by the next one.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Crypto } from "../../agent/core/crypto.ts";
import type { Opened } from "../../agent/core/dsse.ts";
import { openStatement } from "../../agent/core/dsse.ts";
import { acceptRoot, acceptRoster } from "../../agent/core/trust.ts";
import { equalBytes } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { type Ending, finished, refused } from "../out.ts";
import { openOnes, type Proposals, readProposals } from "../proposals.ts";
import { type Context, siteFolder } from "../session.ts";
import { proposedVersions, removeProposal } from "../site/proposal-files.ts";
import { readTrust, type TrustKind, trustVersions, writeTrust } from "../site/trust-files.ts";
import { loadCrypto } from "../sodium.ts";
import { readTrustDocs, type TrustChain } from "../trust-docs.ts";

/** The chain before the apply, even when an earlier one was cut after it had written the root. */
function chainBefore(crypto: Crypto, folder: string): Result<TrustChain> {
  const whole = readTrustDocs(crypto, folder);
  if (whole.ok || whole.problems[0]?.code !== "cli.trust_half") return whole;
  const version = trustVersions(folder, "root").at(-1) ?? 0;
  // Only where both halves still wait; otherwise somebody else took the roster away.
  if (!proposedVersions(folder, "root").includes(version)) return whole;
  return readTrustDocs(crypto, folder, version - 1);
}

type Pair = { readonly root: Opened<"root"> | null; readonly roster: Opened<"roster"> };

/** What comes into force, held to the full rules. Codes cli.no_proposal, trust.threshold, trust.*. */
function acceptPair(crypto: Crypto, { view }: TrustChain, { root, roster }: Proposals): Result<Pair> {
  const next = root === null ? done(null) : acceptRoot(crypto, view.root, root.opened.envelope);
  if (!next.ok) return next;
  if (roster === null) {
    if (root === null) return refuse("cli.no_proposal", "trust/proposed", "nothing is open here");
    return refuse("trust.view", root.name, "no proposed roster names this root");
  }
  const accepted = acceptRoster(crypto, next.value ?? view.root, view.roster, roster.opened.envelope);
  return accepted.ok ? done({ root: next.value, roster: accepted.value }) : accepted;
}

/** Writes one document; the same statement with other signatures counts as there. */
function install(crypto: Crypto, folder: string, one: Opened<TrustKind>): Result<void> {
  const { version } = one.message;
  const written = writeTrust(folder, one.kind, version, one.envelope);
  if (written.ok || written.problems[0]?.code !== "site.trust_conflict") return written;
  const there = readTrust(folder, one.kind, version);
  const opened = there.ok ? openStatement(crypto, one.kind, there.value) : there;
  return opened.ok && equalBytes(opened.value.digest, one.digest) ? done(undefined) : written;
}

/** `holdfast trust apply` */
export async function trustApply(context: Context): Promise<Ending> {
  const crypto = await loadCrypto();
  const folder = siteFolder(context.args);
  const chain = chainBefore(crypto, folder);
  if (!chain.ok) return refused(chain.problems);
  const open = readProposals(crypto, folder, chain.value);
  if (!open.ok) return refused(open.problems);
  const pair = acceptPair(crypto, chain.value, open.value);
  if (!pair.ok) return refused(pair.problems);
  const { root, roster } = pair.value;
  const hadRoot = root !== null && trustVersions(folder, "root").includes(root.message.version);
  for (const one of root === null ? [roster] : [root, roster]) {
    const written = install(crypto, folder, one);
    if (written.ok) continue;
    // Both or none.
    if (one.kind === "roster" && root !== null && !hadRoot)
      rmSync(join(folder, "trust", `root.${root.message.version}.dsse`));
    return refused(written.problems);
  }
  const after = readTrustDocs(crypto, folder);
  if (!after.ok) return refused(after.problems);
  for (const { kind, opened } of openOnes(open.value)) removeProposal(folder, kind, opened.message.version);
  const what = root === null ? "" : `root ${root.message.version} and `;
  const fields = { root: after.value.view.root.message.version, roster: roster.message.version };
  const text = `In force: ${what}roster ${roster.message.version}. Next: commit trust/, then holdfast push to every router.`;
  return finished(text, fields);
}
