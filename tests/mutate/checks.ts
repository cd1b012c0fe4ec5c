/** What may notice a mutant, cheapest first. A campaign takes the list, so that it can be tried without some of it. */
import { proveContracts } from "../../agent/core/contracts.ts";
import { equivalence } from "../../agent/core/equivalence.ts";
import { invariants, type Subject } from "../../agent/core/invariants.ts";

export type Check = {
  readonly id: string; // an invariant's, or "contract"
  /** The first thing that it finds, as a sentence; undefined when it finds nothing. */
  readonly finds: (subject: Subject) => string | undefined;
};

/** The invariant that holds the whole ruleset against the intent: what the score is without. */
const EQUIVALENCE = equivalence.id;

const byInvariant: readonly Check[] = invariants.map(({ id, check }) => ({
  id,
  finds: (subject) => check(subject)[0]?.detail,
}));

const byContracts: Check = {
  id: "contract",
  finds: (subject) => {
    // One after the other: the first that is broken is enough.
    for (const contract of subject.intent.contracts) {
      const one = { ...subject, intent: { ...subject.intent, contracts: [contract] } };
      const { problems } = proveContracts(one);
      if (problems[0] !== undefined) return problems[0].detail;
    }
    return undefined;
  },
};

/** Every invariant and the site's contracts, without the one that holds the whole ruleset against the intent. */
export const checks: readonly Check[] = [...byInvariant.filter(({ id }) => id !== EQUIVALENCE), byContracts];

/** Asked only of what the others let pass: the invariant that holds the whole ruleset against the intent. */
export const further: readonly Check[] = byInvariant.filter(({ id }) => id === EQUIVALENCE);
