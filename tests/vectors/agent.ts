/**
 * A real agent that stands where a vector begins: its store holds the documents, the log and the seeds of the world,
 * its clocks show what a test says, and it answers on a loopback port. Nothing of it can reach a kernel.
 */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Agent, createAgent } from "../../agent/agent.ts";
import { type Opened, openStatement } from "../../agent/core/dsse.ts";
import { emptyRecord } from "../../agent/core/record.ts";
import type { VerifyState } from "../../agent/core/verify-state.ts";
import { liveHost } from "../../agent/host/live.ts";
import { openStore } from "../../agent/host/store.ts";
import { createListeners } from "../../agent/listeners.ts";
import { createPaths } from "../../agent/paths.ts";
import type { Host, Store } from "../../agent/ports.ts";
import { recover } from "../../agent/recover.ts";
import { createRequests } from "../../agent/requests.ts";
import * as bases from "./bases.ts";
import * as world from "./world.ts";

const scripts = join(import.meta.dir, "../../agent/scripts");

export type VectorAgent = {
  readonly url: string;
  /** Signs one more beacon. */
  beacon(): Opened<"beacon">;
  /** Both clocks; the world's challenge is out again unless the state has none, and no blob is held. */
  set(when: { readonly bootMs: number; readonly unixS: number }): void;
  /** Everything that a refusal must leave as it is, as one text. */
  picture(): string;
  close(): Promise<void>;
};

/** Writes what the state says into an empty store. */
function fill(store: Store, state: VerifyState): void {
  const root = opened("root", state.root);
  const roster = state.roster === "" ? undefined : opened("roster", state.roster);
  const keys = state.key_report === "" ? undefined : opened("key-report", state.key_report);
  const log = world.log.slice(0, Number(state.log.index));
  store.putDocument("root", root.message.version, root.envelope);
  if (roster !== undefined) store.putDocument("roster", roster.message.version, roster.envelope);
  if (keys !== undefined) store.putDocument("key-report", keys.message.version, keys.envelope);
  for (const [i, receipt] of log.entries()) store.putDocument("receipt", i + 1, receipt.envelope);
  if (state.token !== "") store.putEnrolment("token", Uint8Array.fromBase64(state.token));
  store.putEnrolment("request", world.enrolmentBy({ incarnation: state.incarnation }).envelope);
  store.writeRecord({
    ...emptyRecord,
    root: roster === undefined ? "" : root.digest.toHex(),
    roster: roster?.digest.toHex() ?? "",
    keys: keys?.digest.toHex() ?? "",
    generation: BigInt(state.generation),
    logIndex: log.length,
    logHead: log.at(-1)?.digest.toHex() ?? "",
  });
}

function opened<K extends "root" | "roster" | "key-report">(kind: K, base64: string): Opened<K> {
  const found = openStatement(world.crypto, kind, Uint8Array.fromBase64(base64));
  if (!found.ok) throw new Error(`the ${kind} of the state does not open`);
  return found.value;
}

/** A port that nobody listens on now. */
function freePort(): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const found = server.port ?? 0;
  void server.stop(true);
  return found;
}

const never = (calls: string[], what: string) => async (): Promise<never> => {
  calls.push(what);
  throw new Error(`a vector reached ${what}`);
};

/** The live host with clocks of its own, the world's challenge for randomness, and no way to a kernel. */
async function hostOf(
  folders: { readonly state: string; readonly run: string },
  now: { bootMs: number; unixS: number; bootId: Uint8Array },
  calls: string[],
): Promise<Host> {
  const live = await liveHost({ ...folders, lib: scripts, backend: "userspace" });
  const calling = (what: string) => never(calls, what);
  return {
    ...live,
    clock: { bootMs: () => now.bootMs, unixS: () => now.unixS, bootId: () => now.bootId, at: () => () => {} },
    random: (bytes) => world.challenge.slice(0, bytes),
    kernel: {
      ...live.kernel,
      ...{ observe: calling("observe"), checkNft: calling("checkNft"), rehearseNft: calling("rehearseNft") },
      perform: calling("perform"),
    },
    guard: { ...live.guard, own: calling("own"), restore: calling("restore"), arm: calling("arm") },
    log: () => {},
  };
}

/** Challenge and beacon as the state has them: live, used up, or given out before the boot. */
function giveOut(agent: Agent, state: VerifyState, now: { bootMs: number; bootId: Uint8Array }): void {
  now.bootMs = world.BEACON_MS;
  now.bootId = world.bootId;
  if (agent.standing.view() !== undefined) agent.beacons.make();
  now.bootMs = world.CHALLENGE_MS;
  agent.challenges.make();
  if (state.challenges.length === 0) agent.challenges.use(world.challenge);
}

/** Starts one that stands where the state says. */
export async function startAgent(change: Partial<VerifyState> = {}): Promise<VectorAgent> {
  const state = { ...world.baseState, ...change };
  const folder = mkdtempSync(join(tmpdir(), "holdfast-vectors-"));
  const folders = { state: join(folder, "state"), run: join(folder, "run") };
  mkdirSync(join(folders.state, "keys"), { recursive: true, mode: 0o700 });
  for (const name of ["sign", "seal"] as const) {
    const path = join(folders.state, "keys", name);
    writeFileSync(path, `${world.routerSeeds[name].toBase64()}\n`);
    chmodSync(path, 0o600);
  }
  const now = { bootMs: world.BEACON_MS, unixS: 0, bootId: world.bootId };
  const calls: string[] = [];
  const store = openStore(folders);
  fill(store, state);
  const parts = { host: await hostOf(folders, now, calls), store, crypto: world.crypto, version: "0.0.0" };
  const start = async (): Promise<Agent> => {
    const agent = createAgent(parts, { rebind: async () => {} });
    await recover(agent);
    return agent;
  };
  let agent = await start();
  for (const key of state.revoked) {
    const { envelope, message } = world.signed("self-revoke", bases.selfRevoke(), "bob");
    if (message.key.toHex() !== key) throw new Error("a revocation that the world has not");
    agent.standing.revoke(message.key, envelope);
  }
  giveOut(agent, state, now);
  if (state.boot_id !== world.baseState.boot_id) {
    agent.runner.close();
    now.bootId = Uint8Array.fromHex(state.boot_id);
    agent = await start();
  }
  const listeners = createListeners({
    requests: createRequests(agent, createPaths(parts.host.clock)),
    strangers: { enter: () => () => {} }, // their bounds have tests of their own
    metrics: async () => "",
    log: () => {},
  });
  const port = freePort();
  await listeners.update([{ address: "127.0.0.1", port, lane: "api:127.0.0.1" }]);
  return {
    url: `http://127.0.0.1:${port}/v1/box`,
    set(when) {
      now.bootMs = world.CHALLENGE_MS;
      if (state.challenges.length > 0) agent.challenges.make();
      Object.assign(now, when);
      for (const name of readdirSync(join(folders.state, "blobs"))) rmSync(join(folders.state, "blobs", name));
    },
    beacon: () => agent.beacons.make(),
    picture() {
      const { record, documentNumbers, directives } = store;
      const documents = (["root", "roster", "key-report", "receipt", "self-revoke"] as const).map(documentNumbers);
      const plain = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
      return JSON.stringify({ record: record(), documents, directives: directives(), calls }, plain);
    },
    async close() {
      agent.runner.close();
      await listeners.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
