/**
 * A blob as a difference to one that is held already: ranges of the base, each followed by bytes of its own. Nothing
 * of it is trusted: the result counts only under its SHA-256, which the directive pins.
 */
import { equalBytes, sha256, toHex } from "../../schemas/digest.ts";
import type { BlobDelta } from "../../schemas/directive.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";

/**
 * The blob that a delta makes of its base. The result has exactly `size` bytes, so no delta makes more than a whole
 * upload could. Codes blob.delta (it reaches past the base, or has another length), blob.digest.
 */
export function applyDelta(base: Uint8Array, delta: BlobDelta): Result<Uint8Array> {
  const name = toHex(delta.digest);
  let length = 0;
  for (const [index, part] of delta.parts.entries()) {
    const path = `${name} parts[${index}]`;
    if (part.offset + part.length > base.length) return refuse("blob.delta", path, "it reaches past the base");
    if (part.length + part.data.length === 0) return refuse("blob.delta", path, "it adds nothing");
    length += part.length + part.data.length;
    if (length > delta.size) break;
  }
  if (length !== delta.size) return refuse("blob.delta", name, `its parts do not make ${delta.size} bytes`);
  const made = new Uint8Array(length);
  let at = 0;
  for (const part of delta.parts) {
    made.set(base.subarray(part.offset, part.offset + part.length), at);
    made.set(part.data, at + part.length);
    at += part.length + part.data.length;
  }
  return equalBytes(sha256(made), delta.digest)
    ? done(made)
    : refuse("blob.digest", name, "the bytes that the delta makes have another digest");
}
