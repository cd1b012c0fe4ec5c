/** How translations are written: dnat, snat and masquerade, to literal addresses and through maps. */
import type { Nat } from "./ast.ts";
import { type Cursor, peek, readKeys, setName, take } from "./cursor.ts";
import type { Interval } from "./fields.ts";
import { Unmodelled } from "./leaves.ts";
import { addressesOf, keyAt, numberOf } from "./words.ts";

/** `:1024-65535` */
function readPorts(text: string): Interval {
  const [, from, to = from] = /^:(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [a, b] = [numberOf(from ?? ""), numberOf(to ?? "")];
  if (a === undefined || b === undefined || a < 1 || a > b || b > 65535) throw new Unmodelled(`ports ${text}`);
  return { from: a, to: b };
}

/** `10.0.0.5:443`, `[fd00::5]:443`, or without a port. */
function readTarget(text: string): {
  readonly family: 4 | 6;
  readonly address: Interval["from"];
  readonly ports: Interval | null;
} {
  const [, wide, four, ports] =
    /^(?:\[([0-9a-f:.]+)\]|([0-9.]+|[0-9a-f:]*::?[0-9a-f:]*?))(:\d+(?:-\d+)?)?$/.exec(text) ?? [];
  for (const family of [4, 6] as const) {
    const bare = addressesOf(text, family);
    const found = bare ?? addressesOf(wide ?? four ?? "", family);
    if (found === undefined || found.from !== found.to) continue;
    return { family, address: found.from, ports: bare !== undefined || ports === undefined ? null : readPorts(ports) };
  }
  throw new Unmodelled(`address ${text}`);
}

/** What follows `masquerade`, `dnat` or `snat`. */
export function readNat(cursor: Cursor, word: string): Nat {
  if (word === "masquerade") {
    if (peek(cursor) !== "to") return { kind: "masquerade", ports: null };
    cursor.at += 1;
    return { kind: "masquerade", ports: readPorts(take(cursor)) };
  }
  const said = peek(cursor) === "ip" || peek(cursor) === "ip6" ? (take(cursor) === "ip" ? 4 : 6) : 0;
  take(cursor, "to");
  if (word === "dnat" && keyAt(cursor.words, cursor.at) !== undefined) {
    const keys = readKeys(cursor);
    take(cursor, "map");
    return { kind: "dnat", family: said, keys, map: setName(take(cursor)) };
  }
  const { family, address, ports } = readTarget(take(cursor));
  if (said !== 0 && said !== family) throw new Unmodelled(`${word} to the other family`);
  if (word === "snat") return { kind: "snat", family, address, ports };
  if (ports !== null && ports.from !== ports.to) throw new Unmodelled("dnat to a range of ports");
  return { kind: "dnat", family, address, port: ports === null ? 0 : Number(ports.from) };
}
