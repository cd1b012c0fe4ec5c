/** Who signed a directive, and who still has to: people of the roster, counted by holder. */
import { classThreshold } from "../agent/core/directive.ts";
import type { Opened } from "../agent/core/dsse.ts";
import { needOperator, operatorOf } from "../agent/core/operators.ts";
import { coversClass } from "../agent/core/risk.ts";
import type { TrustView } from "../agent/core/trust.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { RiskClass } from "../schemas/trust.ts";

/** How many different people a class needs. */
export function neededFor(view: TrustView, riskClass: RiskClass): number {
  return classThreshold(view.root.message, riskClass);
}

/** Names of the active operators who may sign a class, sorted. */
export function maySign(view: TrustView, riskClass: RiskClass): readonly string[] {
  const able = view.roster.message.operators.filter(
    (one) => operatorOf(view, one.sign_key) !== undefined && coversClass(one.max_class, riskClass),
  );
  return [...new Set(able.map((one) => one.holder))].sort();
}

export type Signers = {
  readonly holders: readonly string[]; // who signed, sorted
  readonly needed: number;
  readonly missing: number; // signatures of other people that it still needs
  readonly others: readonly string[]; // who could give them
};

/** What a directive has of signatures in this view of trust. Codes trust.signer_unknown, _revoked, class_exceeded. */
export function signersOf(view: TrustView, directive: Opened<"directive">): Result<Signers> {
  const { risk_class: riskClass } = directive.message;
  const signed = new Set<string>();
  for (const [index, key] of directive.signers.entries()) {
    const path = `directive.signatures[${index}]`;
    const found = needOperator(view, key, path);
    if (!found.ok) return found;
    const { holder, max_class } = found.value;
    if (!coversClass(max_class, riskClass)) {
      return refuse("trust.class_exceeded", path, `${holder} may sign ${max_class}, the directive is ${riskClass}`);
    }
    signed.add(holder);
  }
  return done(signersAmong(view, riskClass, [...signed]));
}

/** As signersOf, for people who would sign. */
export function signersAmong(view: TrustView, riskClass: RiskClass, signed: readonly string[]): Signers {
  const needed = neededFor(view, riskClass);
  const others = maySign(view, riskClass).filter((holder) => !signed.includes(holder));
  return { holders: [...signed].sort(), needed, missing: Math.max(0, needed - signed.length), others };
}

/** "class sensitive needs 2 holders: signed by alice, 1 of bob, carol is missing", for people. */
export function signersText(riskClass: RiskClass, { holders, needed, missing, others }: Signers): string {
  const head = `class ${riskClass} needs ${needed} holder${needed === 1 ? "" : "s"}`;
  const by = holders.length === 0 ? "nobody signed" : `signed by ${holders.join(", ")}`;
  if (missing === 0) return `${head}: ${by}, complete`;
  const who =
    others.length === 0 ? "nobody else in the roster may sign it" : `${missing} of ${others.join(", ")} missing`;
  return `${head}: ${by}, ${who}`;
}
