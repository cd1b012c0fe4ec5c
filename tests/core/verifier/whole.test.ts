/**
 * The whole way of packets, by hand: the walker of the invariants for each hook, and routes, masquerade and tunnels
 * written here again, with none of the verifier's code. Each packet's interface and end must be the diagram's.
 */
import { describe, expect, test } from "bun:test";
import type { Packet } from "../../../agent/core/invariants-packet.ts";
import { walkerOf } from "../../../agent/core/invariants-walk.ts";
import type { Node } from "../../../agent/core/verifier/diagram.ts";
import type { Value } from "../../../agent/core/verifier/fields.ts";
import { pipelineOf } from "../../../agent/core/verifier/model.ts";
import type { Pipeline } from "../../../agent/core/verifier/pipeline.ts";
import type { Desired } from "../../../schemas/desired.ts";
import { contains, type Ip, lastOf, networkOf, parseCidr, parseIp, parsePrefix } from "../../../schemas/ip.ts";
import { readStory, storyNames } from "../../golden/golden.ts";
import { branch, homelab } from "../invariant-subjects.ts";
import { randomNumbers } from "../nft-tables.ts";
import { halfOf, modelOf, pointOf } from "./cross.ts";
import { poolOf, randomPacket } from "./packets.ts";

type End = { readonly oif: string; readonly verdict: "accept" | "drop" } | "unsure";

const own = (desired: Desired) =>
  desired.addresses.map(({ interface: name, cidr }) => {
    const parsed = parseCidr(cidr)!;
    return { name, ip: { family: parsed.family, value: parsed.value }, network: networkOf(parsed) };
  });

const GROUPS = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"].map((text) => parsePrefix(text)!);

/** Interface by rules, then longest prefix and metric; "" for the router; undefined where nothing leads. */
function routeOf(desired: Desired, source: Ip, target: Ip, local: (ip: Ip) => boolean): string | undefined {
  const mine = own(desired);
  const broadcast = mine.some(
    ({ network }) =>
      network.family === 4 && network.length < 31 && target.family === 4 && target.value === lastOf(network),
  );
  // RFC 4291 2.6.1: a router answers to the lowest address of its subnets.
  const anycast = mine.some(
    ({ network }) =>
      network.family === 6 && network.length < 127 && target.family === 6 && target.value === network.value,
  );
  if (local(target) || broadcast || anycast || GROUPS.some((group) => contains(group, target))) return "";
  const connected = mine.map(({ name, network }) => ({ to: network, interface: name, table: 254, metric: 0 }));
  const declared = desired.routes.map((route) => ({ ...route, to: parsePrefix(route.to)! }));
  const tables = [
    ...desired.rules
      .filter((rule) => rule.family === target.family && rule.fwmark === 0)
      .filter((rule) => rule.from === "" || contains(parsePrefix(rule.from)!, source))
      .map((rule) => rule.table),
    254,
  ];
  for (const table of tables) {
    const [best] = [...declared, ...connected]
      .filter((route) => route.table === table && contains(route.to, target))
      .sort((a, b) => b.to.length - a.to.length || a.metric - b.metric);
    if (best !== undefined) return best.interface;
  }
  return undefined;
}

/** Verdict of a hook, when all ways agree. */
function one(ways: readonly { readonly verdict: string }[]): "accept" | "drop" | undefined {
  const all = [...new Set(ways.map((way) => way.verdict))];
  return all.length === 1 ? (all[0] as "accept" | "drop") : undefined;
}

function walk(desired: Desired, arriving: Packet, local: (ip: Ip) => boolean): End {
  const walker = walkerOf(desired.nft);
  const before = walker.hook("prerouting", { ...arriving, oif: "" });
  const routed = routeOf(desired, arriving.source, arriving.target, local);
  const early = one(before);
  if (early === undefined || routed === undefined) return "unsure";
  const key = arriving.family === 4 ? "ip_forward" : "all.forwarding";
  const off = routed !== "" && desired.sysctls.some((sysctl) => sysctl.key.endsWith(key) && sysctl.value === "0");
  const oif = off ? "" : routed;
  if (early === "drop" || off) return { oif, verdict: "drop" };
  const notrack = before.some((way) => way.notrack);
  const packet: Packet = { ...arriving, oif, ...(notrack ? { state: "untracked" as const } : {}) };
  const middle = one(walker.hook(oif === "" ? "input" : "forward", packet));
  if (middle === undefined) return "unsure";
  if (middle === "drop" || oif === "") return { oif, verdict: middle };
  const masquerades = desired.nft.sets
    .find((set) => set.name === `s_masq${packet.family}`)!
    .elements.includes(`"${packet.iif}" . "${oif}"`);
  const first = packet.state === "new" || (packet.state === "related" && packet.protocol !== "icmp");
  const address = own(desired).find(({ name, ip }) => name === oif && ip.family === packet.family)?.ip;
  if (masquerades && first && address === undefined) return "unsure";
  const leaves: Packet =
    masquerades && first ? { ...packet, source: address!, sourceLocal: true, sport: 40_000 } : packet;
  const last = one(walker.hook("postrouting", leaves));
  if (last === undefined) return "unsure";
  const link = desired.links.find(({ name }) => name === oif);
  const peer = link?.peers.some(({ allowedIps }) =>
    allowedIps.some((text) => contains(parsePrefix(text)!, packet.target)),
  );
  return { oif, verdict: last === "drop" || peer === false ? "drop" : "accept" };
}

