/** The pipe: caps, slow senders, strangers, the local door. Real sockets on loopback; no kernel is changed. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Front } from "../../agent/http.ts";
import { createListeners, type Listeners, listenOnSocket } from "../../agent/listeners.ts";
import { metricsText } from "../../agent/metrics.ts";
import { createPaths, type Path } from "../../agent/paths.ts";
import { createStrangers } from "../../agent/strangers.ts";
import { limits } from "../../schemas/limits.ts";
import { type Enrolled, enrolledDesk } from "./desk.ts";
import { crypto, randomBytes, type Send } from "./operator.ts";

setDefaultTimeout(120_000);

let enrolled: Enrolled;
let front: Front;
let listeners: Listeners;
let port = 0;
const seen: Path[] = [];

/** A port that nobody listens on now. */
function freePort(): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const found = server.port ?? 0;
  void server.stop(true);
  return found;
}

beforeAll(async () => {
  enrolled = await enrolledDesk();
  const { desk } = enrolled;
  front = {
    requests: {
      ...desk.requests,
      handle(sealed, path) {
        seen.push(path);
        return desk.requests.handle(sealed, path);
      },
    },
    strangers: { enter: () => () => {} },
    metrics: async () => metricsText(await desk.requests.status()),
    log: () => {},
    bodyMs: 400,
  };
  port = freePort();
  listeners = createListeners(front);
  await listeners.update([{ address: "127.0.0.1", port, lane: "api:127.0.0.1" }]);
});
afterAll(async () => {
  await listeners.close();
  enrolled.desk.close();
});

const url = (): string => `http://127.0.0.1:${port}/v1/box`;
const post = (body: string | Uint8Array, init: RequestInit = {}): Promise<Response> =>
  fetch(url(), { method: "POST", body: typeof body === "string" ? body : new Uint8Array(body), ...init });
const send: Send = async (box) => {
  const answer = await post(box);
  return { status: answer.status, bytes: new Uint8Array(await answer.arrayBuffer()) };
};

/** Raw text over a connection of its own; what came back until it closed or the time was over. */
function raw(parts: readonly string[], gapMs: number, timeMs: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port });
    const end = (): void => {
      socket.destroy();
      resolve(text);
    };
    const timer = setTimeout(end, timeMs);
    socket.on("data", (data) => {
      text += data.toString();
    });
    socket.on("close", () => {
      clearTimeout(timer);
      end();
    });
    socket.on("error", () => {}); // the close tells
    let at = 0;
    const next = (): void => {
      if (at >= parts.length || socket.destroyed) return;
      socket.write(parts[at] ?? "");
      at += 1;
      setTimeout(next, gapMs);
    };
    next();
  });
}

describe("the box", () => {
  test("carries a sealed request and a sealed answer", async () => {
    const status = await enrolled.session.over(send).status();
    expect(status.router).toBe("r1");
    // Loopback proves no lane.
    expect(seen.at(-1)).toMatchObject({ lane: "", local: `127.0.0.1 ${port}`, remote: "127.0.0.1" });
    expect(seen.at(-1)?.port).toBeGreaterThan(0);
  });

  test("gives strangers one word, whatever they send and wherever", async () => {
    const answers = await Promise.all([
      post(randomBytes(100)),
      post(""),
      post(crypto.seal(randomBytes(100), enrolled.session.router.seal)),
      post(randomBytes(10), { headers: { "content-encoding": "gzip" } }),
      fetch(url()),
      fetch(`http://127.0.0.1:${port}/metrics`),
      fetch(`http://127.0.0.1:${port}/`, { method: "DELETE" }),
    ]);
    for (const answer of answers) expect([answer.status, await answer.text()]).toEqual([403, "refused\n"]);
  });

  test("takes no more than the cap, declared or not", async () => {
    const most = limits.requestBytes;
    expect((await post(new Uint8Array(most))).status).toBe(403); // read, and not understood
    expect((await post(new Uint8Array(most + 1))).status).toBe(413);
    const head = "POST /v1/box HTTP/1.1\r\nhost: r\r\n";
    const declared = await raw([`${head}content-length: 99999999999\r\n\r\n`], 1, 2000);
    expect(declared).toStartWith("HTTP/1.1 413");
    const chunk = `${(65_536).toString(16)}\r\n${"x".repeat(65_536)}\r\n`;
    const endless = await raw([`${head}transfer-encoding: chunked\r\n\r\n`, ...Array(40).fill(chunk)], 1, 5000);
    expect(endless).toContain(" 413 ");
  });

  test("does not wait for a body that comes too slowly", async () => {
    const head = "POST /v1/box HTTP/1.1\r\nhost: r\r\ncontent-length: 1000\r\n\r\n";
    const started = performance.now();
    const answer = await raw([head, ...Array(100).fill("x")], 50, 4000);
    expect(answer).toContain(" 403 ");
    expect(performance.now() - started).toBeLessThan(6000);
    expect((await enrolled.session.over(send).status()).router).toBe("r1");
  });
});

