/** What to change so that a packet which is accepted is not: by the rule that admits it and where that comes from. */
import type { Intent, Service } from "../../schemas/intent.ts";
import { contains, covers, type Ip, parseIp, parsePrefix } from "../../schemas/ip.ts";
import { originOf } from "./contracts-origin.ts";
import type { ContractSubject } from "./contracts-sides.ts";
import type { Change } from "./edits.ts";
import type { Witness } from "./verifier/question.ts";

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmp" };

const holds = (text: string, ip: Ip): boolean => {
  const prefix = parsePrefix(text);
  const one = parseIp(text);
  if (prefix !== undefined) return prefix.family === ip.family && contains(prefix, ip);
  return one !== undefined && one.family === ip.family && one.value === ip.value;
};

/** Whether a service speaks of the packet as the policy sees it: behind a translation of its target. */
function speaksOf(service: Service, { packet, headers }: Witness): boolean {
  const target = parseIp(headers.target);
  const dport = packet.dport === 0 ? 0 : headers.dport || packet.dport;
  if (target === undefined) return false;
  if (service.addresses.length > 0 && !service.addresses.some((text) => holds(text, target))) return false;
  return service.ports.some(({ protocol, from, to }) => {
    if (protocol !== PROTOCOLS[packet.protocol]) return false;
    return protocol === "icmp" || (from <= dport && dport <= (to === 0 ? from : to));
  });
}

/** Takes those services away that admit the packet; the whole entry when none would be left, for none means all. */
function fewer(
  intent: Intent,
  list: "policies" | "profiles" | "clients",
  entry: { readonly id: string; readonly services: readonly string[] },
  witness: Witness,
): readonly Change[] {
  const known = (id: string): Service | undefined => intent.services.find((one) => one.id === id);
  const admit = entry.services.filter((id) => {
    const service = known(id);
    return service !== undefined && speaksOf(service, witness);
  });
  if (list === "policies" && admit.length === entry.services.length) {
    return [{ list, id: entry.id, field: "", op: "remove", value: null }];
  }
  return admit.map((value): Change => ({ list, id: entry.id, field: "services", op: "remove", value }));
}

const set = (id: string, field: string): Change => ({ list: "profiles", id, field, op: "set", value: false });

/** What of a profile admits the packet: its rule says which of the four kinds it is. */
function profileChanges({ intent, router }: ContractSubject, at: number, witness: Witness): readonly Change[] {
  const profile = intent.profiles[at]!;
  const { packet, egress, walk } = witness;
  const rule = [...walk].reverse().find((step) => step.chain.startsWith("p_o_"))?.text ?? witness.decided.text;
  if (rule.includes("@s_prof")) return fewer(intent, "profiles", profile, witness);
  if (rule.includes("@s_uplink")) return [set(profile.id, `internet.v${packet.family}`)];
  const zone = intent.zones.find((one) => one.router === router && one.interfaces.includes(egress))?.id;
  return profile.reach
    .filter((reach) => reach.zone === zone)
    .map((value): Change => ({ list: "profiles", id: profile.id, field: "reach", op: "remove", value }));
}

/** Changes that together close what admits a packet; empty when nothing obvious does. */
export function closing(subject: ContractSubject, witness: Witness): readonly Change[] {
  const { intent, inventory, desired } = subject;
  const origin = originOf(intent, desired, witness);
  if (origin === null) return [];
  const [, list = "", index = "0"] = /^(\w+)\[(\d+)\]$/.exec(origin.path) ?? [];
  const at = Number(index);
  if (list === "policies") return fewer(intent, list, intent.policies[at]!, witness);
  if (list === "profiles") return profileChanges(subject, at, witness);
  if (list === "port_forwards") {
    return [{ list, id: intent.port_forwards[at]!.id, field: "", op: "remove", value: null }];
  }
  const { source } = witness.packet;
  const client = inventory.clients.find((one) => one.grants.some((grant) => grant.addresses.includes(source)));
  if (client === undefined || origin.path !== "") return [];
  if (witness.walk.some((step) => step.text.includes("@s_grant"))) return fewer(intent, "clients", client, witness);
  const grant = client.grants.find((one) => one.addresses.includes(source))!;
  const dns = witness.walk.some((step) => step.text.includes("@s_dns"));
  return dns ? [set(grant.profile, `dns.v${witness.packet.family}`)] : [];
}

/** Whether an address or prefix lies in a prefix. */
export function liesIn(text: string, wide: string): boolean {
  const [inner, outer] = [parsePrefix(text), parsePrefix(wide)];
  const ip = parseIp(text);
  if (outer === undefined) return false;
  if (ip !== undefined) return ip.family === outer.family && contains(outer, ip);
  return inner !== undefined && covers(outer, inner);
}
