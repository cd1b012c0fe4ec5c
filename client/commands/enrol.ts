/**
 * `router enrol`: a token for the router, the router's own keys back, a fingerprint for people to compare, and roster
 * N+1 that names them. Every step may be repeated; a lost reply is asked for again.
 */
import { existsSync, rmSync } from "node:fs";
import { networksOf } from "../../agent/core/compile.ts";
import type { Opened } from "../../agent/core/dsse.ts";
import { openStatement } from "../../agent/core/dsse.ts";
import { checkEnrolRequest, enrolBox, fingerprint } from "../../agent/core/enrol.ts";
import { EMPTY_LOG } from "../../agent/core/receipts.ts";
import { openKeyReport } from "../../agent/core/trust.ts";
import { compareBytes, equalBytes } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { EnrolRequest, EnrolToken, RosterRouter } from "../../schemas/trust.ts";
import { type Args, numberOf, usageProblem } from "../args.ts";
import { sameFingerprint } from "../fingerprints.ts";
import { type OperatorKeys, openOperator } from "../keys.ts";
import { createLink, parseTarget, type Target, targetName } from "../link.ts";
import { type Ending, finished, refused } from "../out.ts";
import { type Passphrase, passphraseOf } from "../passphrase.ts";
import { stateFolder, writeWhole } from "../places.ts";
import { type Proposal, readProposals } from "../proposals.ts";
import { keepPlace, keepReceipts, readMemory } from "../receipts-file.ts";
import { fetchKeys } from "../reports.ts";
import { type Stepped, stepRoster, waitingEnding } from "../roster-step.ts";
import { apiPort, type Context, type Home, openHome, sessionOf } from "../session.ts";
import { writeKeyReport } from "../site/trust-files.ts";
import { readTokenFile, tokenText } from "../token.ts";
import { activeRouter } from "../trust-docs.ts";

/** Strangers may fail once in two seconds for long (agent/strangers.ts): an impatient caller would lock itself out. */
const POLL_MS = 2500;
const ASK_MS = 5000;
const WAIT_S = 900;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Wanted = { readonly id: string; readonly target: Target; readonly waitMs: number; readonly tokenFile: string };

function readWanted(args: Args, home: Home): Result<Wanted> {
  const [id = ""] = args.operands;
  if (home.intent !== null && !home.intent.routers.some((one) => one.id === id)) {
    return refuse("cli.no_router", id, "the intent has no such router");
  }
  const at = args.one("at");
  const target = at === undefined ? undefined : parseTarget(at, apiPort(home.intent, id));
  if (target === undefined) {
    const text =
      at === undefined
        ? "--at ADDRESS is missing."
        : "--at must be ADDRESS, ADDRESS:PORT, [V6]:PORT or the path of a socket.";
    return { ok: false, problems: [usageProblem(text)] };
  }
  const wait = numberOf(args, "wait", 1, 86_400, WAIT_S);
  if (!wait.ok) return wait;
  return done({ id, target, waitMs: wait.value * 1000, tokenFile: args.one("token-file") ?? `${id}.token` });
}

/** The token in the file when it is ours, or a new one, written with mode 0600. Code cli.bad_token. */
function tokenOf(home: Home, wanted: Wanted, operator: OperatorKeys): Result<EnrolToken> {
  const held = readTokenFile(wanted.tokenFile);
  if (!held.ok) return held;
  const first = home.chain.roots[0]!;
  const token = held.value;
  if (token !== null) {
    const ours = equalBytes(token.root_digest, first.digest) && token.router === wanted.id;
    return ours ? done(token) : refuse("cli.bad_token", wanted.tokenFile, "it was made for another router or network");
  }
  const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));
  const made: EnrolToken = {
    token_id: random(16),
    secret: random(32),
    network_id: first.message.network_id,
    router_id: random(16),
    router: wanted.id,
    incarnation: 1,
    root_digest: first.digest,
    root: first.envelope,
    reply_key: operator.seal.publicKey,
  };
  writeWhole(wanted.tokenFile, tokenText(made));
  return done(made);
}

