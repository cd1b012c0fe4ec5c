/**
 * Short forms of keys and documents that people read to each other over a phone: 8 groups of 4 letters. What it is of
 * stands inside the hash, so the fingerprint of one thing cannot pass for that of another.
 */
import type { Opened } from "../agent/core/dsse.ts";
import { spoken } from "../agent/core/enrol.ts";
import { sha256 } from "../schemas/digest.ts";

export const cardFingerprint = (card: Opened<"operator-card">): string =>
  spoken(sha256("holdfast/card-fp/v1\0", card.digest));

/** Of the first root: all of a network's trust hangs on it. */
export const rootFingerprint = (root: Opened<"root">): string => spoken(sha256("holdfast/root-fp/v1\0", root.digest));

/** Of one public key; `role` is operator (the sign key), root, admin, recovery or escrow. */
export const keyFingerprint = (role: string, key: Uint8Array): string =>
  spoken(sha256(`holdfast/key-fp/v1\0${role}\0`, key));

/** True when two people mean the same one, however it was typed. */
export function sameFingerprint(a: string, b: string): boolean {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z2-7]/g, "");
  return plain(a) === plain(b);
}
