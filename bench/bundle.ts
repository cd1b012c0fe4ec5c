/** A bundle of many clients as files in a folder: what lies on a router's disk when its directive arrives. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AdmitContext, GENESIS } from "../agent/core/directive.ts";
import { type Opened, openStatement, signStatement } from "../agent/core/dsse.ts";
import { prove } from "../agent/core/prove.ts";
import { acceptRoot, acceptRoster, openKeyReport, rosterRouter, type TrustView } from "../agent/core/trust.ts";
import { DESIRED_FORMAT } from "../schemas/desired.ts";
import { equalBytes, sha256 } from "../schemas/digest.ts";
import { canonicalIntent } from "../schemas/intent.ts";
import { canonicalInventory } from "../schemas/inventory.ts";
import type { Result } from "../schemas/problem.ts";
import { decode, encode } from "../schemas/wire.ts";
import { addRouter, crypto, makeSite, randomBytes } from "../tests/agent/operator.ts";
import { intentOf, inventoryOf, keyOf, reportOf } from "../tests/core/compile-sites.ts";
import { client, homeIntent } from "../tests/netns/sites.ts";

const FILES = ["root", "roster", "keys", "directive", "intent", "inventory", "secrets"] as const;
type Files = Readonly<Record<(typeof FILES)[number], Uint8Array>>;

/** Makes keys, trust, intent and inventory, and signs the directive over what they compile to. */
export function makeBundle(folder: string, clientCount: number): void {
  const site = makeSite();
  const router = { sign: crypto.signKeys(), seal: crypto.boxKeys() };
  const { network_id } = site.root.message;
  const { router_id, token_id } = site.token;
  const roster = addRouter(site, {
    ...{ token_id, network_id, router_id, incarnation: 1, rescue_key: "", mac: new Uint8Array(32) },
    ...{ sign_key: router.sign.publicKey, seal_key: router.seal.publicKey },
  });
  const [network] = homeIntent().networks!;
  const subnets = ["10.8.0.0/16", "fd42:1:1:8::/64"];
  const intent = canonicalIntent(intentOf(homeIntent({ networks: [{ ...network!, subnets }] })));
  const clients = Array.from({ length: clientCount }, (_, i) => client(`c${i}`, keyOf(`client ${i}`), i + 2));
  const inventory = canonicalInventory(inventoryOf({ version: 1, clients }));
  const report = { ...reportOf(intent, "r1", network_id), router_id };
  const keys = signStatement(crypto, "key-report", report, [router.sign]);
  const proven = must(
    prove({ intent, inventory, root: site.root.message, roster: roster.message, keys: report, router: "r1" }),
  );
  const blobs = {
    intent: encode("Intent", intent),
    inventory: encode("Inventory", inventory),
    secrets: encode("Secrets", { secrets: [] }),
  };
  const directive = signStatement(
    crypto,
    "directive",
    {
      ...{ network_id, router_id, incarnation: 1, action: "apply", generation: 1n, parent: GENESIS },
      ...{ root_digest: site.root.digest, roster_digest: roster.digest, keys_digest: keys.digest },
      intent_digest: sha256(blobs.intent),
      inventory_digest: sha256(blobs.inventory),
      secrets_digest: sha256(blobs.secrets),
      ...{ desired_digest: proven.digest, desired_format: DESIRED_FORMAT, confirm_window_s: 120 },
      ...{ risk_class: "sensitive", challenge: randomBytes(32), beacon: new Uint8Array(), beacon_max_age_s: 0 },
      ...{ operator_nonce: randomBytes(16), observed_log_index: 0n, observed_log_head: new Uint8Array(32) },
      ...{ accept_unproven: [], commit: "", note: "", issued_at: 0n, force: false },
    },
    [site.operator.sign],
  );
  const files: Files = {
    ...blobs,
    root: site.root.envelope,
    roster: roster.envelope,
    keys: keys.envelope,
    directive: directive.envelope,
  };
  for (const name of FILES) writeFileSync(join(folder, name), files[name]);
}

export type Held = {
  readonly files: Files;
  readonly view: TrustView;
  readonly keys: Opened<"key-report">;
  readonly context: AdmitContext;
};

/** What an agent has in memory before the bundle arrives: trust, key report, place. */
export function readBundle(folder: string): Held {
  const files = Object.fromEntries(
    FILES.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]),
  ) as unknown as Files;
  const root = must(acceptRoot(crypto, null, files.root));
  const view = { root, roster: must(acceptRoster(crypto, root, null, files.roster)) };
  const [only] = view.roster.message.routers;
  const unit = rosterRouter(view, only!.router_id)!;
  const keys = must(openKeyReport(crypto, unit, root.message.network_id, files.keys));
  const { challenge } = must(openStatement(crypto, "directive", files.directive)).message;
  const context: AdmitContext = {
    ...{ view, routerId: unit.router_id, incarnation: 1, burnt: 0n, parent: GENESIS, keysDigest: keys.digest },
    desiredFormat: DESIRED_FORMAT,
    logDigestAt: (index) => (index === 0n ? new Uint8Array(32) : undefined),
    challengeIsLive: (one) => equalBytes(one, challenge),
    beaconAgeS: () => undefined,
  };
  return { files, view, keys, context };
}

/** The value of a result; throws with its problems. */
export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

/** The signature of the directive and the bytes that it covers, for a bare check. */
export function bareSignature(directive: Uint8Array): { sig: Uint8Array; signed: Uint8Array; key: Uint8Array } {
  const { payload_type, payload, signatures } = must(decode("Envelope", directive));
  const head = `DSSEv1 ${payload_type.length} ${payload_type} ${payload.length} `;
  const [first] = signatures;
  return { sig: first!.sig, key: first!.key, signed: new Uint8Array(Buffer.concat([Buffer.from(head), payload])) };
}
