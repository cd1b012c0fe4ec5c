/** Who may reach what: the intent's policies, port-forwards, profiles and services, one line each. */
import type { Policy, Profile } from "../../../schemas/intent.ts";
import type { Node } from "../verifier/diagram.ts";
import type { Field, Interval } from "../verifier/fields.ts";
import { type Guest, intervalOf, intervalOfPrefix, type Place, wanted } from "./ground.ts";
import { type Line, type Sheet, TCP, UDP } from "./lines.ts";

const single = (value: Interval["from"]): Interval => ({ from: value, to: value });
const DNS_PORT = 53;

/** Services as rows of (where, protocol, ports), and as places that may be pinged. */
type Rows = { readonly ports: readonly (readonly Interval[])[]; readonly pings: readonly (readonly Interval[])[] };

function rowsOf(sheet: Sheet, ids: readonly string[]): Rows {
  const [ports, pings]: [Interval[][], Interval[][]] = [[], []];
  const anywhere: Interval = sheet.family === 4 ? { from: 0, to: 2 ** 32 - 1 } : { from: 0n, to: 2n ** 128n - 1n };
  for (const id of ids) {
    const service = sheet.ground.services.get(id);
    if (service === undefined) continue;
    const hosts =
      service.addresses.length === 0
        ? [anywhere]
        : service.addresses.flatMap((text) => intervalOf(text, sheet.family) ?? []);
    for (const host of hosts)
      for (const { protocol, from, to } of service.ports) {
        if (protocol === "icmp") pings.push([host]);
        else ports.push([host, single(protocol === "tcp" ? TCP : UDP), { from, to: to === 0 ? from : to }]);
      }
  }
  return { ports, pings };
}

/** Packets of these services. */
function servicesRegion(sheet: Sheet, ids: readonly string[]): Node {
  const { ports, pings } = rowsOf(sheet, ids);
  const { regions, arena } = sheet;
  const yes = () => arena.yes;
  return sheet.any(
    regions.rows([sheet.end("target"), "proto", sheet.end("dport")], ports, yes),
    sheet.all(sheet.echo, regions.rows([sheet.end("target")], pings, yes)),
  );
}

/** Packets to a place: through its interfaces, and there to its own subnets. */
function toPlace(sheet: Sheet, place: Place): Node {
  const out = sheet.device(sheet.end("to"), place.interfaces);
  if (place.subnets.length === 0) return out;
  const own = place.subnets.filter((prefix) => prefix.family === sheet.family).map(intervalOfPrefix);
  return sheet.all(out, sheet.regions.of(sheet.end("target"), own));
}

function policyLine(sheet: Sheet, policy: Policy, where: Node): Line {
  const what = policy.services.length === 0 ? sheet.arena.yes : servicesRegion(sheet, policy.services);
  return sheet.allow(sheet.all(where, what), `policy ${policy.id}`);
}

const policiesFrom = (sheet: Sheet, place: Place): readonly Policy[] =>
  sheet.ground.intent.policies.filter((policy) => policy.from === place.id && wanted(policy, sheet.family));

/** Guests of this family by their addresses, each with more columns beside it. */
function guestRegion(
  sheet: Sheet,
  fields: readonly Field[],
  rowsFor: (guest: Guest) => readonly (readonly Interval[])[],
): Node {
  const rows: (readonly Interval[])[] = [];
  for (const guest of sheet.ground.guests) {
    const own = guest.addresses[sheet.family];
    if (own.length === 0) continue;
    for (const row of rowsFor(guest)) for (const address of own) rows.push([address, ...row]);
  }
  return sheet.regions.rows([sheet.end("source"), ...fields], rows, () => sheet.arena.yes);
}

/** Clients that have a profile, as whoever began the flow. */
function having(sheet: Sheet, profile: string): Node {
  return sheet.once(profile, () => {
    const those = sheet.ground.guests.filter((guest) => guest.profile === profile);
    return sheet.regions.of(
      sheet.end("source"),
      those.flatMap((guest) => guest.addresses[sheet.family]),
    );
  });
}

/** Name servers of a network, for its clients whose profile has them. */
function dnsLine(sheet: Sheet, place: Place): Line {
  const served = [...sheet.ground.profiles.values()].filter(({ dns }) => wanted(dns, sheet.family));
  const who = sheet.any(...served.map(({ id }) => having(sheet, id)));
  const where = sheet.all(
    sheet.addresses(sheet.end("target"), place.dns),
    sheet.values("proto", TCP, UDP),
    sheet.values(sheet.end("dport"), DNS_PORT),
  );
  return sheet.allow(sheet.all(who, where), `dns of network ${place.id}`);
}

/** What a profile lets its clients do. */
function profileRegion(sheet: Sheet, { reach, services, internet }: Profile): Node {
  const reached = reach
    .filter((one) => wanted(one, sheet.family))
    .flatMap((one) => sheet.ground.places.filter(({ id, kind }) => id === one.zone && kind !== "network"));
  const uplinks = sheet.interfaces((place) => place.kind === "uplink");
  return sheet.any(
    ...reached.map((place) => toPlace(sheet, place)),
    servicesRegion(sheet, services),
    wanted(internet, sheet.family) ? sheet.device(sheet.end("to"), uplinks) : sheet.arena.next,
  );
}

