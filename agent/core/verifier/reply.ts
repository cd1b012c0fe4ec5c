/** The answer to a packet that was let through: a service that nobody hears back from is not reachable. */
import type { Region, Witness } from "./question.ts";
import { PROTOCOL } from "./words.ts";

const ECHO: Readonly<Record<string, number>> = { "1/8": 0, "58/128": 129 };

/**
 * The packets that answer an accepted witness: the other way, as the policy sees them, with what NAT did undone. What
 * ended in the router is answered by the router. Null for packets that nobody answers as a reply (ICMP but echo).
 */
export function replyOf({ packet, headers, egress, outcome }: Witness): Region | null {
  if (outcome !== "accept") return null;
  const { family, protocol, icmpType } = packet;
  const icmp = protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6;
  const echo = ECHO[`${protocol}/${icmpType}`];
  if (icmp && echo === undefined) return null;
  const ports = protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp;
  const dnat = headers.target !== packet.target;
  const snat = headers.source !== packet.source;
  const way = egress === "router" ? ({ way: "leaving" } as const) : ({ way: "arriving", iif: [egress] } as const);
  return {
    ...way,
    flow: "reply",
    family,
    oif: [packet.iif],
    source: { in: [headers.target] },
    target: { in: [packet.source] },
    protocol: [protocol],
    ...(ports ? { sport: [[headers.dport, headers.dport]], dport: [[packet.sport, packet.sport]] } : {}),
    ...(echo === undefined ? {} : { icmpType: [echo] }),
    dnat,
    snat,
    ...(dnat ? { original: { in: [packet.target] } } : {}),
  };
}
