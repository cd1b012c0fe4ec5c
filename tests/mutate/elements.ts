/** Mutants of sets and maps: an element less, more, wider, or that leads elsewhere. */
import type { NftSet, NftTable } from "../../schemas/desired.ts";
import type { Random } from "../campaigns/campaign.ts";
import { elementMutant, type Mutant } from "./mutant.ts";
import { isAddress, neighbour, nextPort, wider, widerPorts } from "./values.ts";

/** Elements of a set that are mutated; the others are alike. */
const SAMPLE = 12;

/** Up to `count` of a list, without order. */
function sample<T>(random: Random, list: readonly T[], count: number): readonly T[] {
  const rest = [...list];
  const taken: T[] = [];
  while (rest.length > 0 && taken.length < count) taken.push(...rest.splice(random(rest.length), 1));
  return taken;
}

const splitValue = (set: NftSet, element: string): readonly [string, string] => {
  const cut = set.kind === "map" ? element.indexOf(" : ") : -1;
  return cut < 0 ? [element, ""] : [element.slice(0, cut), element.slice(cut)];
};

type Change = (part: string) => string | undefined;

/** The element once for each part that a change knows how to change. */
function changes(set: NftSet, element: string, change: Change): readonly string[] {
  const [key, value] = splitValue(set, element);
  const parts = key.split(" . ");
  return parts.flatMap((part, i) => {
    const by = change(part);
    return by === undefined || by === part
      ? []
      : [`${parts.map((one, at) => (at === i ? by : one)).join(" . ")}${value}`];
  });
}

/** A part that is not in the element: the address beside it, another interface, the next port, the other protocol. */
const beside =
  (interfaces: readonly string[], random: Random): Change =>
  (part) => {
    if (part.startsWith('"')) {
      const others = interfaces.filter((name) => `"${name}"` !== part);
      return others.length === 0 ? undefined : `"${others[random(others.length)]}"`;
    }
    if (part === "tcp" || part === "udp") return part === "tcp" ? "udp" : "tcp";
    return isAddress(part) ? neighbour(part) : nextPort(part);
  };

const widened: Change = (part) => (part.startsWith('"') ? undefined : isAddress(part) ? wider(part) : widerPorts(part));

/** Another result for a map's element: a verdict or mark that another element has, or the address and port beside. */
function elsewhere(set: NftSet, element: string): readonly string[] {
  const [key, value] = splitValue(set, element);
  if (set.kind !== "map") return [];
  const result = value.slice(3);
  const others = set.elements.map((one) => splitValue(set, one)[1].slice(3)).filter((one) => one !== result);
  if (set.value === "verdict")
    return [...new Set([...others.slice(0, 1), "accept", "drop"])].map((one) => `${key} : ${one}`);
  if (set.value === "mark") return [...others.slice(0, 1), "0x00000000"].map((one) => `${key} : ${one}`);
  const parts = result.split(" . ");
  return parts.flatMap((part, i) => {
    const by = isAddress(part) ? neighbour(part) : nextPort(part);
    return by === undefined ? [] : [`${key} : ${parts.map((one, at) => (at === i ? by : one)).join(" . ")}`];
  });
}

/** Mutants of the sets and maps of a table. `interfaces`: names that may be put into them. */
export function elementMutants(nft: NftTable, interfaces: readonly string[], random: Random): readonly Mutant[] {
  return nft.sets.flatMap((set) =>
    sample(random, set.elements, SAMPLE).flatMap((element) => {
      const one = (kind: Mutant["kind"], ...by: readonly string[]) => elementMutant(nft, set, element, kind, by) ?? [];
      // A map has each key once.
      const keys = new Set(set.elements.map((one) => splitValue(set, one)[0]));
      const more = changes(set, element, beside(interfaces, random)).filter((by) => !keys.has(splitValue(set, by)[0]));
      // Only an interval can be wider than one value.
      const wide = set.interval ? changes(set, element, widened) : [];
      return [
        one("element-less"),
        ...more.map((by) => one("element-more", element, by)),
        ...wide.map((by) => one("element-wide", by)),
        ...elsewhere(set, element).map((by) => one("element-elsewhere", by)),
      ].flat();
    }),
  );
}