/** Asks until the router shows its keys. Before it has the token nobody answers, or refuses; that is waited out. */
async function awaitRequest(
  context: Context,
  home: Home,
  wanted: Wanted,
  token: EnrolToken,
): Promise<Result<Opened<"enrol-request">>> {
  const peer = {
    networkId: token.network_id,
    routerId: token.router_id,
    signKey: null,
    sealKey: enrolBox(home.crypto, token.secret).publicKey,
  };
  const link = createLink(home.crypto, peer, home.crypto.signKeys(), [wanted.target]);
  const stop = context.voice.progress(`waiting for ${wanted.id} at ${targetName(wanted.target)}`);
  const end = performance.now() + wanted.waitMs;
  try {
    for (;;) {
      const reply = await link.ask("enrol", {}, { timeoutMs: ASK_MS });
      if (reply.ok && reply.value.answer.message.code === "") {
        return checkAnswer(home, token, reply.value.answer);
      }
      const problems = reply.ok ? [] : reply.problems;
      if (!problems.every((one) => one.code.startsWith("link."))) return { ok: false, problems };
      if (performance.now() > end)
        return refuse("link.unreachable", targetName(wanted.target), "the router did not ask to be enrolled in time");
      await pause(POLL_MS);
    }
  } finally {
    stop();
  }
}

/** The MAC over the keys, and the very key that signed the answer. */
function checkAnswer(home: Home, token: EnrolToken, answer: Opened<"answer">): Result<Opened<"enrol-request">> {
  const request = checkEnrolRequest(home.crypto, token, answer.message.enrol);
  if (!request.ok) return request;
  const same = answer.signers.length === 1 && equalBytes(answer.signers[0]!, request.value.message.sign_key);
  return same ? request : refuse("trust.answer_mismatch", "enrol", "signed by another key than it names");
}

/** A person compares, or --fingerprint does. Codes cli.fingerprint, cli.declined, cli.not_a_terminal. */
async function compare({ args, voice }: Context, id: string, request: EnrolRequest): Promise<Result<void>> {
  const shown = fingerprint(request);
  const wanted = args.one("fingerprint");
  if (wanted !== undefined) {
    if (sameFingerprint(wanted, shown)) return done(undefined);
    return refuse("cli.fingerprint", id, `the router that answers has ${shown}`);
  }
  voice.say(`${id} shows the fingerprint\n\n    ${shown}\n`);
  return voice.ask("Is it the one that holdfastd printed on the router?", "--fingerprint");
}

/** Signs the roster that names the router: in force at once, or proposed where it needs more people. */
async function admitRouter(
  home: Home,
  token: EnrolToken,
  request: EnrolRequest,
  passphrase: Passphrase,
): Promise<Result<Stepped>> {
  const { roster } = home.chain.view;
  const entry: RosterRouter = {
    id: token.router,
    router_id: request.router_id,
    incarnation: request.incarnation,
    sign_key: request.sign_key,
    seal_key: request.seal_key,
    generation_floor: 0n,
    status: "active",
  };
  const routers = [...roster.message.routers, entry].sort((a, b) => (a.id < b.id ? -1 : 1));
  const tokens = [...roster.message.consumed_tokens, token.token_id].sort(compareBytes);
  return stepRoster(home, { routers, consumed_tokens: tokens }, passphrase);
}

/** The open roster that names this router already: its keys were compared, others have yet to sign. */
function waitingFor(home: Home, id: string): Result<Proposal | null> {
  const open = readProposals(home.crypto, home.folder, home.chain);
  if (!open.ok) return open;
  const { roster } = open.value;
  const named = roster?.opened.message.routers.some((one) => one.id === id && one.status === "active") === true;
  return done(named ? roster : null);
}

