/** One packet of a region, as people would pick it: declared hosts, well-known ports, nothing that is all zeros. */
import { formatIp } from "../../../schemas/ip.ts";
import type { Node } from "./diagram.ts";
import type { Facts } from "./facts.ts";
import { EPOCH, FIELDS, type Field, FLAGS, LEVEL, STATE, type Value } from "./fields.ts";
import type { Pipeline } from "./pipeline.ts";
import type { CtState, Epoch, Packet } from "./question.ts";
import { addressesOf, PROTOCOL } from "./words.ts";

/** Values in the order of FIELDS. */
export type Point = readonly Value[];

const OUTSIDE = { 4: "203.0.113.200", 6: "2001:db8:ffff::200" } as const;
const HOSTS_MAX = 32;

/** Labels that a field would have in a packet that people know, best first. */
function preferred(pipeline: Pipeline, level: number): readonly Value[] {
  const { facts } = pipeline;
  const { space } = pipeline.regions;
  const field = space.fieldAt(level);
  const icmp = facts.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6;
  if (field === "saddr" || field === "daddr" || field === "odaddr") return hosts(facts, field);
  const known: Partial<Record<Field, readonly Value[]>> = {
    proto: [PROTOCOL.tcp, PROTOCOL.udp, icmp],
    icmp: facts.family === 4 ? [8, 0, 3, 11] : [128, 129, 2, 1],
    dport: [443, 80, 22, 53, 8022, 5000, 40_000],
    sport: [40_000, 443, 80, 53],
    flags: [FLAGS.syn, FLAGS.ack, FLAGS.syn | FLAGS.ack],
    hop: [64, 255],
    state: [STATE.new, STATE.established],
    direction: [space.direction],
  };
  return known[field] ?? [];
}

/** Clients, hosts of connected subnets, somebody outside. */
function hosts(facts: Facts, field: "saddr" | "daddr" | "odaddr"): readonly Value[] {
  const outside = addressesOf(OUTSIDE[facts.family], facts.family)!.from;
  const clients = facts.devices
    .flatMap((device) => device.allowed.slice(0, 4).map((one) => one.from))
    .slice(0, HOSTS_MAX);
  const near = [...facts.tables.values()]
    .flat()
    .filter(({ prefix }) => prefix.length > 0)
    .slice(0, HOSTS_MAX)
    .map(({ prefix }) => (facts.family === 4 ? Number(prefix.value + 10n) : prefix.value + 0x10n));
  const own = facts.local.filter(({ from, to }) => from === to).map((one) => one.from);
  const list = field === "saddr" ? [...clients, ...near, outside, ...own] : [...near, ...own, outside, ...clients];
  return field === "odaddr" ? [...own, outside] : list;
}

/** Whether a leaf that `wanted` accepts can be reached; answers are kept for the whole search. */
export function reachable(pipeline: Pipeline, wanted: (leaf: Node) => boolean): (node: Node) => boolean {
  const { arena } = pipeline.regions;
  const known = new Map<Node, boolean>();
  const can = (node: Node): boolean => {
    if (arena.leafOf(node) !== undefined) return wanted(node);
    const before = known.get(node);
    if (before !== undefined) return before;
    let found = false;
    for (const kid of arena.edges(node).kids) {
      if (can(kid)) {
        found = true;
        break;
      }
    }
    known.set(node, found);
    return found;
  };
  return can;
}

/** Inside an interval that nothing preferred is in: not its first value where that would be a network's address. */
function plain(field: Field, first: Value, last: Value): Value {
  const address = field === "saddr" || field === "daddr" || field === "odaddr";
  if (!address || first === last) return first;
  const step = typeof first === "bigint" ? 10n : 10;
  const next = (first as number) + (step as number);
  if (next <= last) return next;
  return typeof first === "bigint" ? first + 1n : first + 1;
}

/** A packet that leads to a wanted leaf; null when none does. */
export function pointOf(pipeline: Pipeline, node: Node, wanted: (leaf: Node) => boolean): Point | null {
  const { arena, space } = pipeline.regions;
  const can = reachable(pipeline, wanted);
  if (!can(node)) return null;
  const point: Value[] = new Array<Value>(FIELDS.length).fill(0);
  let at = node;
  for (let level = 0; level < FIELDS.length; level += 1) {
    const wishes = preferred(pipeline, level);
    if (arena.level(at) !== level) {
      point[space.place(level)] = wishes[0] ?? 0;
      continue;
    }
    const domain = space.domain(level);
    const wish = wishes.find((value) => can(arena.child(at, domain.floor(value))));
    if (wish !== undefined) {
      point[space.place(level)] = wish;
      at = arena.child(at, domain.floor(wish));
      continue;
    }
    const { starts, kids } = arena.edges(at);
    const which = kids.findIndex((kid) => can(kid));
    const first = domain.value(starts[which]!);
    const after = which + 1 < starts.length ? domain.value(starts[which + 1]!) : undefined;
    const last = after === undefined ? domain.last : typeof after === "bigint" ? after - 1n : after - 1;
    point[space.place(level)] = plain(space.fieldAt(level), first, last);
    at = kids[which]!;
  }
  return point;
}

const NAMES = <T extends string>(table: Readonly<Record<T, number>>, value: Value): T =>
  (Object.keys(table) as T[]).find((name) => table[name] === value)!;

export function addressText(pipeline: Pipeline, value: Value): string {
  return formatIp({ family: pipeline.facts.family, value: BigInt(value) });
}

const PORTS: ReadonlySet<number> = new Set([PROTOCOL.tcp, PROTOCOL.udp, 33, 132, 136]);

/** A point in the words of packets. What the packet cannot have is left out. */
export function packetOf(pipeline: Pipeline, point: Point): Packet {
  const { facts, regions } = pipeline;
  const get = (field: Field): Value => point[LEVEL[field]]!;
  const protocol = Number(get("proto"));
  const [ports, icmp] = [PORTS.has(protocol), protocol === (facts.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6)];
  const flags = Object.entries(FLAGS).filter(([, bit]) => (Number(get("flags")) & bit) !== 0);
  const dnat = get("dnat") === 1;
  const name = (field: "iif" | "oif"): string => regions.space.interfaces.name(Number(get(field)));
  return {
    family: facts.family,
    iif: name("iif"),
    oif: name("oif"),
    source: addressText(pipeline, get("saddr")),
    target: addressText(pipeline, get("daddr")),
    protocol,
    sport: ports ? Number(get("sport")) : 0,
    dport: ports ? Number(get("dport")) : 0,
    icmpType: icmp ? Number(get("icmp")) : 0,
    flags: protocol === PROTOCOL.tcp ? flags.map(([word]) => word).join(",") : "",
    hopLimit: facts.family === 6 ? Number(get("hop")) : 0,
    state: NAMES<CtState>(STATE, get("state")),
    direction: get("direction") === 1 ? "reply" : "original",
    epoch: NAMES<Epoch>(EPOCH, get("epoch")),
    origin: get("origin") === 1,
    mark: Number(get("low")),
    dnat,
    snat: get("snat") === 1,
    original: dnat ? addressText(pipeline, get("odaddr")) : "",
  };
}
