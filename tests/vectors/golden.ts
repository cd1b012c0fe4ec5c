/**
 * Golden bytes: one valid statement and one blob of every kind as a release wrote them. Written once for each version
 * and never again: a later release must still read them, to the same values.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Kind, Opened } from "../../agent/core/dsse.ts";
import { sha256Hex } from "../../schemas/digest.ts";
import type { MessageName } from "../../schemas/wire.ts";
import * as bases from "./bases.ts";
import * as world from "./world.ts";

export type Golden = {
  readonly kind: Kind | "blob";
  readonly message: MessageName | ""; // of a blob
  readonly digest: string; // statement digest, or SHA-256 of the blob
  readonly signers: readonly string[];
  readonly value: object; // what it says: bytes in hex, 64-bit numbers as decimal text
  readonly base64: string;
};

/** A decoded message as plain JSON. */
export function plainOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.toHex();
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plainOf(one)]));
}

const statement = ({ kind, digest, signers, message, envelope }: Opened<Kind>): Golden => ({
  kind,
  message: "",
  digest: digest.toHex(),
  signers: signers.map((key) => key.toHex()),
  value: plainOf(message) as object,
  base64: envelope.toBase64(),
});
const blob = (message: MessageName, value: unknown, bytes: Uint8Array): Golden => ({
  kind: "blob",
  message,
  digest: sha256Hex(bytes),
  signers: [],
  value: plainOf(value) as object,
  base64: bytes.toBase64(),
});

/** What this version would write. */
export function goldenNow(): readonly Golden[] {
  const { signed } = world;
  return [
    ...[world.root1, bases.root2, world.roster2, bases.roster3, bases.directiveBase].map(statement),
    statement(signed("confirm", bases.confirm(), "ann")),
    ...[world.logHead, world.keyReport, world.enrolRequest].map(statement),
    statement(signed("operator-card", bases.card(), "eve", "eve root")),
    statement(signed("self-revoke", bases.selfRevoke(), "bob")),
    ...[world.beacon, bases.requestBase].map(statement),
    statement(signed("answer", bases.answer(), "router")),
    blob("Intent", bases.intentWith(), bases.intentBlob),
    blob("Inventory", bases.inventoryWith(bases.phone), bases.inventoryBlob),
    blob("Secrets", { secrets: [bases.sealed()] }, bases.baseSecrets),
    blob("Secret", bases.secret(), bases.secretBytes),
    blob("EnrolToken", world.token, Uint8Array.fromBase64(bases.tokenText)),
    blob("Bundle", bases.bundleMessage(), bases.bundle()),
  ];
}

export const goldenFolder: string = join(import.meta.dir, "golden");

/** The lines of every version, with the file that they are from. */
export function readGolden(): readonly (Golden & { readonly file: string })[] {
  return readdirSync(goldenFolder)
    .filter((file) => file.endsWith(".jsonl"))
    .flatMap((file) =>
      readFileSync(join(goldenFolder, file), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => ({ ...(JSON.parse(line) as Golden), file })),
    );
}
