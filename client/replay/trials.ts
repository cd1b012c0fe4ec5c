/** Packets that stand for a contract: what the verifier proved of each is asked again, of that packet alone. */
import { type ContractSubject, claimsOf } from "../../agent/core/contracts.ts";
import type { Claim } from "../../agent/core/contracts-claims.ts";
import { packetText } from "../../agent/core/contracts-text.ts";
import { ask, type Model } from "../../agent/core/verifier/model.ts";
import type { Packet, Question, Region, Span, Witness } from "../../agent/core/verifier/question.ts";
import { replyOf } from "../../agent/core/verifier/reply.ts";
import type { Desired } from "../../schemas/desired.ts";
import type { Contract } from "../../schemas/intent.ts";
import { type Ip, parseCidr, parseIp } from "../../schemas/ip.ts";
import type { Seen, Shot } from "./wire.ts";
import { ACK, ICMP, ICMP6, SYN, TCP, UDP } from "./wire.ts";

/** A packet to be put in, and what was proven of it. */
export type Trial = { readonly shot: Omit<Shot, "number">; readonly expected: Witness };

/** Claims of a contract from which packets are taken, and packets that are then sent. */
const CLAIMS_MAX = 4;
const TRIALS_MAX = 8;

const one = (value: number): readonly Span[] => [[value, value]];
const isIcmp = (protocol: number): boolean => protocol === ICMP || protocol === ICMP6;

/** Addresses that routing refuses, or that are of nobody, whatever the rules say. */
function odd({ family, value }: Ip): boolean {
  if (family === 6) return value >> 120n === 0xffn || value >> 118n === 0xfe80n >> 6n || value <= 1n;
  const first = value >> 24n;
  return first === 0n || first === 127n || first >= 224n;
}

/** One first packet as a question. */
function exactly(packet: Packet): Question {
  const { family, iif, source, target, protocol, sport, dport, icmpType } = packet;
  const ports = protocol === TCP || protocol === UDP;
  const region: Region = {
    ...(iif === "" ? { way: "leaving" as const } : { way: "arriving" as const, iif: [iif] }),
    ...{ family, flow: "first" as const, protocol: [protocol] },
    source: { in: [source] },
    target: { in: [target] },
    ...(ports ? { sport: one(sport), dport: one(dport) } : {}),
    ...(isIcmp(protocol) ? { icmpType: [icmpType] } : {}),
  };
  return { region };
}

/** What was proven, when it hangs on nothing but the packet: no rate limit, no route of the router's own choice. */
function proven(model: Model, question: Question): Witness | undefined {
  const answer = ask(model, question);
  if (!answer.ok || answer.value.verdict === "mixed") return undefined;
  const found = answer.value.accepted ?? answer.value.dropped;
  // The devices here carry what WireGuard would not.
  if (found === null || found.limit !== "none" || found.decided.hook === "wireguard") return undefined;
  return found.outcome === "drop" || stands(model.desired, found) ? found : undefined;
}

/**
 * Where a generation sets no addresses the verifier allows for any; the router here has those that are set. With
 * rp_filter the kernel takes no IPv4 from an interface without such an address (fib_validate_source).
 */
function stands({ addresses }: Desired, { egress, headers, packet }: Witness): boolean {
  const local = addresses.map((one) => ({ ...one, ip: parseCidr(one.cidr) }));
  const at = (name: string): boolean => local.some((one) => one.interface === name && one.ip?.family === packet.family);
  if (packet.family === 4 && packet.iif !== "" && !at(packet.iif)) return false;
  if (egress === "router") {
    const target = parseIp(headers.target)?.value;
    return local.some(({ ip }) => ip?.family === packet.family && ip.value === target);
  }
  return at(egress);
}

const ANSWERS: Readonly<Record<string, number>> = { "1 8": 0, "58 128": 129 };
const ECHO_ID = 4242;

