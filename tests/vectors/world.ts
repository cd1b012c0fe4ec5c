/**
 * The network that every vector is about: three people who share the roles, one router, its log and what it gave out.
 * All keys come from names and all times are fixed, so its bytes are the same on every machine.
 */
import sodium from "libsodium-wrappers";
import { type Crypto, cryptoOf, type SignKeys } from "../../agent/core/crypto.ts";
import { GENESIS } from "../../agent/core/directive.ts";
import { type Kind, type MessageOf, type Opened, signStatement } from "../../agent/core/dsse.ts";
import { makeEnrolRequest } from "../../agent/core/enrol.ts";
import type { VerifyState } from "../../agent/core/verify-state.ts";
import { DESIRED_FORMAT } from "../../schemas/desired.ts";
import { sha256, toHex } from "../../schemas/digest.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { EnrolToken, Operator, Root, Roster } from "../../schemas/trust.ts";
import { boxPair, boxSeed, laneKey, signPair } from "./raw.ts";

await sodium.ready;
export const crypto: Crypto = cryptoOf(sodium);

export const id = (length: 16 | 32, name: string): Uint8Array => sha256(`vectors id ${name}`).slice(0, length);
export const ZEROS: Uint8Array = new Uint8Array(32);
export const none: Uint8Array = new Uint8Array();

export const networkId = id(16, "network");
export const routerId = id(16, "router");
export const bootId = id(16, "boot");

/** When the vectors are judged, and when the router gave out its challenge and its beacon; CLOCK_BOOTTIME in ms. */
export const NOW_MS = 10_000_000;
export const CHALLENGE_MS = NOW_MS - 60_000;
export const BEACON_MS = NOW_MS - 3_600_000;
/** Of every advisory time in the documents. */
export const ISSUED_S = 1_800_000_000n;

export const signer = (name: string): SignKeys => {
  const { publicKey, privateKey } = signPair(name);
  return { publicKey, secretKey: privateKey };
};

/** Signed by the keys of these names. */
export const signed = <K extends Kind>(kind: K, message: MessageOf<K>, ...names: readonly string[]): Opened<K> =>
  signStatement(crypto, kind, message, names.map(signer));

const roleKeys = (role: Root["keys"][number]["role"], ...holders: readonly string[]): Root["keys"] =>
  holders.map((holder) => ({ role, key: signPair(`${holder} ${role}`).publicKey, holder }));

export const rootMessage: Root = {
  network_id: networkId,
  network: "vectors",
  version: 1,
  prev_digest: ZEROS,
  keys: [
    ...roleKeys("root", "ann", "bob", "cyd"),
    ...roleKeys("admin", "ann", "bob", "cyd"),
    ...roleKeys("recovery", "ann", "bob", "cyd"),
  ],
  root_threshold: 2,
  admin_threshold: 2,
  recovery_threshold: 2,
  escrow: [{ key: boxPair("ann escrow").publicKey, holder: "ann" }],
  classes: [
    { risk_class: "routine", threshold: 1 },
    { risk_class: "sensitive", threshold: 2 },
    { risk_class: "trust", threshold: 2 },
  ],
  safe_mode: { api_port: 8022, allow_icmp: true },
  solo: false,
  issued_at: ISSUED_S,
};
export const root1 = signed("root", rootMessage, "ann root", "bob root");

export const operator = (name: string, change: Partial<Operator> = {}): Operator => ({
  holder: name.split(" ")[0] ?? name,
  sign_key: signPair(name).publicKey,
  seal_key: boxPair(name).publicKey,
  lane_key: laneKey(name),
  max_class: "recovery",
  status: "active",
  ...change,
});

/** ann, bob up to sensitive, cyd routine only, dan revoked. */
const operators = [
  operator("ann"),
  operator("bob", { max_class: "sensitive" }),
  operator("cyd", { max_class: "routine" }),
  operator("dan", { status: "revoked" }),
];

const rosterMessage: Roster = {
  network_id: networkId,
  version: 1,
  prev_digest: ZEROS,
  root_digest: root1.digest,
  operators,
  routers: [],
  consumed_tokens: [],
  issued_at: ISSUED_S,
};
export const roster1 = signed("roster", rosterMessage, "ann admin", "bob admin");

/** Made before its roster, so it says nothing of the router that is not in the roster afterwards. */
export const token: EnrolToken = {
  token_id: id(16, "token"),
  secret: id(32, "token secret"),
  network_id: networkId,
  router_id: routerId,
  router: "r1",
  incarnation: 1,
  root_digest: root1.digest,
  root: root1.envelope,
  reply_key: boxPair("ann").publicKey,
};

/** Both seeds of the router's own keys; an agent of the tests is given them. */
export const routerSeeds = { sign: sha256("vectors sign router"), seal: boxSeed("router") };
export const rescueKey = laneKey("rescue");
/** What the router answers to its token, some fields of which are others; with other public keys than its own. */
export const enrolmentBy = (
  change: Partial<EnrolToken>,
  { seal = boxPair("router").publicKey, rescueKey: rescue = rescueKey } = {},
): Opened<"enrol-request"> =>
  makeEnrolRequest(
    crypto,
    { ...token, ...change },
    {
      sign: signer("router"),
      seal: { publicKey: seal, secretKey: boxPair("router").privateKey },
      rescueKey: rescue,
    },
  );
