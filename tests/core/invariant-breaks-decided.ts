/** Per invariant that is decided for all packets, what breaks it: the first one is the example of the catalogue or close to it. */
import type { Desired } from "../../schemas/desired.ts";
import { type Break, branch, broken, chain, drop, editRules, type Open, rules, set } from "./invariant-subjects.ts";

type Change = (desired: Open<Desired>) => unknown;

/** The first rule of a chain that holds a text, replaced. */
const changed =
  (name: string, text: string, by: string): Change =>
  (d) => {
    const found = chain(d, name);
    const at = found.rules.findIndex((rule) => rule.includes(text));
    if (at < 0) throw new Error(`no rule of ${name} has ${text}`);
    found.rules.splice(at, 1, ...(by === "" ? [] : [by]));
  };
const before =
  (name: string, text: string, rule: string): Change =>
  (d) => {
    const found = chain(d, name);
    const at = found.rules.findIndex((one) => one.includes(text));
    if (at < 0) throw new Error(`no rule of ${name} has ${text}`);
    found.rules.splice(at, 0, rule);
  };
const first =
  (name: string, rule: string): Change =>
  (d) =>
    chain(d, name).rules.unshift(rule);
const at = (what: string, change: Change): Break => [what, () => rules(change)];
const inBranch = (what: string, change: Change): Break => [what, () => broken(branch, change)];

const ERRORS4 = "icmp type { destination-unreachable, time-exceeded, parameter-problem }";

