/**
 * `push` and `plan`: the router's own plan is shown, and on a yes it is applied as a trial and confirmed through the
 * new rules. `rollback --to` walks the same way with the content of an older generation, and `push --propose` ends
 * in a file that others sign.
 */

import { operatorOf } from "../../agent/core/operators.ts";
import { coversClass } from "../../agent/core/risk.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { RiskClass } from "../../schemas/trust.ts";
import { numberOf, usageError } from "../args.ts";
import { applyBundle, type Bundle, planBundle, planDigest, prepareBundle, type Wishes } from "../bundle.ts";
import { bundleName } from "../bundle-file.ts";
import { type Content, siteContent } from "../content.ts";
import { followTrial } from "../follow.ts";
import { gitState } from "../git.ts";
import { trafficFields } from "../link.ts";
import { type Ending, finished, refused } from "../out.ts";
import { classOf, planNotices, planText, riskReasons } from "../plan-text.ts";
import { keepGeneration } from "../receipts-file.ts";
import { isLost, lostEnding } from "../rival.ts";
import { type Context, openSession, type Session } from "../session.ts";
import { neededFor, signersAmong } from "../signers.ts";
import { lanesOfFlag } from "../trial.ts";
import { carry } from "./carry.ts";
import { propose, proposeCommand } from "./propose.ts";

const SHOWN_PATHS = 5;

/** Warns about what is not committed and returns the commit for the directive: "" when it would be a lie. */
function commitOf(folder: string, { voice }: Context): string {
  const git = gitState(folder);
  if (git === undefined || git.uncommitted.length === 0) return git?.commit ?? "";
  const paths = git.uncommitted.slice(0, SHOWN_PATHS).map((path) => path.replace(/[^\x20-\x7e]/g, "?"));
  const more = git.uncommitted.length - paths.length;
  voice.say(`warning: not committed: ${paths.join(", ")}${more > 0 ? ` and ${more} more` : ""}; no commit is recorded`);
  return "";
}

/** What the flags of push and rollback --to ask for. Code cli.usage. */
export function wishesOf(context: Context, commit: () => string): Result<Wishes> {
  const { args } = context;
  const window = numberOf(args, "window", limits.windowMinS, limits.windowMaxS, 0);
  if (!window.ok) return window;
  const lanes = lanesOfFlag(args.all("accept-unproven"));
  if (!lanes.ok) return lanes;
  const note = args.one("note") ?? "";
  if (!/^[\x20-\x7e]*$/.test(note) || note.length > limits.noteChars) {
    return usageError(`--note takes at most ${limits.noteChars} printable ASCII characters.`);
  }
  const windowS = window.value === 0 ? null : window.value;
  return done({ windowS, note, commit: commit(), acceptUnproven: lanes.value, force: args.has("force") });
}

async function bundleOf(context: Context): Promise<Result<{ session: Session; bundle: Bundle }>> {
  const session = await openSession(context);
  if (!session.ok) return session;
  const { site } = session.value;
  if (!site.ok) return site;
  const content = siteContent(site.value, session.value.router.id);
  if (!content.ok) return content;
  const wishes = wishesOf(context, () => commitOf(session.value.folder, context));
  if (!wishes.ok) return wishes;
  const bundle = await prepareBundle(session.value, content.value, wishes.value, context.voice);
  return bundle.ok ? done({ session: session.value, bundle: bundle.value }) : bundle;
}

/** Fields of a plan under --json. */
export const planFields = (router: string, plan: Receipt) => ({
  router,
  generation: plan.generation,
  risk_class: classOf(plan),
  risk_reasons: riskReasons(plan),
  notices: planNotices(plan),
  steps: plan.steps,
  plan: plan.plan,
  plan_digest: planDigest(plan),
  window_s: plan.window_s,
  lanes_to_prove: plan.lanes.filter((lane) => lane.changed).map((lane) => lane.name),
});

/** A refusal of the router; where somebody else was faster, with the screen about that. */
const ended = (context: Context, session: Session, problems: Parameters<typeof refused>[0], fields = {}) =>
  isLost(problems) ? lostEnding(context, session, problems, fields) : refused(problems, fields);

/** `holdfast plan` */
export async function plan(context: Context): Promise<Ending> {
  const opened = await bundleOf(context);
  if (!opened.ok) return refused(opened.problems);
  const { session, bundle } = opened.value;
  const result = await planBundle(bundle, context.voice);
  if (!result.ok) return ended(context, session, result.problems);
  const { plan: said } = result.value;
  const changes = said.steps > 0;
  const exit = changes && context.args.has("detailed-exitcode") ? 8 : 0;
  return finished(planText(said), planFields(session.router.id, said), exit);
}

