/** nftables through nft(8): checks, rehearsals, listings and counters of the one owned table. */
import { done, type Result, refuse } from "../../schemas/problem.ts";
import type { LaneCount, Rehearsal } from "../ports.ts";
import type { Run } from "./run.ts";

const TABLE = ["inet", "holdfast"] as const;

/** The 32-bit value that $HF_EPOCH stands for: the epoch number in the upper half of a mark. */
export function epochWord(epoch: number): string {
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff) throw new Error(`epoch ${epoch} is out of range`);
  return `0x${epoch.toString(16).padStart(4, "0")}0000`;
}

export function loadArgv(file: string, epoch: number): string[] {
  return ["nft", "-D", `HF_EPOCH=${epochWord(epoch)}`, "-f", file];
}

/** `nft -s list table` of the owned table; "" when it does not exist. */
export async function listTable(run: Run): Promise<string> {
  const out = await run(["nft", "-s", "list", "table", ...TABLE]);
  if (out.exit === 0) return out.stdout;
  if (/No such file or directory/.test(out.stderr)) return "";
  throw new Error(`nft list table: ${out.stderr.trim()}`);
}

/** `nft -c`: would the kernel take the file now? */
export async function checkFile(run: Run, file: string, epoch: number): Promise<Result<void>> {
  const [program, ...rest] = loadArgv(file, epoch);
  const out = await run([program ?? "nft", "-c", ...rest]);
  return out.exit === 0 ? done(undefined) : refuse("apply.ruleset_rejected", file, out.stderr.trim().slice(0, 600));
}

const REHEARSE = `nft -D "HF_EPOCH=$2" -f "$1" && nft -s list table inet holdfast`;

/** Loads the file into a namespace that ends with the command, and lists it: what a read-back must equal. */
export async function rehearseFile(run: Run, file: string, epoch: number): Promise<Result<Rehearsal>> {
  const out = await run(["unshare", "-n", "sh", "-c", REHEARSE, "sh", file, epochWord(epoch)]);
  if (out.exit !== 0) return refuse("apply.ruleset_rejected", file, out.stderr.trim().slice(0, 600));
  return done({ listing: out.stdout });
}

type JsonListing = { readonly nftables: readonly { readonly counter?: { name: string; packets: number } }[] };

/** Named counters of the table, sorted by name; [] when the table does not exist. */
export async function listCounters(run: Run): Promise<readonly LaneCount[]> {
  const out = await run(["nft", "-j", "list", "counters", "table", ...TABLE]);
  if (out.exit !== 0) {
    if (/No such file or directory/.test(out.stderr)) return [];
    throw new Error(`nft list counters: ${out.stderr.trim()}`);
  }
  return (JSON.parse(out.stdout) as JsonListing).nftables
    .flatMap((item) => (item.counter === undefined ? [] : [item.counter]))
    .map((counter) => ({ counter: counter.name, packets: counter.packets }))
    .sort((a, b) => (a.counter < b.counter ? -1 : 1));
}
