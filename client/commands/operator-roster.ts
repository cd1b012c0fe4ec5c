/** `operator add`, `remove` and `list`: who may sign directives. Each change is a roster, signed by ADMIN. */
import * as v from "valibot";
import { equalBytes } from "../../schemas/digest.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { type Operator, RiskClass } from "../../schemas/trust.ts";
import { type Args, usageError } from "../args.ts";
import { type Card, readCardFile } from "../cards.ts";
import { cardFingerprint, keyFingerprint, sameFingerprint } from "../fingerprints.ts";
import { localHolders } from "../keys.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { passphraseOf } from "../passphrase.ts";
import { readRevocations } from "../revocations.ts";
import { type Stepped, stepRoster, waitingEnding } from "../roster-step.ts";
import { type Context, type Home, openHome } from "../session.ts";
import { cardKeys, entryOf, operatorEntry, withoutHolders } from "../trust-change.ts";

/** The class of --max-class: what a new operator may sign at most. Code cli.usage. */
export function maxClassOf(args: Args): Result<RiskClass> {
  const text = args.one("max-class") ?? "recovery";
  if (v.is(RiskClass, text)) return done(text);
  return usageError(`--max-class is one of ${RiskClass.options.join(", ")}.`);
}

/**
 * A person compares the letters of each card, or --fingerprint does; --yes says that somebody did. Codes
 * cli.card_fingerprint, cli.declined, cli.not_a_terminal.
 */
export async function compareCards({ args, voice }: Context, cards: readonly Card[]): Promise<Result<void>> {
  const wanted = args.all("fingerprint");
  const known = (card: Card): boolean => wanted.some((one) => sameFingerprint(one, cardFingerprint(card)));
  const other = wanted.length === 0 ? undefined : cards.find((card) => !known(card));
  if (other !== undefined) {
    return refuse("cli.card_fingerprint", other.message.holder, `the card has ${cardFingerprint(other)}`);
  }
  for (const card of cards) {
    voice.say(`The card of ${card.message.holder} has the fingerprint\n\n    ${cardFingerprint(card)}\n`);
  }
  if (wanted.length > 0 || args.has("yes") || cards.length === 0) return done(undefined);
  return voice.ask("Did they read the same letters to you?", "--fingerprint");
}

/** The card's place among the operators; refuses a second active entry of one person. Code cli.operator_exists. */
export function admitCard(operators: readonly Operator[], card: Card, maxClass: RiskClass): Result<Operator[]> {
  const { holder, sign_key } = card.message;
  const same = entryOf(operators, sign_key);
  if (same !== undefined) return refuse("cli.operator_exists", holder, `the key is listed as ${same.status}`);
  if (operators.some((one) => one.holder === holder && one.status === "active")) {
    return refuse("cli.operator_exists", holder, "they have another key; remove it first if it is lost");
  }
  return done([...operators, operatorEntry(card.message, maxClass)].sort((a, b) => (a.holder < b.holder ? -1 : 1)));
}

/** How a roster step of a verb ended. */
function stepEnding(stepped: Stepped, what: string, fields: Readonly<Record<string, unknown>>, how = ""): Ending {
  if (stepped.waiting !== null) return waitingEnding(stepped.waiting, ", then holdfast push", fields);
  const { version } = stepped;
  return finished(`${what} in roster ${version}. Next: commit trust/, then holdfast push to every router${how}.`, {
    ...fields,
    state: "in force",
    version,
  });
}

/** `holdfast operator add FILE` */
export async function operatorAdd(context: Context): Promise<Ending> {
  const { args } = context;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { crypto, chain } = home.value;
  const maxClass = maxClassOf(args);
  if (!maxClass.ok) return refused(maxClass.problems);
  const card = readCardFile(crypto, chain.view.root.message.network_id, args.operands[0] ?? "");
  if (!card.ok) return refused(card.problems);
  const { holder } = card.value.message;
  const operators = admitCard(chain.view.roster.message.operators, card.value, maxClass.value);
  if (!operators.ok) return refused(operators.problems);
  const same = await compareCards(context, [card.value]);
  if (!same.ok) return refused(same.problems);
  const stepped = await stepRoster(home.value, { operators: operators.value }, passphraseOf(args));
  if (!stepped.ok) return refused(stepped.problems);
  if (cardKeys(card.value.message).length > 0) {
    context.voice.say(`Its offline keys have no role yet: holdfast trust propose --join ${args.operands[0]}`);
  }
  const fields = { holder, max_class: maxClass.value, fingerprint: cardFingerprint(card.value) };
  const how = `; ${holder} confirms it through the rescue lane (docs/team.md, "A second operator")`;
  return stepEnding(stepped.value, `${holder} is an operator, up to ${maxClass.value},`, fields, how);
}

/** Roles that a person still has in the root, for hints. */
const rolesOf = (home: Home, holder: string): readonly string[] => {
  const { keys, escrow } = home.chain.view.root.message;
  const roles = keys.filter((one) => one.holder === holder).map((one) => one.role);
  return [...new Set([...roles, ...(escrow.some((one) => one.holder === holder) ? ["escrow"] : [])])];
};

/** `holdfast operator remove HOLDER` */
export async function operatorRemove(context: Context): Promise<Ending> {
  const { args, voice } = context;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const [holder = ""] = args.operands;
  const { operators } = home.value.chain.view.roster.message;
  const own = operators.filter((one) => one.holder === holder);
  if (own.length === 0)
    return refused(refuse("cli.no_operator", holder, "the roster lists nobody of that name").problems);
  const status = args.has("stolen") ? "stolen" : "revoked";
  const without = withoutHolders(operators, new Map([[holder, status]]));
  const fields = { holder, status };
  if (without.every((one, i) => one.status === operators[i]?.status)) {
    return finished(`${holder} is ${own.map((one) => one.status).join(", ")} already.`, {
      ...fields,
      state: "in force",
    });
  }
  const stepped = await stepRoster(home.value, { operators: without }, passphraseOf(args));
  if (!stepped.ok) return refused(stepped.problems);
  const roles = rolesOf(home.value, holder);
  if (roles.length > 0) {
    voice.say(`${holder} still has ${roles.join(", ")} keys in the root: holdfast trust propose --drop ${holder}`);
  }
  return stepEnding(stepped.value, `${holder} is marked ${status}`, fields);
}

/** `holdfast operator list` */
export async function operatorList(context: Context): Promise<Ending> {
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const revoked = readRevocations(home.value);
  if (!revoked.ok) return refused(revoked.problems);
  const here = localHolders(home.value.network);
  const operators = home.value.chain.view.roster.message.operators.map((one) => ({
    holder: one.holder,
    max_class: one.max_class,
    status: one.status,
    self_revoked: revoked.value.some(({ key }) => equalBytes(key, one.sign_key)),
    roles: rolesOf(home.value, one.holder),
    here: here.includes(one.holder),
    fingerprint: keyFingerprint("operator", one.sign_key),
  }));
  const rows = operators.map((one) => [
    ...[one.holder, one.status + (one.self_revoked ? ", took the key back" : ""), one.max_class],
    ...[one.roles.join(" ") || "-", one.fingerprint],
  ]);
  return finished(table([["OPERATOR", "STATUS", "SIGNS UP TO", "OFFLINE ROLES", "FINGERPRINT"], ...rows]), {
    operators,
  });
}
