/**
 * Documents of trust on the operator's side: a solo start, the chain that a site holds, and the next roster. What a
 * chain is worth is decided by agent/core/trust.ts; the first root must be the one that the key files name.
 */
import type { BoxKeys, Crypto, SignKeys } from "../agent/core/crypto.ts";
import { type Opened, signStatement } from "../agent/core/dsse.ts";
import { acceptRoot, acceptRoster, type TrustView } from "../agent/core/trust.ts";
import { equalBytes, toBase64 } from "../schemas/digest.ts";
import { limits } from "../schemas/limits.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Roster, RosterRouter } from "../schemas/trust.ts";
import type { OperatorKeys } from "./keys.ts";
import { readTrustChain } from "./site/trust-files.ts";

const ZEROS = new Uint8Array(32);

export type SoloStart = {
  readonly network: string;
  readonly networkId: Uint8Array; // 16
  readonly holder: string;
  readonly apiPort: number;
  readonly issuedAt: bigint; // unix seconds
  readonly keys: {
    readonly root: SignKeys;
    readonly admin: SignKeys;
    readonly recovery: { readonly sign: SignKeys; readonly escrow: BoxKeys };
    readonly operator: OperatorKeys;
  };
};

/** Root and roster, both version 1, of one person who holds every key: marked solo until a second operator comes. */
export function makeSoloTrust(crypto: Crypto, start: SoloStart): TrustView {
  const { holder, keys } = start;
  const root = signStatement(
    crypto,
    "root",
    {
      network_id: start.networkId,
      network: start.network,
      version: 1,
      prev_digest: ZEROS,
      keys: [
        { role: "root", key: keys.root.publicKey, holder },
        { role: "admin", key: keys.admin.publicKey, holder },
        { role: "recovery", key: keys.recovery.sign.publicKey, holder },
      ],
      root_threshold: 1,
      admin_threshold: 1,
      recovery_threshold: 1,
      escrow: [{ key: keys.recovery.escrow.publicKey, holder }],
      classes: [],
      safe_mode: { api_port: start.apiPort, allow_icmp: true },
      solo: true,
      issued_at: start.issuedAt,
    },
    [keys.root],
  );
  const { operator } = keys;
  const roster = signStatement(
    crypto,
    "roster",
    {
      network_id: start.networkId,
      version: 1,
      prev_digest: ZEROS,
      root_digest: root.digest,
      operators: [
        {
          holder,
          sign_key: operator.sign.publicKey,
          seal_key: operator.seal.publicKey,
          lane_key: toBase64(operator.lane.publicKey),
          max_class: "recovery",
          status: "active",
        },
      ],
      routers: [],
      consumed_tokens: [],
      issued_at: start.issuedAt,
    },
    [keys.admin],
  );
  return { root, roster };
}

/** Every version that a site holds, each one following from the one before. */
export type TrustChain = {
  readonly roots: readonly Opened<"root">[];
  readonly rosters: readonly Opened<"roster">[];
  readonly view: TrustView; // the last of both
};

/**
 * Reads and checks the chain in trust/. `roots`: only so many of its roots, for a new one whose roster is not there
 * yet. Codes cli.no_trust, cli.trust_half, site.*, trust.*, wire.*.
 */
export function readTrustDocs(crypto: Crypto, folder: string, roots?: number): Result<TrustChain> {
  const all = readTrustChain(folder, "root");
  if (!all.ok) return all;
  return chainOf(crypto, folder, all.value.slice(0, roots));
}

function chainOf(crypto: Crypto, folder: string, rootFiles: readonly Uint8Array[]): Result<TrustChain> {
  const rosterFiles = readTrustChain(folder, "roster");
  if (!rosterFiles.ok) return rosterFiles;
  if (rootFiles.length === 0 || rosterFiles.value.length === 0) {
    return refuse("cli.no_trust", "trust", "there is no root and roster in this folder");
  }
  const roots: Opened<"root">[] = [];
  for (const bytes of rootFiles) {
    const next = acceptRoot(crypto, roots.at(-1) ?? null, bytes);
    if (!next.ok) return next;
    roots.push(next.value);
  }
  const rosters: Opened<"roster">[] = [];
  for (const bytes of rosterFiles.value) {
    const next = acceptNextRoster(crypto, roots, rosters.at(-1) ?? null, bytes);
    if (!next.ok) return next;
    rosters.push(next.value);
  }
  const [root, roster] = [roots.at(-1)!, rosters.at(-1)!];
  if (!equalBytes(roster.message.root_digest, root.digest)) {
    return refuse("cli.trust_half", `trust/root.${root.message.version}.dsse`, "the roster that names it is missing");
  }
  return done({ roots, rosters, view: { root, roster } });
}

function acceptNextRoster(
  crypto: Crypto,
  roots: readonly Opened<"root">[],
  current: Opened<"roster"> | null,
  bytes: Uint8Array,
): Result<Opened<"roster">> {
  // Rosters of older roots are history: each was made under one of them, which signs nothing today.
  const results = roots.toReversed().map((root) => acceptRoster(crypto, root, current, bytes));
  return results.find((result) => result.ok) ?? results[0]!;
}

/** Roster N+1 under a root: N with changes, unsigned. */
export function nextRoster(
  { root, roster }: { readonly root: Pick<Opened<"root">, "digest">; readonly roster: Opened<"roster"> },
  change: Partial<Pick<Roster, "operators" | "routers" | "consumed_tokens">>,
  issuedAt: bigint,
): Roster {
  return {
    ...roster.message,
    ...change,
    version: roster.message.version + 1,
    prev_digest: roster.digest,
    root_digest: root.digest,
    issued_at: issuedAt,
  };
}

/** What a router lacks that holds root and roster of these digests; undefined when it holds something newer. */
export function trustUpdates(
  chain: TrustChain,
  held: { readonly root: Uint8Array; readonly roster: Uint8Array },
): readonly Uint8Array[] | undefined {
  const after = <T extends Opened<"root"> | Opened<"roster">>(list: readonly T[], digest: Uint8Array) => {
    const at = list.findIndex((one) => equalBytes(one.digest, digest));
    return at < 0 ? undefined : list.slice(at + 1).map((one) => one.envelope);
  };
  const [roots, rosters] = [after(chain.roots, held.root), after(chain.rosters, held.roster)];
  return roots === undefined || rosters === undefined ? undefined : [...roots, ...rosters];
}

/**
 * What tells a router of an operator that it has not heard of, whatever it holds: as much of the end of both chains as
 * one request takes. Most of it are rosters, which change more often.
 */
export function papers({ roots, rosters }: TrustChain): readonly Uint8Array[] {
  const some = roots.slice(1).slice(-limits.trustUpdates / 4);
  return [...some, ...rosters.slice(some.length - limits.trustUpdates)].map((one) => one.envelope);
}

/** The unit that is this router now. */
export function activeRouter(view: TrustView, id: string): RosterRouter | undefined {
  return view.roster.message.routers.find((one) => one.id === id && one.status === "active");
}
