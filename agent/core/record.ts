/**
 * The state record as text, read by the agent and by sh with one rule: of two files, the valid one with the higher
 * counter. Lines of key=value in a fixed order, closed by the SHA-256 of every byte before that line.
 *
 * Versions: a release may add lines after the known ones, and must do without them, since the release before drops them
 * when it writes. The number of the format changes only when the meaning of a known line does; a record of another
 * format counts as damaged, so the router boots the rescue ruleset and its agent finds its place in its log.
 */
import { sha256Hex } from "../../schemas/digest.ts";

/** A generation that the record names. Digests are 64 hex digits. */
export type RecordedGeneration = {
  readonly desired: string; // names the artifact folder
  readonly manifest: string;
  readonly generation: bigint;
  readonly directive: string;
};

export type RecordedTrial = RecordedGeneration & {
  readonly epoch: number;
  readonly token: string; // [0-9A-Za-z_-]+
  readonly deadlineMs: number; // CLOCK_BOOTTIME of that boot
  readonly boot: string; // boot id, 32 hex digits
};

export type StateRecord = {
  readonly counter: number; // 1 up
  readonly root: string; // newest accepted trust documents, by digest; "" when none
  readonly roster: string;
  readonly keys: string;
  readonly generation: bigint; // highest one burnt
  readonly lkg: RecordedGeneration | null; // null: nothing of ours
  /** The epoch in force outside a trial; outlives a missing LKG, so that no epoch is used twice. */
  readonly lkgEpoch: number;
  readonly trial: RecordedTrial | null;
  readonly logIndex: number; // entries in the log
  readonly logHead: string; // digest of the newest; "" when none
  /** Directive of the newest kept generation that enough people for a sensitive change signed; "" when none. */
  readonly quorum: string;
};

const KEYS = [
  ...["format", "counter", "root", "roster", "keys", "generation"],
  ...["lkg", "lkg_manifest", "lkg_generation", "lkg_directive", "lkg_epoch"],
  ...["trial", "trial_manifest", "trial_generation", "trial_directive", "trial_epoch", "trial_token"],
  ...["trial_deadline_ms", "trial_boot", "log_index", "log_head", "quorum"],
] as const;

/** Lines of a record at most; the script reads no more either. */
const LINES_MAX = 64;
/** What a later release may have to say. */
const LATER = /^[a-z][a-z0-9_]*=[ -~]*$/;

const orDash = (text: string): string => (text === "" ? "-" : text);

/** The canonical text of a record. Throws on values that have no place in one. */
export function recordText(record: StateRecord): string {
  const { lkg, trial } = record;
  const values: readonly (string | number | bigint)[] = [
    ...[1, record.counter, orDash(record.root), orDash(record.roster), orDash(record.keys), record.generation],
    ...[lkg?.desired ?? "-", lkg?.manifest ?? "-", lkg?.generation ?? "-", lkg?.directive ?? "-", record.lkgEpoch],
    ...[trial?.desired ?? "-", trial?.manifest ?? "-", trial?.generation ?? "-", trial?.directive ?? "-"],
    ...[trial?.epoch ?? "-", trial?.token ?? "-", trial?.deadlineMs ?? "-", trial?.boot ?? "-"],
    ...[record.logIndex, orDash(record.logHead), orDash(record.quorum)],
  ];
  const body = KEYS.map((key, i) => `${key}=${values[i]}\n`).join("");
  const text = `${body}sha256=${sha256Hex(body)}\n`;
  if (parseRecord(text) === undefined) throw new Error(`not a record: ${body}`);
  return text;
}

class Unfit extends Error {}

function need(text: string | undefined, pattern: RegExp): string {
  if (text === undefined || !pattern.test(text)) throw new Unfit();
  return text;
}

const DIGEST = /^[0-9a-f]{64}$/;
const COUNT = /^(0|[1-9][0-9]{0,14})$/; // sh compares up to 15 digits
const LONG = /^(0|[1-9][0-9]{0,19})$/;

