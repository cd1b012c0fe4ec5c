/**
 * `operator revoke`: one key says that it must not be believed any more. It needs nobody's consent, counts at once on
 * every router that hears it, and there is no way back.
 */
import { signStatement } from "../../agent/core/dsse.ts";
import { equalBytes } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { done, type Problem, type Result, refuse } from "../../schemas/problem.ts";
import { usageError } from "../args.ts";
import { type OperatorKeys, openOperator } from "../keys.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { passphraseOf } from "../passphrase.ts";
import { type Revocation, readRevocations } from "../revocations.ts";
import { type Context, chooseRouter, type Home, openHome, sessionFor } from "../session.ts";
import { writeRevoked } from "../site/proposal-files.ts";
import { entryOf } from "../trust-change.ts";

type Heard = { readonly router: string; readonly heard: boolean; readonly problems: readonly Problem[] };

/**
 * Somebody must remain who can be heard, or every router would need hands. Returns what an earlier run has written.
 * Codes cli.no_operator, trust.no_operator.
 */
function othersRemain(home: Home, { sign, holder }: OperatorKeys): Result<Revocation | undefined> {
  const { operators } = home.chain.view.roster.message;
  if (entryOf(operators, sign.publicKey) === undefined) {
    return refuse("cli.no_operator", holder, "the roster does not list the key on this machine");
  }
  const revoked = readRevocations(home);
  if (!revoked.ok) return revoked;
  const gone = (key: Uint8Array): boolean =>
    equalBytes(key, sign.publicKey) || revoked.value.some((one) => equalBytes(one.key, key));
  const left = operators.filter((one) => one.status === "active" && !gone(one.sign_key));
  if (left.length === 0) return refuse("trust.no_operator", holder, "this is the only key that routers hear");
  return done(revoked.value.find((one) => equalBytes(one.key, sign.publicKey)));
}

async function tell(
  context: Context,
  home: Home,
  operator: OperatorKeys,
  router: string,
  revoke: Uint8Array,
): Promise<Heard> {
  const session = sessionFor(context, home, operator, router);
  if (!session.ok) return { router, heard: false, problems: session.problems };
  const stop = context.voice.progress(`telling ${router}`);
  const answer = await session.value.link.get("revoke", { revoke }, { attempts: 3 });
  stop();
  return { router, heard: answer.ok, problems: answer.ok ? [] : answer.problems };
}

/** Routers to tell: --router, or all. Codes cli.usage, cli.no_router. */
function routersOf({ args }: Context, home: Home): Result<readonly string[]> {
  const all = home.chain.view.roster.message.routers.filter((one) => one.status === "active").map((one) => one.id);
  if (args.one("router") === undefined) {
    if (args.one("at") === undefined || all.length < 2) return done(all);
    return usageError("--at is the address of one router: say which with --router ID.");
  }
  const chosen = chooseRouter(home, args.one("router"));
  return chosen.ok ? done([chosen.value.id]) : chosen;
}

/** `holdfast operator revoke` */
export async function operatorRevoke(context: Context): Promise<Ending> {
  const { args, voice } = context;
  const reason = args.one("reason") ?? "";
  if (!/^[\x20-\x7e]*$/.test(reason) || reason.length > limits.noteChars) {
    return refused(usageError(`--reason takes at most ${limits.noteChars} printable ASCII characters.`).problems);
  }
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const routers = routersOf(context, home.value);
  if (!routers.ok) return refused(routers.problems);
  const { crypto, owner, folder, chain } = home.value;
  const operator = await openOperator(crypto, owner, args.one("as"), passphraseOf(args));
  if (!operator.ok) return refused(operator.problems);
  const { holder, sign } = operator.value;
  const remain = othersRemain(home.value, operator.value);
  if (!remain.ok) return refused(remain.problems);
  if (!args.has("yes")) {
    voice.say(`The operator key of ${holder} on this machine will be refused by every router, for ever.`);
    const sure = await voice.ask(`Type ${holder} to take it back:`, "--yes", holder);
    if (!sure.ok) return refused(sure.problems);
  }
  const message = { network_id: chain.view.root.message.network_id, key: sign.publicKey, reason };
  const revoke = remain.value?.envelope ?? signStatement(crypto, "self-revoke", message, [sign]).envelope;
  // In the site before any router hears it: what happens next must not depend on this machine.
  const name = writeRevoked(folder, holder, revoke);
  if (!name.ok) return refused(name.problems);
  const heard: Heard[] = [];
  for (const router of routers.value) heard.push(await tell(context, home.value, operator.value, router, revoke));
  const fields = {
    ...{ holder, file: name.value, reason },
    routers: heard.map((one) => ({ router: one.router, heard: one.heard, code: one.problems[0]?.code ?? "" })),
  };
  const rows = heard.map((one) => [one.router, one.heard ? "heard it" : `not told: ${one.problems[0]?.code}`]);
  const answer = `${table(rows)}Commit ${name.value}: every later push from this site tells the routers that were away.\nNext: another operator runs holdfast operator remove ${holder}.\n`;
  const problems = heard.flatMap((one) => one.problems);
  return problems.length === 0 ? finished(answer, fields) : { ...refused(problems, fields), answer };
}
