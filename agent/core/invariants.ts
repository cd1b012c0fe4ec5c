/**
 * The invariants: what must hold of every generation, checked by CLI and router over what the documents compiled to,
 * before anything touches the kernel. None can be switched off. They read the compiled text, not the compiler.
 */
import type { Problem } from "../../schemas/problem.ts";
import { equivalence } from "./equivalence.ts";
import { doorInvariants } from "./invariants-doors.ts";
import { flowInvariants } from "./invariants-flows.ts";
import { forwardInvariants } from "./invariants-forward.ts";
import { portForwardInvariants } from "./invariants-forwards.ts";
import { hostInvariants } from "./invariants-host.ts";
import { laneInvariants } from "./invariants-lanes.ts";
import { mirrorInvariants } from "./invariants-mirror.ts";
import { natInvariants } from "./invariants-nat.ts";
import { outputInvariants } from "./invariants-output.ts";
import { peerInvariants } from "./invariants-peers.ts";
import { readInvariants } from "./invariants-read.ts";
import { rescueInvariants } from "./invariants-rescue.ts";
import { ruleInvariants } from "./invariants-rules.ts";
import { sourceInvariants } from "./invariants-sources.ts";
import type { Invariant, Subject } from "./invariants-subject.ts";
import { uplinkInvariants } from "./invariants-uplinks.ts";

export type { Invariant, Subject } from "./invariants-subject.ts";

export const invariants: readonly Invariant[] = [
  ...laneInvariants,
  ...doorInvariants,
  ...rescueInvariants,
  ...peerInvariants,
  ...sourceInvariants,
  ...flowInvariants,
  ...forwardInvariants,
  ...mirrorInvariants,
  ...hostInvariants,
  ...outputInvariants,
  ...natInvariants,
  ...portForwardInvariants,
  ...uplinkInvariants,
  ...ruleInvariants,
  ...readInvariants,
  equivalence,
];

/** Every violation, in the order of the list; code invariant.violated, path = the id, and the object in the detail. */
export function checkInvariants(subject: Subject): readonly Problem[] {
  return invariants.flatMap((invariant) => invariant.check(subject));
}
