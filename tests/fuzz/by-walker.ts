/**
 * The second oracle: the walker that the invariants use (agent/core/invariants-walk.ts), led through the hooks. It knows
 * one packet in one hook and no mark but the epoch, so the rest is said here: what a mark's other bits decide is worked
 * into the table that it gets, translations come from the flow or from the map of port-forwards, and routes from the
 * router. What its packets cannot say (other protocols, hop limits of neighbour discovery) is refused by name.
 */
import type { Packet } from "../../agent/core/invariants-packet.ts";
import { Walker, type Way } from "../../agent/core/invariants-walk.ts";
import { ICMP, ICMP6, SYN, TCP, UDP } from "../../client/replay/wire.ts";
import type { NftTable } from "../../schemas/desired.ts";
import { formatIp, type Ip, parseIp } from "../../schemas/ip.ts";
import { decisions } from "./by-reader.ts";
import { type Decide, type Fate, fateText, type Moment, type Out, type Place } from "./oracle.ts";
import { type Way as Route, refusedAtOnce } from "./routes.ts";

const ICMP_NAMES: Readonly<Record<number, string>> = {
  0: "echo-reply",
  3: "destination-unreachable",
  8: "echo-request",
  11: "time-exceeded",
  12: "parameter-problem",
};
const ICMP6_NAMES: Readonly<Record<number, string>> = {
  1: "destination-unreachable",
  2: "packet-too-big",
  3: "time-exceeded",
  4: "parameter-problem",
  128: "echo-request",
  129: "echo-reply",
  130: "mld-listener-query",
  131: "mld-listener-report",
  132: "mld-listener-done",
  133: "nd-router-solicit",
  134: "nd-router-advert",
  135: "nd-neighbor-solicit",
  136: "nd-neighbor-advert",
  143: "mld2-listener-report",
};

/** A rule without what a mark decides: undefined when the mark says no. `tracked`: conntrack knows the packet. */
function settled(rule: string, mark: number, epoch: number, tracked: boolean): string | undefined {
  let holds = true;
  const text = rule.replace(
    /\bct mark (?:& (0x[0-9a-f]+) )?(?:(==|!=) )?(0x[0-9a-f]+|\$HF_EPOCH) ?/g,
    (whole, mask: string | undefined, operator: string | undefined, word: string) => {
      if (word === "$HF_EPOCH" && operator !== undefined) return whole; // the walker's own business
      const value = word === "$HF_EPOCH" ? epoch * 0x10000 : Number(word);
      const equal = (mark & Number(mask ?? 0xffffffff)) >>> 0 === value >>> 0;
      holds &&= tracked && equal === (operator !== "!=");
      return "";
    },
  );
  // Marks that a rule sets are told by the flow; such a rule decides nothing.
  const sets = /\b(?:ct|meta) mark set\b/.test(text) && !/(?:accept|drop|return|goto \w+|jump \w+)$/.test(text);
  return holds && !sets ? text : undefined;
}

/** The table for packets of one mark and one address before DNAT, which the set of port-forwards asks for. */
function tableFor(table: NftTable, epoch: number, mark: number, tracked: boolean, original: string): NftTable {
  const asked = " . ct original ip daddr";
  const chains = table.chains.map((chain) => ({
    ...chain,
    rules: chain.rules
      .map((rule) => settled(rule, mark, epoch, tracked)?.replace(asked, ""))
      .filter((rule) => rule !== undefined),
  }));
  const sets = table.sets.map((set) => {
    if (!set.type.includes(asked)) return set;
    const parts = set.elements.map((element) => element.split(" . ")).filter((one) => one[1] === original);
    return { ...set, elements: parts.map((one) => one.toSpliced(1, 1).join(" . ")) };
  });
  return { ...table, chains, sets };
}

const walkers = new WeakMap<NftTable, Map<string, Walker>>();

