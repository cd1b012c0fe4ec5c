/** The first oracle: the reader of tests/fuzz/nft.ts, led through the hooks in the kernel's order. */

import { ICMP, ICMP6, TCP, UDP } from "../../client/replay/wire.ts";
import type { NftTable } from "../../schemas/desired.ts";
import type { Ip } from "../../schemas/ip.ts";
import { answerTo } from "./conntrack.ts";
import { Ruleset } from "./nft.ts";
import type { Fate, Moment, Out, Place } from "./oracle.ts";
import { newRun, type Regs, type Run } from "./regs.ts";
import { refusedAtOnce, type Way } from "./routes.ts";

/** A fate with why, and with what the packet leaves behind in conntrack. */
export type Decision = {
  readonly fate: Fate;
  readonly trail: readonly string[];
  readonly counters: readonly string[];
  readonly mark: number;
  readonly dnat: boolean;
  readonly notrack: boolean;
  readonly routeMark: number; // of the packet, when its route was chosen
  readonly first: boolean; // of a flow that begins if this packet gets through
};

const CONNTRACK = -200;
const rulesets = new WeakMap<NftTable, Map<number, Ruleset>>();

function rulesetOf({ table, epoch }: Place): Ruleset {
  const known = rulesets.get(table) ?? new Map<number, Ruleset>();
  rulesets.set(table, known);
  const ruleset = known.get(epoch) ?? new Ruleset(table, epoch);
  known.set(epoch, ruleset);
  return ruleset;
}

type Walk = {
  readonly place: Place;
  readonly moment: Moment;
  readonly ruleset: Ruleset;
  readonly regs: Regs;
  readonly run: Run;
};

/** Segment size that a route allows: its interface's MTU without fixed headers, of the way out and the way back. */
function routeMss({ site }: Place, family: 4 | 6, names: readonly string[]): number {
  const mtu = (name: string): number =>
    site.desired.links.find((link) => link.name === name)?.mtu ??
    site.intent.routers[0]!.uplinks?.find((uplink) => uplink.interface === name)?.mtu ??
    1500;
  return Math.min(...names.map(mtu)) - (family === 4 ? 40 : 60);
}

function regsOf(place: Place, { shot }: Moment): Regs {
  const ports = shot.protocol === TCP || shot.protocol === UDP;
  return {
    family: shot.family,
    iif: shot.iif,
    oif: "",
    source: shot.source.value,
    target: shot.target.value,
    protocol: shot.protocol,
    sport: ports ? shot.sport : 0,
    dport: ports ? shot.dport : 0,
    type: shot.type,
    flags: shot.flags,
    mss: shot.mss,
    hops: shot.hops,
    ct: { state: "untracked", direction: "original", mark: 0, dnat: false, originalTarget: 0n },
    mark: 0,
    notrack: false,
    sourceType: place.routes.typeOf(shot.source, shot.iif),
    targetType: place.routes.typeOf(shot.target, shot.iif),
    routeMss: 0,
    nat: undefined,
  };
}

const ipOf = (family: 4 | 6, value: bigint): Ip => ({ family, value });

/** Base chains of a hook from one priority to below another; false: dropped. NAT chains see first packets alone. */
function pass(walk: Walk, hook: Parameters<Ruleset["base"]>[0], from: number, below: number): boolean {
  const { regs, ruleset, run, moment } = walk;
  const first = regs.ct.state === "new" && moment.view.flow === undefined;
  for (const chain of ruleset.base(hook)) {
    const { priority, type } = chain.base!;
    if (priority < from || priority >= below || (type === "nat" && !first)) continue;
    if (ruleset.judge(chain, regs, run) === "drop") return false;
    if (regs.nat !== undefined) return true; // a translation ends the hook's chain; nothing stands behind it here
  }
  return true;
}

const NEVER = 1 << 30;

