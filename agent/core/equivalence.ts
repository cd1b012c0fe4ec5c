/**
 * Compiled = intent: the ruleset's own text and a specification that is written from the documents alone are held
 * against each other in every hook, for all packets. They share nothing but the arithmetic of packets: what the
 * compiler gets wrong, or what somebody changed in its text, is a packet that they treat differently.
 */
import type { Problem } from "../../schemas/problem.ts";
import { type Differing, differenceText } from "./equivalence-text.ts";
import { type Invariant, type Subject, violated } from "./invariants-subject.ts";
import { groundOf } from "./spec/ground.ts";
import { type Hook, wantedOf } from "./spec/hooks.ts";
import { Sheet } from "./spec/lines.ts";
import { spoofed } from "./spec/sources.ts";
import type { Node } from "./verifier/diagram.ts";
import { Unmodelled } from "./verifier/leaves.ts";
import { openModel, withRoom } from "./verifier/model.ts";
import type { Pipeline } from "./verifier/pipeline.ts";
import type { Step } from "./verifier/question.ts";
import { endOf, stepsIn } from "./verifier/trace.ts";
import { tracking } from "./verifier/universe.ts";
import { Walker } from "./verifier/walker.ts";
import { type Point, packetOf, pointOf } from "./verifier/witness.ts";

const ID = "HF-EQUV-01";
const HOOKS: readonly Hook[] = ["prerouting", "input", "forward", "output", "postrouting"];
const PARTS = ([4, 6] as const).flatMap((family) =>
  (["original", "reply"] as const).map((half) => [family, half] as const),
);

/** What a hook does, whichever rule does it. */
function bare({ regions: { arena } }: Pipeline, node: Node): Node {
  return arena.map(node, (id) => arena.leaf({ ...arena.leafOf(id)!, rule: -1 }));
}

/** Where the two differ, by what that means: let through, held back, or otherwise changed. */
function kinds(sheet: Sheet, is: Node, wanted: Node): readonly Node[] {
  const { arena } = sheet;
  const apart = sheet.all(tracking(sheet.pipeline), arena.differ(is, wanted));
  if (apart === arena.next) return [];
  const dropped = (node: Node): Node =>
    arena.map(node, (id) => (arena.leafOf(id)!.kind === "drop" ? arena.yes : arena.next));
  const [held, meant] = [dropped(is), dropped(wanted)];
  const both = sheet.all(sheet.not(held), sheet.not(meant));
  return [sheet.all(sheet.not(held), meant), sheet.all(held, sheet.not(meant)), both].map((part) =>
    sheet.all(apart, part),
  );
}

/** The rule that decided: of a call into a chain that treats all packets alike, the caller. */
function saidBy(pipeline: Pipeline, hook: Hook, point: Point): Step {
  const end = endOf(pipeline, hook, point);
  if (end.text !== "accept") return end;
  const call = stepsIn(pipeline, hook, point).findLast((step) => /^(goto|jump) /.test(step.verdict));
  return call?.verdict.endsWith(` ${end.chain}`) === true ? call : end;
}

/** Packets that people look at first: they come from somewhere, go somewhere, and wear a source that may be there. */
function likelyIn(sheet: Sheet, hook: Hook): Node {
  const some = (field: "iif" | "oif") => sheet.not(sheet.values(field, 0));
  const [comes, goes] = [hook !== "output" && hook !== "postrouting", hook !== "prerouting" && hook !== "input"];
  const honest = sheet.not(sheet.any(...spoofed(sheet).map((line) => line.when)));
  return sheet.all(
    comes ? some("iif") : sheet.arena.yes,
    goes ? some("oif") : sheet.arena.yes,
    hook === "prerouting" ? sheet.arena.yes : honest,
  );
}

function differencesIn(sheet: Sheet, hook: Hook): readonly Differing[] {
  const { arena, pipeline, ground } = sheet;
  const [is, wanted] = [bare(pipeline, pipeline.hook(hook)), wantedOf(sheet, hook)];
  if (is === wanted) return [];
  const found = kinds(sheet, is, wanted).filter((part) => part !== arena.next);
  if (found.length === 0) return [];
  // Only now it matters which line says so.
  const named = new Sheet(ground, pipeline, true);
  const lines = wantedOf(named, hook);
  const plain = likelyIn(sheet, hook);
  return found.flatMap((part): readonly Differing[] => {
    const likely = sheet.all(part, plain);
    const point = pointOf(pipeline, likely === arena.next ? part : likely, (leaf) => leaf === arena.yes);
    if (point === null) return [];
    const walker = new Walker(pipeline, point);
    const meant = walker.leaf(lines);
    return [
      {
        hook,
        packet: packetOf(pipeline, point),
        is: walker.leaf(is),
        rule: saidBy(pipeline, hook, point),
        meant,
        line: named.names![meant.rule] ?? "no line speaks of it",
      },
    ];
  });
}

/**
 * Every kind of packet that the ruleset treats otherwise than the documents say, one packet each: by family, direction
 * and hook, let through or held back or changed. [] when the two are the same for all packets. Reads the ruleset
 * anew, unless the subject brings it opened. Code invariant.violated; what the verifier cannot read violates too.
 */
export function checkEquivalence(subject: Subject): readonly Problem[] {
  const opened = subject.opened ?? openModel(subject.desired);
  if (!opened.ok) return opened.problems.map((one) => violated(ID, `Not decided: ${one.path}: ${one.detail}.`));
  const ground = groundOf(subject);
  if (ground === undefined) return [violated(ID, `The intent has no router ${subject.router}.`)];
  return PARTS.flatMap(([family, half]): readonly Problem[] => {
    try {
      const found = withRoom(opened.value, family, half, (pipeline) => {
        const sheet = new Sheet(ground, pipeline, false);
        return HOOKS.flatMap((hook) => differencesIn(sheet, hook));
      });
      return found.map((one) => violated(ID, differenceText(subject, one)));
    } catch (error) {
      if (!(error instanceof Unmodelled)) throw error;
      return [violated(ID, `Not decided for IPv${family}: ${error.message}.`)];
    }
  });
}

export const equivalence: Invariant = {
  id: ID,
  sentence: "The ruleset does with every packet what the intent and the inventory say, and nothing else.",
  why: "Whoever signs reads the intent; a compiler that says something else would be believed.",
  example: "A client's address under another profile in the compiled map, or a grant with the port of another.",
  fix: "Report it: the compiler is wrong, or the ruleset was changed after it; keep the last confirmed generation.",
  check: checkEquivalence,
};
