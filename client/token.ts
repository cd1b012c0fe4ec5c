/** The enrolment token as a file: a bearer secret that travels to the router once. */
import { readFileSync } from "node:fs";
import { fromBase64, toBase64 } from "../schemas/digest.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { EnrolToken } from "../schemas/trust.ts";
import { decode, encode } from "../schemas/wire.ts";

const HEAD = "HOLDFAST-TOKEN-1 ";
const BYTES_MAX = 512 * 1024;

/** The one line that a token file holds. */
export const tokenText = (token: EnrolToken): string => `${HEAD}${toBase64(encode("EnrolToken", token))}\n`;

/** The token in a file; null when there is none. Code cli.bad_token. */
export function readTokenFile(path: string): Result<EnrolToken | null> {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return done(null);
    throw error;
  }
  const line = text.trimEnd();
  const bytes = line.length < BYTES_MAX && line.startsWith(HEAD) ? fromBase64(line.slice(HEAD.length)) : undefined;
  const token = bytes === undefined ? undefined : decode("EnrolToken", bytes);
  return token?.ok ? token : refuse("cli.bad_token", path, "it is no token, or it is damaged");
}
