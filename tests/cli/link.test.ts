/** The link: a connection for each request, and every way in which a place can fail to be the router. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLink, type Link, parseTarget, type Target } from "../../client/link.ts";
import { openSession } from "../../client/session.ts";
import { loadCrypto } from "../../client/sodium.ts";
import { awaitTrial, watch } from "../../client/trial.ts";
import { enrolled } from "./enrolled.ts";
import { Way } from "./way.ts";

setDefaultTimeout(240_000);

const crypto = await loadCrypto();
const router = { sign: crypto.signKeys(), seal: crypto.boxKeys() };

function linkTo(...targets: readonly Target[]): Link {
  const peer = {
    ...{ networkId: new Uint8Array(16), routerId: new Uint8Array(16) },
    ...{ signKey: router.sign.publicKey, sealKey: router.seal.publicKey },
  };
  return createLink(crypto, peer, crypto.signKeys(), targets);
}

const tcp = (port: number): Target => ({ kind: "tcp", address: "127.0.0.1", port });

/** Asks a server that answers everything with `reply`; the codes of the problems. */
async function codesOf(
  reply: (request: Request) => Response | Promise<Response>,
  timeoutMs = 20_000,
): Promise<readonly string[]> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: reply });
  try {
    const result = await linkTo(tcp(server.port!)).ask("status", {}, { timeoutMs });
    return result.ok ? [] : result.problems.map((one) => one.code);
  } finally {
    await server.stop(true);
  }
}

describe("targets", () => {
  test("are addresses, with a port or without, or the path of a socket", () => {
    expect(parseTarget("192.0.2.1", 8022)).toEqual({ kind: "tcp", address: "192.0.2.1", port: 8022 });
    expect(parseTarget("192.0.2.1:99", 8022)).toEqual({ kind: "tcp", address: "192.0.2.1", port: 99 });
    expect(parseTarget("fd00::1", 8022)).toEqual({ kind: "tcp", address: "fd00::1", port: 8022 });
    expect(parseTarget("[fd00::1]:99", 8022)).toEqual({ kind: "tcp", address: "fd00::1", port: 99 });
    expect(parseTarget("/run/x.sock", 8022)).toEqual({ kind: "unix", path: "/run/x.sock" });
    for (const text of [
      "",
      "r1",
      "r1:80",
      "192.0.2.1:0",
      "192.0.2.1:65536",
      "192.0.2:80",
      "[fd00::1]",
      "[192.0.2.1]:80",
      "a/b",
    ]) {
      expect(parseTarget(text, 8022)).toBeUndefined();
    }
  });
});

describe("a place that is not the router", () => {
  test("says refused: link.refused, and is not asked twice", async () => {
    let asked = 0;
    expect(
      await codesOf(() => {
        asked += 1;
        return new Response("refused\n", { status: 403 });
      }),
    ).toEqual(["link.refused"]);
    expect(asked).toBe(1);
  });

  test("has no place free: link.busy", async () => {
    expect(await codesOf(() => new Response("too many\n", { status: 429 }))).toEqual(["link.busy"]);
  });

  const odd: Readonly<Record<string, () => Response>> = {
    "another status": () => new Response("no", { status: 404 }),
    "a redirect": () => new Response(null, { status: 302, headers: { location: "http://127.0.0.1:1/" } }),
    "no box": () => new Response("hello"),
    nothing: () => new Response(""),
    "a box for somebody else": () =>
      new Response(new Uint8Array(crypto.seal(new Uint8Array(100), crypto.boxKeys().publicKey))),
    "more than any answer": () => new Response(new Uint8Array(18 * 1024 * 1024)),
    "a compressed body": () =>
      new Response(Bun.gzipSync(new Uint8Array(1024 * 1024)), { headers: { "content-encoding": "gzip" } }),
  };
  for (const [name, reply] of Object.entries(odd)) {
    test(`gives ${name}: link.bad_answer`, async () => {
      expect(await codesOf(reply)).toEqual(["link.bad_answer"]);
    });
  }

  test("holds the connection and says nothing: link.reply_lost, in the time that was given", async () => {
    const started = performance.now();
    const never = () => new Promise<Response>(() => undefined);
    expect(await codesOf(never, 400)).toEqual(["link.reply_lost"]);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test("takes the request and hangs up: link.reply_lost", async () => {
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: (socket) => void socket.end() } });
    const result = await linkTo(tcp(server.port)).ask("status", {}, { timeoutMs: 20_000 });
    server.stop(true);
    expect(result).toMatchObject({ ok: false, problems: [{ code: "link.reply_lost" }] });
  });

  test("is nowhere: link.unreachable for every target", async () => {
    const result = await linkTo(tcp(1), tcp(2), { kind: "unix", path: "/nowhere.sock" }).ask("status");
    expect(result.ok ? [] : result.problems.map((one) => `${one.code} ${one.path}`)).toEqual([
      "link.unreachable 127.0.0.1:1",
      "link.unreachable 127.0.0.1:2",
      "link.unreachable /nowhere.sock",
    ]);
  });

  test("bodies go out as they are: no encoding, no cookie, one route", async () => {
    let seen: Record<string, string> = {};
    let where = "";
    await codesOf((request) => {
      seen = Object.fromEntries(request.headers);
      where = `${request.method} ${new URL(request.url).pathname}`;
      return new Response("", { status: 403 });
    });
    expect(where).toBe("POST /v1/box");
    expect(seen["content-encoding"]).toBeUndefined();
    expect(seen.cookie).toBeUndefined();
    expect(seen["content-type"]).toBe("application/octet-stream");
  });
});

