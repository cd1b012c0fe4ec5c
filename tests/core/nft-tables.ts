/** Tables for tests: small rulesets in the shape that compile() makes, and random ones from a seed. */

import type { NftChain, NftSet, NftTable } from "../../schemas/desired.ts";
import { sha256 } from "../../schemas/digest.ts";

export const set = (name: string, type: string, elements: readonly string[], interval = false): NftSet => ({
  name,
  kind: "set",
  type,
  value: "",
  interval,
  elements: [...elements].sort(),
});

export const map = (
  name: string,
  type: string,
  value: string,
  elements: readonly string[],
  interval = false,
): NftSet => ({
  ...set(name, type, elements, interval),
  kind: "map",
  value,
});

export const chain = (name: string, rules: readonly string[]): NftChain => ({ name, base: null, rules });

export const base = (
  name: string,
  hook: "prerouting" | "input" | "forward" | "output" | "postrouting",
  priority: number,
  rules: readonly string[],
  policy: "accept" | "drop" = "drop",
  type: "filter" | "nat" = "filter",
): NftChain => ({ name, base: { type, hook, priority, policy }, rules });

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

export const table = (counters: readonly string[], sets: readonly NftSet[], chains: readonly NftChain[]): NftTable => ({
  counters: [...counters].sort(),
  sets: [...sets].sort(byName),
  chains,
});

/** Zones, a grant set, a profile map, a port-forward map, lanes and the epoch: one of everything. */
export function sampleTable(clients: readonly string[]): NftTable {
  return table(
    ["c_api", "c_default", "c_spoof"],
    [
      set(
        "s_src4",
        "ifname . ipv4_addr",
        clients.map((address) => `"wg0" . ${address}`),
      ),
      set("s_lan4", "ipv4_addr . ifname", ['10.0.0.0/17 . "lan0"', '10.0.128.0/17 . "lan1"'], true),
      set(
        "s_grant4",
        "ipv4_addr . ipv4_addr . inet_proto . inet_service",
        ["10.100.0.2 . 10.0.1.5 . tcp . 443", "10.100.0.2 . 10.0.2.0/24 . udp . 5000-5010"],
        true,
      ),
      set("s_pf4", "typeof iifname . ct original ip daddr . ip daddr . meta l4proto . th dport", [
        '"wan0" . 198.51.100.7 . 10.0.1.9 . tcp . 443',
      ]),
      map("m_pf4", "ifname . ipv4_addr . inet_proto . inet_service", "ipv4_addr . inet_service", [
        '"wan0" . 198.51.100.7 . tcp . 8443 : 10.0.1.9 . 443',
      ]),
      map(
        "m_prof4",
        "ipv4_addr",
        "verdict",
        clients.map((address) => `${address} : goto p_split`),
      ),
      map("v_orig", "ifname", "verdict", ['"wg0" : goto z_wg', '"lan0" : goto z_lan']),
    ],
    [
      chain("c_stamp", ["ct mark set (ct mark & 0x0000ffff) | $HF_EPOCH", "accept"]),
      chain("p_split", ['oifname { "lan0", "lan1" } goto c_stamp', "drop"]),
      chain("z_wg", [
        "ip saddr . ip daddr . meta l4proto . th dport @s_grant4 goto c_stamp",
        "ip saddr vmap @m_prof4",
        "drop",
      ]),
      chain("z_lan", ['oifname "wan0" goto c_stamp', "drop"]),
      base(
        "b_raw",
        "prerouting",
        -190,
        [
          'iifname "wg0" meta nfproto ipv4 iifname . ip saddr != @s_src4 counter name c_spoof drop',
          'iifname { "lan0", "lan1" } meta nfproto ipv4 ip saddr . iifname != @s_lan4 counter name c_spoof drop',
        ],
        "accept",
      ),
      base("b_input", "input", 0, ["tcp dport 8022 counter name c_api accept", 'iifname "lo" accept', "drop"]),
      base("b_forward", "forward", 0, [
        "ct state invalid drop",
        "ct state established,related ct mark & 0xffff0000 == $HF_EPOCH accept",
        "ct direction original iifname vmap @v_orig",
        "counter name c_default drop",
      ]),
      base(
        "b_dstnat",
        "prerouting",
        -100,
        ["dnat ip to iifname . ip daddr . meta l4proto . th dport map @m_pf4"],
        "accept",
        "nat",
      ),
    ],
  );
}

