/** One valid statement of every kind, made for the base state; every vector is one of them with one thing changed. */

import * as v from "valibot";
import { GENESIS } from "../../agent/core/directive.ts";
import type { Opened } from "../../agent/core/dsse.ts";
import { prove } from "../../agent/core/prove.ts";
import { DESIRED_FORMAT } from "../../schemas/desired.ts";
import { sha256 } from "../../schemas/digest.ts";
import type { Confirm, Directive, Request, SealedSecret, Secret } from "../../schemas/directive.ts";
import { canonicalIntent, type Intent, IntentDocument, type IntentInput } from "../../schemas/intent.ts";
import { canonicalInventory, type Inventory, InventoryDocument } from "../../schemas/inventory.ts";
import type { Answer } from "../../schemas/report.ts";
import type { OperatorCard, SelfRevoke } from "../../schemas/trust.ts";
import { encode, type Messages } from "../../schemas/wire.ts";
import { boxPair, laneKey, sealRaw, signPair } from "./raw.ts";
import * as world from "./world.ts";

const { networkId, routerId, id, none, signed } = world;
const unit = { network_id: networkId, router_id: routerId, incarnation: 1 };

// ---- blobs ----

const intentInput: IntentInput = {
  version: 1,
  site: "vectors",
  routers: [
    {
      id: "r1",
      uplinks: [{ interface: "wan0", addresses: ["192.0.2.1/24"], gateways: ["192.0.2.2"] }],
      management: { addresses: ["10.0.0.1"], zones: ["lan"] },
      addresses: [{ interface: "lan0", cidr: "10.0.0.1/24" }],
    },
  ],
  zones: [
    { id: "wan", router: "r1", kind: "uplink", interfaces: ["wan0"] },
    { id: "lan", router: "r1", kind: "management", interfaces: ["lan0"], subnets: ["10.0.0.0/24"] },
  ],
  networks: [{ id: "home", router: "r1", port: 51820, endpoint: "vpn.example.net:51820", subnets: ["10.99.0.0/24"] }],
  profiles: [{ id: "split", reach: [{ zone: "lan" }] }],
  constraints: [{ network: "home", profiles: ["split"] }],
  policies: [{ id: "lan-out", from: "lan", to: "wan" }],
  masquerade: [{ from: "lan", to: "wan" }],
  confirm: { window_s: 30, cap_s: 120 },
};

/** The canonical intent, some of its parts replaced. */
export const intentWith = (change: Partial<IntentInput> = {}): Intent =>
  canonicalIntent(v.parse(IntentDocument, { ...intentInput, ...change }));
export const router = intentInput.routers[0]!;

const psk = id(32, "psk");
export const commitment = sha256("holdfast/psk/v1\0", psk);

export const client = (name: string, address: string, key = laneKey(`client ${name}`), secret = "") => ({
  id: name,
  grants: [
    {
      network: "home",
      profile: "split",
      addresses: [address],
      keys: [{ generation: 1, public_key: key, psk: secret }],
    },
  ],
});
export const inventoryWith = (...clients: readonly ReturnType<typeof client>[]): Inventory =>
  canonicalInventory(v.parse(InventoryDocument, { version: 1, clients: [...clients] }));

export const phone = client("phone", "10.99.0.2", laneKey("client phone"), commitment.toHex());

/** The inside of a sealed secret. */
export const secret = (change: Partial<Secret> = {}): Secret => ({
  ...unit,
  subject: "phone.1",
  secret: psk,
  ...change,
});
export const secretBytes = encode("Secret", secret());
/** Sealed to the router and to escrow. `name` makes the ephemeral keys. */
export const sealed = (inside: Secret = secret(), change: Partial<Messages["SealedSecret"]> = {}) => {
  const bytes = encode("Secret", inside);
  return {
    commitment,
    to_router: sealRaw(bytes, boxPair("router").publicKey, "router box"),
    to_escrow: [sealRaw(bytes, boxPair("ann escrow").publicKey, "escrow box")],
    ...change,
  } satisfies v.InferOutput<typeof SealedSecret>;
};
/** A box for the router of that name. */
export const boxFor = (name: string, inside: Secret): Uint8Array =>
  sealRaw(encode("Secret", inside), boxPair(name).publicKey, `${name} box`);
export const secretsBlob = (...list: readonly ReturnType<typeof sealed>[]): Uint8Array =>
  encode("Secrets", { secrets: [...list] });

export const intentBlob = encode("Intent", intentWith());
export const inventoryBlob = encode("Inventory", inventoryWith(phone));
export const baseSecrets = secretsBlob(sealed());

/** What the router compiles from an intent and an inventory. Throws when they are not lawful. */
export function desiredOf(intent: Intent, inventory: Inventory): Uint8Array {
  const proven = prove({
    ...{ intent, inventory, router: "r1", keys: world.keyReport.message },
    ...{ root: world.root1.message, roster: world.roster2.message },
  });
  if (!proven.ok) throw new Error(`the base is not lawful: ${JSON.stringify(proven.problems)}`);
  return proven.value.digest;
}

