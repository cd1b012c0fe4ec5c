/** `check`: the proof without any router. What is proven is the site, and the router proves it again with the real keys. */
import type { CompileInput } from "../../agent/core/compile.ts";
import type { ContractProof } from "../../agent/core/contracts.ts";
import type { Coverage } from "../../agent/core/coverage.ts";
import type { Edit } from "../../agent/core/edits-try.ts";
import { prove } from "../../agent/core/prove.ts";
import type { Problem } from "../../schemas/problem.ts";
import { coverageJson, coverageText } from "../coverage-text.ts";
import { editJson, editLines } from "../edit-text.ts";
import { type Ending, finished, refused } from "../out.ts";
import type { Context } from "../session.ts";
import type { Site } from "../site/site.ts";
import { openSubjects, type SiteSubject } from "../subject.ts";

type Checked = {
  readonly router: string;
  readonly desired_digest: Uint8Array;
  readonly stand_in_keys: readonly string[];
  readonly contracts: readonly Pick<ContractProof, "id" | "state" | "text" | "why" | "questions">[];
  readonly coverage?: Coverage;
};

/** A router's broken contracts, and what would mend each: looked for in the first few, for each costs a proof. */
type Broken = { readonly problems: readonly Problem[]; readonly edits: readonly ContractEdit[] };
type ContractEdit = { readonly contract: string; readonly edit: Edit };

const EDITS_MAX = 3;

/** Adds to each broken contract how it would hold. */
async function withEdits(site: Site, input: CompileInput, problems: readonly Problem[]): Promise<Broken> {
  const { smallestEdit } = await import("../../agent/core/edits-try.ts");
  const edits: ContractEdit[] = [];
  let looked = 0;
  const told = problems.map((one): Problem => {
    const at = /^contracts\[(\d+)\]$/.exec(one.path)?.[1];
    const contract = input.intent.contracts[Number(at ?? -1)];
    if (!one.code.startsWith("contract.") || contract === undefined || looked === EDITS_MAX) return one;
    looked += 1;
    const edit = smallestEdit(input, contract);
    if (edit === null) return one;
    edits.push({ contract: contract.id, edit });
    return { ...one, detail: `${one.detail} Mended by ${editLines(site, edit).join("; ")}.` };
  });
  return { problems: told, edits };
}

/** A part of the intent that a detail names, with its line. */
function placeOrigins(site: Site, one: Problem): Problem {
  if (!one.code.startsWith("contract.")) return one;
  const detail = one.detail.replace(
    /, ((?:policies|profiles|port_forwards)\[\d+\])\)/g,
    (_, path: string) => `, ${site.locate({ ...one, path }).path})`,
  );
  return { ...one, detail };
}

/** The proof of one router; `wanted`: with what depends on each of its rules. */
async function checkRouter(site: Site, { input, standIns }: SiteSubject, wanted: boolean): Promise<Checked | Broken> {
  const proven = prove(input);
  if (!proven.ok) {
    const { problems, edits } = await withEdits(site, input, proven.problems);
    return { problems: problems.map((one) => site.locate(placeOrigins(site, one))), edits };
  }
  const contracts = proven.value.contracts.map(({ id, state, text, why, questions }) => ({
    id,
    state,
    text,
    why,
    questions,
  }));
  const checked = { router: input.router, desired_digest: proven.value.digest, stand_in_keys: standIns, contracts };
  if (!wanted) return checked;
  // Loaded for those who ask for it.
  const { coverageOf } = await import("../../agent/core/coverage.ts");
  const coverage = coverageOf({ ...input, intent: site.intent, desired: proven.value.desired });
  return coverage.ok ? { ...checked, coverage: coverage.value } : { problems: coverage.problems, edits: [] };
}

/** The parts of a broken contract, one below the other. */
const inLines = (one: Problem): Problem => ({
  ...one,
  detail: one.detail.replace(/\. (Way: |Decided by |Mended by )/g, (_, part: string) => `\n  ${part.toLowerCase()}`),
});

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

function routerLines(site: Site, { router, desired_digest, stand_in_keys, contracts, coverage }: Checked): string {
  const note = stand_in_keys.length === 0 ? "" : `, with stand-in keys for ${stand_in_keys.join(", ")}`;
  const idle = contracts.filter((one) => one.state === "idle");
  const proven = contracts.filter((one) => one.state === "holds");
  const lines = [`${router}: proven, sha256:${Buffer.from(desired_digest).toString("hex")}${note}`];
  if (contracts.length > 0) lines.push(`${router}: ${plural(proven.length, "contract")} proven for all packets`);
  for (const { text, why } of idle) lines.push(`${router}: idle: ${text}: ${why}`);
  const covered = coverage === undefined ? "" : coverageText(site, router, coverage);
  return `${lines.map((line) => `${line}\n`).join("")}${covered}`;
}

/** As --json has it. */
function routerFields(site: Site, { coverage, ...checked }: Checked): Readonly<Record<string, unknown>> {
  return coverage === undefined ? checked : { ...checked, coverage: coverageJson(site, coverage) };
}

/** `holdfast check` */
export async function check(context: Context): Promise<Ending> {
  const opened = await openSubjects(context);
  if (!opened.ok) return refused(opened.problems);
  const { site, routers } = opened.value;
  const good: Checked[] = [];
  const found: Problem[] = [];
  const edits: ContractEdit[] = [];
  const wanted = context.args.has("coverage");
  for (const subject of routers) {
    const stop = context.voice.progress(`Proving ${subject.input.router}`);
    const result = await checkRouter(site, subject, wanted);
    stop();
    if ("router" in result) good.push(result);
    else {
      found.push(...result.problems);
      edits.push(...result.edits);
    }
  }
  if (found.length > 0) {
    const problems = distinct(found);
    return refused(context.json ? problems : problems.map(inLines), {
      routers: good.map((one) => routerFields(site, one)),
      edits: edits.map(({ contract, edit }) => ({ contract, ...editJson(site, edit)! })),
    });
  }
  const { clients } = site.inventory;
  const counts = [plural(good.length, "router"), plural(clients.length, "client")];
  if (site.intent.contracts.length > 0) counts.push(plural(site.intent.contracts.length, "contract"));
  return finished(`${good.map((one) => routerLines(site, one)).join("")}Good: ${counts.join(", ")}.\n`, {
    routers: good.map((one) => routerFields(site, one)),
    clients: clients.length,
  });
}

/** A law of the site is broken for every router alike; once is enough. */
function distinct(problems: readonly Problem[]): readonly Problem[] {
  const seen = new Set<string>();
  return problems.filter((one) => {
    const key = `${one.code}\0${one.path}\0${one.detail}`;
    return !seen.has(key) && seen.add(key);
  });
}