/** Numbers of one case from its name and seed alone. */
export function randomNumbers(name: string, seed: number, index: number): (below: number) => number {
  let block: Uint8Array = new Uint8Array();
  let at = 0;
  let round = 0;
  return (below) => {
    if (at + 4 > block.length) {
      block = sha256(`${name}:${seed}:${index}:${round}`);
      round += 1;
      at = 0;
    }
    const value = block[at]! * 0x1000000 + block[at + 1]! * 0x10000 + block[at + 2]! * 0x100 + block[at + 3]!;
    at += 4;
    return value % below;
  };
}

const pick = <T>(random: (below: number) => number, from: readonly T[], most: number): T[] =>
  from.filter(() => random(from.length) < most);

/** A legal table over a small name space, so that two of them share, change and lack objects. */
export function randomTable(random: (below: number) => number): NftTable {
  const chains = pick(random, ["z_a", "z_b", "z_c", "p_d"], 3);
  const counters = ["c_x", ...pick(random, ["c_y", "c_z"], 1)];
  const targets = chains.length === 0 ? ["accept", "drop"] : chains.map((name) => `goto ${name}`);
  const anyTarget = (): string => targets[random(targets.length)]!;
  const hosts = pick(
    random,
    Array.from({ length: 40 }, (_, i) => `10.0.0.${i + 1}`),
    12,
  );
  const wide = ["10.0.0.0/8", "11.0.0.0/9", "12.0.0.0-12.0.0.9", "192.168.0.0/16"];
  const narrow = ["10.1.0.0/16", "10.2.0.0/16", "11.0.0.0/10", "11.64.0.0/10", "12.0.0.5-12.0.0.7", "192.168.4.4"];
  const blocks = pick(random, random(2) === 0 ? wide : narrow, 3);
  const family = random(4) === 0 ? 6 : 4;
  const sets = [
    set(
      "s_host",
      family === 4 ? "ipv4_addr" : "ipv6_addr",
      family === 4 ? hosts : hosts.map((_, i) => `fd00::${i + 1}`),
    ),
    set("s_block", "ipv4_addr", blocks, true),
    set(
      "s_pair",
      "ipv4_addr . inet_service",
      blocks.map((block, i) => `${block} . ${i * 10}-${i * 10 + random(9)}`),
      true,
    ),
    map(
      "v_host",
      "ipv4_addr",
      "verdict",
      hosts.map((host) => `${host} : ${anyTarget()}`),
    ),
    map(
      "m_nat",
      "ipv4_addr . inet_service",
      "ipv4_addr . inet_service",
      hosts.map((host) => `${host} . 80 : 10.9.0.${random(9)} . 81`),
    ),
    ...(random(2) === 0
      ? [
          map(
            "v_block",
            "ipv4_addr",
            "verdict",
            blocks.map((block) => `${block} : ${anyTarget()}`),
            true,
          ),
        ]
      : []),
    ...(random(3) === 0 ? [set("s_mark", "mark", ["0x00000001", "0x00000002"])] : []),
  ].filter((one) => one.name === "s_host" || random(4) > 0);
  const has = (name: string): boolean => sets.some((one) => one.name === name);
  const rules = [
    ...(family === 4 ? ["ip saddr @s_host counter name c_x accept"] : ["ip6 saddr @s_host counter name c_x accept"]),
    ...(has("s_block") ? ["ip daddr @s_block drop"] : []),
    ...(has("s_pair") ? ["ip daddr . tcp dport @s_pair accept"] : []),
    ...(has("v_host") ? ["ip saddr vmap @v_host"] : []),
    ...(has("v_block") ? ["ip daddr vmap @v_block"] : []),
    "ct mark & 0xffff0000 == $HF_EPOCH accept",
  ].filter(() => random(5) > 0);
  const nat = has("m_nat") ? ["dnat ip to ip daddr . tcp dport map @m_nat"] : [];
  return table(counters, sets, [
    ...chains.map((name) =>
      chain(name, [`counter name ${counters[random(counters.length)]!}`, random(2) === 0 ? "accept" : "drop"]),
    ),
    base("b_in", "input", random(6) === 0 ? 5 : 0, rules),
    ...(random(2) === 0 ? [base("b_fw", "forward", 0, rules, random(2) === 0 ? "drop" : "accept")] : []),
    base("b_nat", "prerouting", -100, nat, "accept", "nat"),
  ]);
}
