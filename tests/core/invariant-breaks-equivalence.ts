/** What breaks compiled = intent: one way for each thing that a specification speaks of. */
import { type Break, branch, broken, chain, drop, editRules, rules, set } from "./invariant-subjects.ts";

/** Puts another element in the place of one. */
export function exchange(list: string[], from: string, to: string): void {
  drop(list, from);
  list.push(to);
  list.sort();
}

export const equivalenceBreaks: Readonly<Record<string, readonly Break[]>> = {
  "HF-EQUV-01": [
    ["a lane loses notrack", () => rules((d) => chain(d, "b_prerouting_raw").rules.shift())],
    ["answers of a lane keep their flow", () => rules((d) => chain(d, "b_output_raw").rules.pop())],
    ["a rule before the lanes", () => rules((d) => chain(d, "b_input").rules.unshift('iifname "lab0" drop'))],
    ["the API from one more zone", () => rules((d) => set(d, "s_manage").elements.push('"lab0"'))],
    [
      "half of the rescue lane",
      () => rules((d) => editRules(d, "z_lane_udp", "51819,", () => "udp dport 51819 accept")),
    ],
    [
      "anti-spoof before the lanes",
      () =>
        rules((d) => {
          const { rules: list } = chain(d, "b_prerouting");
          const at = list.findIndex((rule) => rule.includes("!= @s_lan4"));
          list.unshift(...list.splice(at, 1));
        }),
    ],
    [
      "answers judged as if they were questions",
      () => rules((d) => editRules(d, "b_forward", "@v_orig", (rule) => rule.replace("ct direction original ", ""))),
    ],
    [
      "what is related reaches the policy",
      () => rules((d) => drop(chain(d, "b_forward").rules, "ct state related counter name c_related drop")),
    ],
    [
      "a local source from outside",
      () => rules((d) => editRules(d, "b_prerouting", "fib saddr", () => "fib saddr type local accept")),
    ],
    [
      "a martian",
      () => rules((d) => editRules(d, "b_prerouting", "ip saddr {", (rule) => rule.replace("0.0.0.0/8, ", ""))),
    ],
    ["a client's source", () => rules((d) => drop(set(d, "s_src4").elements, '10.100.3.77 . "wgs1"'))],
    ["a subnet through another zone", () => rules((d) => set(d, "s_lan4").elements.push('10.0.0.0/24 . "lab0"'))],
    ["inside sources from outside", () => rules((d) => drop(set(d, "s_inside4").elements, "10.0.30.0/24"))],
    [
      "operators anywhere but behind their lane",
      () => rules((d) => drop(set(d, "s_inside6").elements, "fdb6:8afb:7707:b0d::/64")),
    ],
    ["an operator's source", () => rules((d) => set(d, "s_src6").elements.push('fd00::7 . "hf-rescue"'))],
    [
      "errors to the router without a limit",
      () =>
        rules((d) =>
          editRules(d, "b_input", "fib daddr type local icmp type", (rule) =>
            rule.replace("limit rate 100/second ", ""),
          ),
        ),
    ],
    [
      "packet-too-big is lost",
      () =>
        rules((d) =>
          editRules(d, "b_input", "fib daddr type local icmpv6", (rule) => rule.replace("packet-too-big, ", "")),
        ),
    ],
    [
      "answers without the router's own mark",
      () =>
        rules((d) =>
          editRules(d, "b_input", "0x00008000", (rule) => rule.replace("ct mark & 0x00008000 == 0x00008000 ", "")),
        ),
    ],
    ["the router's own flows are not marked", () => rules((d) => chain(d, "b_output").rules.pop())],
    [
      "neighbours from afar",
      () =>
        rules((d) => editRules(d, "b_input", "nd-neighbor-solicit", (rule) => rule.replace(" ip6 hoplimit 255", ""))),
    ],
    [
      "flows that begin in the middle",
      () => rules((d) => editRules(d, "b_forward", "!= syn", () => "tcp flags syn / syn,ack drop")),
    ],
    [
      "an error revives a flow",
      () => rules((d) => editRules(d, "b_forward", "icmp type {", (rule) => rule.replace(" accept", " goto c_stamp"))),
    ],
    [
      "a stamp that forgets routing",
      () => rules((d) => editRules(d, "c_stamp", "0x00007fff", () => "ct mark set $HF_EPOCH")),
    ],
    [
      "a dispatch to another zone's chain",
      () => rules((d) => exchange(set(d, "v_input").elements, '"lab0" : goto z_i_lab', '"lab0" : goto z_i_lan')),
    ],
    ["a service of a policy to the router", () => rules((d) => set(d, "s_pol4_lan_router").elements.pop())],
    ["clients without their DNS", () => rules((d) => drop(set(d, "s_dns_client4").elements, "10.100.3.77"))],
    ["a pair that is translated no more", () => rules((d) => drop(set(d, "s_masq4").elements, '"lab0" . "wan0"'))],
    [
      "NAT that chooses a lane's port",
      () => rules((d) => editRules(d, "b_srcnat", "udp iifname", (rule) => rule.replace(" to :1024-47751", ""))),
    ],
    ["a leak", () => rules((d) => set(d, "s_leak4").elements.shift())],
    [
      "a port-forward to another port",
      () =>
        broken(branch, (d) => {
          const element = set(d, "m_pf4").elements[0]!;
          exchange(set(d, "m_pf4").elements, element, element.replace(/\d+$/, "7"));
        }),
    ],
    [
      "anybody's translation",
      () => broken(branch, (d) => chain(d, "z_o_wan").rules.unshift("ct status dnat goto c_stamp")),
    ],
    [
      "a port that leads to two places",
      () =>
        broken(branch, (d) => {
          const { elements } = set(d, "m_pf4");
          elements.push(elements[0]!.replace(/\d+$/, "7"));
        }),
    ],
    ["what the verifier cannot read", () => rules((d) => chain(d, "b_input").rules.push("meta cpu 1 accept"))],
  ],
};
