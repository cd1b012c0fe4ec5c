/**
 * What `holdfast verify` stands on: everything that a router, or the operator who asks it, must remember to judge a
 * file, as one JSON object. Bytes of fixed length are hex, envelopes and tokens base64, 64-bit numbers decimal text,
 * "" stands for absent.
 */
import * as v from "valibot";
import { fromHex, sha256Hex, toHex } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Problem, type Result, refuse } from "../../schemas/problem.ts";
import { Name } from "../../schemas/scalars.ts";
import type { EnrolToken } from "../../schemas/trust.ts";
import { decode } from "../../schemas/wire.ts";
import type { Crypto } from "./crypto.ts";
import { type Kind, type Opened, openStatement } from "./dsse.ts";
import type { TrustView } from "./trust.ts";

const Hex = (bytes: number) =>
  v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`), `must be ${bytes} bytes in hex`));
const OptionalHex = (bytes: number) => v.union([v.literal(""), Hex(bytes)], `must be empty or ${bytes} bytes in hex`);
const Base64 = v.pipe(v.string(), v.base64("must be base64"));
const OptionalBase64 = v.union([v.literal(""), Base64], "must be base64 or empty");
const Long = v.pipe(v.string(), v.regex(/^(0|[1-9][0-9]{0,19})$/, "must be a decimal number as text"));
const Millis = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Whole = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xffffffff));

const Shape = v.strictObject({
  format: v.literal(1),
  // Who this router is.
  network_id: Hex(16),
  router_id: Hex(16),
  incarnation: Whole,
  router: Name,
  sign_key: Hex(32), // public: what receipts, beacons and answers are signed with
  seal_seed: OptionalHex(32), // private: opens sealed secrets; without it they are refused
  // Whom it trusts.
  root: Base64,
  roots: v.array(Base64), // accepted after `root`, still without a roster of their own; ascending
  roster: OptionalBase64, // "" until the router is enrolled
  revoked: v.array(Hex(32)), // keys that took themselves back, ascending
  token: OptionalBase64, // EnrolToken of an enrolment under way
  // Where it stands.
  generation: Long, // the last one burnt
  parent: Hex(32), // statement digest of the directive that is kept, or the genesis digest
  directives: v.array(Hex(32)), // burnt ones, oldest first: the same again has its outcome already
  key_report: OptionalBase64,
  desired_format: Whole,
  trial: v.nullable(
    v.strictObject({
      directive: Hex(32),
      nonce: OptionalHex(32), // "" until the trial receipt reveals it
      deadline_ms: Millis, // CLOCK_BOOTTIME
      boot_id: Hex(16),
    }),
  ),
  log: v.strictObject({
    index: Long,
    head: Hex(32), // zeros when the log is empty
    known: v.array(v.strictObject({ index: Long, digest: Hex(32) })), // ascending
  }),
  // What makes a directive fresh, by CLOCK_BOOTTIME of this boot.
  boot_id: Hex(16),
  challenges: v.array(v.strictObject({ challenge: Hex(32), at_ms: Millis })),
  beacons: v.array(v.strictObject({ digest: Hex(32), at_ms: Millis })),
  // What the operator asked last; an answer must be the answer to it.
  request: OptionalBase64,
});

export type VerifyState = v.InferOutput<typeof Shape>;

/** The state with its documents opened. */
export type Held = {
  readonly state: VerifyState;
  readonly root: Opened<"root">;
  readonly view: TrustView | null; // null until enrolled
  readonly keys: Opened<"key-report"> | null;
  readonly token: EnrolToken | null;
  readonly asked: Opened<"request"> | null;
};

/** When the file is judged: CLOCK_BOOTTIME in ms. The wall clock is there so that tests can show that it decides nothing. */
export type When = { readonly bootMs: number; readonly unixS: number | null };

export type Verdict = {
  readonly code: string; // "" when accepted, else the code of the first problem
  readonly problems: readonly Problem[];
  readonly state: VerifyState;
};

/** What every judge is given. */
export type Bench = { readonly crypto: Crypto; readonly held: Held; readonly bootMs: number };
export type Judge = (bench: Bench, bytes: Uint8Array) => Result<VerifyState>;

export const bytesOf = (hex: string): Uint8Array => fromHex(hex) ?? new Uint8Array();
export const fromText = (base64: string): Uint8Array => Uint8Array.fromBase64(base64);
export const toText = (bytes: Uint8Array): string => bytes.toBase64();

/** Keys sorted at every level, no white space: one text for one state. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(",")}}`;
}

/** The canonical JSON of a state, closed by a line feed. */
export const stateText = (state: VerifyState): string => `${canonical(state)}\n`;

/** SHA-256 of the canonical JSON, without the line feed; 64 hex digits. */
export const stateDigest = (state: VerifyState): string => sha256Hex(canonical(state));

/** Reads a state in any JSON layout. Code cli.verify_state. */
export function parseState(text: string): Result<VerifyState> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse("cli.verify_state", "state.json", "not JSON");
  }
  const checked = v.safeParse(Shape, value, { abortEarly: true });
  if (checked.success) return done(checked.output);
  const [issue] = checked.issues;
  return refuse("cli.verify_state", v.getDotPath(issue) ?? "state.json", issue.message);
}

function optional<K extends Kind>(crypto: Crypto, kind: K, base64: string): Result<Opened<K> | null> {
  return base64 === "" ? done(null) : openStatement(crypto, kind, fromText(base64));
}

/** Opens the documents of a state: its owner wrote them, so only signatures and shapes are looked at again. */
export function openState(crypto: Crypto, state: VerifyState): Result<Held> {
  const root = openStatement(crypto, "root", fromText(state.root));
  if (!root.ok) return root;
  const roster = optional(crypto, "roster", state.roster);
  if (!roster.ok) return roster;
  const keys = optional(crypto, "key-report", state.key_report);
  if (!keys.ok) return keys;
  const asked = optional(crypto, "request", state.request);
  if (!asked.ok) return asked;
  const token = state.token === "" ? done(null) : decode("EnrolToken", fromText(state.token));
  if (!token.ok) return token;
  const revoked = state.revoked.map(bytesOf);
  const view = roster.value === null ? null : { root: root.value, roster: roster.value, revoked };
  return done({ state, root: root.value, view, keys: keys.value, token: token.value, asked: asked.value });
}

/** A burnt directive that is remembered pushes the oldest out, as in the agent's store. */
const DIRECTIVES = 64;

export const remembered = (directives: readonly string[], digest: Uint8Array): string[] =>
  [...directives, toHex(digest)].slice(-DIRECTIVES);

/** Log entries whose digests are kept; a directive cites a recent one. */
export const KNOWN_ENTRIES = 256;

export const isLive = (state: VerifyState, challenge: string, bootMs: number): boolean =>
  state.challenges.some((one) => one.challenge === challenge && bootMs < one.at_ms + limits.challengeAgeS * 1000);
