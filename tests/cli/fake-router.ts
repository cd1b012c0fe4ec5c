/**
 * A router without a kernel, on loopback: the real wire, the real rules of admission and the real proof, with a log of
 * its own. Tests decide what becomes of a trial, and may put anything else in the place of an answer.
 */
import { readFileSync } from "node:fs";
import type { CompileInput } from "../../agent/core/compile.ts";
import type { BoxKeys, SignKeys } from "../../agent/core/crypto.ts";
import { type AdmitContext, admitDirective, GENESIS, openConfirm, openRequest } from "../../agent/core/directive.ts";
import { type Opened, openStatement, signStatement } from "../../agent/core/dsse.ts";
import { enrolBox, fingerprint, makeEnrolRequest } from "../../agent/core/enrol.ts";
import { prove } from "../../agent/core/prove.ts";
import { coversClass } from "../../agent/core/risk.ts";
import { acceptRoot, extendTrust, type TrustView } from "../../agent/core/trust.ts";
import { loadCrypto } from "../../client/sodium.ts";
import { DESIRED_FORMAT } from "../../schemas/desired.ts";
import { equalBytes, fromBase64, sha256, toBase64, toHex } from "../../schemas/digest.ts";
import type { Request } from "../../schemas/directive.ts";
import type { AnswerBody, Lane, Receipt, Status } from "../../schemas/report.ts";
import type { EnrolToken, RiskClass } from "../../schemas/trust.ts";
import { decode } from "../../schemas/wire.ts";
import { body, empty, receiptOf, refusal } from "./answers.ts";
import { FakeBlobs } from "./fake-blobs.ts";
import { type FakeTrial, fakeStatus } from "./fake-status.ts";

const crypto = await loadCrypto();
const random = (bytes: number): Uint8Array => globalThis.crypto.getRandomValues(new Uint8Array(bytes));

const proofs = new Map<string, ReturnType<typeof prove>>();

/** Stories push the same content over and over: one proof for each. */
function proofOf(digests: readonly Uint8Array[], input: CompileInput): ReturnType<typeof prove> {
  const over = [...digests.map(toHex), JSON.stringify(input.keys.keys), input.router].join(" ");
  const proven = proofs.get(over) ?? prove(input);
  proofs.set(over, proven);
  return proven;
}

export type Kind = Request["kind"];
/** What a test puts in the place of the router's answer. */
type Instead = AnswerBody | Response | "silence" | undefined;

export type Heard = { readonly kind: Kind; readonly port: number; readonly message: Request };

export class FakeRouter {
  readonly sign: SignKeys;
  readonly seal: BoxKeys;
  readonly heard: Heard[];
  readonly server: ReturnType<typeof Bun.serve>;
  readonly at: string; // as --at takes it
  readonly #blobs = new FakeBlobs();
  readonly blobs = this.#blobs.held; // by digest in hex
  receipts: Opened<"receipt">[] = [];
  view: TrustView | undefined;
  token: EnrolToken | undefined;
  keys: { network: string; public_key: string }[] = [
    { network: "rescue", public_key: toBase64(crypto.boxKeys().publicKey) },
  ];
  burnt = 0n;
  lkg: Opened<"directive"> | undefined;
  trial: FakeTrial | undefined;
  uptimeS = 93_784;
  boot = new Uint8Array(16); // another one after a restart
  peers: Status["peers"] = [];
  /** What other programs did, as status tells it. */
  outside = { outside_digest: empty(), outside_changed: false, outside_detail: "", reasserted: 0 };
  notices: Receipt["problems"] = []; // of every plan
  steps = 3; // of every plan; 0: nothing to do
  planText = "Changes:\n  + a thing\n";
  riskClass: RiskClass = "sensitive"; // of every change
  lanes: Lane[] = [{ name: "api:127.0.0.1", changed: false, proven: false, packets: 0n }];
  /** Called before the router's own answer; anything but undefined goes out instead. */
  instead: (kind: Kind, message: Request) => Instead | Promise<Instead> = () => undefined;
  #challenges = new Set<string>();

  /** `like`: the router that this one is, by then enrolled and nothing more, at another place. */
  constructor(options: { readonly unix?: string; readonly port?: number; readonly like?: FakeRouter } = {}) {
    const { like } = options;
    this.sign = like?.sign ?? crypto.signKeys();
    this.seal = like?.seal ?? crypto.boxKeys();
    this.heard = [...(like?.heard ?? [])];
    if (like !== undefined) {
      this.receipts = [...like.receipts];
      this.keys = [...like.keys];
      this.view = like.view;
      this.token = like.token;
    }
    const fetch = (
      request: globalThis.Request,
      server: { requestIP(request: globalThis.Request): { port: number } | null },
    ) => this.#serve(request, options.unix === undefined ? (server.requestIP(request)?.port ?? 0) : 0);
    this.server =
      options.unix === undefined
        ? Bun.serve({ hostname: "127.0.0.1", port: options.port ?? 0, idleTimeout: 60, fetch })
        : (Bun.serve({ unix: options.unix, fetch }) as ReturnType<typeof Bun.serve>);
    this.at = options.unix ?? `127.0.0.1:${this.server.port}`;
  }

