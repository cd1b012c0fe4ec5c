/**
 * Trust for tests that need a root, a roster and key reports but no ceremony: everything follows from names, so two
 * runs and two processes get the same bytes. Documents are plain messages; sign them with the keys given here.
 */
import sodium from "libsodium-wrappers";
import { type BoxKeys, type Crypto, cryptoOf, type SignKeys } from "../../agent/core/crypto.ts";
import { type Opened, signStatement } from "../../agent/core/dsse.ts";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import type { KeyReport, Operator, Root, Roster, RosterRouter } from "../../schemas/trust.ts";

await sodium.ready;
export const crypto: Crypto = cryptoOf(sodium);

const id = (name: string): Uint8Array => sha256(name).slice(0, 16);
const ZEROS = new Uint8Array(32);

/** A WireGuard pair from a name: private half is SHA-256 of it, as WireGuard clamps it; both in base64. */
export function wgKeys(name: string): { readonly privateKey: string; readonly publicKey: string } {
  const secret = sha256(name);
  secret[0] = secret[0]! & 248;
  secret[31] = (secret[31]! & 127) | 64;
  return { privateKey: toBase64(secret), publicKey: toBase64(sodium.crypto_scalarmult_base(secret)) };
}

/** The pair of a client of an example on a network; the examples' inventories hold the public halves. */
export const clientKeys = (client: string, network: string, generation = 1): ReturnType<typeof wgKeys> =>
  wgKeys(`holdfast example client ${client} ${network} ${generation}`);

/** 32 bytes; the inventories hold pskCommitment of it. */
export const clientPsk = (client: string, network: string, generation = 1): Uint8Array =>
  sha256(`holdfast example psk ${client} ${network} ${generation}`);

export const routerWgKeys = (router: string, network: string): ReturnType<typeof wgKeys> =>
  wgKeys(`holdfast example router ${router} ${network}`);

export type Person = {
  readonly holder: string;
  readonly sign: SignKeys;
  readonly seal: BoxKeys;
  readonly lane: ReturnType<typeof wgKeys>;
};

export function person(holder: string): Person {
  return {
    holder,
    sign: crypto.signKeys(sha256(`sign ${holder}`)),
    seal: crypto.boxKeys(sha256(`seal ${holder}`)),
    lane: wgKeys(`lane ${holder}`),
  };
}

export type Trust = {
  readonly root: Root;
  readonly roster: Roster;
  /** Key report of each router: "rescue" and its networks. */
  readonly reports: ReadonlyMap<string, KeyReport>;
  readonly operators: readonly Person[];
  readonly roles: { readonly root: SignKeys; readonly admin: SignKeys; readonly recovery: SignKeys };
  readonly escrow: BoxKeys;
  readonly routerKeys: ReadonlyMap<string, { readonly sign: SignKeys; readonly seal: BoxKeys }>;
  /** The root's envelope and digest; the roster names the digest. */
  readonly signedRoot: Opened<"root">;
  readonly signedRoster: Opened<"roster">;
};

export type TrustOptions = {
  readonly network?: string; // the site's name
  readonly operators?: readonly string[]; // holders
  readonly revoked?: readonly string[]; // holders whose status is revoked
};

const byHolder = (a: { holder: string }, b: { holder: string }): number => (a.holder < b.holder ? -1 : 1);

function operatorsOf(people: readonly Person[], revoked: readonly string[]): Operator[] {
  return people
    .map(
      ({ holder, sign, seal, lane }): Operator => ({
        holder,
        sign_key: sign.publicKey,
        seal_key: seal.publicKey,
        lane_key: lane.publicKey,
        max_class: "trust",
        status: revoked.includes(holder) ? "revoked" : "active",
      }),
    )
    .sort(byHolder);
}

function rootOf(network: string, roles: Trust["roles"], escrow: BoxKeys, first: Person, solo: boolean): Root {
  const { root, admin, recovery } = roles;
  const holder = first.holder;
  return {
    network_id: id(`network ${network}`),
    network,
    version: 1,
    prev_digest: ZEROS,
    keys: [
      { role: "root", key: root.publicKey, holder },
      { role: "admin", key: admin.publicKey, holder },
      { role: "recovery", key: recovery.publicKey, holder },
    ],
    root_threshold: 1,
    admin_threshold: 1,
    recovery_threshold: 1,
    escrow: [{ key: escrow.publicKey, holder }],
    classes: [
      { risk_class: "routine", threshold: 1 },
      { risk_class: "sensitive", threshold: 1 },
      { risk_class: "trust", threshold: 1 },
      { risk_class: "recovery", threshold: 1 },
    ],
    safe_mode: { api_port: 8022, allow_icmp: true },
    solo,
    issued_at: 1_764_000_000n,
  };
}

/**
 * Root, roster and key reports for routers. `networks` are the WireGuard networks of every router, or of each by its
 * id. Deterministic; the signatures are real.
 */
export function makeTrust(
  routerIds: readonly string[],
  networks: readonly string[] | Readonly<Record<string, readonly string[]>>,
  { network = "homelab", operators = ["alice"], revoked = [] }: TrustOptions = {},
): Trust {
  const people = operators.map(person);
  const roles = {
    root: crypto.signKeys(sha256(`root ${network}`)),
    admin: crypto.signKeys(sha256(`admin ${network}`)),
    recovery: crypto.signKeys(sha256(`recovery ${network}`)),
  };
  const escrow = crypto.boxKeys(sha256(`escrow ${network}`));
  const signedRoot = signStatement(crypto, "root", rootOf(network, roles, escrow, people[0]!, people.length === 1), [
    roles.root,
  ]);
  const root = signedRoot.message;
  const routerKeys = new Map(
    routerIds.map((router) => [
      router,
      {
        sign: crypto.signKeys(sha256(`router sign ${network} ${router}`)),
        seal: crypto.boxKeys(sha256(`router seal ${network} ${router}`)),
      },
    ]),
  );
  const routers = [...routerIds].sort().map(
    (router): RosterRouter => ({
      id: router,
      router_id: id(`router ${network} ${router}`),
      incarnation: 1,
      sign_key: routerKeys.get(router)!.sign.publicKey,
      seal_key: routerKeys.get(router)!.seal.publicKey,
      generation_floor: 0n,
      status: "active",
    }),
  );
  const roster: Roster = {
    network_id: root.network_id,
    version: 1,
    prev_digest: ZEROS,
    root_digest: signedRoot.digest,
    operators: operatorsOf(people, revoked),
    routers,
    consumed_tokens: [],
    issued_at: 1_764_000_000n,
  };
  const reports = new Map(
    routers.map((router): [string, KeyReport] => {
      const own = Array.isArray(networks)
        ? (networks as readonly string[])
        : ((networks as Readonly<Record<string, readonly string[]>>)[router.id] ?? []);
      const names = [...new Set(["rescue", ...own])].sort();
      return [
        router.id,
        {
          network_id: root.network_id,
          router_id: router.router_id,
          incarnation: router.incarnation,
          version: 1,
          keys: names.map((name) => ({ network: name, public_key: routerWgKeys(router.id, name).publicKey })),
        },
      ];
    }),
  );
  const signedRoster = signStatement(crypto, "roster", roster, [roles.admin]);
  return { root, roster, reports, operators: people, roles, escrow, routerKeys, signedRoot, signedRoster };
}
