/** Verbs that look at the site alone, as usage.ts has them: what is proven, what passes, who reaches what. */
import { flag, ROUTER, SITE, type Verb } from "./usage-flags.ts";

export const proofVerbs: readonly Verb[] = [
  {
    name: "check",
    operands: "",
    sentence: "Prove the site without any router: shapes, laws, compile, invariants, contracts.",
    flags: [flag("coverage", "", "list the rules that no contract and no invariant depends on"), ROUTER, ...SITE],
    exits: [3],
    json: "routers [{router, desired_digest, stand_in_keys, contracts [{id, state, text, why, questions}]}], clients;\n  with --coverage routers [].coverage {rules [{chain, rule, text, origin, contracts, invariants}],\n  elements [{set, element, origin, contracts, invariants}]};\n  where contracts are broken edits [{contract, changes, breaks}], as of ask --edit",
  },
  {
    name: "ask",
    operands: "QUESTION",
    sentence: "Say whether packets pass, by which rule and which line of the intent. Asks no router.",
    about:
      "QUESTION is 'FROM -> TO [SERVICES] [v4|v6]', as contracts say it: 'client alice -> 10.0.1.5 tcp/443',\n'guest -> lan', 'internet -> router: [wireguard]'. It speaks of the first packet of a flow, from who truly is\nthere. Exit 0: all of it is accepted. Exit 3: nothing is, or the question has no meaning. Exit 8: some of it.",
    flags: [flag("edit", "", "also look for the smallest edit that would decide otherwise"), ROUTER, ...SITE],
    exits: [3, 8],
    json: "router, question, answer (yes, no, partly, nobody), why, families [{family, answer, answers,\n  accepted and dropped {packet, outcome, egress, headers, limit, chains, walk, decided, origin}}];\n  with --edit edit {changes [{place, list, id, field, op, value}], breaks} or null",
  },
  {
    name: "matrix",
    operands: "",
    sentence: "Show who reaches what: zones, networks, profiles, the internet, the router. Asks no router.",
    about: "Of first packets, from who truly is there. yes: all pass; some: see the list below the table; -: none.",
    flags: [flag("svg", "FILE", "also write a picture"), ROUTER, ...SITE],
    exits: [3],
    json: "routers [{router, rows, columns, cells [{from, to, v4, v6 {verdict, kinds, more}}]}]",
  },
  {
    name: "test",
    operands: "",
    sentence: "Replay the contracts with real packets, on a router built in a namespace of this machine.",
    about:
      "Loads the rules that a push would load, sends packets of each contract and of its borders, and holds what the\nkernel does against the proof. As root, or with user namespaces; needs nft, ip and sysctl. Asks no router, and\nnothing of it outlives the command.",
    flags: [ROUTER, ...SITE],
    exits: [3],
    json: "routers [{router, contracts [{id, text, packets, accepted, mismatches [{packet, proven, kernel}]}]}], packets",
  },
];
