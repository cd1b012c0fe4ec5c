/** What a campaign says of its score, and which bounds it must keep. */
import { AREAS, type Area } from "./areas.ts";
import type { Check } from "./checks.ts";
import { percent, type Score, survivorText, type Verdict } from "./run.ts";

/** Every change in these must be noticed; of all together this many percent. */
const WHOLE: readonly Area[] = ["lanes", "management", "isolation"];
const OVERALL = 95;

const share = (name: string, noticed: number, changed: number): string =>
  `${name} ${noticed} of ${changed} (${percent(noticed, changed)} %)`;

/** What is said of a mutant that nothing noticed, with the line that replays it; nothing of all others. */
export function survivalOf(one: Verdict, seed: number): readonly string[] {
  const { judged, index } = one;
  if (judged.kind === "refused" || judged.kind === "equal" || judged.by !== "") return [];
  const what = judged.kind === "changed" ? "survived" : "no packet shows it";
  return [`${what}: ${survivorText(one)}\n    replay: npm run mutate -- --seed ${seed} --only ${index}`];
}

/** The sums, after survivors were told as they were found. */
export function reportOf(score: Score): readonly string[] {
  const areas = AREAS.map((area) => share(area, score.byArea[area].noticed, score.byArea[area].changed));
  const checks = [...score.byCheck].sort((a, b) => b[1] - a[1]).map(([id, count]) => `${id} ${count}`);
  return [
    ...score.refusals.map(({ ground, mutant, judged }) => {
      const why = judged.kind === "refused" ? judged.why : "";
      return `refused by name: ${ground} ${mutant.where}: ${mutant.what}: ${why}`;
    }),
    `mutate: noticed first by ${checks.join(", ")}`,
    `mutate: ${areas.join(", ")}`,
    `mutate: beside them ${score.equal} that change nothing, ${score.refusals.length} that the verifier refuses by name, ${score.hidden} that no packet shows (${score.hidden - score.hiddenLeft.length} noticed)`,
  ];
}

/** Bounds that are missed, as sentences; `further` are the checks that were asked of what the others let pass. */
export function boundsMissed(score: Score, further: readonly Check[]): readonly string[] {
  const areas = WHOLE.filter((area) => score.byArea[area].noticed < score.byArea[area].changed);
  const overall = percent(score.noticed, score.changed);
  return [
    ...areas.map((area) => `not every change of ${area} was noticed`),
    ...(overall < OVERALL ? [`${overall} % noticed, at least ${OVERALL} are needed`] : []),
    ...score.holesLeft.map(({ ground, mutant }) => `the hole "${mutant.rule}" of ${ground} was not noticed`),
    ...(further.length > 0 && score.withMore < score.changed ? ["not all was noticed with the equivalence"] : []),
  ];
}

/** The last line of the campaign. */
export function lineOf(score: Score, further: readonly Check[]): string {
  const { changed, noticed, withMore } = score;
  const equivalence = further.length > 0 ? ` with_equiv=${percent(withMore, changed)}` : "";
  return `mutate: mutants=${changed} noticed=${noticed} score=${percent(noticed, changed)}${equivalence}`;
}
