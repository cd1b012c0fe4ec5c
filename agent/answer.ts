/** Bodies of answers. Everything that an answer does not speak of is empty. */
import type { Problem } from "../schemas/problem.ts";
import type { AnswerBody } from "../schemas/report.ts";
import { shownProblem } from "./trial-receipt.ts";

export const empty = (): Uint8Array => new Uint8Array();

/** An answer with some fields set. */
export function body(fields: Partial<AnswerBody> = {}): AnswerBody {
  return {
    code: "",
    problems: [],
    challenge: empty(),
    missing: [],
    receipt: empty(),
    receipts: [],
    status: null,
    key_report: empty(),
    enrol: empty(),
    beacon: empty(),
    ...fields,
  };
}

/** Everything that is wrong; the first code stands for the whole. */
export function refusal(problems: readonly Problem[], fields: Partial<AnswerBody> = {}): AnswerBody {
  return body({ code: problems[0]?.code ?? "", problems: problems.slice(0, 256).map(shownProblem), ...fields });
}