  /** Envelopes of self-revocations that came. */
  readonly revocations: Uint8Array[] = [];
  quarantine: Status["quarantine"] = [];
  readonly #beacons: Uint8Array[] = [];

  /** A new beacon of where it stands. */
  beacon(): Opened<"beacon"> {
    const status = this.status();
    const { network_id, router_id } = this.token!;
    const { incarnation, boot_id, uptime_ms, root_digest, roster_digest, keys_digest } = status;
    const { generation, lkg_directive, log_index, log_head } = status;
    const opened = signStatement(
      crypto,
      "beacon",
      {
        ...{ network_id, router_id, incarnation, boot_id, number: BigInt(this.#beacons.length + 1), uptime_ms },
        ...{ root_digest, roster_digest, keys_digest, generation, lkg_directive, log_index, log_head },
      },
      [this.sign],
    );
    this.#beacons.push(opened.digest);
    return opened;
  }

  /** How many requests of a kind were heard. */
  count(kind: Kind): number {
    return this.heard.filter((one) => one.kind === kind).length;
  }

  /** Waits until `count` requests of a kind were heard; the test's own time limit ends a wait for nothing. */
  async untilHeard(kind: Kind, count: number): Promise<void> {
    while (this.count(kind) < count) await Bun.sleep(10);
  }

  close(): void {
    void this.server.stop(true);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** `holdfastd enrol FILE`: returns the fingerprint. */
  takeToken(path: string): string {
    const text = readFileSync(path, "latin1").trimEnd();
    const token = decode("EnrolToken", fromBase64(text.replace("HOLDFAST-TOKEN-1 ", ""))!);
    if (!token.ok) throw new Error("no token");
    this.token = token.value;
    return fingerprint(this.#enrolRequest().message);
  }

  #enrolRequest(): Opened<"enrol-request"> {
    const keys = { sign: this.sign, seal: this.seal, rescueKey: this.keys[0]!.public_key };
    return makeEnrolRequest(crypto, this.token!, keys);
  }

  async #serve(request: globalThis.Request, port: number): Promise<Response> {
    const box = new Uint8Array(await request.arrayBuffer());
    const stranger = new Response("refused\n", { status: 403 });
    if (request.method !== "POST" || new URL(request.url).pathname !== "/v1/box") return stranger;
    if (this.token === undefined) return stranger;
    const bytes = crypto.unseal(box, this.seal) ?? crypto.unseal(box, enrolBox(crypto, this.token.secret));
    const opened =
      bytes === undefined ? undefined : openRequest(crypto, this.view ?? null, this.token.router_id, bytes);
    if (!opened?.ok) return stranger;
    const { message, digest } = opened.value;
    this.heard.push({ kind: message.kind, port, message });
    const other = await this.instead(message.kind, message);
    if (other === "silence") await new Promise((resolve) => setTimeout(resolve, 30_000));
    if (other instanceof Response) return other;
    const content = other === undefined || other === "silence" ? this.answer(message) : other;
    const answer = { ...content, request_digest: digest, nonce: message.nonce, router_id: message.router_id };
    const signed = signStatement(crypto, "answer", answer, [this.sign]);
    return new Response(new Uint8Array(crypto.seal(signed.envelope, message.reply_key)));
  }

  /** What an honest router says. */
  answer(message: Request): AnswerBody {
    switch (message.kind) {
      case "enrol":
        return this.#enrol(message);
      case "challenge":
        return body({ challenge: this.#challenge() });
      case "need_blobs":
        return body({ missing: message.need.filter((digest) => !this.blobs.has(toHex(digest))) });
      case "put_blob":
        return this.#blobs.put(message);
      case "put_delta":
        return this.#blobs.putDelta(message);
      case "keys":
        for (const network of message.networks) {
          if (this.keys.some((key) => key.network === network)) continue;
          this.keys.push({ network, public_key: toBase64(crypto.boxKeys().publicKey) });
        }
        return body({ key_report: this.keyReport().envelope });
      case "status":
        return body({
          status: { ...this.status(), peers: message.limit > 0 ? this.peers : [] },
          receipts: message.from_index === 0n ? [] : this.#receiptsFrom(message.from_index),
          challenge: message.fresh ? this.#challenge() : empty(),
        });
      case "receipts":
        return body({ receipts: this.#receiptsFrom(message.from_index) });
      case "submit":
        return this.#submitAll(message);
      case "confirm":
        return this.#confirm(message);
      case "beacon":
        return body({ beacon: this.beacon().envelope });
      case "revoke":
        this.revocations.push(message.revoke);
        return body();
    }
  }

  #challenge(): Uint8Array {
    const challenge = random(32);
    this.#challenges.add(toHex(challenge));
    return challenge;
  }

  #receiptsFrom(index: bigint): Uint8Array[] {
    return this.receipts.slice(Math.max(0, Number(index) - 1)).map((one) => one.envelope);
  }

  #enrol(message: Request): AnswerBody {
    if (message.trust.length === 0) return body({ enrol: this.#enrolRequest().envelope });
    if (this.view === undefined) {
      const root = acceptRoot(crypto, null, this.token!.root);
      if (!root.ok) return refusal(root.problems);
      const view = extendTrust(crypto, { root: root.value, roster: null }, message.trust);
      if (!view.ok) return refusal(view.problems);
      this.view = view.value;
      this.log({ outcome: "enrolled" });
    }
    return body({ receipt: this.receipts[0]!.envelope, key_report: this.keyReport().envelope });
  }

  keyReport(): Opened<"key-report"> {
    const { network_id, router_id, incarnation } = this.token!;
    const keys = [...this.keys].sort((a, b) => (a.network < b.network ? -1 : 1));
    const message = { network_id, router_id, incarnation, version: keys.length, keys };
    return signStatement(crypto, "key-report", message, [this.sign]);
  }

  /** The same directive again: its one effect has an outcome, or is under way. */
  #knownOutcome(envelope: Uint8Array): AnswerBody | undefined {
    const opened = openStatement(crypto, "directive", envelope);
    const digest = opened.ok ? opened.value.digest : empty();
    const about = this.receipts.findLast((one) => equalBytes(one.message.directive_digest, digest));
    return about && body({ receipt: about.envelope });
  }

  /** A delta that rides along comes first; a challenge goes back where it was asked for. */
  #submitAll(message: Request): AnswerBody {
    const put = message.delta === null ? body() : this.#blobs.putDelta(message);
    const answer = put.code === "" ? this.#submit(message) : put;
    return message.fresh && answer.code === "" ? { ...answer, challenge: this.#challenge() } : answer;
  }

  #submit(message: Request): AnswerBody {
    const held = this.view!;
    const known = this.#knownOutcome(message.directive);
    if (known !== undefined) return known;
    if (this.trial !== undefined) return body({ code: "apply.trial_pending" });
    const view =
      message.trust.length === 0 ? { ok: true as const, value: held } : extendTrust(crypto, held, message.trust);
    if (!view.ok) return refusal(view.problems);
    const context: AdmitContext = {
      ...{ view: view.value, routerId: this.token!.router_id, incarnation: this.token!.incarnation, burnt: this.burnt },
      ...{ parent: this.lkg?.digest ?? GENESIS, keysDigest: this.keyReport().digest, desiredFormat: DESIRED_FORMAT },
      logDigestAt: (index) => (index === 0n ? new Uint8Array(32) : this.receipts[Number(index) - 1]?.digest),
      challengeIsLive: (challenge) => this.#challenges.delete(toHex(challenge)),
      beaconAgeS: (digest) => (this.#beacons.some((one) => equalBytes(one, digest)) ? 0 : undefined),
    };
    const admitted = admitDirective(crypto, context, message.directive);
    if (!admitted.ok) return refusal(admitted.problems);
    const { message: directive } = admitted.value;
    const intent = decode("Intent", this.blobs.get(toHex(directive.intent_digest)) ?? empty());
    const inventory = decode("Inventory", this.blobs.get(toHex(directive.inventory_digest)) ?? empty());
    if (!intent.ok || !inventory.ok) return body({ code: "blob.missing" });
    const { root, roster } = view.value;
    const proven = proofOf([directive.intent_digest, directive.inventory_digest, root.digest, roster.digest], {
      ...{ intent: intent.value, inventory: inventory.value, root: root.message, roster: roster.message },
      ...{ keys: this.keyReport().message, router: this.token!.router },
    });
    if (!proven.ok) return refusal(proven.problems);
    if (!equalBytes(proven.value.digest, directive.desired_digest)) return body({ code: "admit.desired_differs" });
    const said = this.#said(admitted.value, admitted.value.holders);
    const confined = this.quarantine.filter((one) => equalBytes(one.desired_digest, directive.desired_digest));
    const problems = confined.map(() => ({
      code: "apply.quarantined",
      path: "quarantine",
      detail: "taken back before",
    }));
    if (directive.action === "plan") {
      const receipt = this.receipt(
        {
          ...said,
          outcome: "planned",
          note: `risk class: ${this.riskClass}`,
          problems: [...this.notices, ...problems],
        },
        0n,
        new Uint8Array(32),
      );
      return body({ receipt: receipt.envelope });
    }
    if (this.steps > 0 && !coversClass(directive.risk_class, this.riskClass)) return body({ code: "admit.risk_class" });
    if (problems.length > 0 && !directive.force) return refusal(problems);
    this.view = view.value;
    this.burnt = directive.generation;
    if (this.steps === 0) {
      this.lkg = admitted.value;
      return body({ receipt: this.log({ ...said, outcome: "unchanged" }).envelope });
    }
    const nonce = random(32);
    this.trial = {
      ...{ directive: admitted.value, holders: admitted.value.holders, nonce },
      lanes: this.lanes.map((lane) => ({ ...lane })),
      confirmable: true,
    };
    this.log({ ...said, outcome: "trial", nonce, lanes: this.trial.lanes });
    return body();
  }

  #said({ digest, message }: Opened<"directive">, holders: readonly string[]): Partial<Receipt> {
    const plan = this.steps === 0 ? "Nothing to do.\n" : this.planText;
    return {
      ...{ directive_digest: digest, generation: message.generation, parent: message.parent, note: message.note },
      commit: message.commit,
      ...{ desired_digest: message.desired_digest, window_s: message.confirm_window_s, signers: [...holders] },
      ...{ plan, plan_digest: sha256(plan), steps: this.steps, lanes: this.lanes },
    };
  }

  #confirm(message: Request): AnswerBody {
    const { router_id: routerId, incarnation } = this.token!;
    const opened = openConfirm(crypto, this.view!, { routerId, incarnation }, message.confirm);
    if (!opened.ok) return refusal(opened.problems);
    const { trial } = this;
    if (trial === undefined || !equalBytes(trial.directive.digest, opened.value.message.directive_digest)) {
      return body({ code: "confirm.unknown_trial" });
    }
    if (opened.value.message.verdict === "abort")
      return body({ receipt: this.end("rolled_back", "confirm.aborted").envelope });
    if (!equalBytes(trial.nonce, opened.value.message.nonce)) return body({ code: "confirm.unknown_trial" });
    const accepted = trial.directive.message.accept_unproven;
    const unproven = trial.lanes.filter((lane) => lane.changed && !lane.proven && !accepted.includes(lane.name));
    if (unproven.length > 0) {
      const problems = unproven.map((lane) => ({
        code: "confirm.lane_unproven",
        path: lane.name,
        detail: "not proven yet",
      }));
      return refusal(problems);
    }
    return body({ receipt: this.end("confirmed", "", opened.value.holder).envelope });
  }

  /** Ends the trial, as the router or its guard would. */
  end(outcome: "confirmed" | "rolled_back" | "needs_hands", cause: string, by = "alice"): Opened<"receipt"> {
    const { directive, holders } = this.trial!;
    if (outcome === "confirmed") this.lkg = directive;
    this.trial = undefined;
    const how = outcome === "confirmed" ? { confirmed_by: by, confirmed_lane: "api:127.0.0.1" } : {};
    return this.log({ ...this.#said(directive, holders), outcome, cause, ...how });
  }

  receipt(entry: Partial<Receipt>, index: bigint, prev: Uint8Array): Opened<"receipt"> {
    const { network_id, router_id, incarnation } = this.token!;
    const message = receiptOf({ network_id, router_id, incarnation, index, prev, ...entry });
    return signStatement(crypto, "receipt", message, [this.sign]);
  }

  /** Adds an entry to the log. */
  log(entry: Partial<Receipt>): Opened<"receipt"> {
    const prev = this.receipts.at(-1)?.digest ?? new Uint8Array(32);
    const receipt = this.receipt(entry, BigInt(this.receipts.length + 1), prev);
    this.receipts.push(receipt);
    return receipt;
  }

  status(): Status {
    const { receipts, trial, lkg, lanes, outside, quarantine, uptimeS, boot, burnt } = this;
    const [view, keys] = [this.view!, this.keyReport().digest];
    const about = { router: this.token!.router, view, keys, uptimeS, boot, burnt };
    return fakeStatus({ ...about, receipts, trial, lkg, lanes, outside, quarantine });
  }
}
