/** `ask`: what becomes of a packet that nobody sent yet, by the rules that the site compiles to. Asks no router. */
import { type CompileInput, compile } from "../../agent/core/compile.ts";
import { answerQuestion, type FamilyAnswer, type Reply } from "../../agent/core/contracts-ask.ts";
import { originOf } from "../../agent/core/contracts-origin.ts";
import type { ContractSubject } from "../../agent/core/contracts-sides.ts";
import { packetText, ruleText, wayText } from "../../agent/core/contracts-text.ts";
import type { Edit } from "../../agent/core/edits-try.ts";
import { openModel } from "../../agent/core/verifier/model.ts";
import type { Witness } from "../../agent/core/verifier/question.ts";
import { type Asked, idOf, readShort } from "../../schemas/contract-short.ts";
import { contractText } from "../../schemas/contract-words.ts";
import type { Problem } from "../../schemas/problem.ts";
import { didYouMean, printable, usageError } from "../args.ts";
import { editJson, editText } from "../edit-text.ts";
import { type Ending, type ExitCode, refused, table } from "../out.ts";
import type { Context } from "../session.ts";
import type { Site } from "../site/site.ts";
import { onlyRouter, openSubjects } from "../subject.ts";

const EXITS: Readonly<Record<Reply["verdict"], ExitCode>> = { yes: 0, no: 3, partly: 8, nobody: 3 };

type Shown = { readonly subject: ContractSubject; readonly site: Site };

/** "policy lan-lab, intent.yaml:160:5 policies[1]". */
function originText({ subject, site }: Shown, witness: Witness): string {
  const origin = originOf(site.intent, subject.desired, witness);
  if (origin === null) return "";
  if (origin.path === "") return origin.name;
  return `${origin.name}, ${site.locate({ code: "intent.policy", path: origin.path, detail: "" }).path}`;
}

function witnessRows(shown: Shown, witness: Witness, verdict: string): readonly (readonly string[])[] {
  const { intent } = shown.site;
  const limited = witness.limit === "none" ? "" : ` (rate limit ${witness.limit === "pass" ? "kept" : "used up"})`;
  const origin = originText(shown, witness);
  return [
    [`  ${verdict}`, `${packetText(witness.packet)}${limited}`],
    ["  way", wayText(intent, shown.subject.desired, witness)],
    ["  rule", ruleText(witness.decided)],
    ...(origin === "" ? [] : [["  from", origin]]),
  ];
}

function familyRows(shown: Shown, answer: FamilyAnswer): readonly (readonly string[])[] {
  const { accepted, dropped, answerDropped } = answer;
  const answers =
    accepted === null
      ? []
      : [["  answers", answerDropped === null ? "pass" : `dropped by ${ruleText(answerDropped.decided)}`]];
  return [
    ...(accepted === null ? [] : witnessRows(shown, accepted, "accepted")),
    ...answers,
    ...(dropped === null ? [] : witnessRows(shown, dropped, dropped.outcome === "either" ? "hangs" : "dropped")),
  ];
}

function witnessJson(shown: Shown, witness: Witness | null): unknown {
  if (witness === null) return null;
  const { packet, outcome, egress, headers, chains, walk, decided, limit } = witness;
  return { packet, outcome, egress, headers, limit, chains, walk, decided, origin: originText(shown, witness) };
}

/** A name that nobody has is often near one that somebody has. */
function guessed({ intent, inventory }: Site, problem: Problem): Problem {
  if (problem.code !== "intent.no_such") return problem;
  const known = [...intent.zones, ...intent.networks, ...intent.profiles, ...inventory.clients].map(({ id }) => id);
  const starts = inventory.clients.map(({ id }) => id).filter((id) => id.startsWith(`${problem.path}-`));
  const guess =
    starts.length > 0 ? ` There is ${starts.join(", ")}.` : didYouMean(problem.path.split(" ").at(-1)!, known);
  return { ...problem, detail: `${problem.detail}${guess}` };
}

/** The smallest edit with which the answer would be the other one: none of it, or all of it. */
async function editFor(
  context: Context,
  site: Site,
  input: CompileInput,
  question: Asked,
  verdict: Reply["verdict"],
): Promise<Edit | null> {
  const stop = context.voice.progress("Looking for an edit");
  const { smallestEdit } = await import("../../agent/core/edits-try.ts");
  const { listed: _, ...asked } = question;
  const lists = { services: [...asked.services], ports: [...asked.ports] };
  const kind = verdict === "yes" ? ("deny" as const) : ("allow" as const);
  // No contract of the site may have the name.
  const id = idOf("asked", question, new Set(site.intent.contracts.map((one) => one.id)));
  const edit = smallestEdit(input, { ...asked, ...lists, id, kind });
  stop();
  return edit;
}

/** `holdfast ask QUESTION` */
export async function askQuestion(context: Context): Promise<Ending> {
  const asked = readShort(context.args.operands.join(" "));
  if ("wrong" in asked) return refused(usageError(`${printable(asked.wrong)}.`).problems);
  const opened = await openSubjects(context);
  if (!opened.ok) return refused(opened.problems);
  const { site } = opened.value;
  const router = onlyRouter(opened.value);
  if (!router.ok) return refused(router.problems);
  const { input } = router.value;
  const unknown = asked.services.find(
    (id) => !site.intent.services.some((service) => service.id === id) && !isLane(id),
  );
  if (unknown !== undefined) {
    const guess = didYouMean(
      unknown,
      site.intent.services.map(({ id }) => id),
    );
    return refused([{ code: "intent.no_such", path: unknown, detail: `There is no service ${unknown}.${guess}` }]);
  }
  const desired = compile(input);
  if (!desired.ok) return refused(desired.problems.map(site.locate));
  const subject: ContractSubject = { ...input, desired: desired.value };
  const model = openModel(desired.value);
  if (!model.ok) return refused(model.problems);
  const reply = answerQuestion(subject, model.value, asked);
  if (!reply.ok) return refused(reply.problems.map((one) => guessed(site, one)));
  const { verdict, why, families } = reply.value;
  const shown = { subject, site };
  const edit = context.args.has("edit") ? await editFor(context, site, input, asked, verdict) : undefined;
  const text = contractText({ ...asked, kind: "allow" }).slice("allow: ".length);
  const said = { yes: "yes", no: "no", partly: "partly", nobody: `nobody can: ${why}` }[verdict];
  const parts = families.map((one) => {
    const head = families.length > 1 ? `IPv${one.family}: ${one.verdict}\n` : "";
    return `${head}${table(familyRows(shown, one))}`;
  });
  return {
    exit: EXITS[verdict],
    answer: `${text}: ${said}\n${parts.join("")}${edit === undefined ? "" : editText(site, edit, verdict === "yes")}`,
    fields: {
      router: input.router,
      question: text,
      answer: verdict,
      why,
      families: families.map((one) => ({
        family: one.family,
        answer: one.verdict,
        accepted: witnessJson(shown, one.accepted),
        dropped: witnessJson(shown, one.dropped),
        answers: one.accepted === null ? "" : one.answerDropped === null ? "pass" : "dropped",
      })),
      ...(edit === undefined ? {} : { edit: editJson(site, edit) }),
    },
    problems: [],
  };
}

const isLane = (id: string): boolean => ["wireguard", "rescue", "management"].includes(id);
