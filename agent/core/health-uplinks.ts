/** What the uplinks are without us, and what of it changed between two looks. */
import type { Desired } from "../../schemas/desired.ts";
import type { UplinkChange } from "./health.ts";

/** One interface that leads out. Addresses and gateways of ours are left out: they are the plan's business. */
export type Uplink = {
  readonly name: string;
  readonly present: boolean;
  readonly carrier: boolean;
  readonly addresses: readonly string[]; // with length, sorted
  readonly gateways: readonly string[]; // of default routes: "<address>" or "direct", sorted
};

const isDefault = (to: string): boolean => to === "0.0.0.0/0" || to === "::/0";

/** Interfaces over which a generation's own default routes lead. */
export function ownUplinks(...generations: readonly (Desired | null)[]): readonly string[] {
  const routes = generations.flatMap((one) => one?.routes ?? []);
  return [...new Set(routes.filter((route) => isDefault(route.to)).map((route) => route.interface))].sort();
}

/** Addresses that some generation puts on an interface, as "<interface> <cidr>". */
function ownAddresses(generations: readonly (Desired | null)[]): ReadonlySet<string> {
  const addresses = generations.flatMap((one) => one?.addresses ?? []);
  return new Set(addresses.map((one) => `${one.interface} ${one.cidr}`));
}

const missing = (from: readonly string[], to: readonly string[]): readonly string[] =>
  from.filter((one) => !to.includes(one));

/**
 * What an uplink of the first look lost, or had replaced, by the second. `generations` are those whose own addresses
 * come and go with the trial. An address that only came is no reason for a probe to fail.
 */
export function uplinkChanges(
  before: readonly Uplink[],
  after: readonly Uplink[],
  ...generations: readonly (Desired | null)[]
): readonly UplinkChange[] {
  const own = ownAddresses(generations);
  const found: UplinkChange[] = [];
  for (const was of before) {
    const is = after.find((one) => one.name === was.name);
    const say = (text: string): void => void found.push({ uplink: was.name, text });
    if (is === undefined || (was.present && !is.present)) {
      say("went away");
      continue;
    }
    if (was.carrier !== is.carrier) say(is.carrier ? "got its carrier back" : "lost its carrier");
    for (const address of missing(was.addresses, is.addresses)) {
      if (!own.has(`${was.name} ${address}`)) say(`lost its address ${address}`);
    }
    for (const gateway of missing(was.gateways, is.gateways)) say(`lost its default route through ${gateway}`);
    for (const gateway of missing(is.gateways, was.gateways)) say(`got a default route through ${gateway}`);
  }
  return found;
}
