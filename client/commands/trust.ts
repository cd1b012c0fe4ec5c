/** `trust show`, `sign` and `apply`: who holds what, what is proposed, and how a proposal comes into force. */
import { classThreshold } from "../../agent/core/directive.ts";
import { done, type Result, refuse } from "../../schemas/problem.ts";
import { RiskClass, type Root } from "../../schemas/trust.ts";
import { keyFingerprint, rootFingerprint } from "../fingerprints.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import { passphraseOf } from "../passphrase.ts";
import {
  isComplete,
  needLines,
  openOnes,
  type Proposal,
  type Proposals,
  readProposals,
  withSignatures,
} from "../proposals.ts";
import { type RoleKey, signersFor } from "../role-keys.ts";
import { type Context, type Home, openHome } from "../session.ts";
import { proposalName, writeProposal } from "../site/proposal-files.ts";
import { holdersIn, type Threshold } from "../trust-change.ts";

const ROLES: readonly Threshold[] = ["root", "admin", "recovery"];

/** Fields of a proposal under --json. */
const proposalFields = (one: Proposal) => ({
  ...{ kind: one.kind, version: one.opened.message.version, file: one.name, changes: one.words, needs: one.needs },
  complete: isComplete(one),
});

/** What it changes and who signed, for people. */
function proposalText(one: Proposal): readonly string[] {
  const words = one.words.length === 0 ? ["nothing but the number"] : one.words;
  return [
    `${one.kind} ${one.opened.message.version} (${one.name})`,
    ...words.map((line) => `  ${line}`),
    ...needLines(one).map((line) => `  ${line}`),
  ];
}

function rootText(root: Root): string {
  const roles = ROLES.flatMap((role) => {
    const people = holdersIn(root.keys, role).length;
    const rows = root.keys
      .filter((one) => one.role === role)
      .map((one) => [`  ${one.holder}`, keyFingerprint(role, one.key)]);
    return [[role.toUpperCase(), `${root[`${role}_threshold`]} of ${people} must sign`], ...rows];
  });
  const escrow = root.escrow.map((one) => [`  ${one.holder}`, keyFingerprint("escrow", one.key)]);
  return table([...roles, ["ESCROW", "any one opens it"], ...escrow]);
}

const classText = (root: Root): string => {
  const counts = RiskClass.options.map((one) => `${one} ${classThreshold(root, one)}`);
  return `Operators that a change needs, by its class: ${counts.join(", ")}.\n`;
};

function openText(open: Proposals): string {
  const list = openOnes(open);
  const stale = open.stale.map((name) => `${name} was overtaken: delete it.\n`).join("");
  if (list.length === 0) return `No proposal waits.\n${stale}`;
  const next = list.every(isComplete) ? "holdfast trust apply" : "holdfast trust sign, by those who are missing";
  return `${list.flatMap(proposalText).join("\n")}\nNext: ${next}.\n${stale}`;
}

/** `holdfast trust show` */
export async function trustShow(context: Context): Promise<Ending> {
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { crypto, folder, chain, network } = home.value;
  const { root, roster } = chain.view;
  const first = rootFingerprint(chain.roots[0]!);
  const solo = root.message.solo ? ", solo" : "";
  const active = roster.message.operators.filter((one) => one.status === "active").map((one) => one.holder);
  const head = [
    `Network ${network}, whose trust begins with ${first}`,
    `Root ${root.message.version}${solo}, roster ${roster.message.version}; operators: ${active.join(", ")}`,
  ].join("\n");
  const answer = `${head}\n\n${rootText(root.message)}${classText(root.message)}\n`;
  const key = (role: string, one: { readonly holder: string; readonly key: Uint8Array }) => ({
    ...{ role, holder: one.holder, public_key: one.key, fingerprint: keyFingerprint(role, one.key) },
  });
  const fields = {
    ...{ network, network_id: root.message.network_id, root_fingerprint: first, solo: root.message.solo },
    ...{ root: root.message.version, roster: roster.message.version, operators: active },
    thresholds: Object.fromEntries(ROLES.map((role) => [role, root.message[`${role}_threshold`]])),
    classes: root.message.classes,
    keys: [
      ...root.message.keys.map((one) => key(one.role, one)),
      ...root.message.escrow.map((one) => key("escrow", one)),
    ],
  };
  const open = readProposals(crypto, folder, chain);
  // What is in force stands, whatever somebody put beside it.
  if (!open.ok) return { ...refused(open.problems, { ...fields, proposals: [] }), answer };
  const proposals = openOnes(open.value).map(proposalFields);
  return finished(answer + openText(open.value), { ...fields, proposals, stale: open.value.stale });
}

