/** What operators sign, and the requests that carry it. Shapes only. */
import * as v from "valibot";
import { limits } from "./limits.ts";
import { Blob, Bytes, Count, HexDigest, Lines, Name, OptionalBytes, Text, U32, U64 } from "./scalars.ts";
import { RiskClass } from "./trust.ts";

const list = <T extends v.GenericSchema>(item: T, max: number) =>
  v.pipe(v.array(item), v.maxLength(max, `must have at most ${max} entries`));

/** "api:<address>", "rescue" or "wg:<network>". */
export const LaneName = v.pipe(
  v.string(),
  v.regex(/^(api:[0-9a-f.:]{2,39}|rescue|wg:[a-z][a-z0-9-]{0,30})$/, "must be api:<address>, rescue or wg:<network>"),
);

/** A Git commit in hex, SHA-1 or SHA-256, or "". */
export const Commit = v.union([v.literal(""), v.pipe(v.string(), v.regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/)), HexDigest]);

export const Directive = v.strictObject({
  network_id: Bytes(16),
  router_id: Bytes(16),
  incarnation: Count(1, 0xffffffff),
  action: v.picklist(["plan", "apply"]),
  generation: U64,
  parent: Bytes(32),
  root_digest: Bytes(32),
  roster_digest: Bytes(32),
  keys_digest: Bytes(32),
  intent_digest: Bytes(32),
  inventory_digest: Bytes(32),
  secrets_digest: Bytes(32),
  desired_digest: Bytes(32),
  desired_format: Count(1, 1000),
  confirm_window_s: Count(limits.windowMinS, limits.windowMaxS),
  risk_class: RiskClass,
  challenge: OptionalBytes(32),
  beacon: OptionalBytes(32),
  beacon_max_age_s: Count(0, limits.beaconAgeS),
  operator_nonce: Bytes(16),
  observed_log_index: U64,
  observed_log_head: Bytes(32),
  accept_unproven: list(LaneName, 64),
  commit: Commit,
  note: Text(limits.noteChars),
  issued_at: U64,
  force: v.boolean(),
});
export type Directive = v.InferOutput<typeof Directive>;

export const Confirm = v.strictObject({
  network_id: Bytes(16),
  router_id: Bytes(16),
  incarnation: Count(1, 0xffffffff),
  directive_digest: Bytes(32),
  nonce: Bytes(32),
  verdict: v.picklist(["commit", "abort"]),
  padding: Blob(65_536),
});
export type Confirm = v.InferOutput<typeof Confirm>;

export const SealedSecret = v.strictObject({
  commitment: Bytes(32),
  to_router: Blob(512),
  to_escrow: list(Blob(512), 64),
});
export const Secrets = v.strictObject({ secrets: list(SealedSecret, 2 * limits.clients) });
export type Secrets = v.InferOutput<typeof Secrets>;

export const Secret = v.strictObject({
  network_id: Bytes(16),
  router_id: Bytes(16),
  incarnation: U32,
  subject: Text(64),
  secret: Bytes(32),
});
export type Secret = v.InferOutput<typeof Secret>;

export const BlobChunk = v.strictObject({
  digest: Bytes(32),
  size: Count(1, limits.secretsBytes),
  offset: Count(0, limits.secretsBytes),
  data: Blob(limits.chunkBytes),
});

export const DeltaPart = v.strictObject({
  offset: Count(0, limits.secretsBytes),
  length: Count(0, limits.secretsBytes),
  data: Blob(limits.chunkBytes),
});
export type DeltaPart = v.InferOutput<typeof DeltaPart>;

export const BlobDelta = v.strictObject({
  digest: Bytes(32),
  size: Count(1, limits.secretsBytes),
  base: Bytes(32),
  parts: list(DeltaPart, limits.deltaParts),
});
export type BlobDelta = v.InferOutput<typeof BlobDelta>;

export const Request = v.strictObject({
  network_id: Bytes(16),
  router_id: Bytes(16),
  kind: v.picklist([
    "challenge",
    "need_blobs",
    "put_blob",
    "submit",
    "confirm",
    "status",
    "receipts",
    "keys",
    "enrol",
    "beacon",
    "revoke",
    "put_delta",
  ]),
  reply_key: Bytes(32),
  nonce: Bytes(16),
  need: list(Bytes(32), 16),
  chunk: v.nullable(BlobChunk),
  directive: Blob(limits.directiveBytes),
  trust: list(Blob(limits.trustBytes), limits.trustUpdates),
  confirm: Blob(limits.trustBytes),
  from_index: U64,
  limit: Count(0, 256),
  networks: list(Name, 257),
  revoke: Blob(limits.trustBytes),
  delta: v.nullable(BlobDelta),
  fresh: v.boolean(),
  wait_s: Count(0, limits.waitS),
});
export type Request = v.InferOutput<typeof Request>;

export const Bundle = v.strictObject({
  directive: Blob(limits.directiveBytes),
  trust: list(Blob(limits.trustBytes), limits.trustUpdates),
  blobs: list(Blob(limits.secretsBytes), 3),
  beacon: Blob(limits.trustBytes),
  key_report: Blob(limits.trustBytes),
  plan: Lines(65_536),
});
export type Bundle = v.InferOutput<typeof Bundle>;