/** What clients do with services of their own. */
function ownRegion(sheet: Sheet): Node {
  return sheet.once("own services", () => {
    const known = new Map<string, Rows>();
    const rowsFor = ({ services }: Guest): Rows => {
      const key = services.join(" ");
      const rows = known.get(key) ?? rowsOf(sheet, services);
      known.set(key, rows);
      return rows;
    };
    const ports = guestRegion(
      sheet,
      [sheet.end("target"), "proto", sheet.end("dport")],
      (guest) => rowsFor(guest).ports,
    );
    const pings = guestRegion(sheet, [sheet.end("target")], (guest) => rowsFor(guest).pings);
    return sheet.any(ports, sheet.all(sheet.echo, pings));
  });
}

/**
 * Clients: never to a tunnel; name servers, services of their own, and what their profile says. A client is its
 * address here: that nobody else wears it has been seen to before, by WireGuard and by the lines about sources.
 */
function guestLines(sheet: Sheet, place: Place): readonly Line[] {
  if (place.kind !== "network") return [];
  const tunnels = [...sheet.interfaces(({ kind }) => kind === "network"), sheet.ground.rescue.device];
  const profiles = [...sheet.ground.profiles.values()].flatMap((profile): readonly Line[] => {
    const who = having(sheet, profile.id);
    if (who === sheet.arena.next) return [];
    return [sheet.within(who, [sheet.allow(profileRegion(sheet, profile), `profile ${profile.id}`)])];
  });
  return [
    sheet.drop(sheet.device(sheet.end("to"), tunnels), "clients never reach clients"),
    dnsLine(sheet, place),
    sheet.allow(ownRegion(sheet), "services of the client itself"),
    ...profiles,
  ];
}

/** A port-forward lets in what it translated, and nothing that others did. */
function forwardLines(sheet: Sheet, place: Place): readonly Line[] {
  if (sheet.family === 6) return [];
  return sheet.ground.forwards
    .filter((forward) => forward.zone === place.id)
    .map((forward) => {
      const when = sheet.all(
        sheet.regions.tracked,
        sheet.values("dnat", 1),
        sheet.addresses(sheet.end("target"), [forward.to_address]),
        sheet.addresses("odaddr", [forward.address]),
        sheet.values("proto", forward.protocol === "tcp" ? TCP : UDP),
        sheet.regions.of(sheet.end("dport"), [{ from: forward.to_port, to: forward.to_port + forward.count - 1 }]),
      );
      return sheet.allow(when, `port-forward ${forward.id}`);
    });
}

/** What flows that begin at a place may do beyond the router. */
function onward(sheet: Sheet, place: Place): readonly Line[] {
  const policies = policiesFrom(sheet, place).flatMap((policy) =>
    sheet.ground.places
      .filter(({ id }) => id === policy.to)
      .map((target) => policyLine(sheet, policy, toPlace(sheet, target))),
  );
  return [...guestLines(sheet, place), ...forwardLines(sheet, place), ...policies];
}

/** What flows that begin at a place may do with the router itself. */
function inward(sheet: Sheet, place: Place): readonly Line[] {
  const lines: Line[] = [];
  const { family } = sheet;
  const linkLocal = sheet.addresses(sheet.end("source"), ["fe80::/10"]);
  if (place.dhcp) {
    const asks = family === 4 ? sheet.udp(68, 67) : sheet.all(linkLocal, sheet.udp(546, 547));
    lines.push(sheet.allow(asks, `dhcp of zone ${place.id}`));
  }
  // Its answers come as flows of their own: the question went to everybody.
  const dynamic = sheet.ground.router.uplinks.filter((uplink) => uplink.dynamic).map((uplink) => uplink.interface);
  const leased = place.kind === "uplink" ? place.interfaces.filter((name) => dynamic.includes(name)) : [];
  if (leased.length > 0) {
    const answers = family === 4 ? sheet.udp(67, 68) : sheet.all(linkLocal, sheet.udp(547, 546));
    lines.push(
      sheet.allow(sheet.all(sheet.device(sheet.end("from"), leased), answers), `dynamic uplink ${leased.join(", ")}`),
    );
  }
  // The house and its clients may ping the router; the world and experiments may not.
  if (place.kind !== "uplink" && !place.experimental) lines.push(sheet.allow(sheet.echo, `pings from ${place.id}`));
  if (place.kind === "network") lines.push(dnsLine(sheet, place));
  const policies = policiesFrom(sheet, place).filter((policy) => policy.to === "router");
  return [...lines, ...policies.map((policy) => policyLine(sheet, policy, sheet.arena.yes))];
}

function byPlace(sheet: Sheet, lines: (sheet: Sheet, place: Place) => readonly Line[]): readonly Line[] {
  return sheet.ground.places.map((place) =>
    sheet.within(sheet.device(sheet.end("from"), place.interfaces), lines(sheet, place)),
  );
}

/** Lines about flows between places; in the half of replies, about their answers. */
export const betweenPlaces = (sheet: Sheet): readonly Line[] => byPlace(sheet, onward);

/** Lines about flows to the router; in the half of replies, about its answers. Operators may ping it over the lane. */
export function toRouter(sheet: Sheet): readonly Line[] {
  const lane = sheet.device(sheet.end("from"), [sheet.ground.rescue.device]);
  const ping = sheet.family === 6 ? [sheet.allow(sheet.all(lane, sheet.echo), "pings over the rescue lane")] : [];
  return [...byPlace(sheet, inward), ...ping];
}
