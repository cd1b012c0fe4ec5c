/**
 * Offline judgement of one file: the functions that agent and client call, over a state that is given and not
 * measured. A refusal returns the state that came in. What needs a kernel or the path of a packet (plan, read-back,
 * risk class of the plan, freshness of a confirm's path) is not judged here.
 */
import { type Result, refuse } from "../../schemas/problem.ts";
import type { Crypto } from "./crypto.ts";
import { claimedKind, type Kind, openStatement } from "./dsse.ts";
import { judgeBundle, judgeIntent, judgeInventory, judgeSecrets } from "./verify-bundle.ts";
import {
  judgeAnswer,
  judgeBeacon,
  judgeCard,
  judgeEnrolment,
  judgeKeyReport,
  judgeReceipt,
} from "./verify-operator.ts";
import { judgeRequest } from "./verify-request.ts";
import { judgeConfirm, judgeDirective, judgeRevoke, judgeRoot, judgeRoster } from "./verify-router.ts";
import { type Judge, openState, type Verdict, type VerifyState, type When } from "./verify-state.ts";

/** Without a name the payload type of the envelope says what a file is. Bundles and blobs are no envelopes. */
export type FileKind = Kind | "bundle" | "intent" | "inventory" | "secrets";

const judges: Readonly<Record<FileKind, Judge>> = {
  root: judgeRoot,
  roster: judgeRoster,
  directive: judgeDirective,
  confirm: judgeConfirm,
  "self-revoke": judgeRevoke,
  request: judgeRequest,
  beacon: judgeBeacon,
  receipt: judgeReceipt,
  answer: judgeAnswer,
  "key-report": judgeKeyReport,
  "enrol-request": judgeEnrolment,
  "operator-card": judgeCard,
  bundle: judgeBundle,
  intent: judgeIntent,
  inventory: judgeInventory,
  secrets: judgeSecrets,
};

export const fileKinds = Object.keys(judges) as readonly FileKind[];

/** An envelope that claims no known kind is refused as what it is not, or for what is wrong with its bytes. */
function unknownKind(crypto: Crypto, bytes: Uint8Array): Result<never> {
  const opened = openStatement(crypto, "directive", bytes);
  return opened.ok ? refuse("trust.wrong_kind", "", "no kind that is judged here") : opened;
}

/** Judges one file. Codes are those of the function that the agent or the client would have called. */
export function verify(crypto: Crypto, state: VerifyState, when: When, bytes: Uint8Array, as?: FileKind): Verdict {
  const held = openState(crypto, state);
  if (!held.ok) return { code: held.problems[0]?.code ?? "", problems: held.problems, state };
  const kind = as ?? claimedKind(bytes);
  const bench = { crypto, held: held.value, bootMs: when.bootMs };
  const judged = kind === undefined ? unknownKind(crypto, bytes) : judges[kind](bench, bytes);
  if (judged.ok) return { code: "", problems: [], state: judged.value };
  return { code: judged.problems[0]?.code ?? "", problems: judged.problems, state };
}
