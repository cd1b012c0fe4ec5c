/**
 * The corpus as files: one JSON line for each vector. Bytes over 16 KiB are not in the file but made again by the
 * program that made them, and held by their SHA-256.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../schemas/digest.ts";
import type { Vector } from "./vector.ts";
import * as bundle from "./vectors-bundle.ts";
import * as enrol from "./vectors-enrol.ts";
import * as keys from "./vectors-keys.ts";
import * as place from "./vectors-place.ts";
import * as report from "./vectors-report.ts";
import * as shape from "./vectors-shape.ts";
import * as trust from "./vectors-trust.ts";
import * as wire from "./vectors-wire.ts";

const HELD_BYTES = 16 * 1024;

/** Vectors by the file that they stand in. */
export const files: Readonly<Record<string, readonly Vector[]>> = {
  wire: [...wire.sizeVectors, ...wire.fieldVectors, ...wire.formVectors],
  shape: [...shape.shapeVectors, ...shape.kindVectors, ...shape.signatureVectors],
  keys: [...keys.keyVectors, ...keys.signerVectors],
  trust: [...trust.thresholdVectors, ...trust.chainVectors],
  place: [...place.audienceVectors, ...place.placeVectors, ...place.freshVectors, ...place.confirmVectors],
  bundle: [...bundle.bundleVectors, ...bundle.secretVectors],
  report: [...report.answerVectors, ...report.logVectors, ...report.routerVectors],
  enrol: [...enrol.enrolVectors, ...enrol.requestVectors],
};

export const made: readonly Vector[] = Object.values(files).flat();

type Line = Omit<Vector, "bytes" | "state" | "bootMs"> & {
  readonly state?: Vector["state"];
  readonly boot_ms?: number;
  readonly sha256: string;
  readonly base64?: string; // absent: large
};

export function lineOf({ name, kind, from, mutation, code, bytes, state, bootMs }: Vector): string {
  const line: Line = {
    ...{ name, kind, from, mutation, code },
    ...(state === undefined ? {} : { state }),
    ...(bootMs === undefined ? {} : { boot_ms: bootMs }),
    sha256: sha256Hex(bytes),
    ...(bytes.length > HELD_BYTES ? {} : { base64: bytes.toBase64() }),
  };
  return JSON.stringify(line);
}

/** The vector of a line of the corpus. Throws when its bytes are not those that the line names. */
export function vectorOf(text: string): Vector {
  const line = JSON.parse(text) as Line;
  const bytes =
    line.base64 === undefined ? made.find((one) => one.name === line.name)?.bytes : Uint8Array.fromBase64(line.base64);
  if (bytes === undefined || sha256Hex(bytes) !== line.sha256) throw new Error(`${line.name}: not its bytes`);
  const { name, kind, from, mutation, code, state, boot_ms } = line;
  return {
    ...{ name, kind, from, mutation, code, bytes },
    ...(state === undefined ? {} : { state }),
    ...(boot_ms === undefined ? {} : { bootMs: boot_ms }),
  };
}

export const folder: string = join(import.meta.dir, "corpus");

/** Every vector as the files have it. */
export function readCorpus(): readonly Vector[] {
  return Object.keys(files).flatMap((file) =>
    readFileSync(join(folder, `${file}.jsonl`), "utf8")
      .trimEnd()
      .split("\n")
      .map(vectorOf),
  );
}
