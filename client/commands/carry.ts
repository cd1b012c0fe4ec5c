/**
 * `push --bundle FILE`: brings a bundle that enough people signed to its router and follows it to its end. Whoever
 * carries it adds nothing to its authority, but asks and confirms with an operator key of their own.
 */
import { resolve } from "node:path";
import { equalBytes } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Status } from "../../schemas/report.ts";
import { sendBlobs } from "../blobs.ts";
import { submitDirective } from "../bundle.ts";
import { type Review, reviewBundle } from "../bundle-file.ts";
import { followTrial } from "../follow.ts";
import { trafficFields } from "../link.ts";
import { age, type Ending, refused } from "../out.ts";
import { outcomeEnding, receiptFields } from "../outcome.ts";
import { keepGeneration } from "../receipts-file.ts";
import { compareBundle, reviewFields, reviewText } from "../review-text.ts";
import { sendRevocations } from "../revocations.ts";
import { isLost, lostEnding } from "../rival.ts";
import { askStatus, type Context, openHome, sessionOf } from "../session.ts";
import { signersText } from "../signers.ts";
import { incomplete, nextStep } from "./propose.ts";

const AGAIN = "holdfast push --propose FILE, and have it signed again";

/** What the router would refuse anyway is told before anything is sent. Codes apply.*, trust.*. */
function checkPlace({ file, beacon }: Review, status: Status): Result<void> {
  const { digest, message } = file.directive;
  const { pending } = status;
  const known = equalBytes(status.lkg_directive, digest);
  // It arrived before, by this or another way: the router has its outcome, or is at it.
  if (known || (pending !== null && equalBytes(pending.directive_digest, digest))) return done(undefined);
  if (pending !== null) return refuse("apply.trial_pending", "status", `generation ${pending.generation} is on trial`);
  if (!equalBytes(status.lkg_directive, message.parent)) {
    return refuse("trust.parent", "bundle", `generation ${status.lkg_generation} was confirmed since it was proposed`);
  }
  if (message.generation <= status.generation) {
    const detail = `${message.generation}, the router has used ${status.generation}`;
    return refuse("trust.generation_burnt", "bundle", detail);
  }
  if (!equalBytes(status.boot_id, beacon.message.boot_id)) {
    return refuse("trust.beacon", "bundle", "the router restarted since it was proposed");
  }
  const ageS = Number((status.uptime_ms - beacon.message.uptime_ms) / 1000n);
  return ageS <= message.beacon_max_age_s
    ? done(undefined)
    : refuse("trust.beacon", "bundle", `proposed ${age(ageS)} ago, good for ${age(message.beacon_max_age_s)}`);
}

/** Takes the bundle of a file through the router. */
export async function carry(context: Context, name: string): Promise<Ending> {
  const { args, voice, json } = context;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const review = reviewBundle(home.value, resolve(name));
  if (!review.ok) return refused(review.problems);
  const { file, router, content, signers, proven } = review.value;
  const { message } = file.directive;
  const compared = compareBundle(home.value, review.value);
  const fields = reviewFields(name, review.value, compared);
  if (!proven.ok) return refused(proven.problems, fields);
  if (signers.missing > 0) {
    const text = `${signersText(message.risk_class, signers)}; run: ${nextStep(name, signers.missing)}`;
    return refused(incomplete(text).problems, fields);
  }
  const session = await sessionOf(context, home.value, router.id);
  if (!session.ok) return refused(session.problems, fields);
  const lost = (problems: Parameters<typeof refused>[0]): Promise<Ending> | Ending =>
    isLost(problems) ? lostEnding(context, session.value, problems, fields, AGAIN) : refused(problems, fields);
  const standing = await askStatus(session.value, { attempts: 3 });
  if (!standing.ok) return refused(standing.problems, fields);
  const told = await sendRevocations(session.value, standing.value.status);
  if (!told.ok) return refused(told.problems, fields);
  const place = checkPlace(review.value, standing.value.status);
  if (!place.ok) return lost(place.problems);
  if (!json) voice.say(reviewText(review.value, compared).trimEnd());
  if (!args.has("yes")) {
    const yes = await voice.ask(`Apply generation ${message.generation} to ${router.id}?`, "--yes");
    if (!yes.ok) return refused(yes.problems, fields);
  }
  const sent = await sendBlobs(session.value, content.blobs, standing.value.status, "before");
  if (!sent.ok) return refused(sent.problems, fields);
  const { commit, note, generation } = message;
  keepGeneration(session.value.memory.folder, generation, content.blobs, { commit, note });
  const submitted = await submitDirective(session.value, file.directive, file.parts.trust, voice);
  if (!submitted.ok) return lost(submitted.problems);
  const outcome = submitted.value.receipt;
  // Delivered before, and its end is in the log that is kept here.
  if (outcome !== null && outcome.outcome !== "trial" && outcome.index <= standing.value.kept.memory.head.index) {
    return { ...outcomeEnding(router.id, outcome), fields: { ...fields, ...receiptFields(outcome) } };
  }
  const ending = await followTrial(context, {
    ...{ session: session.value, memory: standing.value.kept.memory, digest: file.directive.digest, generation },
    ...{ windowS: message.confirm_window_s, intent: content.intent, receipt: outcome },
  });
  return { ...ending, fields: { ...fields, ...ending.fields, ...trafficFields(session.value.link) } };
}
