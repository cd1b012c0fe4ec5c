/**
 * Contracts, decided for all packets on the compiled ruleset. The sides and services come from the documents, the
 * answers from the verifier; what neither can say is `contract.undecided`, and never passes.
 */
import { contractText } from "../../schemas/contract-words.ts";
import type { Contract } from "../../schemas/intent.ts";
import type { Family } from "../../schemas/ip.ts";
import { type Problem, problem, type Result } from "../../schemas/problem.ts";
import type { Claim, Sides } from "./contracts-claims.ts";
import { originOf } from "./contracts-origin.ts";
import { excess, missing } from "./contracts-questions.ts";
import { type ContractSubject, type Ground, groundOf, sideOf } from "./contracts-sides.ts";
import { packetText, ruleText, wayText } from "./contracts-text.ts";
import { ask, type Model, openModel } from "./verifier/model.ts";
import type { Span, Witness } from "./verifier/question.ts";

export type { ContractSubject } from "./contracts-sides.ts";

export type ContractProof = {
  readonly id: string;
  /** "idle": holds, and nobody is there for whom it would matter; "elsewhere": about another router. */
  readonly state: "holds" | "idle" | "elsewhere" | "violated" | "undecided";
  readonly text: string;
  readonly questions: number; // that the verifier answered
  readonly why: string; // of idle and undecided
  readonly about: Claim["about"] | ""; // of violated
  readonly witness: Witness | null; // of violated
};

type Judged = Pick<ContractProof, "state" | "why" | "about" | "witness">;

const HOLDS: Judged = { state: "holds", why: "", about: "", witness: null };
const undecided = (why: string): Judged => ({ ...HOLDS, state: "undecided", why });

/** Where each accepted packet of a port-forward lands: a box is of one translation, so one packet of it tells. */
function judgeLanding(model: Model, { question, lands, about }: Claim): Judged | undefined {
  const answer = ask(model, question);
  if (!answer.ok) return unasked(answer.problems);
  if (answer.value.accepted === null) return undefined;
  if (answer.value.more) return undecided("a port-forward has more ports than are looked into one by one");
  for (const { fields } of answer.value.boxes) {
    const spans = (fields.dport ?? []).map((text) => text.split("-").map(Number));
    const dport = spans.map(([from, to]): Span => [from!, to ?? from!]);
    const one = ask(model, { ...question, boxesMax: 0, region: { ...question.region, dport } });
    if (!one.ok) return unasked(one.problems);
    const found = one.value.accepted;
    if (found === null) continue;
    const { headers, packet } = found;
    const right = headers.target === lands?.target && headers.dport === packet.dport + lands.shift;
    if (!right) return { ...HOLDS, state: "violated", about, witness: found };
  }
  return undefined;
}

const unasked = (problems: readonly Problem[]): Judged =>
  undecided(problems.map((one) => `${one.path}: ${one.detail}`).join("; "));

/** One claim; undefined when it holds. */
function judge(model: Model, claim: Claim): Judged | undefined {
  const { question, must, about, nicer = [] } = claim;
  if (must === "lands") return judgeLanding(model, claim);
  const answer = ask(model, question);
  if (!answer.ok) return unasked(answer.problems);
  const { verdict, accepted, dropped } = answer.value;
  const violated = (witness: Witness): Judged => ({ ...HOLDS, state: "violated", about, witness });
  const hangs = dropped?.outcome === "either" ? undecided(`it hangs on ${dropped.decided.text}`) : undefined;
  if (must === "dropped") {
    if (accepted === null) return hangs;
    for (const narrower of nicer) {
      const again = ask(model, narrower);
      if (again.ok && again.value.accepted !== null) return violated(again.value.accepted);
    }
    return violated(accepted);
  }
  if (must === "nobody")
    return accepted !== null ? violated(accepted) : dropped !== null ? violated(dropped) : undefined;
  if (dropped !== null) return hangs ?? violated(dropped);
  return verdict === "none" ? undecided("there can be no such packet") : undefined;
}

type Work = { readonly subject: ContractSubject; readonly ground: Ground; readonly model: Model };

function familiesOf(contract: Contract): readonly Family[] {
  return ([4, 6] as const).filter((family) => (family === 4 ? contract.v4 : contract.v6));
}

/** What a contract comes to on one router. */
type Posed = {
  readonly claims: readonly Claim[];
  readonly spoken: readonly Family[]; // of what must be accepted
  readonly unmet: readonly string[];
  readonly met: ReadonlySet<string>;
  readonly idle: string;
  readonly inward: boolean;
};

