/** An operator's card as a file: public keys with the proof that their owner has them. Nothing in it is secret. */
import type { Crypto } from "../agent/core/crypto.ts";
import type { Opened } from "../agent/core/dsse.ts";
import { openCard } from "../agent/core/operators.ts";
import { fromBase64, toBase64 } from "../schemas/digest.ts";
import { limits } from "../schemas/limits.ts";
import { type Result, refuse } from "../schemas/problem.ts";
import { RESERVED_HOLDERS } from "./keys.ts";
import { readCapped } from "./site/files.ts";

const HEAD = "HOLDFAST-CARD-1 ";

export type Card = Opened<"operator-card">;

/** The one line that a card file holds. */
export const cardText = (card: Card): string => `${HEAD}${toBase64(card.envelope)}\n`;

/**
 * Reads and checks a card file of this network. Codes cli.card, site.missing_file, site.too_large, site.unreadable and
 * those of openCard.
 */
export function readCardFile(crypto: Crypto, networkId: Uint8Array, path: string): Result<Card> {
  const file = readCapped("", path, 2 * limits.trustBytes);
  if (!file.ok) return file;
  const line = new TextDecoder("latin1").decode(file.value).trimEnd();
  const bytes = line.startsWith(HEAD) ? fromBase64(line.slice(HEAD.length)) : undefined;
  if (bytes === undefined) return refuse("cli.card", path, "it is no card, or it is damaged");
  const card = openCard(crypto, networkId, bytes);
  if (!card.ok) return { ok: false, problems: card.problems.map((one) => ({ ...one, path: `${path} ${one.path}` })) };
  // root.key is the file of a role: a person of that name could have no key file of their own.
  const { holder } = card.value.message;
  return RESERVED_HOLDERS.includes(holder) ? refuse("cli.card", path, `"${holder}" is no name for a person`) : card;
}
