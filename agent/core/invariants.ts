/**
 * The invariants: what must hold of every generation, checked by CLI and router over what the documents compiled to,
 * before anything touches the kernel. None can be switched off. They read the compiled text, not the compiler.
 */
import type { Problem } from "../../schemas/problem.ts";
import { equivalence } from "./equivalence.ts";
import { flowInvariants } from "./invariants-flows.ts";
import { laneInvariants } from "./invariants-lanes.ts";
import { peerInvariants } from "./invariants-peers.ts";
import { rescueInvariants } from "./invariants-rescue.ts";
import { ruleInvariants } from "./invariants-rules.ts";
import type { Invariant, Subject } from "./invariants-subject.ts";

export type { Invariant, Subject } from "./invariants-subject.ts";

export const invariants: readonly Invariant[] = [
  ...laneInvariants,
  ...rescueInvariants,
  ...peerInvariants,
  ...flowInvariants,
  ...ruleInvariants,
  equivalence,
];

/** Every violation, in the order of the list; code invariant.violated, path = the id, and the object in the detail. */
export function checkInvariants(subject: Subject): readonly Problem[] {
  return invariants.flatMap((invariant) => invariant.check(subject));
}
