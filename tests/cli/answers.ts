/** Answers and receipts in which everything that is not spoken of is empty. */
import type { Problem } from "../../schemas/problem.ts";
import type { AnswerBody, Receipt } from "../../schemas/report.ts";

export const empty = (): Uint8Array => new Uint8Array();
const zeros = (length: number): Uint8Array => new Uint8Array(length);

export const body = (fields: Partial<AnswerBody> = {}): AnswerBody => ({
  code: "",
  problems: [],
  challenge: empty(),
  missing: [],
  receipt: empty(),
  receipts: [],
  status: null,
  key_report: empty(),
  enrol: empty(),
  beacon: empty(),
  ...fields,
});

export const refusal = (problems: readonly Problem[]): AnswerBody =>
  body({ code: problems[0]?.code ?? "", problems: [...problems] });

export const receiptOf = (entry: Partial<Receipt>): Receipt => ({
  network_id: zeros(16),
  router_id: zeros(16),
  incarnation: 1,
  index: 0n,
  prev: zeros(32),
  outcome: "trial",
  cause: "",
  directive_digest: zeros(32),
  generation: 0n,
  parent: zeros(32),
  desired_digest: zeros(32),
  observed_digest: zeros(32),
  nonce: empty(),
  window_s: 0,
  deadline_boot_ms: 0n,
  boot_id: zeros(16),
  at_boot_ms: 1n,
  at_unix: 1_700_000_000n,
  lanes: [],
  confirmed_by: "",
  confirmed_lane: "",
  problems: [],
  plan: "",
  plan_digest: empty(),
  steps: 0,
  signers: [],
  note: "",
  commit: "",
  probes: [],
  quarantined: false,
  outside_digest: empty(),
  ...entry,
});
