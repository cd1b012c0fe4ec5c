/**
 * Whether a rule of somebody else's ruleset applies to a lane's packets: small, exact, named cases over what
 * `nft -j` prints. Whatever is not among them may apply.
 */
import { contains, parseIp, parsePrefix } from "../../schemas/ip.ts";
import type { LanePacket } from "./outside-lanes.ts";

/** Provably not, provably, or nobody can tell. */
export type Applies = "no" | "yes" | "maybe";

/** Where the packet is met. */
export type Meeting = {
  readonly packet: LanePacket;
  readonly way: "in" | "out";
  readonly interfaces: readonly string[];
  /** Our chains have said by now that the packet is not tracked. */
  readonly untracked: boolean;
};

type Json = unknown;
type Fields = Readonly<Record<string, Json>>;

/** An object of a listing; undefined for everything else. */
export const fieldsOf = (value: Json): Fields | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;

const not: Readonly<Record<Applies, Applies>> = { no: "yes", yes: "no", maybe: "maybe" };
const sure = (truth: boolean): Applies => (truth ? "yes" : "no");

/** Answers for one value that the rule compares with. */
type Test = (value: Json) => Applies;

const L4: Readonly<Record<string, number>> = { tcp: 6, udp: 17 };
/** Protocols whose fields imply that the packet is one of them. */
const OTHERS = ["tcp", "udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "esp", "ah", "comp"];

const protocolTest =
  ({ packet }: Meeting): Test =>
  (value) =>
    value === packet.protocol || value === L4[packet.protocol]
      ? "yes"
      : typeof value === "number" || typeof value === "string"
        ? "no"
        : "maybe";

const numberTest =
  (wanted: number): Test =>
  (value) => {
    const range = fieldsOf(value)?.range;
    if (typeof value === "number") return sure(value === wanted);
    if (!Array.isArray(range) || typeof range[0] !== "number" || typeof range[1] !== "number") return "maybe";
    return sure(wanted >= range[0] && wanted <= range[1]);
  };

/** Addresses of our side; a lane on every local address may have any. */
const addressTest =
  ({ packet }: Meeting): Test =>
  (value) => {
    const ours = parseIp(packet.address);
    if (ours === undefined) return "maybe";
    const prefix = fieldsOf(fieldsOf(value)?.prefix);
    const text = prefix === undefined ? value : `${prefix.addr}/${prefix.len}`;
    if (typeof text !== "string") return "maybe";
    const other = parsePrefix(text.includes("/") ? text : `${text}/${ours.family === 4 ? 32 : 128}`);
    return other === undefined ? "maybe" : sure(contains(other, ours));
  };

/** A lane may use any interface that the generation knows, so an interface only ever excludes. */
const interfaceTest =
  ({ interfaces }: Meeting): Test =>
  (value) => {
    if (typeof value !== "string") return "maybe";
    const start = value.endsWith("*") ? value.slice(0, -1) : undefined;
    const hit = interfaces.some((name) => (start === undefined ? name === value : name.startsWith(start)));
    return hit ? "maybe" : "no";
  };

const wordTest =
  (right: string, known: boolean): Test =>
  (value) =>
    !known || typeof value !== "string" ? "maybe" : sure(value === right);

const unknown: Test = () => "maybe";

function payloadTest(meeting: Meeting, protocol: Json, field: Json): Test | "no" {
  const { packet, way } = meeting;
  if (typeof protocol !== "string") return unknown;
  if (OTHERS.includes(protocol) && protocol !== packet.protocol) return "no";
  if (protocol === "arp" || (protocol === "ip" && packet.family === 6) || (protocol === "ip6" && packet.family === 4)) {
    return "no";
  }
  const [port, address] = way === "in" ? ["dport", "daddr"] : ["sport", "saddr"];
  if (field === port) return numberTest(packet.port);
  if ((protocol === "ip" || protocol === "ip6") && field === address) return addressTest(meeting);
  if (protocol === "ip" && field === "protocol") return protocolTest(meeting);
  if (protocol === "ip6" && field === "nexthdr") return protocolTest(meeting);
  return unknown;
}

function metaTest(meeting: Meeting, key: Json): Test {
  const { packet, way } = meeting;
  switch (key) {
    case "iifname":
    case "iif":
      return way === "in" ? interfaceTest(meeting) : unknown;
    case "oifname":
    case "oif":
      return way === "out" ? interfaceTest(meeting) : unknown;
    case "l4proto":
      return protocolTest(meeting);
    case "nfproto":
      return wordTest(packet.family === 4 ? "ipv4" : "ipv6", true);
    case "protocol":
      return wordTest(packet.family === 4 ? "ip" : "ip6", true);
    case "pkttype": // a lane's packets are for one receiver
      return way === "in" ? (value) => (value === "broadcast" || value === "multicast" ? "no" : "maybe") : unknown;
    default:
      return unknown;
  }
}

/** The test that the left side of a comparison stands for; "no" when it cannot apply to the packet at all. */
function testOf(meeting: Meeting, left: Json): Test | "no" {
  const fields = fieldsOf(left) ?? {};
  const [payload, meta, ct, fib] = [fields.payload, fields.meta, fields.ct, fields.fib].map(fieldsOf);
  if (payload !== undefined) return payloadTest(meeting, payload.protocol, payload.field);
  if (meta !== undefined) return metaTest(meeting, meta.key);
  if (ct !== undefined) return ct.key === "state" ? wordTest("untracked", meeting.untracked) : unknown;
  if (fib !== undefined) {
    const plain =
      fib.result === "type" && JSON.stringify(fib.flags) === JSON.stringify([meeting.way === "in" ? "daddr" : "saddr"]);
    return wordTest("local", plain);
  }
  if (!Array.isArray(fields.concat)) return unknown;
  const parts = fields.concat.map((part) => testOf(meeting, part));
  if (parts.includes("no")) return "no";
  return (value) => {
    const values = fieldsOf(value)?.concat;
    if (!Array.isArray(values) || values.length !== parts.length) return "maybe";
    return every(parts.map((part, i) => (part === "no" ? "no" : part(values[i]))));
  };
}

/** All of them apply. */
export function every(answers: readonly Applies[]): Applies {
  if (answers.includes("no")) return "no";
  return answers.includes("maybe") ? "maybe" : "yes";
}

/** At least one applies. */
function some(answers: readonly Applies[]): Applies {
  if (answers.includes("yes")) return "yes";
  return answers.includes("maybe") ? "maybe" : "no";
}

/** Values of the right side; undefined for a named set, whose elements are not looked at. */
function valuesOf(right: Json): readonly Json[] | undefined {
  if (typeof right === "string" && right.startsWith("@")) return undefined;
  const set = fieldsOf(right)?.set ?? right;
  const values = Array.isArray(set) ? set : [set];
  // An element with a comment, a counter or a timeout wraps its value.
  return values.map((value) => fieldsOf(fieldsOf(value)?.elem)?.val ?? value);
}

/** A `match` statement. */
export function matchApplies(meeting: Meeting, match: Json): Applies {
  const { op, left, right } = fieldsOf(match) ?? {};
  const test = testOf(meeting, left);
  if (test === "no") return "no";
  const values = valuesOf(right);
  if (values === undefined) return "maybe";
  const hit = some(values.map(test));
  if (op === "==" || op === "in") return hit;
  return op === "!=" ? not[hit] : "maybe";
}

/** One element of a `vmap`, by its key. */
export function keyApplies(meeting: Meeting, left: Json, key: Json): Applies {
  const test = testOf(meeting, left);
  return test === "no" ? "no" : some((valuesOf(key) ?? []).map(test));
}
