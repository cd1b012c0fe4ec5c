/** Which promise a mutant touches: by what it changes, and by the packet that shows the change. */
import type { Subject } from "../../agent/core/invariants.ts";
import { placesOf } from "../../agent/core/invariants-subject.ts";
import type { Difference } from "../../agent/core/verifier/question.ts";
import type { Mutant } from "./mutant.ts";

export const AREAS = ["lanes", "management", "isolation", "spoof", "state", "nat", "clients", "zones"] as const;
export type Area = (typeof AREAS)[number];

/** The first that fits the place or the rule. */
const BY_TEXT: readonly (readonly [Area, RegExp])[] = [
  ["management", /@?s_manage|c_lane_api|c_lane_rescue_api|^z_lane_tcp/],
  ["lanes", /s_lane_|^z_lane_|c_lane_|_raw\b|@s_zone\b|^s_zone/],
  ["isolation", /c_isolated|c_client\b|s_lab\b|s_lab_out|s_tunnel counter|!= @s_known/],
  ["spoof", /c_spoof|c_martian|c_local_source|s_src[46]|s_lan[46]|s_inside|s_guarded|s_walled|s_tunnel|s_dhcp/],
  ["nat", /masquerade|dnat|snat|m_pf4|s_pf4|s_masq|s_leak|c_leak|m_uplink|mark set ct mark/],
  ["state", /ct state|ct mark|ct direction|c_reply|c_stale|c_related|c_invalid|c_not_syn|^c_stamp/],
  ["clients", /^p_|m_prof|s_prof|s_grant|s_dns/],
];

/** Whether the packet leads from an experiment into production, or between tunnels. */
function crosses(subject: Subject, { packet: { iif, oif } }: Difference): boolean {
  const places = placesOf(subject);
  const at = (name: string) => places.find((place) => place.interfaces.includes(name));
  const [from, to] = [at(iif), at(oif)];
  if (from === undefined || to === undefined) return false;
  if (from.kind === "network" && to.kind === "network") return true;
  return from.experimental && !to.experimental && to.kind !== "uplink";
}

export function areaOf(subject: Subject, mutant: Mutant, difference: Difference): Area {
  const text = `${mutant.where} ${mutant.rule}`;
  const named = BY_TEXT.find(([, pattern]) => pattern.test(mutant.where) || pattern.test(mutant.rule))?.[0];
  const opened = difference.b.verdict !== "drop" && difference.packet.direction === "original";
  if (named !== "lanes" && named !== "management" && opened && crosses(subject, difference)) return "isolation";
  return named ?? (/^b_/.test(text) ? "state" : "zones");
}
