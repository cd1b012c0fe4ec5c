/**
 * Files of trust that wait: trust/proposed/<kind>.<n>.dsse with too few signatures, and trust/revoked/<holder>.dsse of
 * keys that took themselves back. What the bytes are worth is decided elsewhere.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { createFile, readCapped, replaceFile } from "./files.ts";
import { listFolder, type TrustKind, versionsIn } from "./trust-files.ts";

const PROPOSED = join("trust", "proposed");
const REVOKED = join("trust", "revoked");

/** The name of a proposal in the site, as people see it. */
export const proposalName = (kind: TrustKind, version: number): string => join(PROPOSED, `${kind}.${version}.dsse`);

/** Versions of a kind that are proposed, ascending. */
export function proposedVersions(folder: string, kind: TrustKind): readonly number[] {
  return versionsIn(join(folder, PROPOSED), kind);
}

export function readProposal(folder: string, kind: TrustKind, version: number): Result<Uint8Array> {
  return readCapped(folder, proposalName(kind, version), limits.trustBytes);
}

/**
 * Writes a proposal: a new one (`before` null), or `before` with more signatures. Codes cli.proposal_open when another
 * one is there already, site.changed when somebody was faster.
 */
export function writeProposal(
  folder: string,
  kind: TrustKind,
  version: number,
  before: Uint8Array | null,
  bytes: Uint8Array,
): Result<void> {
  const name = proposalName(kind, version);
  if (before !== null) return replaceFile(folder, name, before, bytes);
  mkdirSync(join(folder, PROPOSED), { recursive: true });
  const made = createFile(folder, name, bytes);
  if (!made.ok) return made;
  return made.value ? done(undefined) : refuse("cli.proposal_open", name, "it proposes something else");
}

/** Takes a proposal away that is in force, or could not be completed. */
export function removeProposal(folder: string, kind: TrustKind, version: number): void {
  rmSync(join(folder, proposalName(kind, version)), { force: true });
}

/** Names of the revocations in a site, sorted. */
export function revokedFiles(folder: string): readonly string[] {
  return listFolder(join(folder, REVOKED))
    .filter((name) => name.endsWith(".dsse"))
    .sort()
    .map((name) => join(REVOKED, name));
}

export function readRevoked(folder: string, name: string): Result<Uint8Array> {
  return readCapped(folder, name, limits.trustBytes);
}

/**
 * Keeps a revocation under the holder's name; a second key of the same person gets a number. Returns the name; the
 * same bytes again change nothing.
 */
export function writeRevoked(folder: string, holder: string, bytes: Uint8Array): Result<string> {
  mkdirSync(join(folder, REVOKED), { recursive: true });
  for (let count = 1; ; count += 1) {
    const name = join(REVOKED, count === 1 ? `${holder}.dsse` : `${holder}.${count}.dsse`);
    if (!existsSync(join(folder, name))) {
      const made = createFile(folder, name, bytes);
      if (!made.ok) return made;
      if (made.value) return done(name);
    }
    const there = readRevoked(folder, name);
    if (!there.ok) return there;
    if (equalBytes(there.value, bytes)) return done(name);
  }
}