/** The hook of arrival: what is not tracked, who may be there, and DNAT. */
function prerouting(walk: Walk): boolean {
  const { regs, moment, place } = walk;
  if (!pass(walk, "prerouting", -NEVER, CONNTRACK)) return false;
  track(walk);
  if (!pass(walk, "prerouting", CONNTRACK, -100)) return false;
  const { flow } = moment.view;
  const redirect = moment.shot.protocol === ICMP && moment.shot.type === 5 && regs.ct.state === "related";
  if (redirect && flow !== undefined && (flow.dnat || flow.snat)) {
    walk.run.trail.push("NAT drops redirects about flows that it translates (nf_nat_icmp_reply_translation)");
    return false;
  }
  if (!pass(walk, "prerouting", -100, NEVER)) return false;
  if (regs.nat?.kind === "dnat") {
    regs.target = regs.nat.target;
    regs.dport = regs.nat.port;
    regs.ct.dnat = true;
    regs.nat = undefined;
  }
  const { toTarget } = moment.view;
  if (regs.ct.state !== "untracked" && toTarget !== undefined) {
    regs.target = toTarget.target.value;
    if (moment.shot.about === undefined) regs.dport = toTarget.dport;
  }
  regs.targetType = place.routes.typeOf(ipOf(regs.family, regs.target), regs.iif);
  return true;
}

function track({ regs, moment: { view } }: Walk): void {
  regs.ct = regs.notrack ? { ...view.ct, state: "untracked" } : { ...view.ct };
}

const whole = (value: number): readonly [number, number] => [value, value];

/** The packet inside an error, as whoever sent it knows it: translated back with its flow. */
function aboutOf({ regs, moment: { shot, view } }: Walk): Pick<Out, "about"> {
  if (shot.about === undefined) return {};
  if (regs.ct.state !== "related" || view.flow === undefined) return { about: shot.about };
  return { about: view.ct.direction === "reply" ? view.flow.original : view.flow.reply };
}

/** Headers as they are now. */
function outOf(walk: Walk): Out {
  const { regs, moment } = walk;
  const { shot } = moment;
  return {
    ...aboutOf(walk),
    target: ipOf(regs.family, regs.target),
    sources: [ipOf(regs.family, regs.source)],
    protocol: regs.protocol,
    sports: whole(regs.sport),
    dport: regs.dport,
    type: regs.type,
    code: shot.code,
    ids: whole(shot.id),
  };
}

function postrouting(walk: Walk, way: Extract<Way, { kind: "forward" }>): Out | undefined {
  const { regs, moment, place, run } = walk;
  const { shot, view } = moment;
  if (!pass(walk, "postrouting", -NEVER, 101)) return undefined;
  let out = outOf(walk);
  const asked = regs.nat as Regs["nat"];
  if (asked?.kind === "masquerade") {
    const sources = place.routes.masqueradeAs(way.interface, regs.family, way.via ?? out.target);
    if (sources.length === 0) return drop(run, "masquerade: the interface has no address");
    out = { ...out, sources, ...ports(moment, out, sources, asked.ports) };
    regs.source = sources[0]!.value;
    regs.nat = undefined;
  } else if (regs.ct.state === "new" && view.flow === undefined && clashes(moment, out)) {
    out = { ...out, sports: [0, 65_535], ids: [0, 65_535] };
  }
  if (regs.ct.state !== "untracked" && view.toSource !== undefined) {
    const { source, sport } = view.toSource;
    regs.source = source.value;
    out = { ...out, sources: [source], sports: shot.about === undefined ? whole(sport) : out.sports };
  }
  if (regs.ct.state === "established" && shot.protocol !== TCP && shot.protocol !== UDP) {
    const id = (view.toTarget ?? view.toSource)?.id ?? shot.id;
    out = { ...out, ids: whole(id) };
  }
  return pass(walk, "postrouting", 101, NEVER) ? out : undefined;
}

function clashes({ flows }: Moment, out: Out): boolean {
  const reply = answerTo({ ...out, source: out.sources[0]!, sport: out.sports[0], id: out.ids[0] });
  return reply !== undefined && flows.clashes(reply);
}

/** Source ports or identifiers that masquerading may choose (net/netfilter/nf_nat_core.c, get_unique_tuple). */
function ports(
  moment: Moment,
  out: Out,
  sources: readonly Ip[],
  range: readonly [number, number] | undefined,
): Pick<Out, "sports" | "ids"> {
  const { shot, flows } = moment;
  const icmp = shot.protocol === ICMP || shot.protocol === ICMP6;
  const free = !flows.mapped(shot) && !clashes(moment, { ...out, sources });
  const inside = range === undefined || (out.sports[0] >= range[0] && out.sports[0] <= range[1]);
  if (free && (inside || icmp)) return { sports: out.sports, ids: out.ids };
  return { sports: icmp ? out.sports : (range ?? [0, 65_535]), ids: icmp ? [0, 65_535] : out.ids };
}

