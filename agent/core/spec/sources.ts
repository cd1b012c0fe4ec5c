/** Who may be where a packet comes from, and what a flow remembers of it. */
import type { Node } from "../verifier/diagram.ts";
import { EPOCH, type Interval, LEVEL } from "../verifier/fields.ts";
import { intervalOfPrefix, type Place } from "./ground.ts";
import type { Line, Sheet } from "./lines.ts";

/** Bits of a flow's mark that name the uplink it came in through, and all that are for policy routing. */
const UPLINK_BITS = 0x1fff;
const LAST_LOW = 0x7fff;

/** Packets whose source is a client's of the place; without a place, an operator's on the rescue lane. */
function peersOf(sheet: Sheet, place: Place | null): Node {
  if (place !== null) {
    return sheet.regions.of(
      "saddr",
      place.guests.flatMap((guest) => guest.addresses[sheet.family]),
    );
  }
  return sheet.family === 6 ? sheet.values("saddr", ...sheet.ground.rescue.operators) : sheet.arena.next;
}

/** Packets of a tunnel whose source is nobody's there. */
function strangers(sheet: Sheet): Node {
  const { places, rescue } = sheet.ground;
  const tunnels = [
    ...places.filter((place) => place.kind === "network").map((place) => [place.interfaces, place] as const),
    [[rescue.device], null] as const,
  ];
  return sheet.any(
    ...tunnels.map(([names, place]) => sheet.all(sheet.device("iif", names), sheet.not(peersOf(sheet, place)))),
  );
}

/** Sources that cannot be where the packet comes from. */
export function spoofed(sheet: Sheet): readonly Line[] {
  const { places } = sheet.ground;
  const fenced = places.filter((place) => place.kind !== "network" && place.subnets.length > 0);
  const inside = [...places.flatMap((place) => place.subnets), sheet.ground.rescue.prefix].filter(
    (prefix) => prefix.family === sheet.family,
  );
  const unfenced = sheet.not(
    sheet.device("iif", [
      ...fenced.flatMap((place) => place.interfaces),
      ...sheet.interfaces((place) => place.kind === "network"),
      sheet.ground.rescue.device,
    ]),
  );
  const nameless = sheet.addresses("saddr", ["::/128", "fe80::/10"]);
  const walls = fenced.map((place) => {
    const own = place.subnets.filter((prefix) => prefix.family === sheet.family).map(intervalOfPrefix);
    const known = sheet.any(sheet.regions.of("saddr", own), nameless);
    return sheet.all(sheet.device("iif", place.interfaces), sheet.not(known));
  });
  return [
    sheet.drop(strangers(sheet), "nobody on that network has the source"),
    sheet.drop(sheet.any(...walls), "the source is not of that zone"),
    sheet.drop(
      sheet.all(unfenced, sheet.regions.of("saddr", inside.map(intervalOfPrefix))),
      "an inside source comes from where nobody inside is",
    ),
  ];
}

const MARTIAN_SOURCES = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::1", "::ffff:0:0/96", "ff00::/8"];
const MARTIAN_TARGETS = ["0.0.0.0/8", "127.0.0.0/8", "::", "::1", "::ffff:0:0/96"];

export function martians(sheet: Sheet): Node {
  // All of class E but the broadcast of the link.
  const unused: Interval = { from: 0xf0000000, to: 0xfffffffe };
  const targets = sheet.addresses("daddr", MARTIAN_TARGETS);
  const reserved = sheet.family === 4 ? sheet.regions.of("daddr", [unused]) : sheet.arena.next;
  return sheet.any(sheet.addresses("saddr", MARTIAN_SOURCES), targets, reserved);
}

/** With more than one way out, a new flow remembers how it came in, and its answers ask for that way. */
export function uplinkMarks(sheet: Sheet): readonly Line[] {
  const { marks } = sheet.ground;
  if (marks.length === 0) return [];
  if (sheet.replies) {
    const marked: Interval[] = [];
    for (let base = 0; base <= LAST_LOW; base += UPLINK_BITS + 1)
      marked.push({ from: base + 1, to: base + UPLINK_BITS });
    const inside = sheet.not(
      sheet.device(
        "iif",
        sheet.interfaces((place) => place.kind === "uplink"),
      ),
    );
    const when = sheet.all(sheet.regions.tracked, inside, sheet.regions.of("low", marked));
    return [sheet.pass(when, "answers leave by the uplink of the question", { markMask: UPLINK_BITS })];
  }
  const blank = sheet.all(
    sheet.state("new"),
    sheet.values("epoch", EPOCH.none),
    sheet.values("origin", 0),
    sheet.values("low", 0),
  );
  return marks.map(({ interface: name, mark }) => {
    const sets = [
      [LEVEL.epoch, EPOCH.none],
      [LEVEL.origin, 0],
      [LEVEL.low, mark],
    ] as const;
    return sheet.pass(sheet.all(blank, sheet.device("iif", [name])), `flows from uplink ${name}`, { sets });
  });
}