function kindAt(pipeline: Pipeline, node: Node, point: readonly Value[]): string {
  const { arena, space } = pipeline.regions;
  let at = node;
  while (arena.leafOf(at) === undefined) {
    const level = arena.level(at);
    at = arena.child(at, space.domain(level).floor(point[space.place(level)]!));
  }
  return arena.leafOf(at)!.kind;
}

/** Sends packets of flows without translation; those that a port-forward would take are left to way.test.ts. */
function compare(name: string, desired: Desired, count: number) {
  const random = randomNumbers(`whole ${name}`, 1, 0);
  const model = modelOf(desired);
  const pool = poolOf(desired);
  const forwarded = new Set(
    desired.nft.sets.find((set) => set.name === "m_pf4")!.elements.map((text) => text.split(" . ")[0]!),
  );
  const found: unknown[] = [];
  let [sure, accepted] = [0, 0];
  for (const family of [4, 6] as const) {
    const halves = { original: pipelineOf(model, family, "original"), reply: pipelineOf(model, family, "reply") };
    const local = (ip: Ip): boolean =>
      halves.original.facts.local.some(({ from, to }) => BigInt(from) <= ip.value && ip.value <= BigInt(to));
    // Those who would truly send, where they are: hosts behind interfaces, clients, somebody outside.
    const stranger = parseIp(family === 4 ? "203.0.113.9" : "2001:db8:ffff::9")!;
    const uplink = desired.routes.find((route) => route.family === family && /\/0$/.test(route.to))?.interface;
    const seats = [
      ...own(desired)
        .filter(({ network }) => network.family === family)
        .map(({ name: seat, network }) => ({ seat, ip: { family, value: network.value + 9n } })),
      ...desired.links.flatMap(({ name: seat, peers }) =>
        peers
          .flatMap(({ allowedIps }) => allowedIps.map((one) => parsePrefix(one)!))
          .filter((prefix) => prefix.family === family)
          .slice(0, 4)
          .map((prefix) => ({ seat, ip: { family, value: prefix.value } })),
      ),
      ...(uplink === undefined ? [] : [{ seat: uplink, ip: stranger }]),
    ];
    const likely = [
      ...seats.map(({ ip }) => ip),
      ...own(desired).flatMap(({ ip }) => (ip.family === family ? [ip] : [])),
    ];
    for (let i = 0; i < count; i += 1) {
      const drawn = randomPacket(random, pool, family, local);
      const seat = seats[random(seats.length)]!;
      const target = random(3) === 0 ? drawn.target : likely[random(likely.length)]!;
      const [iif, source] = random(3) === 0 ? [drawn.iif, drawn.source] : [seat.seat, seat.ip];
      const fresh = drawn.state === "new" || drawn.state === "untracked" || drawn.state === "invalid";
      const packet: Packet = {
        ...drawn,
        iif,
        target,
        source,
        sourceLocal: local(source),
        targetLocal: local(target),
        dnat: false,
        state: drawn.state === "untracked" ? "new" : drawn.state,
        ...(fresh ? { direction: "original" as const, epoch: "stale" as const } : {}),
      };
      const link = desired.links.find(({ name: device }) => device === packet.iif);
      const mine = link?.peers.some(({ allowedIps }) =>
        allowedIps.some((text) => contains(parsePrefix(text)!, source)),
      );
      const linkLocal = family === 6 && target.value >> 118n === 0x3fan;
      if (mine === false || packet.iif === "lo" || linkLocal) continue;
      if (family === 4 && forwarded.has([24n, 16n, 8n, 0n].map((by) => (target.value >> by) & 255n).join(".")))
        continue;
      const end = walk(desired, packet, local);
      if (end === "unsure") continue;
      sure += 1;
      if (end.verdict === "accept") accepted += 1;
      const pipeline = halves[halfOf(packet)];
      const point = pointOf(pipeline, { ...packet, oif: end.oif }, 0);
      const routed = kindAt(pipeline, pipeline.routed("declared"), point);
      const said = kindAt(pipeline, pipeline.arriving("declared"), point);
      if (routed !== "yes" || said !== end.verdict) found.push({ packet, end, routed, said });
    }
  }
  return { found, sure, accepted };
}

const text = (value: unknown): string =>
  JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `0x${item.toString(16)}` : item));

describe("from arrival to the wire", () => {
  const sites = [
    ...storyNames().map((name) => [name, readStory(name).desired] as const),
    ["homelab", homelab.desired] as const,
    ["branch", branch.desired] as const,
  ];
  for (const [name, desired] of sites) {
    test(name, () => {
      const { found, sure, accepted } = compare(name, desired, 600);
      expect(found.slice(0, 2).map(text)).toEqual([]);
      expect(sure).toBeGreaterThan(200);
      expect(accepted).toBeGreaterThan(15);
    });
  }
});
