/**
 * What conntrack knows, flow by flow, as packets pass: states, directions, marks and NAT, from the kernel's
 * net/netfilter/nf_conntrack_*.c. A flow exists once its first packet got through; that a reply was seen stays known
 * even when a rule dropped the reply. TCP is followed as far as the test plays it: three-way handshake, data, loose
 * pick-up (nf_conntrack_tcp_loose is 1), resets.
 */

import { ACK, type Ends, FIN, ICMP, ICMP6, isError, RST, type Shot, SYN, TCP, UDP } from "../../client/replay/wire.ts";
import { formatIp } from "../../schemas/ip.ts";
import type { Ct } from "./regs.ts";

/** One flow: its packets as they came (original), and what an answer looks like before it is translated back. */
export type Flow = {
  readonly original: Ends;
  readonly reply: Ends;
  mark: number;
  readonly dnat: boolean;
  readonly snat: boolean;
  answered: boolean;
  tcp: TcpState;
  /** Where its first packet came from and went: "" is the router. For whoever wants to answer. */
  readonly iif: string;
  readonly oif: string;
};

/** Names of net/netfilter/nf_conntrack_proto_tcp.c. */
type TcpState = "none" | "ss" | "sr" | "es" | "fw" | "cw" | "la" | "tw" | "cl" | "s2" | "ig" | "iv";

const ORDER = ["none", "ss", "sr", "es", "fw", "cw", "la", "tw", "cl", "s2"] as const;
const row = (text: string): readonly TcpState[] => text.split(" ") as TcpState[];
type Kind = "syn" | "synack" | "fin" | "ack" | "rst" | "none";

/** tcp_conntracks[dir][flag][state], states in ORDER. */
const TCP_TABLE: Readonly<Record<Ct["direction"], Readonly<Record<Kind, readonly TcpState[]>>>> = {
  original: {
    syn: row("ss ss ig ig ig ig ig ss ss s2"),
    synack: row("iv iv sr iv iv iv iv iv iv sr"),
    fin: row("iv iv fw fw la la la tw cl iv"),
    ack: row("es iv es es cw cw tw tw cl iv"),
    rst: row("iv cl cl cl cl cl cl cl cl cl"),
    none: row("iv iv iv iv iv iv iv iv iv iv"),
  },
  reply: {
    syn: row("iv s2 iv iv iv iv iv ss iv s2"),
    synack: row("iv sr ig ig ig ig ig ig ig sr"),
    fin: row("iv iv fw fw la la la tw cl iv"),
    ack: row("iv ig sr es cw cw tw tw cl ig"),
    rst: row("iv cl cl cl cl cl cl cl cl cl"),
    none: row("iv iv iv iv iv iv iv iv iv iv"),
  },
};

/** Sets of flags that tcp_error() lets pass; all else is invalid. */
const VALID_FLAGS: readonly number[] = [SYN, SYN | ACK, RST, RST | ACK, FIN | ACK, ACK];

function kindOf(flags: number): Kind {
  if (flags & RST) return "rst";
  if (flags & SYN) return flags & ACK ? "synack" : "syn";
  if (flags & FIN) return "fin";
  return flags & ACK ? "ack" : "none";
}

/** ICMP that begins a flow, and what answers it; by protocol. */
const QUERIES: Readonly<Record<number, Readonly<Record<number, number>>>> = {
  [ICMP]: { 8: 0, 13: 14, 15: 16, 17: 18 },
  [ICMP6]: { 128: 129, 139: 140 },
};
/** Neighbour discovery and group membership are no flows (icmpv6: noct_valid_new). */
const NO_FLOW6: readonly number[] = [130, 131, 132, 133, 134, 135, 136, 143];

const text = (ends: Ends): string => {
  const { source, target, protocol, sport, dport, type, code, id } = ends;
  return `${protocol} ${formatIp(source)} ${sport} ${formatIp(target)} ${dport} ${type} ${code} ${id}`;
};

const isIcmp = (protocol: number): boolean => protocol === ICMP || protocol === ICMP6;

/** Packets that answer these; undefined when nothing does. */
export function answerTo(ends: Ends): Ends | undefined {
  const { source, target, sport, dport } = ends;
  const turned = { ...ends, source: target, target: source, sport: dport, dport: sport };
  if (!isIcmp(ends.protocol)) return turned;
  const queries = Object.entries(QUERIES[ends.protocol]!).map(([ask, answer]) => [Number(ask), answer] as const);
  const answer = queries.find(([ask]) => ask === ends.type)?.[1] ?? queries.find(([, one]) => one === ends.type)?.[0];
  return answer === undefined ? undefined : { ...turned, type: answer };
}

/** What conntrack says of a packet, were it tracked, and what its flow's NAT makes of it. */
export type View = {
  readonly ct: Ct;
  readonly flow: Flow | undefined;
  /** The flow's own translation, if it has one: applied where NAT hooks stand. */
  readonly toTarget: Pick<Ends, "target" | "dport" | "id"> | undefined;
  readonly toSource: Pick<Ends, "source" | "sport" | "id"> | undefined;
  /** What conntrack remembers of the packet before any rule has spoken; to be called when it was asked at all. */
  readonly remember: () => void;
};

const nothing = (): void => {};

const alone = (state: "new" | "invalid" | "untracked", shot: Ends): View => ({
  ct: { state, direction: "original", mark: 0, dnat: false, originalTarget: shot.target.value },
  flow: undefined,
  toTarget: undefined,
  toSource: undefined,
  remember: nothing,
});

