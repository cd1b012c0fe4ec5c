/**
 * The owned table: base chains in the order in which a packet meets them, around the policy. Hooks and priorities are
 * the same in every generation, so that no base chain ever has to go (reference/verification.md §2.2); the names of
 * those that the rescue ruleset also has are its names.
 */
import type { NftChain, NftTable } from "../../../schemas/desired.ts";
import type { Root, Roster } from "../../../schemas/trust.ts";
import { elementSets } from "./elements.ts";
import { arriving, type Lanes, laneChains, laneSets, leaving, portsWithoutLanes } from "./lanes.ts";
import { baseOf, chainOf, countedDrop } from "./objects.ts";
import { byText, sortedBy } from "./order.ts";
import { policyChains, policySets } from "./policy.ts";
import { FAMILIES, type Scope } from "./scope.ts";
import { markRules } from "./uplinks.ts";
import { CURRENT, ip, KEPT_MASK, nameSet, nfproto, ORIGIN_BIT, STALE } from "./words.ts";

const COUNTERS = [
  "c_client",
  "c_drop_forward",
  "c_drop_input",
  "c_invalid",
  "c_isolated",
  "c_lane_denied",
  "c_leak",
  "c_local_source",
  "c_martian",
  "c_not_syn",
  "c_related",
  "c_reply",
  "c_spoof",
  "c_stale",
] as const;

const drop = (counter: (typeof COUNTERS)[number]): string => countedDrop(counter);

const ERRORS4 = "icmp type { destination-unreachable, time-exceeded, parameter-problem }";
const ERRORS6 = "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }";

/** A connection begins with a bare SYN, or it is a stray of one that was never admitted. */
const NOT_SYN = `ct state new tcp flags & (fin | syn | rst | ack) != syn ${drop("c_not_syn")}`;

/** Accepts of the policy end here: the flow is current from now on. Replies of the router's own flows are not its business. */
const stamp = chainOf("c_stamp", [`ct mark set (ct mark & ${KEPT_MASK}) | $HF_EPOCH`, "accept"]);

/** Before conntrack: lanes have no state, in either direction. */
const rawChains: readonly NftChain[] = [
  baseOf("b_prerouting_raw", "prerouting", -300, arriving("notrack", "notrack")),
  baseOf("b_output_raw", "output", -300, leaving("notrack")),
];

/** After conntrack, before DNAT: who may be behind which interface. */
const prerouting = (scope: Scope): NftChain =>
  baseOf("b_prerouting", "prerouting", -190, [
    ...arriving("accept", "accept"),
    'iifname "lo" accept',
    // Else an accomplice inside could make the router's replies from a stranger's packets.
    `fib saddr type local ${drop("c_local_source")}`,
    "iifname @s_dhcp ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
    `ip saddr { 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4, 240.0.0.0/4 } ${drop("c_martian")}`,
    `ip daddr { 0.0.0.0/8, 127.0.0.0/8, 240.0.0.0-255.255.255.254 } ${drop("c_martian")}`,
    `ip6 saddr { ::1, ::ffff:0.0.0.0/96, ff00::/8 } ${drop("c_martian")}`,
    `ip6 daddr { ::, ::1, ::ffff:0.0.0.0/96 } ${drop("c_martian")}`,
    ...FAMILIES.map(
      (family) =>
        `iifname @s_tunnel ${nfproto(family)} ${ip(family)} saddr . iifname != @s_src${family} ${drop("c_spoof")}`,
    ),
    `iifname @s_walled ${nfproto(4)} ip saddr . iifname != @s_lan4 ${drop("c_spoof")}`,
    `iifname @s_walled ip6 saddr != { ::, fe80::/10 } ip6 saddr . iifname != @s_lan6 ${drop("c_spoof")}`,
    ...FAMILIES.map((family) => `iifname != @s_guarded ${ip(family)} saddr @s_inside${family} ${drop("c_spoof")}`),
    ...markRules(scope),
  ]);

/** Neighbours, routers and groups: what IPv6 needs to work at all, from where it may come. */
const neighbours: readonly string[] = [
  "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept",
  "iifname @s_uplink icmpv6 type nd-router-advert ip6 hoplimit 255 ip6 saddr fe80::/10 accept",
  "iifname @s_lan icmpv6 type nd-router-solicit ip6 hoplimit 255 accept",
  "iifname @s_lan icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } ip6 saddr fe80::/10 accept",
];

const input = baseOf(
  "b_input",
  "input",
  0,
  [
    ...arriving("goto z_lane_udp", "goto z_lane_tcp"),
    'iifname "lo" accept',
    // Errors about lanes belong to no flow, so conntrack calls them invalid; without them path MTU discovery dies.
    `fib daddr type local ${ERRORS4} limit rate 100/second accept`,
    `fib daddr type local ${ERRORS6} limit rate 100/second accept`,
    `ct state invalid ${drop("c_invalid")}`,
    `ct state related ${drop("c_related")}`,
    `ct state established ct direction reply ct mark & ${ORIGIN_BIT} == ${ORIGIN_BIT} accept`,
    `ct state established ct direction original ${CURRENT} iifname @s_known accept`,
    `ct direction reply ${drop("c_reply")}`,
    ...neighbours,
    NOT_SYN,
    "iifname vmap @v_input",
    drop("c_drop_input"),
  ],
  { policy: "drop" },
);

