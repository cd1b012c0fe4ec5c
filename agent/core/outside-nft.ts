/** Reads `nft -t -j list ruleset`: the chains that are not ours, and one canonical line for each of their objects. */
import type { ForeignChain } from "./outside-drops.ts";
import { fieldsOf } from "./outside-match.ts";

type Fields = Readonly<Record<string, unknown>>;

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** Without what counts, expires or is numbered by the kernel; keys in one order. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  const fields = fieldsOf(value);
  if (fields === undefined) return value;
  const kept = Object.keys(fields)
    .filter((key) => !["handle", "packets", "bytes", "used", "expires", "last", "elem", "index"].includes(key))
    .sort();
  return Object.fromEntries(kept.map((key) => [key, plain(fields[key])]));
}

const isOwn = (kind: string, fields: Fields): boolean =>
  fields.family === "inet" && text(kind === "table" ? fields.name : fields.table) === "holdfast";

/** Objects of a listing as [kind, fields], without ours. Undefined when it is not such a listing. */
function objectsOf(listing: string): readonly (readonly [string, Fields])[] | undefined {
  let document: unknown;
  try {
    document = JSON.parse(listing);
  } catch {
    return undefined;
  }
  const list = fieldsOf(document)?.nftables;
  if (!Array.isArray(list)) return undefined;
  return list.flatMap((entry) => {
    const [kind, value] = Object.entries(fieldsOf(entry) ?? {})[0] ?? [];
    const fields = fieldsOf(value);
    if (kind === undefined || fields === undefined || kind === "metainfo" || isOwn(kind, fields)) return [];
    return [[kind, fields] as const];
  });
}

const tableOf = (fields: Fields): string => `${text(fields.family)} ${text(fields.table)}`;

const devicesOf = (dev: unknown): readonly string[] =>
  (Array.isArray(dev) ? dev : [dev]).filter((one): one is string => typeof one === "string");

export type ForeignTables = {
  readonly chains: readonly ForeignChain[];
  readonly lines: readonly string[]; // "nft inet fw4 rule input {…}", in the order of the listing
};

/** The foreign part of a listing; undefined when the text is none. */
export function readTables(listing: string): ForeignTables | undefined {
  const objects = objectsOf(listing);
  if (objects === undefined) return undefined;
  const rulesOf = new Map<string, (readonly unknown[])[]>();
  for (const [kind, fields] of objects) {
    if (kind !== "rule") continue;
    const place = `${tableOf(fields)} ${text(fields.chain)}`;
    const rules = rulesOf.get(place) ?? [];
    rules.push(Array.isArray(fields.expr) ? fields.expr : [undefined]);
    rulesOf.set(place, rules);
  }
  const chains = objects.flatMap(([kind, fields]) => {
    if (kind !== "chain") return [];
    const rules = rulesOf.get(`${tableOf(fields)} ${text(fields.name)}`) ?? [];
    return [
      {
        ...{ table: tableOf(fields), family: text(fields.family), name: text(fields.name), rules },
        ...{ hook: text(fields.hook), type: text(fields.type), policy: text(fields.policy) },
        ...{ priority: typeof fields.prio === "number" ? fields.prio : 0, devices: devicesOf(fields.dev) },
      },
    ];
  });
  const lines = objects.map(([kind, fields]) => {
    const { family: _, table: __, name, chain, ...rest } = fields;
    const where = kind === "table" ? `${text(fields.family)} ${text(name)}` : tableOf(fields);
    const own = kind === "table" ? "" : ` ${kind} ${text(name) || text(chain)}`;
    return `nft ${where}${own} ${JSON.stringify(plain(rest))}`;
  });
  return { chains, lines };
}