/** The open proposals, at least one. Code cli.no_proposal. */
function someOpen(home: Home): Result<Proposals> {
  const open = readProposals(home.crypto, home.folder, home.chain);
  if (!open.ok || openOnes(open.value).length > 0) return open;
  return refuse("cli.no_proposal", "trust/proposed", "nothing is open here");
}

/** A root without its roster could not come into force, so nobody signs it alone. */
function pairProblem({ root, roster }: Proposals): Result<void> {
  if (root === null) return done(undefined);
  const fits = roster?.roots.some((one) => one.version === root.opened.message.version) === true;
  return fits ? done(undefined) : refuse("trust.view", root.name, "no proposed roster names this root");
}

type Signing = { readonly proposal: Proposal; readonly keys: readonly RoleKey[] };

/** Keys of this machine for each open proposal; the first reason when there is none for any. */
async function signingsOf(context: Context, home: Home, open: Proposals): Promise<Result<readonly Signing[]>> {
  const passphrase = passphraseOf(context.args);
  const signings: Signing[] = [];
  const without: { ok: false; problems: readonly { code: string; path: string; detail: string }[] }[] = [];
  for (const proposal of openOnes(open)) {
    const role = proposal.kind === "root" ? "root" : "admin";
    const keys = await signersFor(home.crypto, home.owner, role, proposal.roots, passphrase);
    if (keys.ok) signings.push({ proposal, keys: keys.value });
    else if (keys.problems.every((one) => one.code === "keys.missing" || one.code === "keys.no_part"))
      without.push(keys);
    else return keys;
  }
  return signings.length > 0 ? done(signings) : without[0]!;
}

/** `holdfast trust sign` */
export async function trustSign(context: Context): Promise<Ending> {
  const { args, voice, json } = context;
  const home = await openHome(context);
  if (!home.ok) return refused(home.problems);
  const { crypto, folder } = home.value;
  const open = someOpen(home.value);
  if (!open.ok) return refused(open.problems);
  const pair = pairProblem(open.value);
  if (!pair.ok) return refused(pair.problems);
  if (!json) for (const one of openOnes(open.value)) voice.say(proposalText(one).join("\n"));
  const signings = await signingsOf(context, home.value, open.value);
  if (!signings.ok) return refused(signings.problems);
  const signed = signings.value.map(({ proposal, keys }) => ({
    proposal,
    next: withSignatures(crypto, proposal.opened, keys),
    roles: [...new Set(keys.map((key) => key.role))],
  }));
  const changed = signed.filter(({ proposal, next }) => next !== proposal.opened);
  if (changed.length > 0) {
    const what = changed.map(({ proposal }) => `${proposal.kind} ${proposal.opened.message.version}`).join(" and ");
    const yes = args.has("yes") ? done(undefined) : await voice.ask(`Sign ${what}?`, "--yes");
    if (!yes.ok) return refused(yes.problems);
  }
  for (const { proposal, next } of changed) {
    const { version } = next.message;
    const written = writeProposal(folder, next.kind, version, proposal.opened.envelope, next.envelope);
    if (!written.ok) return refused(written.problems);
  }
  return stateEnding(home.value, changed.length === 0 ? "Signed already." : "Signed.");
}

/** Where the proposals stand after this machine did its part: exit 8 while somebody is missing. */
export function stateEnding(home: Home, what: string, more: Readonly<Record<string, unknown>> = {}): Ending {
  const open = readProposals(home.crypto, home.folder, home.chain);
  if (!open.ok) return refused(open.problems);
  const list = openOnes(open.value);
  const fields = { ...more, proposals: list.map(proposalFields) };
  if (list.every(isComplete)) return finished(`${what} Next: holdfast trust apply.`, { ...fields, state: "complete" });
  const lines = list.flatMap((one) => [
    `${proposalName(one.kind, one.opened.message.version)}`,
    ...needLines(one).map((line) => `  ${line}`),
  ]);
  const text = [what, ...lines, "Next: commit trust/; those who are missing run holdfast trust sign."].join("\n");
  return finished(text, { ...fields, state: "waiting" }, 8);
}
