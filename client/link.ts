/**
 * The only file that talks to the network: sealed boxes over HTTP, each request on a connection of its own. A pooled
 * connection would prove nothing about the rules in force, so none is ever used twice.
 */
import type { BoxKeys, Crypto, SignKeys } from "../agent/core/crypto.ts";
import { openAnswer } from "../agent/core/directive.ts";
import { type Opened, signStatement } from "../agent/core/dsse.ts";
import type { Request } from "../schemas/directive.ts";
import { parseIp } from "../schemas/ip.ts";
import { limits } from "../schemas/limits.ts";
import { done, type Problem, problem, type Result, refuse } from "../schemas/problem.ts";
import type { Answer } from "../schemas/report.ts";

/** A place to dial: an address and port, or the agent's unix socket. */
export type Target =
  | { readonly kind: "tcp"; readonly address: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** A target as people write it and --at takes it. */
export const targetName = (target: Target): string =>
  target.kind === "unix"
    ? target.path
    : target.address.includes(":")
      ? `[${target.address}]:${target.port}`
      : `${target.address}:${target.port}`;

/** "198.51.100.1", "198.51.100.1:8022", "fd00::1", "[fd00::1]:8022" or a path that starts with "/". */
export function parseTarget(text: string, port: number): Target | undefined {
  if (text.startsWith("/")) return { kind: "unix", path: text };
  if (parseIp(text) !== undefined) return { kind: "tcp", address: text, port };
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? "";
  const given = Number(match?.[3]);
  const fits = parseIp(address) !== undefined && given >= 1 && given <= 65535;
  return fits ? { kind: "tcp", address, port: given } : undefined;
}

/** Who the router is, as far as it is known. */
export type Peer = {
  readonly networkId: Uint8Array;
  readonly routerId: Uint8Array;
  readonly signKey: Uint8Array | null; // null during enrolment
  readonly sealKey: Uint8Array;
  readonly papers?: readonly Uint8Array[]; // roots and rosters for a router that has not heard of the signer yet
};

type Fields = Partial<Omit<Request, "network_id" | "router_id" | "kind" | "reply_key" | "nonce">>;

export type AskOptions = {
  readonly targets?: readonly Target[]; // instead of the link's own
  readonly timeoutMs?: number;
  readonly attempts?: number; // rounds over all targets
};

export type Reply = { readonly answer: Opened<"answer">; readonly target: Target };

export type Link = {
  /** One request, and the router's signed answer to it, whatever its code. Codes link.*, trust.*, wire.*. */
  ask(kind: Request["kind"], fields?: Fields, options?: AskOptions): Promise<Result<Reply>>;
  /** As ask; an answer with a code is a refusal that lists the router's own problems. */
  get(kind: Request["kind"], fields?: Fields, options?: AskOptions): Promise<Result<Answer>>;
  /** Where it asks, the place that answered last first. */
  targets(): readonly Target[];
  readonly traffic: Traffic;
};

/** Bytes of request and answer bodies so far, sealed as they travel. */
export type Traffic = { sent: number; received: number };

/** The same as fields of a JSON object. */
export const trafficFields = ({ traffic }: Link) => ({ bytes_sent: traffic.sent, bytes_received: traffic.received });

const READ_MS = 10_000;
const BETWEEN_MS = 500;
/** One sealed answer: an envelope and the box around it. */
const ANSWER_BYTES = limits.inventoryBytes + 1024 * 1024;

/** Bytes that a stranger may make us keep are bounded before they are read. */
async function readCapped(response: Response): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

type Posted = { readonly status: number; readonly body: Uint8Array | undefined };

/** Names of fetch's errors that mean that no byte of the request was taken. */
const NOT_SENT = [
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOENT",
  "FailedToOpenSocket",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EACCES",
];

async function post(target: Target, body: Uint8Array, timeoutMs: number): Promise<Result<Posted>> {
  const host = target.kind === "unix" ? "holdfast" : targetName(target);
  try {
    const response = await fetch(`http://${host}/v1/box`, {
      method: "POST",
      body,
      headers: { "content-type": "application/octet-stream", connection: "close" },
      keepalive: false, // a new connection for each request, from a new port
      redirect: "error",
      decompress: false,
      signal: AbortSignal.timeout(timeoutMs),
      ...(target.kind === "unix" ? { unix: target.path } : {}),
    });
    return done({ status: response.status, body: await readCapped(response) });
  } catch (error) {
    const { code = "", name = "", message = "" } = error as { code?: string; name?: string; message?: string };
    if (code === "UnexpectedRedirect") return refuse("link.bad_answer", targetName(target), "it redirects");
    if (NOT_SENT.includes(code)) return refuse("link.unreachable", targetName(target), code);
    const what = name === "TimeoutError" ? `no reply within ${timeoutMs / 1000} s` : code || message.slice(0, 120);
    return refuse("link.reply_lost", targetName(target), what);
  }
}

/** What an HTTP status means; undefined when the body holds a sealed answer. */
function statusProblem(status: number, at: string): Problem | undefined {
  if (status === 200) return undefined;
  if (status === 403) return problem("link.refused", at, "it does not answer this key, or is not this router");
  if (status === 429) return problem("link.busy", at, "too many requests at once");
  return problem("link.bad_answer", at, `HTTP ${status}`);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Strangers on the way may say anything; what may pass with time, or at another address, is tried again. */
const MAY_PASS = ["link.unreachable", "link.reply_lost", "link.busy"];
const mayPass = (problems: readonly Problem[]): boolean => problems.every((one) => MAY_PASS.includes(one.code));

/** Everything that an answer with a code says. Codes of a newer router are kept as they are. */
function answerProblems(answer: Answer): readonly Problem[] {
  if (answer.problems.length > 0) return answer.problems;
  return [{ code: answer.code, path: "", detail: "the router says no more" }];
}

/** A link to one router. `signer` signs requests; an enrolment signs with a throw-away key. `traffic` goes on counting. */
export function createLink(
  crypto: Crypto,
  peer: Peer,
  signer: SignKeys,
  targets: readonly Target[],
  traffic: Traffic = { sent: 0, received: 0 },
): Link {
  let last: Target | undefined; // the one that answered is tried first
  let papers: readonly Uint8Array[] = []; // shown with every request once they were needed

  const attempt = async (
    request: Opened<"request">,
    reply: BoxKeys,
    target: Target,
    timeoutMs: number,
  ): Promise<Result<Reply>> => {
    const box = crypto.seal(request.envelope, peer.sealKey);
    traffic.sent += box.length;
    const posted = await post(target, box, timeoutMs);
    if (!posted.ok) return posted;
    traffic.received += posted.value.body?.length ?? 0;
    const at = targetName(target);
    const wrong = statusProblem(posted.value.status, at);
    if (wrong !== undefined) return { ok: false, problems: [wrong] };
    const bytes = posted.value.body === undefined ? undefined : crypto.unseal(posted.value.body, reply);
    if (bytes === undefined) return refuse("link.bad_answer", at, "no box for this request");
    const answer = openAnswer(crypto, peer.signKey, request, bytes);
    return answer.ok ? done({ answer: answer.value, target }) : answer;
  };

  const rounds = async (kind: Request["kind"], fields: Fields, options: AskOptions): Promise<Result<Reply>> => {
    const { timeoutMs = READ_MS, attempts = 1 } = options;
    const own = options.targets ?? link.targets();
    const reply = crypto.boxKeys();
    const request = signStatement(crypto, "request", completeRequest(peer, kind, reply.publicKey, fields), [signer]);
    const failed = new Map<string, Problem>();
    for (let round = 0; round < attempts; round += 1) {
      if (round > 0) await pause(BETWEEN_MS * 2 ** Math.min(round, 3));
      for (const target of own) {
        const result = await attempt(request, reply, target, timeoutMs);
        if (result.ok) {
          if (options.targets === undefined) last = target;
          return result;
        }
        for (const one of result.problems) failed.set(`${one.code} ${one.path}`, one);
      }
      if (!mayPass([...failed.values()])) break;
    }
    return { ok: false, problems: worstFirst([...failed.values()]) };
  };

  const link: Link = {
    traffic,
    targets: () => [...targets].sort((a, b) => Number(b === last) - Number(a === last)),
    async ask(kind, fields = {}, options = {}) {
      const first = await rounds(kind, { trust: [...papers], ...fields }, options);
      const unknown = !first.ok && first.problems.some((one) => one.code === "link.refused");
      const more = peer.papers ?? [];
      if (!unknown || fields.trust !== undefined || papers.length > 0 || more.length === 0) return first;
      const second = await rounds(kind, { ...fields, trust: [...more] }, options);
      if (second.ok) papers = more;
      return second.ok ? second : first;
    },
    async get(kind, fields, options) {
      const reply = await link.ask(kind, fields, options);
      if (!reply.ok) return reply;
      const { message } = reply.value.answer;
      return message.code === "" ? done(message) : { ok: false, problems: answerProblems(message) };
    },
  };
  return link;
}

/** An answer that came says more than one that did not; a lost reply more than a closed door. */
function worstFirst(problems: readonly Problem[]): readonly Problem[] {
  const rank = (one: Problem): number => ["link.busy", "link.reply_lost", "link.unreachable"].indexOf(one.code);
  return [...problems].sort((a, b) => rank(a) - rank(b));
}

function completeRequest(peer: Peer, kind: Request["kind"], replyKey: Uint8Array, fields: Fields): Request {
  return {
    network_id: peer.networkId,
    router_id: peer.routerId,
    kind,
    reply_key: replyKey,
    nonce: globalThis.crypto.getRandomValues(new Uint8Array(16)),
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
    ...fields,
  };
}
