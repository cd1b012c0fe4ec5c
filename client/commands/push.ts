/**
 * `push` and `plan`: the router's own plan is shown, and on a yes it is applied as a trial and confirmed through the
 * new rules. `rollback --to` walks the same way with the content of an older generation.
 */

import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Receipt } from "../../schemas/report.ts";
import { numberOf, usageError } from "../args.ts";
import { applyBundle, type Bundle, classOf, planBundle, planDigest, prepareBundle, type Wishes } from "../bundle.ts";
import { type Content, siteContent } from "../content.ts";
import { gitState } from "../git.ts";
import { type Ending, finished, refused } from "../out.ts";
import { outcomeEnding } from "../outcome.ts";
import { keepGeneration } from "../receipts-file.ts";
import { type Context, openSession, type Session, underIntent } from "../session.ts";
import { awaitTrial, confirmTrial, lanesOfFlag, type Pending, watch } from "../trial.ts";

const MARGIN_MS = 20_000;
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
  return done({ windowS, note, commit: commit(), acceptUnproven: lanes.value });
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

const planFields = (router: string, plan: Receipt) => ({
  router,
  generation: plan.generation,
  steps: plan.steps,
  plan: plan.plan,
  plan_digest: planDigest(plan),
  window_s: plan.window_s,
  lanes_to_prove: plan.lanes.filter((lane) => lane.changed).map((lane) => lane.name),
});

/** `holdfast plan` */
export async function plan(context: Context): Promise<Ending> {
  const opened = await bundleOf(context);
  if (!opened.ok) return refused(opened.problems);
  const { session, bundle } = opened.value;
  const result = await planBundle(bundle, context.voice);
  if (!result.ok) return refused(result.problems);
  const changes = result.value.steps > 0;
  const exit = changes && context.args.has("detailed-exitcode") ? 8 : 0;
  return finished(result.value.plan, planFields(session.router.id, result.value), exit);
}

/** `holdfast push` */
export async function push(context: Context): Promise<Ending> {
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

async function pushBundle(context: Context, bundle: Bundle): Promise<Ending> {
  const { args, voice, json } = context;
  const { session } = bundle;
  const { id } = session.router;
  const planned = await planBundle(bundle, voice);
  if (!planned.ok) return refused(planned.problems);
  const shown = planFields(id, planned.value);
  const same = expected(planned.value, args.one("expect"));
  if (!same.ok) return refused(same.problems, shown);
  if (planned.value.steps > 0) {
    if (!json) voice.say(planned.value.plan.trimEnd());
    const yes = args.has("yes")
      ? done(undefined)
      : await voice.ask(`Apply generation ${bundle.generation} to ${id}?`, "--yes");
    if (!yes.ok) return refused(yes.problems, shown);
  }
  keepGeneration(session.memory.folder, bundle.generation, bundle.content.blobs, bundle.wishes);
  const submitted = await applyBundle(bundle, classOf(planned.value), voice);
  if (!submitted.ok) return refused(submitted.problems, shown);
  const { receipt, directive } = submitted.value;
  const ending = await followTrial(context, bundle, { digest: directive.digest, receipt });
  return { ...ending, fields: { ...shown, ...ending.fields } };
}

/** From the accepted directive to its end. */
async function followTrial(
  context: Context,
  bundle: Bundle,
  sent: { readonly digest: Uint8Array; readonly receipt: Receipt | null },
): Promise<Ending> {
  const session = underIntent(bundle.session, bundle.content.intent);
  const { id } = session.router;
  const watched = watch(sent.digest, bundle.kept.memory);
  const { cap_s } = bundle.content.intent.confirm;
  const windowS = bundle.wishes.windowS ?? bundle.content.intent.confirm.window_s;
  const seen = await awaitTrial(session, watched, (cap_s + windowS) * 1000 + MARGIN_MS, context.voice);
  if (!seen.ok) {
    // The router said how it ended, only the log could not be read any more.
    return sent.receipt?.outcome === "unchanged"
      ? outcomeEnding(id, sent.receipt)
      : refused(seen.problems, { router: id });
  }
  if (seen.value.kind === "ended") return outcomeEnding(id, seen.value.receipt);
  if (seen.value.kind === "unknown") {
    const detail = `${id} knows nothing of generation ${bundle.generation}`;
    return refused(refuse("link.state_unknown", id, detail).problems, { router: id });
  }
  if (context.args.has("no-confirm")) return pendingEnding(id, bundle.generation, seen.value.trial);
  const confirmed = await confirmTrial(session, watched, seen.value.trial, context.voice);
  return confirmed.ok
    ? outcomeEnding(id, confirmed.value.receipt, confirmed.value.tried)
    : refused(confirmed.problems, { router: id });
}

/** A trial that was left pending: exit 8, with what to do next. */
function pendingEnding(router: string, generation: bigint, trial: Pending): Ending {
  const seconds = Math.max(0, Math.floor(trial.remainingMs / 1000));
  const changed = trial.lanes.filter((lane) => lane.changed).map((lane) => lane.name);
  const text = `Generation ${generation} is on trial on ${router} for ${seconds} s more: holdfast confirm keeps it, holdfast rollback ends it.`;
  const fields = { router, outcome: "trial", generation, remaining_ms: trial.remainingMs, lanes: changed };
  return finished(text, fields, 8);
}
