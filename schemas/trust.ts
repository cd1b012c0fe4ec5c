/** Documents of trust: envelope, root, roster, key report, enrolment. Shapes only; agent/core/trust decides. */
import * as v from "valibot";
import { limits } from "./limits.ts";
import { Blob, Bytes, Count, Name, OptionalBytes, Port, Text, U32, U64, WireGuardKey } from "./scalars.ts";

const list = <T extends v.GenericSchema>(item: T, max: number) =>
  v.pipe(v.array(item), v.maxLength(max, `must have at most ${max} entries`));

export const Holder = Name;
export const RiskClass = v.picklist(["routine", "sensitive", "trust", "recovery"]);
export type RiskClass = v.InferOutput<typeof RiskClass>;

export const Signature = v.strictObject({ key: Bytes(32), sig: Bytes(64) });
export const Envelope = v.strictObject({
  payload_type: Text(96),
  // Requests and answers travel in envelopes too; agent/core/dsse.ts has the bound of each kind.
  payload: Blob(limits.inventoryBytes),
  signatures: list(Signature, limits.signatures),
});
export type Envelope = v.InferOutput<typeof Envelope>;

export const RootKey = v.strictObject({
  role: v.picklist(["root", "admin", "recovery"]),
  key: Bytes(32),
  holder: Holder,
});
export const EscrowKey = v.strictObject({ key: Bytes(32), holder: Holder });
export const ClassThreshold = v.strictObject({ risk_class: RiskClass, threshold: Count(1, 16) });
export const SafeMode = v.strictObject({ api_port: Port, allow_icmp: v.boolean() });

export const Root = v.strictObject({
  network_id: Bytes(16),
  network: Name,
  version: Count(1, 0xffffffff),
  prev_digest: Bytes(32),
  keys: list(RootKey, 256),
  root_threshold: Count(1, 16),
  admin_threshold: Count(1, 16),
  recovery_threshold: Count(1, 16),
  escrow: list(EscrowKey, 64),
  classes: list(ClassThreshold, 4),
  safe_mode: SafeMode,
  solo: v.boolean(),
  issued_at: U64,
});
export type Root = v.InferOutput<typeof Root>;

export const Operator = v.strictObject({
  holder: Holder,
  sign_key: Bytes(32),
  seal_key: Bytes(32),
  lane_key: WireGuardKey,
  max_class: RiskClass,
  status: v.picklist(["active", "revoked", "stolen"]),
});
export type Operator = v.InferOutput<typeof Operator>;

export const RosterRouter = v.strictObject({
  id: Name,
  router_id: Bytes(16),
  incarnation: Count(1, 0xffffffff),
  sign_key: Bytes(32),
  seal_key: Bytes(32),
  generation_floor: U64,
  status: v.picklist(["active", "superseded", "stolen"]),
});
export type RosterRouter = v.InferOutput<typeof RosterRouter>;

export const Roster = v.strictObject({
  network_id: Bytes(16),
  version: Count(1, 0xffffffff),
  prev_digest: Bytes(32),
  root_digest: Bytes(32),
  operators: list(Operator, 256),
  routers: list(RosterRouter, 256),
  consumed_tokens: list(Bytes(16), 4096),
  issued_at: U64,
});
export type Roster = v.InferOutput<typeof Roster>;

export const ReportedKey = v.strictObject({ network: Name, public_key: WireGuardKey });
export const KeyReport = v.strictObject({
  network_id: Bytes(16),
  router_id: Bytes(16),
  incarnation: U32,
  version: Count(1, 0xffffffff),
  keys: list(ReportedKey, 257),
});
export type KeyReport = v.InferOutput<typeof KeyReport>;

export const EnrolToken = v.strictObject({
  token_id: Bytes(16),
  secret: Bytes(32),
  network_id: Bytes(16),
  router_id: Bytes(16),
  router: Name,
  incarnation: Count(1, 0xffffffff),
  root_digest: Bytes(32),
  root: Blob(limits.trustBytes),
  reply_key: Bytes(32),
});
export type EnrolToken = v.InferOutput<typeof EnrolToken>;

export const EnrolRequest = v.strictObject({
  token_id: Bytes(16),
  network_id: Bytes(16),
  router_id: Bytes(16),
  incarnation: Count(1, 0xffffffff),
  sign_key: Bytes(32),
  seal_key: Bytes(32),
  rescue_key: WireGuardKey,
  mac: Bytes(32),
});
export type EnrolRequest = v.InferOutput<typeof EnrolRequest>;

export const OperatorCard = v.strictObject({
  network_id: Bytes(16),
  holder: Holder,
  sign_key: Bytes(32),
  seal_key: Bytes(32),
  lane_key: WireGuardKey,
  root_key: OptionalBytes(32),
  admin_key: OptionalBytes(32),
  recovery_key: OptionalBytes(32),
  escrow_key: OptionalBytes(32),
});
export type OperatorCard = v.InferOutput<typeof OperatorCard>;

export const SelfRevoke = v.strictObject({ network_id: Bytes(16), key: Bytes(32), reason: Text(limits.noteChars) });
export type SelfRevoke = v.InferOutput<typeof SelfRevoke>;