describe("listeners", () => {
  test("an address that cannot be bound stops no other, and is bound once it can be", async () => {
    const [first, second] = [freePort(), freePort()];
    const holder = Bun.serve({ hostname: "127.0.0.1", port: first, fetch: () => new Response("held") });
    const said: string[] = [];
    const own = createListeners({ ...front, log: (event) => void said.push(event) });
    const wanted = [first, second].map((one) => ({ address: "127.0.0.1", port: one, lane: "" }));
    await own.update([...wanted, { address: "203.0.113.9", port: second, lane: "" }]);
    expect(own.open().map((one) => one.port)).toEqual([second]);
    own.retry();
    expect(said.filter((event) => event === "listen.failed").length).toBe(2); // said once each
    await holder.stop(true);
    own.retry();
    expect(
      own
        .open()
        .map((one) => one.port)
        .sort(),
    ).toEqual([first, second].sort());
    // What is not wanted any more is closed; what stays is not touched.
    await own.update([wanted[1]!]);
    expect(own.open().map((one) => one.port)).toEqual([second]);
    await expect(fetch(`http://127.0.0.1:${first}/`)).rejects.toThrow();
    await own.close();
  });
});

describe("the local door", () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-door-"));
  const path = join(folder, "holdfastd.sock");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("is private, takes boxes, shows metrics, and is taken over only from the dead", async () => {
    writeFileSync(path, ""); // what a killed agent leaves
    const close = await listenOnSocket(front, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const local: Send = async (box) => {
      const answer = await fetch("http://r/v1/box", { unix: path, method: "POST", body: new Uint8Array(box) });
      return { status: answer.status, bytes: new Uint8Array(await answer.arrayBuffer()) };
    };
    expect((await enrolled.session.over(local).status()).router).toBe("r1");
    expect(seen.at(-1)).toEqual({ lane: "", local: "", remote: "", port: 0 });
    const metrics = await (await fetch("http://r/metrics", { unix: path })).text();
    expect(metrics).toContain("holdfast_up 1\n");
    expect(metrics).toContain("# TYPE holdfast_log_index counter\nholdfast_log_index 1\n");
    await expect(listenOnSocket(front, path)).rejects.toThrow("another agent answers");
    await close();
    expect(existsSync(path)).toBe(false);
  });

  test("before the enrolment the metrics say only that the agent is up", () => {
    expect(metricsText(undefined)).toBe(
      "# HELP holdfast_up The agent answers.\n# TYPE holdfast_up gauge\nholdfast_up 1\n",
    );
  });
});

test("a path is fresh when its connection was not used before, and the same ends later are another connection", () => {
  let nowMs = 1000;
  const clock = { bootMs: () => nowMs, unixS: () => 0, bootId: () => new Uint8Array(16), at: () => () => {} };
  const paths = createPaths(clock);
  const path = (remotePort: number): Path => ({
    lane: "rescue",
    local: "fd00::1 8022",
    remote: "fd00::2",
    port: remotePort,
  });
  paths.note(path(1));
  nowMs = 2000;
  paths.note(path(1));
  paths.note(path(2));
  expect([paths.isFresh(path(1), 1500), paths.isFresh(path(2), 1500), paths.isFresh(path(3), 1500)]).toEqual([
    false,
    true,
    true,
  ]);
  nowMs += 200_000;
  expect(paths.isFresh(path(1), 1500)).toBe(true);
});

