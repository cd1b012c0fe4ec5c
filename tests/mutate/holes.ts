/**
 * The holes of design §6, each of which let a packet through in a test of an early ruleset: planted again by name, so
 * that no change of the checks lets one of them come back.
 */
import type { NftTable } from "../../schemas/desired.ts";
import { type Mutant, withRules } from "./mutant.ts";

type Rules = readonly string[];

/** The rules with one replaced; the hole is not there when the rule is not. */
function replaced(rules: Rules, pattern: RegExp, by: Rules): Rules {
  if (!rules.some((rule) => pattern.test(rule))) throw new Error(`no rule ${pattern} to plant a hole in`);
  return rules.flatMap((rule) => (pattern.test(rule) ? by : [rule]));
}

const LANE = /@s_lane_/;

/** Lanes that come after everything else of the chain. */
const lanesLast = (rules: Rules): Rules => [
  ...rules.filter((rule) => !LANE.test(rule)),
  ...rules.filter((rule) => LANE.test(rule)),
];

const HOLES: readonly (readonly [name: string, chain: string, change: (rules: Rules) => Rules])[] = [
  [
    "direction alone",
    "b_input",
    (r) => replaced(r, /ct direction reply ct mark/, ["ct state established ct direction reply accept"]),
  ],
  ["related to the router", "b_input", (r) => replaced(r, /^ct state related/, ["ct state related accept"])],
  ["related sent on", "b_forward", (r) => replaced(r, /^ct state related/, ["ct state related accept"])],
  [
    "errors revive a flow",
    "b_forward",
    (r) =>
      replaced(r, /^icmp type .* ct state related/, [
        "icmp type { destination-unreachable, time-exceeded, parameter-problem } ct state related goto c_stamp",
      ]),
  ],
  [
    "established without the epoch",
    "b_forward",
    (r) => replaced(r, /^ct state established ct mark/, ["ct state established accept"]),
  ],
  ["a local source from outside", "b_prerouting", (r) => replaced(r, /^fib saddr type local/, [])],
  [
    "NAT takes a lane's port",
    "b_srcnat",
    (r) => r.map((rule) => rule.replace(/masquerade to :[0-9-]+$/, "masquerade")),
  ],
  ["lanes are tracked", "b_prerouting_raw", () => []],
  ["lanes answer tracked", "b_output_raw", () => []],
  ["anti-spoof before lanes", "b_prerouting", lanesLast],
  ["invalid before lanes", "b_input", lanesLast],
  ["a drop of somebody else before the lanes", "b_mss", (r) => ["ct state new drop", ...r]],
  ["a foreign translation is trusted", "z_o_wan", (r) => ["ct status dnat accept", ...r]],
];

/** A table of somebody else that drops what arrives at the rescue port. */
const foreignDrop = (nft: NftTable, port: string): NftTable => ({
  ...nft,
  chains: [
    ...nft.chains,
    {
      name: "b_foreign",
      base: { type: "filter", hook: "input", priority: -10, policy: "accept" },
      rules: [`udp dport ${port} drop`],
    },
  ],
});

/** Every hole that this table can have. */
export function holes(nft: NftTable): readonly Mutant[] {
  const has = (name: string): boolean => nft.chains.some((chain) => chain.name === name);
  const planted = HOLES.filter(([, chain]) => has(chain)).map(
    ([name, chain, change]): Mutant => ({
      kind: "hole",
      where: `${chain}: ${name}`,
      rule: name,
      what: "planted",
      make: () => withRules(nft, chain, change),
    }),
  );
  const [port] = nft.sets.find((set) => set.name === "s_lane_udp")?.elements ?? [];
  if (port === undefined) return planted;
  const foreign: Mutant = {
    kind: "hole",
    where: "b_foreign: a foreign drop",
    rule: `udp dport ${port} drop`,
    what: "planted",
    make: () => foreignDrop(nft, port),
  };
  return [...planted, foreign];
}
