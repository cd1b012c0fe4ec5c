/** Documents of trust for tests: keys from names, and a small network that every test changes in one place. */
import sodium from "libsodium-wrappers";
import { type BoxKeys, type Crypto, cryptoOf, type SignKeys } from "../../agent/core/crypto.ts";
import { GENESIS } from "../../agent/core/directive.ts";
import { type Kind, type MessageOf, type Opened, signStatement } from "../../agent/core/dsse.ts";
import type { TrustView } from "../../agent/core/trust.ts";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import type { Directive, Request } from "../../schemas/directive.ts";
import type { Result } from "../../schemas/problem.ts";
import type { Operator, Root, Roster, RosterRouter } from "../../schemas/trust.ts";
import { bytes } from "../wire/bytes.ts";

await sodium.ready;
export const crypto: Crypto = cryptoOf(sodium);

export const ZEROS = new Uint8Array(32);
export const networkId = bytes(16, 1);
export const routerId = bytes(16, 33);
export const signer = (name: string): SignKeys => crypto.signKeys(sha256(`sign ${name}`));
export const box = (name: string): BoxKeys => crypto.boxKeys(sha256(`box ${name}`));
export const laneKey = (name: string): string => toBase64(crypto.boxKeys(sha256(`lane ${name}`)).publicKey);

/** "" when it was accepted, else the first code. */
export const codeOf = (result: Result<unknown>): string => (result.ok ? "" : result.problems[0]!.code);

export function accepted<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.problems)}`);
  return result.value;
}

/** Signs with the keys of these names. */
export function signed<K extends Kind>(kind: K, message: MessageOf<K>, ...names: readonly string[]): Opened<K> {
  return signStatement(crypto, kind, message, names.map(signer));
}

type RootKeys = Root["keys"];

/** Keys of one role; the holder of "ada-2" is ada. */
export const keysOf = (role: RootKeys[number]["role"], ...names: readonly string[]): RootKeys =>
  names.map((name) => ({ role, key: signer(name).publicKey, holder: name.replace(/-.*$/, "") }));

/** A solo root: one person, with a key for each role. */
export const soloRoot: Root = {
  network_id: networkId,
  network: "homelab",
  version: 1,
  prev_digest: ZEROS,
  keys: [...keysOf("root", "ada-root"), ...keysOf("admin", "ada-admin"), ...keysOf("recovery", "ada-recovery")],
  root_threshold: 1,
  admin_threshold: 1,
  recovery_threshold: 1,
  escrow: [{ key: box("escrow").publicKey, holder: "ada" }],
  classes: [
    { risk_class: "routine", threshold: 1 },
    { risk_class: "sensitive", threshold: 2 },
  ],
  safe_mode: { api_port: 8022, allow_icmp: true },
  solo: true,
  issued_at: 1_800_000_000n,
};

export const operator = (name: string, change: Partial<Operator> = {}): Operator => ({
  holder: name.replace(/-.*$/, ""),
  sign_key: signer(name).publicKey,
  seal_key: box(name).publicKey,
  lane_key: laneKey(name),
  max_class: "trust",
  status: "active",
  ...change,
});

export const routerEntry = (name: string, change: Partial<RosterRouter> = {}): RosterRouter => ({
  id: "r1",
  router_id: routerId,
  incarnation: 1,
  sign_key: signer(name).publicKey,
  seal_key: box(name).publicKey,
  generation_floor: 0n,
  status: "active",
  ...change,
});

export const rosterUnder = (root: Opened<"root">, change: Partial<Roster> = {}): Roster => ({
  network_id: networkId,
  version: 1,
  prev_digest: ZEROS,
  root_digest: root.digest,
  operators: [
    operator("ada"),
    operator("bob", { max_class: "sensitive" }),
    operator("eve", { status: "revoked" }),
    operator("tom", { max_class: "routine" }),
  ],
  routers: [routerEntry("router")],
  consumed_tokens: [bytes(16, 70)],
  issued_at: 1_800_000_000n,
  ...change,
});

/** The next version of a document, changed. */
export function after<M extends Root | Roster>(
  before: { readonly message: M; readonly digest: Uint8Array },
  change: Partial<M> = {},
): M {
  return { ...before.message, version: before.message.version + 1, prev_digest: before.digest, ...change };
}

export const root1 = signed("root", soloRoot, "ada-root");
export const roster1 = signed("roster", rosterUnder(root1), "ada-admin");
export const view: TrustView = { root: root1, roster: roster1 };

export const keyReport = signed(
  "key-report",
  {
    ...{ network_id: networkId, router_id: routerId, incarnation: 1, version: 1 },
    keys: [
      { network: "home", public_key: laneKey("home") },
      { network: "rescue", public_key: laneKey("rescue") },
    ],
  },
  "router",
);

export const challenge = bytes(32, 99);

export const directive = (change: Partial<Directive> = {}): Directive => ({
  network_id: networkId,
  router_id: routerId,
  incarnation: 1,
  action: "apply",
  generation: 1n,
  parent: GENESIS,
  root_digest: root1.digest,
  roster_digest: roster1.digest,
  keys_digest: keyReport.digest,
  intent_digest: bytes(32, 3),
  inventory_digest: bytes(32, 4),
  secrets_digest: bytes(32, 5),
  desired_digest: bytes(32, 6),
  desired_format: 1,
  confirm_window_s: 120,
  risk_class: "routine",
  challenge,
  beacon: new Uint8Array(),
  beacon_max_age_s: 0,
  operator_nonce: bytes(16, 7),
  observed_log_index: 0n,
  observed_log_head: ZEROS,
  accept_unproven: [],
  commit: "",
  note: "first",
  issued_at: 1_800_000_000n,
  force: false,
  ...change,
});

export const request = (change: Partial<Request> = {}): Request => ({
  network_id: networkId,
  router_id: routerId,
  kind: "status",
  reply_key: box("reply").publicKey,
  nonce: bytes(16, 8),
  need: [],
  chunk: null,
  directive: new Uint8Array(),
  trust: [],
  confirm: new Uint8Array(),
  from_index: 0n,
  limit: 0,
  networks: [],
  revoke: new Uint8Array(),
  delta: null,
  fresh: false,
  wait_s: 0,
  ...change,
});
