/** Bundles and their blobs: the directive is admitted, and its blobs mean what was signed. */
import { equalBytes, sha256, toHex } from "../../schemas/digest.ts";
import { intentProblems } from "../../schemas/intent-laws.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { decode, type Messages } from "../../schemas/wire.ts";
import type { Opened } from "./dsse.ts";
import { asSigned, prove } from "./prove.ts";
import { openSecret } from "./secrets.ts";
import type { TrustView } from "./trust.ts";
import { judgeBeacon } from "./verify-operator.ts";
import { admitHere } from "./verify-router.ts";
import { type Bench, bytesOf, type VerifyState } from "./verify-state.ts";

/** Sealed secrets: each box opens with the router's key, was made for it, and holds what its commitment says. */
function secretProblem({ crypto, held }: Bench, secrets: Messages["Secrets"]): Result<void> {
  const { state } = held;
  const keys = state.seal_seed === "" ? undefined : crypto.boxKeys(bytesOf(state.seal_seed));
  const ids = {
    networkId: bytesOf(state.network_id),
    routerId: bytesOf(state.router_id),
    incarnation: state.incarnation,
  };
  for (const sealed of secrets.secrets) {
    if (keys === undefined) return refuse("trust.secret_sealed", "secrets", "the key that opens them is not here");
    const opened = openSecret(crypto, keys, ids, sealed);
    if (!opened.ok) return opened;
  }
  return done(undefined);
}

export function judgeSecrets(bench: Bench, bytes: Uint8Array): Result<VerifyState> {
  const secrets = decode("Secrets", bytes);
  if (!secrets.ok) return secrets;
  const opened = secretProblem(bench, secrets.value);
  return opened.ok ? done(bench.held.state) : opened;
}

/** An intent by itself: its shape and the laws that need no other document. */
export function judgeIntent({ held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  const intent = decode("Intent", bytes);
  if (!intent.ok) return intent;
  const problems = intentProblems(intent.value);
  return problems.length > 0 ? { ok: false, problems } : done(held.state);
}

/** An inventory by itself: its shape only, since its laws speak of the networks of an intent. */
export function judgeInventory({ held }: Bench, bytes: Uint8Array): Result<VerifyState> {
  const inventory = decode("Inventory", bytes);
  return inventory.ok ? done(held.state) : inventory;
}

type Blobs = ReadonlyMap<string, Uint8Array>;

/** A blob that the directive pins; a list without entries encodes to no bytes and is left out of the file. */
function blobOf<K extends "Intent" | "Inventory" | "Secrets">(
  blobs: Blobs,
  kind: K,
  digest: Uint8Array,
): Result<Messages[K]> {
  const bytes = equalBytes(digest, sha256("")) ? new Uint8Array() : blobs.get(toHex(digest));
  return bytes === undefined ? refuse("blob.missing", kind.toLowerCase(), toHex(digest)) : decode(kind, bytes);
}

/** The blobs mean the desired state that was signed, hold every law, and bring secrets that this router can open. */
function blobProblem(
  bench: Bench,
  directive: Opened<"directive">,
  view: TrustView,
  list: readonly Uint8Array[],
): Result<void> {
  const { message } = directive;
  const blobs = new Map(list.map((bytes) => [toHex(sha256(bytes)), bytes]));
  const intent = blobOf(blobs, "Intent", message.intent_digest);
  if (!intent.ok) return intent;
  const inventory = blobOf(blobs, "Inventory", message.inventory_digest);
  if (!inventory.ok) return inventory;
  const secrets = blobOf(blobs, "Secrets", message.secrets_digest);
  if (!secrets.ok) return secrets;
  const pinned = [message.intent_digest, message.inventory_digest, message.secrets_digest].map(toHex);
  const stray = [...blobs.keys()].find((digest) => !pinned.includes(digest));
  if (stray !== undefined) return refuse("blob.digest", "bundle.blobs", `${stray} is not pinned by the directive`);
  const { keys, state } = bench.held;
  if (keys === null) return refuse("trust.not_enrolled", "keys", "no key report yet");
  const subject = {
    ...{ intent: intent.value, inventory: inventory.value, keys: keys.message },
    ...{ root: view.root.message, roster: view.roster.message, router: state.router },
  };
  const proven = asSigned(prove(subject), message.desired_digest);
  if (!proven.ok) return proven;
  return secretProblem(bench, secrets.value);
}

/** A bundle as a file: admission, then the blobs, as the agent does it before it looks at the kernel. */
export function judgeBundle(bench: Bench, bytes: Uint8Array): Result<VerifyState> {
  const bundle = decode("Bundle", bytes);
  if (!bundle.ok) return bundle;
  const { directive, trust, blobs, beacon } = bundle.value;
  const admitted = admitHere(bench, directive, trust);
  if (!admitted.ok) return admitted;
  // The router does not read the copies that a file carries for people; whoever reviews them does.
  const cited = beacon.length === 0 ? done(bench.held.state) : judgeBeacon(bench, beacon);
  if (!cited.ok) return cited;
  if (admitted.value.again) return done(admitted.value.next);
  const proven = blobProblem(bench, admitted.value.directive, admitted.value.view, blobs);
  return proven.ok ? done(admitted.value.next) : proven;
}