const digest = (text: string | undefined): string => need(text, DIGEST);
const digestOrDash = (text: string | undefined): string => (text === "-" ? "" : digest(text));
const count = (text: string | undefined): number => Number(need(text, COUNT));

function epochOf(text: string | undefined): number {
  const epoch = count(text);
  if (epoch > 0xffff) throw new Unfit();
  return epoch;
}

function long(text: string | undefined): bigint {
  const value = BigInt(need(text, LONG));
  if (value >= 1n << 64n) throw new Unfit();
  return value;
}

type Words = ReadonlyMap<string, string>;

function generationOf(words: Words, prefix: "lkg" | "trial", others: readonly string[]): RecordedGeneration | null {
  const fields = ["manifest", "generation", "directive", ...others].map((field) => words.get(`${prefix}_${field}`));
  if (words.get(prefix) === "-") {
    for (const field of fields) need(field, /^-$/);
    return null;
  }
  const [manifest, generation, directive] = fields;
  return {
    desired: digest(words.get(prefix)),
    manifest: digest(manifest),
    generation: long(generation),
    directive: digest(directive),
  };
}

function trialOf(words: Words): RecordedTrial | null {
  const base = generationOf(words, "trial", ["epoch", "token", "deadline_ms", "boot"]);
  if (base === null) return null;
  return {
    ...base,
    epoch: epochOf(words.get("trial_epoch")),
    token: need(words.get("trial_token"), /^[0-9A-Za-z_][0-9A-Za-z_-]{0,63}$/),
    deadlineMs: count(words.get("trial_deadline_ms")),
    boot: need(words.get("trial_boot"), /^[0-9a-f]{32}$/),
  };
}

/** Reads a record; undefined when a byte of it is not as recordText, of this release or a later one, would write it. */
export function parseRecord(text: string): StateRecord | undefined {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.length > LINES_MAX) return undefined;
  const sum = lines.pop();
  const later = lines.slice(KEYS.length);
  if (lines.length < KEYS.length || !later.every((line) => LATER.test(line))) return undefined;
  if (sum !== `sha256=${sha256Hex(`${lines.join("\n")}\n`)}`) return undefined;
  const words = new Map<string, string>();
  for (const [i, key] of KEYS.entries()) {
    const line = lines[i]!;
    if (!line.startsWith(`${key}=`)) return undefined;
    words.set(key, line.slice(key.length + 1));
  }
  try {
    need(words.get("format"), /^1$/);
    return {
      counter: count(words.get("counter")),
      root: digestOrDash(words.get("root")),
      roster: digestOrDash(words.get("roster")),
      keys: digestOrDash(words.get("keys")),
      generation: long(words.get("generation")),
      lkg: generationOf(words, "lkg", []),
      lkgEpoch: epochOf(words.get("lkg_epoch")),
      trial: trialOf(words),
      logIndex: count(words.get("log_index")),
      logHead: digestOrDash(words.get("log_head")),
      quorum: digestOrDash(words.get("quorum")),
    };
  } catch (failure) {
    if (failure instanceof Unfit) return undefined;
    throw failure;
  }
}

export type ChosenRecord = { readonly record: StateRecord; readonly file: "a" | "b" };

/** The one rule of selection. `undefined` stands for a file that is not there; the writer writes the other one. */
export function chooseRecord(a: string | undefined, b: string | undefined): ChosenRecord | undefined {
  const first = a === undefined ? undefined : parseRecord(a);
  const second = b === undefined ? undefined : parseRecord(b);
  if (first === undefined) return second === undefined ? undefined : { record: second, file: "b" };
  if (second === undefined || second.counter <= first.counter) return { record: first, file: "a" };
  return { record: second, file: "b" };
}

/** The record of a router before its first directive. */
export const emptyRecord: StateRecord = {
  counter: 0,
  root: "",
  roster: "",
  keys: "",
  generation: 0n,
  lkg: null,
  lkgEpoch: 0,
  trial: null,
  logIndex: 0,
  logHead: "",
  quorum: "",
};
