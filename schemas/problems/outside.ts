import type { ProblemEntry } from "./entry.ts";

/** What other programs do to the router, as far as it concerns the lanes. */
export const outsideProblems: readonly ProblemEntry[] = [
  {
    code: "outside.foreign_drop",
    sentence: "Rules that are not Holdfast's may drop the packets of a lane.",
    status: 409,
    exit: 3,
    safe: "Nothing of other programs was touched; the last confirmed generation is in force.",
    next: "Let those rules accept the lane before they drop, or vouch for them by name under management.accept_foreign.",
  },
  {
    code: "outside.unreadable",
    sentence: "Something that may drop the packets of a lane cannot be read.",
    status: 409,
    exit: 3,
    safe: "Nothing was changed; the generation is not burnt.",
    next: "Install the tool that the detail names, remove those rules, or vouch for them under management.accept_foreign.",
  },
  {
    code: "outside.changed",
    sentence: "Another program changed the router's surroundings after the generation was proven.",
    status: 409,
    exit: 3,
    safe: "The decision stands; no lane is known to be touched.",
    next: "holdfast status shows what changed; push again to make it the new state to compare with.",
  },
  {
    code: "outside.table_lost",
    sentence: "Another program removed Holdfast's own table.",
    status: 409,
    exit: 4,
    safe: "The last confirmed generation is loaded again where the intent says management.reassert.",
    next: "Find the program that flushes the ruleset: a service that owns the whole firewall must not run beside Holdfast.",
  },
];