describe("strangers", () => {
  let nowMs = 1_000_000;
  const clock = { bootMs: () => nowMs, unixS: () => 0, bootId: () => new Uint8Array(16), at: () => () => {} };
  const fail = (strangers: ReturnType<typeof createStrangers>, remote: string): boolean => {
    const leave = strangers.enter(remote);
    leave?.(false);
    return leave !== undefined;
  };

  test("fail so often and no more, and time heals", () => {
    const strangers = createStrangers(clock);
    const taken = Array.from({ length: 20 }, () => fail(strangers, "192.0.2.1")).filter(Boolean).length;
    expect(taken).toBe(10);
    expect(fail(strangers, "192.0.2.2")).toBe(true);
    nowMs += 4000;
    expect(fail(strangers, "192.0.2.1")).toBe(true);
  });

  test("of one IPv6 network are one", () => {
    const strangers = createStrangers(clock);
    const all = Array.from({ length: 20 }, (_, i) => fail(strangers, `2001:db8::${i + 1}`));
    expect(all.filter(Boolean).length).toBe(10);
    expect(fail(strangers, "2001:db8:0:1::1")).toBe(true);
  });

  test("from everywhere do not shut out who was answered lately", () => {
    const strangers = createStrangers(clock);
    strangers.enter("192.0.2.200")?.(true);
    const taken = Array.from({ length: 300 }, (_, i) => fail(strangers, `10.1.${i >> 8}.${i & 255}`)).filter(Boolean);
    expect(taken.length).toBe(100);
    expect(strangers.enter("10.2.0.1")).toBe(undefined as never);
    expect(strangers.enter("192.0.2.200")).toBeFunction();
  });

  test("in the network of somebody who was answered lately do not shut him out", () => {
    const strangers = createStrangers(clock);
    strangers.enter("2001:db8::1")?.(true);
    for (let i = 0; i < 20; i += 1) fail(strangers, `2001:db8::${i + 2}`);
    const held = Array.from({ length: 20 }, () => strangers.enter("2001:db8:0:2::9"));
    expect(held.filter((leave) => leave !== undefined).length).toBe(8);
    expect(strangers.enter("2001:db8::99")).toBe(undefined as never);
    expect(strangers.enter("2001:db8::1")).toBeFunction();
  });

  test("hold few requests open at a time", () => {
    const strangers = createStrangers(clock);
    const held = Array.from({ length: 10 }, () => strangers.enter("192.0.2.1"));
    expect(held.filter((leave) => leave !== undefined).length).toBe(8);
    held[0]?.(false);
    expect(strangers.enter("192.0.2.1")).toBeFunction();
    // And a crowd of them leaves places for those who are known.
    strangers.enter("192.0.2.200")?.(true);
    for (let i = 0; i < 60; i += 1) strangers.enter(`10.3.0.${i}`);
    expect(strangers.enter("10.4.0.1")).toBe(undefined as never);
    expect(strangers.enter("192.0.2.200")).toBeFunction();
  });

  test("who say nothing give way to the next one, who has spoken does not", () => {
    const strangers = createStrangers(clock);
    const gone: number[] = [];
    const guests = Array.from({ length: 9 }, (_, i) => ({ arrived: false, evict: () => void gone.push(i) }));
    const leaves = guests.map((guest) => strangers.enter("192.0.2.1", guest));
    expect([gone, leaves.filter((leave) => leave !== undefined).length]).toEqual([[0], 9]);
    leaves[0]?.(false); // its place is not freed twice
    for (const guest of guests) guest.arrived = true;
    expect(strangers.enter("192.0.2.1")).toBe(undefined as never);
    leaves[1]?.(false);
    expect(strangers.enter("192.0.2.1")).toBeFunction();
    expect(strangers.enter("192.0.2.1")).toBe(undefined as never);
  });

  test("at the address of an operator do not shut him out, in a hurry or asleep, over real connections", async () => {
    const own = createListeners({ ...front, bodyMs: 20_000, strangers: createStrangers(clock) });
    const at = freePort();
    await own.update([{ address: "127.0.0.1", port: at, lane: "" }]);
    const box = `http://127.0.0.1:${at}/v1/box`;
    const fresh: Send = async (sealed) => {
      const init = { method: "POST", body: new Uint8Array(sealed), headers: { connection: "close" } };
      const answer = await fetch(box, init);
      return { status: answer.status, bytes: new Uint8Array(await answer.arrayBuffer()) };
    };
    const operator = enrolled.session.over(fresh);
    await operator.status();
    let flooding = true;
    let refused = 0;
    const crowd = Array.from({ length: 20 }, async () => {
      while (flooding) {
        const answer = await fetch(box, { method: "POST", body: randomBytes(300) });
        if (answer.status !== 200) refused += 1;
        await answer.arrayBuffer();
      }
    });
    for (let i = 0; i < 20; i += 1) expect((await operator.ask({ kind: "challenge" })).code).toBe("");
    flooding = false;
    await Promise.all(crowd);
    expect(refused).toBeGreaterThan(20);
    const asleep = Array.from({ length: 30 }, () => {
      const socket = connect({ host: "127.0.0.1", port: at });
      socket.on("error", () => {}); // cut when its place is taken
      socket.write("POST /v1/box HTTP/1.1\r\nhost: r\r\ncontent-length: 1000\r\n\r\nx");
      return socket;
    });
    // As soon as one was cut all places are taken by those who wait.
    await new Promise((resolve) => void asleep.map((socket) => socket.once("data", resolve)));
    for (let i = 0; i < 12; i += 1) expect((await operator.ask({ kind: "challenge" })).code).toBe("");
    for (const socket of asleep) socket.destroy();
    await own.close();
  });

  test("over a real connection get 429", async () => {
    const own = createListeners({ ...front, strangers: createStrangers(clock) });
    const at = freePort();
    await own.update([{ address: "127.0.0.1", port: at, lane: "" }]);
    const codes: number[] = [];
    for (let i = 0; i < 12; i += 1) {
      codes.push((await fetch(`http://127.0.0.1:${at}/v1/box`, { method: "POST", body: "x" })).status);
    }
    expect(codes).toEqual([...Array(10).fill(403), 429, 429]);
    await own.close();
  });
});
