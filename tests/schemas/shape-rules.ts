/**
 * Walks a shape beside a document that has one of everything, and gives one broken copy per rule: wrong type, each
 * bound, each pattern and check, each missing and unknown key. So a rule without a violating case cannot be added.
 */

/** The part of valibot's run-time objects that the walk reads. */
type Shape = {
  readonly type: string;
  readonly kind: string;
  readonly message?: unknown;
  readonly requirement?: unknown;
  readonly pipe?: readonly Shape[];
  readonly wrapped?: Shape;
  readonly item?: Shape;
  readonly entries?: Readonly<Record<string, Shape>>;
};

export type Broken = {
  readonly rule: string; // "zones[].kind: picklist"
  readonly path: readonly (string | number)[]; // where the refusal must point
  readonly document: unknown;
};

/** A text that each pattern or check refuses although it is a text of its type; keyed by the rule's sentence. */
const REFUSED: Readonly<Record<string, unknown>> = {
  "must be a name: a lower-case letter, then up to 30 of a-z, 0-9 and -": "No Name",
  "must be an interface name of 1 to 15 characters": "sixteen-letters0",
  "must be an interface name or absent": "sixteen-letters0",
  "must be an IPv4 or IPv6 address in canonical form (no leading zeros, lower case)": "FE80::1",
  "must be an IPv4 address": "fe80::1",
  "must be address/length in canonical form, for example 10.0.0.1/24": "10.0.0.1/33",
  "must be a prefix with zero host bits in canonical form, for example 10.0.0.0/24": "10.0.0.1/24",
  "must be an address or a prefix": "10.0.0.1/24",
  "must be an address or absent": "nowhere",
  "must be a prefix or absent": "fd00::1/48",
  "must be host:port, for example vpn.example.net:51820": "vpn.example.net",
  "must end in a port up to 65535": "vpn.example.net:65536",
  "must be an address, or a network id for a handshake probe": "No Name",
  "must be a WireGuard public key: 44 base64 characters": `${"A".repeat(42)}B=`,
  "must be 64 lower-case hex digits": "A".repeat(64),
  "must be 64 lower-case hex digits or absent": "a".repeat(63),
  "must be printable ASCII": "caf\u00e9",
  "must be a date like 2026-11-24 or absent": "24.11.2026",
  "must be 0 or from 1280 to 1420": 1279,
  'must name foreign rules: "inet fw4", "iptables filter", "xdp wan0" or "tc wan0"': "inet holdfast",
};

const OTHER_TYPE: Readonly<Record<string, unknown>> = {
  string: 7,
  number: "7",
  boolean: "true",
  array: "a",
  strict_object: "a",
  union: ["a"],
  picklist: "no-such-word",
  literal: 2,
};

/** A copy of a document with another value at a path; `undefined` removes the key. */
function withValue(document: unknown, path: readonly (string | number)[], value: unknown): unknown {
  const [segment, ...rest] = path;
  if (segment === undefined) return value;
  if (Array.isArray(document)) {
    return document.map((item: unknown, i) => (i === segment ? withValue(item, rest, value) : item));
  }
  const object = { ...(document as Record<string, unknown>) };
  const next = withValue(object[segment], rest, value);
  if (next === undefined) delete object[segment];
  else object[segment] = next;
  return object;
}

function valueAt(document: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((value, segment) => (value as Record<string | number, unknown>)[segment], document);
}

/** Values that one action of a pipe refuses. */
function refusedBy(action: Shape, value: unknown): unknown {
  const bound = action.requirement as number;
  switch (action.type) {
    case "min_value":
      return bound - 1;
    case "max_value":
      return bound + 1;
    case "integer":
      return Number(value) + 0.5;
    case "min_length":
      return [];
    case "max_length":
      return Array.isArray(value) ? Array.from({ length: bound + 1 }, () => value[0]) : "a".repeat(bound + 1);
    case "regex":
    case "check":
      return REFUSED[String(action.message)];
    default:
      throw new Error(`no violating value for the rule ${action.type}`);
  }
}

const nameOf = (path: readonly (string | number)[]): string =>
  path.map((segment) => (typeof segment === "number" ? "[]" : `.${segment}`)).join("");

/** One broken document per rule of `shape`, from a document that fits and fills every list. */
export function brokenDocuments(shape: object, document: unknown): readonly Broken[] {
  const found: Broken[] = [];
  const add = (rule: string, path: readonly (string | number)[], value: unknown): void => {
    found.push({ rule: `${nameOf(path)}: ${rule}`, path, document: withValue(document, path, value) });
  };
  const walkPipe = ([first, ...actions]: readonly Shape[], path: readonly (string | number)[]): void => {
    for (const action of actions) {
      const refused = refusedBy(action, valueAt(document, path));
      if (refused === undefined) throw new Error(`${nameOf(path)}: no violating value for "${action.message}"`);
      add(`${action.type} ${action.requirement instanceof Function ? "" : action.requirement}`, path, refused);
    }
    walk({ ...(first as Shape) }, path);
  };
  const walkPlain = (node: Shape, path: readonly (string | number)[]): void => {
    const value = valueAt(document, path);
    if (!(node.type in OTHER_TYPE)) throw new Error(`no violating value for the shape ${node.type}`);
    add(`not ${node.type}`, path, OTHER_TYPE[node.type]);
    if (node.type === "union") add("none of the union", path, REFUSED[String(node.message)]);
    if (node.type === "array") {
      if (!Array.isArray(value) || value.length === 0) throw new Error(`${nameOf(path)}: the document has no entry`);
      walk(node.item as Shape, [...path, 0]);
    }
    for (const [key, entry] of Object.entries(node.entries ?? {})) {
      if (entry.type !== "optional") add("missing", [...path, key], undefined);
      walk(entry, [...path, key]);
    }
    if (node.entries !== undefined) add("unknown key", [...path, "surplus"], 1);
  };
  const walk = (node: Shape, path: readonly (string | number)[]): void => {
    if (node.wrapped !== undefined) walk(node.wrapped, path);
    else if (node.pipe !== undefined) walkPipe(node.pipe, path);
    else walkPlain(node, path);
  };
  walk(shape as Shape, []);
  return found;
}
