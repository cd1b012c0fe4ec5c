/**
 * The pipe: one route that takes a sealed box and gives one back, on TCP and on the unix socket. It knows nothing of
 * what is inside. Strangers get one answer, whatever was wrong with what they sent.
 */
import { Hono } from "hono";
import { limits } from "../schemas/limits.ts";
import type { Path } from "./paths.ts";
import type { Log } from "./ports.ts";
import type { Requests } from "./requests.ts";
import type { Strangers } from "./strangers.ts";

/** A whole body must have arrived within this time. */
const BODY_MS = 20_000;
/** A bundle of a large site is proven and rehearsed in seconds; its answer may take that long. */
const ANSWER_S = 120;

/** What a listener adds to each request. */
export type Arrival = {
  readonly path: Path;
  /** Gives this request more time than a silent connection has. */
  readonly extend: (seconds: number) => void;
};

export type Front = {
  readonly requests: Requests;
  readonly strangers: Strangers;
  /** Prometheus text; only the unix socket asks for it. */
  readonly metrics: () => Promise<string>;
  readonly log: Log;
  readonly bodyMs?: number; // for tests
};

/** The body, or why it is not taken. Reads no more than the cap and waits no longer than the deadline or the cut. */
async function readBody(
  request: Request,
  deadlineMs: number,
  cut: Promise<"late">,
): Promise<Uint8Array | "large" | "bad"> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > limits.requestBytes) return "large";
  if (request.headers.has("content-encoding") || request.body === null) return "bad";
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), deadlineMs);
  });
  try {
    for (;;) {
      const part = await Promise.race([reader.read(), late, cut]);
      if (part === "late") return "bad";
      if (part.done) break;
      size += part.value.length;
      if (size > limits.requestBytes) return "large";
      chunks.push(part.value);
    }
  } catch {
    return "bad"; // the sender is gone, or the server's own cap spoke
  } finally {
    clearTimeout(timer);
    // Nothing more of it is wanted; a sender who goes on is cut.
    void reader.cancel().catch(() => {});
  }
  return Buffer.concat(chunks);
}

/** The one answer for strangers, and for everything that is not the one route. */
export const refused = (): Response => new Response("refused\n", { status: 403 });

async function handleBox(front: Front, request: Request, { path, extend }: Arrival): Promise<Response> {
  const { promise: cut, resolve } = Promise.withResolvers<"late">();
  const guest = { arrived: false, evict: () => resolve("late") };
  const leave = path.local === "" ? () => {} : front.strangers.enter(path.remote, guest);
  if (leave === undefined) return new Response("too many\n", { status: 429 });
  let opened = false;
  try {
    const sealed = await readBody(request, front.bodyMs ?? BODY_MS, cut);
    guest.arrived = true;
    if (sealed === "large") return new Response("too large\n", { status: 413 });
    if (sealed === "bad") return refused();
    extend(ANSWER_S);
    const answer = await front.requests.handle(sealed, path);
    opened = answer !== undefined;
    return answer === undefined
      ? refused()
      : new Response(new Uint8Array(answer), { headers: { "content-type": "application/octet-stream" } });
  } finally {
    // An operator who waits for a router's enrolment must not use up his patience.
    leave(opened || !front.requests.enrolled());
  }
}

type Variables = { Bindings: Arrival };

/** The application for TCP (`local` false) or for the unix socket. */
export function createApp(front: Front, local: boolean): Hono<Variables> {
  const app = new Hono<Variables>();
  app.post("/v1/box", (c) => handleBox(front, c.req.raw, c.env));
  if (local) app.get("/metrics", async (c) => c.text(await front.metrics()));
  app.notFound(refused);
  app.onError((failure) => {
    front.log("http.failed", { detail: String(failure).slice(0, 300) });
    return refused();
  });
  return app;
}