function pose({ subject, ground }: Omit<Work, "model">, contract: Contract): Posed | Judged {
  const from = sideOf(subject, ground, contract.from, "from");
  const to = sideOf(subject, ground, contract.to, "to");
  if (from === undefined || to === undefined) return { ...HOLDS, state: "elsewhere" };
  if ("code" in from) return undecided(from.detail);
  if ("code" in to) return undecided(to.detail);
  const sides: Sides = { from, to, ground };
  if (from.word.kind === "router" && to.word.kind === "router") {
    return undecided("the router's packets to itself pass no policy");
  }
  const claims: Claim[] = [];
  const spoken: Family[] = [];
  const unmet: string[] = [];
  const met = new Set<string>();
  const inward = from.outer && !to.outer && to.word.kind !== "router";
  for (const family of familiesOf(contract)) {
    if (contract.kind !== "allow") claims.push(...excess(subject, contract, sides, family));
    if (contract.kind === "deny") continue;
    const wanted = missing(subject, contract, sides, family);
    if (wanted.claims.length > 0) spoken.push(family);
    claims.push(...wanted.claims);
    for (const name of wanted.met) met.add(name);
    // What comes through port-forwards is IPv4, and each port of a service needs its own.
    if (wanted.claims.length > 0) unmet.push(...wanted.unmet);
  }
  return { claims, spoken, unmet, met, idle: from.idle || to.idle, inward };
}

/** Everything that a contract claims on the subject's router; nothing when it is about another, or makes no sense. */
export function claimsOf(subject: ContractSubject, contract: Contract): readonly Claim[] {
  const posed = pose({ subject, ground: groundOf(subject) }, contract);
  return "claims" in posed ? posed.claims : [];
}

function decide(work: Work, contract: Contract): Judged & { readonly questions: number } {
  const posed = pose(work, contract);
  if (!("claims" in posed)) return { ...posed, questions: 0 };
  const { claims, spoken, unmet, met, idle, inward } = posed;
  const empty = contract.kind === "only" && contract.services.length + contract.ports.length === 0;
  let questions = 0;
  for (const claim of claims) {
    questions += 1;
    const judged = judge(work.model, claim);
    if (judged !== undefined) return { ...judged, questions };
  }
  if (contract.kind === "deny" || empty) {
    if (claims.length === 0) return { ...HOLDS, state: "idle", why: idle || "no packet has such addresses", questions };
    return { ...HOLDS, questions };
  }
  const absent = [...new Set(unmet)].filter((name) => inward || !met.has(name));
  if (absent.length > 0) {
    const why = inward ? ": no port-forward leads to all of it" : "";
    return { ...undecided(`not all of ${absent.join(", ")} can come there${why}`), questions };
  }
  if (spoken.length === 0) {
    if (idle !== "") return { ...HOLDS, state: "idle", why: idle, questions };
    return {
      ...undecided(
        inward
          ? "from outside only a port-forward leads there, and none leads to all of it"
          : "its sides and services have no addresses in one family",
      ),
      questions,
    };
  }
  return { ...HOLDS, questions };
}

/** Decides contracts on one generation, which is read once. Code verify.unmodelled. */
export function proverOf(subject: ContractSubject): Result<(contract: Contract) => ContractProof> {
  const model = subject.opened ?? openModel(subject.desired);
  if (!model.ok) return model;
  const work = { subject, ground: groundOf(subject), model: model.value };
  const value = (contract: Contract): ContractProof => {
    return { id: contract.id, text: contractText(contract), ...decide(work, contract) };
  };
  return { ok: true, value };
}

/** Every contract of the intent with what became of it, in its order. Code verify.unmodelled in `problems`. */
export function proveContracts(subject: ContractSubject): {
  readonly proofs: readonly ContractProof[];
  readonly problems: readonly Problem[];
} {
  const { contracts } = subject.intent;
  // Reading a large ruleset takes time that a site without contracts does not owe.
  if (contracts.length === 0) return { proofs: [], problems: [] };
  const prover = proverOf(subject);
  if (!prover.ok) {
    const why = prover.problems.map((one) => `${one.path}: ${one.detail}`).join("; ");
    const problems = contracts.map((contract, c) => undecidedProblem(contract, c, why));
    return { proofs: [], problems };
  }
  const proofs = contracts.map(prover.value);
  const problems = proofs.flatMap((proof, c): Problem[] => {
    if (proof.state === "undecided") return [undecidedProblem(contracts[c]!, c, proof.why)];
    return proof.witness === null
      ? []
      : [problem("contract.violated", `contracts[${c}]`, violationText(subject, proof))];
  });
  return { proofs, problems };
}

function undecidedProblem(contract: Contract, c: number, why: string): Problem {
  return problem(
    "contract.undecided",
    `contracts[${c}]`,
    `${contractText(contract)} cannot be decided: ${why}.`.slice(0, 500),
  );
}

const SAYINGS: Readonly<Record<Claim["about"], string>> = {
  excess: "is accepted",
  missing: "is dropped",
  answer: "is an answer, and is dropped",
  route: "leaves another way",
};

/** One line: the contract, a packet that breaks it, its way, the deciding rule and where that comes from. */
export function violationText({ intent, desired }: ContractSubject, { text, about, witness }: ContractProof): string {
  if (witness === null || about === "") return text;
  const origin = originOf(intent, desired, witness);
  const limited = witness.limit === "fail" ? " when a rate limit is used up" : "";
  const from = origin === null ? "" : ` (${origin.name}${origin.path === "" ? "" : `, ${origin.path}`})`;
  const way = wayText(intent, desired, witness);
  return `${text}: but ${packetText(witness.packet)} ${SAYINGS[about]}${limited}. Way: ${way}. Decided by ${ruleText(witness.decided)}${from}.`;
}