function walkerFor({ table, epoch }: Place, { view, shot }: Moment): Walker {
  const { state, mark } = view.ct;
  const tracked = state !== "invalid" && state !== "untracked";
  const target = formatIp({ family: shot.family, value: view.ct.originalTarget });
  const original = shot.family === 4 && tracked ? target : "";
  const key = `${epoch} ${mark} ${tracked} ${original}`;
  const known = walkers.get(table) ?? new Map<string, Walker>();
  walkers.set(table, known);
  const walker = known.get(key) ?? new Walker(tableFor(table, epoch, mark, tracked, original));
  known.set(key, walker);
  return walker;
}

const PROTOCOLS: Readonly<Record<number, Packet["protocol"]>> = {
  [ICMP]: "icmp",
  [ICMP6]: "icmp",
  [TCP]: "tcp",
  [UDP]: "udp",
};

function packetOf({ epoch, routes }: Place, { shot, view }: Moment): Packet {
  const names = shot.family === 4 ? ICMP_NAMES : ICMP6_NAMES;
  const icmp = shot.protocol === ICMP || shot.protocol === ICMP6;
  return {
    family: shot.family,
    iif: shot.iif,
    oif: "",
    source: shot.source,
    target: shot.target,
    protocol: PROTOCOLS[shot.protocol]!,
    sport: shot.sport,
    dport: shot.dport,
    icmpType: icmp ? (names[shot.type] ?? "") : "",
    syn: shot.flags === SYN,
    state: view.ct.state,
    direction: view.ct.direction,
    epoch: view.ct.mark >>> 16 === epoch ? "current" : "stale",
    dnat: view.ct.dnat,
    sourceLocal: routes.typeOf(shot.source, shot.iif) === "local",
    targetLocal: routes.typeOf(shot.target, shot.iif) === "local",
  };
}

const DROPPED: Fate = { kind: "dropped" };

type Leg = { readonly place: Place; readonly moment: Moment; readonly walker: Walker; readonly packet: Packet };

function outOf({ packet, moment: { shot } }: Leg): Out {
  return {
    target: packet.target,
    sources: [packet.source],
    protocol: shot.protocol,
    sports: [packet.sport, packet.sport],
    dport: packet.dport,
    type: shot.type,
    code: shot.code,
    ids: [shot.id, shot.id],
  };
}

const isFirst = ({ moment: { view }, packet }: Leg): boolean => packet.state === "new" && view.flow === undefined;

/** A packet with another target, as the hooks behind see it. */
function aimedAt(leg: Leg, target: Ip, dport: number): Leg {
  const targetLocal = leg.place.routes.typeOf(target, leg.packet.iif) === "local";
  return { ...leg, packet: { ...leg.packet, target, dport, targetLocal } };
}

/** Behind DNAT: the flow's own, or the one that the map of port-forwards names for a first packet. */
function translated(leg: Leg, way: Way): Leg {
  const { moment, packet, place } = leg;
  if (way.verdict === "nat") {
    const map = place.table.sets.find((set) => set.name === "m_pf4")!;
    const key = `${formatIp(packet.target)} . ${packet.dport} . ${packet.protocol} . "${packet.iif}" : `;
    // The walker does not look into the map of a translation: a key that is not there breaks off the rule.
    const value = map.elements.find((element) => element.startsWith(key))?.slice(key.length);
    if (value === undefined) return leg;
    const [target = "", port = ""] = value.split(" . ");
    const there = aimedAt(leg, parseIp(target)!, Number(port));
    return { ...there, packet: { ...there.packet, dnat: true } };
  }
  const { toTarget } = moment.view;
  if (packet.state === "untracked" || toTarget === undefined) return leg;
  return aimedAt(leg, toTarget.target, moment.shot.about === undefined ? toTarget.dport : packet.dport);
}

