/** What the fake router says of itself. */
import { GENESIS } from "../../agent/core/directive.ts";
import type { Opened } from "../../agent/core/dsse.ts";
import type { TrustView } from "../../agent/core/trust.ts";
import { DESIRED_FORMAT } from "../../schemas/desired.ts";
import type { Lane, Status } from "../../schemas/report.ts";
import { empty } from "./answers.ts";

export type FakeTrial = {
  readonly directive: Opened<"directive">;
  readonly holders: readonly string[];
  readonly nonce: Uint8Array;
  lanes: Lane[];
  confirmable: boolean;
};

type Outside = Pick<Status, "outside_digest" | "outside_changed" | "outside_detail" | "reasserted">;

export type FakeState = {
  readonly router: string;
  readonly view: TrustView;
  readonly keys: Uint8Array; // digest of the key report
  readonly uptimeS: number;
  readonly boot: Uint8Array;
  readonly burnt: bigint;
  readonly receipts: readonly Opened<"receipt">[];
  readonly trial: FakeTrial | undefined;
  readonly lkg: Opened<"directive"> | undefined;
  readonly lanes: Lane[];
  readonly outside: Outside;
  readonly quarantine: Status["quarantine"];
};

function pendingOf(trial: FakeTrial | undefined): Status["pending"] {
  if (trial === undefined) return null;
  const { digest, message } = trial.directive;
  return {
    directive_digest: digest,
    generation: message.generation,
    remaining_ms: BigInt(message.confirm_window_s * 1000),
    author: trial.holders[0] ?? "",
    nonce: trial.confirmable ? trial.nonce : empty(),
  };
}

export function fakeStatus(state: FakeState): Status {
  const { view, lkg, receipts, trial } = state;
  return {
    ...{ router: state.router, incarnation: 1, agent_version: "0.1.0", boot_id: state.boot },
    uptime_ms: BigInt(state.uptimeS) * 1000n,
    ...{ root_digest: view.root.digest, roster_digest: view.roster.digest, keys_digest: state.keys },
    ...{ generation: state.burnt, lkg_generation: lkg?.message.generation ?? 0n },
    ...{ lkg_directive: lkg?.digest ?? GENESIS, lkg_desired: lkg?.message.desired_digest ?? empty() },
    ...{ log_index: BigInt(receipts.length), log_head: receipts.at(-1)?.digest ?? new Uint8Array(32) },
    ...{ pending: pendingOf(trial), drift: false, drift_detail: "", guard_alive: true },
    ...{ desired_format: DESIRED_FORMAT, backend: "kernel", lanes: trial?.lanes ?? state.lanes, peers: [] },
    ...{ at_unix: 1_700_000_000n, lkg_intent: lkg?.message.intent_digest ?? empty() },
    ...{ lkg_inventory: lkg?.message.inventory_digest ?? empty(), revoked: [] },
    ...{ roster_version: view.roster.message.version, quarantine: state.quarantine, probation: 0n },
    ...state.outside,
  };
}
