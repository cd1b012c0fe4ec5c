/** The objects of an owned table by name, and which of them cannot be kept in place. */
import type { NftChain, NftSet, NftTable } from "../../schemas/desired.ts";

/** Sets and maps share one name space in the kernel. */
export type NftObject =
  | { readonly kind: "counter"; readonly space: "counter"; readonly name: string }
  | { readonly kind: "set"; readonly space: "set"; readonly name: string; readonly set: NftSet }
  | { readonly kind: "chain"; readonly space: "chain"; readonly name: string; readonly chain: NftChain };

// A letter or two before the underscore keeps every name clear of nft's reserved words (fwd, dup, limit).
const NAME = /^[a-z]{1,2}_[A-Za-z0-9_]{1,120}$/;

function checkText(text: string, where: string): void {
  if (/[\n\r;]/.test(text) || text.trim() !== text || text === "") {
    throw new Error(`nft text of ${where} is not one statement: ${JSON.stringify(text)}`);
  }
}

/** Every object by "space name" in declaration order. Throws on names or texts that compile() must not make. */
export function indexNft(nft: NftTable): ReadonlyMap<string, NftObject> {
  const objects: NftObject[] = [
    ...nft.counters.map((name): NftObject => ({ kind: "counter", space: "counter", name })),
    ...nft.chains.map((chain): NftObject => ({ kind: "chain", space: "chain", name: chain.name, chain })),
    ...nft.sets.map((set): NftObject => ({ kind: "set", space: "set", name: set.name, set })),
  ];
  const index = new Map<string, NftObject>();
  for (const object of objects) {
    const key = `${object.space} ${object.name}`;
    if (!NAME.test(object.name) || object.name === "s_marker") throw new Error(`illegal nft name: ${object.name}`);
    if (index.has(key)) throw new Error(`nft name used twice: ${key}`);
    if (object.kind === "chain") for (const rule of object.chain.rules) checkText(rule, key);
    if (object.kind === "set") for (const element of object.set.elements) checkText(element, key);
    index.set(key, object);
  }
  return index;
}

const hookText = (chain: NftChain): string =>
  chain.base === null ? "" : `${chain.base.type} ${chain.base.hook} ${chain.base.priority}`;

/** Same definition, so that the object can stay: elements, rules and policy change in place. */
export function sameObject(a: NftObject, b: NftObject): boolean {
  if (a.kind === "chain" && b.kind === "chain") return hookText(a.chain) === hookText(b.chain);
  if (a.kind === "set" && b.kind === "set") {
    return (
      a.set.kind === b.set.kind &&
      a.set.type === b.set.type &&
      a.set.value === b.set.value &&
      a.set.interval === b.set.interval
    );
  }
  return a.kind === b.kind;
}

/** Objects of the older generation that the newer one lacks or defines differently, in the older one's order. */
export function vanished(
  from: ReadonlyMap<string, NftObject>,
  to: ReadonlyMap<string, NftObject>,
): readonly NftObject[] {
  return [...from].flatMap(([key, object]) => {
    const next = to.get(key);
    return next !== undefined && sameObject(object, next) ? [] : [object];
  });
}

/** One sentence for every base chain that moves or goes: its old hook may drop a packet while it leaves. */
export function disruptions(from: NftTable | null, to: NftTable): readonly string[] {
  if (from === null) return [];
  const after = new Map(to.chains.map((chain) => [chain.name, chain]));
  return from.chains.flatMap((old) => {
    if (old.base === null) return [];
    const next = after.get(old.name);
    const now = next === undefined ? "" : hookText(next);
    if (now === hookText(old)) return [];
    return [`nft chain ${old.name} leaves ${hookText(old)} for ${now || "no hook"}; packets may be lost there`];
  });
}
