/** Where a rule comes from in the documents: rules carry the names of their intent in their sets and chains. */
import type { Desired } from "../../schemas/desired.ts";
import type { Intent } from "../../schemas/intent.ts";
import type { Witness } from "./verifier/question.ts";

/** A part of the documents that a rule comes from: its path in them, "" where it is none of them; and its name. */
export type Origin = { readonly path: string; readonly name: string };

/** A rule as it stands in the table, and the element that it found: "" for none, or any. */
export type Ruled = { readonly chain: string; readonly text: string; readonly element: string };

/** An id as the names of chains and sets spell it. */
export const wordOf = (id: string): string => id.replaceAll("-", "_");

function find(
  list: readonly { readonly id: string }[],
  key: string,
  what: string,
  is: (id: string) => boolean,
): Origin | null {
  const at = list.findIndex(({ id }) => is(id));
  return at < 0 ? null : { path: `${key}[${at}]`, name: `${what} ${list[at]!.id}` };
}

function forwardOrigin({ port_forwards }: Intent, element: string): Origin | null {
  if (element === "") {
    return port_forwards.length === 0 ? null : { path: "port_forwards", name: "the port-forwards" };
  }
  const [target = "", original = "", , port = "0"] = element.split(" . ");
  const at = port_forwards.findIndex(
    (one) =>
      one.address === original &&
      one.to_address === target &&
      Number(port) >= one.to_port &&
      Number(port) < one.to_port + one.count,
  );
  return at < 0 ? null : { path: `port_forwards[${at}]`, name: `port-forward ${port_forwards[at]!.id}` };
}

/** A policy without services has no set of its own: it is the one between the two places. */
function policyBetween(intent: Intent, desired: Desired, { chain, text }: Ruled): Origin | null {
  const [, kind = "", from = ""] = /^z_([oirq])_(\w+)$/.exec(chain) ?? [];
  if (kind === "" || !text.endsWith("goto c_stamp")) return null;
  // The mirror of a rule, which judges its answers, has the other interface.
  const named = new RegExp(`^${kind === "r" ? "iif" : "oif"}name (?:\\{ )?"([^"]+)"`).exec(text)?.[1];
  const toRouter = kind === "i" || kind === "q";
  if (toRouter ? !/^meta nfproto \S+ goto/.test(text) : named === undefined) return null;
  const zone = intent.zones.find((one) => one.router === desired.router && one.interfaces.includes(named ?? ""))?.id;
  const to = toRouter ? "router" : (zone ?? desired.links.find((link) => link.name === named)?.network);
  const six = /\bip6 |nfproto ipv6/.test(text);
  const at = intent.policies.findIndex(
    (one) => wordOf(one.from) === from && one.to === to && one.services.length === 0 && (six ? one.v6 : one.v4),
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

/**
 * The policy, profile, port-forward or lane that a rule is of, when its text says so; for a drop why it is one. Null
 * for the rules that every generation has.
 */
export function ruleOrigin(intent: Intent, desired: Desired, rule: Ruled): Origin | null {
  const { chain, text, element } = rule;
  const counter = /counter name (c_\w+) drop/.exec(text)?.[1];
  if (counter !== undefined) return DROPS[counter] === undefined ? null : { path: "", name: DROPS[counter] };
  const set = /@s_(pol|prof)(?:ping)?[46]_(\w+)/.exec(text);
  if (set?.[1] === "pol") return find(intent.policies, "policies", "policy", (id) => wordOf(id) === set[2]);
  const profile = /^p_[or]_(\w+)$/.exec(chain)?.[1] ?? (set?.[1] === "prof" ? set[2] : undefined);
  if (profile !== undefined) return find(intent.profiles, "profiles", "profile", (id) => wordOf(id) === profile);
  if (text.includes("@s_pf4")) return forwardOrigin(intent, element);
  if (text.includes("@s_grant")) return { path: "", name: "the services of the client itself" };
  if (text.includes("@s_dns")) return { path: "", name: "the dns of its network" };
  const lane = desired.lanes.find((one) => text.includes(`counter name ${one.counter} `));
  if (lane !== undefined) return { path: "", name: `lane ${lane.name}` };
  return policyBetween(intent, desired, rule);
}

/** Where a decision comes from; null when its rule does not say it plainly. */
export function originOf(intent: Intent, desired: Desired, { decided, walk, outcome }: Witness): Origin | null {
  if (outcome === "drop") {
    if (decided.hook === "route") return { path: "", name: "no route leads there" };
    return / drop$/.test(decided.text) ? ruleOrigin(intent, desired, decided) : null;
  }
  const step =
    [...walk].reverse().find((one) => /^[zp]_/.test(one.chain) && one.rule >= 0 && one.verdict !== "") ?? decided;
  return ruleOrigin(intent, desired, step);
}
