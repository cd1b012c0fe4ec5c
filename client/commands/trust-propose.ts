/**
 * `trust propose`: root N+1 and the roster that names it, when people come or go or thresholds change. Both are signed
 * by the keys of this machine and wait for the others; nothing is in force before `trust apply`.
 */
import * as v from "valibot";
import { type Opened, signStatement } from "../../agent/core/dsse.ts";
import { rootProblems, rosterProblems } from "../../agent/core/trust-rules.ts";
import { done, type Problem, type Result, refuse } from "../../schemas/problem.ts";
import { type Operator, RiskClass, type Root, type Roster } from "../../schemas/trust.ts";
import { encode } from "../../schemas/wire.ts";
import { type Args, numberOf, usageError } from "../args.ts";
import { type Card, readCardFile } from "../cards.ts";
import { type Ending, refused } from "../out.ts";
import { type Passphrase, passphraseOf } from "../passphrase.ts";
import { openOnes, readProposals, withSignatures, writeProposals } from "../proposals.ts";
import { type RoleKey, signersFor } from "../role-keys.ts";
import { now } from "../roster-step.ts";
import { type Context, type Home, openHome } from "../session.ts";
import { writeProposal } from "../site/proposal-files.ts";
import {
  cardKeys,
  entryOf,
  nextRoot,
  type RootChange,
  sameButTime,
  type Threshold,
  unreachableClasses,
  withoutHolders,
} from "../trust-change.ts";
import { nextRoster } from "../trust-docs.ts";
import { rootWords, rosterWords } from "../trust-words.ts";
import { admitCard, compareCards, maxClassOf } from "./operator-roster.ts";
import { stateEnding } from "./trust.ts";

/** Thresholds as signatures: at most as many as an envelope takes. */
const MOST = 16;

function thresholdsOf(args: Args): Result<RootChange["thresholds"]> {
  const wanted: Partial<Record<Threshold, number>> = {};
  for (const role of ["root", "admin", "recovery"] as const) {
    const flag = `${role}-threshold`;
    const value = numberOf(args, flag, 1, MOST, 0);
    if (!value.ok) return value;
    if (value.value > 0) wanted[role] = value.value;
  }
  return done(wanted);
}

/** --class sensitive=2, as often as needed. Code cli.usage. */
function classesOf(args: Args): Result<RootChange["classes"]> {
  const classes: RootChange["classes"][number][] = [];
  for (const text of args.all("class")) {
    const [name = "", count = ""] = text.split("=");
    const fits = v.is(RiskClass, name) && /^([1-9]|1[0-6])$/.test(count);
    if (!fits) return usageError(`--class takes ${RiskClass.options.join(", ")}, with a number: sensitive=2.`);
    classes.push({ risk_class: name, threshold: Number(count) });
  }
  return done(classes);
}

/** Documents that follow each other: a next root and the roster under it. */
export type NextPair = { readonly root: Root; readonly operators: Operator[] };

/** Everything that the rules of trust say against a pair. Both are checked before anybody signs. */
function pairProblems(home: Home, root: Opened<"root">, roster: Roster): readonly Problem[] {
  return [...rosterProblems(home.crypto, root.message, roster), ...unreachableClasses(root.message, roster.operators)];
}

/**
 * What is open already: the same pair again, which a cut or repeated run takes up, or another one. Code
 * cli.proposal_open.
 */
function openPair(home: Home, root: Root): Result<Opened<"root"> | null> {
  const open = readProposals(home.crypto, home.folder, home.chain);
  if (!open.ok) return open;
  const held = open.value.root?.opened ?? null;
  const same = held !== null && sameButTime((one: Root) => encode("Root", one), held.message, root);
  if (same) return done(held);
  const [other] = openOnes(open.value);
  if (other === undefined) return done(null);
  return refuse("cli.proposal_open", other.name, other.words.join("; ") || "it changes only the number");
}

type Signers = { readonly root: readonly RoleKey[]; readonly admin: readonly RoleKey[] };

/** The keys of this machine for both halves. Each half needs at least one: a proposal without a signature is nobody's. */
async function bothSigners(home: Home, next: Root, passphrase: Passphrase): Promise<Result<Signers>> {
  const { crypto, owner, chain } = home;
  const root = await signersFor(crypto, owner, "root", [chain.view.root.message, next], passphrase);
  if (!root.ok) return root;
  // The roster counts under the next root, so somebody who stays an admin must propose.
  const admin = await signersFor(crypto, owner, "admin", [next], passphrase);
  return admin.ok ? done({ root: root.value, admin: admin.value }) : admin;
}

/** Signs and writes a pair of proposals, or adds this machine's signatures to the same pair. */
export async function proposePair(
  home: Home,
  next: NextPair,
  passphrase: Passphrase,
  agreed: (words: readonly string[]) => Promise<Result<void>>,
): Promise<Result<void>> {
  const { crypto, folder, chain } = home;
  const faults = rootProblems(crypto, next.root);
  if (faults.length > 0) return { ok: false, problems: faults };
  const held = openPair(home, next.root);
  if (!held.ok) return held;
  const keys = await bothSigners(home, next.root, passphrase);
  if (!keys.ok) return keys;
  const sign = ({ sign }: RoleKey) => sign;
  const root =
    held.value === null
      ? signStatement(crypto, "root", next.root, keys.value.root.map(sign))
      : withSignatures(crypto, held.value, keys.value.root);
  const message = nextRoster({ root, roster: chain.view.roster }, { operators: next.operators }, now());
  const wrong = pairProblems(home, root, message);
  if (wrong.length > 0) return { ok: false, problems: wrong };
  const words = [
    ...rootWords(chain.view.root.message, root.message),
    ...rosterWords(chain.view.roster.message, message),
  ];
  const yes = await agreed(words);
  if (!yes.ok) return yes;
  if (held.value === null) {
    return writeProposals(folder, [root, signStatement(crypto, "roster", message, keys.value.admin.map(sign))]);
  }
  return addToOpen(home, held.value, root, message, keys.value.admin);
}

