/**
 * Reads proto/*.proto into plain data and holds them to the rules of the wire: no map, group, Any, float,
 * oneof, proto3 `optional` or service; an enum starts with its refused `..._UNSPECIFIED = 0` and has no gaps.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";

export type FieldType = "string" | "bytes" | "bool" | "uint32" | "uint64" | "enum" | "message";

export type Field = {
  readonly number: number;
  readonly key: string; // as in the .proto: network_id
  readonly name: string; // as in the generated classes: networkId
  readonly type: FieldType;
  readonly of?: string; // message or enum name
  readonly repeated: boolean;
  readonly packed: boolean;
};

export type EnumValue = { readonly number: number; readonly key: string; readonly word: string };

/** Everything that the .proto files declare, sorted by name, fields and values by number. */
export type Declarations = {
  readonly messages: ReadonlyMap<string, readonly Field[]>;
  readonly enums: ReadonlyMap<string, readonly EnumValue[]>;
};

const SCALARS = new Set<string>(["string", "bytes", "bool", "uint32", "uint64"]);
const PACKABLE = new Set<string>(["bool", "uint32", "uint64", "enum"]);

export function protoFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".proto"))
    .sort()
    .map((file) => join(folder, file));
}

function fieldOf(owner: string, field: protobuf.Field): Field {
  const where = `${owner}.${field.name}`;
  field.resolve();
  if (!/^[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*$/.test(field.name)) throw new Error(`${where}: must be lower_snake_case`);
  if (field.map) throw new Error(`${where}: map fields are not allowed`);
  if (field.partOf !== null) throw new Error(`${where}: oneof and optional are not allowed`);
  const repeated = field.repeated;
  const at = {
    number: field.id,
    key: field.name,
    name: field.name.replace(/_([a-z])/g, (_, char: string) => char.toUpperCase()),
  };
  if (field.resolvedType !== null) {
    const type: FieldType = field.resolvedType instanceof protobuf.Enum ? "enum" : "message";
    return { ...at, type, of: field.resolvedType.name, repeated, packed: repeated && PACKABLE.has(type) };
  }
  if (!SCALARS.has(field.type)) throw new Error(`${where}: type ${field.type} is not allowed`);
  const type = field.type as FieldType;
  return { ...at, type, repeated, packed: repeated && PACKABLE.has(type) };
}

/** `ROLE_ROOT` of `Role` is "root"; the prefix is the enum's name in capitals. */
function valuesOf(declared: protobuf.Enum): EnumValue[] {
  const prefix = `${declared.name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()}_`;
  const values = Object.entries(declared.values)
    .map(([key, number]) => {
      if (!key.startsWith(prefix)) throw new Error(`${declared.name}.${key}: must start with ${prefix}`);
      return { number, key, word: key.slice(prefix.length).toLowerCase() };
    })
    .sort((a, b) => a.number - b.number);
  if (values[0]?.word !== "unspecified") throw new Error(`${declared.name}: value 0 must be ${prefix}UNSPECIFIED`);
  values.forEach((value, index) => {
    if (value.number !== index) throw new Error(`${declared.name}.${value.key}: values have no gaps and no aliases`);
  });
  return values;
}

/** Parses the files and refuses whatever the rules forbid, naming the declaration. */
export function readDeclarations(files: readonly string[]): Declarations {
  const messages: [string, Field[]][] = [];
  const enums: [string, EnumValue[]][] = [];
  const walk = (space: protobuf.NamespaceBase): void => {
    for (const entry of space.nestedArray) {
      if (entry instanceof protobuf.Service) throw new Error(`${entry.name}: services are not allowed`);
      if (entry instanceof protobuf.Enum) enums.push([entry.name, valuesOf(entry)]);
      else if (entry instanceof protobuf.Type) {
        if (entry.nestedArray.length > 0) throw new Error(`${entry.name}: nested declarations are not allowed`);
        const fields = entry.fieldsArray.map((field) => fieldOf(entry.name, field));
        messages.push([entry.name, fields.sort((a, b) => a.number - b.number)]);
      } else if (entry instanceof protobuf.Namespace) walk(entry);
      else throw new Error(`${entry.name}: extensions are not allowed`);
    }
  };
  const parsed = new protobuf.Root().loadSync([...files], { keepCase: true });
  parsed.resolveAll();
  walk(parsed);
  const byName = (a: readonly [string, unknown], b: readonly [string, unknown]): number => (a[0] < b[0] ? -1 : 1);
  return { messages: new Map(messages.sort(byName)), enums: new Map(enums.sort(byName)) };
}
