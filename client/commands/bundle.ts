/** `bundle show` and `cosign`: what a bundle means, from the file and the site alone, and one signature more. */
import { resolve } from "node:path";
import { cosignStatement } from "../../agent/core/dsse.ts";
import { needOperator } from "../../agent/core/operators.ts";
import { coversClass } from "../../agent/core/risk.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { type Review, replaceDirective, reviewBundle } from "../bundle-file.ts";
import { type OperatorKeys, openOperator } from "../keys.ts";
import { type Ending, finished, refused } from "../out.ts";
import { passphraseOf } from "../passphrase.ts";
import { compareBundle, reviewFields, reviewText } from "../review-text.ts";
import { type Context, openHome } from "../session.ts";
import { signersOf, signersText } from "../signers.ts";
import { nextStep } from "./propose.ts";

/** `holdfast bundle show FILE` */
export async function bundleShow(context: Context): Promise<Ending> {
  const [name = ""] = context.args.operands;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const review = reviewBundle(home.value, resolve(name));
  if (!review.ok) return refused(review.problems);
  const compared = compareBundle(home.value, review.value);
  const { proven, signers } = review.value;
  const fields = { ...reviewFields(name, review.value, compared), next: nextStep(name, signers.missing) };
  const text = reviewText(review.value, compared);
  if (!proven.ok) return { ...refused(proven.problems, fields), answer: text };
  return finished(`${text}next: ${nextStep(name, signers.missing)}\n`, fields);
}

/** Whether this person's signature may be added and would count. Codes trust.*, cli.already_signed. */
function mayCosign({ view, file, signers }: Review, operator: OperatorKeys): Result<void> {
  const own = needOperator(view, operator.sign.publicKey, operator.holder);
  if (!own.ok) return own;
  const { holder, max_class } = own.value;
  if (signers.holders.includes(holder)) {
    return refuse("cli.already_signed", holder, `${holder} has signed it; people are counted, not keys`);
  }
  const { risk_class: riskClass } = file.directive.message;
  if (coversClass(max_class, riskClass)) return done(undefined);
  return refuse("trust.class_exceeded", holder, `${holder} may sign ${max_class}, the bundle is ${riskClass}`);
}

/** `holdfast cosign FILE`, `holdfast sign FILE` */
export async function cosign(context: Context): Promise<Ending> {
  const { args, voice, json } = context;
  const [name = ""] = args.operands;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { crypto, owner } = home.value;
  const review = reviewBundle(home.value, resolve(name));
  if (!review.ok) return refused(review.problems);
  const { file, view, proven, router } = review.value;
  const compared = compareBundle(home.value, review.value);
  const fields = reviewFields(name, review.value, compared);
  if (!json) voice.say(reviewText(review.value, compared).trimEnd());
  if (!proven.ok) return refused(proven.problems, fields);
  const operator = await openOperator(crypto, owner, args.one("as"), passphraseOf(args));
  if (!operator.ok) return refused(operator.problems, fields);
  const may = mayCosign(review.value, operator.value);
  if (!may.ok) return refused(may.problems, fields);
  const { generation, risk_class: riskClass } = file.directive.message;
  if (!args.has("yes")) {
    const yes = await voice.ask(`Sign generation ${generation} of ${router.id} as ${operator.value.holder}?`, "--yes");
    if (!yes.ok) return refused(yes.problems, fields);
  }
  const directive = cosignStatement(crypto, file.directive, operator.value.sign);
  const signers = signersOf(view, directive);
  if (!signers.ok) return refused(signers.problems, fields);
  const written = replaceDirective(file, directive);
  if (!written.ok) return refused(written.problems, fields);
  const { holders, missing, others } = signers.value;
  const next = nextStep(name, missing);
  const answer = `Signed by ${operator.value.holder}. ${signersText(riskClass, signers.value)}.\nnext: ${next}\n`;
  return finished(answer, { ...fields, signed_by: holders, missing, may_sign: others, next });
}
