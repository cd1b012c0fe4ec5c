/** A rule's text cut into its parts, so that each can be left out or changed alone. */

/** "match": a condition; "act": everything else, verdicts and statements. */
export type Part = { readonly kind: "match" | "act"; readonly text: string };

const KEY =
  "(?:iifname|oifname|ip6? [sd]addr|ip6 hoplimit|(?:tcp|udp|th) [sd]port|icmp(?:v6)? type|meta (?:nfproto|l4proto)|ct (?:state|direction)|ct original ip daddr|fib [sd]addr type)";
const KEYS = `${KEY}(?: \\. ${KEY})*`;
const PARTS: readonly (readonly [Part["kind"], RegExp])[] = [
  ["act", new RegExp(`^${KEYS} vmap @\\w+`)],
  ["match", new RegExp(`^${KEYS} (?:[!=]= )?(?:\\{[^}]*\\}|\\S+)`)],
  ["match", /^ct status dnat/],
  ["match", /^ct mark (?:& \S+ [!=]= \S+|0x\w+)/],
  ["match", /^tcp flags (?:& \([^)]*\) [!=]= \S+|\S+ \/ \S+)/],
  ["match", /^limit rate \S+/],
  ["act", /^counter name \S+/],
  ["act", /^notrack/],
  ["act", /^(?:accept|drop|return)\b/],
  ["act", /^(?:goto|jump) \w+/],
  // What takes the rest of a rule.
  ["act", /^(?:ct mark set|meta mark set|masquerade|dnat|snat|tcp option) ?.*/],
];

/** The parts in order; joined with blanks they are the rule again. Throws on a text that no compile makes. */
export function partsOf(rule: string): readonly Part[] {
  const parts: Part[] = [];
  for (let rest = rule; rest !== ""; ) {
    const found = PARTS.map(([kind, pattern]) => ({ kind, text: pattern.exec(rest)?.[0] })).find(({ text }) => text);
    if (found?.text === undefined) throw new Error(`no part of a rule: ${rest}`);
    parts.push({ kind: found.kind, text: found.text });
    rest = rest.slice(found.text.length).trimStart();
  }
  return parts;
}

export const joined = (parts: readonly Part[]): string => parts.map((part) => part.text).join(" ");
