/** Whether what the kernel did with a packet is one of the fates that an oracle holds possible. */

import type { Sighting } from "../../client/replay/ports.ts";
import { endsText, ICMP, ICMP6, type Seen, type Shot, TCP, UDP } from "../../client/replay/wire.ts";
import { formatIp } from "../../schemas/ip.ts";
import { type Fate, fateText, type Out } from "./oracle.ts";

const isIcmp = (protocol: number): boolean => protocol === ICMP || protocol === ICMP6;

/** Headers that differ; undefined when none does. `blind`: raw IPv6 sockets do not show the target. */
function headersDiffer(shot: Shot, seen: Seen, out: Out, blind: boolean): string | undefined {
  if (seen.protocol !== out.protocol) return `protocol ${seen.protocol}`;
  if (!out.sources.some((one) => one.value === seen.source.value)) return `source ${formatIp(seen.source)}`;
  if (!blind && seen.target.value !== out.target.value) return `target ${formatIp(seen.target)}`;
  if (seen.protocol === TCP || seen.protocol === UDP) {
    if (seen.sport < out.sports[0] || seen.sport > out.sports[1]) return `source port ${seen.sport}`;
    if (seen.dport !== out.dport) return `port ${seen.dport}`;
  }
  if (!isIcmp(seen.protocol)) return undefined;
  if (seen.type !== out.type) return `type ${seen.type}`;
  const echo = shot.about === undefined;
  return echo && (seen.id < out.ids[0] || seen.id > out.ids[1]) ? `id ${seen.id}` : undefined;
}

/** Why the sightings are not this fate; undefined when they are. */
export function differs(shot: Shot, sightings: readonly Sighting[], fate: Fate): string | undefined {
  if (fate.kind === "dropped") return sightings.length === 0 ? undefined : "it was not dropped";
  const [first] = sightings;
  if (first === undefined) return "it did not come out";
  const seen = first.packet;
  if (fate.kind === "delivered") {
    if (first.kind !== "taken" || sightings.length !== 1) return "it was not delivered, or not once";
    return headersDiffer(shot, seen, fate.out, shot.family === 6);
  }
  if (first.kind !== "left") return "it was delivered";
  // Conntrack judges the whole; on its way out it is cut again as it came (frag_max_size, both families).
  const pieces = shot.parts === "two" ? 2 : 1;
  if (sightings.length !== pieces) return `it left in ${sightings.length} pieces`;
  if (sightings.some((one) => one.kind !== "left" || one.interface !== first.interface)) return "it left by two ways";
  if (first.interface !== fate.interface) return `it left by ${first.interface}`;
  const hops = shot.iif === "" ? shot.hops : shot.hops - 1;
  if (seen.hops !== hops) return `it has ${seen.hops} hops left`;
  if (fate.mss !== undefined && seen.mss !== fate.mss) return `its segment size is ${seen.mss}`;
  return headersDiffer(shot, seen, fate.out, false) ?? aboutDiffers(seen, fate.out);
}

function aboutDiffers({ about: seen }: Seen, { about }: Out): string | undefined {
  if (about === undefined) return undefined;
  const same =
    seen !== undefined &&
    seen.source.value === about.source.value &&
    seen.target.value === about.target.value &&
    seen.sport === about.sport &&
    seen.dport === about.dport &&
    seen.id === about.id;
  return same ? undefined : `it is about ${seen === undefined ? "nothing" : endsText(seen)}, not ${endsText(about)}`;
}

export function sightingText(sighting: Sighting): string {
  const { packet } = sighting;
  const more = `${packet.mss === 0 ? "" : ` mss ${packet.mss}`}${packet.about === undefined ? "" : ` about (${endsText(packet.about)})`}`;
  const where = sighting.kind === "left" ? `left by ${sighting.interface}` : "delivered";
  return `${where} ${endsText(packet)} hops ${packet.hops}${more}`;
}

/** The first fate that fits; why none does otherwise. */
export function fitting(
  shot: Shot,
  sightings: readonly Sighting[],
  fates: readonly Fate[],
): { readonly at: number } | { readonly why: string } {
  const reasons: string[] = [];
  for (const [at, fate] of fates.entries()) {
    const why = differs(shot, sightings, fate);
    if (why === undefined) return { at };
    reasons.push(`${fateText(fate)}: ${why}`);
  }
  return { why: reasons.join("; ") };
}
