/**
 * Policy as chains: what may be forwarded from a node, what may reach the router from it, and the mirrors of both for
 * replies. Allowances only ever add; what no rule allows ends in a counted drop.
 */
import type { NftChain, NftSet } from "../../../schemas/desired.ts";
import type { Policy, Profile, Service } from "../../../schemas/intent.ts";
import type { Family } from "../../../schemas/ip.ts";
import { boxText, pingRanges, rangeText, serviceBoxes } from "./boxes.ts";
import { chainOf, countedDrop, setOf } from "./objects.ts";
import { FAMILIES, type Node, type Scope } from "./scope.ts";
import { nameSet, nfproto, STAMP, toNode, type Way, words } from "./words.ts";

/** Policies whose target is the router itself. */
const TO_ROUTER = "router";

const wordOf = (id: string): string => id.replaceAll("-", "_");
const addrType = (family: Family): string => `ipv${family}_addr`;

const known = (scope: Scope, ids: readonly string[]): readonly Service[] =>
  ids.map((id) => scope.services.get(id)).filter((service) => service !== undefined);

type ServiceSets = { readonly boxes: NftSet | null; readonly pings: NftSet | null };

/** Whose services: a policy's or a profile's, by id. */
type Owner = { readonly kind: "pol" | "prof"; readonly id: string; readonly services: readonly string[] };

/** The services of one policy or profile in one family as sets named after it. */
function serviceSets(scope: Scope, owner: Owner, family: Family): ServiceSets {
  const services = known(scope, owner.services);
  const boxes = serviceBoxes(services, family).map((box) => boxText(family, box));
  const pings = pingRanges(services, family).map((range) => rangeText(family, range));
  const type = `${addrType(family)} . inet_proto . inet_service`;
  return {
    boxes:
      boxes.length === 0
        ? null
        : setOf(`s_${owner.kind}${family}_${wordOf(owner.id)}`, type, boxes, { interval: true }),
    pings:
      pings.length === 0
        ? null
        : setOf(`s_${owner.kind}ping${family}_${wordOf(owner.id)}`, addrType(family), pings, { interval: true }),
  };
}

/** Rules that admit the services of a set pair, after a head that says where to. */
function serviceRules(way: Way, family: Family, sets: ServiceSets, head: string): readonly string[] {
  const { target, targetPort, echo } = words[way];
  const start = head === "" ? "" : `${head} `;
  return [
    ...(sets.boxes === null
      ? []
      : [`${start}${target(family)} . meta l4proto . th ${targetPort} @${sets.boxes.name} ${STAMP}`]),
    ...(sets.pings === null ? [] : [`${start}${echo(family)} ${target(family)} @${sets.pings.name} ${STAMP}`]),
  ];
}

const policyOwner = ({ id, services }: Policy): Owner => ({ kind: "pol", id, services });
const profileOwner = ({ id, services }: Profile): Owner => ({ kind: "prof", id, services });
const hasFamily = (flags: { readonly v4: boolean; readonly v6: boolean }, family: Family): boolean =>
  family === 4 ? flags.v4 : flags.v6;

/** Policies between two nodes of this router, and from one to the router. */
function policiesOf(scope: Scope): readonly Policy[] {
  const ids = new Set(scope.nodes.map((node) => node.id));
  return scope.intent.policies.filter(
    (policy) => ids.has(policy.from) && (policy.to === TO_ROUTER || ids.has(policy.to)),
  );
}

function policyRules(scope: Scope, way: Way, policy: Policy): readonly string[] {
  const target = scope.nodes.find((node) => node.id === policy.to);
  return FAMILIES.filter((family) => hasFamily(policy, family)).flatMap((family) => {
    const head = target === undefined ? nfproto(family) : toNode(way, target, family);
    if (head === undefined) return [];
    if (policy.services.length === 0) return [`${head} ${STAMP}`];
    const sets = serviceSets(scope, policyOwner(policy), family);
    return serviceRules(way, family, sets, target === undefined ? "" : head);
  });
}

/** DNS servers that a network names, for its clients whose profile has DNS. */
function dnsRules(way: Way, node: Node): readonly string[] {
  const { source, target, targetPort, iif } = words[way];
  return FAMILIES.filter((family) =>
    (node.network?.dns ?? []).some((text) => text.includes(":") === (family === 6)),
  ).map(
    (family) =>
      `${source(family)} @s_dns_client${family} ${target(family)} . ${iif} . meta l4proto . th ${targetPort} @s_dns${family} ${STAMP}`,
  );
}

/** Our own DNAT only: the set holds what the map of port-forwards makes of a packet (reference/verification.md §4 36). */
function forwardRules(way: Way, node: Node): readonly string[] {
  if (node.kind !== "uplink") return [];
  const { iif, target, targetPort } = words[way];
  return [
    `ct status dnat ${target(4)} . ct original ip daddr . meta l4proto . th ${targetPort} . ${iif} @s_pf4 ${STAMP}`,
  ];
}

/**
 * What clients may do: first never to a tunnel (clients do not reach clients), then DNS, their own services, their
 * profile. Only sets and maps name clients.
 */
function clientRules(way: Way, node: Node): readonly string[] {
  if (node.network === null) return [];
  const { source, target, targetPort, echo, oif } = words[way];
  const suffix = way === "original" ? "" : "_reply";
  return [
    `${oif} @s_tunnel ${countedDrop("c_client")}`,
    ...dnsRules(way, node),
    ...FAMILIES.flatMap((family) => {
      const pair = `${source(family)} . ${target(family)}`;
      return ["", "_wide"].flatMap((kind) => [
        `${pair} . meta l4proto . th ${targetPort} @s_grant${kind}${family} ${STAMP}`,
        `${echo(family)} ${pair} @s_grant_ping${kind}${family} ${STAMP}`,
      ]);
    }),
    ...FAMILIES.map((family) => `${source(family)} vmap @m_prof${family}${suffix}`),
  ];
}

