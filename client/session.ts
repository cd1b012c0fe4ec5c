/**
 * What a command needs to speak with one router: the site's trust, the operator's keys, the link and the memory. The
 * site itself may be broken: asking how a router is must work on the worst day.
 */
import { resolve } from "node:path";
import { routerRescueAddress } from "../agent/core/compile/rescue.ts";
import type { Crypto } from "../agent/core/crypto.ts";
import { toHex } from "../schemas/digest.ts";
import type { Intent } from "../schemas/intent.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Status } from "../schemas/report.ts";
import type { RosterRouter } from "../schemas/trust.ts";
import { type Args, usageError } from "./args.ts";
import { type OperatorKeys, openOperator } from "./keys.ts";
import { type AskOptions, createLink, type Link, parseTarget, type Target, type Traffic, targetName } from "./link.ts";
import type { Voice } from "./out.ts";
import { passphraseOf } from "./passphrase.ts";
import { stateFolder } from "./places.ts";
import {
  fetchReceipts,
  type Kept,
  keepPlace,
  keepReceipts,
  lastPlace,
  type Memory,
  readMemory,
} from "./receipts-file.ts";
import { readSite, type Site } from "./site/site.ts";
import { loadCrypto } from "./sodium.ts";
import { activeRouter, papers, readTrustDocs, type TrustChain } from "./trust-docs.ts";

export type Context = { readonly args: Args; readonly voice: Voice; readonly json: boolean };

/** The site's folder: --site, or where the command runs. */
export const siteFolder = (args: Args): string => resolve(args.one("site") ?? ".");

export const DEFAULT_API_PORT = 8022;

/** Everything local: no key file was opened and nobody was asked. */
export type Home = {
  readonly crypto: Crypto;
  readonly folder: string;
  readonly chain: TrustChain;
  readonly network: string;
  readonly owner: { readonly network: string; readonly root: string }; // what key files must name
  readonly site: Result<Site>;
  readonly intent: Intent | null; // where the router is to be found; null when the site cannot be read
};

/** Reads trust and site. Codes cli.no_trust, trust.*, site.*. */
export async function openHome({ args }: Context): Promise<Result<Home>> {
  const crypto = await loadCrypto();
  const folder = siteFolder(args);
  const chain = readTrustDocs(crypto, folder);
  if (!chain.ok) return chain;
  const { network } = chain.value.view.root.message;
  const owner = { network, root: toHex(chain.value.roots[0]!.digest) };
  const site = readSite(folder);
  const intent = site.ok ? site.value.intent : null;
  return done({ crypto, folder, chain: chain.value, network, owner, site, intent });
}

export type Session = Home & {
  readonly router: RosterRouter;
  readonly operator: OperatorKeys;
  readonly link: Link;
  readonly pinned: boolean; // --at: this place and no other
  readonly memory: Memory;
};

/** The router that --router names, or the only one. Codes cli.no_router. */
export function chooseRouter(home: Home, name: string | undefined): Result<RosterRouter> {
  const active = home.chain.view.roster.message.routers.filter((one) => one.status === "active");
  if (name !== undefined) {
    const found = activeRouter(home.chain.view, name);
    return found === undefined ? refuse("cli.no_router", name, "the roster names no such router") : done(found);
  }
  const [only, second] = active;
  if (only === undefined) return refuse("cli.no_router", "roster", "no router is enrolled yet");
  if (second === undefined) return done(only);
  const names = active.map((one) => one.id).join(", ");
  return refuse("cli.no_router", "roster", `there are ${names}: choose with --router ID`);
}

/** Where a router takes management in an intent: its port, the usual one when the intent does not say. */
export function apiPort(intent: Intent | null, router: string): number {
  return intent?.routers.find((one) => one.id === router)?.management.port ?? DEFAULT_API_PORT;
}

/** Every address at which the router may answer: `first`, its management addresses, its rescue address. */
function targetsOf(home: Home, router: string, first: readonly Target[]): readonly Target[] {
  const port = apiPort(home.intent, router);
  const known = home.intent?.routers.find((one) => one.id === router)?.management.addresses ?? [];
  const rescue = routerRescueAddress(home.chain.view.root.message.network_id, router);
  const targets = [...first, ...[...known, rescue].flatMap((text) => parseTarget(text, port) ?? [])];
  const seen = new Set<string>();
  return targets.filter((target) => !seen.has(targetName(target)) && seen.add(targetName(target)));
}

function linkOf(
  home: Home,
  router: RosterRouter,
  operator: OperatorKeys,
  targets: readonly Target[],
  traffic?: Traffic,
): Link {
  const peer = {
    networkId: home.chain.view.root.message.network_id,
    routerId: router.router_id,
    signKey: router.sign_key,
    sealKey: router.seal_key,
    papers: papers(home.chain),
  };
  return createLink(home.crypto, peer, operator.sign, targets, traffic);
}

