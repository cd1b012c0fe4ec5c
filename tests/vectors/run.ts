/** One vector by each of the three ways: the library, the program, a real agent over HTTP. Each gives what is wrong. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAnswer } from "../../agent/core/directive.ts";
import { openStatement } from "../../agent/core/dsse.ts";
import { verify } from "../../agent/core/verify.ts";
import { stateDigest, stateText } from "../../agent/core/verify-state.ts";
import { sha256 } from "../../schemas/digest.ts";
import { limits } from "../../schemas/limits.ts";
import { decode } from "../../schemas/wire.ts";
import { startAgent, type VectorAgent } from "./agent.ts";
import * as bases from "./bases.ts";
import { boxPair, signPair, signRaw } from "./raw.ts";
import type { Vector } from "./vector.ts";
import * as world from "./world.ts";
import { written } from "./written.ts";

/** The wall clocks that every vector is judged under: right, dead battery, ten years ahead. */
export const clocks: readonly number[] = [1_800_000_100, 0, 1_800_000_100 + 10 * 365 * 86_400];

/** What is wrong, or undefined. */
type Told = string | undefined;

const stateOf = (vector: Vector) => ({ ...world.baseState, ...vector.state });
const whenOf = (vector: Vector): number => vector.bootMs ?? world.NOW_MS;

export function byLibrary(vector: Vector, unixS: number | null): Told {
  const state = stateOf(vector);
  const before = stateDigest(state);
  const verdict = verify(world.crypto, state, { bootMs: whenOf(vector), unixS }, vector.bytes, vector.kind);
  if (verdict.code !== vector.code) return `the library says ${verdict.code || "ok"}`;
  if (verdict.code !== "" && stateDigest(verdict.state) !== before) return "a refusal changed the state";
  return undefined;
}

