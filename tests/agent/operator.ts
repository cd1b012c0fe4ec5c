/**
 * An operator for tests of the agent: trust documents, sealed requests, directives. Speaks the wire by the core alone,
 * so that agent tests do not hang on the CLI.
 */
import sodium from "libsodium-wrappers";
import { type BoxKeys, type Crypto, cryptoOf, type SignKeys } from "../../agent/core/crypto.ts";
import { GENESIS, openAnswer } from "../../agent/core/directive.ts";
import { type MessageOf, type Opened, openStatement, signStatement } from "../../agent/core/dsse.ts";
import { enrolBox } from "../../agent/core/enrol.ts";
import { prove } from "../../agent/core/prove.ts";
import { DESIRED_FORMAT, type Desired } from "../../schemas/desired.ts";
import { sha256, toBase64 } from "../../schemas/digest.ts";
import type { Directive, Request } from "../../schemas/directive.ts";
import { canonicalIntent, type Intent } from "../../schemas/intent.ts";
import { canonicalInventory, type Inventory } from "../../schemas/inventory.ts";
import type { Answer, Status } from "../../schemas/report.ts";
import type { EnrolToken, Operator, Root, Roster } from "../../schemas/trust.ts";
import { encode } from "../../schemas/wire.ts";

await sodium.ready;
export const crypto: Crypto = cryptoOf(sodium);
export const randomBytes = (length: number): Uint8Array => globalThis.crypto.getRandomValues(new Uint8Array(length));

export type Keys = { readonly sign: SignKeys; readonly seal: BoxKeys };

/** Sends a box and returns status and body. */
export type Send = (box: Uint8Array) => Promise<{ readonly status: number; readonly bytes: Uint8Array }>;

/** A network of one operator and one router, its documents and keys. */
export type Site = {
  readonly root: Opened<"root">;
  roster: Opened<"roster">;
  readonly admin: SignKeys;
  readonly operator: Keys;
  readonly token: EnrolToken;
  /** A second operator, whom only the roster of a team lists. */
  readonly bob: Keys;
};

function rosterOf(root: Opened<"root">, operators: readonly Operator[]): Roster {
  return {
    network_id: root.message.network_id,
    version: 1,
    prev_digest: new Uint8Array(32),
    root_digest: root.digest,
    operators: [...operators],
    routers: [],
    consumed_tokens: [],
    issued_at: 0n,
  };
}

/** Entry of an operator in a roster. The lane key follows from the sign key. */
export const operatorEntry = (holder: string, keys: Keys, change: Partial<Operator> = {}): Operator => ({
  holder,
  sign_key: keys.sign.publicKey,
  seal_key: keys.seal.publicKey,
  lane_key: toBase64(crypto.boxKeys(sha256("lane", keys.sign.publicKey)).publicKey),
  max_class: "recovery",
  status: "active",
  ...change,
});

/** A solo network, or with class thresholds one of ann and bob; and the token of its router "r1". */
export function makeSite(classes: Root["classes"] = []): Site {
  const [rootKeys, admin, recovery] = [crypto.signKeys(), crypto.signKeys(), crypto.signKeys()];
  const operator = { sign: crypto.signKeys(), seal: crypto.boxKeys() };
  const bob = { sign: crypto.signKeys(), seal: crypto.boxKeys() };
  const message: Root = {
    network_id: randomBytes(16),
    network: "test",
    version: 1,
    prev_digest: new Uint8Array(32),
    keys: [
      { role: "root", key: rootKeys.publicKey, holder: "ann" },
      { role: "admin", key: admin.publicKey, holder: "ann" },
      { role: "recovery", key: recovery.publicKey, holder: "ann" },
    ],
    root_threshold: 1,
    admin_threshold: 1,
    recovery_threshold: 1,
    escrow: [{ key: crypto.boxKeys().publicKey, holder: "ann" }],
    classes,
    safe_mode: { api_port: 8022, allow_icmp: true },
    solo: true,
    issued_at: 0n,
  };
  const root = signStatement(crypto, "root", message, [rootKeys]);
  const operators = [operatorEntry("ann", operator), ...(classes.length > 0 ? [operatorEntry("bob", bob)] : [])];
  const roster = signStatement(crypto, "roster", rosterOf(root, operators), [admin]);
  const token: EnrolToken = {
    token_id: randomBytes(16),
    secret: randomBytes(32),
    network_id: message.network_id,
    router_id: randomBytes(16),
    router: "r1",
    incarnation: 1,
    root_digest: root.digest,
    root: root.envelope,
    reply_key: operator.seal.publicKey,
  };
  return { root, roster, admin, operator, token, bob };
}

