/**
 * docs/wire.md: every message and enum of proto/ as a table, with the comments of the .proto files. Only lines in the
 * form of this house are read; what is declared and does not show up is an error.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { type Declarations, protoFiles, readDeclarations } from "./proto.ts";

type Row = { readonly number: number; readonly name: string; readonly type: string; readonly text: string };
type Block = { readonly kind: "message" | "enum"; readonly name: string; readonly about: string; readonly rows: Row[] };

const OPEN = /^(message|enum) (\w+) \{$/;
const FIELD = /^ {2}((?:repeated )?\w+) (\w+) = (\d+);(?: \/\/ (.*))?$/;
const VALUE = /^ {2}(\w+) = (\d+);(?: \/\/ (.*))?$/;

/** The blocks of one file, each with the comment right above it. */
function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let about: string[] = [];
  for (const line of text.split("\n")) {
    const block = blocks.at(-1);
    const [, kind, name = ""] = OPEN.exec(line) ?? [];
    const [, type = "", field = "", number = "", note = ""] = FIELD.exec(line) ?? [];
    const [, value = "", at = "", word = ""] = VALUE.exec(line) ?? [];
    if (kind === "message" || kind === "enum") blocks.push({ kind, name, about: about.join(" "), rows: [] });
    else if (number !== "") block?.rows.push({ number: Number(number), name: field, type, text: note });
    else if (at !== "") block?.rows.push({ number: Number(at), name: value, type: "", text: word });
    if (line.startsWith("//")) about.push(line.slice(2).trim());
    else about = [];
  }
  return blocks;
}

/** The lower-case word that the pages use for an enum's value. */
function wordOf(declared: Declarations, name: string, number: number): string {
  return declared.enums.get(name)?.find((value) => value.number === number)?.word ?? "";
}

function section(declared: Declarations, { kind, name, about, rows }: Block): string {
  const count = (kind === "enum" ? declared.enums : declared.messages).get(name)?.length;
  if (count !== rows.length) throw new Error(`${kind} ${name}: ${rows.length} of ${count} lines could be read`);
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const lines = rows.map(({ number, name: field, type, text }) =>
    kind === "enum"
      ? `| ${number} | ${number === 0 ? "" : wordOf(declared, name, number)} | ${number === 0 ? "refused" : cell(text)} |`
      : `| ${number} | \`${field}\` | ${type} | ${cell(text)} |`,
  );
  const head =
    kind === "enum" ? "| number | word | |\n|---|---|---|" : "| number | field | type | |\n|---|---|---|---|";
  return `### ${kind === "enum" ? "enum " : ""}${name}\n\n${about === "" ? "" : `${about}\n\n`}${head}\n${lines.join("\n")}\n`;
}

/** The page. `folder` holds the .proto files. Throws when a declared field cannot be read. */
export function wirePage(folder: string, head: string): string {
  const files = protoFiles(folder);
  const declared = readDeclarations(files);
  const parts = files.map((file) => ({ file: basename(file), blocks: blocksOf(readFileSync(file, "utf8")) }));
  const shown = parts.flatMap(({ blocks }) => blocks.map((block) => block.name));
  const lost = [...declared.messages.keys(), ...declared.enums.keys()].filter((name) => !shown.includes(name));
  if (lost.length > 0) throw new Error(`not read: ${lost.join(", ")}`);
  const text = parts.map(({ file, blocks }) => {
    return `## ${file}\n\n${blocks.map((block) => section(declared, block)).join("\n")}`;
  });
  return `# Messages on the wire\n\n${head}How they are written, signed and sealed: [bundle format](bundle-format.md). Numbers for ever: [ledger](../proto/LEDGER.md).\n\n${text.join("\n")}`;
}
