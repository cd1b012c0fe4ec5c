/**
 * The words of contracts: who may stand on a side, and which services have a meaning of their own there. A bare name
 * is a zone, network, client or profile, whichever there is; where two are called the same, the kind is said.
 */
import type { Intent, PortRange } from "./intent.ts";
import type { Inventory } from "./inventory.ts";
import { BITS, type Prefix, parseIp, parsePrefix } from "./ip.ts";
import { type Problem, problem } from "./problem.ts";

/** Ports of the router's own lanes, wherever the generation puts them. */
export const LANE_WORDS: readonly string[] = ["management", "rescue", "wireguard"];

/** What DHCP needs: it may pass, and need not, so it stands in `only` alone. */
export const DHCP_WORD = "dhcp";

export type NamedKind = "zone" | "network" | "client" | "profile";
const KINDS: readonly NamedKind[] = ["zone", "network", "client", "profile"];

/** One side of a contract, found in the documents. */
export type SideWord =
  | { readonly kind: "internet" | "router" }
  | { readonly kind: "address"; readonly prefix: Prefix; readonly text: string }
  | { readonly kind: NamedKind; readonly name: string };

/** Names of both documents by kind. */
export type Names = Readonly<Record<NamedKind, ReadonlySet<string>>>;

export function namesOf(intent: Intent, inventory: Inventory): Names {
  return {
    zone: new Set(intent.zones.map((zone) => zone.id)),
    network: new Set(intent.networks.map((network) => network.id)),
    client: new Set(inventory.clients.map((client) => client.id)),
    profile: new Set(intent.profiles.map((profile) => profile.id)),
  };
}

/** An address or a prefix; undefined when it is neither. */
export function prefixWord(text: string): Prefix | undefined {
  const ip = parseIp(text);
  return ip === undefined ? parsePrefix(text) : { ...ip, length: BITS[ip.family] };
}

/** What a side means. Codes intent.no_such and contract.ambiguous, at `path`. */
export function sideWord(names: Names, text: string, path: string): SideWord | Problem {
  if (text === "internet" || text === "router") return { kind: text };
  const prefix = prefixWord(text);
  if (prefix !== undefined) return { kind: "address", prefix, text };
  const space = text.indexOf(" ");
  const name = text.slice(space + 1);
  const asked = space < 0 ? KINDS : KINDS.filter((kind) => kind === text.slice(0, space));
  const found = asked.filter((kind) => names[kind].has(name));
  if (found.length === 1) return { kind: found[0]!, name };
  if (found.length === 0) {
    const what = space < 0 ? "zone, network, profile or client" : text.slice(0, space);
    return problem("intent.no_such", path, `There is no ${what} ${name}: add it, or correct the name.`);
  }
  const ways = found.map((kind) => `"${kind} ${name}"`).join(" or ");
  return problem("contract.ambiguous", path, `${name} is more than one thing: write ${ways}.`);
}

/** `tcp/443`, `udp/30000-30099`, `icmp`. */
export function portText({ protocol, from, to }: { protocol: string; from: number; to: number }): string {
  if (protocol === "icmp") return "icmp";
  return to === 0 || to === from ? `${protocol}/${from}` : `${protocol}/${from}-${to}`;
}

type Asserted = {
  readonly kind: "allow" | "deny" | "only";
  readonly from: string;
  readonly to: string;
  readonly services: readonly string[];
  readonly ports: readonly PortRange[];
  readonly v4: boolean;
  readonly v6: boolean;
};

/** The contract as people write it: `only: wan -> router: [wireguard, rescue]`. */
export function contractText({ kind, from, to, services, ports, v4, v6 }: Asserted): string {
  const all = [...services, ...ports.map(portText)];
  const what = all.length === 0 ? (kind === "only" ? ": []" : "") : `: [${all.join(", ")}]`;
  return `${kind}: ${from} -> ${to}${v4 && v6 ? "" : v4 ? " v4" : " v6"}${what}`;
}
