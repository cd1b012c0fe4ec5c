/**
 * Proposals: the next root and the next roster, waiting in trust/proposed/ for signatures. Each is held to everything
 * that will be asked of it except how many signed, so that nobody signs what could never count.
 */
import type { Crypto } from "../agent/core/crypto.ts";
import { cosignStatement, type Opened, openStatement } from "../agent/core/dsse.ts";
import { acceptRoot, acceptRoster, type TrustView } from "../agent/core/trust.ts";
import { backwards, holdersOf, rootProblems, rosterProblems } from "../agent/core/trust-rules.ts";
import { equalBytes } from "../schemas/digest.ts";
import { done, type Problem, problem, type Result, refuse } from "../schemas/problem.ts";
import type { Root } from "../schemas/trust.ts";
import type { RoleKey } from "./role-keys.ts";
import { proposalName, proposedVersions, readProposal, removeProposal, writeProposal } from "./site/proposal-files.ts";
import type { TrustKind } from "./site/trust-files.ts";
import { holdersIn, unreachableClasses } from "./trust-change.ts";
import type { TrustChain } from "./trust-docs.ts";
import { rootWords, rosterWords } from "./trust-words.ts";

/** Signatures of people that a proposal needs under one root. */
export type Need = {
  readonly role: "root" | "admin";
  readonly root: number; // version of the root that asks
  readonly threshold: number;
  readonly signed: readonly string[]; // holders, sorted
  readonly others: readonly string[]; // holders who have not signed
};

export type Proposal<K extends TrustKind = TrustKind> = {
  readonly kind: K;
  readonly name: string; // file in the site
  readonly opened: Opened<K>;
  readonly roots: readonly Root[]; // whose keys may sign
  readonly needs: readonly Need[];
  readonly words: readonly string[];
};

export type Proposals = {
  readonly root: Proposal<"root"> | null;
  readonly roster: Proposal<"roster"> | null;
  readonly stale: readonly string[]; // files of versions that are in force, or were overtaken
};

export const isComplete = ({ needs }: Proposal): boolean => needs.every((one) => one.signed.length >= one.threshold);

/** Proposals that are open, root first. */
export const openOnes = ({ root, roster }: Proposals): readonly Proposal[] =>
  [root, roster].filter((one): one is Proposal<"root"> & Proposal<"roster"> => one !== null);

function needOf(root: Root, role: Need["role"], signers: readonly Uint8Array[]): Need {
  const signed = [...holdersOf(root, role, signers)].sort();
  const others = holdersIn(root.keys, role).filter((holder) => !signed.includes(holder));
  return { role, root: root.version, threshold: root[`${role}_threshold`], signed, others };
}

/** Too few signatures are what proposals are for; everything else that a document can be refused for still counts. */
function butForSignatures(result: Result<unknown>): readonly Problem[] {
  return result.ok ? [] : result.problems.filter((one) => one.code !== "trust.threshold");
}

/** What is wrong with a next root, apart from the number of its signatures. */
function rootFaults(crypto: Crypto, { root }: TrustView, next: Opened<"root">): readonly Problem[] {
  const found = butForSignatures(acceptRoot(crypto, root, next.envelope));
  return found.length > 0 ? found : rootProblems(crypto, next.message);
}

/** As rootFaults, for a roster under the root that it must name. */
function rosterFaults(
  crypto: Crypto,
  root: Opened<"root">,
  { roster: held }: TrustView,
  next: Opened<"roster">,
): readonly Problem[] {
  const found = butForSignatures(acceptRoster(crypto, root, held, next.envelope));
  if (found.length > 0) return found;
  const { version, prev_digest } = next.message;
  // acceptRoster counts signatures before it looks at the chain.
  if (version !== held.message.version + 1 || !equalBytes(prev_digest, held.digest)) {
    return [problem("trust.chain", "roster.prev_digest", `${version} does not follow ${held.message.version}`)];
  }
  return [
    ...rosterProblems(crypto, root.message, next.message),
    ...backwards(held.message, next.message),
    ...unreachableClasses(root.message, next.message.operators),
  ];
}

type File<K extends TrustKind> = { readonly open: Opened<K> | null; readonly stale: readonly string[] };

