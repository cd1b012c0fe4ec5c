/** One question of a person, answered from the compiled ruleset: who, to whom, what, and which rule says so. */
import type { Asked as ReadAsked } from "../../schemas/contract-short.ts";
import type { Contract } from "../../schemas/intent.ts";
import type { Family } from "../../schemas/ip.ts";
import { type Problem, type Result, refuse } from "../../schemas/problem.ts";
import type { Claim, Sides } from "./contracts-claims.ts";
import { missing } from "./contracts-questions.ts";
import { type ContractSubject, groundOf, type Side, sideOf } from "./contracts-sides.ts";
import { ask, type Model } from "./verifier/model.ts";
import type { Witness } from "./verifier/question.ts";

/** What becomes of the packets of one family. */
export type FamilyAnswer = {
  readonly family: Family;
  readonly verdict: "yes" | "no" | "partly";
  readonly accepted: Witness | null;
  readonly dropped: Witness | null;
  /** What the answers meet; null when nothing was accepted, or all answers pass. */
  readonly answerDropped: Witness | null;
};

export type Reply = {
  readonly verdict: "yes" | "no" | "partly" | "nobody";
  readonly why: string; // of nobody
  readonly families: readonly FamilyAnswer[];
};

/** As schemas/contract-short.ts reads it. */
type Asked = Omit<ReadAsked, "listed">;

function answerOf(model: Model, family: Family, claims: readonly Claim[]): Result<FamilyAnswer> {
  let accepted: Witness | null = null;
  let dropped: Witness | null = null;
  let answerDropped: Witness | null = null;
  for (const { about, question } of claims) {
    if (about === "route" || (about === "answer" && accepted === null)) continue;
    const answer = ask(model, question);
    if (!answer.ok) return answer;
    if (about === "answer") answerDropped ??= answer.value.dropped;
    else {
      accepted ??= answer.value.accepted;
      dropped ??= answer.value.dropped;
    }
  }
  const verdict = accepted === null ? "no" : dropped === null ? "yes" : "partly";
  return { ok: true, value: { family, verdict, accepted, dropped, answerDropped } };
}

function side(subject: ContractSubject, ground: Sides["ground"], text: string): Side | Problem {
  const found = sideOf(subject, ground, text, text);
  if (found !== undefined) return found;
  const problem = refuse(
    "intent.other_router",
    text,
    `${text} is of another router: ask about that one with --router.`,
  );
  return problem.problems[0]!;
}

/**
 * What becomes of the first packets of what was asked, from who truly is there. Codes intent.no_such,
 * intent.other_router, contract.ambiguous, verify.unmodelled.
 */
export function answerQuestion(subject: ContractSubject, model: Model, asked: Asked): Result<Reply> {
  const ground = groundOf(subject);
  const [from, to] = [side(subject, ground, asked.from), side(subject, ground, asked.to)];
  const wrong = [from, to].filter((one) => "code" in one);
  if ("code" in from || "code" in to) return { ok: false, problems: wrong };
  const lists = { services: [...asked.services], ports: [...asked.ports] };
  const contract: Contract = { id: "asked", kind: "allow", ...asked, ...lists };
  const families: FamilyAnswer[] = [];
  for (const family of [4, 6] as const) {
    if (!(family === 4 ? asked.v4 : asked.v6)) continue;
    const { claims } = missing(subject, contract, { from, to, ground }, family);
    // Where no port-forward leads, a packet from outside may still try.
    const trying = { from: { ...from, outer: false }, to, ground };
    const direct = claims.length > 0 ? claims : missing(subject, contract, trying, family).claims;
    if (direct.length === 0) continue;
    const answer = answerOf(model, family, direct);
    if (!answer.ok) return answer;
    if (answer.value.accepted !== null || answer.value.dropped !== null) families.push(answer.value);
  }
  const idle = from.idle || to.idle || "no packet has such addresses in the families that were asked for";
  if (families.length === 0) return { ok: true, value: { verdict: "nobody", why: idle, families } };
  const same = families.every((one) => one.verdict === families[0]!.verdict);
  return { ok: true, value: { verdict: same ? families[0]!.verdict : "partly", why: "", families } };
}
