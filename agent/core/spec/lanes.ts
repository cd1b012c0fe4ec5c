/** The lanes: what belongs to them, where they are open, and the ports that NAT must leave to them. */
import type { Node } from "../verifier/diagram.ts";
import { type Interval, LEVEL, STATE } from "../verifier/fields.ts";
import { type Line, type Sheet, TCP, UDP } from "./lines.ts";

const [FIRST_FREE_PORT, LAST_PORT] = [1024, 65_535];

/** Packets of the lanes: they come to the router, or the router says them. Which lane says the port. */
function lane(sheet: Sheet, address: "saddr" | "daddr", port: "sport" | "dport"): Node {
  const { lanes } = sheet.ground;
  const api = lanes.api.filter((one) => (typeof one === "bigint") === (sheet.family === 6));
  const udp = sheet.all(sheet.values("proto", UDP), sheet.values(port, ...lanes.rescue, ...lanes.networks));
  const tcp = sheet.all(sheet.values("proto", TCP), sheet.values(port, lanes.port), sheet.values(address, ...api));
  return sheet.all(sheet.local(address), sheet.any(udp, tcp));
}

export const arrivingLane = (sheet: Sheet): Node => lane(sheet, "daddr", "dport");
export const leavingLane = (sheet: Sheet): Node => lane(sheet, "saddr", "sport");

/** No flow is kept of it. */
export const UNTRACKED = { sets: [[LEVEL.state, STATE.untracked]] } as const;

/** What comes to a lane's port: admitted where the lane is open, else dropped; no policy has a say. */
export function laneLines(sheet: Sheet): readonly Line[] {
  const { lanes, rescue, places, router } = sheet.ground;
  const zones = sheet.interfaces((place) => place.kind !== "network");
  const managing = places.filter((place) => router.management.zones.includes(place.id) && !place.experimental);
  const udp = (ports: readonly number[]): Node =>
    sheet.all(sheet.values("proto", UDP), sheet.values("dport", ...ports));
  const [own] = lanes.api.slice(-1);
  const ownAddress = sheet.family === 6 ? sheet.values("daddr", own!) : sheet.arena.next;
  const elsewhere = sheet.not(ownAddress);
  return [
    sheet.pass(sheet.device("iif", ["lo"]), "the router to itself"),
    sheet.pass(udp(lanes.rescue), "the rescue lane is open from everywhere"),
    sheet.pass(sheet.all(udp(lanes.networks), sheet.device("iif", zones)), "networks are reached from zones"),
    sheet.pass(
      sheet.all(sheet.values("proto", TCP), ownAddress, sheet.device("iif", [rescue.device])),
      "the API over the rescue lane",
    ),
    sheet.pass(
      sheet.all(
        sheet.values("proto", TCP),
        elsewhere,
        sheet.device("iif", [...managing.flatMap((place) => place.interfaces), rescue.device]),
      ),
      "the API from management zones",
    ),
    sheet.drop(sheet.arena.yes, "a lane's port, and no way to it"),
  ];
}

/** The widest range of ports that NAT may choose from without meeting a lane; the lowest of equals. */
export function roomBeside(lanes: readonly number[]): Interval {
  const taken = [...new Set(lanes)].filter((port) => port >= FIRST_FREE_PORT).sort((a, b) => a - b);
  const ends = [...taken.map((port) => port - 1), LAST_PORT];
  const rooms = ends.map((to, i) => ({ from: i === 0 ? FIRST_FREE_PORT : taken[i - 1]! + 1, to }));
  return rooms.reduce((best, room) => (room.to - room.from > best.to - best.from ? room : best));
}