/** The one file of the next version; older ones are stale, later ones mean that this site is behind. */
function readKind<K extends TrustKind>(crypto: Crypto, folder: string, kind: K, current: number): Result<File<K>> {
  const versions = proposedVersions(folder, kind);
  const ahead = versions.find((one) => one > current + 1);
  if (ahead !== undefined) {
    return refuse(
      "cli.proposal",
      proposalName(kind, ahead),
      `the site has ${kind} ${current}: one in between is missing`,
    );
  }
  const stale = versions.filter((one) => one <= current).map((one) => proposalName(kind, one));
  if (!versions.includes(current + 1)) return done({ open: null, stale });
  const name = proposalName(kind, current + 1);
  const bytes = readProposal(folder, kind, current + 1);
  if (!bytes.ok) return bytes;
  const opened = openStatement(crypto, kind, bytes.value);
  if (!opened.ok) return at(name, opened.problems);
  const { version } = opened.value.message;
  if (version !== current + 1) return refuse("cli.proposal", name, `it holds ${kind} ${version}`);
  return done({ open: opened.value, stale });
}

const at = (name: string, problems: readonly Problem[]): { ok: false; problems: readonly Problem[] } => ({
  ok: false,
  problems: problems.map((one) => ({ ...one, path: `${name} ${one.path}` })),
});

/**
 * Every proposal of a site, checked against its chain. Codes cli.proposal, site.*, wire.* and trust.*, with the file in
 * the path.
 */
export function readProposals(crypto: Crypto, folder: string, chain: TrustChain): Result<Proposals> {
  const { view } = chain;
  const root = readKind(crypto, folder, "root", view.root.message.version);
  if (!root.ok) return root;
  const roster = readKind(crypto, folder, "roster", view.roster.message.version);
  if (!roster.ok) return roster;
  const stale = [...root.value.stale, ...roster.value.stale];
  const next = root.value.open;
  if (next !== null) {
    const faults = rootFaults(crypto, view, next);
    if (faults.length > 0) return at(proposalName("root", next.message.version), faults);
  }
  const open = roster.value.open;
  if (open === null) return done({ root: rootProposal(view, next), roster: null, stale });
  const name = proposalName("roster", open.message.version);
  const named = [view.root, ...(next === null ? [] : [next])].find((one) =>
    equalBytes(one.digest, open.message.root_digest),
  );
  if (named === undefined) return at(name, [problem("trust.view", "roster.root_digest", "made under another root")]);
  const faults = rosterFaults(crypto, named, view, open);
  if (faults.length > 0) return at(name, faults);
  return done({ root: rootProposal(view, next), roster: rosterProposal(view, named.message, open), stale });
}

function rootProposal({ root: held }: TrustView, opened: Opened<"root"> | null): Proposal<"root"> | null {
  if (opened === null) return null;
  const roots = [held.message, opened.message];
  const needs = roots.map((one) => needOf(one, "root", opened.signers));
  const words = rootWords(held.message, opened.message);
  return { kind: "root", name: proposalName("root", opened.message.version), opened, roots, needs, words };
}

function rosterProposal({ roster: held }: TrustView, root: Root, opened: Opened<"roster">): Proposal<"roster"> {
  const needs = [needOf(root, "admin", opened.signers)];
  const words = rosterWords(held.message, opened.message);
  return { kind: "roster", name: proposalName("roster", opened.message.version), opened, roots: [root], needs, words };
}

/** "root 2 as ROOT of root 1: signed by alice, complete", a line for each need. */
export function needLines({ needs }: Proposal): readonly string[] {
  return needs.map(({ role, root, threshold, signed, others }) => {
    const left = Math.max(0, threshold - signed.length);
    const who = left === 0 ? "enough" : `${left} of ${others.join(", ")} missing`;
    return `${role.toUpperCase()} of root ${root}, ${threshold} needed: signed by ${signed.join(", ") || "nobody"}; ${who}`;
  });
}

/** The same statement with the signatures of these keys; unchanged when all of them have signed. */
export function withSignatures<K extends TrustKind>(
  crypto: Crypto,
  opened: Opened<K>,
  keys: readonly RoleKey[],
): Opened<K> {
  const absent = keys.filter(({ sign }) => !opened.signers.some((one) => equalBytes(one, sign.publicKey)));
  return absent.reduce((signed, { sign }) => cosignStatement(crypto, signed, sign), opened);
}

/** Writes documents as new proposals, all or none. */
export function writeProposals(folder: string, documents: readonly Opened<TrustKind>[]): Result<void> {
  const written: Opened<TrustKind>[] = [];
  for (const one of documents) {
    const result = writeProposal(folder, one.kind, one.message.version, null, one.envelope);
    if (!result.ok) {
      for (const { kind, message } of written) removeProposal(folder, kind, message.version);
      return result;
    }
    written.push(one);
  }
  return done(undefined);
}
