/**
 * From sealed bytes to a sealed answer. Whoever cannot be answered gets undefined, which every transport turns into
 * the one word for strangers.
 */
import type { Request } from "../schemas/directive.ts";
import type { AnswerBody } from "../schemas/report.ts";
import type { Agent } from "./agent.ts";
import { body, refusal } from "./answer.ts";
import { confirm } from "./confirm.ts";
import { openRequest } from "./core/directive.ts";
import { type Opened, signStatement } from "./core/dsse.ts";
import { enrolBox } from "./core/enrol.ts";
import { openSelfRevoke } from "./core/operators.ts";
import type { TrustView } from "./core/trust.ts";
import { answerEnrol, answerKeys, pendingToken } from "./enrol.ts";
import type { Path, Paths } from "./paths.ts";
import { submit } from "./pipeline.ts";
import { statusOf } from "./status.ts";

export type Requests = {
  /** The sealed answer to a sealed request; undefined for strangers. */
  handle(sealed: Uint8Array, path: Path): Promise<Uint8Array | undefined>;
  /** False until `holdfastd enrol`: then nothing can be opened, and whoever asks is no stranger yet. */
  enrolled(): boolean;
  /** What `status` says, for the unix socket's metrics. undefined before the enrolment is finished. */
  status(): ReturnType<typeof statusOf> | undefined;
};

/** Receipts that come along with a status; the rest is asked for. */
const ALONG = 16;

type OpenedRequest = Opened<"request"> & { readonly holder: string };

/** The request in a sealed box; undefined when it is not for this router or from nobody it knows. */
function openBox(agent: Agent, sealed: Uint8Array): OpenedRequest | undefined {
  const { standing, crypto, host } = agent;
  const self = standing.identity();
  if (self === undefined) return undefined;
  const view = standing.view();
  const token = view === undefined ? pendingToken(agent) : undefined;
  const bytes =
    crypto.unseal(sealed, self.seal) ??
    (token === undefined ? undefined : crypto.unseal(sealed, enrolBox(crypto, token.secret)));
  if (bytes === undefined) return undefined;
  const request = openRequest(crypto, view ?? null, self.routerId, bytes);
  if (!request.ok) {
    host.log("request.refused", { code: request.problems[0]?.code ?? "" });
    return undefined;
  }
  return request.value;
}

/** A key that takes itself back counts for nothing from the answer on, whoever brings its word; again is no change. */
function revoke(agent: Agent, view: TrustView, message: Request): AnswerBody {
  const opened = openSelfRevoke(agent.crypto, view, message.revoke);
  if (!opened.ok) return refusal(opened.problems);
  agent.standing.revoke(opened.value.message.key, opened.value.envelope);
  return body();
}

export function createRequests(agent: Agent, paths: Paths): Requests {
  const { standing, store, crypto, host } = agent;

  /** A challenge comes along where it was asked for: whoever plans will apply. */
  const freshened = ({ fresh }: Request, content: AnswerBody): AnswerBody =>
    fresh && content.code === "" ? { ...content, challenge: agent.challenges.make() } : content;

  const answer = async (message: Request, path: Path): Promise<AnswerBody> => {
    const view = standing.view();
    if (message.kind === "enrol") return answerEnrol(agent, message);
    if (view === undefined) throw new Error("an operator's request without a roster");
    // An operator has arrived: the token has done its work.
    if (store.enrolment("token") !== undefined) store.putEnrolment("token", null);
    switch (message.kind) {
      case "challenge":
        return body({ challenge: agent.challenges.make() });
      case "need_blobs":
        return body({ missing: message.need.filter((digest) => !store.hasBlob(digest.toHex())) });
      case "put_blob": {
        if (message.chunk === null) return refusal([{ code: "blob.out_of_order", path: "chunk", detail: "no part" }]);
        const put = store.putChunk(message.chunk);
        return put.ok ? body() : refusal(put.problems);
      }
      case "put_delta": {
        if (message.delta === null) return refusal([{ code: "blob.delta", path: "delta", detail: "no delta" }]);
        const put = store.putDelta(message.delta);
        return put.ok ? body() : refusal(put.problems);
      }
      case "submit": {
        const put = message.delta === null ? undefined : store.putDelta(message.delta);
        if (put?.ok === false) return refusal(put.problems);
        try {
          return freshened(message, await agent.inTurn(() => submit(agent, message)));
        } finally {
          // What a large one left in memory goes at once.
          Bun.gc(true);
        }
      }
      case "confirm":
        return confirm(agent, view, message, { path, paths });
      case "status":
        return freshened(
          message,
          body({
            status: await statusOf(agent, message.limit > 0),
            receipts: message.from_index === 0n ? [] : [...agent.journal.page(message.from_index, ALONG)],
          }),
        );
      case "receipts":
        // Its sender waits for the end of something: one answer in time instead of many that say nothing.
        await agent.runner.until(
          () => BigInt(store.record().logIndex) >= message.from_index,
          host.clock.bootMs() + message.wait_s * 1000,
        );
        return body({ receipts: [...agent.journal.page(message.from_index, message.limit)] });
      case "keys":
        return answerKeys(agent, message);
      case "beacon":
        return body({ beacon: agent.beacons.make().envelope });
      case "revoke":
        return revoke(agent, view, message);
    }
  };

  return {
    async handle(sealed, path) {
      const request = openBox(agent, sealed);
      if (request === undefined) return undefined;
      const { message, digest } = request;
      // A reply key that nobody can have is a stranger's: nothing is done that could not be answered.
      if (!crypto.admitsBoxKey(message.reply_key)) return undefined;
      const enrolled = standing.view() !== undefined;
      if (request.holder !== "") {
        paths.note(path);
        agent.probation.contact();
      }
      let content: AnswerBody;
      try {
        content = await answer(message, path);
      } catch (failure) {
        host.log("request.failed", { kind: message.kind, detail: String(failure).slice(0, 300) });
        content = refusal([{ code: "agent.failure", path: message.kind, detail: "the agent's log has the reason" }]);
      }
      // Anybody may sign an enrol request: who shows no knowledge of the roster in force is a stranger.
      if (message.kind === "enrol" && enrolled && content.code !== "") return undefined;
      if (message.kind !== "status")
        host.log("request", { kind: message.kind, by: request.holder, code: content.code });
      const full = { ...content, request_digest: digest, nonce: message.nonce, router_id: message.router_id };
      const signed = signStatement(crypto, "answer", full, [standing.self().sign]);
      return crypto.seal(signed.envelope, message.reply_key);
    },
    enrolled: () => standing.identity() !== undefined,
    status: () => (standing.identity() === undefined || standing.view() === undefined ? undefined : statusOf(agent)),
  };
}
