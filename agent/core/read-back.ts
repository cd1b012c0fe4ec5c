/** Whether the kernel holds a generation, and in words what differs when it does not. */
import type { Desired } from "../../schemas/desired.ts";
import { type Problem, problem } from "../../schemas/problem.ts";
import { type Difference, desiredState, diffStates, observedState } from "./diff.ts";
import { routeLine, ruleLine } from "./lines.ts";
import { normalListing } from "./nft-listing.ts";
import { type OwnScope, scopeOf } from "./normal.ts";
import type { Observed } from "./observed.ts";
import type { Plan, Step } from "./step.ts";

/** Objects that may still be there because they go only after the confirm. Keys are "kind id". */
export type Surplus = ReadonlySet<string>;

export const NO_SURPLUS: Surplus = new Set();

const surplusKeys = (step: Step): readonly string[] => {
  switch (step.kind) {
    case "link.remove":
      return [`link ${step.name}`];
    case "wg.remove":
      return step.publicKeys.map((key) => `peer ${step.name} ${key}`);
    case "address.remove":
      return [`address ${step.address.interface} ${step.address.cidr}`];
    case "route.remove":
      return [`route ${routeLine(step.route)}`];
    case "rule.remove":
      return [`rule ${ruleLine(step.rule)}`];
    case "sysctl.set":
      return [`sysctl ${step.key}`];
    default:
      return [];
  }
};

/** What a trial of this plan leaves in the kernel beyond the new generation. */
export function surplusOf(plan: Pick<Plan, "afterConfirm">): Surplus {
  return new Set(plan.afterConfirm.flatMap(surplusKeys));
}

function differenceKey(difference: Difference): string {
  if (difference.kind === "route" && difference.from !== null) return `route ${routeLine(difference.from)}`;
  return `${difference.kind} ${difference.id}`;
}

type Fields = readonly (readonly [string, string | number | boolean, string | number | boolean])[];

/** "port is 1, not 2; mtu is 1400, not 1420" */
const fieldText = (fields: Fields): string =>
  fields
    .filter(([, is, wanted]) => is !== wanted)
    .map(([name, is, wanted]) => `${name} is ${is === "" ? "none" : is}, not ${wanted === "" ? "none" : wanted}`)
    .join("; ");

/** What differs, seen against wanted. */
function detailOf(difference: Difference): string {
  const { from, to } = difference;
  if (from === null) return "is missing";
  if (to === null) return "must not be there";
  switch (difference.kind) {
    case "sysctl":
      return fieldText([["value", difference.from!.value, difference.to!.value]]);
    case "link": {
      const [is, wanted] = [difference.from!, difference.to!];
      return fieldText([
        ["state", is.up ? "up" : "down", wanted.up ? "up" : "down"],
        ["mtu", is.mtu, wanted.mtu],
        ["port", is.port, wanted.port],
        ["fwmark", is.fwmark, wanted.fwmark],
        ["public key", is.publicKey, wanted.publicKey],
      ]);
    }
    case "peer": {
      const [is, wanted] = [difference.from!, difference.to!];
      return fieldText([
        ["preshared key", is.psk, wanted.psk],
        ["allowed addresses", is.allowedIps.join(","), wanted.allowedIps.join(",")],
        ["keepalive", is.keepaliveS, wanted.keepaliveS],
      ]);
    }
    case "route":
      return fieldText([["route", routeLine(difference.from!), routeLine(difference.to!)]]);
    default:
      return `is ${JSON.stringify(from)}, not ${JSON.stringify(to)}`;
  }
}

/** The first fact of a sorted listing that one side lacks. */
function firstListingDifference(seen: string, wanted: string): string {
  const [is, should] = [seen.split("\n"), wanted.split("\n")];
  for (let i = 0; i < Math.max(is.length, should.length); i += 1) {
    const [a, b] = [is[i], should[i]];
    if (a === b) continue;
    // Both are sorted: the smaller line is the one that the other side does not have.
    if (b === undefined || (a !== undefined && a < b)) return `has ${JSON.stringify(a)}, which is not in the artifact`;
    return `lacks ${JSON.stringify(b)}`;
  }
  return "";
}

/**
 * Every way in which the kernel is not `desired`, apart from the surplus. `listing` is the rehearsal of the
 * generation's ruleset under the epoch in force. `scope` also covers what earlier generations owned.
 */
export function readBack(
  desired: Desired,
  surplus: Surplus,
  observed: Observed,
  listing: string,
  scope: OwnScope = scopeOf(desired),
): readonly Problem[] {
  const lost = diffStates(observedState(observed, scope), desiredState(desired)).filter((difference) => {
    if (difference.to !== null) return true;
    // Original values of given-up sysctls are the script's to judge.
    return difference.kind !== "sysctl" && !surplus.has(differenceKey(difference));
  });
  const found = lost.map((difference) =>
    problem("apply.read_back", `${difference.kind} ${difference.id}`, detailOf(difference)),
  );
  const [seen, wanted] = [normalListing(observed.nft), normalListing(listing)];
  if (seen !== wanted) {
    const detail = observed.nft === "" ? "is missing" : firstListingDifference(seen, wanted);
    found.push(problem("apply.read_back", "nft table inet holdfast", detail));
  }
  return found;
}
