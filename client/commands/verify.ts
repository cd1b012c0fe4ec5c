/**
 * `verify`: judges one file by the state in a folder, with the functions that agent and client use themselves. Asks no
 * router, opens no key file, and reads no clock: both times come from the command line.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { type FileKind, fileKinds, verify as judge } from "../../agent/core/verify.ts";
import { parseState, stateDigest, stateText, type When } from "../../agent/core/verify-state.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { type Args, usageError } from "../args.ts";
import { type Ending, finished, refused } from "../out.ts";
import { readIfThere, writeWhole } from "../places.ts";
import type { Context } from "../session.ts";
import { loadCrypto } from "../sodium.ts";

type Asked = {
  readonly stateFile: string;
  readonly file: string;
  readonly when: When;
  readonly kind: FileKind | undefined;
};

const numberIn = (text: string | undefined): number => (/^[0-9]{1,15}$/.test(text ?? "") ? Number(text) : Number.NaN);

function readAsked(args: Args): Result<Asked> {
  const [folder, file] = [args.one("state"), args.one("in")];
  if (folder === undefined || file === undefined) return usageError("--state DIR and --in FILE are needed.");
  const bootMs = numberIn(args.one("boottime"));
  if (Number.isNaN(bootMs)) return usageError("--boottime must be milliseconds since the router's boot.");
  const now = args.one("now");
  const unixS = now === "none" ? null : numberIn(now);
  if (Number.isNaN(unixS)) return usageError("--now must be unix seconds, or none.");
  const kind = args.one("kind");
  const known = fileKinds.find((one) => one === kind);
  if (kind !== undefined && known === undefined) return usageError(`--kind takes ${fileKinds.join(", ")}.`);
  return done({ stateFile: join(folder, "state.json"), file, when: { bootMs, unixS }, kind: known });
}

/** Whatever is longer than any file that is judged here is not even read. */
function readFile(path: string): Result<Uint8Array> {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > limits.bundleBytes) return refuse("wire.too_large", path, `more than ${limits.bundleBytes} bytes`);
  const bytes = readIfThere(path);
  return bytes === undefined ? refuse("cli.verify_file", path, "there is no such file") : done(bytes);
}

/** `holdfast verify --state DIR --boottime MS --now T|none --in FILE [--kind KIND] [--write]` */
export async function verify({ args }: Context): Promise<Ending> {
  const asked = readAsked(args);
  if (!asked.ok) return refused(asked.problems);
  const { stateFile, file, when, kind } = asked.value;
  const text = readFile(stateFile);
  if (!text.ok) return refused(text.problems);
  const state = parseState(new TextDecoder().decode(text.value));
  if (!state.ok) return refused(state.problems);
  const bytes = readFile(file);
  if (!bytes.ok) return refused(bytes.problems);
  const verdict = judge(await loadCrypto(), state.value, when, bytes.value, kind);
  const digest = stateDigest(verdict.state);
  if (verdict.code === "" && args.has("write")) writeWhole(stateFile, stateText(verdict.state));
  const answer = `${verdict.code === "" ? "ok" : verdict.code} ${digest}`;
  const fields = { code: verdict.code, state_digest: digest };
  if (verdict.code === "") return finished(answer, fields);
  return { exit: 3, answer, fields, problems: verdict.problems };
}
