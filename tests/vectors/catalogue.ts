/**
 * The catalogue of negative vectors that the corpus answers: its families E_…, the codes of this house that each one
 * may be refused with, the names of its vectors, and for each name that is not built the reason.
 */

/** Codes by family. One family has several where this house tells more apart than the catalogue. */
export const codesOf: Readonly<Record<string, readonly string[]>> = {
  E_SIZE: ["wire.too_large", "wire.shape"],
  E_WIRE_LIMIT: ["wire.limit", "wire.shape"],
  E_WIRE_UNKNOWN_FIELD: ["wire.unknown_field"],
  E_WIRE_NONCANONICAL: [
    ...["wire.duplicate_field", "wire.not_canonical", "wire.out_of_range", "wire.wrong_type", "wire.truncated"],
    ...["wire.not_utf8", "trust.not_fresh"],
  ],
  E_SCHEMA: ["wire.unknown_word", "wire.shape"],
  E_TYPE: ["trust.wrong_kind"],
  E_SIG_MISSING: ["trust.unsigned"],
  E_SIG_INVALID: ["trust.bad_signature", "wire.shape"],
  E_SIG_DUPLICATE: ["trust.signature_order"],
  E_SIG_ORDER: ["trust.signature_order"],
  E_KEY_INADMISSIBLE: [
    ...["trust.key_inadmissible", "trust.key_reused", "trust.card_proof", "trust.network", "wire.shape"],
  ],
  E_SIGNER_UNKNOWN: ["trust.signer_unknown"],
  E_SIGNER_ROLE: ["trust.signer_unknown", "trust.class_exceeded", "trust.one_signer", "trust.card_proof"],
  E_SIGNER_REVOKED: ["trust.signer_revoked"],
  E_THRESHOLD: ["trust.threshold", "trust.thresholds", "trust.solo", "wire.shape"],
  E_CLASS: ["admit.risk_class"],
  E_TRUST_CHAIN: [
    ...["trust.chain", "trust.decreases", "trust.router_changed", "trust.thresholds", "trust.key_reused"],
    "wire.unknown_field",
  ],
  E_TRUST_VIEW: ["trust.view", "trust.keys_digest", "trust.wrong_kind", "trust.signer_revoked"],
  E_AUD_NETWORK: ["trust.network"],
  E_AUD_ROUTER: ["trust.router"],
  E_AUD_INCARNATION: ["trust.incarnation", "trust.router_retired"],
  E_SEQ: ["trust.generation_burnt", "trust.generation_jump"],
  E_PARENT: ["trust.parent"],
  E_LOG_HEAD: ["trust.log_head"],
  E_STATE: ["trust.log_head"],
  E_FRESHNESS: ["trust.not_fresh", "trust.beacon"],
  E_INTENT_DIGEST: ["blob.digest", "blob.missing"],
  E_PLAN: ["admit.desired_differs", "trust.desired_format"],
  E_INVARIANT: [
    ...["inventory.key_reused", "inventory.address_taken", "intent.management", "intent.masquerade"],
    "admit.desired_differs",
  ],
  E_SEAL: ["trust.secret_sealed", "trust.secret_slot", "trust.secret_commitment", "trust.key_inadmissible"],
  E_CONFIRM: [
    ...["confirm.unknown_trial", "confirm.window_expired", "agent.power_cut", "trust.unsigned", "trust.signer_unknown"],
  ],
  E_ENROL: [
    ...["trust.enrol_mac", "trust.enrol_token", "trust.signer_unknown", "trust.network", "agent.not_named"],
    ...["trust.not_enrolled", "trust.repeated", "trust.chain", "trust.key_reused", "trust.view"],
    "trust.key_inadmissible",
  ],
  E_REPORT: ["trust.answer_mismatch", "trust.signer_unknown", "trust.repeated"],
  E_LOG: ["trust.receipt_chain", "trust.signer_unknown"],
};

const words = (text: string): readonly string[] => text.trim().split(/\s+/);
const numbered = (name: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `${name}-${i + 1}`).join(" ");