function nodeChain(scope: Scope, way: Way, node: Node): NftChain {
  const policies = policiesOf(scope).filter((policy) => policy.from === node.id && policy.to !== TO_ROUTER);
  return chainOf(`${way === "original" ? "z_o" : "z_r"}_${node.word}`, [
    ...forwardRules(way, node),
    ...policies.flatMap((policy) => policyRules(scope, way, policy)),
    ...clientRules(way, node),
    countedDrop("c_drop_forward"),
  ]);
}

function profileRules(scope: Scope, way: Way, profile: Profile): readonly string[] {
  const { oif } = words[way];
  return FAMILIES.flatMap((family) => {
    const reached = profile.reach
      .filter((reach) => hasFamily(reach, family))
      .map((reach) => scope.nodes.find((node) => node.id === reach.zone && node.kind !== "network"))
      .filter((node) => node !== undefined)
      .map((node) => toNode(way, node, family))
      .filter((head) => head !== undefined);
    const sets = serviceSets(scope, profileOwner(profile), family);
    return [
      ...reached.map((head) => `${head} ${STAMP}`),
      ...serviceRules(way, family, sets, ""),
      ...(hasFamily(profile.internet, family) ? [`${nfproto(family)} ${oif} @s_uplink ${STAMP}`] : []),
    ];
  });
}

/** Name of a profile's chain, as the maps of clients spell it. */
export function profileChain(way: Way, profile: string): string {
  return `${way === "original" ? "p_o" : "p_r"}_${wordOf(profile)}`;
}

/** Whether the router answers echo requests of a node: the house and its clients, neither the world nor experiments. */
const mayPing = (node: Node): boolean => node.kind !== "uplink" && !node.experimental;

/** Interfaces of a node that get their address from outside, as a match; undefined when it has none. */
function leased(scope: Scope, way: Way, node: Node): string | undefined {
  const names = scope.router.uplinks.filter((uplink) => uplink.dynamic).map((uplink) => uplink.interface);
  const own = node.kind === "uplink" ? node.interfaces.filter((name) => names.includes(name)) : [];
  if (own.length === 0) return undefined;
  return own.length === node.interfaces.length ? "" : `${words[way].iif} ${nameSet(own)} `;
}

function routerRules(scope: Scope, way: Way, node: Node): readonly string[] {
  const { sourcePort, targetPort, echo, source } = words[way];
  const dynamic = leased(scope, way, node);
  return [
    ...(node.dhcp
      ? [
          `${nfproto(4)} udp ${sourcePort} 68 udp ${targetPort} 67 ${STAMP}`,
          `${source(6)} fe80::/10 udp ${sourcePort} 546 udp ${targetPort} 547 ${STAMP}`,
        ]
      : []),
    // Answers to a broadcast or multicast question belong to no flow that conntrack knows.
    ...(dynamic === undefined
      ? []
      : [
          `${dynamic}${nfproto(4)} udp ${sourcePort} 67 udp ${targetPort} 68 ${STAMP}`,
          `${dynamic}${source(6)} fe80::/10 udp ${sourcePort} 547 udp ${targetPort} 546 ${STAMP}`,
        ]),
    ...(mayPing(node) ? FAMILIES.map((family) => `${echo(family)} ${STAMP}`) : []),
    ...dnsRules(way, node),
    ...policiesOf(scope)
      .filter((policy) => policy.from === node.id && policy.to === TO_ROUTER)
      .flatMap((policy) => policyRules(scope, way, policy)),
  ];
}

/** From a node to the router, and the mirror for the router's replies. */
function routerChain(scope: Scope, way: Way, node: Node): NftChain {
  return way === "original"
    ? chainOf(`z_i_${node.word}`, [...routerRules(scope, way, node), countedDrop("c_drop_input")])
    : chainOf(`z_q_${node.word}`, [...routerRules(scope, way, node), countedDrop("c_stale")]);
}

/** The rescue lane carries the API, which is a lane of its own, and pings. */
function rescueChain(way: Way): NftChain {
  const rule = `${words[way].echo(6)} ${STAMP}`;
  return way === "original"
    ? chainOf("z_i_rescue", [rule, countedDrop("c_drop_input")])
    : chainOf("z_q_rescue", [rule, countedDrop("c_stale")]);
}

const WAYS: readonly Way[] = ["original", "reply"];

/** Every chain of the policy, profiles before the nodes that lead to them. */
export function policyChains(scope: Scope): readonly NftChain[] {
  return [
    ...scope.profiles.flatMap((profile) =>
      WAYS.map((way) =>
        chainOf(profileChain(way, profile.id), [...profileRules(scope, way, profile), countedDrop("c_drop_forward")]),
      ),
    ),
    ...scope.nodes.flatMap((node) => WAYS.map((way) => nodeChain(scope, way, node))),
    ...scope.nodes.flatMap((node) => WAYS.map((way) => routerChain(scope, way, node))),
    ...WAYS.map(rescueChain),
  ];
}

/** The sets that the chains of policies and profiles look into. */
export function policySets(scope: Scope): readonly NftSet[] {
  const owners = [
    ...policiesOf(scope).map((policy) => ({ owner: policyOwner(policy), flags: policy })),
    ...scope.profiles.map((profile) => ({ owner: profileOwner(profile), flags: { v4: true, v6: true } })),
  ];
  return owners.flatMap(({ owner, flags }) =>
    FAMILIES.filter((family) => hasFamily(flags, family)).flatMap((family) => {
      const { boxes, pings } = serviceSets(scope, owner, family);
      return [boxes, pings].filter((set) => set !== null);
    }),
  );
}
