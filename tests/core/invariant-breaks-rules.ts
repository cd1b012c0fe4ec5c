/** Per invariant of flows and of the ruleset's form, what breaks it. */
import type { Desired } from "../../schemas/desired.ts";
import {
  type Break,
  branch,
  broken,
  chain,
  editRules,
  homelab,
  type Open,
  rules,
  set,
  unwall,
} from "./invariant-subjects.ts";

const branchRules = (change: (desired: Open<Desired>) => unknown) => broken(branch, change);

export const ruleBreaks: Readonly<Record<string, readonly Break[]>> = {
  "HF-FLOW-01": [
    ["a lab reaches the LAN", () => rules((d) => unwall(d, "lab0", 'oifname "lan0" goto c_stamp'))],
    [
      "an experimental network reaches the LAN",
      () => rules((d) => unwall(d, "hf-lab-quic", "ip daddr 10.0.0.0/24 tcp dport 443 goto c_stamp")),
    ],
    [
      "a rule before the isolation",
      () => rules((d) => chain(d, "b_forward").rules.unshift('iifname "lab0" oifname "wgs1" accept')),
    ],
  ],
  "HF-FLOW-02": [
    [
      "clients of one network meet",
      () => rules((d) => chain(d, "z_o_home").rules.unshift('oifname "wgs1" goto c_stamp')),
    ],
    [
      "two networks meet on one port",
      () => rules((d) => chain(d, "b_forward").rules.unshift('iifname "wgs1" oifname "hf-lab-v6" tcp dport 22 accept')),
    ],
  ],
  "HF-FLOW-03": [
    [
      "the forward chain is open to the outside",
      () => branchRules((d) => chain(d, "z_o_wan").rules.unshift('oifname "dmz0" tcp dport 443 goto c_stamp')),
    ],
    [
      "any translation is an entrance",
      () => branchRules((d) => chain(d, "z_o_wan").rules.unshift("ct status dnat goto c_stamp")),
    ],
    [
      "to clients as well",
      () => branchRules((d) => chain(d, "b_forward").rules.unshift('iifname "fibre0" oifname "hf-staff" accept')),
    ],
  ],
  "HF-FLOW-04": [
    [
      "established without the epoch",
      () => rules((d) => chain(d, "b_forward").rules.unshift("ct state established accept")),
    ],
    [
      "related without the epoch",
      () => rules((d) => chain(d, "b_forward").rules.unshift("ct state established,related accept")),
    ],
    [
      "the wrong half of the epoch",
      () => rules((d) => editRules(d, "b_forward", "ct state established ct mark", (rule) => rule.replace("==", "!="))),
    ],
  ],
  "HF-FLOW-05": [
    [
      "a stick may reach the internet",
      () => rules((d) => chain(d, "b_forward").rules.unshift('oifname "wan0" accept')),
    ],
    ["clients may reach a stick", () => rules((d) => chain(d, "b_forward").rules.unshift('iifname "wgs1" accept'))],
  ],
  "HF-RULE-01": [
    ["forward has the policy accept", () => rules((d) => (chain(d, "b_forward").base!.policy = "accept"))],
    ["input ends without a counted drop", () => rules((d) => chain(d, "b_input").rules.pop())],
    ["no input chain", () => rules((d) => (d.nft.chains = d.nft.chains.filter((one) => one.name !== "b_input")))],
    ["an accept at the end", () => rules((d) => chain(d, "b_forward").rules.push("accept"))],
  ],
  "HF-RULE-02": [
    ["a name without its prefix", () => rules((d) => d.nft.chains.push({ name: "fwd", base: null, rules: [] }))],
    ["a chain that is not there", () => rules((d) => chain(d, "z_o_lan").rules.unshift("goto z_nowhere"))],
    ["a set that is not there", () => rules((d) => chain(d, "z_o_lan").rules.unshift("ip saddr @s_nowhere drop"))],
    [
      "a map to a chain that is not there",
      () => rules((d) => set(d, "v_orig").elements.push('"eth9" : goto z_nowhere')),
    ],
    ["a counter that is not there", () => rules((d) => chain(d, "z_o_lan").rules.unshift("counter name c_nowhere"))],
    ["a name twice", () => rules((d) => d.nft.counters.push("c_stale"))],
    ["a rule that closes its chain", () => rules((d) => chain(d, "z_o_lan").rules.push("accept } chain x {"))],
    ["a rule of two lines", () => rules((d) => chain(d, "z_o_lan").rules.push("drop\naccept"))],
    ["an element of two", () => rules((d) => set(d, "s_uplink").elements.push('"a", "b"'))],
  ],
  "HF-RULE-03": [
    ["an element twice", () => rules((d) => set(d, "s_uplink").elements.push('"wan0"'))],
    [
      "more elements than the limit",
      () => rules((d) => (set(d, "s_uplink").elements = Array.from({ length: 1_048_577 }, (_, i) => `"w${i}"`))),
    ],
  ],
  "HF-CONF-01": [
    ["another window", () => rules((d) => (d.windowS = 3600))],
    [
      "a window over its cap",
      () => ({
        ...rules((d) => (d.capS = 60)),
        intent: { ...homelab.intent, confirm: { ...homelab.intent.confirm, cap_s: 60 } },
      }),
    ],
  ],
};
