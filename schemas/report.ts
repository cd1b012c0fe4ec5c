/** What the router says: receipts, status, answers. Shapes only. */
import * as v from "valibot";
import { Commit } from "./directive.ts";
import { limits } from "./limits.ts";
import { Blob, Bytes, Code, Count, Lines, Name, OptionalBytes, Text, U32, U64, WireGuardKey } from "./scalars.ts";

const list = <T extends v.GenericSchema>(item: T, max: number) =>
  v.pipe(v.array(item), v.maxLength(max, `must have at most ${max} entries`));

export const ProblemShape = v.strictObject({ code: Code, path: Text(512), detail: Lines(4096) });

export const Lane = v.strictObject({ name: Text(64), changed: v.boolean(), proven: v.boolean(), packets: U64 });
export type Lane = v.InferOutput<typeof Lane>;

export const Outcome = v.picklist([
  "planned",
  "refused",
  "trial",
  "confirmed",
  "rolled_back",
  "unchanged",
  "needs_hands",
  "enrolled",
]);
export type Outcome = v.InferOutput<typeof Outcome>;

export const ProbeState = v.picklist(["not_run", "passed", "failed"]);
export type ProbeState = v.InferOutput<typeof ProbeState>;

export const ProbeReport = v.strictObject({ id: Name, before: ProbeState, after: ProbeState, restored: ProbeState });
export type ProbeReport = v.InferOutput<typeof ProbeReport>;

export const Quarantined = v.strictObject({
  desired_digest: Bytes(32),
  generation: U64,
  cause: Code,
  signers: list(Text(64), limits.signatures),
  at_unix: U64,
});
export type Quarantined = v.InferOutput<typeof Quarantined>;

export const Receipt = v.strictObject({
  network_id: Bytes(16),
  router_id: Bytes(16),
  incarnation: U32,
  index: U64,
  prev: Bytes(32),
  outcome: Outcome,
  cause: Code,
  directive_digest: Bytes(32),
  generation: U64,
  parent: Bytes(32),
  desired_digest: Bytes(32),
  observed_digest: Bytes(32),
  nonce: OptionalBytes(32),
  window_s: U32,
  deadline_boot_ms: U64,
  boot_id: Bytes(16),
  at_boot_ms: U64,
  at_unix: U64,
  lanes: list(Lane, 1024),
  confirmed_by: Text(64),
  confirmed_lane: Text(64),
  problems: list(ProblemShape, 256),
  plan: Lines(65_536),
  plan_digest: OptionalBytes(32),
  steps: U32,
  signers: list(Text(64), limits.signatures),
  note: Text(limits.noteChars),
  commit: Commit,
  probes: list(ProbeReport, 64),
  quarantined: v.boolean(),
  outside_digest: OptionalBytes(32),
});
export type Receipt = v.InferOutput<typeof Receipt>;

export const Pending = v.strictObject({
  directive_digest: Bytes(32),
  generation: U64,
  remaining_ms: U64,
  author: Text(64),
  nonce: OptionalBytes(32),
});

export const PeerStatus = v.strictObject({
  network: Name,
  public_key: WireGuardKey,
  endpoint: Text(64),
  handshake_age_s: U64,
  rx_bytes: U64,
  tx_bytes: U64,
});

export const Status = v.strictObject({
  router: Name,
  incarnation: U32,
  agent_version: Text(64),
  boot_id: Bytes(16),
  uptime_ms: U64,
  root_digest: Bytes(32),
  roster_digest: Bytes(32),
  keys_digest: Bytes(32),
  generation: U64,
  lkg_generation: U64,
  lkg_directive: Bytes(32),
  lkg_desired: OptionalBytes(32),
  log_index: U64,
  log_head: Bytes(32),
  pending: v.nullable(Pending),
  drift: v.boolean(),
  drift_detail: Lines(4096),
  guard_alive: v.boolean(),
  desired_format: U32,
  backend: Text(16),
  lanes: list(Lane, 1024),
  peers: list(PeerStatus, 2 * limits.clients),
  at_unix: U64,
  lkg_intent: OptionalBytes(32),
  lkg_inventory: OptionalBytes(32),
  roster_version: U32,
  revoked: list(Bytes(32), 256),
  quarantine: list(Quarantined, limits.quarantine),
  probation: U64,
  outside_digest: OptionalBytes(32),
  outside_changed: v.boolean(),
  outside_detail: Lines(4096),
  reasserted: U32,
});
export type Status = v.InferOutput<typeof Status>;

export const Beacon = v.strictObject({
  network_id: Bytes(16),
  router_id: Bytes(16),
  incarnation: Count(1, 0xffffffff),
  boot_id: Bytes(16),
  number: U64,
  uptime_ms: U64,
  root_digest: Bytes(32),
  roster_digest: Bytes(32),
  keys_digest: Bytes(32),
  generation: U64,
  lkg_directive: Bytes(32),
  log_index: U64,
  log_head: Bytes(32),
});
export type Beacon = v.InferOutput<typeof Beacon>;

export const Answer = v.strictObject({
  request_digest: Bytes(32),
  nonce: Bytes(16),
  router_id: Bytes(16),
  code: Code,
  problems: list(ProblemShape, 256),
  challenge: OptionalBytes(32),
  missing: list(Bytes(32), 16),
  receipt: Blob(limits.receiptBytes),
  receipts: list(Blob(limits.receiptBytes), 256),
  status: v.nullable(Status),
  key_report: Blob(limits.trustBytes),
  enrol: Blob(limits.trustBytes),
  beacon: Blob(limits.trustBytes),
});
export type Answer = v.InferOutput<typeof Answer>;
export type AnswerBody = Omit<Answer, "request_digest" | "nonce" | "router_id">;
