import type { ProblemEntry } from "./entry.ts";

export const verifyProblems: readonly ProblemEntry[] = [
  {
    code: "verify.unmodelled",
    sentence: "The ruleset says something that the verifier cannot decide.",
    status: 400,
    exit: 3,
    safe: "Nothing was changed.",
    next: "Report it with the chain and the rule: what is not understood is never assumed.",
  },
  {
    code: "verify.question",
    sentence: "The question cannot be asked: a word in it is none that packets have.",
    status: 400,
    exit: 3,
    safe: "Nothing was changed.",
    next: "Spell interfaces, prefixes and ports as the intent does.",
  },
];
