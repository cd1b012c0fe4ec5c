/**
 * An agent whose folders are a small file system of their own, which is filled to the last byte and made read-only
 * while a trial stands. Prints one line for each act: what became of it. Run as root by `unshare -m`.
 */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { toBase64 } from "../../schemas/digest.ts";
import { inventoryOf } from "./bundles.ts";
import { freshPath, newPlace } from "./machine.ts";
import { crypto } from "./operator.ts";
import { begin, bundleOf, confirmOver, push, settled } from "./trials.ts";

const folder = process.argv[2]!;
function mount(...words: readonly string[]): void {
  const done = Bun.spawnSync(["mount", ...words, folder]);
  if (done.exitCode !== 0) throw new Error(done.stderr.toString());
}
mount("-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs");
process.env.TMPDIR = folder;

const filler = join(folder, "filler");
function fill(): void {
  const fd = openSync(filler, "w");
  try {
    for (const size of [65_536, 4096, 1]) {
      try {
        for (;;) writeSync(fd, new Uint8Array(size));
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code !== "ENOSPC") throw failure;
      }
    }
  } finally {
    closeSync(fd);
  }
}

const place = await newPlace();
const sign = async () => {
  const key = toBase64(crypto.boxKeys().publicKey);
  const inventory = inventoryOf([{ id: "c1", key, address: "10.99.0.2" }]);
  return (await place.session.directive({ ...bundleOf(), inventory })).opened;
};
await push(place, await sign());

/** A trial that stands when `act` is done to the disk, and its end. */
async function tryOut(verdict: "commit" | "abort", act: () => void, undo: () => void = () => {}): Promise<string> {
  const directive = await sign();
  const { nonce } = await begin(place, directive);
  const from = (await place.session.status()).log_index + 1n;
  act();
  const way = freshPath("api:10.0.0.1");
  const outcomes = async () =>
    (await place.session.receipts(from)).map((receipt) => receipt.outcome).join() || "nothing";
  await confirmOver(place, way, directive, nonce, verdict); // waits some seconds for the receipt
  const before = await outcomes();
  undo();
  await settled(place);
  const { drift, lkg_directive } = await place.session.status();
  const kept = toBase64(lkg_directive) === toBase64(directive.digest) ? "kept" : "not kept";
  return `${before}, then ${await outcomes()}, ${kept}${drift ? " with drift" : ""}`;
}

const told = (failure: unknown): string => String(failure);
console.log(`full: ${await tryOut("commit", fill)}`);
console.log(`still full: ${await sign().then(() => "accepted", told)}`);
rmSync(filler);
console.log(`full again: ${await tryOut("abort", fill)}`);
rmSync(filler);
const readOnly = [() => mount("-o", "remount,ro"), () => mount("-o", "remount,rw")] as const;
console.log(`read-only: ${await tryOut("abort", ...readOnly)}`);
readOnly[0]();
console.log(`still read-only: ${await sign().then(() => "accepted", told)}`);
readOnly[1]();
console.log(`writable: ${await tryOut("commit", () => {})}`);
process.exit(0);
