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
import { answerEnrol, answerKeys, pendingToken } from "./enrol.ts";
import type { Path, Paths } from "./paths.ts";
import { submit } from "./pipeline.ts";
import { createDrift, statusOf } from "./status.ts";

export type Requests = {
  /** The sealed answer to a sealed request; undefined for strangers. */
  handle(sealed: Uint8Array, path: Path): Promise<Uint8Array | undefined>;
  /** False until `holdfastd enrol`: then nothing can be opened, and whoever asks is no stranger yet. */
  enrolled(): boolean;
  /** What `status` says, for the unix socket's metrics. undefined before the enrolment is finished. */
  status(): ReturnType<typeof statusOf> | undefined;
};

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

export function createRequests(agent: Agent, paths: Paths): Requests {
  const { standing, store, crypto, host } = agent;
  const driftOf = createDrift(agent);
  let walk: Promise<unknown> = Promise.resolve();

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
      case "submit": {
        const next = walk.then(() => submit(agent, message));
        // Its sender is told; the next bundle walks all the same. What a large one left in memory goes at once.
        walk = next.catch(() => {}).then(() => Bun.gc(true));
        return next;
      }
      case "confirm":
        return confirm(agent, view, message, { path, paths });
      case "status":
        return body({ status: await statusOf(agent, driftOf) });
      case "receipts":
        return body({ receipts: [...agent.journal.page(message.from_index, message.limit)] });
      case "keys":
        return answerKeys(agent, message);
      case "beacon":
      case "revoke":
        return refusal([{ code: "agent.failure", path: message.kind, detail: "not built" }]);
    }
  };

  return {
    async handle(sealed, path) {
      const request = openBox(agent, sealed);
      if (request === undefined) return undefined;
      const { message, digest } = request;
      const enrolled = standing.view() !== undefined;
      if (request.holder !== "") paths.note(path);
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
      // A reply key that nobody can have is a stranger's.
      return crypto.admitsBoxKey(message.reply_key) ? crypto.seal(signed.envelope, message.reply_key) : undefined;
    },
    enrolled: () => standing.identity() !== undefined,
    status: () =>
      standing.identity() === undefined || standing.view() === undefined ? undefined : statusOf(agent, driftOf),
  };
}
