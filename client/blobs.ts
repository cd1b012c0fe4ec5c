/**
 * Blobs on their way to a router: only what it lacks is sent, and of a large blob only what differs from one that it
 * holds and that is kept here too. A change of one client in ten thousand is a few hundred bytes.
 */
import { equalBytes, fromHex, sha256, toHex } from "../schemas/digest.ts";
import type { BlobDelta } from "../schemas/directive.ts";
import { limits } from "../schemas/limits.ts";
import { done, type Result } from "../schemas/problem.ts";
import type { Status } from "../schemas/report.ts";
import type { Content } from "./content.ts";
import { makeDelta } from "./delta.ts";
import { keptBlob, pushedGeneration, pushedGenerations } from "./receipts-file.ts";
import type { Session } from "./session.ts";

const CHUNK_MS = 60_000;
/** Smaller blobs are sent whole. */
const DELTA_FROM = 1024;
/** A delta up to this size goes with the directive. */
const RIDE_BYTES = 64 * 1024;
/** How many generations back a base is looked for, beside the one in force. */
const BACK = 2;

type Name = keyof Content["blobs"];
const NAMES: readonly Name[] = ["intent", "inventory", "secrets"];

/** Digests (hex) of blobs of that name which are kept here and which the router may hold, likely ones first. */
function basesOf(session: Session, status: Status, name: Name): readonly string[] {
  const { folder } = session.memory;
  const inForce = { intent: toHex(status.lkg_intent), inventory: toHex(status.lkg_inventory), secrets: "" }[name];
  const pushed = pushedGenerations(folder)
    .slice(-BACK)
    .toReversed()
    .flatMap((generation) => pushedGeneration(folder, generation)?.[name] ?? []);
  return [...new Set([inForce, ...pushed])].filter((one) => one !== "");
}

/** The delta to a base that is kept here; undefined when it is not, or is too far from `bytes`. */
function deltaTo(session: Session, bytes: Uint8Array, base: string): BlobDelta | undefined {
  const held = keptBlob(session.memory.folder, base);
  const parts = held.ok ? makeDelta(held.value, bytes) : undefined;
  if (parts === undefined) return undefined;
  return { digest: sha256(bytes), size: bytes.length, base: fromHex(base)!, parts: [...parts] };
}

async function sendDelta(session: Session, bytes: Uint8Array, bases: readonly string[]): Promise<Result<boolean>> {
  for (const base of bases) {
    const delta = deltaTo(session, bytes, base);
    if (delta === undefined) continue;
    const put = await session.link.ask("put_delta", { delta }, { attempts: 3, timeoutMs: CHUNK_MS });
    // Whatever the router has against a delta, the whole blob may do.
    return put.ok ? done(put.value.answer.message.code === "") : put;
  }
  return done(false);
}

async function sendWhole(session: Session, bytes: Uint8Array): Promise<Result<void>> {
  const digest = sha256(bytes);
  for (let offset = 0; offset < bytes.length; offset += limits.chunkBytes) {
    const data = bytes.slice(offset, offset + limits.chunkBytes);
    const chunk = { digest, size: bytes.length, offset, data };
    const put = await session.link.get("put_blob", { chunk }, { attempts: 3, timeoutMs: CHUNK_MS });
    if (!put.ok) return put;
  }
  return done(undefined);
}

type Own = { readonly digest: Uint8Array; readonly bytes: Uint8Array; readonly bases: readonly string[] };

/** Digests (hex) of what the router holds for the generation in force; secrets by what was pushed from here. */
function heldInForce(session: Session, status: Status): readonly string[] {
  const [intent, inventory] = [toHex(status.lkg_intent), toHex(status.lkg_inventory)];
  const pushed = pushedGeneration(session.memory.folder, status.lkg_generation);
  const same = pushed?.intent === intent && pushed.inventory === inventory;
  return [intent, inventory, ...(same ? [pushed.secrets] : [])];
}

/** The one blob that differs from the generation in force, as a small delta to it; undefined when it is not so simple. */
function smallDelta(session: Session, own: readonly Own[], held: readonly string[]): BlobDelta | null | undefined {
  const [only, second] = own.filter((one) => !held.includes(toHex(one.digest)));
  if (only === undefined) return null;
  const base = only.bases.find((one) => held.includes(one));
  if (second !== undefined || base === undefined) return undefined;
  const delta = deltaTo(session, only.bytes, base);
  const size = delta?.parts.reduce((sum, part) => sum + part.data.length, 0) ?? Number.POSITIVE_INFINITY;
  return size <= RIDE_BYTES ? delta : undefined;
}

/**
 * Sends the blobs that the router does not hold; an empty one says nothing and is never sent. With "ride" a small delta
 * to what is in force is not sent but given back, to go with the directive: the router may turn out not to hold its
 * base, then "before" sends everything. Codes link.*, blob.*.
 */
export async function sendBlobs(
  session: Session,
  blobs: Content["blobs"],
  status: Status,
  way: "ride" | "before",
): Promise<Result<BlobDelta | null>> {
  const own: readonly Own[] = NAMES.filter((name) => blobs[name].length > 0).map((name) => ({
    digest: sha256(blobs[name]),
    bytes: blobs[name],
    bases: blobs[name].length < DELTA_FROM ? [] : basesOf(session, status, name),
  }));
  const small = way === "ride" ? smallDelta(session, own, heldInForce(session, status)) : undefined;
  if (small !== undefined) return done(small);
  const bases = own.flatMap((one) => one.bases.flatMap((base) => fromHex(base) ?? []));
  const need = [...own.map((one) => one.digest), ...bases].slice(0, 16);
  const answer = await session.link.get("need_blobs", { need }, { attempts: 3 });
  if (!answer.ok) return answer;
  const lacks = (digest: Uint8Array): boolean => answer.value.missing.some((one) => equalBytes(one, digest));
  for (const { digest, bytes, bases: candidates } of own) {
    if (!lacks(digest)) continue;
    const usable = candidates.filter((base) => base !== toHex(digest) && !lacks(fromHex(base)!));
    const sent = await sendDelta(session, bytes, usable);
    if (!sent.ok) return sent;
    const whole = sent.value ? done(undefined) : await sendWhole(session, bytes);
    if (!whole.ok) return whole;
  }
  return done(null);
}
