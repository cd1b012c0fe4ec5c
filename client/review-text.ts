/** A reviewed bundle on one screen, and as the fields of a JSON object. */
import { equalBytes, toHex } from "../schemas/digest.ts";
import { done, type Result } from "../schemas/problem.ts";
import type { Review } from "./bundle-file.ts";
import { type Change, changeLines, changesBetween } from "./changes.ts";
import { type Content, keptContent } from "./content.ts";
import { age, table } from "./out.ts";
import { stateFolder } from "./places.ts";
import { keptReceipts, pushedGenerations, readMemory } from "./receipts-file.ts";
import type { Home } from "./session.ts";
import { signersText } from "./signers.ts";

/** Lines of one diff that a screen gets; --json has all of them. */
const DIFF_LINES = 120;

type Base = { readonly name: string; readonly content: Pick<Content, "intent" | "inventory"> };

/** The kept generation that the bundle replaces, when this machine knows which one that is. */
function parentGeneration(home: Home, review: Review, folder: string): bigint | undefined {
  const memory = readMemory(folder);
  if (!memory.ok) return undefined;
  const receipts = keptReceipts(home.crypto, review.router.sign_key, memory.value);
  if (!receipts.ok) return undefined;
  const { parent } = review.file.directive.message;
  return receipts.value.find((one) => equalBytes(one.message.directive_digest, parent))?.message.generation;
}

/** What the bundle is compared with: the generation it replaces, else the last kept one, else the site's files. */
function baseOf(home: Home, review: Review): Base | undefined {
  const { id, incarnation } = review.router;
  const folder = stateFolder(home.network, id, incarnation);
  const kept = pushedGenerations(folder).filter((one) => one < review.file.directive.message.generation);
  const parent = parentGeneration(home, review, folder);
  const chosen = parent !== undefined && kept.includes(parent) ? parent : kept.at(-1);
  const content = chosen === undefined ? undefined : keptContent(folder, chosen);
  if (content?.ok) {
    const which = chosen === parent ? "which it replaces" : "the last one kept here; it may not be the one it replaces";
    return { name: `generation ${chosen}, ${which}`, content: content.value };
  }
  return home.site.ok ? { name: "this site's files as they are now", content: home.site.value } : undefined;
}

type Compared = {
  readonly against: string; // "" when there is nothing to compare with
  readonly intent: readonly Change[];
  readonly inventory: readonly Change[];
};

export function compareBundle(home: Home, review: Review): Compared {
  const base = baseOf(home, review);
  if (base === undefined) return { against: "", intent: [], inventory: [] };
  return { against: base.name, ...changesBetween(base.content, review.content) };
}

function freshness({ beacon, file }: Review): string {
  const { number, boot_id } = beacon.message;
  const { beacon_max_age_s: maxAgeS } = file.directive.message;
  return `beacon ${number} of boot ${toHex(boot_id).slice(0, 8)}, good for ${age(maxAgeS)}; its age is known to the router only`;
}

function proofText({ proven, content, file }: Review): string {
  if (!proven.ok) return "does NOT hold: see the errors; nobody should sign this";
  const contracts = content.intent.contracts.length;
  const digest = toHex(file.directive.message.desired_digest);
  return `every law, ${contracts} contracts and every invariant hold; desired sha256:${digest}, computed here`;
}

function diffText(name: string, against: string, changes: readonly Change[]): string {
  const lines = changeLines(changes);
  const more = lines.length - DIFF_LINES;
  const shown = lines.slice(0, DIFF_LINES).map((line) => `  ${line}\n`);
  const rest = more > 0 ? `  and ${more} lines more: --json has them\n` : "";
  return `\n${name} against ${against}:\n${lines.length === 0 ? "  no change\n" : shown.join("")}${rest}`;
}

/** What a second operator needs to see before signing. */
export function reviewText(review: Review, compared: Compared): string {
  const { file, router, signers, newTrust, view, beacon } = review;
  const { message } = file.directive;
  const start = beacon.message.generation === 0n ? "the first" : `after generation ${beacon.message.generation}`;
  const rows = [
    ["router", `${router.id}, incarnation ${message.incarnation}`],
    ["generation", `${message.generation}, ${start}, parent ${toHex(message.parent).slice(0, 16)}`],
    ["signatures", signersText(message.risk_class, signers)],
    ["proof", proofText(review)],
    ["fresh", freshness(review)],
    ["window", `${message.confirm_window_s} s to confirm`],
    ...(message.accept_unproven.length === 0
      ? []
      : [["unproven", `${message.accept_unproven.join(", ")} need no proof`]]),
    ...(message.force ? [["force", "also when the router took this content back for its own fault"]] : []),
    ["note", message.note || "-"],
    ["commit", message.commit || "-"],
    ...(newTrust ? [["trust", `brings roster ${view.roster.message.version}, which this site lacks: git pull`]] : []),
  ];
  const { against, intent, inventory } = compared;
  const diffs =
    against === ""
      ? "\nNothing is kept here to compare with, and the site cannot be read.\n"
      : diffText("intent", against, intent) + diffText("inventory", against, inventory);
  const claim = file.parts.plan.trimEnd().split("\n");
  const plan = `\nThe router's plan, as the proposer tells it (the file cannot prove it; proven is the desired digest):\n`;
  return `${table(rows)}${diffs}${plan}${claim.map((line) => `  ${line}`.trimEnd()).join("\n")}\n`;
}

/** The same for programs. */
export function reviewFields(path: string, review: Review, compared: Compared): Readonly<Record<string, unknown>> {
  const { file, router, signers, proven, beacon } = review;
  const { message, digest } = file.directive;
  return {
    ...{ file: path, router: router.id, generation: message.generation, parent: message.parent, directive: digest },
    ...{ risk_class: message.risk_class, signed_by: signers.holders, needed: signers.needed, missing: signers.missing },
    ...{ may_sign: signers.others, note: message.note, commit: message.commit, window_s: message.confirm_window_s },
    ...{
      accept_unproven: message.accept_unproven,
      force: message.force,
      beacon: beacon.message.number,
      max_age_s: message.beacon_max_age_s,
    },
    ...{ desired_digest: message.desired_digest, proven: proven.ok, compared_with: compared.against },
    ...{ intent_changes: compared.intent, inventory_changes: compared.inventory, claimed_plan: file.parts.plan },
  };
}

/** The proof's problems, as a result. */
export const provenOf = ({ proven }: Review): Result<void> => (proven.ok ? done(undefined) : proven);
