/** Per invariant of lanes, what breaks it: the first one is the example of the catalogue or close to it. */
import type { Desired } from "../../schemas/desired.ts";
import {
  type Break,
  branch,
  chain,
  drop,
  editRules,
  homelab,
  link,
  type Open,
  rules,
  set,
} from "./invariant-subjects.ts";

const LANE_DROP = "ct state invalid counter name c_invalid drop";

export const laneBreaks: Readonly<Record<string, readonly Break[]>> = {
  "HF-LANE-01": [
    ["a network's lane is lost", () => rules((d) => (d.lanes = d.lanes.filter((lane) => lane.name !== "wg:home")))],
    ["the rescue lane is lost", () => rules((d) => (d.lanes = d.lanes.filter((lane) => lane.name !== "rescue")))],
    ["a management address is lost", () => rules((d) => d.lanes.shift())],
    ["a lane has another port", () => rules((d) => (d.lanes.find((lane) => lane.name === "wg:home")!.port = 51830))],
    [
      "a lane's counter is not there",
      () => rules((d) => (d.nft.counters = d.nft.counters.filter((c) => c !== "c_lane_rescue"))),
    ],
    ["no device listens", () => rules((d) => (link(d, "rescue").port = 51830))],
  ],
  "HF-LANE-02": [
    [
      "invalid packets are dropped before the lane",
      () => rules((d) => chain(d, "b_input").rules.unshift(LANE_DROP, "ct state untracked drop")),
    ],
    ["no lane in input", () => rules((d) => chain(d, "b_input").rules.splice(0, 3))],
    [
      "no lane in prerouting: its source counts as spoofed",
      () => rules((d) => chain(d, "b_prerouting").rules.unshift("udp dport 51819 drop")),
    ],
    ["a lane is tracked", () => rules((d) => chain(d, "b_prerouting_raw").rules.shift())],
    [
      "the rescue lane only on known interfaces",
      () =>
        rules((d) => editRules(d, "z_lane_udp", "51819", (rule) => rule.replace("counter", "iifname @s_zone counter"))),
    ],
    [
      "a lane's rule counts elsewhere",
      () =>
        rules((d) => editRules(d, "z_lane_udp", "51820", (rule) => rule.replace("c_lane_wg_home", "c_lane_rescue"))),
    ],
    ["the API not from a management zone", () => rules((d) => drop(set(d, "s_manage").elements, '"wgs1"'))],
    ["a port missing from the lanes' set", () => rules((d) => drop(set(d, "s_lane_udp").elements, "51821"))],
    [
      "a translation before the lane",
      () => rules((d) => chain(d, "b_dstnat").rules.unshift("udp dport 51820 redirect to :51821")),
    ],
    [
      "a limit before the lane",
      () => rules((d) => chain(d, "b_input").rules.unshift("udp dport 51819 limit rate 10/second drop")),
    ],
    ["words that nobody knows", () => rules((d) => chain(d, "b_input").rules.unshift("numgen random mod 2 0 drop"))],
  ],
  "HF-LANE-03": [
    ["answers are tracked", () => rules((d) => chain(d, "b_output_raw").rules.shift())],
    ["answers are translated", () => rules((d) => chain(d, "b_srcnat").rules.unshift('oifname "wan0" masquerade'))],
    ["answers are dropped", () => rules((d) => chain(d, "b_output").rules.unshift("tcp sport 8022 drop"))],
  ],
  "HF-MGMT-01": [
    [
      "a management address is on no interface",
      () => rules((d) => (d.addresses = d.addresses.filter((a) => a.cidr !== "10.0.0.1/24"))),
    ],
    [
      "the agent does not listen there",
      () => rules((d) => (d.api = d.api.filter((api) => api.address !== "10.0.0.1"))),
    ],
    ["nor on the rescue address", () => rules((d) => (d.api = d.api.filter((api) => api.lane !== "rescue")))],
    ["it listens for no lane", () => rules((d) => (d.api[0]!.lane = "api:10.9.9.9"))],
  ],
  "HF-MGMT-02": [
    ["a policy opens the API to a lab", () => rules((d) => set(d, "s_manage").elements.push('"lab0"'))],
    [
      "a lane rule without its interfaces",
      () => rules((d) => editRules(d, "z_lane_tcp", "10.0.0.1", (rule) => rule.replace("iifname @s_manage ", ""))),
    ],
    [
      "an accept before the lanes' own chains",
      () => rules((d) => chain(d, "b_input").rules.unshift("tcp dport 8022 accept")),
    ],
  ],
  "HF-RESC-01": [
    ["an operator is missing", () => rules((d) => link(d, "rescue").peers.pop())],
    [
      "a revoked operator is still there",
      () => ({
        ...homelab,
        roster: {
          ...homelab.roster,
          operators: homelab.roster.operators.map((one) =>
            one.holder === "bob" ? { ...one, status: "revoked" as const } : one,
          ),
        },
      }),
    ],
    ["no device", () => rules((d) => (d.links = d.links.filter((one) => one.network !== "rescue")))],
    ["no address", () => rules((d) => (d.addresses = d.addresses.filter((one) => one.interface !== "hf-rescue")))],
    [
      "an operator with another's address",
      () => rules((d) => (link(d, "rescue").peers[0]!.allowedIps = link(d, "rescue").peers[1]!.allowedIps)),
    ],
    ["a roster without operators", () => ({ ...homelab, roster: { ...homelab.roster, operators: [] } })],
  ],
  "HF-RESC-02": [
    [
      "a network on the second rescue port",
      () => rules((d) => (link(d, "home").port = Number(set(d, "s_lane_udp").elements[0]))),
    ],
    [
      "a port-forward over it",
      () => ({
        ...branch,
        intent: {
          ...branch.intent,
          port_forwards: [
            { ...branch.intent.port_forwards.find((one) => one.id === "voice")!, port: 20_000, count: 30_000 },
          ],
        },
      }),
    ],
    [
      "a subnet over its prefix",
      () => ({
        ...homelab,
        intent: {
          ...homelab.intent,
          zones: homelab.intent.zones.map((zone) =>
            zone.id === "lan"
              ? { ...zone, subnets: [link(homelab.desired as Open<Desired>, "rescue").peers[0]!.allowedIps[0]!] }
              : zone,
          ),
        },
      }),
    ],
    [
      "a route into it",
      () =>
        rules((d) =>
          d.routes.push({
            family: 6,
            to: link(d, "rescue").peers[0]!.allowedIps[0]!,
            via: "",
            interface: "lan0",
            table: 254,
            metric: 0,
          }),
        ),
    ],
  ],
};
