/** `push --propose FILE`: the site as a bundle that others review and sign; the router burns and changes nothing. */
import { resolve } from "node:path";
import { equalBytes } from "../../schemas/digest.ts";
import { refuse } from "../../schemas/problem.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { Args } from "../args.ts";
import { numberOf } from "../args.ts";
import { type Bundle, signProposal } from "../bundle.ts";
import { beaconLimitS, checkBeacon, createBundle } from "../bundle-file.ts";
import { age, type Ending, finished, refused } from "../out.ts";
import { classOf, planText } from "../plan-text.ts";
import { isLost, lostEnding } from "../rival.ts";
import type { Context } from "../session.ts";
import { signersOf, signersText } from "../signers.ts";

const DAY_S = 86_400;
/** What a bundle has room for. */
const PLAN_CHARS = 65_536;
/** Flags that make another bundle when they are left out. */
const CARRIED = ["site", "router", "at", "as", "passphrase-file", "window", "note", "accept-unproven"];

const quoted = (word: string): string =>
  /^[A-Za-z0-9._:/@=+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** The command line that makes this very push a proposal. */
export function proposeCommand({ args }: { readonly args: Args }, file: string): string {
  const flags = CARRIED.flatMap((name) => args.all(name).map((value) => `--${name} ${quoted(value)}`));
  const force = args.has("force") ? ["--force"] : [];
  return ["holdfast push --propose", quoted(file), ...flags, ...force].join(" ");
}

/** What to do with a bundle next, and who can. */
export function nextStep(file: string, missing: number): string {
  return missing > 0 ? `holdfast cosign ${quoted(file)}` : `holdfast push --bundle ${quoted(file)}`;
}

/** Signs the planned bundle with a beacon and writes it. `shown`: the plan's fields. */
export async function propose(
  context: Context,
  bundle: Bundle,
  plan: Receipt,
  shown: Readonly<Record<string, unknown>>,
): Promise<Ending> {
  const { args } = context;
  const { session } = bundle;
  const { id } = session.router;
  const name = args.one("propose") ?? "";
  const riskClass = classOf(plan);
  const maxAgeS = numberOf(args, "max-age", 60, beaconLimitS(riskClass), DAY_S);
  if (!maxAgeS.ok) return refused(maxAgeS.problems, shown);
  const signed = await signProposal(bundle, riskClass, maxAgeS.value);
  if (!signed.ok) return refused(signed.problems, shown);
  const { directive, beacon } = signed.value;
  const fits = checkBeacon(beacon, directive.message);
  if (!fits.ok) {
    return isLost(fits.problems) ? lostEnding(context, session, fits.problems, shown) : refused(fits.problems, shown);
  }
  const signers = signersOf(session.chain.view, directive);
  if (!signers.ok) return refused(signers.problems, shown);
  const { intent, inventory, secrets } = bundle.content.blobs;
  const distinct = [intent, inventory, secrets].filter(
    (bytes, i, all) => bytes.length > 0 && all.findIndex((other) => equalBytes(other, bytes)) === i,
  );
  const written = createBundle(resolve(name), {
    ...{ directive: directive.envelope, trust: [...bundle.trust], blobs: distinct, beacon: beacon.envelope },
    ...{ key_report: bundle.keys.envelope, plan: planText(plan).slice(0, PLAN_CHARS) },
  });
  if (!written.ok) return refused(written.problems, shown);
  const { holders, missing, others, needed } = signers.value;
  const next = nextStep(name, missing);
  const answer = [
    `${name}: generation ${bundle.generation} for ${id}; ${signersText(riskClass, signers.value)}.`,
    `It is good for ${age(maxAgeS.value)}, until ${id} restarts or takes another push.`,
    `next: ${next}`,
  ].join("\n");
  const fields = { file: name, signed_by: holders, needed, missing, may_sign: others, max_age_s: maxAgeS.value, next };
  return finished(`${answer}\n`, { ...shown, ...fields });
}

/** The refusal for a file that has too few signatures yet. */
export const incomplete = (text: string) => refuse("trust.threshold", "bundle", text);