export const decidedBreaks: Readonly<Record<string, readonly Break[]>> = {
  "HF-LANE-04": [
    at(
      "a port without a look at the address",
      changed("b_prerouting_raw", "s_lane_udp", "udp dport @s_lane_udp notrack"),
    ),
    at("a lane's answers are tracked", changed("b_output_raw", "s_lane_udp", "udp sport 9 notrack")),
    at("a lane's answers may be translated", changed("b_srcnat", "s_lane_udp", "udp sport 9 accept")),
    at("something else is untracked", first("b_prerouting_raw", "udp dport 53 notrack")),
  ],
  "HF-LANE-05": [
    at(
      "the API to everybody",
      changed("z_lane_tcp", "10.0.0.1 ", "ip daddr 10.0.0.1 counter name c_lane_api_10_0_0_1 accept"),
    ),
    at("the API to a zone more", (d) => set(d, "s_manage").elements.push('"lab0"')),
    at("tunnels from tunnels", (d) => set(d, "s_zone").elements.push('"wgs1"')),
    at("the rescue port not from a tunnel", first("z_lane_udp", 'udp dport 51819 iifname "wgs1" drop')),
  ],
  "HF-SPOF-02": [
    at("a zone without a check of sources", (d) => drop(set(d, "s_walled").elements, '"lab0"')),
    at("the router's own address from outside", changed("b_prerouting", "fib saddr type local", "")),
    at("addresses of the house from outside", changed("b_prerouting", "@s_inside4", "")),
    at("an operator's address from outside", (d) => {
      const { elements } = set(d, "s_inside6");
      const [api] = d.api.filter((one) => one.lane === "rescue");
      drop(elements, elements.find((one) => api!.address.startsWith(one.slice(0, one.indexOf("::"))))!);
    }),
    at(
      "an address of nobody",
      changed(
        "b_prerouting",
        "224.0.0.0/4",
        "ip saddr { 0.0.0.0/8, 127.0.0.0/8, 240.0.0.0/4 } counter name c_martian drop",
      ),
    ),
    at("a true source is dropped", (d) => drop(set(d, "s_lan4").elements, '10.0.1.0/24 . "lan0"')),
    at("an accept before the checks", before("b_prerouting", "fib saddr type local", 'iifname "lab0" accept')),
  ],
  "HF-FLOW-06": [
    at("established before the isolation", before("b_forward", "c_isolated", "ct state established accept")),
    at("isolation of one direction only", changed("b_forward", "ct direction reply oifname @s_lab", "")),
    at("a stick may answer", changed("b_forward", "iifname != @s_known", "")),
    at("link-local sources are sent on", changed("b_forward", "ip6 saddr fe80::/10", "")),
  ],
  "HF-FLOW-07": [
    at("errors of current flows are dropped", changed("b_forward", "icmp type", "")),
    at("current flows are judged again", changed("b_forward", "ct state established", "")),
    at("a current flow is cut", before("b_forward", "ct state established", "ct state established udp dport 53 drop")),
  ],
  "HF-FLOW-08": [
    at("related passes", changed("b_forward", "ct state related counter", "ct state related accept")),
    at("errors of flows that are not current", changed("b_forward", "icmp type", `${ERRORS4} ct state related accept`)),
    at("invalid passes", changed("b_forward", "ct state invalid", "ct state invalid accept")),
    at("a flow begins with an ACK", changed("b_forward", "c_not_syn", "")),
  ],
  "HF-FLOW-09": [
    at(
      "accepted without the stamp",
      changed("z_o_lan", "ip daddr @s_net4_lab", 'oifname "lab0" ip daddr @s_net4_lab accept'),
    ),
    at(
      "another stamp",
      changed("c_stamp", "ct mark set", "ct mark set (ct mark & 0x00007fff) | $HF_EPOCH | 0x00008000"),
    ),
    at(
      "old flows have a rule of their own",
      before("b_forward", "@v_orig", "ct state established ct direction original drop"),
    ),
    at("established without the epoch", changed("b_forward", "ct state established", "ct state established accept")),
  ],
  "HF-FLOW-10": [
    at("a rule for answers is missing", changed("z_r_lan", "ip saddr @s_net4_lab", "")),
    at(
      "answers from another port",
      changed("p_r_web_only", "ip saddr", "ip saddr . meta l4proto . th dport @s_prof4_web_only goto c_stamp"),
    ),
    at("answers of another profile", (d) => {
      const elements = set(d, "m_prof4_reply").elements;
      elements[0] = elements[0]!.replace("p_r_friends", "p_r_full");
    }),
    at("the router does not answer", changed("z_q_lan", "s_pol4_lan_router", "")),
    at("the router answers pings that it drops", changed("z_i_wan", "icmp type echo-request", "")),
  ],
  "HF-HOST-01": [
    at(
      "answers without a look at the mark",
      changed("b_input", "ct direction reply ct mark", "ct state established ct direction reply accept"),
    ),
    at("related is let in", changed("b_input", "ct state related", "ct state related accept")),
    at("invalid is let in", changed("b_input", "ct state invalid", "")),
    at(
      "current flows from a stick",
      changed(
        "b_input",
        "iifname @s_known accept",
        "ct state established ct direction original ct mark & 0xffff0000 == $HF_EPOCH accept",
      ),
    ),
    at("no errors", changed("b_input", "fib daddr type local icmp type", "")),
  ],
  "HF-HOST-02": [
    at(
      "neighbours from afar",
      changed("b_input", "nd-neighbor-solicit", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"),
    ),
    at(
      "routers from inside",
      changed(
        "b_input",
        "nd-router-advert",
        "icmpv6 type nd-router-advert ip6 hoplimit 255 ip6 saddr fe80::/10 accept",
      ),
    ),
    at("no errors", changed("b_input", "fib daddr type local icmpv6 type", "")),
    at(
      "errors without a limit",
      changed("b_input", "fib daddr type local icmp type", `fib daddr type local ${ERRORS4} accept`),
    ),
  ],
  "HF-HOST-03": [
    at(
      "a service without the stamp",
      changed("z_i_lan", "s_pol4_lan_router", "ip daddr . meta l4proto . th dport @s_pol4_lan_router accept"),
    ),
    at("a connection begins with an ACK", changed("b_input", "c_not_syn", "")),
    at("a stick is let in", (d) => chain(d, "b_input").rules.splice(-1, 0, "udp dport 53 goto c_stamp")),
    at("old flows have a rule of their own", before("b_input", "iifname vmap @v_input", "ct state established drop")),
  ],
  "HF-HOST-04": [
    at("no mark of the router's own", changed("b_output", "ct state { new, established }", "")),
    at("the router may not ask", first("b_output", "ct state new udp dport 123 drop")),
    at("a stamp in prerouting", (d) =>
      chain(d, "b_prerouting").rules.push("ct mark set (ct mark & 0x00007fff) | $HF_EPOCH"),
    ),
  ],
  "HF-HOST-05": [
    at("own addresses are dropped on the loopback too", changed("b_prerouting", 'iifname "lo" accept', "")),
    at("nothing from the loopback", changed("b_input", 'iifname "lo" accept', "")),
  ],
  "HF-NATS-01": [
    at("a port of a lane", (d) =>
      editRules(d, "b_srcnat", "masquerade to :1024", (rule) => rule.replace(/:1024-\d+/, ":1024-65535")),
    ),
    at("no masquerade", (d) => drop(set(d, "s_masq4").elements, '"lan0" . "wan0"')),
    at("a masquerade for a tunnel", (d) => set(d, "s_masq4").elements.push('"lan0" . "wgs1"')),
    at("no guard behind NAT", changed("b_postrouting", "ip saddr @s_leak4", "")),
    at(
      "a guard that holds too much",
      changed(
        "b_postrouting",
        "ip saddr @s_leak4",
        "oifname @s_uplink ip saddr 198.51.100.0/24 counter name c_leak drop",
      ),
    ),
  ],
  "HF-NATS-02": [
    inBranch("a port-forward to another host", (d) => {
      const { elements } = set(d, "m_pf4");
      elements[0] = elements[0]!.replace("10.20.1.10 . 8443", "10.20.1.11 . 8443");
    }),
    inBranch("whatever is translated", first("z_o_wan", "ct status dnat accept")),
    inBranch("an accept less", (d) => set(d, "s_pf4").elements.shift()),
    at("a policy from outside", first("z_o_wan", 'oifname "lan0" goto c_stamp')),
  ],
  "HF-UPLK-01": [
    inBranch("an uplink without a mark", (d) => set(d, "m_uplink").elements.shift()),
    inBranch("marks exchanged", (d) => {
      const [a, b] = set(d, "m_uplink").elements;
      set(d, "m_uplink").elements = [a!.replace(/0x\w+/, b!.slice(-10)), b!.replace(/0x\w+/, a!.slice(-10))];
    }),
    inBranch("known flows are marked anew", (d) =>
      editRules(d, "b_prerouting", "@m_uplink", (rule) => rule.replace("ct state new ", "")),
    ),
    inBranch("questions are routed by marks too", (d) =>
      editRules(d, "b_prerouting", "meta mark set", (rule) => rule.replace("ct direction reply ", "")),
    ),
    inBranch("answers without their mark", changed("b_prerouting", "meta mark set", "")),
    at(
      "a mark where there is one uplink",
      (d) =>
        set(d, "m_uplink").elements.push('"wan0" : 0x00000001') &&
        chain(d, "b_prerouting").rules.push("ct state new ct mark 0x00000000 ct mark set iifname map @m_uplink"),
    ),
  ],
  "HF-RULE-04": [
    at("an expression that nobody has modelled", first("z_o_lan", "ip ttl 1 drop")),
    at("a helper", first("b_prerouting", 'ct helper "ftp" accept')),
    at("a wildcard over another", (d) => set(d, "s_known").elements.push('"wa*"', '"wan*"')),
  ],
};
