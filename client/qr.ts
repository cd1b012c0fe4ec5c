/** A configuration as a QR code for a phone to read off the terminal; nothing when the terminal cannot show it. */
import { encode, renderUnicodeCompact } from "uqr";

/** Above this, phones need luck: version 25 has 117 modules a side. */
const VERSION_MAX = 25;
const USUAL_COLUMNS = 80;

export type QrResult = { readonly text: string } | { readonly warning: string };

/** `columns` is the width of the terminal; undefined off one. */
export function qrOf(text: string, columns: number | undefined): QrResult {
  // Low error correction: a screen is clean, and every level up makes the modules smaller.
  const { size, version } = encode(text, { ecc: "L", border: 2 });
  const width = columns ?? USUAL_COLUMNS;
  if (version > VERSION_MAX) {
    return {
      warning: `the QR code would have ${size} columns, too fine for a camera: send the .conf, or cut excludes`,
    };
  }
  if (size > width) return { warning: `the QR code needs ${size} columns, here are ${width}: widen the terminal` };
  return { text: renderUnicodeCompact(text, { ecc: "L", border: 2 }) };
}
