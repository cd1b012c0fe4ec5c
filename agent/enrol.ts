/**
 * How a router gets its place: `holdfastd enrol FILE` pins the root that the token brings and makes the keys; the
 * running agent answers the token's owner, and believes the first roster that names those keys.
 */
import { equalBytes, fromBase64, toHex } from "../schemas/digest.ts";
import type { Request } from "../schemas/directive.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { AnswerBody } from "../schemas/report.ts";
import type { EnrolToken } from "../schemas/trust.ts";
import { decode, encode, type Messages } from "../schemas/wire.ts";
import type { Agent } from "./agent.ts";
import { body, refusal } from "./answer.ts";
import { type Opened, openStatement, signStatement } from "./core/dsse.ts";
import { fingerprint, makeEnrolRequest } from "./core/enrol.ts";
import { acceptRoot, extendTrust, rosterRouter, type TrustView } from "./core/trust.ts";
import type { Parts } from "./ports.ts";

const HEAD = "HOLDFAST-TOKEN-1 ";

/** Reads the text of a token file. Code agent.token. */
export function readToken(text: string): Result<EnrolToken> {
  const line = text.trimEnd();
  const bytes = line.startsWith(HEAD) ? fromBase64(line.slice(HEAD.length)) : undefined;
  const token = bytes === undefined ? undefined : decode("EnrolToken", bytes);
  if (token === undefined || !token.ok) return refuse("agent.token", "token", "not a Holdfast token file, or damaged");
  return token;
}

/**
 * Pins the token's root and makes the router's keys. The same token again changes nothing; another one is refused,
 * since a router belongs to one network. Returns the fingerprint that people compare.
 */
export async function enrol(parts: Parts, token: EnrolToken): Promise<Result<string>> {
  const { crypto, store, host } = parts;
  const root = acceptRoot(crypto, null, token.root);
  if (!root.ok) return root;
  if (!equalBytes(root.value.digest, token.root_digest)) {
    return refuse("agent.token", "token.root", "not the root that the token names");
  }
  const held = store.enrolment("request");
  if (held !== undefined) {
    const request = openStatement(crypto, "enrol-request", held);
    if (!request.ok) return request;
    if (!equalBytes(request.value.message.token_id, token.token_id)) {
      return refuse("agent.enrolled", "token", "this router was enrolled with another token");
    }
    return done(fingerprint(request.value.message));
  }
  const seeds = store.seeds();
  const keys = {
    sign: crypto.signKeys(seeds.sign),
    seal: crypto.boxKeys(seeds.seal),
    rescueKey: await host.keys.makeWgKey(),
  };
  const request = makeEnrolRequest(crypto, token, keys);
  store.putDocument("root", root.value.message.version, root.value.envelope);
  store.putEnrolment("token", encode("EnrolToken", token));
  // Last: its presence says that the rest is there.
  store.putEnrolment("request", request.envelope);
  return done(fingerprint(request.message));
}

/** The token, as long as the enrolment is not finished. */
export function pendingToken(parts: Parts): EnrolToken | undefined {
  const bytes = parts.store.enrolment("token");
  const token = bytes === undefined ? undefined : decode("EnrolToken", bytes);
  return token?.ok === true ? token.value : undefined;
}

/** Answers kind enrol: first with the router's keys, then, given a roster that names them, with the first receipt. */
export function answerEnrol(agent: Agent, request: Request): AnswerBody {
  const bytes = agent.store.enrolment("request");
  if (bytes === undefined) return refusal([{ code: "trust.not_enrolled", path: "", detail: "no token here" }]);
  const view = agent.standing.view();
  if (view !== undefined) return repeated(agent, request, view);
  if (request.trust.length === 0) return body({ enrol: bytes });
  const accepted = acceptTrust(agent, request.trust);
  return accepted.ok ? welcome(agent) : refusal(accepted.problems);
}

/** After the enrolment only who shows the roster in force gets an answer: strangers have not seen it. */
function repeated(agent: Agent, request: Request, view: TrustView): AnswerBody {
  const shown = request.trust.some((envelope) => {
    const roster = openStatement(agent.crypto, "roster", envelope);
    return roster.ok && equalBytes(roster.value.digest, view.roster.digest);
  });
  return shown ? welcome(agent) : refusal([{ code: "trust.view", path: "trust", detail: "not the roster in force" }]);
}

