/** Translation: port-forwards inwards, the router's address outwards, and what must never leave as it is. */
import { parseIp } from "../../../schemas/ip.ts";
import { snat } from "../verifier/chains.ts";
import type { Node } from "../verifier/diagram.ts";
import { type Interval, LEVEL } from "../verifier/fields.ts";
import { intervalOfPrefix, isPrivate } from "./ground.ts";
import { roomBeside } from "./lanes.ts";
import { type Line, type Sheet, TCP, UDP } from "./lines.ts";

/** Port-forwards: each port of each uplink, and where it leads. No two have the same. */
export function translations(sheet: Sheet): readonly Line[] {
  if (sheet.family === 6) return [];
  const { space } = sheet.regions;
  const address = (text: string): number => Number(parseIp(text)!.value);
  const same = (value: number): Interval => ({ from: value, to: value });
  const doors = sheet.ground.forwards.flatMap((forward) => {
    const { interfaces } = sheet.ground.places.find((place) => place.id === forward.zone)!;
    const ports = Array.from({ length: forward.count }, (_, i) => i);
    return interfaces.flatMap((name) => ports.map((i) => ({ forward, name, i })));
  });
  const rows = doors.map(({ forward, name, i }) => [
    same(space.interfaces.index(name)),
    same(address(forward.address)),
    same(forward.protocol === "tcp" ? TCP : UDP),
    same(forward.port + i),
  ]);
  const leads = doors.map(({ forward, i }) =>
    sheet.pass(sheet.arena.yes, `port-forward ${forward.id}`, {
      sets: [
        [LEVEL.dnat, 1],
        [space.level("daddr"), address(forward.to_address)],
        [LEVEL.odaddr, address(forward.address)],
        [LEVEL.dport, forward.to_port + i],
      ],
    }),
  );
  const table = sheet.regions.rows(["iif", "daddr", "proto", "dport"], rows, (row) => leads[row]!.does);
  return [{ when: sheet.arena.yes, does: table }];
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