// ---- what operators sign ----

export const directive = (change: Partial<Directive> = {}): Directive => ({
  ...unit,
  action: "apply",
  generation: 8n,
  parent: GENESIS,
  root_digest: world.root1.digest,
  roster_digest: world.roster2.digest,
  keys_digest: world.keyReport.digest,
  intent_digest: sha256(intentBlob),
  inventory_digest: sha256(inventoryBlob),
  secrets_digest: sha256(baseSecrets),
  desired_digest: id(32, "desired"), // only a bundle's is looked at: a change of the compiler touches no other vector
  desired_format: DESIRED_FORMAT,
  confirm_window_s: 120,
  risk_class: "sensitive",
  challenge: world.challenge,
  beacon: none,
  beacon_max_age_s: 0,
  operator_nonce: id(16, "operator nonce"),
  observed_log_index: world.logHead.message.index,
  observed_log_head: world.logHead.digest,
  accept_unproven: [],
  commit: "",
  note: "vectors",
  issued_at: world.ISSUED_S,
  force: false,
  ...change,
});
/** Signed by ann and bob unless others are named. */
export const signedDirective = (change: Partial<Directive> = {}, ...names: readonly string[]): Opened<"directive"> =>
  signed("directive", directive(change), ...(names.length > 0 ? names : ["ann", "bob"]));
export const directiveBase = signedDirective();
/** With the digest that the base blobs compile to. */
export const bundledDirective = (change: Partial<Directive> = {}): Uint8Array =>
  signedDirective({ desired_digest: desiredOf(intentWith(), inventoryWith(phone)), ...change }).envelope;

/** The trial of the base directive, as the state holds it after its receipt. */
export const trialNonce = id(32, "nonce 8");
export const trial = {
  directive: directiveBase.digest.toHex(),
  nonce: trialNonce.toHex(),
  deadline_ms: world.NOW_MS + 60_000,
  boot_id: world.bootId.toHex(),
};

export const confirm = (change: Partial<Confirm> = {}): Confirm => ({
  ...unit,
  directive_digest: directiveBase.digest,
  nonce: trialNonce,
  verdict: "commit",
  padding: none,
  ...change,
});

export const request = (change: Partial<Request> = {}): Request => ({
  network_id: networkId,
  router_id: routerId,
  kind: "status",
  reply_key: boxPair("reply").publicKey,
  nonce: id(16, "request nonce"),
  need: [],
  chunk: null,
  directive: none,
  trust: [],
  confirm: none,
  from_index: 0n,
  limit: 0,
  networks: [],
  revoke: none,
  delta: null,
  fresh: false,
  wait_s: 0,
  ...change,
});
export const requestBase = signed("request", request(), "ann");

export const card = (change: Partial<OperatorCard> = {}): OperatorCard => ({
  network_id: networkId,
  holder: "eve",
  sign_key: signPair("eve").publicKey,
  seal_key: boxPair("eve").publicKey,
  lane_key: laneKey("eve"),
  root_key: signPair("eve root").publicKey,
  admin_key: none,
  recovery_key: none,
  escrow_key: none,
  ...change,
});

export const selfRevoke = (change: Partial<SelfRevoke> = {}): SelfRevoke => ({
  network_id: networkId,
  key: signPair("bob").publicKey,
  reason: "laptop lost",
  ...change,
});

// ---- what the router signs ----

export const answer = (change: Partial<Answer> = {}): Answer => ({
  request_digest: requestBase.digest,
  nonce: requestBase.message.nonce,
  router_id: routerId,
  code: "",
  problems: [],
  challenge: none,
  missing: [],
  receipt: none,
  receipts: [],
  status: null,
  key_report: none,
  enrol: none,
  beacon: none,
  ...change,
});
/** The state of an operator who asked that. */
export const asked = { request: requestBase.envelope.toBase64() };

/** The token as a state holds it, and the state of a router that no roster names yet. */
export const tokenText = encode("EnrolToken", world.token).toBase64();
export const notEnrolled = { roster: "", key_report: "", generation: "0", challenges: [], beacons: [] };

export const nextReceipt = world.receiptAfter(world.logHead, { outcome: "needs_hands" });

// ---- the next documents of trust ----

export const root2 = signed("root", { ...world.after(world.root1), issued_at: 1_800_000_001n }, "ann root", "cyd root");
export const roster3Message = {
  ...world.after(world.roster2),
  operators: [...world.roster2.message.operators, world.operator("eve")],
};
export const roster3 = signed("roster", roster3Message, "ann admin", "bob admin");

/** A bundle with other parts; without blobs named, those of the base. */
export const bundleMessage = (change: Partial<Messages["Bundle"]> = {}): Messages["Bundle"] => ({
  directive: bundledDirective(),
  trust: [],
  blobs: [intentBlob, inventoryBlob, baseSecrets],
  beacon: none,
  key_report: world.keyReport.envelope,
  plan: "",
  ...change,
});
export const bundle = (change: Partial<Messages["Bundle"]> = {}): Uint8Array => encode("Bundle", bundleMessage(change));
