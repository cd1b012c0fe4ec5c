/** Small rulesets written by hand, on a router with an uplink, two inner interfaces and a tunnel. */
import { ask, openModel } from "../../../agent/core/verifier/model.ts";
import type { Answer, Region } from "../../../agent/core/verifier/question.ts";
import type { Desired, NftChain, NftSet, NftTable } from "../../../schemas/desired.ts";
import { link, peer, sampleDesired } from "../desireds.ts";
import { base, chain, table } from "../nft-tables.ts";

export const SITE: Partial<Desired> = {
  sysctls: [
    { key: "net.ipv4.ip_forward", value: "1" },
    { key: "net.ipv6.conf.all.forwarding", value: "1" },
  ],
  links: [link("wg0", 51820, [peer(2, { allowedIps: ["10.9.0.2/32", "fd00:9::2/128"] })])],
  addresses: [
    { interface: "lan0", cidr: "10.1.0.1/24" },
    { interface: "lan0", cidr: "fd00:1::1/64" },
    { interface: "lan1", cidr: "10.2.0.1/24" },
    { interface: "lan1", cidr: "fd00:2::1/64" },
    { interface: "wan0", cidr: "192.0.2.2/24" },
    { interface: "wan0", cidr: "2001:db8::2/64" },
    { interface: "wg0", cidr: "10.9.0.1/24" },
    { interface: "wg0", cidr: "fd00:9::1/64" },
  ],
  routes: [
    { family: 4, to: "0.0.0.0/0", via: "192.0.2.1", interface: "wan0", table: 254, metric: 100 },
    { family: 6, to: "::/0", via: "2001:db8::1", interface: "wan0", table: 254, metric: 100 },
  ],
  rules: [],
  api: [],
};

export const siteOf = (nft: NftTable, more: Partial<Desired> = {}): Desired =>
  sampleDesired([], { ...SITE, nft, ...more });

export type Rules = {
  readonly forward?: readonly string[];
  readonly input?: readonly string[];
  readonly chains?: Readonly<Record<string, readonly string[]>>;
  readonly bases?: readonly NftChain[];
  readonly sets?: readonly NftSet[];
  readonly site?: Partial<Desired>;
};

/** Input and forward with policy drop, behind a look at conntrack; other base chains come beside them. */
export function desiredWith({
  forward = [],
  input = [],
  chains = {},
  bases = [],
  sets = [],
  site = {},
}: Rules): Desired {
  const lead = "ct state invalid drop";
  const all = [
    ...Object.entries(chains).map(([name, rules]) => chain(name, rules)),
    base("b_input", "input", 0, [lead, ...input]),
    base("b_forward", "forward", 0, [lead, ...forward]),
    ...bases,
  ];
  return siteOf(table([], sets, all), site);
}

export function answerOf(desired: Desired, region: Partial<Region>, limit?: "pass" | "fail"): Answer {
  const model = openModel(desired);
  if (!model.ok) throw new Error(JSON.stringify(model.problems));
  const answer = ask(model.value, {
    region: { way: "arriving", ...region },
    ...(limit === undefined ? {} : { limit }),
    boxesMax: 20,
  });
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  return answer.value;
}

/** First packets from a host of lan0 to a host of lan1: what most rules are tried on. */
export const ACROSS: Partial<Region> = {
  family: 4,
  flow: "first",
  iif: ["lan0"],
  source: { in: ["10.1.0.5"] },
  target: { in: ["10.2.0.7"] },
  protocol: [6],
  dport: [[443, 443]],
};

/** The verdict on ACROSS, with changes. */
export const across = (rules: Rules, change: Partial<Region> = {}): Answer["verdict"] =>
  answerOf(desiredWith(rules), { ...ACROSS, ...change }).verdict;

/** Paths and details of the problems with which a ruleset is refused. */
export function refusals(desired: Desired): readonly string[] {
  const model = openModel(desired);
  if (model.ok) return [];
  return model.problems.map((one) => `${one.code} ${one.path}: ${one.detail}`);
}
