/** Confirms and aborts: who sends them, over which path, and what they are told. */
import { equalBytes, toHex } from "../schemas/digest.ts";
import type { Request } from "../schemas/directive.ts";
import { problem } from "../schemas/problem.ts";
import type { AnswerBody, Outcome } from "../schemas/report.ts";
import type { Agent } from "./agent.ts";
import { body, refusal } from "./answer.ts";
import { RESCUE } from "./core/compile/rescue.ts";
import { openConfirm } from "./core/directive.ts";
import type { Answer } from "./core/lifecycle.ts";
import type { TrustView } from "./core/trust.ts";
import { lanesProven, type Path, type Paths, provesNewKey } from "./paths.ts";
import type { OnTrial } from "./work.ts";

/** How long an answer waits for the receipt that it should carry. The decision stands either way. */
const RECEIPT_MS = 8000;

/** Answers a confirm or an abort. A decided one is answered with its receipt, however late it comes. */
export async function confirm(
  agent: Agent,
  view: TrustView,
  request: Request,
  at: { readonly path: Path; readonly paths: Paths },
): Promise<AnswerBody> {
  const opened = openConfirm(agent.crypto, view, agent.standing.self(), request.confirm);
  if (!opened.ok) return refusal(opened.problems);
  const { message, holder } = opened.value;
  const work = agent.current();
  if (work === undefined || !equalBytes(work.directive.digest, message.directive_digest)) {
    return told(agent, message.directive_digest);
  }
  if (message.verdict === "abort") {
    const answer = await agent.runner.send({ kind: "abort", token: work.trial.token, cause: "confirm.aborted" });
    return reply(agent, work, answer, "rolled_back");
  }
  if (toHex(message.nonce) !== work.trial.token) {
    return refusal([problem("confirm.unknown_trial", "confirm.nonce", "not the nonce of the pending trial")]);
  }
  return judge(agent, work, holder, at);
}

/** One event for each lane that the path proves; the last answer counts. */
async function judge(
  agent: Agent,
  work: OnTrial,
  holder: string,
  { path, paths }: { readonly path: Path; readonly paths: Paths },
): Promise<AnswerBody> {
  const { facts, trial, directive } = work;
  const fresh = facts.appliedAtMs > 0 && paths.isFresh(path, facts.appliedAtMs);
  const lanes = fresh ? lanesProven(path, work.desired) : [];
  const accepted = directive.message.accept_unproven.includes(RESCUE);
  if (lanes.includes(RESCUE) && !accepted && !provesNewKey(path, work.before, work.desired)) {
    const detail = "an operator must arrive over it with a key that is new";
    return refusal([problem("confirm.lane_unproven", RESCUE, detail)]);
  }
  // What was proven may not be so any more: a rule of others that may cut a lane ends the trial instead of keeping it.
  const drops = lanes.length > 0 && agent.runner.state().name === "trial" ? await agent.outside.recheck(work) : [];
  if (drops.length > 0) {
    facts.problems = drops;
    const ended = await agent.runner.send({ kind: "abort", token: trial.token, cause: "outside.foreign_drop" });
    return reply(agent, work, ended, "rolled_back");
  }
  let answer: Answer | undefined;
  for (const lane of lanes.length === 0 ? [""] : lanes) {
    const onTrial = agent.runner.state().name === "trial";
    if (onTrial && trial.lanes.some((one) => one.name === lane)) facts.proven.add(lane);
    answer = await agent.runner.send({
      kind: "confirm",
      token: trial.token,
      holder,
      lane,
      accepts: directive.message.accept_unproven,
      atMs: agent.host.clock.bootMs(),
    });
    if (answer?.status !== "pending" || answer.code !== "confirm.lane_unproven") break;
  }
  return reply(agent, work, answer, "confirmed");
}

/** The answer with the receipt of the verdict, once it is written. */
async function reply(agent: Agent, work: OnTrial, answer: Answer | undefined, hoped: Outcome): Promise<AnswerBody> {
  const { status = "refused", code = "", unproven = [] } = answer ?? {};
  const problems = unproven.map((lane) => problem("confirm.lane_unproven", lane, "not proven yet"));
  if (status === "pending" || status === "refused") return body({ code, problems });
  const outcome = status === "confirmed" ? "confirmed" : status === "rolled-back" ? "rolled_back" : hoped;
  const written = (): boolean => agent.journal.newest(work.directive.digest, outcome) !== undefined;
  await agent.runner.until(written, agent.host.clock.bootMs() + RECEIPT_MS);
  const receipt = agent.journal.newest(work.directive.digest, outcome);
  const late = receipt === undefined && code === "" ? "confirm.deciding" : code;
  return body({ code: late, receipt: receipt?.envelope ?? new Uint8Array() });
}

/** For a directive that is not on its way: its verdict, or that nobody knows it. */
function told(agent: Agent, directive: Uint8Array): AnswerBody {
  const receipt = agent.journal.newest(directive);
  if (receipt === undefined) {
    return refusal([problem("confirm.unknown_trial", "confirm.directive_digest", "no trial of this directive")]);
  }
  const code = receipt.message.outcome === "rolled_back" ? receipt.message.cause : "";
  return body({ code, receipt: receipt.envelope });
}
