/**
 * `npm run bench -- admit --clients 10000`: from the bytes of a bundle to an admitted directive and decoded documents,
 * as the agent does it, beside the least that any verifier must do: SHA-256 of the same blobs and one signature check.
 * The measuring process only reads files, so its memory is the reader's and not the maker's.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { admitDirective } from "../agent/core/directive.ts";
import { prove } from "../agent/core/prove.ts";
import { equalBytes, sha256 } from "../schemas/digest.ts";
import { limits } from "../schemas/limits.ts";
import { decode } from "../schemas/wire.ts";
import { crypto } from "../tests/agent/operator.ts";
import { bareSignature, type Held, makeBundle, must, readBundle } from "./bundle.ts";

const ROUNDS = 7;
/** What the agent's units tell the runtime about the machine. */
const AGENT_RAM = String(128 * 1024 * 1024);

type Times = Readonly<Record<string, number>>; // milliseconds by part, in the order of the walk

function timed(times: Record<string, number>) {
  return <T>(part: string, work: () => T): T => {
    const started = performance.now();
    const value = work();
    times[part] = performance.now() - started;
    return value;
  };
}

/** The blobs are those that were pinned: what the store checks when the last part of a blob has come. */
function checkPins(files: Held["files"], pins: readonly Uint8Array[]): void {
  const blobs = [files.intent, files.inventory, files.secrets];
  const fits = blobs.every((bytes, i) => equalBytes(sha256(bytes), pins[i]!));
  if (!fits) throw new Error("a blob is not the one that was pinned");
}

type Round = { readonly admit: Times; readonly admitMb: number; readonly prove: number; readonly proveMb: number };

function once({ files, view, keys, context }: Held): Round {
  const times: Record<string, number> = {};
  const time = timed(times);
  const { message } = time("signature, directive, admission", () =>
    must(admitDirective(crypto, context, files.directive)),
  );
  time("digests of the blobs", () =>
    checkPins(files, [message.intent_digest, message.inventory_digest, message.secrets_digest]),
  );
  const intent = time("intent, decoded strictly", () => must(decode("Intent", files.intent)));
  const inventory = time("inventory, decoded strictly", () => must(decode("Inventory", files.inventory)));
  time("secrets, decoded strictly", () => must(decode("Secrets", files.secrets)));
  const admitMb = peakMb();
  const started = performance.now();
  const input = { intent, inventory, root: view.root.message, roster: view.roster.message, keys: keys.message };
  const proven = must(prove({ ...input, router: "r1" }));
  if (!equalBytes(proven.digest, message.desired_digest)) throw new Error("it compiles to another state");
  return { admit: times, admitMb, prove: performance.now() - started, proveMb: peakMb() };
}

function floorOnce({ files }: Held): number {
  const { sig, signed, key } = bareSignature(files.directive);
  const started = performance.now();
  for (const bytes of [files.intent, files.inventory, files.secrets]) sha256(bytes);
  if (!crypto.verify(sig, signed, key)) throw new Error("the signature does not verify");
  return performance.now() - started;
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1]!;
const total = (times: Times): number => Object.values(times).reduce((sum, ms) => sum + ms, 0);
const shown = (ms: number): string => ms.toFixed(ms < 10 ? 2 : 0).padStart(9);

/** The largest resident size of this process so far, in MB. */
function peakMb(): number {
  const [, kb] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Math.round(Number(kb) / 1024);
}

/** Measures the bundle of a folder and prints the table. */
function measure(folder: string): void {
  const held = readBundle(folder);
  const floors: number[] = [];
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    floors.push(floorOnce(held));
    rounds.push(once(held));
  }
  const row = (name: string, list: readonly number[]): void =>
    console.log(`${name.padEnd(34)}${shown(list[0]!)}${shown(median(list))}`);
  const admits = rounds.map((one) => total(one.admit));
  console.log(`${"ms".padEnd(34)}${"first".padStart(9)}${"median".padStart(9)}`);
  for (const part of Object.keys(rounds[0]!.admit)) {
    const times = rounds.map((one) => one.admit[part]!);
    row(part, times);
  }
  row("verify, decode, admit", admits);
  row("floor: SHA-256 and one signature", floors);
  const proofs = rounds.map((one) => one.prove);
  row("beyond it: laws, compile, proof", proofs);
  console.log(`peak memory after the first proof: ${rounds[0]!.proveMb} MB`);
  const [ms, floor] = [median(admits), median(floors)];
  const clients = must(decode("Inventory", held.files.inventory)).clients.length;
  const numbers = `ms=${ms.toFixed(1)} floor_ms=${floor.toFixed(2)} ratio=${(ms / floor).toFixed(1)}`;
  console.log(`bench-admit: clients=${clients} ${numbers} rss_mb=${rounds[0]!.admitMb}`);
}

/** Runs with the words after the name. Returns the exit code. */
export async function admit(words: readonly string[]): Promise<number> {
  const [option, text = "10000"] = words;
  if (option === "--folder") {
    measure(text);
    return 0;
  }
  const count = Number(text);
  const known = option === undefined || (option === "--clients" && words.length === 2);
  if (!known || !Number.isInteger(count) || count < 1 || count > limits.clients) {
    console.error(`usage: npm run bench -- admit [--clients 1..${limits.clients}]`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  try {
    makeBundle(folder, count);
    const argv = [process.execPath, join(import.meta.dir, "main.ts"), "admit", "--folder", folder];
    const env = { ...process.env, BUN_JSC_forceRAMSize: AGENT_RAM };
    return await Bun.spawn(argv, { env, stdin: "ignore", stdout: "inherit", stderr: "inherit" }).exited;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