/** What is signed already cannot be wished for, and one push goes one way. */
function pushUsage({ args }: Context): Result<void> {
  const [bundle, proposal] = [args.has("bundle"), args.has("propose")];
  if (bundle && proposal) return usageError("Give --propose or --bundle, not both.");
  const signed = ["note", "window", "accept-unproven", "expect", "force"].filter((name) => bundle && args.has(name));
  if (signed.length > 0) return usageError(`--${signed[0]} says nothing to --bundle: the directive in it is signed.`);
  if (!proposal && args.has("max-age")) return usageError("--max-age goes with --propose.");
  const asks = ["no-confirm"].filter((name) => proposal && args.has(name));
  return asks.length > 0 ? usageError(`--${asks[0]} says nothing to --propose: nothing is applied.`) : done(undefined);
}

/** `holdfast push` */
export async function push(context: Context): Promise<Ending> {
  const usage = pushUsage(context);
  if (!usage.ok) return refused(usage.problems);
  const file = context.args.one("bundle");
  if (file !== undefined) return carry(context, file);
  const opened = await bundleOf(context);
  if (!opened.ok) return refused(opened.problems);
  return pushBundle(context, opened.value.bundle);
}

/** Content of an older generation, pushed as a new one. */
export async function pushContent(
  context: Context,
  session: Session,
  content: Content,
  note: string, // unless --note says something else
): Promise<Ending> {
  // The commit of the site as it is now says nothing about what is pushed.
  const wishes = wishesOf(context, () => "");
  if (!wishes.ok) return refused(wishes.problems);
  const own = { ...wishes.value, note: wishes.value.note || note };
  const bundle = await prepareBundle(session, content, own, context.voice);
  return bundle.ok ? pushBundle(context, bundle.value) : refused(bundle.problems);
}

function expected(plan: Receipt, wanted: string | undefined): Result<void> {
  if (wanted === undefined) return done(undefined);
  const digest = wanted.replace(/^sha256:/, "");
  if (digest === planDigest(plan)) return done(undefined);
  return refuse("cli.plan_differs", "plan", `it is sha256:${planDigest(plan)}`);
}

/** Whether this operator may sign the class, and whether that is enough people. Codes trust.class_exceeded, threshold. */
function mayPush(session: Session, riskClass: RiskClass, next: string): Result<void> {
  const { view } = session.chain;
  const { holder, sign } = session.operator;
  const own = operatorOf(view, sign.publicKey);
  if (own !== undefined && !coversClass(own.max_class, riskClass)) {
    const detail = `${holder} may sign ${own.max_class}, the router calls this change ${riskClass}`;
    return refuse("trust.class_exceeded", "plan", detail);
  }
  if (neededFor(view, riskClass) <= 1) return done(undefined);
  const people = signersAmong(view, riskClass, [holder]).others;
  const others = people.length === 0 ? "nobody else in the roster may sign it" : `${people.join(", ")} may sign too`;
  const detail = `class ${riskClass} needs ${neededFor(view, riskClass)} holders: ${others}; run: ${next}`;
  return refuse("trust.threshold", "plan", detail);
}

async function pushBundle(context: Context, bundle: Bundle): Promise<Ending> {
  const { args, voice, json } = context;
  const { session } = bundle;
  const { id } = session.router;
  const planned = await planBundle(bundle, voice);
  if (!planned.ok) return ended(context, session, planned.problems);
  const { plan: said } = planned.value;
  const riskClass = classOf(said);
  const shown = planFields(id, said);
  const same = expected(said, args.one("expect"));
  if (!same.ok) return refused(same.problems, shown);
  if (said.steps > 0 && !json) voice.say(planText(said).trimEnd());
  if (args.has("propose")) return propose(context, bundle, said, shown);
  const next = proposeCommand(context, bundleName(id, bundle.generation));
  const may = mayPush(session, riskClass, next);
  if (!may.ok) return refused(may.problems, may.problems[0]?.code === "trust.threshold" ? { ...shown, next } : shown);
  if (said.steps > 0 && !args.has("yes")) {
    const yes = await voice.ask(`Apply generation ${bundle.generation} to ${id}?`, "--yes");
    if (!yes.ok) return refused(yes.problems, shown);
  }
  keepGeneration(session.memory.folder, bundle.generation, bundle.content.blobs, bundle.wishes);
  const submitted = await applyBundle(bundle, planned.value, voice);
  if (!submitted.ok) return ended(context, session, submitted.problems, shown);
  const { receipt, directive } = submitted.value;
  const ending = await followTrial(context, {
    ...{ session, memory: bundle.kept.memory, digest: directive.digest, generation: bundle.generation, receipt },
    ...{ windowS: directive.message.confirm_window_s, intent: bundle.content.intent },
  });
  return { ...ending, fields: { ...shown, ...ending.fields, ...trafficFields(session.link) } };
}