/** `cli` is how the program is called. */
export async function byProgram(cli: readonly string[], vector: Vector, unixS: number | null): Promise<Told> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-vector-"));
  try {
    const text = stateText(stateOf(vector));
    writeFileSync(join(folder, "state.json"), text);
    writeFileSync(join(folder, "file"), vector.bytes);
    const words = ["verify", "--state", folder, "--in", join(folder, "file"), "--kind", vector.kind, "--write"];
    const times = ["--boottime", String(whenOf(vector)), "--now", unixS === null ? "none" : String(unixS)];
    const child = Bun.spawn([...cli, ...words, ...times], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
    const [said, exit] = [await new Response(child.stdout).text(), await child.exited];
    const [code = "", digest = ""] = said.trimEnd().split(" ");
    const after = readFileSync(join(folder, "state.json"), "utf8");
    if (code !== (vector.code || "ok") || exit !== (vector.code === "" ? 0 : 3))
      return `the program says ${said}${exit}`;
    if (vector.code !== "" && after !== text) return "the program changed the state of a refusal";
    return digest === stateDigest(JSON.parse(after)) ? undefined : "the program names another state than it stores";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// ---- over HTTP ----

const router = boxPair("router").publicKey;
const reply = boxPair("reply");

/** A request in a sealed box: HTTP status, and the code of the signed answer. */
async function ask(agent: VectorAgent, change: object, by = "ann"): Promise<{ status: number; code?: string }> {
  const payload = written("Request", { ...bases.request(), ...change });
  return post(agent, signRaw("request", payload, signPair(by)));
}

async function post(agent: VectorAgent, envelope: Uint8Array): Promise<{ status: number; code?: string }> {
  const answer = await fetch(agent.url, { method: "POST", body: new Uint8Array(world.crypto.seal(envelope, router)) });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (answer.status !== 200) return { status: answer.status };
  const inside = world.crypto.unseal(bytes, { publicKey: reply.publicKey, secretKey: reply.privateKey });
  const request = openStatement(world.crypto, "request", envelope);
  if (inside === undefined || !request.ok) throw new Error("an answer that nobody can open");
  const opened = openAnswer(world.crypto, signPair("router").publicKey, request.value, inside);
  if (!opened.ok) throw new Error(`the answer does not open: ${opened.problems[0]?.code}`);
  return { status: 200, code: opened.value.message.code };
}

/** The directive of a bundle, after its blobs were uploaded. */
async function submitBundle(agent: VectorAgent, bytes: Uint8Array) {
  const bundle = decode("Bundle", bytes);
  if (!bundle.ok) throw new Error("not a bundle");
  for (const data of bundle.value.blobs) {
    const chunk = { digest: sha256(data), size: data.length, offset: 0, data };
    await ask(agent, { kind: "put_blob", chunk });
  }
  const { directive, trust } = bundle.value;
  return ask(agent, { kind: "submit", directive, trust });
}

/** Kinds that an operator can send to a router, and how; all others come as a box that is no request. */
const ways: Partial<Record<Vector["kind"], (agent: VectorAgent, bytes: Uint8Array) => ReturnType<typeof ask>>> = {
  directive: (agent, directive) => ask(agent, { kind: "submit", directive }),
  root: (agent, bytes) => ask(agent, { kind: "submit", directive: bases.directiveBase.envelope, trust: [bytes] }),
  roster: (agent, bytes) => ask(agent, { kind: "submit", directive: bases.directiveBase.envelope, trust: [bytes] }),
  "self-revoke": (agent, revoke) => ask(agent, { kind: "revoke", revoke }),
  bundle: submitBundle,
};

/** Codes that an agent adds to what a file alone can say; each is a refusal too. */
const furtherOn: Readonly<Record<string, string>> = {
  "nv-clock-back-10y": "blob.missing",
  "nv-clock-ahead-10y": "blob.missing",
  "nv-seq-above-2^53-read-exactly": "blob.missing",
  "nv-beacon-fresh": "blob.missing",
  "nv-bundle-control": "apply.key_missing", // the world's private keys are nowhere
  "nv-name-constructor": "trust.view", // the roster is good, the directive was made under the one before
};

/**
 * True for a vector whose state an agent can be started in. A trial and a kept generation need a kernel, and a blob
 * that no directive names is simply held.
 */
export const isForHttp = ({ state = {}, name }: Vector): boolean =>
  (state.trial ?? null) === null && state.parent === undefined && name !== "nv-blob-not-pinned";

/** `base` stands where most vectors begin; a vector of another state gets an agent of its own. */
export async function byHttp(base: VectorAgent, vector: Vector, unixS: number): Promise<Told> {
  if (vector.state === undefined) return askAbout(base, vector, unixS);
  const own = await startAgent(vector.state);
  try {
    return await askAbout(own, vector, unixS);
  } finally {
    await own.close();
  }
}

/** HTTP status and signed code that an operator gets; undefined for kinds that nobody sends to a router. */
function wantedOf(vector: Vector): { readonly status: number; readonly code?: string } | undefined {
  const { kind, name, state } = vector;
  const enrolled = state?.roster !== "";
  if (ways[kind] === undefined) return undefined;
  // What does not fit its field makes the request no request; without a roster there is no operator.
  if (vector.code === "wire.too_large" || (!enrolled && kind !== "roster")) return { status: 403 };
  return { status: 200, code: furtherOn[name] ?? vector.code };
}

/** Requests that are rightly signed and refused for what they carry. */
const isAnswered = ({ name }: Vector): boolean =>
  [
    ...["nv-enrol-other-root", "nv-enrol-without-roster"],
    ...["nv-root-without-roster", "nv-directive-among-documents"],
  ].includes(name);

/** The signed code for an operator, the one word for a stranger, and nothing changed after either. */
async function askAbout(agent: VectorAgent, vector: Vector, unixS: number): Promise<Told> {
  agent.set({ bootMs: whenOf(vector), unixS });
  const before = agent.picture();
  const wanted = wantedOf(vector);
  if (wanted !== undefined) {
    const enrolling = vector.state?.roster === "" && vector.kind === "roster";
    const got = enrolling
      ? await ask(agent, { kind: "enrol", trust: [vector.bytes] }, "throw-away")
      : await ways[vector.kind]!(agent, vector.bytes);
    if (got.status !== wanted.status || got.code !== wanted.code) return `the agent says ${got.status} ${got.code}`;
    const stranger = await ask(agent, { kind: "submit", directive: vector.bytes }, "mallory");
    if (stranger.status !== 403) return `a stranger is told ${stranger.status} ${stranger.code}`;
  }
  const own = await post(agent, vector.bytes);
  // A request is answered when somebody may ask: an operator, or whoever finishes an enrolment by any key.
  const answered = vector.kind === "request" && isAnswered(vector);
  const status = answered ? 200 : vector.bytes.length > limits.requestBytes ? 413 : 403;
  if (own.status !== status || (answered && own.code !== vector.code)) {
    return `as a request of its own it gives ${own.status} ${own.code}`;
  }
  return agent.picture() === before ? undefined : "the agent is not where it was";
}
