/** The verifier's model of a subject, opened once for all that ask of it. */
import type { Result } from "../../schemas/problem.ts";
import type { Subject } from "./invariants-subject.ts";
import { type Model, openModel } from "./verifier/model.ts";

// By subject, which lives as long as one proof: by generation, an agent would carry a hundred megabytes from push to push.
const models = new WeakMap<Subject, Result<Model>>();

/** The model of the subject's generation. Refused with verify.unmodelled where the verifier does not understand it. */
export function modelOf(subject: Subject): Result<Model> {
  const known = subject.opened ?? models.get(subject) ?? openModel(subject.desired);
  models.set(subject, known);
  return known;
}
