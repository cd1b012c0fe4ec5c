/** Translation: port-forwards inwards, the router's address outwards, and what must never leave as it is. */
import { snat } from "../verifier/chains.ts";
import type { Node } from "../verifier/diagram.ts";
import { LEVEL } from "../verifier/fields.ts";
import { intervalOfPrefix, isPrivate } from "./ground.ts";
import { roomBeside } from "./lanes.ts";
import { type Line, type Sheet, TCP, UDP } from "./lines.ts";

/** Port-forwards, port by port. */
export function translations(sheet: Sheet): readonly Line[] {
  if (sheet.family === 6) return [];
  const { space } = sheet.regions;
  return sheet.ground.forwards.flatMap((forward) => {
    const uplink = sheet.ground.places.find((place) => place.id === forward.zone)!;
    const at = sheet.all(
      sheet.device("iif", uplink.interfaces),
      sheet.addresses("daddr", [forward.address]),
      sheet.values("proto", forward.protocol === "tcp" ? TCP : UDP),
    );
    const address = (text: string): number => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
    return Array.from({ length: forward.count }, (_, i) =>
      sheet.pass(sheet.all(at, sheet.values("dport", forward.port + i)), `port-forward ${forward.id}`, {
        sets: [
          [LEVEL.dnat, 1] as const,
          [space.level("daddr"), address(forward.to_address)] as const,
          [LEVEL.odaddr, address(forward.address)] as const,
          [LEVEL.dport, forward.to_port + i] as const,
        ],
      }),
    );
  });
}

export function masquerades(sheet: Sheet): readonly Line[] {
  const { intent, places, lanes } = sheet.ground;
  const pairs = (sheet.family === 4 ? intent.masquerade : intent.nat66).flatMap(({ from, to }) => {
    const [source, exit] = [places.find(({ id }) => id === from), places.find(({ id }) => id === to)];
    return source === undefined || exit?.kind !== "uplink" ? [] : [{ source, exit }];
  });
  const room = { udp: roomBeside([...lanes.rescue, ...lanes.networks]), tcp: roomBeside([lanes.port]) };
  const protocols = [
    [sheet.values("proto", UDP), room.udp],
    [sheet.values("proto", TCP), room.tcp],
    [sheet.arena.yes, null],
  ] as const;
  return pairs.flatMap(({ source, exit }) => {
    const from = sheet.device("iif", source.interfaces);
    return exit.interfaces.flatMap((name) => {
      const address = sheet.facts.leaving.get(name);
      if (address === undefined) return [];
      const way = sheet.all(from, sheet.device("oif", [name]));
      return protocols.map(([protocol, ports]) =>
        sheet.pass(
          sheet.all(way, protocol),
          `${source.id} leaves ${exit.id} under the router's address`,
          snat(sheet.regions.space, address, ports),
        ),
      );
    });
  });
}

/** Inside addresses on their way out of an uplink. */
export function leaks(sheet: Sheet): Node {
  const home = sheet.ground.places
    .flatMap((place) => place.subnets)
    .filter((prefix) => prefix.family === sheet.family && isPrivate(prefix));
  const uplinks = sheet.device(
    "oif",
    sheet.interfaces((place) => place.kind === "uplink"),
  );
  return sheet.all(uplinks, sheet.regions.of("saddr", home.map(intervalOfPrefix)));
}
