/** `history`, `show` and `receipts`: what the router signed about its past, from the chain that is kept here. */
import type { Opened } from "../../agent/core/dsse.ts";
import { EMPTY_LOG } from "../../agent/core/receipts.ts";
import { toHex } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { Receipt } from "../../schemas/report.ts";
import type { RosterRouter } from "../../schemas/trust.ts";
import { numberOf, usageProblem } from "../args.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { receiptFields } from "../outcome.ts";
import { stateFolder } from "../places.ts";
import { type fetchReceipts, keptReceipts, type Memory, pushedGeneration, readMemory } from "../receipts-file.ts";
import { askStatus, type Context, chooseRouter, type Home, openHome, openSession } from "../session.ts";

type Past = {
  readonly home: Home;
  readonly router: RosterRouter;
  readonly memory: Memory;
  readonly receipts: readonly Opened<"receipt">[];
};

/** The kept chain; with the router's newest receipts unless --offline is given. */
async function pastOf(context: Context): Promise<Result<Past>> {
  const { args } = context;
  if (args.has("offline")) {
    const home = await openHome(context);
    if (!home.ok) return home;
    const router = chooseRouter(home.value, args.one("router"));
    if (!router.ok) return router;
    const memory = readMemory(stateFolder(home.value.network, router.value.id, router.value.incarnation));
    return memory.ok ? readPast(home.value, router.value, memory.value) : memory;
  }
  const session = await openSession(context);
  if (!session.ok) return session;
  const stop = context.voice.progress(`asking ${session.value.router.id}`);
  const standing = await askStatus(session.value);
  stop();
  return standing.ok ? readPast(session.value, session.value.router, standing.value.kept.memory) : standing;
}

function readPast(home: Home, router: RosterRouter, memory: Memory): Result<Past> {
  const receipts = keptReceipts(home.crypto, router.sign_key, memory);
  return receipts.ok ? done({ home, router, memory, receipts: receipts.value }) : receipts;
}

const whenOf = (receipt: Receipt): string =>
  new Date(Number(receipt.at_unix) * 1000).toISOString().slice(0, 19).replace("T", " ");

/** The receipt that ended each generation, and the trial receipt where it has none yet. */
function generations(receipts: readonly Opened<"receipt">[]): readonly Receipt[] {
  const last = new Map<bigint, Receipt>();
  for (const { message } of receipts) if (message.generation > 0n) last.set(message.generation, message);
  return [...last.values()];
}

/** `holdfast history` */
export async function history(context: Context): Promise<Ending> {
  const past = await pastOf(context);
  if (!past.ok) return refused(past.problems);
  const { router, receipts, memory } = past.value;
  const list = generations(receipts);
  const rows = list.map((one) => [
    String(one.generation),
    one.outcome.replace("_", " "),
    whenOf(one),
    one.signers.join(" ") || "-",
    one.cause || (one.confirmed_lane === "" ? "-" : `through ${one.confirmed_lane}`),
    one.note,
  ]);
  const text =
    rows.length === 0
      ? `No generation was pushed to ${router.id} yet.\n`
      : table([["GENERATION", "ENDED", "AT (ROUTER'S CLOCK)", "BY", "HOW", "NOTE"], ...rows]);
  const entries = list.map((one) => ({
    ...receiptFields(one),
    signers: one.signers,
    commit: pushedGeneration(memory.folder, one.generation)?.commit ?? "",
  }));
  return finished(text, { router: router.id, generations: entries });
}

function receiptText(one: Opened<"receipt">): string {
  const { message } = one;
  const rows = [
    ["receipt", `${message.index}, ${toHex(one.digest)}`],
    ["outcome", message.outcome.replace("_", " ")],
    ["at", `${whenOf(message)}, ${message.at_boot_ms} ms after boot`],
    ...(message.cause === "" ? [] : [["cause", message.cause]]),
    ...(message.confirmed_by === ""
      ? []
      : [["confirmed", `by ${message.confirmed_by} through ${message.confirmed_lane}`]]),
    ...message.lanes
      .filter((lane) => lane.changed)
      .map((lane) => ["lane", `${lane.name} changed, ${lane.proven ? "proven" : "not proven"}`]),
    ...message.problems.map((problem) => [
      "problem",
      `${problem.code} ${problem.path}: ${problem.detail.split("\n")[0]}`,
    ]),
  ];
  return table(rows);
}

