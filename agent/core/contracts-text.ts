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

const wordOf = (id: string): string => id.replaceAll("-", "_");

/** A part of the documents that a rule comes from: its path in them, and its name. */
export type Origin = { readonly path: string; readonly name: string };

/**
 * Where a decision comes from, when the rule says it plainly: a policy, profile, service of a client, port-forward or
 * lane. Rules carry the names of their intent in their sets and chains; null when this one does not.
 */
export function originOf(intent: Intent, desired: Desired, witness: Witness): Origin | null {
  const { decided, walk, outcome } = witness;
  if (outcome === "drop") return dropOrigin(decided);
  const step =
    [...walk].reverse().find((one) => /^[zp]_/.test(one.chain) && one.rule >= 0 && one.verdict !== "") ?? decided;
  const find = (
    list: readonly { readonly id: string }[],
    key: string,
    what: string,
    is: (id: string) => boolean,
  ): Origin | null => {
    const at = list.findIndex(({ id }) => is(id));
    return at < 0 ? null : { path: `${key}[${at}]`, name: `${what} ${list[at]!.id}` };
  };
  const set = /@s_(pol|prof)(?:ping)?[46]_(\w+)/.exec(step.text);
  if (set?.[1] === "pol") return find(intent.policies, "policies", "policy", (id) => wordOf(id) === set[2]);
  const profile = /^p_[or]_(\w+)$/.exec(step.chain)?.[1] ?? (set?.[1] === "prof" ? set[2] : undefined);
  if (profile !== undefined) return find(intent.profiles, "profiles", "profile", (id) => wordOf(id) === profile);
  if (step.text.includes("@s_pf4")) {
    const [target = "", original = "", , port = "0"] = step.element.split(" . ");
    const at = intent.port_forwards.findIndex(
      (one) =>
        one.address === original &&
        one.to_address === target &&
        Number(port) >= one.to_port &&
        Number(port) < one.to_port + one.count,
    );
    return at < 0 ? null : { path: `port_forwards[${at}]`, name: `port-forward ${intent.port_forwards[at]!.id}` };
  }
  if (step.text.includes("@s_grant")) return { path: "", name: "the services of the client itself" };
  if (step.text.includes("@s_dns")) return { path: "", name: "the dns of its network" };
  const lane = desired.lanes.find((one) => step.text.includes(`counter name ${one.counter} `));
  if (lane !== undefined) return { path: "", name: `lane ${lane.name}` };
  return policyBetween(intent, desired, witness, step);
}

/** A policy without services has no set of its own: it is the one between the two places. */
function policyBetween(intent: Intent, desired: Desired, { packet, egress }: Witness, step: Step): Origin | null {
  const from = /^z_[oi]_(\w+)$/.exec(step.chain)?.[1];
  if (from === undefined) return null;
  const place = intent.zones.find((zone) => zone.router === desired.router && zone.interfaces.includes(egress))?.id;
  const to = egress === "router" ? "router" : (place ?? desired.links.find((link) => link.name === egress)?.network);
  const at = intent.policies.findIndex(
    (one) =>
      wordOf(one.from) === from &&
      one.to === to &&
      one.services.length === 0 &&
      (packet.family === 4 ? one.v4 : one.v6),
  );
  return at < 0 ? null : { path: `policies[${at}]`, name: `policy ${intent.policies[at]!.id}` };
}

const DROPS: Readonly<Record<string, string>> = {
  c_client: "clients never reach clients",
  c_drop_forward: "nothing allows it",
  c_drop_input: "nothing allows it",
  c_isolated: "experiments are isolated",
  c_lane_denied: "the port is a lane's, and this is no way to it",
  c_leak: "an inside address never leaves as it is",
  c_local_source: "it wears an address of the router",
  c_martian: "no host has such an address",
  c_spoof: "its source does not belong to where it comes from",
};

function dropOrigin({ text, hook }: Step): Origin | null {
  const counter = /counter name (c_\w+) drop/.exec(text)?.[1];
  const name = counter === undefined ? undefined : DROPS[counter];
  if (name !== undefined) return { path: "", name };
  return hook === "route" ? { path: "", name: "no route leads there" } : null;
}
