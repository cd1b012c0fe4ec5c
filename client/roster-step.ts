/**
 * The next roster by the ADMIN keys of this machine. Where they are enough people it is in force at once, so a solo
 * operator never sees a proposal; otherwise it waits in trust/proposed/ for the others.
 */
import { type Opened, signStatement } from "../agent/core/dsse.ts";
import { acceptRoster } from "../agent/core/trust.ts";
import { backwards, rosterProblems } from "../agent/core/trust-rules.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Roster } from "../schemas/trust.ts";
import { encode } from "../schemas/wire.ts";
import { type Ending, finished } from "./out.ts";
import type { Passphrase } from "./passphrase.ts";
import { needLines, type Proposal, readProposals, withSignatures } from "./proposals.ts";
import { signersFor } from "./role-keys.ts";
import type { Home } from "./session.ts";
import { removeProposal, writeProposal } from "./site/proposal-files.ts";
import { writeTrust } from "./site/trust-files.ts";
import { sameButTime, unreachableClasses } from "./trust-change.ts";
import { nextRoster, readTrustDocs } from "./trust-docs.ts";

export type RosterChange = Partial<Pick<Roster, "operators" | "routers" | "consumed_tokens">>;

/** `home` has the roster in force; `waiting` is set when it is not in force yet. */
export type Stepped = { readonly home: Home; readonly version: number; readonly waiting: Proposal | null };

export const now = (): bigint => BigInt(Math.floor(Date.now() / 1000));

/** What an open proposal leaves room for: itself again, or nothing. Code cli.proposal_open. */
function roomFor(home: Home, message: Roster): Result<Opened<"roster"> | null> {
  const open = readProposals(home.crypto, home.folder, home.chain);
  if (!open.ok) return open;
  const { root, roster } = open.value;
  const words = (one: Proposal): string => one.words.join("; ") || "the same as before";
  if (root !== null) return refuse("cli.proposal_open", root.name, words(root));
  if (roster === null) return done(null);
  const same = sameButTime((one: Roster) => encode("Roster", one), roster.opened.message, message);
  return same ? done(roster.opened) : refuse("cli.proposal_open", roster.name, words(roster));
}

/**
 * Makes roster N+1 and signs it here. Codes cli.proposal_open when another change waits, keys.*, trust.* for a roster
 * that nobody may have, site.*.
 */
export async function stepRoster(home: Home, change: RosterChange, passphrase: Passphrase): Promise<Result<Stepped>> {
  const { crypto, folder, owner, chain } = home;
  const { root, roster: held } = chain.view;
  const message = nextRoster(chain.view, change, now());
  const faults = [
    ...rosterProblems(crypto, root.message, message),
    ...backwards(held.message, message),
    ...unreachableClasses(root.message, message.operators),
  ];
  if (faults.length > 0) return { ok: false, problems: faults };
  const before = roomFor(home, message);
  if (!before.ok) return before;
  const keys = await signersFor(crypto, owner, "admin", [root.message], passphrase);
  if (!keys.ok) return keys;
  const signers = keys.value.map((key) => key.sign);
  const signed =
    before.value === null
      ? signStatement(crypto, "roster", message, signers)
      : withSignatures(crypto, before.value, keys.value);
  const { version } = signed.message;
  const counts = acceptRoster(crypto, root, held, signed.envelope);
  if (counts.ok) return install(home, signed);
  if (counts.problems.some((one) => one.code !== "trust.threshold")) return counts;
  const written = writeProposal(folder, "roster", version, before.value?.envelope ?? null, signed.envelope);
  if (!written.ok) return written;
  const open = readProposals(crypto, folder, chain);
  return open.ok ? done({ home, version, waiting: open.value.roster }) : open;
}

function install(home: Home, { message, envelope }: Opened<"roster">): Result<Stepped> {
  const written = writeTrust(home.folder, "roster", message.version, envelope);
  if (!written.ok) return written;
  removeProposal(home.folder, "roster", message.version);
  // Read back, so that what is delivered is what the site holds and what the rules of trust accept.
  const chain = readTrustDocs(home.crypto, home.folder);
  return chain.ok ? done({ home: { ...home, chain: chain.value }, version: message.version, waiting: null }) : chain;
}

/** The ending of a verb whose roster waits for others: exit 8, with who is missing and what they do. */
export function waitingEnding(waiting: Proposal, then: string, fields: Readonly<Record<string, unknown>> = {}): Ending {
  const { kind, opened, needs } = waiting;
  const lines = [
    `${kind} ${opened.message.version} waits for signatures in ${waiting.name}:`,
    ...needLines(waiting).map((line) => `  ${line}`),
    `Next: they run holdfast trust sign in the site, then anybody holdfast trust apply${then}.`,
  ];
  return finished(lines.join("\n"), { ...fields, state: "waiting", version: opened.message.version, needs }, 8);
}