function drop(run: Run, why: string): undefined {
  run.trail.push(why);
  return undefined;
}

/** A packet's way with limits that all pass, or all fail. */
function walkOnce(
  place: Place,
  moment: Moment,
  limit: boolean,
): { readonly decision: Decision; readonly limited: boolean } {
  const walk: Walk = { place, moment, ruleset: rulesetOf(place), regs: regsOf(place, moment), run: newRun(limit) };
  const fate = moment.shot.iif === "" ? said(walk) : arrived(walk);
  const { run, regs } = walk;
  const { trail, counters, limited } = run;
  const first = regs.ct.state === "new" && moment.view.flow === undefined;
  const { mark, dnat } = regs.ct;
  const { notrack, mark: routeMark } = regs;
  return { decision: { fate, trail, counters, mark, dnat, notrack, routeMark, first }, limited };
}

const DROPPED: Fate = { kind: "dropped" };

function arrived(walk: Walk): Fate {
  const { place, moment, regs, run } = walk;
  if (moment.shot.parts === "first") return DROPPED; // conntrack keeps it until the rest comes, which is never
  if (refusedAtOnce(moment.shot)) {
    regs.notrack = true; // conntrack never sees it
    run.trail.push("ip6_rcv: no address of a packet on a wire");
    return DROPPED;
  }
  if (!prerouting(walk)) return DROPPED;
  const way = place.routes.arriving(regs.iif, moment.shot.source, ipOf(regs.family, regs.target), regs.mark);
  run.trail.push(`route: ${way.kind}${way.kind === "none" ? "" : ` ${way.interface}`}`);
  if (way.kind === "none") return DROPPED;
  if (way.kind === "local") {
    return pass(walk, "input", -NEVER, NEVER) ? { kind: "delivered", out: outOf(walk) } : DROPPED;
  }
  if (regs.hops <= 1) return DROPPED;
  regs.oif = way.interface;
  regs.routeMss = routeMss(place, regs.family, mssWay(place, regs, way.interface));
  if (!pass(walk, "forward", -NEVER, NEVER)) return DROPPED;
  const out = postrouting(walk, way);
  return out === undefined ? DROPPED : forwarded(walk, way.interface, out);
}

/** The interfaces of both directions, as far as there is a route back. */
function mssWay({ routes }: Place, regs: Regs, oif: string): readonly string[] {
  const back = routes.leaving(ipOf(regs.family, regs.target), ipOf(regs.family, regs.source));
  return back.kind === "none" ? [oif] : [oif, back.interface];
}

function forwarded({ regs }: Walk, name: string, out: Out): Fate {
  const fate = { kind: "forwarded" as const, interface: name, out };
  return regs.mss === 0 ? fate : { ...fate, mss: regs.mss };
}

/** What the router says itself. */
function said(walk: Walk): Fate {
  const { place, moment, regs } = walk;
  const { shot } = moment;
  const way = place.routes.leaving(shot.source, shot.target);
  if (way.kind !== "forward") {
    regs.notrack = true; // it is not even made
    return DROPPED;
  }
  regs.oif = way.interface;
  if (!pass(walk, "output", -NEVER, CONNTRACK)) return DROPPED;
  track(walk);
  if (!pass(walk, "output", CONNTRACK, NEVER)) return DROPPED;
  const out = postrouting(walk, way);
  return out === undefined ? DROPPED : forwarded(walk, way.interface, out);
}

/** Every decision that the reader holds possible, the likelier first. */
export function decisions(place: Place, moment: Moment): readonly Decision[] {
  const { decision, limited } = walkOnce(place, moment, true);
  return limited ? [decision, walkOnce(place, moment, false).decision] : [decision];
}

/** The reader of tests as an oracle. */
export const byReader = (place: Place, moment: Moment): readonly Fate[] =>
  decisions(place, moment).map((one) => one.fate);
