/** One mutant: what it changes, and who notices. */
import type { Subject } from "../../agent/core/invariants.ts";
import type { Difference } from "../../agent/core/verifier/question.ts";
import { type Area, areaOf } from "./areas.ts";
import type { Behaviour } from "./behaviour.ts";
import type { Check } from "./checks.ts";
import type { Mutant } from "./mutant.ts";

export type Judged =
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "equal" }
  | {
      readonly kind: "hidden" | "changed";
      readonly area: Area;
      readonly difference: Difference;
      readonly by: string; // the check that noticed it; "" for none
      readonly said: string;
      readonly more: string; // of the further checks, where none of the others noticed it
    };

export type Checks = { readonly checks: readonly Check[]; readonly further: readonly Check[] };

/** Judges a mutant of the subject's ruleset. `behaviour` is of the subject's generation. */
export function judge(subject: Subject, behaviour: Behaviour, mutant: Mutant, { checks, further }: Checks): Judged {
  const nft = mutant.make();
  const model = behaviour.model(nft);
  if (typeof model === "string") return { kind: "refused", why: model };
  const change = behaviour.change(model);
  if (change.kind === "refused" || change.kind === "equal") return change;
  const { kind, difference } = change;
  const mutated: Subject = { ...subject, desired: model.desired, opened: { ok: true, value: model } };
  const area = areaOf(subject, mutant, difference);
  for (const check of checks) {
    const said = check.finds(mutated);
    if (said !== undefined) return { kind, area, difference, by: check.id, said, more: "" };
  }
  const more = further.find((check) => check.finds(mutated) !== undefined)?.id ?? "";
  return { kind, area, difference, by: "", said: "", more };
}