/** The second run of the same proposal: signatures that lack, and a roster that a cut first run did not write. */
function addToOpen(
  home: Home,
  held: Opened<"root">,
  root: Opened<"root">,
  message: Roster,
  admins: readonly RoleKey[],
): Result<void> {
  const { crypto, folder, chain } = home;
  const open = readProposals(crypto, folder, chain);
  if (!open.ok) return open;
  const roster = open.value.roster;
  if (roster === null) {
    const signed = signStatement(
      crypto,
      "roster",
      message,
      admins.map(({ sign }) => sign),
    );
    const made = writeProposals(folder, [signed]);
    if (!made.ok) return made;
  } else {
    const before = roster.opened;
    if (!sameButTime((one: Roster) => encode("Roster", one), before.message, message)) {
      return refuse("cli.proposal_open", roster.name, roster.words.join("; "));
    }
    const signed = withSignatures(crypto, before, admins);
    const made = writeProposal(folder, "roster", message.version, before.envelope, signed.envelope);
    if (!made.ok) return made;
  }
  return writeProposal(folder, "root", root.message.version, held.envelope, root.envelope);
}

/** Cards of --join, each for a place in the root. Codes cli.card, trust.*, cli.usage. */
function joinedCards(home: Home, args: Args): Result<readonly Card[]> {
  const cards: Card[] = [];
  for (const path of args.all("join")) {
    const card = readCardFile(home.crypto, home.chain.view.root.message.network_id, path);
    if (!card.ok) return card;
    const { holder } = card.value.message;
    if (cardKeys(card.value.message).length === 0) {
      return refuse(
        "cli.card",
        path,
        `${holder} has no root, admin or recovery key on it: holdfast operator add is enough`,
      );
    }
    if (cards.some((one) => one.message.holder === holder)) return usageError(`${holder} has two cards in --join.`);
    cards.push(card.value);
  }
  return done(cards);
}

/** Operators of the next roster: who joins is one, who is dropped is none any more. */
function nextOperators(home: Home, args: Args, cards: readonly Card[]): Result<Operator[]> {
  const maxClass = maxClassOf(args);
  if (!maxClass.ok) return maxClass;
  const stolen = args.all("stolen").map((holder) => [holder, "stolen"] as const);
  const gone = new Map([...args.all("drop").map((holder) => [holder, "revoked"] as const), ...stolen]);
  let operators = withoutHolders(home.chain.view.roster.message.operators, gone);
  for (const card of cards) {
    if (entryOf(operators, card.message.sign_key)?.status === "active") continue;
    const added = admitCard(operators, card, maxClass.value);
    if (!added.ok) return added;
    operators = added.value;
  }
  return done(operators);
}

function unknownHolder(home: Home, holders: readonly string[]): Result<void> {
  const { root, roster } = home.chain.view;
  const known = [...root.message.keys, ...root.message.escrow, ...roster.message.operators].map((one) => one.holder);
  const odd = holders.find((holder) => !known.includes(holder));
  return odd === undefined ? done(undefined) : refuse("cli.no_operator", odd, "neither root nor roster names them");
}

/** `holdfast trust propose` */
export async function trustPropose(context: Context): Promise<Ending> {
  const { args, voice, json } = context;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const thresholds = thresholdsOf(args);
  if (!thresholds.ok) return refused(thresholds.problems);
  const classes = classesOf(args);
  if (!classes.ok) return refused(classes.problems);
  const drop = [...args.all("drop"), ...args.all("stolen")];
  const known = unknownHolder(home.value, drop);
  if (!known.ok) return refused(known.problems);
  const cards = joinedCards(home.value, args);
  if (!cards.ok) return refused(cards.problems);
  const operators = nextOperators(home.value, args, cards.value);
  if (!operators.ok) return refused(operators.problems);
  const join = cards.value.map((card) => card.message);
  const change: RootChange = { join, drop, thresholds: thresholds.value, classes: classes.value };
  const root = nextRoot(home.value.chain.view.root, change, now());
  if (rootWords(home.value.chain.view.root.message, root).length === 0) {
    return refused(
      usageError("Nothing in the root would change: give --join, --drop, --stolen, --class or a threshold.").problems,
    );
  }
  const same = await compareCards(context, cards.value);
  if (!same.ok) return refused(same.problems);
  const agreed = async (words: readonly string[]): Promise<Result<void>> => {
    if (!json) voice.say([`root ${root.version} and its roster:`, ...words.map((line) => `  ${line}`)].join("\n"));
    return args.has("yes") ? done(undefined) : voice.ask(`Propose and sign root ${root.version}?`, "--yes");
  };
  const next = { root, operators: operators.value };
  const proposed = await proposePair(home.value, next, passphraseOf(args), agreed);
  return proposed.ok ? stateEnding(home.value, "Proposed and signed here.") : refused(proposed.problems);
}
