/**
 * Services as boxes over (address range, protocol, port range). The kernel's interval sets refuse elements that
 * overlap, and two services may; so each list of boxes is cut into ones that do not, the same way every time.
 */
import type { Service } from "../../../schemas/intent.ts";
import { BITS, type Family, formatIp, lastOf, type Prefix, parseIp, parsePrefix } from "../../../schemas/ip.ts";

export type Range = { readonly from: bigint; readonly to: bigint };
export type Box = Range & { readonly protocol: "tcp" | "udp"; readonly ports: readonly [number, number] };

const everything = (family: Family): Prefix => ({ family, value: 0n, length: 0 });

function addressesOf(service: Service, family: Family): readonly Range[] {
  const prefixes =
    service.addresses.length === 0
      ? [everything(family)]
      : service.addresses.flatMap((text): Prefix[] => {
          const ip = parseIp(text);
          const prefix = ip === undefined ? parsePrefix(text) : { ...ip, length: BITS[ip.family] };
          return prefix === undefined || prefix.family !== family ? [] : [prefix];
        });
  return prefixes.map((prefix) => ({ from: prefix.value, to: lastOf(prefix) }));
}

/** Sorted ranges that touch or overlap become one. */
export function mergeRanges(ranges: readonly Range[]): readonly Range[] {
  const merged: Range[] = [];
  for (const range of [...ranges].sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))) {
    const last = merged.at(-1);
    if (last !== undefined && range.from <= last.to + 1n) {
      if (range.to > last.to) merged[merged.length - 1] = { from: last.from, to: range.to };
    } else merged.push(range);
  }
  return merged;
}

/** Port ranges with from <= to that touch or overlap become one. */
function mergePorts(ports: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const ranges = ports.map(([from, to]): Range => ({ from: BigInt(from), to: BigInt(to) }));
  return mergeRanges(ranges).map(({ from, to }) => [Number(from), Number(to)] as const);
}

/** The same space as boxes that do not overlap: address axis cut at every edge, equal neighbours joined again. */
export function disjointBoxes(boxes: readonly Box[]): readonly Box[] {
  return (["tcp", "udp"] as const).flatMap((protocol) => {
    const own = boxes.filter((box) => box.protocol === protocol);
    const edges = [...new Set(own.flatMap((box) => [box.from, box.to + 1n]))].sort((a, b) => (a < b ? -1 : 1));
    const slices = edges.slice(0, -1).map((from, i) => {
      const inside = own.filter((box) => box.from <= from && from <= box.to);
      return { from, to: edges[i + 1]! - 1n, ports: mergePorts(inside.map((box) => box.ports)) };
    });
    const joined: typeof slices = [];
    for (const slice of slices.filter((one) => one.ports.length > 0)) {
      const last = joined.at(-1);
      const same = last !== undefined && last.to + 1n === slice.from && `${last.ports}` === `${slice.ports}`;
      if (same) joined[joined.length - 1] = { ...last, to: slice.to };
      else joined.push(slice);
    }
    return joined.flatMap(({ from, to, ports }) => ports.map((range): Box => ({ from, to, protocol, ports: range })));
  });
}

/** TCP and UDP of some services in one family, without overlaps. */
export function serviceBoxes(services: readonly Service[], family: Family): readonly Box[] {
  return disjointBoxes(
    services.flatMap((service) =>
      addressesOf(service, family).flatMap((range) =>
        service.ports.flatMap(({ protocol, from, to }): Box[] =>
          protocol === "icmp" ? [] : [{ ...range, protocol, ports: [from, to === 0 ? from : to] }],
        ),
      ),
    ),
  );
}

/** Addresses that may be pinged, by the services among these that name icmp. */
export function pingRanges(services: readonly Service[], family: Family): readonly Range[] {
  const pinged = services.filter((service) => service.ports.some((port) => port.protocol === "icmp"));
  return mergeRanges(pinged.flatMap((service) => addressesOf(service, family)));
}

/** `10.0.0.5`, `10.0.0.0/24` or `10.0.0.5-10.0.0.9`, the shortest that says it. */
export function rangeText(family: Family, { from, to }: Range): string {
  if (from === to) return formatIp({ family, value: from });
  const size = to - from + 1n;
  const length = BITS[family] - (size.toString(2).length - 1);
  const aligned = (size & (size - 1n)) === 0n && from % size === 0n;
  if (aligned) return `${formatIp({ family, value: from })}/${length}`;
  return `${formatIp({ family, value: from })}-${formatIp({ family, value: to })}`;
}

/** `10.0.0.5 . tcp . 443`: the tail of every element over services. */
export function boxText(family: Family, box: Box): string {
  const [from, to] = box.ports;
  return `${rangeText(family, box)} . ${box.protocol} . ${from === to ? from : `${from}-${to}`}`;
}