/** `holdfast show GENERATION` */
export async function show(context: Context): Promise<Ending> {
  const [text = ""] = context.args.operands;
  if (!/^[1-9][0-9]{0,17}$/.test(text)) return refused([usageProblem("show takes the number of a generation.")]);
  const past = await pastOf(context);
  if (!past.ok) return refused(past.problems);
  const { router, receipts, memory } = past.value;
  const own = receipts.filter((one) => one.message.generation === BigInt(text));
  const last = own.at(-1)?.message;
  if (last === undefined)
    return refused(refuse("cli.no_generation", text, `the log of ${router.id} has no such generation`).problems);
  const pushed = pushedGeneration(memory.folder, BigInt(text));
  const rows = [
    ["generation", `${text} of ${router.id}`],
    ["signed by", last.signers.join(" ")],
    ["desired", `sha256:${toHex(last.desired_digest)}`],
    ...(last.note === "" ? [] : [["note", last.note]]),
    ...((pushed?.commit ?? "") === "" ? [] : [["commit", pushed!.commit]]),
    ["kept here", pushed === undefined ? "no" : "yes: holdfast rollback --to can push it again"],
  ];
  const plan = own.find((one) => one.message.plan !== "")?.message.plan ?? "";
  const body = [table(rows), ...own.map(receiptText), ...(plan === "" ? [] : [plan])].join("\n");
  const fields = {
    router: router.id,
    generation: last.generation,
    signers: last.signers,
    note: last.note,
    commit: pushed?.commit ?? "",
    kept: pushed !== undefined,
    plan,
  };
  return finished(body, {
    ...fields,
    receipts: own.map((one) => ({ ...receiptFields(one.message), digest: one.digest })),
  });
}

/** `holdfast receipts [verify]` */
export async function receipts(context: Context): Promise<Ending> {
  const [word] = context.args.operands;
  if (word !== undefined && word !== "verify") return refused([usageProblem("receipts takes no word but verify.")]);
  const from = numberOf(context.args, "from", 1, 2_000_000_000, 1);
  if (!from.ok) return refused(from.problems);
  const past = await pastOf(context);
  if (!past.ok) return refused(past.problems);
  const { router, memory, receipts: chain } = past.value;
  const head = { index: memory.head.index, digest: memory.head.digest };
  if (word === "verify") return verify(context, past.value);
  const shown = chain.filter((one) => one.message.index >= BigInt(from.value));
  const rows = shown.map(({ message, digest }) => [
    String(message.index),
    message.outcome.replace("_", " "),
    message.generation === 0n ? "-" : String(message.generation),
    whenOf(message),
    toHex(digest).slice(0, 16),
    message.cause,
  ]);
  const text =
    rows.length === 0
      ? `No receipts of ${router.id}.\n`
      : table([["INDEX", "OUTCOME", "GENERATION", "AT (ROUTER'S CLOCK)", "DIGEST", "CAUSE"], ...rows]);
  const entries = shown.map((one) => ({ ...receiptFields(one.message), digest: one.digest }));
  return finished(text, { router: router.id, head, receipts: entries });
}

/** The kept chain was checked by reading it; with the router at hand its own copy is walked from the first entry. */
async function verify(context: Context, { router, memory }: Past): Promise<Ending> {
  const { index, digest } = memory.head;
  const fields = { router: router.id, head: { index, digest }, verified: index, compared: false };
  const text = `${index} receipts of ${router.id}: every signature and link holds, head ${toHex(digest).slice(0, 16)}`;
  if (context.args.has("offline")) return finished(`${text}.`, fields);
  const session = await openSession(context);
  if (!session.ok) return refused(session.problems);
  const { crypto, link } = session.value;
  // Into a folder of no name: compared, not kept.
  const walked = await walkLog(crypto, router, link, { index, digest });
  if (!walked.ok) return refused(walked.problems, fields);
  return finished(`${text}; the router's own log is the same.`, { ...fields, compared: true });
}

type LinkOf = Parameters<typeof fetchReceipts>[2];

/** Reads the router's whole log again and compares it with the kept head. Codes receipts.forked, trust.*. */
async function walkLog(
  crypto: Home["crypto"],
  router: RosterRouter,
  link: LinkOf,
  head: Memory["head"],
): Promise<Result<void>> {
  const { checkChain } = await import("../../agent/core/receipts.ts");
  let { index, digest } = EMPTY_LOG;
  while (index < head.index) {
    const answer = await link.get("receipts", { from_index: index + 1n, limit: 64 }, { attempts: 3 });
    if (!answer.ok) return answer;
    const left = Number(head.index - index);
    const part = answer.value.receipts.slice(0, left);
    if (part.length === 0) return refuse("receipts.rewound", `log entry ${index + 1n}`, "the router does not give it");
    const chain = checkChain(crypto, router.sign_key, { index, digest }, part);
    if (!chain.ok) return chain;
    ({ index, digest } = chain.value);
  }
  const same = toHex(digest) === toHex(head.digest);
  return same
    ? done(undefined)
    : refuse("receipts.forked", `log entry ${index}`, "its history is another one than the one kept here");
}