export const tokenText = (token: EnrolToken): string => `HOLDFAST-TOKEN-1 ${toBase64(encode("EnrolToken", token))}\n`;

/** The roster after the site's newest, changed; becomes the newest. */
export function nextRoster(site: Site, change: Partial<Roster>): Opened<"roster"> {
  const { message, digest } = site.roster;
  const next = { ...message, version: message.version + 1, prev_digest: digest, ...change };
  site.roster = signStatement(crypto, "roster", next, [site.admin]);
  return site.roster;
}

/** The roster after the site's newest, with the router of an enrolment in it; becomes the newest. */
export function addRouter(site: Site, enrolment: MessageOf<"enrol-request">): Opened<"roster"> {
  return nextRoster(site, {
    routers: [
      {
        id: site.token.router,
        router_id: enrolment.router_id,
        incarnation: enrolment.incarnation,
        sign_key: enrolment.sign_key,
        seal_key: enrolment.seal_key,
        generation_floor: 0n,
        status: "active",
      },
    ],
    consumed_tokens: [enrolment.token_id],
  });
}

export type Router = { readonly sign: Uint8Array; readonly seal: Uint8Array };

/** What came back: the HTTP status, and the opened answer of a sealed one. */
export type Reply = { readonly status: number; readonly answer: Answer | undefined };

function requestOf(site: Site, more: Partial<Request>, reply: BoxKeys): Request {
  return {
    network_id: site.root.message.network_id,
    router_id: site.token.router_id,
    kind: "status",
    reply_key: reply.publicKey,
    nonce: randomBytes(16),
    need: [],
    chunk: null,
    directive: new Uint8Array(),
    trust: [],
    confirm: new Uint8Array(),
    from_index: 0n,
    limit: 0,
    networks: [],
    revoke: new Uint8Array(),
    delta: null,
    fresh: false,
    wait_s: 0,
    ...more,
  };
}

/** One request over a transport. `by` signs (default the operator), `to` is whom it is sealed to. */
export async function ask(
  site: Site,
  send: Send,
  request: Partial<Request>,
  to: { readonly seal: Uint8Array; readonly sign: Uint8Array | null },
  by: SignKeys = site.operator.sign,
): Promise<Reply> {
  const reply = crypto.boxKeys();
  const opened = signStatement(crypto, "request", requestOf(site, request, reply), [by]);
  const { status, bytes } = await send(crypto.seal(opened.envelope, to.seal));
  if (status !== 200) return { status, answer: undefined };
  const inside = crypto.unseal(bytes, reply);
  if (inside === undefined) throw new Error("the answer is not sealed to the reply key");
  const answer = openAnswer(crypto, to.sign, opened, inside);
  if (!answer.ok) throw new Error(`the answer does not open: ${JSON.stringify(answer.problems)}`);
  return { status, answer: answer.value.message };
}

/** Enrols the router behind the transport: asks, signs the roster, sends it. Returns its keys. */
export async function enrolRouter(site: Site, send: Send): Promise<Router> {
  const box = { seal: enrolBox(crypto, site.token.secret).publicKey, sign: null };
  const first = await ask(site, send, { kind: "enrol" }, box, crypto.signKeys());
  const request = openStatement(crypto, "enrol-request", first.answer?.enrol ?? new Uint8Array());
  if (!request.ok) throw new Error(`no enrolment: HTTP ${first.status} ${first.answer?.code}`);
  const roster = addRouter(site, request.value.message);
  const router = { sign: request.value.message.sign_key, seal: request.value.message.seal_key };
  const trust = [roster.envelope];
  const second = await ask(site, send, { kind: "enrol", trust }, router, crypto.signKeys());
  if (second.answer?.code !== "") throw new Error(`not enrolled: ${second.status} ${JSON.stringify(second.answer)}`);
  return router;
}

/** A router that is enrolled, as its operator sees it. */
export class Session {
  readonly site: Site;
  readonly router: Router;
  readonly send: Send;

  constructor(site: Site, router: Router, send: Send) {
    this.site = site;
    this.router = router;
    this.send = send;
  }

  /** The same router over another transport. */
  over(send: Send): Session {
    return new Session(this.site, this.router, send);
  }

  async ask(request: Partial<Request>): Promise<Answer> {
    const reply = await ask(this.site, this.send, request, this.router);
    if (reply.answer === undefined) throw new Error(`HTTP ${reply.status}`);
    return reply.answer;
  }

  async status(): Promise<Status> {
    const { status, code } = await this.ask({ kind: "status", limit: 256 });
    if (status === null) throw new Error(`no status: ${code}`);
    return status;
  }