function shotOf(packet: Packet): Omit<Shot, "number"> | undefined {
  const { family, iif, protocol, sport, dport, icmpType } = packet;
  const [source, target] = [parseIp(packet.source), parseIp(packet.target)];
  if (source === undefined || target === undefined || odd(source) || odd(target)) return undefined;
  const icmp = isIcmp(protocol);
  const known = protocol === TCP || protocol === UDP || (icmp && ANSWERS[`${protocol} ${icmpType}`] !== undefined);
  if (!known) return undefined;
  const flags = protocol === TCP ? SYN : 0;
  const ends = { source, target, protocol, sport, dport, type: icmpType, code: 0, id: icmp ? ECHO_ID : 0 };
  return { ...ends, iif, family, flags, mss: 0, hops: 64, about: undefined, parts: "whole" };
}

/** Packets beside a packet: the ports around what was claimed, and the other protocol; else a ping. */
function neighbours(packet: Packet, { question: { region } }: Claim): readonly Packet[] {
  if (packet.protocol !== TCP && packet.protocol !== UDP) return [];
  const other = packet.protocol === TCP ? UDP : TCP;
  const turned = { ...packet, protocol: other, flags: other === TCP ? "syn" : "" };
  const spans = region.dport ?? [];
  const around = spans.flatMap(([from, to]) => [from - 1, to + 1]).filter((port) => port > 0 && port < 65_536);
  const icmp = packet.family === 4 ? { protocol: ICMP, icmpType: 8 } : { protocol: ICMP6, icmpType: 128 };
  const ping = { ...packet, ...icmp, flags: "", sport: 0, dport: 0 };
  return [...around.map((dport) => ({ ...packet, dport })), turned, ping];
}

/** A packet of a claim, of people who are truly there where that can be. */
function packetOf(model: Model, { question, nicer = [] }: Claim): Packet | undefined {
  for (const narrow of [...nicer.slice(0, 2), question]) {
    const answer = ask(model, narrow);
    const found = answer.ok ? (answer.value.accepted ?? answer.value.dropped) : null;
    if (found !== null) return found.packet;
  }
  return undefined;
}

/** Some of a list, spread over all of it. */
function spread<T>(list: readonly T[], most: number): readonly T[] {
  const count = Math.min(most, list.length);
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)]!);
}

/** Packets for a contract: of what it claims in turns with their neighbours, at most eight. */
export function trialsOf(subject: ContractSubject, model: Model, contract: Contract): readonly Trial[] {
  const first = claimsOf(subject, contract).filter(({ about }) => about === "excess" || about === "missing");
  const kinds = [first.filter((claim) => claim.about === "missing"), first.filter((claim) => claim.about === "excess")];
  const claims = kinds.flatMap((list) => spread(list, CLAIMS_MAX));
  const trials = new Map<string, Trial>();
  const take = (packet: Packet): void => {
    const shot = shotOf(packet);
    const name = `${packet.iif} ${packetText(packet)}`;
    if (shot === undefined || trials.has(name)) return;
    const expected = proven(model, exactly(packet));
    if (expected !== undefined) trials.set(name, { shot, expected });
  };
  const seeds = claims.flatMap((claim) => {
    const packet = packetOf(model, claim);
    return packet === undefined ? [] : [{ packet, claim }];
  });
  for (const { packet } of seeds) take(packet);
  for (const { packet, claim } of seeds)
    for (const next of neighbours(packet, claim)) if (trials.size < TRIALS_MAX) take(next);
  return [...trials.values()].slice(0, TRIALS_MAX);
}

/** The answer to a packet that came out as `seen`; undefined where there is none, or nothing was proven of it. */
export function answerTo(model: Model, { shot, expected }: Trial, seen: Seen): Trial | undefined {
  const region = replyOf(expected);
  // What a lane says is of no flow.
  if (region === null || expected.walk.some((step) => step.text.endsWith("notrack"))) return undefined;
  const answer = proven(model, { region });
  if (answer === undefined) return undefined;
  const router = expected.egress === "router";
  const icmp = isIcmp(shot.protocol);
  return {
    expected: answer,
    shot: {
      ...shot,
      iif: router ? "" : expected.egress,
      source: parseIp(expected.headers.target)!,
      target: seen.source,
      sport: seen.dport,
      dport: seen.sport,
      flags: shot.protocol === TCP ? SYN | ACK : 0,
      type: icmp ? ANSWERS[`${shot.protocol} ${shot.type}`]! : 0,
      id: seen.id,
    },
  };
}