function arrived(leg: Leg): readonly Fate[] {
  const { walker, packet, place, moment } = leg;
  const raw = walker.hook("prerouting", packet);
  const untracked = raw.some((way) => way.notrack);
  const seen: Leg = untracked ? { ...leg, packet: { ...packet, state: "untracked" } } : leg;
  const mark = decisions(place, moment)[0]!.routeMark;
  return walker.hook("prerouting", seen.packet, isFirst(seen)).flatMap((way): readonly Fate[] => {
    if (way.verdict === "drop") return [DROPPED];
    const there = translated(seen, way);
    const route = place.routes.arriving(packet.iif, packet.source, there.packet.target, mark);
    if (route.kind === "none") return [DROPPED];
    if (route.kind === "forward") return moment.shot.hops <= 1 ? [DROPPED] : forwarded(there, route, "forward");
    return walker
      .hook("input", there.packet)
      .map((end) => (end.verdict === "drop" ? DROPPED : { kind: "delivered", out: outOf(there) }));
  });
}

function forwarded(leg: Leg, route: Extract<Route, { kind: "forward" }>, hook: "forward" | "output"): readonly Fate[] {
  const there: Leg = { ...leg, packet: { ...leg.packet, oif: route.interface } };
  return there.walker.hook(hook, there.packet).flatMap((way): readonly Fate[] => {
    if (way.verdict === "drop") return [DROPPED];
    // A flow's own translation comes before the guard; only a first packet meets the NAT chain.
    if (!isFirst(there)) return outward(there, route, { ...way, verdict: "accept" });
    return there.walker
      .hook("postrouting", there.packet, isFirst(there))
      .flatMap((end) => (end.verdict === "drop" ? [DROPPED] : outward(there, route, end)));
  });
}

/** Behind source NAT, with the guard that stands there. */
function outward(leg: Leg, route: Extract<Route, { kind: "forward" }>, way: Way): readonly Fate[] {
  const { moment, packet, place } = leg;
  const { toSource } = moment.view;
  const plain = outOf(leg);
  let out: Out = plain;
  if (way.verdict === "nat") {
    const sources = place.routes.masqueradeAs(route.interface, packet.family, route.via ?? packet.target);
    if (sources.length === 0) return [DROPPED];
    out = { ...plain, sources, sports: [0, 65_535], ids: [0, 65_535] };
  } else if (packet.state !== "untracked" && toSource !== undefined) {
    const sports = moment.shot.about === undefined ? ([toSource.sport, toSource.sport] as const) : plain.sports;
    out = { ...plain, sources: [toSource.source], sports };
  } else if (isFirst(leg)) out = { ...plain, sports: [0, 65_535], ids: [0, 65_535] }; // the kernel may avoid a clash
  const echo = moment.view.toTarget ?? toSource;
  if (packet.state === "established" && echo !== undefined) out = { ...out, ids: [echo.id, echo.id] };
  const fate: Fate = { kind: "forwarded", interface: route.interface, out };
  const behind = { ...packet, source: out.sources[0]! };
  return leg.walker.hook("postrouting", behind).map((end) => (end.verdict === "drop" ? DROPPED : fate));
}

/** The walker as an oracle. */
export const byWalker: Decide = (place, moment) => {
  const { shot } = moment;
  if (PROTOCOLS[shot.protocol] === undefined) return { refused: "a protocol without ports" };
  if (shot.protocol === ICMP6 && shot.hops !== 64) return { refused: "a hop limit" };
  if (shot.parts === "first") return { refused: "a fragment alone" };
  if (refusedAtOnce(shot)) return [DROPPED];
  const leg: Leg = { place, moment, walker: walkerFor(place, moment), packet: packetOf(place, moment) };
  const fates = shot.iif === "" ? said(leg) : arrived(leg);
  return [...new Map(fates.map((fate) => [fateText(fate), fate])).values()];
};

function said(leg: Leg): readonly Fate[] {
  const { walker, packet, place } = leg;
  const route = place.routes.leaving(packet.source, packet.target);
  if (route.kind !== "forward") return [DROPPED];
  const there: Leg = { ...leg, packet: { ...packet, oif: route.interface } };
  const untracked = walker.hook("output", there.packet).some((way) => way.notrack);
  return forwarded(untracked ? { ...there, packet: { ...there.packet, state: "untracked" } } : there, route, "output");
}