  async upload(blob: Uint8Array, chunk = 300_000): Promise<Uint8Array> {
    const digest = sha256(blob);
    const { missing } = await this.ask({ kind: "need_blobs", need: [digest] });
    if (missing.length === 0) return digest;
    for (let offset = 0; offset < blob.length; offset += chunk) {
      const data = blob.slice(offset, offset + chunk);
      const { code } = await this.ask({ kind: "put_blob", chunk: { digest, size: blob.length, offset, data } });
      if (code !== "") throw new Error(`upload: ${code}`);
    }
    return digest;
  }

  /** The router's key report with keys for these networks. */
  async keys(networks: readonly string[]): Promise<Opened<"key-report">> {
    const { key_report, code } = await this.ask({ kind: "keys", networks: [...networks] });
    const opened = openStatement(crypto, "key-report", key_report);
    if (!opened.ok) throw new Error(`no key report: ${code}`);
    return opened.value;
  }

  /** A signed directive for this bundle, made for the router's present state; uploads what is missing. */
  async directive(
    bundle: { readonly intent: Intent; readonly inventory: Inventory; readonly networks: readonly string[] },
    more: Partial<Directive> = {},
    secrets: Uint8Array = encode("Secrets", { secrets: [] }),
  ): Promise<{ readonly opened: Opened<"directive">; readonly desired: Desired }> {
    const { site } = this;
    const report = await this.keys(bundle.networks);
    const status = await this.status();
    const proven = prove({
      intent: bundle.intent,
      inventory: bundle.inventory,
      root: site.root.message,
      roster: site.roster.message,
      keys: report.message,
      router: "r1",
    });
    if (!proven.ok) throw new Error(`the bundle is not proven: ${JSON.stringify(proven.problems)}`);
    const message: Directive = {
      network_id: site.root.message.network_id,
      router_id: site.token.router_id,
      incarnation: 1,
      action: "apply",
      generation: status.generation + 1n,
      parent: status.lkg_generation === 0n ? GENESIS : status.lkg_directive,
      root_digest: site.root.digest,
      roster_digest: site.roster.digest,
      keys_digest: report.digest,
      intent_digest: await this.upload(encode("Intent", canonicalIntent(bundle.intent))),
      inventory_digest: await this.upload(encode("Inventory", canonicalInventory(bundle.inventory))),
      secrets_digest: await this.upload(secrets),
      desired_digest: proven.value.digest,
      desired_format: DESIRED_FORMAT,
      confirm_window_s: proven.value.desired.windowS,
      risk_class: "sensitive",
      challenge: (await this.ask({ kind: "challenge" })).challenge,
      beacon: new Uint8Array(),
      beacon_max_age_s: 0,
      operator_nonce: randomBytes(16),
      observed_log_index: status.log_index,
      observed_log_head: status.log_head,
      accept_unproven: [],
      commit: "",
      note: "",
      issued_at: 0n,
      force: false,
      ...more,
    };
    const opened = signStatement(crypto, "directive", message, [site.operator.sign]);
    return { opened, desired: proven.value.desired };
  }

  submit(directive: Opened<"directive">, trust: readonly Uint8Array[] = []): Promise<Answer> {
    return this.ask({ kind: "submit", directive: directive.envelope, trust: [...trust] });
  }

  confirm(
    directive: Opened<"directive">,
    nonce: Uint8Array,
    verdict: "commit" | "abort" = "commit",
    by: SignKeys = this.site.operator.sign,
  ): Promise<Answer> {
    const message = {
      network_id: this.site.root.message.network_id,
      router_id: this.site.token.router_id,
      incarnation: 1,
      directive_digest: directive.digest,
      nonce: verdict === "abort" ? new Uint8Array(32) : nonce,
      verdict,
      padding: new Uint8Array(800),
    };
    const confirm = signStatement(crypto, "confirm", message, [by]).envelope;
    return this.ask({ kind: "confirm", confirm });
  }

  /** Receipts from an index on, opened. */
  async receipts(from = 1n): Promise<readonly MessageOf<"receipt">[]> {
    const { receipts } = await this.ask({ kind: "receipts", from_index: from, limit: 256 });
    return receipts.map((bytes) => receiptOf(bytes));
  }
}

export function receiptOf(bytes: Uint8Array): MessageOf<"receipt"> {
  const opened = openStatement(crypto, "receipt", bytes);
  if (!opened.ok) throw new Error(`no receipt: ${JSON.stringify(opened.problems)}`);
  return opened.value.message;
}
