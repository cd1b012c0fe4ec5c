/**
 * What this machine remembers of a router: the chain of receipts with its head, where it answered last, and the
 * content of every generation that was pushed from here. A router whose log went back or forked convicts itself.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Crypto } from "../agent/core/crypto.ts";
import type { Opened } from "../agent/core/dsse.ts";
import { checkChain, EMPTY_LOG, type LogHead } from "../agent/core/receipts.ts";
import { equalBytes, fromHex, sha256, toHex } from "../schemas/digest.ts";
import { done, type Result, refuse } from "../schemas/problem.ts";
import type { Status } from "../schemas/report.ts";
import type { Link } from "./link.ts";
import { makePrivateFolder, readIfThere, writeWhole } from "./places.ts";

/** The end of the chain that is kept here. */
export type Memory = { readonly folder: string; readonly head: LogHead };

type Receipts = readonly Opened<"receipt">[];

const receiptPath = (folder: string, index: bigint): string => join(folder, "receipts", `${index}.dsse`);

/** Opens the folder and makes it when it is not there. */
export function openFolder(folder: string): void {
  for (const part of ["", "receipts", "blobs", "generations"]) makePrivateFolder(join(folder, part));
}

/** The head as it was written last: index and statement digest. */
function readHead(folder: string): Result<LogHead> {
  const bytes = readIfThere(join(folder, "head"));
  if (bytes === undefined) return done(EMPTY_LOG);
  const match = /^index=(0|[1-9][0-9]{0,18})\ndigest=([0-9a-f]{64})\n$/.exec(new TextDecoder().decode(bytes));
  const digest = fromHex(match?.[2] ?? "");
  if (match === null || digest === undefined) return refuse("receipts.damaged", join(folder, "head"), "it is no head");
  return done({ index: BigInt(match[1]!), digest });
}

function writeHead(folder: string, head: LogHead): void {
  writeWhole(join(folder, "head"), `index=${head.index}\ndigest=${toHex(head.digest)}\n`);
}

/** Opens what is kept of a router; nothing yet is an empty log. Code receipts.damaged. */
export function readMemory(folder: string): Result<Memory> {
  const head = readHead(folder);
  return head.ok ? done({ folder, head: head.value }) : head;
}

/** Every kept receipt, the chain checked from the first to the head. Codes receipts.damaged, trust.*. */
export function keptReceipts(crypto: Crypto, routerSignKey: Uint8Array, memory: Memory): Result<Receipts> {
  const { folder, head } = memory;
  const envelopes: Uint8Array[] = [];
  for (let index = 1n; index <= head.index; index += 1n) {
    const bytes = readIfThere(receiptPath(folder, index));
    if (bytes === undefined) return refuse("receipts.damaged", receiptPath(folder, index), "the file is missing");
    envelopes.push(bytes);
  }
  const chain = checkChain(crypto, routerSignKey, EMPTY_LOG, envelopes);
  if (!chain.ok) return chain;
  if (equalBytes(chain.value.digest, head.digest)) return done(chain.value.receipts);
  return refuse("receipts.damaged", join(folder, "head"), "it names another receipt than the last one");
}

/** What is kept after an addition, and the receipts that came. */
export type Kept = { readonly memory: Memory; readonly fresh: Receipts };

/** Adds receipts that follow the head. Files first, head last: an interrupted call leaves the old head standing. */
export function keepReceipts(
  crypto: Crypto,
  routerSignKey: Uint8Array,
  memory: Memory,
  envelopes: readonly Uint8Array[],
): Result<Kept> {
  if (envelopes.length === 0) return done({ memory, fresh: [] });
  const chain = checkChain(crypto, routerSignKey, memory.head, envelopes);
  if (!chain.ok) return chain;
  openFolder(memory.folder);
  for (const one of chain.value.receipts) writeWhole(receiptPath(memory.folder, one.message.index), one.envelope);
  const head = { index: chain.value.index, digest: chain.value.digest };
  writeHead(memory.folder, head);
  return done({ memory: { ...memory, head }, fresh: chain.value.receipts });
}

/** Compares what the router says of its log with what is kept. Codes receipts.rewound, receipts.forked. */
export function checkHead(memory: Memory, status: Pick<Status, "log_index" | "log_head">): Result<void> {
  const { index, digest } = memory.head;
  if (status.log_index < index) {
    const detail = `it has ${status.log_index} receipts, ${index} are kept here`;
    return refuse("receipts.rewound", "log", detail);
  }
  if (status.log_index === index && !equalBytes(status.log_head, digest)) {
    return refuse("receipts.forked", `log entry ${index}`, "its last receipt is another one than the one kept here");
  }
  return done(undefined);
}