/** Gives the router the roster that names it, and keeps its first receipt and its key report. */
async function deliver(
  home: Home,
  wanted: Wanted,
  router: RosterRouter,
  operator: OperatorKeys,
): Promise<Result<void>> {
  const { crypto, chain } = home;
  const networkId = chain.view.root.message.network_id;
  const peer = { networkId, routerId: router.router_id, signKey: router.sign_key, sealKey: router.seal_key };
  const link = createLink(crypto, peer, operator.sign, [wanted.target]);
  const trust = [...chain.roots.slice(1), chain.view.roster].map((one) => one.envelope).slice(-limits.trustUpdates);
  const answer = await link.get("enrol", { trust }, { attempts: 5 });
  if (!answer.ok) return answer;
  const report = openKeyReport(crypto, router, networkId, answer.value.key_report);
  if (!report.ok) return report;
  const receipt = openStatement(crypto, "receipt", answer.value.receipt);
  if (!receipt.ok) return receipt;
  const memory = readMemory(stateFolder(home.network, router.id, router.incarnation));
  if (!memory.ok) return memory;
  if (memory.value.head.index === EMPTY_LOG.index) {
    const kept = keepReceipts(crypto, router.sign_key, memory.value, [receipt.value.envelope]);
    if (!kept.ok) return kept;
  }
  keepPlace(memory.value.folder, targetName(wanted.target));
  return writeKeyReport(home.folder, router.id, report.value.message.version, report.value.envelope);
}

/** Keys of the intent's networks, so that clients can be added before the first push. */
async function networkKeys(context: Context, home: Home, wanted: Wanted): Promise<Result<number>> {
  const session = await sessionOf(context, home, wanted.id);
  if (!session.ok) return session;
  const networks = home.intent === null ? [] : networksOf(home.intent, wanted.id);
  const report = await fetchKeys(session.value, networks);
  return report.ok ? done(report.value.message.keys.length) : report;
}

/** `holdfast router enrol ID --at ADDRESS` */
export async function enrol(context: Context): Promise<Ending> {
  const opened = await openHome(context);
  if (!opened.ok) return refused(opened.problems);
  let home = opened.value;
  const wanted = readWanted(context.args, home);
  if (!wanted.ok) return refused(wanted.problems);
  const { id, tokenFile } = wanted.value;
  const passphrase = passphraseOf(context.args);
  const operator = await openOperator(home.crypto, home.owner, context.args.one("as"), passphrase);
  if (!operator.ok) return refused(operator.problems);
  let shown: string | undefined;
  if (activeRouter(home.chain.view, id) === undefined) {
    const again = `, then holdfast router enrol ${id} again`;
    const waiting = waitingFor(home, id);
    if (!waiting.ok) return refused(waiting.problems);
    if (waiting.value !== null) return waitingEnding(waiting.value, again, { router: id });
    const token = tokenOf(home, wanted.value, operator.value);
    if (!token.ok) return refused(token.problems);
    context.voice.say(`Bring ${tokenFile} to ${id} once, and run there: holdfastd enrol ${id}.token`);
    const request = await awaitRequest(context, home, wanted.value, token.value);
    if (!request.ok) return refused(request.problems, { token_file: tokenFile });
    const same = await compare(context, id, request.value.message);
    if (!same.ok) return refused(same.problems, { token_file: tokenFile });
    const named = await admitRouter(home, token.value, request.value.message, passphrase);
    if (!named.ok) return refused(named.problems);
    shown = fingerprint(request.value.message);
    if (named.value.waiting !== null) {
      return waitingEnding(named.value.waiting, again, { router: id, fingerprint: shown, token_file: tokenFile });
    }
    home = named.value.home;
  }
  const router = activeRouter(home.chain.view, id)!;
  const delivered = await deliver(home, wanted.value, router, operator.value);
  if (!delivered.ok) return refused(delivered.problems);
  // Its secret opens nothing any more.
  if (existsSync(tokenFile)) rmSync(tokenFile);
  const keys = await networkKeys(context, home, wanted.value);
  if (!keys.ok) return refused(keys.problems);
  const { version } = home.chain.view.roster.message;
  const answer = `${id} is enrolled: roster ${version} names it. Next: holdfast client add, then holdfast push.`;
  return finished(answer, {
    router: id,
    router_id: router.router_id,
    roster: version,
    fingerprint: shown ?? "",
    keys: keys.value,
  });
}