/** Believes a chain from the pinned root to a roster that names this router with its own keys. */
function acceptTrust(agent: Agent, updates: readonly Uint8Array[]): Result<void> {
  const { crypto, store, standing } = agent;
  const token = pendingToken(agent);
  if (token === undefined) return refuse("trust.not_enrolled", "token", "the token is not here any more");
  const root = acceptRoot(crypto, null, token.root);
  if (!root.ok) return root;
  const view = extendTrust(crypto, { root: root.value, roster: null }, updates);
  if (!view.ok) return view;
  const self = standing.self();
  const entry = rosterRouter(view.value, self.routerId);
  const names =
    entry !== undefined &&
    entry.status === "active" &&
    entry.incarnation === self.incarnation &&
    equalBytes(entry.sign_key, self.sign.publicKey) &&
    equalBytes(entry.seal_key, self.seal.publicKey);
  if (!names) return refuse("agent.not_named", "roster", "it does not name this router with its keys");
  store.putDocument("root", view.value.root.message.version, view.value.root.envelope);
  store.putDocument("roster", view.value.roster.message.version, view.value.roster.envelope);
  const rescue = openStatement(crypto, "enrol-request", store.enrolment("request") ?? new Uint8Array());
  if (!rescue.ok) return rescue;
  const report = makeReport(agent, 1, [{ network: "rescue", public_key: rescue.value.message.rescue_key }]);
  store.putDocument("key-report", 1, report.envelope);
  standing.update({
    root: toHex(view.value.root.digest),
    roster: toHex(view.value.roster.digest),
    keys: toHex(report.digest),
  });
  return done(undefined);
}

function welcome(agent: Agent): AnswerBody {
  const receipt = agent.journal.append({ outcome: "enrolled", parent: agent.standing.parent() });
  return body({ receipt: receipt.envelope, key_report: agent.standing.keyReport()?.envelope ?? new Uint8Array() });
}

function makeReport(agent: Agent, version: number, keys: readonly Messages["ReportedKey"][]): Opened<"key-report"> {
  const { networkId, routerId, incarnation, sign } = agent.standing.self();
  const sorted = [...keys].sort((a, b) => (a.network < b.network ? -1 : 1));
  const message = { network_id: networkId, router_id: routerId, incarnation, version, keys: sorted };
  return signStatement(agent.crypto, "key-report", message, [sign]);
}

/** A report that was written but not yet recorded when the disk failed or the process died: its keys exist, so it counts. */
export function adoptKeyReport(agent: Agent): void {
  const { store, standing, crypto } = agent;
  const held = standing.keyReport();
  const bytes = held === undefined ? undefined : store.document("key-report", held.message.version + 1);
  const next = bytes === undefined ? undefined : openStatement(crypto, "key-report", bytes);
  if (next?.ok === true) standing.update({ keys: toHex(next.value.digest) });
}

/** Kind keys: makes a key for every network that has none, and reports all. The version grows only then. */
export async function answerKeys(agent: Agent, request: Request): Promise<AnswerBody> {
  const { standing, store, host } = agent;
  adoptKeyReport(agent);
  const held = standing.keyReport();
  if (held === undefined) return refusal([{ code: "trust.not_enrolled", path: "keys", detail: "no key report yet" }]);
  const known = new Set(held.message.keys.map((key) => key.network));
  const wanted = [...new Set(request.networks)].filter((network) => !known.has(network)).sort();
  if (wanted.length === 0) return body({ key_report: held.envelope });
  if (!store.room(4096 * wanted.length)) return refusal([{ code: "agent.disk_full", path: "keys", detail: "no room" }]);
  const made: Messages["ReportedKey"][] = [];
  for (const network of wanted) made.push({ network, public_key: await host.keys.makeWgKey() });
  const report = makeReport(agent, held.message.version + 1, [...held.message.keys, ...made]);
  store.putDocument("key-report", report.message.version, report.envelope);
  standing.update({ keys: toHex(report.digest) });
  return body({ key_report: report.envelope });
}
