/** Runs the steps of a demo in order and says what each one proved: a sentence for people, or one JSON line. */

export type Evidence = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** What a step says when it has verified itself. */
export type Shown = {
  readonly sentence: string; // what happened, in the past tense, with the measured numbers
  readonly evidence: Evidence; // the same numbers for machines
};

export type Step = { readonly name: string; readonly run: () => Promise<Shown> };

/** A claim that did not hold. Everything else that is thrown is a failure too. */
export class NotVerified extends Error {}

/** Throws NotVerified unless the claim holds; `found` is what was found instead. */
export function verify(claim: boolean, sentence: string, found: unknown = ""): void {
  if (claim) return;
  const detail = typeof found === "string" ? found : JSON.stringify(found);
  throw new NotVerified(detail === "" ? sentence : `${sentence}; found: ${detail}`);
}

/** Breaks a sentence at word ends; following lines stand under the first. */
function wrapped(head: string, text: string, width = 100): string {
  const lines: string[] = [];
  let line = head;
  // A number stays with its unit.
  for (const word of text.replace(/(\d) (s|ms)\b/g, "$1\u00a0$2").split(" ")) {
    if (line.length + 1 + word.length > width && line.trim() !== "") {
      lines.push(line);
      line = " ".repeat(head.length);
    }
    line = line === head || line.trim() === "" ? `${line}${word}` : `${line} ${word}`;
  }
  return [...lines, line].join("\n").replaceAll("\u00a0", " ");
}

export type Printer = (line: string) => void;

/**
 * Runs every step until one fails. Returns true when all were verified; the last line then says
 * `demo: N steps, all verified`, in JSON mode too (as an object with the same words).
 */
export async function show(steps: readonly Step[], json: boolean, print: Printer): Promise<boolean> {
  const started = performance.now();
  const since = (from: number): number => Math.round((performance.now() - from) / 100) / 10;
  for (const [index, step] of steps.entries()) {
    const number = index + 1;
    const begun = performance.now();
    try {
      const { sentence, evidence } = await step.run();
      const line = { step: number, name: step.name, verified: true, seconds: since(begun), sentence, evidence };
      print(json ? JSON.stringify(line) : wrapped(`${String(number).padStart(2)}. `, sentence));
    } catch (failure) {
      const why = failure instanceof NotVerified ? failure.message : ((failure as Error).stack ?? String(failure));
      const line = { step: number, name: step.name, verified: false, seconds: since(begun), why };
      print(json ? JSON.stringify(line) : `${String(number).padStart(2)}. NOT VERIFIED (${step.name}): ${why}`);
      return false;
    }
  }
  const summary = `demo: ${steps.length} steps, all verified`;
  if (json) print(JSON.stringify({ summary, steps: steps.length, verified: true, seconds: since(started) }));
  else print(summary);
  return true;
}