/**
 * The session as it is while `intent` is on trial: the router may answer at its new addresses only. With --at it is
 * still that place alone, so that a confirm proves the way that the operator depends on.
 */
export function underIntent(session: Session, intent: Intent): Session {
  const home = { ...session, intent };
  if (session.pinned) return home;
  const targets = targetsOf(home, session.router.id, session.link.targets());
  return { ...home, link: linkOf(home, session.router, session.operator, targets, session.link.traffic) };
}

/** Opens the operator's keys and makes the link; sends nothing. `routerName` instead of --router. */
export async function openSession(context: Context, routerName?: string): Promise<Result<Session>> {
  const home = await openHome(context);
  return home.ok ? sessionOf(context, home.value, routerName) : home;
}

/** As openSession, for a home that is open already. */
export async function sessionOf(context: Context, home: Home, routerName?: string): Promise<Result<Session>> {
  const { args } = context;
  const router = chooseRouter(home, routerName ?? args.one("router"));
  if (!router.ok) return router;
  const operator = await openOperator(home.crypto, home.owner, args.one("as"), passphraseOf(args));
  return operator.ok ? sessionFor(context, home, operator.value, router.value.id) : operator;
}

/** The session of an operator whose keys are open already, with one router by name. */
export function sessionFor(
  { args }: Pick<Context, "args">,
  home: Home,
  operator: OperatorKeys,
  routerName: string,
): Result<Session> {
  const router = chooseRouter(home, routerName);
  if (!router.ok) return router;
  const folder = stateFolder(home.network, router.value.id, router.value.incarnation);
  const memory = readMemory(folder);
  if (!memory.ok) return memory;
  const at = args.one("at");
  const port = apiPort(home.intent, router.value.id);
  const given = at === undefined ? undefined : parseTarget(at, port);
  if (at !== undefined && given === undefined) {
    return usageError("--at must be ADDRESS, ADDRESS:PORT, [V6]:PORT or the path of a socket.");
  }
  const last = parseTarget(lastPlace(folder) ?? "", port);
  const targets = given === undefined ? targetsOf(home, router.value.id, last === undefined ? [] : [last]) : [given];
  const link = linkOf(home, router.value, operator, targets);
  const pinned = given !== undefined;
  return done({ ...home, router: router.value, operator, link, pinned, memory: memory.value });
}

/** A challenge of the router and when it came, by performance.now(); no bytes: none. */
export type Challenge = { readonly bytes: Uint8Array; readonly atMs: number };

export const NO_CHALLENGE: Challenge = { bytes: new Uint8Array(), atMs: 0 };

export type Standing = { readonly status: Status; readonly kept: Kept; readonly challenge: Challenge };

/** What comes along with a status: each peer, which is large on a large site; a challenge for the next directive. */
type Along = { readonly peers?: boolean; readonly fresh?: boolean };

/** What `limit` of a status request says. */
const PEERS = { none: 0, all: 256 } as const;

/** How the router stands now, with every receipt fetched and the chain checked. */
export async function askStatus(
  session: Session,
  options: AskOptions = { attempts: 2 },
  { peers = false, fresh = false }: Along = {},
): Promise<Result<Standing>> {
  const { crypto, router, link, memory } = session;
  const fields = { limit: peers ? PEERS.all : PEERS.none, fresh, from_index: memory.head.index + 1n };
  const reply = await link.ask("status", fields, options);
  if (!reply.ok) return reply;
  const { message } = reply.value.answer;
  if (message.status === null) {
    return message.code === ""
      ? refuse("link.bad_answer", targetName(reply.value.target), "an answer without a status")
      : { ok: false, problems: [{ code: message.code, path: "", detail: "the router says no more" }] };
  }
  keepPlace(memory.folder, targetName(reply.value.target));
  // The log may have grown while the router looked at its kernel: only what the status speaks of is compared with it.
  const known = Number(message.status.log_index - memory.head.index);
  const along = keepReceipts(crypto, router.sign_key, memory, message.receipts.slice(0, Math.max(0, known)));
  if (!along.ok) return along;
  const kept = await fetchReceipts(crypto, router.sign_key, link, along.value.memory, message.status);
  if (!kept.ok) return kept;
  const came = [...along.value.fresh, ...kept.value.fresh];
  const challenge = { bytes: message.challenge, atMs: performance.now() };
  return done({ status: message.status, kept: { memory: kept.value.memory, fresh: came }, challenge });
}