const forward = baseOf(
  "b_forward",
  "forward",
  0,
  [
    ...arriving("accept", "accept"),
    `ct state invalid ${drop("c_invalid")}`,
    `ip6 saddr fe80::/10 ${drop("c_martian")}`,
    `iifname != @s_known ${drop("c_drop_forward")}`,
    `oifname != @s_known ${drop("c_drop_forward")}`,
    // Before any accept: neither an intent nor a changed route opens production to an experiment.
    `ct direction original iifname @s_lab oifname != @s_lab_out ${drop("c_isolated")}`,
    `ct direction reply oifname @s_lab iifname != @s_lab_out ${drop("c_isolated")}`,
    // An error passes with its flow, and never makes a flow current: it would revive one that was revoked.
    `${ERRORS4} ct state related ${CURRENT} accept`,
    `${ERRORS6} ct state related ${CURRENT} accept`,
    `ct state related ${drop("c_related")}`,
    `ct state established ${CURRENT} accept`,
    NOT_SYN,
    "ct direction original iifname vmap @v_orig",
    "ct direction reply oifname vmap @v_reply",
    drop("c_drop_forward"),
  ],
  { policy: "drop" },
);

/** The router may speak. Its own flows are marked, so that their replies come in; stale replies are judged anew. */
const output = baseOf("b_output", "output", 0, [
  ...leaving("accept"),
  'oifname "lo" accept',
  `ct state established ct direction reply ${STALE} oifname vmap @v_output`,
  `ct state established ct direction reply ${STALE} ${drop("c_stale")}`,
  `ct state { new, established } ct direction original ct mark set (ct mark & ${KEPT_MASK}) | $HF_EPOCH | ${ORIGIN_BIT}`,
]);

/** Segment sizes that fit the tunnel, whichever side begins. The kernel never raises one. */
function sizes(scope: Scope): NftChain {
  const links = [
    ...scope.nodes.flatMap((node) => node.interfaces.map((name) => ({ name, mtu: node.network?.mtu ?? 1500 }))),
    ...scope.router.uplinks.map((uplink) => ({ name: uplink.interface, mtu: uplink.mtu })),
  ].filter(({ mtu }) => mtu < 1500);
  const mtus = [...new Set(links.map(({ mtu }) => mtu))].sort((a, b) => a - b);
  const rules = mtus.flatMap((mtu) => {
    const names = nameSet(
      links
        .filter((link) => link.mtu === mtu)
        .map(({ name }) => name)
        .sort(byText),
    );
    // Fixed headers of IP and TCP: 20 + 20 and 40 + 20 octets.
    return (["iifname", "oifname"] as const).flatMap((side) => [
      `tcp flags syn / syn,rst ${side} ${names} ${nfproto(4)} tcp option maxseg size set ${mtu - 40}`,
      `tcp flags syn / syn,rst ${side} ${names} ${nfproto(6)} tcp option maxseg size set ${mtu - 60}`,
    ]);
  });
  const learnt = "tcp flags syn / syn,rst oifname @s_tunnel tcp option maxseg size set rt mtu";
  return baseOf("b_mss", "forward", -150, [...arriving("accept", "accept"), ...rules, learnt]);
}

const dstnat = baseOf(
  "b_dstnat",
  "prerouting",
  -100,
  [...arriving("accept", "accept"), "dnat ip to ip daddr . th dport . meta l4proto . iifname map @m_pf4"],
  { type: "nat" },
);

/** NAT by pairs of interfaces. Ports are chosen where no lane is, whatever port the flow came with. */
function srcnat(lanes: Lanes): NftChain {
  const range = ([from, to]: readonly [number, number]): string => `:${from}-${to}`;
  const [udp, tcp] = [range(portsWithoutLanes(lanes.udpPorts)), range(portsWithoutLanes([lanes.tcpPort]))];
  const rules = FAMILIES.flatMap((family) => {
    const head = `${nfproto(family)}`;
    const pair = `iifname . oifname @s_masq${family}`;
    return [
      `${head} meta l4proto udp ${pair} masquerade to ${udp}`,
      `${head} meta l4proto tcp ${pair} masquerade to ${tcp}`,
      `${head} ${pair} masquerade`,
    ];
  });
  return baseOf("b_srcnat", "postrouting", 100, [...leaving("accept"), ...rules], { type: "nat" });
}

/** Behind NAT: what still has an inside source would give the house away, and could not be answered. */
const postrouting = baseOf("b_postrouting", "postrouting", 150, [
  ...leaving("accept"),
  ...FAMILIES.map((family) => `oifname @s_uplink ${ip(family)} saddr @s_leak${family} ${drop("c_leak")}`),
]);

/** The whole table of a router. */
export function tableOf(scope: Scope, lanes: Lanes, root: Root, roster: Roster): NftTable {
  const sets = [...laneSets(scope, lanes), ...elementSets(scope, root, roster), ...policySets(scope)];
  return {
    counters: [...new Set([...COUNTERS, ...lanes.all.map((lane) => lane.counter)])].sort(byText),
    sets: sortedBy(sets, (set) => set.name),
    chains: [
      stamp,
      ...laneChains(lanes),
      ...policyChains(scope),
      ...rawChains,
      prerouting(scope),
      sizes(scope),
      dstnat,
      input,
      forward,
      output,
      srcnat(lanes),
      postrouting,
    ],
  };
}
