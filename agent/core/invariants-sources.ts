/** HF-SPOF-02: whose source a packet may have, decided for all packets. */

import { formatPrefix } from "../../schemas/ip.ts";
import { rescuePrefix } from "./compile/rescue.ts";
import { about, inEveryPart, laneRegion, own, rescueLink, said, through } from "./invariants-regions.ts";
import { type Invariant, placesOf, type Subject, violated } from "./invariants-subject.ts";
import type { Node } from "./verifier/diagram.ts";
import { apartIn, hookOf, where } from "./verifier/held.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import { PROTOCOL } from "./verifier/words.ts";

/** Sources and targets that nobody has (RFC 6890): this network, loopback, groups as a source, class E. */
const NOBODY = {
  saddr: ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::1", "::ffff:0:0/96", "ff00::/8"],
  daddr: ["0.0.0.0/8", "127.0.0.0/8", "240.0.0.0-255.255.255.254", "::", "::1", "::ffff:0:0/96"],
} as const;

/** Who has no address yet asks for one (RFC 2131), or for its neighbours (RFC 4861). */
function nameless(pipeline: Pipeline, subject: Subject): Node {
  const { regions, facts } = pipeline;
  if (facts.family === 6) return about(pipeline, "saddr", ["::", "fe80::/10"]);
  const { intent, router } = subject;
  const leased = intent.zones.filter((zone) => zone.router === router && zone.dhcp).flatMap((zone) => zone.interfaces);
  return regions.and(
    through(pipeline, "iif", leased),
    about(pipeline, "saddr", ["0.0.0.0"]),
    regions.one("proto", PROTOCOL.udp),
    regions.one("sport", 68),
    regions.one("dport", 67),
  );
}

/** Packets that must not get past prerouting. */
function liars(pipeline: Pipeline, subject: Subject): Node {
  const { regions, facts } = pipeline;
  const { arena } = regions;
  const places = placesOf(subject).filter((place) => place.kind !== "uplink" && place.subnets.length > 0);
  const free = nameless(pipeline, subject);
  const walled = places
    .filter((place) => place.kind !== "network")
    .map((place) => {
      const subnets = about(pipeline, "saddr", place.subnets.map(formatPrefix));
      return regions.and(through(pipeline, "iif", place.interfaces), arena.not(subnets), arena.not(free));
    });
  const tunnels = facts.devices.map(({ name, allowed }) =>
    regions.and(through(pipeline, "iif", [name]), arena.not(regions.of("saddr", allowed))),
  );
  const guarded = through(pipeline, "iif", [...places.flatMap((place) => place.interfaces), ...rescueLink(subject)]);
  // Operators are behind their lane, and nowhere else either.
  const prefixes = [...places.flatMap((place) => place.subnets), rescuePrefix(subject.root.network_id)];
  const inside = about(pipeline, "saddr", prefixes.map(formatPrefix));
  const nobody = facts.family === 4 ? arena.not(free) : arena.yes;
  const all = [
    own(pipeline, "saddr"),
    regions.and(about(pipeline, "saddr", NOBODY.saddr), nobody),
    regions.and(about(pipeline, "daddr", NOBODY.daddr), nobody),
    ...walled,
    ...tunnels,
    regions.and(arena.not(guarded), inside),
  ];
  return arena.fold(all, (a, b) => arena.or(a, b));
}

const onlyTrueSources: Invariant = {
  id: "HF-SPOF-02",
  sentence:
    "Before anything else is decided, a packet is dropped exactly when its source cannot be behind its interface, or is the router's own, or an address in it is nobody's.",
  why: "Every later rule trusts sources; a forged one gets what its owner was granted, and a dropped true one cuts a client off.",
  example: "A check of sources that leaves out an interface, or stands behind an accept.",
  fix: "Report it: the ruleset lets forged sources in, or true ones not; keep the last confirmed generation.",
  check: (subject) =>
    inEveryPart(subject, (pipeline) => {
      const { regions } = pipeline;
      const { arena } = regions;
      const dropped = where(pipeline, hookOf(pipeline, "prerouting"), (leaf) => leaf.kind === "drop");
      // Lanes come before, and the router's packets to itself are true.
      const others = regions.and(
        arena.not(through(pipeline, "iif", ["", "lo"])),
        arena.not(laneRegion(pipeline, subject, "arriving")),
      );
      const lies = liars(pipeline, subject);
      const passes = apartIn(pipeline, regions.and(others, lies), dropped, arena.yes);
      const lost = apartIn(pipeline, regions.and(others, arena.not(lies)), dropped, arena.next);
      return [
        ...(passes === null ? [] : [`A forged packet is let in: ${said(passes)}.`]),
        ...(lost === null ? [] : [`A true packet is dropped as forged: ${said(lost)}.`]),
      ];
    }).map((text) => violated("HF-SPOF-02", text)),
};

export const sourceInvariants: readonly Invariant[] = [onlyTrueSources];
