import type { ProblemEntry } from "./entry.ts";

export const compileProblems: readonly ProblemEntry[] = [
  {
    code: "compile.router_unknown",
    sentence: "The intent does not have the router that is asked for.",
    status: 404,
    exit: 3,
    safe: "Nothing was changed.",
    next: "Add the router to intent.yaml, or name another.",
  },
  {
    code: "compile.key_missing",
    sentence: "The router has reported no WireGuard key for one of its networks.",
    status: 409,
    exit: 3,
    safe: "Nothing was changed.",
    next: "holdfast push fetches a new key report; offline, copy it into trust/keys.",
  },
  {
    code: "compile.rescue_ports_taken",
    sentence: "Networks of the intent have both ports of the rescue lane.",
    status: 409,
    exit: 3,
    safe: "Nothing was changed.",
    next: "Give one of the networks another port.",
  },
  {
    code: "compile.no_grant",
    sentence: "The client has no grant on the network.",
    status: 404,
    exit: 3,
    safe: "Nothing was changed.",
    next: "holdfast client show names the client's networks.",
  },
];
