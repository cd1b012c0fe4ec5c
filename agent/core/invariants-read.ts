/** HF-RULE-04: what cannot be understood is not loaded. */
import { unread } from "./invariants-regions.ts";
import { type Invariant, violated } from "./invariants-subject.ts";

const understood: Invariant = {
  id: "HF-RULE-04",
  sentence: "The verifier understands every rule, set and map of the ruleset, and how they work together.",
  why: "What is not understood is not proven, and all other invariants would be silent about it.",
  example: "A rule with a helper, a flowtable, or an expression that nobody has modelled.",
  fix: "Report it: the compiler wrote what the verifier cannot read; keep the last confirmed generation.",
  check: (subject) => unread(subject).map((text) => violated("HF-RULE-04", `Not understood: ${text}.`)),
};

export const readInvariants: readonly Invariant[] = [understood];