export class Conntrack {
  readonly #flows = new Map<string, { readonly flow: Flow; readonly direction: Ct["direction"] }>();
  readonly flows: Flow[] = [];

  /** Looks a packet up; nothing changes until remember() is called. */
  view(shot: Shot): View {
    if (isError(shot.protocol, shot.type)) return this.#error(shot);
    if (shot.protocol === ICMP6 && NO_FLOW6.includes(shot.type)) return alone("untracked", shot);
    if (shot.protocol === TCP && !VALID_FLAGS.includes(shot.flags)) return alone("invalid", shot);
    const found = this.#flows.get(text(key(shot)));
    if (found === undefined) return alone(this.#begins(shot) ? "new" : "invalid", shot);
    const { flow, direction } = found;
    const answered = flow.answered || direction === "reply";
    const next =
      shot.protocol === TCP
        ? TCP_TABLE[direction][kindOf(shot.flags)][ORDER.indexOf(flow.tcp as (typeof ORDER)[number])]!
        : "none";
    if (next === "ss" && (flow.tcp === "tw" || flow.tcp === "cl")) {
      return { ...alone("new", shot), remember: () => this.#forget(flow) }; // opened anew
    }
    // An invalid packet leaves nothing behind. A reset of what nobody has answered yet ends the flow at once.
    if (next === "iv") return alone("invalid", shot);
    const remember = (): void => {
      if (shot.flags & RST && !flow.answered) this.#forget(flow);
      flow.answered = answered;
      if (next !== "ig") flow.tcp = next;
    };
    return { ...this.#ofFlow(flow, direction, answered ? "established" : "new", shot), remember };
  }

  #ofFlow(flow: Flow, direction: Ct["direction"], state: Ct["state"], { protocol }: Ends): View {
    const [here, there] = direction === "original" ? [flow.original, flow.reply] : [flow.reply, flow.original];
    const [forTarget, forSource] = direction === "original" ? [flow.dnat, flow.snat] : [flow.snat, flow.dnat];
    const id = isIcmp(protocol) ? there.id : here.id;
    return {
      ct: { state, direction, mark: flow.mark, dnat: flow.dnat, originalTarget: flow.original.target.value },
      flow,
      toTarget: forTarget ? { target: there.source, dport: there.sport, id } : undefined,
      toSource: forSource ? { source: there.target, sport: there.dport, id } : undefined,
      remember: nothing,
    };
  }

  /** An error belongs to the flow of the packet inside, when it comes to the address that this packet came from. */
  #error(shot: Shot): View {
    const { about } = shot;
    const inverted = about === undefined ? undefined : answerTo(about);
    const found = inverted === undefined ? undefined : this.#flows.get(text(key(inverted)));
    if (found === undefined) return alone("invalid", shot);
    const { flow, direction } = found;
    const here = direction === "original" ? flow.original : flow.reply;
    if (here.target.value !== shot.target.value) return alone("invalid", shot);
    return this.#ofFlow(flow, direction, "related", shot);
  }

  #begins({ protocol, type, flags }: Shot): boolean {
    if (isIcmp(protocol)) return QUERIES[protocol]![type] !== undefined;
    return protocol !== TCP || TCP_TABLE.original[kindOf(flags)][0] !== "iv";
  }

  /** Whether a flow's answers would be another flow's packets. */
  clashes(reply: Ends): boolean {
    return this.#flows.has(text(key(reply)));
  }

  /** Whether an earlier flow came from the same address and port: its mapping is used again (find_appropriate_src). */
  mapped(original: Ends): boolean {
    const same = (flow: Flow): boolean =>
      flow.snat &&
      flow.original.protocol === original.protocol &&
      formatIp(flow.original.source) === formatIp(original.source) &&
      flow.original.sport === original.sport &&
      flow.original.id === original.id;
    return this.flows.some(same);
  }

  /** A first packet got through: it left, or was taken in, with these ends. */
  confirm(shot: Shot, out: Ends, oif: string, mark: number, dnat: boolean): void {
    const reply = answerTo(key(out));
    if (reply === undefined) throw new Error("a flow that nothing answers was confirmed");
    const snat = formatIp(out.source) !== formatIp(shot.source) || out.sport !== shot.sport || out.id !== shot.id;
    const tcp = shot.protocol === TCP ? TCP_TABLE.original[kindOf(shot.flags)][0]! : "none";
    const flow: Flow = { original: key(shot), reply, mark, dnat, snat, answered: false, tcp, iif: shot.iif, oif };
    this.flows.push(flow);
    this.#flows.set(text(flow.original), { flow, direction: "original" });
    this.#flows.set(text(flow.reply), { flow, direction: "reply" });
  }

  #forget(flow: Flow): void {
    this.#flows.delete(text(flow.original));
    this.#flows.delete(text(flow.reply));
    this.flows.splice(this.flows.indexOf(flow), 1);
  }
}

/** The ends alone, ports and identifiers only where the protocol has them. */
function key({ source, target, protocol, sport, dport, type, code, id }: Ends): Ends {
  const ports = protocol === TCP || protocol === UDP;
  const icmp = isIcmp(protocol);
  return {
    source,
    target,
    protocol,
    sport: ports ? sport : 0,
    dport: ports ? dport : 0,
    type: icmp ? type : 0,
    code: icmp ? code : 0,
    id: icmp ? id : 0,
  };
}
