/**
 * The verifier as an oracle: it answers about all packets of a region, so the region is narrowed to one. It says no
 * hop limits, codes or identifiers, so its answer may be mixed where a rule asks for one; then both ends are its fates.
 * What it assumes instead of knowing is refused by name: WireGuard's check of sources, link-local addresses of the router.
 */
import { ask, type Model, openModel } from "../../agent/core/verifier/model.ts";
import type { Answer, Region, Span, Witness } from "../../agent/core/verifier/question.ts";
import { leased } from "../../client/replay/ground.ts";
import { ICMP, ICMP6, SYN, TCP, UDP } from "../../client/replay/wire.ts";
import type { NftTable } from "../../schemas/desired.ts";
import { formatIp, parseIp } from "../../schemas/ip.ts";
import type { Decide, Fate, Moment, Out, Place, Refused } from "./oracle.ts";
import { type Routes, refusedAtOnce } from "./routes.ts";

const models = new WeakMap<NftTable, Model>();

/** The model of a table on its router; throws with the problems when the verifier refuses the whole ruleset. */
function modelOf({ table, site }: Place): Model {
  const known = models.get(table);
  if (known !== undefined) return known;
  const opened = openModel({ ...leased(site), nft: table });
  if (!opened.ok) throw new Error(opened.problems.map((one) => `${one.path}: ${one.detail}`).join("\n"));
  models.set(table, opened.value);
  return opened.value;
}

const one = (value: number): readonly Span[] => [[value, value]];

/** What the router says is asked by interface: the verifier leaves its routes open. */
function wayOut(routes: Routes, { source, target }: Moment["shot"]): string {
  const way = routes.leaving(source, target);
  return way.kind === "forward" ? way.interface : "";
}

/** The packet as a region: as the policy sees it, so behind the translation of its flow. */
function regionOf({ epoch, routes }: Place, { shot, view }: Moment): Region {
  const { ct, flow, toTarget } = view;
  const tracked = ct.state !== "invalid" && ct.state !== "untracked";
  const icmp = shot.protocol === ICMP || shot.protocol === ICMP6;
  const ports = shot.protocol === TCP || shot.protocol === UDP;
  const stamped = ct.mark >>> 16;
  const target = toTarget?.target ?? shot.target;
  const dport = toTarget !== undefined && shot.about === undefined ? toTarget.dport : shot.dport;
  return {
    way: shot.iif === "" ? "leaving" : "arriving",
    family: shot.family,
    ...(shot.iif === "" ? { oif: [wayOut(routes, shot)] } : { iif: [shot.iif] }),
    source: { in: [formatIp(shot.source)] },
    target: { in: [formatIp(target)] },
    protocol: [shot.protocol],
    ...(ports ? { sport: one(shot.sport), dport: one(dport) } : {}),
    ...(icmp ? { icmpType: [shot.type] } : {}),
    ...(shot.protocol === TCP ? { syn: shot.flags === SYN } : {}),
    state: [ct.state],
    direction: tracked ? ct.direction : "original",
    epoch: [!tracked || stamped === 0 ? "none" : stamped === epoch ? "current" : "stale"],
    origin: tracked && (ct.mark & 0x8000) !== 0,
    mark: one(tracked ? ct.mark & 0x7fff : 0),
    dnat: tracked && flow?.dnat === true,
    snat: tracked && flow?.snat === true,
    ...(tracked && flow?.dnat ? { original: { in: [formatIp(flow.original.target)] } } : {}),
  };
}

/** The end that a witness tells. A port that NAT chooses is 0 there; so may be what clashes at the last moment. */
function fateOf({ shot, view }: Moment, { egress, headers, outcome }: Witness): Fate {
  if (outcome === "drop" || egress === "") return { kind: "dropped" };
  const first = view.flow === undefined && view.ct.state === "new";
  const any = headers.sport === 0 || first;
  const echo = (view.toTarget ?? view.toSource)?.id;
  const open = first || echo === undefined || view.ct.state !== "established";
  const out: Out = {
    target: parseIp(headers.target)!,
    sources: [parseIp(headers.source)!],
    protocol: shot.protocol,
    sports: any ? [0, 65_535] : [headers.sport, headers.sport],
    dport: headers.dport,
    type: shot.type,
    code: shot.code,
    ids: open ? [0, 65_535] : [echo, echo],
  };
  return egress === "router" ? { kind: "delivered", out } : { kind: "forwarded", interface: egress, out };
}

function fates(moment: Moment, answer: Answer): readonly Fate[] | Refused {
  if (answer.verdict === "none") return { refused: "no such packet" };
  // TUN devices have no peers: what WireGuard would not carry leaves by them.
  if (answer.dropped?.decided.hook === "wireguard") return { refused: "WireGuard's peers" };
  const ends = [answer.accepted, answer.dropped].filter((end) => end !== null);
  const found = ends.map((end) => fateOf(moment, end));
  return answer.verdict === "mixed" ? [...found, { kind: "dropped" }] : found;
}

/**
 * What the kernel does at routing whatever the ruleset says, and the verifier does not know: it takes more packets in.
 */
function beyondTheModel({ routes }: Place, { shot, view }: Moment): string | undefined {
  if (shot.iif === "") return undefined;
  const target = view.toTarget?.target ?? shot.target;
  const types = [shot.source, target].map((ip) => routes.typeOf(ip, shot.iif));
  const own = shot.family === 4 && types[0] === "local";
  if (own || types[0] === "broadcast" || types[0] === "multicast") return "a source that routing refuses";
  if (types[0] === "anycast") return "an anycast source";
  if (types[1] === "multicast") return "a group";
  if (target.family === 4 && target.value >> 24n === 127n) return "a loopback address from outside";
  return routes.wayBack(shot.iif, shot.source, target) ? undefined : "no way back to the source (rp_filter)";
}

export const byVerifier: Decide = (place, moment) => {
  const { shot } = moment;
  if (shot.parts === "first") return { refused: "a fragment alone" };
  if ([shot.source, shot.target].some((ip) => formatIp(ip).startsWith("fe80"))) return { refused: "link-local" };
  if (shot.hops <= 1 && shot.iif !== "") return { refused: "a hop limit" };
  const beyond = beyondTheModel(place, moment);
  if (beyond !== undefined) return { refused: beyond };
  if (shot.iif === "" && wayOut(place.routes, shot) === "") return { refused: "no route" };
  if (refusedAtOnce(shot)) return { refused: "no address of a packet on a wire" };
  const answer = ask(modelOf(place), { region: regionOf(place, moment) });
  if (!answer.ok) throw new Error(answer.problems.map((problem) => `${problem.path}: ${problem.detail}`).join("\n"));
  // Where the generation sets no address of a family, unknown routes may lead: the verifier lets them.
  const egress = answer.value.accepted?.egress ?? "";
  const set = [...place.routes.own].some(
    (one) => one.interface === egress && one.ip.family === shot.family && !formatIp(one.ip).startsWith("fe80"),
  );
  if (egress !== "" && egress !== "router" && !set) return { refused: "an interface whose addresses are not set" };
  return fates(moment, answer.value);
};
