/** What an oracle is asked and what it answers: `Decide` is all that the campaign knows of an oracle. */

import { type Ends, ICMP, ICMP6, type Shot } from "../../client/replay/wire.ts";
import type { NftTable } from "../../schemas/desired.ts";
import { formatIp, type Ip } from "../../schemas/ip.ts";
import type { Conntrack, View } from "./conntrack.ts";
import type { Routes } from "./routes.ts";
import type { Site } from "./sites.ts";

/** A router with the ruleset in force. */
export type Place = {
  readonly site: Site;
  readonly table: NftTable;
  readonly epoch: number;
  readonly routes: Routes;
};

/** A packet that is about to be put in, and what conntrack will say of it unless a rule takes it from conntrack. */
export type Moment = { readonly shot: Shot; readonly view: View; readonly flows: Conntrack };

/** Headers with which a packet comes out. Where NAT may choose, all that it may choose. */
export type Out = Omit<Ends, "source" | "sport" | "id"> & {
  readonly sources: readonly Ip[];
  readonly sports: readonly [number, number];
  readonly ids: readonly [number, number];
  /** The packet inside an error, when the oracle says how it comes out. */
  readonly about?: Ends;
};

export type Fate =
  | { readonly kind: "forwarded"; readonly interface: string; readonly out: Out; readonly mss?: number }
  | { readonly kind: "delivered"; readonly out: Out }
  | { readonly kind: "dropped" };

/**
 * The fates that an oracle holds possible: one, or more where the ruleset leaves it to time (a rate limit) or to
 * the kernel's choice. The kernel must do one of them.
 */
export type Decide = (place: Place, moment: Moment) => readonly Fate[] | Refused;

/** An oracle that cannot know says so, and why: it is not asked, and the campaign counts how often. */
export type Refused = { readonly refused: string };

const portsText = ([from, to]: readonly [number, number]): string => (from === to ? `${from}` : `${from}-${to}`);

export function fateText(fate: Fate): string {
  if (fate.kind === "dropped") return "dropped";
  const { out } = fate;
  const sources = out.sources.map(formatIp).join(" or ");
  const ids = out.protocol === ICMP || out.protocol === ICMP6 ? ` type ${out.type} id ${portsText(out.ids)}` : "";
  const ends = `[${sources}]:${portsText(out.sports)} -> [${formatIp(out.target)}]:${out.dport}${ids}`;
  if (fate.kind === "delivered") return `delivered ${ends}`;
  return `forwarded by ${fate.interface} ${ends}${fate.mss === undefined ? "" : ` mss ${fate.mss}`}`;
}