/** Fetches every receipt after the kept head, and keeps it. Codes receipts.*, link.*, trust.*. */
export async function fetchReceipts(
  crypto: Crypto,
  routerSignKey: Uint8Array,
  link: Link,
  memory: Memory,
  status: Pick<Status, "log_index" | "log_head">,
): Promise<Result<Kept>> {
  let now = memory;
  const fresh: Opened<"receipt">[] = [];
  while (now.head.index < status.log_index) {
    const from_index = now.head.index + 1n;
    const answer = await link.get("receipts", { from_index, limit: 64 }, { attempts: 3 });
    if (!answer.ok) return answer;
    if (answer.value.receipts.length === 0) {
      return refuse("receipts.rewound", `log entry ${from_index}`, "the router does not give it");
    }
    const kept = keepReceipts(crypto, routerSignKey, now, answer.value.receipts);
    if (!kept.ok) return kept;
    now = kept.value.memory;
    fresh.push(...kept.value.fresh);
  }
  // More may have come while asking: only what the status spoke of is compared.
  const same =
    now.head.index > status.log_index && memory.head.index <= status.log_index
      ? done(undefined)
      : checkHead(now, status);
  return same.ok ? done({ memory: now, fresh }) : same;
}

// ---- content of generations ----

/** Which content a generation had, and how it was pushed. */
export type PushedGeneration = {
  readonly generation: string; // decimal
  readonly intent: string; // SHA-256 of the blobs, hex
  readonly inventory: string;
  readonly secrets: string;
  readonly commit: string;
  readonly note: string;
};

const generationPath = (folder: string, generation: bigint): string =>
  join(folder, "generations", `${generation}.json`);

/** Keeps the blobs of a generation before it is sent. */
export function keepGeneration(
  folder: string,
  generation: bigint,
  blobs: { readonly intent: Uint8Array; readonly inventory: Uint8Array; readonly secrets: Uint8Array },
  about: { readonly commit: string; readonly note: string },
): void {
  openFolder(folder);
  const keep = (bytes: Uint8Array): string => {
    const digest = toHex(sha256(bytes));
    const path = join(folder, "blobs", digest);
    if (readIfThere(path) === undefined) writeWhole(path, bytes);
    return digest;
  };
  const entry: PushedGeneration = {
    generation: String(generation),
    intent: keep(blobs.intent),
    inventory: keep(blobs.inventory),
    secrets: keep(blobs.secrets),
    ...about,
  };
  writeWhole(generationPath(folder, generation), `${JSON.stringify(entry, null, 2)}\n`);
}

/** How a generation was pushed from here; undefined when it was not. */
export function pushedGeneration(folder: string, generation: bigint): PushedGeneration | undefined {
  const bytes = readIfThere(generationPath(folder, generation));
  return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as PushedGeneration);
}

/** Generations that can be pushed again from here, ascending. */
export function pushedGenerations(folder: string): readonly bigint[] {
  const generations = join(folder, "generations");
  if (!existsSync(generations)) return [];
  return readdirSync(generations)
    .flatMap((name) => (/^[1-9][0-9]*\.json$/.test(name) ? [BigInt(name.slice(0, -5))] : []))
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** A kept blob, its digest checked. Code receipts.damaged. */
export function keptBlob(folder: string, digest: string): Result<Uint8Array> {
  const path = join(folder, "blobs", digest);
  const bytes = /^[0-9a-f]{64}$/.test(digest) ? readIfThere(path) : undefined;
  if (bytes !== undefined && toHex(sha256(bytes)) === digest) return done(bytes);
  return refuse("receipts.damaged", path, bytes === undefined ? "the file is missing" : "its digest is another one");
}

// ---- where the router answered ----

/** The address that answered last, as `--at` takes it; undefined before the first. */
export function lastPlace(folder: string): string | undefined {
  const bytes = readIfThere(join(folder, "place"));
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes).trim();
}

/** Remembers the address that answered. */
export function keepPlace(folder: string, place: string): void {
  if (lastPlace(folder) === place) return;
  openFolder(folder);
  writeWhole(join(folder, "place"), `${place}\n`);
}
