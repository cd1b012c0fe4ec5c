/**
 * The owned table as nft text. A full text replaces the table in one transaction from whatever is there; a
 * delta text changes only elements. The policy epoch stays symbolic ($HF_EPOCH), the marker is the last word:
 * a text that was cut short never commits a table that carries it.
 *
 * Facts behind the shape (nft 1.0.6, reference/verification.md §2.2): declaring a set again merges elements, so
 * every set is flushed in the same transaction; base chains whose hook stays are never deleted (packets would be
 * lost); named counters are kept; a verdict map can hold a chain alive, so maps are flushed before chains go.
 */
import type { NftChain, NftSet, NftTable } from "../../schemas/desired.ts";
import { indexNft, type NftObject, sameObject, vanished } from "./nft-diff.ts";

/** Name of the one table that Holdfast owns, with its family. */
export const TABLE = "inet holdfast";

/** The set whose single element says which generation is loaded. Not part of NftTable. */
export const MARKER_SET: NftSet = {
  name: "s_marker",
  kind: "set",
  type: "mark",
  value: "",
  interval: false,
  elements: [],
};

const LINE_COLUMNS = 116;

/** Marker element of a desired digest: 0x and its first eight hex digits, as the contract of artifacts says. */
export function markerOf(digestHex: string): string {
  if (!/^[0-9a-f]{64}$/.test(digestHex)) throw new Error(`not a digest: ${digestHex}`);
  return `0x${digestHex.slice(0, 8)}`;
}

function setBlock(set: NftSet): string {
  const type = set.type.startsWith("typeof ") ? set.type : `type ${set.type}`;
  const value = set.kind === "map" ? ` : ${set.value}` : "";
  const flags = set.interval ? "\t\tflags interval\n" : "";
  return `\t${set.kind} ${set.name} {\n\t\t${type}${value}\n${flags}\t}\n`;
}

function chainHead(chain: NftChain): string {
  const { base } = chain;
  if (base === null) return "";
  return `\t\ttype ${base.type} hook ${base.hook} priority ${base.priority}; policy ${base.policy};\n`;
}

function declaration(object: NftObject): string {
  if (object.kind === "counter") return `\tcounter ${object.name} {\n\t}\n`;
  if (object.kind === "chain") return `\tchain ${object.name} {\n${chainHead(object.chain)}\t}\n`;
  return setBlock(object.set);
}

const tableBlock = (body: string): string => (body === "" ? "" : `table ${TABLE} {\n${body}}\n`);

const chainBlock = (chain: NftChain): string =>
  `\tchain ${chain.name} {\n${chainHead(chain)}${chain.rules.map((rule) => `\t\t${rule}\n`).join("")}\t}\n`;

/** Elements of one set as one statement, several on a line. */
function elementText(verb: "add" | "delete", set: string, elements: readonly string[]): string {
  if (elements.length === 0) return "";
  const lines: string[] = [];
  let line = "";
  for (const element of elements) {
    if (line !== "" && line.length + element.length + 2 > LINE_COLUMNS) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? element : `, ${element}`;
  }
  lines.push(line);
  return `${verb} element ${TABLE} ${set} {\n\t${lines.join(",\n\t")}\n}\n`;
}

/** The statement that ends every text: the generation is whole. */
const markerText = (marker: string): string => elementText("add", MARKER_SET.name, [marker]);

function checkMarker(marker: string): void {
  if (!/^0x[0-9a-f]{8}$/.test(marker)) throw new Error(`not a marker: ${marker}`);
}

/**
 * One transaction that makes the table equal `to`. `from` is the generation whose objects may be there: what `to`
 * does not have, or has with another type, hook or priority, is taken out. Without `from` the text starts from
 * an empty table or from one with the same objects. Loading a text twice changes nothing, except where an
 * object of one name changed its definition: then the second load is refused by nft as a whole.
 */
export function fullText(to: NftTable, from: NftTable | null, marker: string): string {
  checkMarker(marker);
  const wanted = indexNft(to);
  const gone = from === null ? [] : vanished(indexNft(from), wanted);
  const goneNames = new Set(gone.map((object) => `${object.space} ${object.name}`));
  const redefined = [...wanted.values()].filter((object) => goneNames.has(`${object.space} ${object.name}`));
  const kept = [...wanted.values()].filter((object) => !goneNames.has(`${object.space} ${object.name}`));
  // Declaring what goes makes its deletion right whether or not it is still there.
  const first = [...kept, ...gone];
  const flushes = first
    .filter((object) => object.kind === "set")
    .map((object) => `flush ${object.set.kind} ${TABLE} ${object.name}\n`);
  // Sets before chains: an object must not be referenced when it goes.
  const order = ["set", "chain", "counter"];
  const deletions = [...gone]
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
    .map((object) => `delete ${object.kind === "set" ? object.set.kind : object.kind} ${TABLE} ${object.name}\n`);
  return [
    tableBlock(setBlock(MARKER_SET)),
    `flush set ${TABLE} ${MARKER_SET.name}\n`,
    tableBlock(first.map(declaration).join("")),
    `flush table ${TABLE}\n`,
    ...flushes,
    ...deletions,
    tableBlock(redefined.map(declaration).join("")),
    tableBlock(to.chains.map(chainBlock).join("")),
    ...to.sets.map((set) => elementText("add", set.name, set.elements)),
    markerText(marker),
  ].join("");
}

/** The artifact ruleset.nft: a full text that knows no older generation. */
export function rulesetText(nft: NftTable, marker: string): string {
  return fullText(nft, null, marker);
}

/** Key of a map's element text; a set's element is its own key. */
export function elementKey(set: NftSet, element: string): string {
  if (set.kind === "set") return element;
  const cut = element.indexOf(" : ");
  if (cut < 0) throw new Error(`element of map ${set.name} without a value: ${element}`);
  return element.slice(0, cut);
}

/**
 * One transaction of element deletes and adds; null when anything else than elements differs. A changed map
 * value is a delete and an add. The text needs the table as `from` left it, under the same epoch.
 */
export function deltaText(from: NftTable, to: NftTable, markerFrom: string, markerTo: string): string | null {
  checkMarker(markerFrom);
  checkMarker(markerTo);
  if (!sameStructure(from, to)) return null;
  const before = new Map(from.sets.map((set) => [set.name, set]));
  const deletions: string[] = [];
  const additions: string[] = [];
  for (const set of to.sets) {
    const old = new Set(before.get(set.name)!.elements);
    const next = new Set(set.elements);
    const out = [...old].filter((element) => !next.has(element)).map((element) => elementKey(set, element));
    deletions.push(elementText("delete", set.name, out));
    additions.push(
      elementText(
        "add",
        set.name,
        set.elements.filter((element) => !old.has(element)),
      ),
    );
  }
  if (markerFrom !== markerTo) {
    deletions.push(elementText("delete", MARKER_SET.name, [markerFrom]));
    additions.push(markerText(markerTo));
  }
  return [...deletions, ...additions].join("");
}

/** True when two tables differ in elements at most: same counters, chains, rules and set definitions. */
export function sameStructure(from: NftTable, to: NftTable): boolean {
  const before = indexNft(from);
  const after = indexNft(to);
  if (before.size !== after.size) return false;
  for (const [key, object] of after) {
    const old = before.get(key);
    if (old === undefined || !sameObject(old, object)) return false;
    if (object.kind === "chain" && old.kind === "chain" && chainBlock(object.chain) !== chainBlock(old.chain))
      return false;
  }
  return true;
}