describe("a router", () => {
  test("hears every request from a new port, also when it would keep the connection", async () => {
    using story = await enrolled();
    // A way that never closes: what is new here is new because the client made it so.
    using way = new Way(story.router.server.port!);
    const said = await story.place.at("push", "--yes", "--at", `127.0.0.1:${way.port}`);
    const { ports } = way;
    expect(said.exit).toBe(0);
    expect(ports.length).toBe(story.router.heard.length - story.router.heard.findIndex((one) => one.kind === "status"));
    expect(new Set(ports).size).toBe(ports.length);
  });

  test("may answer at its second address, which is tried first from then on", async () => {
    using story = await enrolled();
    const peer = {
      ...{ networkId: story.router.token!.network_id, routerId: story.router.token!.router_id },
      ...{ signKey: story.router.sign.publicKey, sealKey: story.router.seal.publicKey },
    };
    const dead = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const link = createLink(crypto, peer, crypto.signKeys(), [tcp(dead.port), tcp(story.router.server.port!)]);
    const first = await link.ask("enrol", { trust: [story.router.view!.roster.envelope] }, { timeoutMs: 500 });
    expect(first.ok && first.value.target).toEqual(tcp(story.router.server.port!));
    const started = performance.now();
    expect((await link.ask("enrol", { trust: [story.router.view!.roster.envelope] }, { timeoutMs: 30_000 })).ok).toBe(
      true,
    );
    expect(performance.now() - started).toBeLessThan(5000);
    dead.stop(true);
  });

  test("that answers another request, or is another router, is not believed", async () => {
    using story = await enrolled();
    const { heard } = story.router;
    story.router.instead = (kind, message) => {
      // The nonce of an older request: an answer that was recorded.
      if (kind === "status") Object.assign(message, { nonce: heard[0]!.message.nonce });
      return undefined;
    };
    expect(await story.ask("status")).toMatchObject({ exit: 3, codes: ["trust.answer_mismatch"] });
    story.router.instead = () => undefined;
    Object.assign(story.router, { sign: crypto.signKeys() });
    expect(await story.ask("status")).toMatchObject({ exit: 3, codes: ["trust.signer_unknown"] });
  });

  test("on a unix socket is asked like any other", async () => {
    using story = await enrolled();
    const folder = mkdtempSync(join(tmpdir(), "holdfast-socket-"));
    const path = join(folder, "agent.sock");
    const server = Bun.serve({
      unix: path,
      fetch: async (request) =>
        fetch(`http://${story.router.at}/v1/box`, { method: "POST", body: await request.arrayBuffer() }),
    });
    const said = await story.place.at("status", "--at", path, "--json");
    await server.stop(true);
    rmSync(folder, { recursive: true });
    expect(said.json()).toMatchObject({ exit: 0, router: "r1" });
  });
});

describe("waiting for a trial", () => {
  /** A session of the story's operator, in this process. */
  async function sessionOf(story: Awaited<ReturnType<typeof enrolled>>) {
    Object.assign(process.env, {
      XDG_CONFIG_HOME: story.place.environment.XDG_CONFIG_HOME,
      XDG_STATE_HOME: story.place.environment.XDG_STATE_HOME,
    });
    const flags: Readonly<Record<string, string>> = { site: story.place.site, at: story.router.at };
    const args = { operands: [], has: () => false, one: (name: string) => flags[name], all: () => [] };
    const voice = {
      say: () => undefined,
      progress: () => () => undefined,
      ask: async () => ({ ok: true as const, value: undefined }),
    };
    const session = await openSession({ args, voice, json: true });
    if (!session.ok) throw new Error(session.problems[0]?.code);
    return { session: session.value, voice };
  }

  test("ends with link.state_unknown when nothing certain is heard until the end", async () => {
    using story = await enrolled();
    const { session, voice } = await sessionOf(story);
    story.router.close();
    const seen = await awaitTrial(session, watch(new Uint8Array(32), session.memory), 900, voice);
    expect(seen).toMatchObject({ ok: false, problems: [{ code: "link.state_unknown", path: "r1" }] });
  });

  test("does not go on when the router convicts itself meanwhile", async () => {
    using story = await enrolled();
    const { session, voice } = await sessionOf(story);
    story.router.receipts = [];
    const seen = await awaitTrial(session, watch(new Uint8Array(32), session.memory), 20_000, voice);
    expect(seen).toMatchObject({ ok: false, problems: [{ code: "receipts.rewound" }] });
  });
});
