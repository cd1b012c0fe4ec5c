/**
 * The short form of contracts, for people: `guest -> lan`, `wan -> router: [wireguard, rescue]`,
 * `client alice -> 10.0.1.5 tcp/443`, `lan -> internet v4`. The long form is what is signed.
 */
import { prefixWord } from "./contract-words.ts";
import type { PortRange } from "./intent.ts";

/** A packet space in words: from, to, services and families. */
export type Asked = {
  readonly from: string;
  readonly to: string;
  readonly services: readonly string[];
  readonly ports: readonly PortRange[];
  readonly v4: boolean;
  readonly v6: boolean;
  /** Whether a list was there at all, be it empty. */
  readonly listed: boolean;
};

/** What is wrong with a text, as a sentence. */
export type Misread = { readonly wrong: string };

const KIND_WORDS = ["zone", "network", "client", "profile"];
const NAME = /^[a-z][a-z0-9-]{0,30}$/;
const EXAMPLE = 'write it as "guest -> lan" or "client alice -> 10.0.1.5 tcp/443"';

function portOf(word: string): PortRange | Misread | undefined {
  if (word === "icmp") return { protocol: "icmp", from: 0, to: 0 };
  const found = /^(tcp|udp)\/(\d{1,5})(?:-(\d{1,5}))?$/.exec(word);
  if (found === null)
    return word.includes("/") && prefixWord(word) === undefined ? { wrong: portsWrong(word) } : undefined;
  const [from, to] = [Number(found[2]), Number(found[3] ?? found[2])];
  if (from < 1 || to < from || to > 65535) return { wrong: portsWrong(word) };
  return { protocol: found[1] as "tcp" | "udp", from, to };
}

const portsWrong = (word: string): string => `${word} is no port: write tcp/443 or udp/30000-30099`;

/** Words of one side from the front of a list; undefined when there is none. */
function takeSide(words: string[]): string | undefined {
  const first = words.shift();
  if (first === undefined) return undefined;
  const next = words[0];
  if (!KIND_WORDS.includes(first) || next === undefined || !NAME.test(next)) return first;
  words.shift();
  return `${first} ${next}`;
}

const isSide = (text: string): boolean =>
  prefixWord(text) !== undefined || /^((zone|network|client|profile) )?[a-z][a-z0-9-]{0,30}$/.test(text);

/** Reads the short form. */
export function readShort(text: string): Asked | Misread {
  const arrow = text.split(/\s*->\s*/);
  if (arrow.length !== 2)
    return { wrong: `"${text}" has ${arrow.length < 2 ? "no" : "more than one"} "->": ${EXAMPLE}` };
  const [left, right] = arrow.map((side) => side.trim()) as [string, string];
  const listed = /\[.*\]\s*$/.test(right);
  // A colon may stand before the services; one inside an IPv6 address has no blank behind it.
  const words = right
    .replace(/:(\s|$)/, " ")
    .replace(/[[\],]/g, " ")
    .split(/\s+/)
    .filter((word) => word !== "");
  const to = takeSide(words);
  if (left === "" || to === undefined) return { wrong: `"${text}" lacks a side: ${EXAMPLE}` };
  for (const side of [left, to]) {
    if (!isSide(side)) return { wrong: `${side} is no name, router, internet, address or prefix: ${EXAMPLE}` };
  }
  const services: string[] = [];
  const ports: PortRange[] = [];
  const families = new Set<string>();
  for (const word of words) {
    const port = portOf(word);
    if (word === "v4" || word === "v6") families.add(word);
    else if (port !== undefined && "wrong" in port) return port;
    else if (port !== undefined) ports.push(port);
    else if (NAME.test(word)) services.push(word);
    else return { wrong: `${word} is no service and no port: name a service of the intent, or write tcp/443` };
  }
  const both = families.size !== 1;
  const [v4, v6] = [both || families.has("v4"), both || families.has("v6")];
  return { from: left, to, services, ports, v4, v6, listed: listed || services.length + ports.length > 0 };
}

/** An id for a contract that has none: its words, cut to what a name may be; `taken` are those before it. */
export function idOf(kind: string, { from, to, services, ports }: Asked, taken: ReadonlySet<string>): string {
  const words = [kind, from, to, ...services, ...ports.map((port) => `${port.protocol}${port.from || ""}`)];
  const slug = words
    .join("-")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/-+$/, "");
  const whole = slug.slice(0, 31).replace(/-+$/, "");
  for (let n = 2, id = whole; ; n += 1) {
    if (!taken.has(id)) return id;
    id = `${whole.slice(0, 31 - String(n).length - 1)}-${n}`;
  }
}
