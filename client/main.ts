/** `holdfast`: finds the verb, reads its flags, runs it and prints how it ended. The only place that exits. */

import { refuse } from "../schemas/problem.ts";
import { didYouMean, printable, readArgs, usageProblem } from "./args.ts";
import { programHelp, verbHelp } from "./help.ts";
import { type Ending, type ExitCode, printEnding, refused, voiceOf } from "./out.ts";
import type { Context } from "./session.ts";
import { type Verb, verbs } from "./usage.ts";

type Command = (context: Context) => Promise<Ending>;

/** Loaded when called: most verbs need neither libsodium nor the compiler. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import("./commands/init.ts")).init,
  check: async () => (await import("./commands/check.ts")).check,
  ask: async () => (await import("./commands/ask.ts")).askQuestion,
  test: async () => (await import("./commands/test.ts")).testContracts,
  matrix: async () => (await import("./commands/matrix.ts")).matrix,
  plan: async () => (await import("./commands/push.ts")).plan,
  push: async () => (await import("./commands/push.ts")).push,
  "bundle show": async () => (await import("./commands/bundle.ts")).bundleShow,
  cosign: async () => (await import("./commands/bundle.ts")).cosign,
  sign: async () => (await import("./commands/bundle.ts")).cosign,
  confirm: async () => (await import("./commands/confirm.ts")).confirm,
  rollback: async () => (await import("./commands/confirm.ts")).rollback,
  status: async () => (await import("./commands/status.ts")).status,
  history: async () => (await import("./commands/history.ts")).history,
  show: async () => (await import("./commands/history.ts")).show,
  diff: async () => (await import("./commands/diff.ts")).diff,
  receipts: async () => (await import("./commands/history.ts")).receipts,
  "client add": async () => (await import("./commands/client-add.ts")).clientAdd,
  "client list": async () => (await import("./commands/client.ts")).clientList,
  "client show": async () => (await import("./commands/client.ts")).clientShow,
  "router enrol": async () => (await import("./commands/enrol.ts")).enrol,
  "router keys": async () => (await import("./commands/router.ts")).routerKeys,
  "router list": async () => (await import("./commands/router.ts")).routerList,
  "operator lane": async () => (await import("./commands/operator.ts")).operatorLane,
  "operator new": async () => (await import("./commands/operator-new.ts")).operatorNew,
  "operator add": async () => (await import("./commands/operator-roster.ts")).operatorAdd,
  "operator remove": async () => (await import("./commands/operator-roster.ts")).operatorRemove,
  "operator list": async () => (await import("./commands/operator-roster.ts")).operatorList,
  "operator revoke": async () => (await import("./commands/operator-revoke.ts")).operatorRevoke,
  "trust show": async () => (await import("./commands/trust.ts")).trustShow,
  "trust propose": async () => (await import("./commands/trust-propose.ts")).trustPropose,
  "trust sign": async () => (await import("./commands/trust.ts")).trustSign,
  "trust apply": async () => (await import("./commands/trust-apply.ts")).trustApply,
  "trust rotate": async () => (await import("./commands/trust-rotate.ts")).trustRotate,
  verify: async () => (await import("./commands/verify.ts")).verify,
  explain: async () => (await import("./commands/explain.ts")).explain,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
  completion: async () => (await import("./commands/completion.ts")).completion,
  version: async () => (await import("./commands/version.ts")).version,
};

type Found = { readonly verb: Verb; readonly rest: readonly string[] };

function findVerb(words: readonly string[]): Found | undefined {
  const two = verbs.find((verb) => verb.name === words.slice(0, 2).join(" "));
  if (two?.name.includes(" ")) return { verb: two, rest: words.slice(2) };
  const one = verbs.find((verb) => verb.name === words[0]);
  return one === undefined ? undefined : { verb: one, rest: words.slice(1) };
}

/** No verb was found: a group asks for its second word, anything else for a guess. */
function unknownVerb(words: readonly string[], json: boolean): ExitCode {
  const [first = "", second] = words;
  const isGroup = verbs.some((verb) => verb.name.startsWith(`${first} `));
  const names = verbs.map((verb) => verb.name);
  const asked = isGroup && second !== undefined && !second.startsWith("-") ? `${first} ${second}` : first;
  const detail =
    isGroup && asked === first
      ? `${first} needs a second word: ${names
          .filter((name) => name.startsWith(`${first} `))
          .map((name) => name.slice(first.length + 1))
          .join(", ")}.`
      : `There is no verb ${printable(asked)}.${didYouMean(asked, names)}`;
  const ending = refused([usageProblem(detail)]);
  printEnding(printable(asked), ending, json);
  return ending.exit;
}

/** Environment that lets others run code in here, where the keys are. The compiled program is closed to it as well. */
const DOORS = ["BUN_OPTIONS", "BUN_INSPECT", "BUN_INSPECT_CONNECT_TO", "BUN_INSPECT_NOTIFY"];

/** Runs the command line and returns the exit code. Answers go to stdout, everything else to stderr. */
export async function main(words: readonly string[]): Promise<number> {
  const [first] = words;
  const json = words.includes("--json");
  const open = DOORS.filter((name) => (process.env[name] ?? "") !== "");
  if (open.length > 0) {
    const ending = refused(refuse("cli.environment", "", `${open.join(", ")} is set`).problems);
    printEnding("", ending, json);
    return ending.exit;
  }
  if (first === undefined) {
    process.stderr.write(programHelp());
    return 2;
  }
  if (first === "--help" || first === "-h" || first === "help") {
    process.stdout.write(programHelp());
    return 0;
  }
  if (first === "--version") return main(["version", ...words.slice(1)]);
  const found = findVerb(words);
  if (found === undefined) {
    const isGroup = verbs.some((verb) => verb.name.startsWith(`${first} `));
    if (isGroup && (words[1] === "--help" || words[1] === "-h")) {
      process.stdout.write(programHelp(first));
      return 0;
    }
    return unknownVerb(words, json);
  }
  const { verb, rest } = found;
  if (rest.includes("--help") || rest.includes("-h")) {
    process.stdout.write(verbHelp(verb));
    return 0;
  }
  const args = readArgs(verb, rest);
  const voice = voiceOf(json);
  let ending: Ending;
  if (args.ok) {
    const command = await commands[verb.name]!();
    ending = await command({ args: args.value, voice, json });
  } else ending = refused(args.problems);
  printEnding(verb.name, ending, json);
  return ending.exit;
}

/** For the process: ends with the exit code. A bug leaves one line, and its place when HOLDFAST_TRACE is set. */
export async function start(words: readonly string[]): Promise<never> {
  try {
    process.exitCode = await main(words);
  } catch (failure) {
    const trace = (process.env.HOLDFAST_TRACE ?? "") !== "";
    const text = failure instanceof Error ? (trace ? failure.stack : failure.message) : String(failure);
    process.stderr.write(
      `error: unexpected: ${text}\nnext: this is a bug, or this machine is broken; nothing more is done\n`,
    );
    process.exitCode = 1;
  }
  // Everything is written before the end, into a slow pipe too; nothing is left that could hold the process.
  await new Promise<void>((resolve) => process.stdout.end(() => resolve()));
  process.exit();
}

if (import.meta.main) await start(process.argv.slice(2));
