/** A packet that ruleset and intent treat differently, as a sentence. */
import { formatIp } from "../../schemas/ip.ts";
import { packetText, placeText, ruleText } from "./contracts-text.ts";
import type { Subject } from "./invariants-subject.ts";
import { LEVEL } from "./verifier/fields.ts";
import type { Leaf } from "./verifier/leaves.ts";
import type { Packet, Step } from "./verifier/question.ts";

export type Differing = {
  readonly hook: Step["hook"];
  readonly packet: Packet;
  readonly is: Leaf;
  readonly rule: Step; // the last of the ruleset that spoke of it
  readonly meant: Leaf;
  readonly line: string; // of the documents
};

/** "new", or "established, reply, of an older policy". */
function flowText({ state, direction, epoch, origin, protocol, flags }: Packet): string {
  const age = { none: "that no policy judged", current: "of the policy in force", stale: "of an older policy" }[epoch];
  const syn = protocol === 6 && flags !== "" ? [`flags ${flags}`] : [];
  if (state === "invalid" || state === "untracked") return [state, ...syn].join(", ");
  if (state === "new" && epoch === "none" && !origin) return ["new", ...syn].join(", ");
  return [state, direction, age, ...(origin ? ["begun by the router"] : []), ...syn].join(", ");
}

/** What becomes of it, and what is written. */
function endText({ kind, effect }: Leaf, packet: Packet): string {
  if (kind === "drop") return "drops it";
  const said = effect.sets.flatMap(([level, label]): readonly string[] => {
    if (level === LEVEL.state) return ["untracked"];
    if (level === LEVEL.epoch) return [label === 1 ? "its flow current" : "its flow not judged"];
    if (level === LEVEL.origin) return label === 1 ? ["its flow the router's own"] : [];
    if (level === LEVEL.low) return [`its flow marked ${label}`];
    if (level === LEVEL.snat) return ["another source"];
    if (level === LEVEL.dnat) return ["another target"];
    if (level === LEVEL.dport) return [`port ${label}`];
    const address = packet.family === 4 && (level === LEVEL.saddr || level === LEVEL.daddr);
    return address ? [formatIp({ family: 4, value: BigInt(label) })] : [];
  });
  if (effect.markMask >= 0) said.push("the uplink of its flow asked for");
  return said.length === 0 ? "lets it pass" : `lets it pass (${said.join(", ")})`;
}

/** Clients that have an address of the packet. */
function clientText({ inventory }: Subject, { source, target }: Packet): string {
  const named = inventory.clients.filter(({ grants }) =>
    grants.some(({ addresses }) => addresses.includes(source) || addresses.includes(target)),
  );
  return named.length === 0 ? "" : ` (client ${named.map((client) => client.id).join(", ")})`;
}

/** The packet, what the ruleset does with it and by which rule, and what the documents say, and in which line. */
export function differenceText(subject: Subject, { hook, packet, is, rule, meant, line }: Differing): string {
  const place = (name: string): string => placeText(subject.intent, subject.desired, name);
  const way = [
    packet.iif === "" ? "" : ` from ${place(packet.iif)}`,
    hook === "prerouting" || hook === "input" ? "" : ` to ${place(packet.oif)}`,
  ].join("");
  const who = clientText(subject, packet);
  const text = `${packetText(packet)}${who}${way}, ${flowText(packet)}`;
  return `${text}: in ${hook} the ruleset ${endText(is, packet)} (${ruleText(rule)}), the intent ${endText(meant, packet)} (${line}).`;
}
