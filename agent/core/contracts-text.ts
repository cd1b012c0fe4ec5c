/** What the verifier found, in sentences: the packet, its way, the rule that decides, and what of the intent it is. */

import type { Desired } from "../../schemas/desired.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Packet, Step, Witness } from "./verifier/question.ts";

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };
const PINGS: Readonly<Record<string, string>> = {
  "4 8": "ping",
  "4 0": "ping reply",
  "6 128": "ping",
  "6 129": "ping reply",
};

const bracket = (address: string): string => (address.includes(":") ? `[${address}]` : address);
const end = (address: string, port: number): string => (port === 0 ? address : `${bracket(address)}:${port}`);

export function protocolText({ family, protocol, icmpType }: Packet): string {
  const name = PROTOCOLS[protocol] ?? `protocol ${protocol}`;
  if (protocol !== (family === 4 ? 1 : 58)) return name;
  return PINGS[`${family} ${icmpType}`] ?? `${name} type ${icmpType}`;
}

/** `tcp 10.0.30.10:40000 -> 10.0.0.10:443`. */
export function packetText(packet: Packet): string {
  return `${protocolText(packet)} ${end(packet.source, packet.sport)} -> ${end(packet.target, packet.dport)}`;
}

/** "lab (lab0)": the zone or network that has an interface. */
export function placeText(intent: Intent, desired: Desired, name: string): string {
  if (name === "" || name === "router") return "the router";
  const { router } = desired;
  const zone = intent.zones.find((one) => one.router === router && one.interfaces.includes(name));
  const network = desired.links.find((link) => link.name === name)?.network;
  const id = zone?.id ?? network;
  return id === undefined ? name : `${id} (${name})`;
}

/** The way as one line: where it comes in, the chains, where it goes, what NAT makes of it. */
export function wayText(
  intent: Intent,
  desired: Desired,
  { packet, chains, egress, headers, outcome }: Witness,
): string {
  const place = (name: string): string => placeText(intent, desired, name);
  const parts = [place(packet.iif), chains.join(" > ")];
  if (outcome === "drop") parts.push(packet.oif === "" ? "dropped" : `dropped on its way to ${place(packet.oif)}`);
  else parts.push(place(egress));
  const changed: string[] = [];
  if (headers.source !== packet.source || (headers.sport !== 0 && headers.sport !== packet.sport))
    changed.push(`source becomes ${end(headers.source, headers.sport)}`);
  if (headers.target !== packet.target || (headers.dport !== 0 && headers.dport !== packet.dport))
    changed.push(`target becomes ${end(headers.target, headers.dport)}`);
  return `${parts.filter((part) => part !== "").join(" > ")}${changed.length === 0 ? "" : `, ${changed.join(" and ")}`}`;
}

/** `chain z_o_lab, rule 3: ...` with the element that matched. */
export function ruleText({ chain, rule, text, element, hook }: Step): string {
  const where = chain === "" ? hook : rule < 0 ? `chain ${chain}, its end` : `chain ${chain}, rule ${rule}`;
  return `${where}: ${text}${element === "" ? "" : ` [${element}]`}`;
}
