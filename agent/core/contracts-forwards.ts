/**
 * Port-forwards as contracts see them. From outside, an address inside is reached through them alone, so that is what
 * a contract from the internet to a host means; a packet is judged by where it lands.
 */
import type { PortForward } from "../../schemas/intent.ts";
import { type Family, parseIp } from "../../schemas/ip.ts";
import { aim, type Claim, FIRST, OUTSIDE_LIES, regionOf, type Sides } from "./contracts-claims.ts";
import { both, type Ranges, textsOf } from "./contracts-ranges.ts";
import { answerOf, pieceOf, type Tuple } from "./contracts-services.ts";
import { type ContractSubject, type Seat, sideOf } from "./contracts-sides.ts";
import type { Region, Span } from "./verifier/question.ts";

/** First packets as they arrive, and what they have become when they are sent on. */
export type Forward = { readonly at: Tuple; readonly lands: Tuple; readonly address: string };

export function forwardsOf({ intent, router }: ContractSubject): readonly Forward[] {
  const zones = new Set(intent.zones.filter((zone) => zone.router === router).map((zone) => zone.id));
  const one = (text: string): Ranges => {
    const value = parseIp(text)?.value ?? 0n;
    return [{ from: value, to: value }];
  };
  return intent.port_forwards
    .filter((forward) => zones.has(forward.zone))
    .map(({ address, protocol, port, to_address, to_port, count }: PortForward) => ({
      at: { targets: one(address), protocol, ports: [port, port + count - 1] },
      lands: { targets: one(to_address), protocol, ports: [to_port, to_port + count - 1] },
      address: to_address,
    }));
}

const meets = (a: Ranges | null, b: Ranges | null): boolean => a === null || b === null || both(a, b).length > 0;

/** Whether every packet of a tuple with one target is of another one. */
export const within = (inner: Tuple, outer: Tuple): boolean =>
  inner.protocol === outer.protocol &&
  meets(inner.targets, outer.targets) &&
  outer.ports[0] <= inner.ports[0] &&
  inner.ports[1] <= outer.ports[1];

type Wanted = {
  readonly receiver: Seat;
  readonly target: Ranges;
  readonly tuple: Tuple | null; // null: whatever is forwarded
};

const common = (a: Span, b: Span): Span => [Math.max(a[0], b[0]), Math.min(a[1], b[1])];

function covered(spans: readonly Span[], whole: Span): boolean {
  let next = whole[0];
  for (const [from, to] of [...spans].sort((a, b) => a[0] - b[0])) if (from <= next) next = Math.max(next, to + 1);
  return next > whole[1];
}

/**
 * Claims about what is forwarded to a receiver; none where no port-forward leads to all that was asked for. Null: no
 * business of port-forwards, because the receiver is outside, or is the router and takes this itself.
 */
export function forwardClaims(
  subject: ContractSubject,
  sides: Sides,
  { receiver, target, tuple }: Wanted,
  family: Family,
): readonly Claim[] | null {
  const own = receiver.interfaces.length === 0;
  const uplinks =
    sides.to.outer || sides.to.open || receiver.interfaces.some((name) => sides.from.interfaces.includes(name));
  if (!own && uplinks) return null;
  const spans: Span[] = [];
  const claims: Claim[] = [];
  for (const forward of family === 4 ? forwardsOf(subject) : []) {
    const seen = own ? forward.at : forward.lands;
    if (both(seen.targets!, target).length === 0 || (tuple !== null && tuple.protocol !== seen.protocol)) continue;
    const ports = tuple === null ? seen.ports : common(seen.ports, tuple.ports);
    if (ports[0] > ports[1]) continue;
    spans.push(ports);
    claims.push(...claimsOf(subject, sides, forward, [ports[0] - seen.ports[0], ports[1] - seen.ports[0]]));
  }
  const whole = tuple === null ? claims.length > 0 : tuple.protocol !== "icmp" && covered(spans, tuple.ports);
  return whole ? claims : own ? null : [];
}

/** What a part of one port-forward must do: `part` counts from its first port. */
function claimsOf(
  subject: ContractSubject,
  { from, ground }: Sides,
  { at, lands, address }: Forward,
  part: Span,
): Claim[] {
  const inside = sideOf(subject, ground, address, "");
  const iif = inside !== undefined && "seats" in inside ? inside.interfaces : [];
  const shift = (by: number): Span => [part[0] + by, part[1] + by];
  const arrived = pieceOf({ ...at, ports: shift(at.ports[0]) }, 4);
  const landed = pieceOf({ ...lands, ports: shift(lands.ports[0]) }, 4);
  return from.seats.flatMap(({ addresses, interfaces }): Claim[] => {
    const source = addresses[4];
    if (source.length === 0) return [];
    const ends = aim(aim({}, "source", source, 4), "target", at.targets!, 4);
    const first = regionOf([FIRST, ends, arrived.fields, { iif: interfaces, ...OUTSIDE_LIES }], "arriving", 4);
    const back = aim(aim({}, "source", lands.targets!, 4), "target", source, 4);
    const flow = { flow: "reply" as const, dnat: true, original: { in: textsOf(at.targets!, 4) } };
    const ways = { iif, oif: interfaces, ...OUTSIDE_LIES, targetLocal: false };
    const answer = regionOf([flow, answerOf(landed, 4), back, ways], "arriving", 4);
    return [
      { question: { region: first, want: "onward" }, must: "accepted", about: "missing" },
      { question: { region: answer, routes: "any" }, must: "accepted", about: "answer" },
    ];
  });
}

/** Ports of one port-forward that contracts look into one by one. */
export const LANDINGS_MAX = 512;

/** That a port-forward does what the intent says: whoever leaves it out of a denial depends on that. */
export function landingClaim(sender: Partial<Region>, { at, lands, address }: Forward): Claim {
  const arrived = pieceOf(at, 4);
  const ends = aim({ targetLocal: true }, "target", at.targets!, 4);
  const region = regionOf([FIRST, sender, arrived.fields, ends], "arriving", 4);
  const question = { region, want: "onward" as const, boxesMax: LANDINGS_MAX };
  return { question, must: "lands", lands: { target: address, shift: lands.ports[0] - at.ports[0] }, about: "excess" };
}