export const enrolRequest = enrolmentBy({});

export const routerEntry: Roster["routers"][number] = {
  id: "r1",
  router_id: routerId,
  incarnation: 1,
  sign_key: signPair("router").publicKey,
  seal_key: boxPair("router").publicKey,
  generation_floor: 0n,
  status: "active",
};
export const roster2 = signed(
  "roster",
  { ...after(roster1), routers: [routerEntry], consumed_tokens: [token.token_id] },
  ...["ann admin", "bob admin"],
);

/** The next version of a root or roster. */
export function after<M extends Root | Roster>(before: { readonly message: M; readonly digest: Uint8Array }): M {
  return { ...before.message, version: before.message.version + 1, prev_digest: before.digest };
}

export const keyReport = signed(
  "key-report",
  {
    ...{ network_id: networkId, router_id: routerId, incarnation: 1, version: 2 },
    keys: [
      { network: "home", public_key: laneKey("home") },
      { network: "rescue", public_key: rescueKey },
    ],
  },
  "router",
);

const bareReceipt: Receipt = {
  ...{ network_id: networkId, router_id: routerId, incarnation: 1, index: 1n, prev: ZEROS },
  ...{ outcome: "enrolled", cause: "", directive_digest: ZEROS, generation: 0n, parent: GENESIS },
  ...{ desired_digest: ZEROS, observed_digest: ZEROS, nonce: none, window_s: 0, deadline_boot_ms: 0n },
  ...{ boot_id: bootId, at_boot_ms: 5_000_000n, at_unix: ISSUED_S, lanes: [], confirmed_by: "", confirmed_lane: "" },
  ...{ problems: [], plan: "", plan_digest: none, steps: 0, signers: [], note: "", commit: "" },
  ...{ probes: [], quarantined: false },
  outside_digest: none,
};

/** A router that was enrolled and whose seventh generation did not stay: nothing of ours is kept. */
const history: readonly Partial<Receipt>[] = [
  {},
  {
    ...{ outcome: "trial", directive_digest: id(32, "directive 7"), generation: 7n, signers: ["ann", "bob"] },
    ...{ nonce: id(32, "nonce 7"), window_s: 120, deadline_boot_ms: 6_120_000n },
  },
  {
    ...{ outcome: "rolled_back", cause: "confirm.window_expired", generation: 7n, signers: ["ann", "bob"] },
    ...{ directive_digest: id(32, "directive 7"), window_s: 120 },
  },
];

/** The next entry after `before`. */
export function receiptAfter(before: Opened<"receipt"> | undefined, change: Partial<Receipt>): Opened<"receipt"> {
  const place = { index: (before?.message.index ?? 0n) + 1n, prev: before?.digest ?? ZEROS };
  return signed("receipt", { ...bareReceipt, ...place, ...change }, "router");
}

const entries: Opened<"receipt">[] = [];
for (const change of history) entries.push(receiptAfter(entries.at(-1), change));
export const log: readonly Opened<"receipt">[] = entries;
export const logHead = log.at(-1)!;

export const challenge = id(32, "challenge");
export const beacon = signed(
  "beacon",
  {
    ...{ network_id: networkId, router_id: routerId, incarnation: 1, boot_id: bootId, number: 1n },
    ...{ uptime_ms: BigInt(BEACON_MS), root_digest: root1.digest, roster_digest: roster2.digest },
    ...{ keys_digest: keyReport.digest, generation: 7n, lkg_directive: GENESIS },
    ...{ log_index: logHead.message.index, log_head: logHead.digest },
  },
  "router",
);

/** The state that every vector starts from, unless it says otherwise. */
export const baseState: VerifyState = {
  format: 1,
  network_id: toHex(networkId),
  router_id: toHex(routerId),
  incarnation: 1,
  router: "r1",
  sign_key: toHex(signPair("router").publicKey),
  seal_seed: toHex(routerSeeds.seal),
  root: root1.envelope.toBase64(),
  roots: [],
  roster: roster2.envelope.toBase64(),
  revoked: [],
  token: "",
  generation: "7",
  parent: toHex(GENESIS),
  directives: [],
  key_report: keyReport.envelope.toBase64(),
  desired_format: DESIRED_FORMAT,
  trial: null,
  log: {
    index: String(logHead.message.index),
    head: toHex(logHead.digest),
    known: log.map(({ message, digest }) => ({ index: String(message.index), digest: toHex(digest) })),
  },
  boot_id: toHex(bootId),
  challenges: [{ challenge: toHex(challenge), at_ms: CHALLENGE_MS }],
  beacons: [{ digest: toHex(beacon.digest), at_ms: BEACON_MS }],
  request: "",
};