/** Every name of the catalogue, without nv-. A name with a number stands for one key of a list. */
export const names: readonly string[] = words(`
  envelope-513KiB chunked-no-length-1GiB gzip-content-encoding mailbox-gzip-bomb payload-over-8KiB intent-over-160KiB
  trust-updates-over-192KiB depth-9 list-4097 million-empty-messages sigs-17 trust-updates-33 unknown-field-127
  unknown-nested-field unknown-field-inside-sig field-number-0 dup-seq dup-submessage-merge overlong-varint overlong-tag
  overlong-length u64-over-64-bits u32-wraps-to-zero bool-2 oneof-both unpacked-repeated descending-fields explicit-zero
  group wrong-wire-type nested-overruns-parent truncated trailing-byte two-messages-concatenated utf8-overlong
  utf8-surrogate unknown-enum-99 empty-network-id 17-byte-router-id note-201 name-__proto__ name-constructor
  name-uppercase ip-leading-zero ip-newline port-70000 seq-above-2^53-read-exactly type-json type-uppercase type-v2
  report-as-directive confirm-as-directive keypop-as-root beacon-as-report no-signatures bitflip-payload bitflip-sig
  sig-63-bytes sig-over-payload-without-pae sig-other-type s-plus-L R-small-order R-mixed-order valid-plus-one-invalid
  same-key-twice sigs-unsorted ${numbered("key-small-order", 8)} ${numbered("key-noncanonical", 6)}
  ${numbered("key-torsion-twin", 7)} key-31-bytes key-without-pop pop-of-other-network key-in-two-roles
  x25519-bit255-alias stranger admin-signs-directive operator-signs-roster router-signs-directive self-revoked
  capability-missing 1-of-2 two-keys-one-holder threshold-0 threshold-above-n disjoint-quorums-2k-le-n solo-flag-absent
  rotation-old-only rotation-new-only rotation-old-threshold-lowered-first class-understated
  sensitive-hidden-in-routine deletes-26-percent-as-routine root-skip-version root-same-version-other-bytes
  root-prev-digest root-257-hops roster-other-root stale-roster-cited newer-roster-not-attached incarnation-decreases
  seq-floor-decreases recovery-set-emptied recovery-key-is-operator-key roster-fork-same-version
  mailbox-directive-after-revocation nested-trust-update other-network sibling-router old-incarnation
  future-incarnation zero-router-id seq-equal-other-digest seq-lower seq-plus-1025 seq-max replay-rolled-back
  parent-stale parent-zero head-unknown-index head-other-digest nonce-reused nonce-other-boot nonce-never-issued
  nonce-after-121s beacon-before-reboot beacon-too-old no-freshness expired-synced-beacon expired-below-floor-unsynced
  not-after-zero clock-back-10y clock-ahead-10y intent-swapped intent-missing plan-digest-other plan-format-newer
  live-state-drifted drops-management-peer locks-out-input duplicate-wg-pubkey overlapping-allowedips
  default-route-removed sealed-to-other-router sealed-other-slot sealed-old-version escrow-poisoned commit-mismatch
  bitflip-box seal-to-small-order-key low-entropy-kind confirm-old-nonce confirm-other-directive confirm-by-low-class
  confirm-after-deadline confirm-after-reboot confirm-twice confirm-unsigned token-reused token-race-two-routers
  token-hmac-bad enrol-other-root enrol-key-already-listed directive-before-enrolment recovery-verb-unknown
  recovery-seq-replay recovery-1-of-2 safe-mode-extra-rule restore-uncommitted recovery-nonce-other-boot
  rekey-before-delay rekey-vetoed veto-by-one-admin recovery-shrinks-itself report-other-nonce report-other-request
  report-superseded-key log-gap log-truncated log-fork head-not-descendant beacon-number-backwards
  agent-older-than-state agent-older-than-root both-state-records-corrupt state-older-than-observed-head
  state-dir-read-only
`);

const transport = "of the HTTP pipe, not of a file: tests/agent/http.test.ts";
const recovery = "recovery statements are not built yet; RECOVERY keys only stand in the root";
const clock = "directives have no expiry by the wall clock; age is counted on CLOCK_BOOTTIME";
const kernel = "needs the kernel: tests/core/risk.test.ts and tests/agent";
const floor = "there is one protocol version, so no floor yet";

/** Names that have no vector, and why. */
export const leftOut: Readonly<Record<string, string>> = {
  "chunked-no-length-1GiB": transport,
  "gzip-content-encoding": transport,
  "mailbox-gzip-bomb": "there is no mailbox yet",
  "depth-9": "no message of the protos nests that deep, so an unknown field is found first: tests/wire/scan.test.ts",
  "unpacked-repeated": "no message of the protos has a packed list: tests/wire/scan.test.ts has a table with one",
  "class-understated": "needs the plan, so the kernel: tests/agent/requests.test.ts",
  "sensitive-hidden-in-routine": kernel,
  "deletes-26-percent-as-routine": "the risk class has no rule about shares of the clients",
  "root-257-hops": "at most 32 documents come at once: nv-trust-updates-33",
  "expired-synced-beacon": clock,
  "expired-below-floor-unsynced": clock,
  "not-after-zero": clock,
  "live-state-drifted":
    "drift is shown and repaired by the push; read-back compares with the kernel: tests/core/plan.test.ts",
  "drops-management-peer": "the peers of the rescue lane come from the roster, so no bundle can drop one",
  "sealed-old-version": "a preshared key is named by its commitment, not by a version: nv-commit-mismatch",
  "escrow-poisoned": "verifiable escrow is not built",
  "low-entropy-kind": "a sealed secret is always 32 bytes of key; there is no other kind",
  "confirm-by-low-class": "any active operator may confirm or abort: the change itself was signed by its class",
  "recovery-verb-unknown": recovery,
  "recovery-seq-replay": recovery,
  "recovery-1-of-2": recovery,
  "safe-mode-extra-rule": recovery,
  "restore-uncommitted": recovery,
  "recovery-nonce-other-boot": recovery,
  "rekey-before-delay": "delayed root re-key is not built",
  "rekey-vetoed": "the veto is not built",
  "veto-by-one-admin": "the veto is not built",
  "recovery-shrinks-itself": recovery,
  "beacon-number-backwards": "a beacon only makes a directive fresh; what a router did is told by the receipt chain",
  "agent-older-than-state": floor,
  "agent-older-than-root": floor,
  "both-state-records-corrupt": "of the store, not of a file: tests/agent/store.test.ts",
  "state-dir-read-only": "of the store, not of a file; tests/agent/store.test.ts has a full disk",
};
