/** Rulesets of other programs, small and as they occur, with what they mean for the lanes of tests/core/desireds.ts. */

export type ForeignRules = {
  readonly name: string;
  readonly text: string; // for nft -f
  /** What is named, as "table: place"; [] when the lanes are provably untouched. */
  readonly drops: readonly string[];
};

const chain = (family: string, base: string, ...rules: readonly string[]): string =>
  `table ${family} fw {\n chain other {\n drop\n }\n chain c {\n ${base}\n ${rules.join("\n ")}\n }\n}\n`;
const input = (policy: string, ...rules: readonly string[]): string =>
  chain("inet", `type filter hook input priority 0; policy ${policy};`, ...rules);

const one = (name: string, text: string, ...places: readonly string[]): ForeignRules => ({
  ...{ name, text },
  drops: places.map((place) => `inet fw: chain c, ${place}`),
});

/** Rules that the lanes have to pass, one a case, in a chain that accepts the rest. */
const harmless = (rule: string): ForeignRules => one(`"${rule}" is off the lanes`, input("accept", rule));
const dangerous = (rule: string, place: string): ForeignRules => one(`"${rule}" is not`, input("accept", rule), place);

export const foreignRules: readonly ForeignRules[] = [
  one("nothing", ""),
  one("an input chain that accepts", input("accept", "counter")),
  one("an input chain whose policy is drop", input("drop", "tcp dport 22 accept"), "its policy is drop"),
  one("the same, with every lane accepted", input("drop", "udp dport 51819-51820 accept", "tcp dport 8022 accept")),
  one("the same, with one lane forgotten", input("drop", "udp dport { 51819, 51820 } accept"), "its policy is drop"),
  one("accepts after a drop", input("accept", "counter drop", "accept"), "rule 1 (drop)"),
  one("drops after an accept of everything", input("accept", "accept", "drop")),
  one("drops in a chain that is jumped to", input("accept", "jump other"), "rule 1 (jump other: rule 1 (drop))"),
  one("drops in a chain that others jump to", input("accept", "tcp dport 22 jump other")),
  one("goes to a chain that drops", input("accept", "goto other"), "rule 1 (goto other: rule 1 (drop))"),
  one("returns before it drops", input("accept", "return", "drop")),
  one("returns into a policy of drop", input("drop", "return", "accept"), "its policy is drop"),
  one("may return into a policy of drop", input("drop", "ip saddr 10.1.1.1 return", "accept"), "its policy is drop"),
  harmless('iifname "docker0" drop'),
  harmless('iifname { "docker0", "br-*" } drop'),
  harmless('iif "lo" drop'),
  harmless("tcp dport 22 drop"),
  harmless("tcp dport { 22, 80-90 } reject"),
  harmless("udp dport 53 drop"),
  harmless("meta l4proto icmp drop"),
  harmless("meta l4proto { icmp, sctp } drop"),
  harmless("ip protocol gre drop"),
  harmless("ct state invalid drop"),
  harmless("ct state { invalid, new } drop"),
  harmless("ct state vmap { established : accept, invalid : drop }"),
  harmless("tcp dport vmap { 22 : accept, 23 : drop }"),
  harmless("fib daddr type broadcast drop"),
  harmless("fib daddr type != local drop"),
  harmless("meta pkttype { broadcast, multicast } drop"),
  harmless("icmp type echo-request limit rate 5/second accept"),
  harmless("ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 23 } drop"),
  dangerous("meta l4proto udp drop", "rule 1 (drop)"),
  dangerous("udp dport != 53 drop", "rule 1 (drop)"),
  dangerous("udp dport 50000-60000 drop", "rule 1 (drop)"),
  dangerous("th dport 8022 drop", "rule 1 (drop)"),
  dangerous("ip saddr 198.51.100.0/24 drop", "rule 1 (drop)"),
  dangerous("ip6 saddr fd12::/16 reject", "rule 1 (reject)"),
  dangerous('iifname "wan0" drop', "rule 1 (drop)"),
  dangerous('iifname "w*" drop', "rule 1 (drop)"),
  dangerous('iifname != "lan9" drop', "rule 1 (drop)"),
  dangerous("ct state untracked drop", "rule 1 (drop)"),
  dangerous("ct state != established drop", "rule 1 (drop)"),
  dangerous("limit rate over 10/second drop", "rule 1 (drop)"),
  dangerous("udp dport vmap { 51819 : drop }", "rule 1 (drop)"),
  dangerous("fib saddr type local drop", "rule 1 (drop)"),
  dangerous("meta mark 5 drop", "rule 1 (drop)"),
  one(
    "a named set, whose elements are not looked at",
    `table inet fw {\n set bad {\n type ipv4_addr\n elements = { 203.0.113.1 }\n }\n chain c {\n type filter hook prerouting priority -10;\n ip saddr @bad drop\n }\n}\n`,
    "rule 1 (drop)",
  ),
  one(
    "a named verdict map",
    `table inet fw {\n map m {\n type inet_service : verdict\n elements = { 22 : drop }\n }\n chain c {\n type filter hook input priority 0;\n udp dport vmap @m\n }\n}\n`,
    "rule 1 (verdict map)",
  ),
  one(
    "a drop of invalid packets before lanes are taken out of tracking",
    chain("inet", "type filter hook prerouting priority -400;", "ct state invalid drop"),
    "rule 1 (drop)",
  ),
  one(
    "drops on the way out",
    chain("inet", "type filter hook output priority 0;", "udp sport 51819 drop"),
    "rule 1 (drop)",
  ),
  one("drops others on the way out", chain("inet", "type filter hook output priority 0;", "tcp sport 22 drop")),
  one(
    "drops behind routing",
    chain("inet", "type filter hook postrouting priority 0; policy drop;"),
    "its policy is drop",
  ),
  one("drops what is forwarded", chain("inet", "type filter hook forward priority 0; policy drop;")),
  {
    name: "IPv4 only",
    text: chain("ip", "type filter hook input priority 0; policy drop;", "udp dport { 51819, 51820 } accept"),
    drops: ["ip fw: chain c, its policy is drop"],
  },
  {
    name: "IPv6 only, without the lane inside the tunnel",
    text: chain("ip6", "type filter hook input priority 0; policy drop;", "udp dport { 51819, 51820 } accept"),
    drops: [],
  },
  {
    name: "ARP",
    text: "table arp a {\n chain c {\n type filter hook input priority 0; policy drop;\n }\n}\n",
    drops: ["arp a: chain c, its policy is drop"],
  },
  {
    name: "a device",
    text: 'table netdev n {\n chain c {\n type filter hook ingress device "lo" priority -500;\n ip saddr 192.0.2.66 drop\n }\n}\n',
    drops: ["netdev n: chain c, rule 1 (drop)"],
  },
  {
    name: "Docker's tables",
    text: `table ip nat {
 chain DOCKER {
  iifname "docker0" return
  iifname != "docker0" tcp dport 8080 dnat to 172.17.0.2:80
 }
 chain PREROUTING {
  type nat hook prerouting priority -100; policy accept;
  fib daddr type local jump DOCKER
 }
 chain POSTROUTING {
  type nat hook postrouting priority 100; policy accept;
  oifname != "docker0" ip saddr 172.17.0.0/16 masquerade
 }
}
table ip filter {
 chain DOCKER-ISOLATION {
  oifname "docker0" drop
 }
 chain INPUT {
  type filter hook input priority 0; policy accept;
 }
 chain FORWARD {
  type filter hook forward priority 0; policy drop;
  jump DOCKER-ISOLATION
 }
}
table ip raw {
 chain PREROUTING {
  type filter hook prerouting priority -300; policy accept;
  iifname != "docker0" ip daddr 172.17.0.2 tcp dport 80 drop
 }
}
`,
    drops: [],
  },
  {
    name: "a whole firewall that knows the lanes",
    text: `table inet filter {
 chain input {
  type filter hook input priority 0; policy drop;
  ct state vmap { established : accept, related : accept, invalid : drop }
  iifname "lo" accept
  udp dport 51819 accept
  ip6 nexthdr icmpv6 accept
  jump services
 }
 chain services {
  tcp dport { 22, 8022 } accept
  udp dport { 53, 51820 } accept
 }
}
`,
    drops: [],
  },
  {
    name: "two tables, one of them ours",
    text: `table inet holdfast {\n chain c {\n type filter hook input priority 0; policy drop;\n }\n}\n${input("drop")}`,
    drops: ["inet fw: chain c, its policy is drop"],
  },
];
