/**
 * The trust documents of a site, as bytes: trust/{root,roster}.<n>.dsse and trust/keys/<router>.<n>.dsse. A version is
 * written once and never replaced; what the bytes are worth is decided by agent/core/trust.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { createFile, readCapped } from "./files.ts";

export type TrustKind = "root" | "roster";

const trustName = (kind: TrustKind, version: number): string => join("trust", `${kind}.${version}.dsse`);
const reportName = (router: string, version: number): string => join("trust", "keys", `${router}.${version}.dsse`);

/** Versions of `<stem>.<n>.dsse` in a folder, ascending; [] when the folder is not there. */
export function versionsIn(folder: string, stem: string): readonly number[] {
  return listFolder(folder)
    .map((name) => /^(.+)\.([1-9][0-9]{0,8})\.dsse$/.exec(name))
    .filter((match) => match?.[1] === stem)
    .map((match) => Number(match![2]))
    .sort((a, b) => a - b);
}

/** Names in a folder; [] when it is not there. */
export function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return [];
    throw error;
  }
}

/** Versions that the site has of its root or roster, ascending. Gaps are shown as they are. */
export function trustVersions(folder: string, kind: TrustKind): readonly number[] {
  return versionsIn(join(folder, "trust"), kind);
}

/** Versions of a router's key report, ascending. */
export function keyReportVersions(folder: string, router: string): readonly number[] {
  return versionsIn(join(folder, "trust", "keys"), router);
}

/** The envelope of one version. */
export function readTrust(folder: string, kind: TrustKind, version: number): Result<Uint8Array> {
  return readCapped(folder, trustName(kind, version), limits.trustBytes);
}

export function readKeyReport(folder: string, router: string, version: number): Result<Uint8Array> {
  return readCapped(folder, reportName(router, version), limits.trustBytes);
}

/** Every version of a kind, ascending, as envelopes. */
export function readTrustChain(folder: string, kind: TrustKind): Result<readonly Uint8Array[]> {
  const chain: Uint8Array[] = [];
  for (const version of trustVersions(folder, kind)) {
    const bytes = readTrust(folder, kind, version);
    if (!bytes.ok) return bytes;
    chain.push(bytes.value);
  }
  return done(chain);
}

function writeOnce(folder: string, name: string, bytes: Uint8Array): Result<void> {
  if (bytes.length > limits.trustBytes) {
    return refuse("site.too_large", name, `A trust document has at most ${limits.trustBytes} bytes.`);
  }
  mkdirSync(join(folder, "trust", "keys"), { recursive: true });
  const made = createFile(folder, name, bytes);
  if (!made.ok) return made;
  if (made.value) return done(undefined);
  const there = readCapped(folder, name, limits.trustBytes);
  if (!there.ok) return there;
  if (equalBytes(there.value, bytes)) return done(undefined);
  return refuse(
    "site.trust_conflict",
    name,
    `${name} is there with other contents: two people signed one version; compare them.`,
  );
}

/** Writes one version, durably; the same bytes again are fine, other bytes are site.trust_conflict. */
export function writeTrust(folder: string, kind: TrustKind, version: number, bytes: Uint8Array): Result<void> {
  return writeOnce(folder, trustName(kind, version), bytes);
}

export function writeKeyReport(folder: string, router: string, version: number, bytes: Uint8Array): Result<void> {
  return writeOnce(folder, reportName(router, version), bytes);
}
